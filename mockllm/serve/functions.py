"""Calls the functions of mocks: asynchronous ones in the loop of the server, others in threads.

A function has `MAX_SECONDS`. One that takes longer is left behind: an asynchronous one is
cancelled, a thread goes on with it and ends when it returns. Nothing waits for a function that was
left behind, neither the stop of the server nor the end of the process.

To read what a function has returned, which may be of any size, takes long if it is large. Then it
is read in a thread, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from pydantic import BaseModel

from mockllm.config.functions import Prompt, ReplyFunction
from mockllm.engine.decision import Called

MAX_SECONDS = 10.0
"""Seconds that a function may take, with the time that it waits for a thread."""
MAX_THREADS = 32
"""Functions that are called at the same time in threads; others wait."""

MAX_VALUES = 200
MAX_CHARACTERS = 64 * 1024
"""Values and characters of an answer that is read in the loop. Reading takes 5 µs for a value."""
TEMPLATE_COST = 64
"""A character of a template takes as long as so many of a text."""

_STOPPING = (KeyboardInterrupt, SystemExit)
"""What a function raises to end the program."""


def is_asynchronous(function: ReplyFunction) -> bool:
    """True for a coroutine function, or an object whose ``__call__`` is one."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # not whether it can be called


class Functions:
    """Calls functions in one loop. `close` ends the threads. The context `beside` is open as long
    as a thread reads what is large."""

    def __init__(self, beside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._threads = _Threads()
        self._beside = beside

    async def perform(self, operations: Sequence[Any]) -> Sequence[Called]:
        """Return what the functions of `operations` (`CallFunction`) return, in the same order.
        They are called at the same time."""
        if len(operations) == 1:
            return [await self._call(*operations[0])]
        return await asyncio.gather(*[self._call(*each) for each in operations])

    def close(self) -> None:
        """End the threads that wait for a function, and others when their function returns."""
        self._threads.close()

    async def _call(
        self, function: ReplyFunction, prompt: Prompt, read: Callable[[Any], Any] | None = None
    ) -> Called:
        called = await self._called(function, prompt)
        if read is None or called.error is not None or not is_large(called.value):
            return called
        with self._beside():
            try:
                found = await self._threads.run(read, called.value)
            except Exception as exc:
                return called._replace(reading=partial(_raise, exc))
        return called._replace(reading=lambda: found)

    async def _called(self, function: ReplyFunction, prompt: Prompt) -> Called:
        limit = asyncio.timeout(MAX_SECONDS)
        try:
            async with limit:
                return Called(await self._run(function, prompt))
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # the client has left
                raise
            return Called(error=_without_our_frames(exc))  # the function has raised it itself
        except _STOPPING:
            raise
        except BaseException as exc:  # also those of test frameworks, which end a test
            if limit.expired():
                message = f"the function takes more than {MAX_SECONDS:g} seconds"
                return Called(error=TimeoutError(message), is_late=True)
            return Called(error=_without_our_frames(exc))

    async def _run(self, function: ReplyFunction, prompt: Prompt) -> Any:
        if is_asynchronous(function):
            value: Any = function(prompt)
        else:
            value = await self._threads.run(function, prompt)
        return await value if isawaitable(value) else value


def is_large(value: Any) -> bool:
    """True if it takes long to read an answer that a function has returned."""
    todo, values, size = [(value, 1)], 0, 0
    while todo:
        found, cost = todo.pop()
        values += 1
        if isinstance(found, str):
            size += len(found) * cost
        elif isinstance(found, BaseModel):
            todo += [(each, _cost_of(name)) for name, each in found.__dict__.items()]
        elif isinstance(found, (dict, list, tuple)):
            if len(found) > MAX_VALUES:
                return True
            if isinstance(found, dict):
                todo += [(each, _cost_of(name)) for name, each in found.items()]
            else:
                todo += [(each, 1) for each in found]
        if values + len(todo) > MAX_VALUES or size > MAX_CHARACTERS:
            return True
    return False


def _cost_of(name: Any) -> int:
    return TEMPLATE_COST if name == "template" else 1


def _raise(error: Exception) -> Any:
    raise error


def frames_below(traceback: TracebackType | None, *modules: str) -> TracebackType | None:
    """Return the frames of a traceback behind the last one that is of one of `modules`."""
    found, frame = traceback, traceback
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__") in modules:
            found = frame.tb_next
        frame = frame.tb_next
    return found


def _without_our_frames(error: BaseException) -> BaseException:
    """Return the exception of a function with the traceback that its author knows."""
    return error.with_traceback(frames_below(error.__traceback__, __name__))


# --- threads --------------------------------------------------------------------------------------


class _Job:
    """A call in a thread, and the future of its result in the loop that waits for it."""

    def __init__(self, function: Callable[[Any], Any], argument: Any) -> None:
        self._function = function
        self._argument = argument
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()
        # changed with the lock of the threads
        self.begun = False
        self.done = False
        self.left = False

    def call(self) -> Callable[[], None]:
        """Call the function. Returns a function that tells the result to the loop."""
        try:
            value, error = self._function(self._argument), None
        except BaseException as exc:  # whatever it raises belongs to the loop
            value, error = None, exc
        return partial(self._tell, value, error)

    def _tell(self, value: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._finish, value, error)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(_unraisable(error))


def _unraisable(error: BaseException) -> BaseException:
    """Return `error`, or another one in place of those that a future does not take."""
    if isinstance(error, (StopIteration, *_STOPPING)):
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Threads:
    """Threads that call functions, begun when they are needed. They are daemons, so that the end of
    the process does not wait for them."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        # Each job in the queue is for an idle thread, for a new one, or for the next that is done.
        self._count = 0  # threads, without those whose function was left behind
        self._idle = 0
        self._waiting = 0  # jobs for the next threads that are done

    async def run(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Return what `function` returns in a thread."""
        job = _Job(function, argument)
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._count < MAX_THREADS:
                self._begin_thread()
            else:
                self._waiting += 1
            self._jobs.put(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._leave(job)
            raise

    def close(self) -> None:
        """End each thread after its job."""
        with self._lock:
            for _ in range(self._count):
                self._jobs.put(None)
            self._count = self._idle = self._waiting = 0

    def _begin_thread(self) -> None:
        self._count += 1
        threading.Thread(target=self._work, name="mockllm-function", daemon=True).start()

    def _leave(self, job: _Job) -> None:
        """Do not wait for `job`; another thread may take the place of the one that has it."""
        with self._lock:
            job.left = True
            if job.begun and not job.done and self._count:
                self._count -= 1
                if self._waiting:
                    self._waiting -= 1
                    self._begin_thread()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                job.begun = not job.left
            tell = job.call() if job.begun else None
            with self._lock:
                job.done = True
                if job.begun and job.left:
                    return
                if self._waiting:
                    self._waiting -= 1
                else:
                    self._idle += 1
            if tell is not None:  # now that the thread is free, so that the next call takes it
                tell()
