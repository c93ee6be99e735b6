"""Several processes on one address: a supervisor forks them, replaces what dies, hangs or serves an
old configuration, and stops them all.

The supervisor has loaded, confirmed and rendered everything before it forks; workers share that
memory. Each worker has a slot, and each slot a listening socket of its own (SO_REUSEPORT), so the
kernel spreads the connections; a Unix socket is shared by all slots. The supervisor holds the
sockets and never accepts: a connection that waits in the queue of a worker that dies, or is
replaced, is accepted by the next one of the slot, and none is refused.

A worker's life in a slot:

    forked    -> serving    it says that it listens; the one before it is told to retire
    serving   -> retiring   another one serves: it was forked for a new configuration, or because
                            someone told this one to stop
    any       -> dead       it ended, hung, or did not retire in time

Signals only append to a list; the supervisor's loop acts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mockllm.engine.engine import Engine
from mockllm.errors import ListenError, MockLLMError
from mockllm.serve.address import BACKLOG, bind_beside, is_unix, reason_of
from mockllm.serve.process import (
    BEATS,
    HANG_TIMEOUT,
    RELOAD_SIGNAL,
    STOP_SIGNALS,
    Settings,
    Signal,
    work,
)
from mockllm.serve.reload import POLL, Reload, freeze_heap

logger = logging.getLogger("mockllm")

FIRST_DELAY = 0.1  # seconds before a worker is replaced that died young once more; then doubled
MAX_DELAY = 5.0  # seconds
YOUNG = 1.0  # seconds; a worker that lived longer is replaced at once
UNWANTED = -1  # the generation of a worker that is to be replaced whatever it serves
GRACE = 2.0  # seconds beyond the drain timeout before a worker is killed


@dataclass(slots=True, eq=False)
class Worker:
    """One child process. `channel` is what it is spoken to by, `deadline` when it must be gone."""

    pid: int
    channel: socket.socket
    born: float
    heard: float
    generation: int
    serves: bool = False
    deadline: float | None = None
    killed: bool = False

    def tell(self, word: Signal) -> None:
        """Say `word`, if anybody listens."""
        with contextlib.suppress(OSError):
            self.channel.send(word.value)


@dataclass(slots=True, eq=False)
class Slot:
    """A place for a worker: who fills it, who is about to, and when it may be filled again."""

    number: int
    sock: socket.socket
    worker: Worker | None = None
    successor: Worker | None = None
    delay: float = 0.0
    due: float = 0.0

    def wait_after(self, age: float) -> float:
        """Seconds before a worker is replaced that died at `age`: none, but for one that died young
        after others that did."""
        if age >= YOUNG:
            self.delay = 0.0
            return 0.0
        wait = self.delay
        self.delay = min(max(wait * 2, FIRST_DELAY), MAX_DELAY)
        return wait


def require_workers() -> None:
    """Raises:
    MockLLMError: this platform cannot run several workers.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise MockLLMError(
            f"--workers needs fork and SO_REUSEPORT, which {sys.platform} lacks; use --workers 1"
        )


class Supervisor:
    """Runs `count` workers on the address of `sock`, which is bound shared and belongs to the
    supervisor from now on."""

    def __init__(
        self,
        engine: Engine,
        sock: socket.socket,
        count: int,
        settings: Settings,
        *,
        hang_timeout: float = HANG_TIMEOUT,
        reload: Reload | None = None,
    ) -> None:
        # as told
        self._settings = settings
        self._hang_timeout = hang_timeout
        self._reload = reload
        # what is served
        self._engine = engine
        self._generation = 0
        # who serves it
        others = [sock if is_unix(sock) else bind_beside(sock) for _ in range(count - 1)]
        self._slots = [Slot(number, each) for number, each in enumerate([sock, *others])]
        self._retiring: list[Worker] = []
        # of the loop
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._last_round = time.monotonic()

    def run(self, listening: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM. `listening` is called once, when all workers listen."""
        freeze_heap()  # before the workers are forked: a collection would copy the pages they share
        self._listen()
        with self._signals_caught():
            told = False
            while not self._should_stop():
                self._reload_if_due()
                self._reap()
                self._kill_overdue()
                self._fill()
                self._roll()
                self._wait(self._pause())
                if not told and all(slot.worker and slot.worker.serves for slot in self._slots):
                    listening()
                    told = True
            self._stop()

    def _listen(self) -> None:
        try:
            for slot in self._slots:
                slot.sock.listen(BACKLOG)
        except OSError as exc:
            raise ListenError(f"cannot listen: {reason_of(exc)}") from exc

    # --- one round ---

    def _should_stop(self) -> bool:
        return any(number in STOP_SIGNALS for number in self._signals)

    def _reload_if_due(self) -> None:
        """Load again. Workers go on serving meanwhile; those that die wait."""
        asked = RELOAD_SIGNAL in self._signals
        while RELOAD_SIGNAL in self._signals:  # in place: a handler may append meanwhile
            self._signals.remove(RELOAD_SIGNAL)
        if self._reload is None or not (asked or self._reload.is_due()):
            return
        engine = self._reload.run()
        if engine is not None:
            self._engine = engine
            self._generation += 1
            freeze_heap(collect=False)

    def _reap(self) -> None:
        """Free the places of workers that died."""
        for slot in self._slots:
            if slot.successor is not None and self._is_dead(slot, slot.successor):
                slot.successor = None
            if slot.worker is not None and self._is_dead(slot, slot.worker):
                slot.worker, slot.successor = slot.successor, None
        self._retiring = [each for each in self._retiring if not self._is_dead(None, each)]

    def _is_dead(self, slot: Slot | None, worker: Worker) -> bool:
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if not pid:
            return False
        self._forget(worker)
        if slot is not None:
            self._delay(slot, worker, os.waitstatus_to_exitcode(status))
        return True

    def _delay(self, slot: Slot, worker: Worker, code: int) -> None:
        now = time.monotonic()
        age = now - worker.born
        wait = slot.wait_after(age)
        slot.due = now + wait
        told = "worker %d (process %d) ended with %d after %.1f s; replaced in %.1f s"
        logger.warning(told, slot.number, worker.pid, code, age, wait)

    def _kill_overdue(self) -> None:
        """Kill workers whose loop does not go round, and those that take too long to retire."""
        now = time.monotonic()
        was_suspended = now - self._last_round > self._hang_timeout / 2
        self._last_round = now
        for worker in self._workers():
            if was_suspended:  # it was us who hung: stopped, or loading
                worker.heard = now
            if worker.killed:
                continue
            if now - worker.heard >= self._hang_timeout:
                told = "worker process %d gave no sign of life in %g s and is killed"
                logger.warning(told, worker.pid, self._hang_timeout)
                self._kill(worker)
            elif worker.deadline is not None and now >= worker.deadline:
                logger.warning("worker process %d does not end and is killed", worker.pid)
                self._kill(worker)

    def _fill(self) -> None:
        """Fork what is missing."""
        now = time.monotonic()
        for slot in self._slots:
            if slot.worker is None and slot.due <= now:
                slot.worker = self._fork(slot)

    def _roll(self) -> None:
        """Replace workers that serve an old configuration or were told to stop by someone else, one
        after the other."""
        now = time.monotonic()
        if any(slot.successor is not None for slot in self._slots):
            return
        for slot in self._slots:
            old = slot.worker
            if old is not None and old.generation != self._generation and slot.due <= now:
                slot.successor = self._fork(slot)
                return

    def _pause(self) -> float:
        """Seconds until there is something to do that nobody tells. Never more than the time
        between two signs of life: who oversleeps knows it by that."""
        now = time.monotonic()
        dues = [slot.due for slot in self._slots if slot.worker is None]
        dues += [worker.deadline for worker in self._workers() if worker.deadline is not None]
        pauses = [self._beat, *(due - now for due in dues if due > now)]
        if self._reload is not None and self._reload.watch is not None:
            pauses.append(POLL)
        return min(pauses)

    def _wait(self, pause: float) -> None:
        """Sleep until a signal, a worker's word, or for `pause` seconds."""
        for key, _ in self._selector.select(pause):
            if key.fileobj is self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    self._wakeup.recv(4096)
            else:
                self._receive(key.data)

    def _receive(self, worker: Worker) -> None:
        try:
            words = worker.channel.recv(4096)
        except OSError:
            words = b""
        if not words:
            self._selector.unregister(worker.channel)  # it is dead; SIGCHLD tells
            return
        worker.heard = time.monotonic()
        slot = next((slot for slot in self._slots if worker in (slot.worker, slot.successor)), None)
        if Signal.LISTENING.value in words:
            worker.serves = True
            if slot is not None and slot.successor is worker:
                old, slot.worker, slot.successor = slot.worker, worker, None
                assert old is not None
                old.tell(Signal.RETIRE)
                self._retire(old)
        if Signal.LEAVING.value in words:
            worker.generation = UNWANTED

    def _retire(self, worker: Worker) -> None:
        worker.deadline = time.monotonic() + self._settings.drain_timeout + GRACE
        self._retiring.append(worker)

    # --- processes ---

    @property
    def _beat(self) -> float:
        return self._hang_timeout / BEATS

    def _workers(self) -> list[Worker]:
        """All that live."""
        filled = [each for slot in self._slots for each in (slot.worker, slot.successor) if each]
        return filled + self._retiring

    def _fork(self, slot: Slot) -> Worker:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._work(slot, theirs)
        theirs.close()
        ours.setblocking(False)
        now = time.monotonic()
        worker = Worker(pid, ours, born=now, heard=now, generation=self._generation)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        return worker

    def _work(self, slot: Slot, channel: socket.socket) -> None:
        """The life of a worker. Never returns: nothing of the supervisor's may run twice."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (
                signal.SIGINT,
                RELOAD_SIGNAL,
            ):  # of a terminal: the supervisor's business
                if number is not None:
                    signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._close_but(slot.sock)
            channel.setblocking(False)
            work(self._engine, slot.sock, self._settings, channel, self._beat)
            status = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            os._exit(status)

    def _forget(self, worker: Worker) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)
        worker.channel.close()

    def _kill(self, worker: Worker) -> None:
        worker.killed = True
        os.kill(worker.pid, signal.SIGKILL)

    # --- the end ---

    def _stop(self) -> None:
        """Have all workers drain, and kill what does not end; a second signal ends all at once."""
        self._signals.clear()
        for slot in self._slots:
            slot.sock.close()  # or it would take connections that nobody accepts
        workers = self._workers()
        for worker in workers:
            worker.tell(Signal.STOP)
            worker.deadline = time.monotonic() + self._settings.drain_timeout + GRACE
        self._retiring = workers
        for slot in self._slots:
            slot.worker = slot.successor = None
        while self._retiring:
            if self._should_stop():
                self._signals.clear()
                for worker in self._retiring:
                    worker.tell(Signal.CUT)
                    worker.deadline = time.monotonic() + GRACE
            self._kill_overdue()
            self._wait(self._pause())
            self._reap()

    # --- signals ---

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """While inside, signals append to the list and wake the selector."""
        self._wakeup.setblocking(False)
        self._wakeup_end.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        names = [*STOP_SIGNALS, signal.SIGCHLD]
        if self._reload is not None and RELOAD_SIGNAL is not None:
            names.append(RELOAD_SIGNAL)
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
            self._close_but(None)

    def _close_but(self, sock: socket.socket | None) -> None:
        """Close what the loop has open, but for one listening socket."""
        for worker in self._workers():
            worker.channel.close()
        self._selector.close()
        self._wakeup.close()
        self._wakeup_end.close()
        for slot in self._slots:
            if slot.sock is not sock:
                slot.sock.close()
