"""Several processes on one port: a supervisor forks them, replaces what dies, stops them all.

The supervisor has loaded, confirmed and rendered everything before it forks; workers share that
memory. Each worker has a listening socket of its own (SO_REUSEPORT), so the kernel spreads the
connections. Signals only append to a list; the supervisor's loop acts.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mockllm.engine import Engine
from mockllm.errors import MockLLMError
from mockllm.serve.running import STOP_SIGNALS, serve
from mockllm.serve.server import bind

logger = logging.getLogger("mockllm")

FIRST_DELAY = 0.1  # seconds before a worker that died young is replaced; doubled each time
LONGEST_DELAY = 5.0  # seconds
YOUNG = 1.0  # seconds; a worker that lived longer is replaced at once
GRACE = 2.0  # seconds beyond the drain timeout before a worker is killed

READY = b"\x01"


@dataclass(slots=True)
class Worker:
    """One child process. `ready` is the pipe on which it says that it listens."""

    pid: int
    born: float
    ready: int | None


@dataclass(slots=True)
class Slot:
    """A place for a worker: who fills it, and when it may be filled again."""

    number: int
    worker: Worker | None = None
    delay: float = 0.0
    due: float = field(default=0.0)


def require_workers() -> None:
    """Raises:
    MockLLMError: this platform cannot run several workers.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise MockLLMError(
            f"--workers needs fork and SO_REUSEPORT, which {sys.platform} lacks; use --workers 1"
        )


class Supervisor:
    """Runs `count` workers on the address of `sock`, which is bound shared and never listens: it
    holds the port while workers come and go."""

    def __init__(
        self, engine: Engine, sock: socket.socket, count: int, *, drain_timeout: float
    ) -> None:
        self._engine = engine
        self._sock = sock
        self._drain_timeout = drain_timeout
        self._slots = [Slot(number) for number in range(count)]
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._lifeline, self._lifeline_end = os.pipe()

    def run(self, listening: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM. `listening` is called once, when all workers listen."""
        gc.collect()
        gc.freeze()  # before the workers are forked: a collection would copy the pages they share
        with self._signals_caught():
            told = False
            while not any(name in STOP_SIGNALS for name in self._signals):
                self._signals.clear()
                self._bury()
                self._fill_slots()
                self._wait()
                if not told and all(slot.worker and not slot.worker.ready for slot in self._slots):
                    listening()
                    told = True
            self._stop()

    # --- one round ---

    def _bury(self) -> None:
        """Free the slots of workers that died."""
        for slot in self._slots:
            if slot.worker is None:
                continue
            pid, status = os.waitpid(slot.worker.pid, os.WNOHANG)
            if pid:
                self._free(slot, slot.worker, status)

    def _free(self, slot: Slot, worker: Worker, status: int) -> None:
        now = time.monotonic()
        young = now - worker.born < YOUNG
        slot.delay = min(max(slot.delay * 2, FIRST_DELAY), LONGEST_DELAY) if young else 0.0
        slot.due = now + slot.delay
        slot.worker = None
        self._forget_pipe(worker)
        logger.warning(
            "worker %d (process %d) ended with %d; replaced in %.1f s",
            slot.number,
            worker.pid,
            os.waitstatus_to_exitcode(status),
            slot.delay,
        )

    def _fill_slots(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.worker is None and slot.due <= now:
                slot.worker = self._fork()

    def _wait(self) -> None:
        """Sleep until a signal, a worker's word, or the time to fill a slot."""
        dues = [slot.due for slot in self._slots if slot.worker is None]
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    self._wakeup.recv(4096)
            else:
                self._forget_pipe(key.data)

    def _forget_pipe(self, worker: Worker) -> None:
        """The worker has said that it listens, or is dead."""
        if worker.ready is not None:
            self._selector.unregister(worker.ready)
            os.close(worker.ready)
            worker.ready = None

    # --- processes ---

    def _fork(self) -> Worker:
        ready, ready_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            self._work(ready_end)
        os.close(ready_end)
        worker = Worker(pid, time.monotonic(), ready)
        self._selector.register(ready, selectors.EVENT_READ, worker)
        return worker

    def _work(self, ready_end: int) -> None:
        """The life of a worker. Never returns: nothing of the supervisor's may run twice."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's business
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._lifeline_end)
            host, port = self._sock.getsockname()[:2]
            serve(
                self._engine,
                bind(host, port, shared=True),
                drain_timeout=self._drain_timeout,
                listening=lambda: _say(ready_end, READY),
                signals=(signal.SIGTERM,),
                lifeline=self._lifeline,
            )
            status = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            os._exit(status)

    def _stop(self) -> None:
        """Have all workers drain, wait for them, kill what does not end."""
        alive = {slot.worker.pid for slot in self._slots if slot.worker is not None}
        for pid in alive:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._drain_timeout + GRACE
        while alive and time.monotonic() < deadline:
            alive = {pid for pid in alive if os.waitpid(pid, os.WNOHANG) == (0, 0)}
            if alive:
                self._selector.select(0.05)
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    # --- signals ---

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """While inside, signals append to the list and wake the selector."""
        self._wakeup.setblocking(False)
        self._wakeup_end.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        names = (*STOP_SIGNALS, signal.SIGCHLD)
        before = {name: signal.getsignal(name) for name in names}
        for name in names:
            signal.signal(name, lambda number, _: self._signals.append(number))
        old_fd = signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for name, handler in before.items():
                signal.signal(name, handler)
            self._close()

    def _close(self) -> None:
        self._selector.close()
        self._wakeup.close()
        self._wakeup_end.close()
        os.close(self._lifeline)
        os.close(self._lifeline_end)
        self._sock.close()


def _say(pipe: int, word: bytes) -> None:
    os.write(pipe, word)
    os.close(pipe)
