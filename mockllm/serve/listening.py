"""A server that listens in an event loop, and what other threads may have done in that loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from mockllm.app import App
from mockllm.serve.clock import Clock
from mockllm.serve.gates import Gates
from mockllm.serve.listener import Listener

T = TypeVar("T")


class Listening:
    """A server that listens. Its loop keeps it alive, even if nothing else refers to it."""

    def __init__(
        self,
        app: App,
        listener: Listener,
        clock: Clock,
        gates: Gates,
        url: str,
        files: ExitStack,
        drain_timeout: float,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.app = app
        self.clock = clock
        self.url = url
        self.listener = listener
        self.gates = gates
        self._files = files
        self._drain_timeout = drain_timeout
        listener.owner = self

    async def stop(self) -> None:
        """Stop as `Listener.stop` does, and remove the file of a Unix socket."""
        with self._files:
            await self.listener.stop(self._drain_timeout)

    def run(self, function: Callable[[], T]) -> T:
        """Return the result of `function`, called in the loop of the server if that runs."""
        return run_in(self.loop, function)

    def release(self) -> None:
        """Close what a loop that was closed has left open."""
        with self._files:
            self.listener.release()


def run_in(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> T:
    """Return the result of `function`, called in `loop` if that runs."""
    if loop is running_loop() or not loop.is_running():
        return function()
    result = Future[T]()

    def run() -> None:
        try:
            result.set_result(function())
        except BaseException as exc:
            result.set_exception(exc)

    loop.call_soon_threadsafe(run)  # a task would take twice the time
    return result.result()


async def await_in(loop: asyncio.AbstractEventLoop, waiting: Coroutine[Any, Any, T]) -> T:
    """Return the result of `waiting`, which runs in `loop`. The caller may be in that loop, in
    another one, or in one of trio's; if it is cancelled, so is `waiting`."""
    if loop is running_loop():
        return await waiting
    future = asyncio.run_coroutine_threadsafe(waiting, loop)
    if running_loop() is not None:
        return await asyncio.wrap_future(future)
    from anyio import to_thread  # most callers are in a loop of asyncio, and need none of it

    try:
        return await to_thread.run_sync(future.result, abandon_on_cancel=True)
    finally:
        future.cancel()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, if there is one."""
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None
