"""A thread with an event loop: coroutines run in it, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

import pytest

from mockllm.serve.embedded.loop_thread import LoopThread
from tests.support.served import nothing_left_behind


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    with nothing_left_behind():
        thread = LoopThread("a-loop")
        yield thread
        thread.stop()


def test_all_coroutines_run_in_its_one_thread_and_loop(thread: LoopThread) -> None:
    async def where() -> tuple[str, asyncio.AbstractEventLoop]:
        return threading.current_thread().name, asyncio.get_running_loop()

    name, loop = thread.call(where())
    assert name == "a-loop"
    assert thread.call(where()) == (name, loop)


def test_an_exception_of_a_coroutine_is_raised_to_the_caller(thread: LoopThread) -> None:
    async def fail() -> None:
        raise LookupError("it")

    with pytest.raises(LookupError, match="it"):
        thread.call(fail())


def test_what_still_runs_when_it_stops_is_cancelled() -> None:
    ended: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin() -> None:
        tasks.add(asyncio.ensure_future(wait()))
        await asyncio.sleep(0)

    with nothing_left_behind():
        thread = LoopThread("a-loop")
        thread.call(begin())
        thread.stop()
    assert ended == ["cancelled"]


def test_is_not_in_a_process_that_was_forked(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert thread.is_here
    other = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: other)
    assert not thread.is_here


def test_the_lack_of_a_loop_is_raised_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("too many open files")

    async def nothing() -> None:
        pass

    with nothing_left_behind():
        monkeypatch.setattr(asyncio, "new_event_loop", fail)
        monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
        thread = LoopThread("a-loop")
        with contextlib.closing(nothing()) as coroutine, pytest.raises(OSError, match="too many"):
            thread.call(coroutine)
        thread.stop()
