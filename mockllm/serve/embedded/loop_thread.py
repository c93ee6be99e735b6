"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in an event loop, from its creation until `stop`.

    The thread is a daemon: the interpreter does not wait for it. A process that is forked has the
    object but not the thread.
    """

    def __init__(self, name: str) -> None:
        self._process = os.getpid()
        self._stopping = asyncio.Event()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """False in a process that was forked from the one that has the thread."""
        return os.getpid() == self._process

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the loop, and return its result or raise its exception."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop.result()).result()

    def stop(self) -> None:
        """End the loop and the thread; coroutines that still run are cancelled."""
        if self._loop.exception() is None:
            self._loop.result().call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._wait())
        except BaseException as exc:
            if self._loop.done():
                raise
            self._loop.set_exception(exc)  # there was no loop, for lack of descriptors

    async def _wait(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._stopping.wait()
