"""A process that serves until it is stopped: alone, or as one of several workers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from mockllm.app import App
from mockllm.endpoints.metrics import MetricsPage
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter
from mockllm.observers.journal import MAX_BYTES, Journal
from mockllm.observers.metric_sums import Sums
from mockllm.serve.all_calls import AllCalls
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.controlled import Calls, turn_on
from mockllm.serve.distant_calls import DistantCalls
from mockllm.serve.distant_changes import DistantChanges
from mockllm.serve.distant_responses import DistantResponses
from mockllm.serve.garbage import GarbageCollector
from mockllm.serve.gates import Gates
from mockllm.serve.listener import Listener
from mockllm.serve.metrics_board import MetricsBoard
from mockllm.serve.own_calls import OwnCalls
from mockllm.serve.peers import Peers, Place
from mockllm.serve.process_calls import ProcessCalls
from mockllm.serve.redis_store import RedisStore
from mockllm.serve.reload import Reload, Reloader, freeze_heap, log_state
from mockllm.serve.sampling import Sampler
from mockllm.serve.settings import Bound, Settings
from mockllm.serve.shared_changes import SharedChanges
from mockllm.serve.shared_pools import SharedPools
from mockllm.serve.state_folder import remove_folder
from mockllm.serve.timing_board import TimingBoard
from mockllm.state.operations import Reset

if TYPE_CHECKING:
    from mockllm.serve.shared_store import SharedStore

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
if sys.platform != "win32" and sys.implementation.name == "cpython":
    import uvloop

    new_event_loop = uvloop.new_event_loop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RELOAD_SIGNAL = getattr(signal, "SIGHUP", None)  # Windows has none

LAST_CALL = 0.5  # seconds for idle clients to send one more request when the server stops
GARBAGE_INTERVAL = 1.0  # seconds between two looks at what has been kept
HANG_TIMEOUT = 10.0  # seconds without a heartbeat after which a worker counts as hung
NO_SOCKETS = "there are no sockets on which other worker processes could be asked for their calls"
BEATS = 10  # heartbeats in that time


class Signal(Enum):
    """A message between a supervisor and a worker, one byte each."""

    LISTENING = b"l"
    """From the worker: it accepts connections."""
    ALIVE = b"."
    """From the worker: its loop is running (a heartbeat)."""
    LEAVING = b"x"
    """From the worker: it received SIGTERM and asks to be replaced."""
    RETIRE = b"r"
    """To the worker: drain; another worker accepts on the socket from now on."""
    STOP = b"s"
    """To the worker: drain; the whole server is stopping."""
    CUT = b"c"
    """To the worker: close all connections and exit."""


def serve(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    *,
    listening: Callable[[], None],
    reload: Reload | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal cuts all connections. `listening`
    is called once connections are accepted. SIGHUP, or a change of the files that `reload` watches,
    replaces the engine.
    """
    freeze_heap()
    _run(_serve(engine, bound, settings, listening, reload))


def work(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    channel: socket.socket,
    beat: float,
    place: Place,
) -> None:
    """Serve until a message on `channel` from the supervisor stops the worker, and send a heartbeat
    every `beat` seconds. A closed channel means stop; on SIGTERM the worker asks to be replaced."""
    _run(_work(engine, bound, settings, channel, beat, place))


def _run(life: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(life)


async def _serve(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    listening: Callable[[], None],
    reload: Reload | None,
) -> None:
    process = _Process(engine, bound, settings)
    for name in STOP_SIGNALS:
        process.on_signal(name, process.stop)
    with process.reloading(reload):
        await process.start()
        listening()
        await process.stopping.wait()
    await process.drain()


async def _work(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    channel: socket.socket,
    beat: float,
    place: Place,
) -> None:
    process = _Process(engine, bound, settings, place)
    supervisor = _SupervisorChannel(channel, process)
    process.on_signal(signal.SIGTERM, lambda: supervisor.send(Signal.LEAVING))
    supervisor.receive_messages()
    await process.start()
    supervisor.send(Signal.LISTENING)
    supervisor.send_heartbeats(beat)
    await process.stopping.wait()
    await process.drain(inherited=supervisor.retired)


class _SupervisorChannel:
    """A worker's end of the channel to its supervisor."""

    def __init__(self, channel: socket.socket, process: _Process) -> None:
        self._channel = channel
        self._process = process
        self._loop = asyncio.get_running_loop()
        self.retired = False
        """True if another worker accepts on the socket from now on."""

    def send(self, message: Signal) -> None:
        """Send a message; it is lost if the supervisor is gone or its buffer is full."""
        with contextlib.suppress(OSError):
            self._channel.send(message.value)

    def send_heartbeats(self, beat: float) -> None:
        """Send a heartbeat now and every `beat` seconds."""
        self.send(Signal.ALIVE)
        self._loop.call_later(beat, self.send_heartbeats, beat)

    def receive_messages(self) -> None:
        """Act on the supervisor's messages as they arrive."""
        self._loop.add_reader(self._channel, self._receive)

    def _receive(self) -> None:
        try:
            messages = self._channel.recv(64)
        except OSError:
            messages = b""
        if not messages:
            self._loop.remove_reader(self._channel)
            self._process.remove_files()  # the supervisor has died
        if Signal.CUT.value in messages:
            self._process.cut()
        elif Signal.RETIRE.value in messages:
            self.retired = True
            self._process.stop()
        elif not self._process.stopping.is_set():
            self._process.stop()


class _Process:
    """A listener that drains on the first request to stop and cuts on the second."""

    def __init__(
        self, engine: Engine, bound: Bound, settings: Settings, place: Place | None = None
    ) -> None:
        self._sock = bound.sock
        self._place = place
        self._drain_timeout = settings.drain_timeout
        slot = 0 if place is None else place.slot
        clock = Clock(
            speed=settings.speed,
            number=slot,
            processes=settings.workers,
            started=settings.started,
            lateness=settings.timing.lateness(slot),
        )
        app = App(
            engine,
            tls=bound.tls is not None,
            clock=time.monotonic,
            work_clock=time.thread_time,
            timing=settings.timing.total,
            elapsed=clock.elapsed,
            limiter=Limiter(
                now=clock.elapsed,
                speed=lambda: clock.speed,
                wall_clock=time.time,
            ),
        )
        app.slot = slot
        self._store: RedisStore | None = None
        if settings.sharing is not None:
            is_successor = place is not None and place.successor
            self._store = settings.sharing.open(app, clock, slot, is_successor=is_successor)
        self._distant: DistantChanges | None = None
        if self._store is not None and settings.control is not None:
            self._distant = DistantChanges(self._store)
        self._peers, journal, calls = _record(app, settings.journal, place, self._distant)
        self._responses: DistantResponses | None = None
        if self._store is not None:
            self._responses = DistantResponses(app, self._store, self._peers)
            if isinstance(calls, DistantCalls):
                calls.find_earlier = self._responses.find_earlier
        self._shared_state = self._share_state(app, settings, place)
        board = settings.metrics
        meter = None if board is None else board.meter(time.monotonic)
        self._shared: SharedChanges | None = None
        number = 0 if place is None else place.number
        if self._store is not None and self._distant is not None:
            number = self._store.number
        elif place is not None and place.changes is not None:
            self._shared = SharedChanges(place.changes, place.number, self.cut)
        self._service = Service(
            app,
            limits=settings.limits,
            observers=settings.observers,
            unmatched_observers=settings.unmatched_observers,
            journal=journal,
            performer=self._responses or self._peers,
            slot=slot,
            clock=clock,
            gates=Gates(hold_for=settings.hold_for, worker=number),
            meter=meter,
        )
        if self._store is not None or self._shared_state is not None:
            self._service.shared_pools = SharedPools(app, clock.set_others)
        self._sampler: Sampler | None = None
        if board is not None and meter is not None:
            self._sampler = sampler = Sampler(self._service, meter)
            app.show_metrics(_metrics_page(board, sampler, settings.timing), meter)
        if settings.control is not None:
            turn_on(
                self._service,
                settings.control,
                calls=calls,
                host=settings.host,
                is_tls=bound.tls is not None,
                shared=self._distant or self._shared,
            )
        self._listener = Listener(self._service, tls=bound.tls)
        turns = self._service.turns
        self._garbage = GarbageCollector(lambda: clock.is_pacing or turns.has_large_body)
        self._cut = False
        self.stopping = asyncio.Event()

    def _share_state(self, app: App, settings: Settings, place: Place | None) -> SharedStore | None:
        """Have `app` ask the state that it shares with the other workers of the server, and return
        its store; None if there are none, or if other servers share it. Nothing is opened yet."""
        if place is None or place.state is None:
            return None
        from mockllm.serve.shared_store import SharedStore  # not on Windows

        store = SharedStore(place.state, app.forget_session, timeout=settings.state_timeout)
        app.share_state(store, held=store)
        return store

    def _open_state(self) -> None:
        """Open the state that workers share, if the configuration has some: so the first request
        need not. Mocks that were gone begin anew when they come back."""
        engine = self._service.app.engine
        gone = frozenset[str]() if self._place is None else self._place.gone
        if self._store is not None and gone:
            self._store.post((Reset(keys=gone),), time.monotonic())
        if self._shared_state is not None and (engine.needs_state or gone):
            self._shared_state.post((Reset(keys=gone),) if gone else (), time.monotonic())
        if self._shared_state is not None:
            self._shared_state.follow()

    async def start(self) -> None:
        """Accept connections, and answer other workers."""
        if self._shared is not None:
            self._shared.start()
        if self._peers is not None:
            await self._peers.start()
        if self._sampler is not None:
            self._sampler.start()
        if self._store is not None:
            self._store.start()
        if self._distant is not None:
            await self._distant.start()
        self._open_state()
        await self._listener.start(self._sock)
        self._garbage.start()
        self._collect_garbage()

    def _collect_garbage(self) -> None:
        asyncio.get_running_loop().call_later(GARBAGE_INTERVAL, self._collect_garbage)
        self._garbage.poll()

    def on_signal(self, number: int, act: Callable[[], None]) -> None:
        """Call `act` in the loop when a signal arrives."""
        loop = asyncio.get_running_loop()
        signal.signal(number, lambda *_: _soon(loop, act))

    @contextlib.contextmanager
    def reloading(self, reload: Reload | None) -> Iterator[None]:
        """Replace the engine as `reload` directs while the context is open."""
        if reload is None:
            yield
            return
        loop = asyncio.get_running_loop()
        reloader = Reloader(reload, lambda engine: _soon(loop, lambda: self._swap(engine)))
        if RELOAD_SIGNAL is not None:
            self.on_signal(RELOAD_SIGNAL, reloader.ask)
        reloader.start()
        try:
            yield
        finally:
            reloader.end()

    def _swap(self, engine: Engine) -> None:
        """Answer new requests with `engine`; responses in progress are unaffected."""
        if not self.stopping.is_set():
            reloaded = self._service.app.use(engine)
            if self._store is not None:
                self._store.use_config(engine.fingerprint)
            log_state(reloaded, engine.stateful_mocks)
            freeze_heap(collect=False)

    def stop(self) -> None:
        """Drain; if it is draining already, cut all connections."""
        if self.stopping.is_set():
            self.cut()
        self.stopping.set()

    def remove_files(self) -> None:
        """Remove the files of all workers, in place of the supervisor."""
        if self._peers is not None:
            self._peers.remove_socket_files()
        if self._place is not None and self._place.state is not None:
            remove_folder(self._place.state)

    def cut(self) -> None:
        """Cut all connections."""
        self._cut = True
        self.stopping.set()
        self._service.cut()

    async def drain(self, *, inherited: bool = False) -> None:
        """Let responses in progress finish, unless they were cut. If the socket is `inherited` by
        another worker, so are the stored responses."""
        timeout = 0.0 if self._cut else self._drain_timeout
        handover = self._peers if inherited else None
        if handover is not None:
            await handover.hand_over()
        await self._listener.stop(timeout, last_call=LAST_CALL, inherited=inherited)
        if self._service.shared_pools is not None:
            self._service.shared_pools.close()
        if handover is not None:
            await handover.hand_over()
            await handover.hand_on_calls()
        if self._peers is not None:
            self._peers.close()
        if self._shared is not None:
            self._shared.stop()
        if self._distant is not None:
            await self._distant.stop()
        if self._responses is not None:
            await self._responses.stop()
        if self._store is not None:
            await self._store.stop()
        if self._shared_state is not None:
            self._shared_state.close()


def _metrics_page(board: MetricsBoard, sampler: Sampler, timing: TimingBoard) -> MetricsPage:
    """Return what answers ``GET /metrics``."""

    def read() -> Sums:
        sampler.sample()
        return board.sums()

    return MetricsPage(read, timing.total, vllm=board.vllm)


class _Recorded(NamedTuple):
    """The other processes, the journal of this one, and what it knows of the calls of all. Each is
    None if there is none."""

    peers: Peers | None
    journal: Journal | None = None
    calls: Calls | None = None


def _record(
    app: App, max_entries: int, place: Place | None, distant: DistantChanges | None = None
) -> _Recorded:
    """Return the calls of a process with a journal of `max_entries`; none is kept if that is 0.
    Those of all servers are known by their `distant` changes."""
    board = None if place is None else place.switchboard.calls
    if not max_entries:
        return _Recorded(None if place is None else Peers(app, place))
    if distant is not None:
        journal = _journal(app, max_entries)
        peers = None if place is None else Peers(app, place)
        return _Recorded(peers, journal, _distant_calls(app, journal, max_entries, distant))
    if place is None or board is None:
        journal = _journal(app, max_entries)
        peers = None if place is None else Peers(app, place)
        missing = "" if place is None else NO_SOCKETS
        return _Recorded(peers, journal, OwnCalls(journal, missing=missing))
    journal = _journal(app, max_entries, board.epoch, board.numbers(place.number))
    own = ProcessCalls(journal, board, place.number)
    peers = Peers(app, place, own)
    copy = _journal(app, max_entries, board.epoch)
    calls = AllCalls(own, copy, place.switchboard.folder, peers.find_earlier)
    return _Recorded(peers, journal, calls)


def _distant_calls(
    app: App, own: Journal, max_entries: int, distant: DistantChanges
) -> DistantCalls:
    """Return the calls of all servers, of which Redis has the last `max_entries`."""
    copy = _journal(app, sys.maxsize, max_bytes=sys.maxsize)
    return DistantCalls(own, copy, distant.call_log(max_entries))


def _journal(
    app: App,
    max_entries: int,
    epoch: float | None = None,
    next_number: Callable[[], int] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Journal:
    """Return a journal, which is read in the loop of its process. `epoch` is the time at which the
    monotonic clock was 0."""
    return Journal(
        max_entries=max_entries,
        max_bytes=max_bytes,
        epoch=time.time() - time.monotonic() if epoch is None else epoch,
        find_earlier=app.responses.find_earlier_of_call,
        next_number=next_number,
    )


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call `act` in `loop`, from a signal handler or another thread; ignored if it has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(act)
