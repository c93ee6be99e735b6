"""Several worker processes on one address: a supervisor forks them, stops them all, and replaces
those that die, hang or serve an outdated configuration.

The supervisor has loaded, validated and rendered everything before it forks; workers share that
memory. Each worker has a slot, and each slot a listening socket of its own (SO_REUSEPORT), so the
kernel spreads the connections; a Unix socket is shared by all slots. The supervisor holds the
sockets and never accepts: a connection queued for a worker that dies or is replaced is accepted by
the next worker of the slot, so none is refused.

`serve.worker` has the states of a worker. Signals (`serve.caught_signals`) wake the loop, which
acts on them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count as count_from

from mockllm.engine.engine import Engine
from mockllm.errors import ListenError, MockLLMError
from mockllm.serve.address import BACKLOG, bind_beside, is_unix, reason_of
from mockllm.serve.caught_signals import CaughtSignals
from mockllm.serve.change_log import ChangeBoard
from mockllm.serve.line_writer import RETRY, LineWriter, wait_for_all
from mockllm.serve.peers import Switchboard, WorkerPlace
from mockllm.serve.process import (
    BEATS,
    HANG_TIMEOUT,
    MAX_SILENT,
    RELOAD_SIGNAL,
    STOP_SIGNALS,
    work,
)
from mockllm.serve.reload import POLL, Reload, freeze_heap, log_state
from mockllm.serve.settings import Bound, Settings
from mockllm.serve.state_folder import StateFolder
from mockllm.serve.supervisor_channel import Signal
from mockllm.serve.worker import UNWANTED, Slot, State, Worker
from mockllm.state.keys import compare

logger = logging.getLogger("mockllm")

GRACE = 2.0  # seconds beyond the drain timeout before a worker is killed


def require_workers() -> None:
    """Check that this platform can run several workers.

    Raises:
        MockLLMError: it cannot.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise MockLLMError(
            f"--workers needs fork and SO_REUSEPORT, which {sys.platform} lacks; use --workers 1"
        )


class Supervisor:
    """Runs `count` workers on an address, which must be bound with `shared`. The supervisor owns
    its socket from then on. It serves the `writers` that its process and its workers log to."""

    def __init__(
        self,
        engine: Engine,
        bound: Bound,
        count: int,
        settings: Settings,
        *,
        hang_timeout: float = HANG_TIMEOUT,
        reload: Reload | None = None,
        writers: Sequence[LineWriter] = (),
    ) -> None:
        # of the server
        self._bound = bound
        self._settings = replace(settings, started=time.monotonic())
        self._hang_timeout = hang_timeout
        self._reload = reload
        self._writers = writers
        # of the current configuration
        self._engine = engine
        self._generation = 0
        self._gone: frozenset[str] = frozenset()  # mocks with state that it has no more
        # of the workers
        sock = bound.sock
        others = [sock if is_unix(sock) else bind_beside(sock) for _ in range(count - 1)]
        self._slots = [Slot(number, each) for number, each in enumerate([sock, *others])]
        self._retiring: list[Worker] = []
        self._numbers = count_from(1)
        self._stops = False
        self._switchboard: Switchboard
        self._folder: StateFolder | None = None
        self._changes: ChangeBoard | None
        # of the loop
        self._signals = CaughtSignals()
        self._selector = selectors.DefaultSelector()
        self._last_round = time.monotonic()

    def run(self, listening: Callable[[], None], draining: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM. `listening` is called once, when all workers listen, and
        `draining` if they take long to drain."""
        freeze_heap()  # before the workers are forked: they share its pages
        self._listen()
        with (
            self._signals_caught(),
            contextlib.closing(Switchboard(len(self._slots))) as board,
            self._state_folder() as folder,
        ):
            self._switchboard = board
            self._folder = folder
            self._changes = self._make_change_board(board)
            announced = False
            while not self._should_stop():
                self._reload_if_due()
                self._reap()
                self._kill_overdue()
                self._fill()
                self._roll()
                self._wait(self._pause())
                if not announced and all(slot.is_serving for slot in self._slots):
                    listening()
                    announced = True
            self._stop(draining)

    @contextlib.contextmanager
    def _state_folder(self) -> Iterator[StateFolder | None]:
        """Yield the directory of the state that workers share, which is removed at the end; None if
        they share that of other servers. Nothing is opened in it.

        Raises:
            MockLLMError: there is no place for it.
        """
        if self._settings.sharing is not None:
            yield None
            return
        folder = StateFolder(self._settings.state_dir)
        try:
            yield folder
        finally:
            folder.remove()

    def _make_change_board(self, switchboard: Switchboard) -> ChangeBoard | None:
        """Return the board by which workers know of each other's changes; None if there are none,
        or if those of all servers are known in another way.

        Raises:
            MockLLMError: there is no place for it.
        """
        if self._settings.control is None or self._settings.sharing is not None:
            return None
        if not switchboard.sockets:
            raise MockLLMError(
                "--control with --workers needs a temporary directory that can be written: set "
                "TMPDIR, or use --workers 1"
            )
        return ChangeBoard(switchboard.folder)

    def _listen(self) -> None:
        try:
            for slot in self._slots:
                slot.sock.listen(BACKLOG)
        except OSError as exc:
            raise ListenError(f"cannot listen: {reason_of(exc)}") from exc

    # --- one round ---

    def _should_stop(self) -> bool:
        # without a reload, SIGHUP says that the terminal was closed
        ends = STOP_SIGNALS if self._reload is not None else [*STOP_SIGNALS, RELOAD_SIGNAL]
        return self._signals.has_any(ends)

    def _reload_if_due(self) -> None:
        """Reload if a signal or a changed file asks for it. Workers keep serving meanwhile; dead
        ones are replaced afterwards."""
        requested = self._signals.take(RELOAD_SIGNAL)
        if self._reload is None or not (requested or self._reload.is_due()):
            return
        engine = self._reload.run()
        if engine is not None:
            reloaded = compare(self._engine.stateful_mocks, engine.stateful_mocks)
            log_state(reloaded, engine.stateful_mocks)
            self._gone = (self._gone | set(reloaded.gone)) - set(engine.stateful_mocks)
            self._engine = engine
            self._generation += 1
            freeze_heap()

    def _reap(self) -> None:
        """Empty the slots of workers that have died."""
        for slot in self._slots:
            if slot.successor is not None and self._is_dead(slot.successor, slot):
                slot.successor = None
            if slot.worker is not None and self._is_dead(slot.worker, slot):
                slot.worker, slot.successor = slot.successor, None
        self._retiring = [worker for worker in self._retiring if not self._is_dead(worker)]

    def _is_dead(self, worker: Worker, slot: Slot | None = None) -> bool:
        code = worker.reap()
        if code is None:
            return False
        self._release(worker)
        if self._settings.metrics is not None and worker.part is not None:
            self._settings.metrics.release(worker.part)
        lost = self._switchboard.bury(worker.number, worker.pid)
        if lost and not self._stops:
            logger.warning("%d calls are lost with worker process %d", lost, worker.pid)
        if slot is not None:
            self._delay(slot, worker, code)
        return True

    def _delay(self, slot: Slot, worker: Worker, code: int) -> None:
        now = time.monotonic()
        age = now - worker.born
        wait = slot.wait_after(age)
        slot.due = now + wait
        message = "worker %d (process %d) exited with %d after %.1f s; replacing it in %.1f s"
        logger.warning(message, slot.number, worker.pid, code, age, wait)

    def _kill_overdue(self) -> None:
        """Kill workers whose loop hangs, and those that take too long to exit."""
        now = time.monotonic()
        was_suspended = now - self._last_round > self._hang_timeout / 2
        self._last_round = now
        for worker in self._workers():
            if was_suspended:  # the supervisor itself was stopped or busy and heard no heartbeats
                worker.last_heard = now
            if worker.state is State.KILLED:
                continue
            if now - worker.last_heard >= self._hang_timeout:
                message = "worker process %d sent no heartbeat for %g s; killing it"
                logger.warning(message, worker.pid, self._hang_timeout)
                worker.kill()
            elif worker.deadline is not None and now >= worker.deadline:
                logger.warning("worker process %d did not exit in time; killing it", worker.pid)
                worker.kill()

    def _fill(self) -> None:
        """Fork a worker for each empty slot."""
        now = time.monotonic()
        for slot in self._slots:
            if slot.worker is None and slot.due <= now:
                slot.worker = self._fork(slot, successor=False)

    def _roll(self) -> None:
        """Replace workers one by one that serve an outdated configuration or received SIGTERM from
        outside."""
        now = time.monotonic()
        if any(slot.successor is not None for slot in self._slots):
            return
        metrics = self._settings.metrics
        if metrics is not None and metrics.free <= len(self._slots):
            return  # until processes end that were replaced before
        for slot in self._slots:
            old = slot.worker
            if old is not None and old.generation != self._generation and slot.due <= now:
                slot.successor = self._fork(slot, successor=True)
                return

    def _pause(self) -> float:
        """Seconds until the next deadline. Never more than the time between two heartbeats: a
        longer round shows that the supervisor itself was suspended."""
        now = time.monotonic()
        dues = [slot.due for slot in self._slots if slot.worker is None]
        dues += [worker.deadline for worker in self._workers() if worker.deadline is not None]
        pauses = [self._beat, *(due - now for due in dues if due > now)]
        if self._reload is not None and self._reload.watch is not None:
            pauses.append(POLL)
        if any(writer.is_pending for writer in self._writers):
            pauses.append(RETRY)
        return min(pauses)

    def _wait(self, pause: float) -> None:
        """Sleep until a signal or a message from a worker arrives, or for `pause` seconds."""
        for key, _ in self._selector.select(pause):
            if key.data is self._signals:
                self._signals.sleep_again()
            else:
                self._receive(key.data)
        for writer in self._writers:
            writer.flush()

    def _receive(self, worker: Worker) -> None:
        """Act on messages from a worker."""
        try:
            messages = worker.channel.recv(4096)
        except OSError:
            messages = b""
        if not messages:
            self._selector.unregister(worker.channel)  # it is dead; SIGCHLD follows
            return
        worker.last_heard = time.monotonic()
        # one that was retired or killed while it started still reports that it listens
        if Signal.LISTENING.value in messages and worker.state is State.FORKED:
            worker.mark_serving()
            self._promote(worker)
        if Signal.LEAVING.value in messages:
            worker.generation = UNWANTED

    def _promote(self, successor: Worker) -> None:
        """Give a successor its slot and retire the worker that it replaces. Without effect on a
        worker that has its slot already."""
        for slot in self._slots:
            if slot.successor is successor:
                old, slot.worker, slot.successor = slot.worker, successor, None
                assert old is not None
                old.retire(Signal.RETIRE, deadline=self._exit_deadline())
                self._retiring.append(old)

    def _exit_deadline(self) -> float:
        return time.monotonic() + self._settings.drain_timeout + GRACE

    # --- processes ---

    @property
    def _beat(self) -> float:
        return self._hang_timeout / BEATS

    def _workers(self) -> list[Worker]:
        """All workers that are not dead."""
        filled = [each for slot in self._slots for each in (slot.worker, slot.successor) if each]
        return filled + self._retiring

    def _fork(self, slot: Slot, *, successor: bool) -> Worker:
        ours, theirs = socket.socketpair()
        metrics = self._settings.metrics
        part = None if metrics is None else metrics.claim()
        number = next(self._numbers)
        pid = os.fork()
        if pid == 0:
            ours.close()
            if metrics is not None and part is not None:
                metrics.own = part
            self._work(slot, theirs, successor=successor, number=number)
        theirs.close()
        ours.setblocking(False)
        worker = Worker(pid, ours, now=time.monotonic(), generation=self._generation, number=number)
        worker.part = part
        self._selector.register(ours, selectors.EVENT_READ, worker)
        return worker

    def _work(self, slot: Slot, channel: socket.socket, *, successor: bool, number: int) -> None:
        """Run a worker in the forked process. Never returns: nothing of the supervisor may run in
        it."""
        status = 1
        try:
            for writer in self._writers:
                writer.use_thread()
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGINT, RELOAD_SIGNAL):  # a terminal sends them to all processes
                if name is not None:
                    signal.signal(name, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._close_all_except(slot.sock)
            self._switchboard.close_but(slot.number)
            channel.setblocking(False)
            bound = self._bound._replace(sock=slot.sock)
            state = None if self._folder is None else self._folder.path
            place = WorkerPlace(
                self._switchboard,
                slot.number,
                successor,
                number,
                state,
                self._gone,
                self._changes,
            )
            work(self._engine, bound, self._settings, channel, self._beat, place)
            status = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            wait_for_all(self._writers)
            os._exit(status)

    def _release(self, worker: Worker) -> None:
        with contextlib.suppress(KeyError, ValueError):  # `_receive` has unregistered it
            self._selector.unregister(worker.channel)
        worker.channel.close()

    # --- stopping ---

    def _stop(self, draining: Callable[[], None]) -> None:
        """Drain all workers and kill those that do not exit in time. A second signal cuts all
        connections at once."""
        self._signals.clear()
        self._stops = True
        for slot in self._slots:
            slot.sock.close()  # or it would queue connections that are never accepted
        self._retiring = self._workers()
        for slot in self._slots:
            slot.worker = slot.successor = None
        self._retire_all(Signal.STOP, deadline=self._exit_deadline())
        told_at = time.monotonic() + MAX_SILENT
        while self._retiring:
            if self._should_stop():
                self._signals.clear()
                self._retire_all(Signal.CUT, deadline=time.monotonic() + GRACE)
            self._kill_overdue()
            self._wait(min(self._pause(), max(told_at - time.monotonic(), 0.0)))
            self._reap()
            if time.monotonic() >= told_at and self._retiring:
                told_at = math.inf
                draining()

    def _retire_all(self, message: Signal, *, deadline: float) -> None:
        for worker in self._retiring:
            worker.retire(message, deadline=deadline)

    # --- signals ---

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """Catch signals while the context is open, and close everything at its end."""
        numbers = [*STOP_SIGNALS, signal.SIGCHLD]
        if RELOAD_SIGNAL is not None:
            is_ignored = signal.getsignal(RELOAD_SIGNAL) is signal.SIG_IGN  # by nohup
            if self._reload is not None or not is_ignored:
                numbers.append(RELOAD_SIGNAL)
        try:
            with self._signals.catching(numbers, self._selector):
                yield
        finally:
            self._close_all_except(None)

    def _close_all_except(self, sock: socket.socket | None) -> None:
        """Close everything that the loop has open, except one listening socket."""
        for worker in self._workers():
            worker.channel.close()
        self._selector.close()
        self._signals.close()
        for slot in self._slots:
            if slot.sock is not sock:
                slot.sock.close()
