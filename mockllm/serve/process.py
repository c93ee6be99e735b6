"""A process that serves until it is stopped: alone, or as one of several workers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from mockllm.app import App
from mockllm.endpoints.metrics import MetricsPage
from mockllm.engine.engine import Engine
from mockllm.observers.metric_sums import Sums
from mockllm.serve.apps import make_app
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.controlled import AwaitedCalls, ControlSettings, turn_on
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.changes import DistantChanges
from mockllm.serve.distant.redis_store import RedisStore
from mockllm.serve.distant.responses import DistantResponses
from mockllm.serve.garbage import GarbageCollector
from mockllm.serve.gates import Gates
from mockllm.serve.listener import Listener
from mockllm.serve.peers import Peers, WorkerPlace
from mockllm.serve.process_journal import record
from mockllm.serve.reload import Reload, Reloader, freeze_heap, log_state
from mockllm.serve.sampling import Sampler
from mockllm.serve.settings import Bound, Settings
from mockllm.serve.shared_changes import SharedChanges
from mockllm.serve.shared_pools import SharedPools
from mockllm.serve.state_folder import remove_folder
from mockllm.serve.supervisor_channel import Signal, SupervisorChannel
from mockllm.serve.turns import Turns
from mockllm.state.operations import Reset

if TYPE_CHECKING:
    from mockllm.serve.shared_store import SharedStore

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
if sys.platform != "win32" and sys.implementation.name == "cpython":
    import uvloop

    new_event_loop = uvloop.new_event_loop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MAX_SILENT = 1.0  # seconds of draining until somebody is told that it goes on
RELOAD_SIGNAL = getattr(signal, "SIGHUP", None)  # Windows has none

LAST_CALL = 0.5  # seconds for idle clients to send one more request when the server stops
GARBAGE_INTERVAL = 1.0  # seconds between two looks at what has been kept
HANG_TIMEOUT = 10.0  # seconds without a heartbeat after which a worker counts as hung
BEATS = 10  # heartbeats in that time


def serve(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    *,
    listening: Callable[[], None],
    draining: Callable[[], None],
    reload: Reload | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal cuts all connections. `listening`
    is called once connections are accepted, and `draining` if to drain takes long. SIGHUP, or a
    change of the files that `reload` watches, replaces the engine.
    """
    freeze_heap()
    _run(_serve(engine, bound, settings, listening, draining, reload))


def work(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    channel: socket.socket,
    beat: float,
    place: WorkerPlace,
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
    draining: Callable[[], None],
    reload: Reload | None,
) -> None:
    process = _Process(engine, bound, settings)
    for name in STOP_SIGNALS:
        process.on_signal(name, process.stop)
    with process.reloading(reload):
        await process.start()
        listening()
        await process.stopping.wait()
    telling = asyncio.get_running_loop().call_later(MAX_SILENT, draining)
    await process.drain()
    telling.cancel()


async def _work(
    engine: Engine,
    bound: Bound,
    settings: Settings,
    channel: socket.socket,
    beat: float,
    place: WorkerPlace,
) -> None:
    process = _Process(engine, bound, settings, place)
    supervisor = SupervisorChannel(channel, process)
    process.on_signal(signal.SIGTERM, lambda: supervisor.send(Signal.LEAVING))
    supervisor.receive_messages()
    await process.start()
    supervisor.send(Signal.LISTENING)
    supervisor.send_heartbeats(beat)
    await process.stopping.wait()
    await process.drain(inherited=supervisor.retired)


class _Process:
    """A listener that drains on the first request to stop and cuts on the second."""

    def __init__(
        self, engine: Engine, bound: Bound, settings: Settings, place: WorkerPlace | None = None
    ) -> None:
        self._sock = bound.sock
        self._place = place
        self._drain_timeout = settings.drain_timeout
        self._cut = False
        self.stopping = asyncio.Event()
        slot = 0 if place is None else place.slot
        clock = _make_clock(settings, slot)
        app = make_app(engine, clock, settings.timing.total, is_tls=bound.tls is not None)
        app.paces.slot = slot
        turns = Turns()
        # of all servers
        self._distant_store = _open_distant_store(app, clock, settings, place)
        self._distant_changes: DistantChanges | None = None
        if self._distant_store is not None and settings.control is not None:
            self._distant_changes = DistantChanges(self._distant_store)
        # of the workers of this one
        self._peers, journal, calls = record(
            app, settings.journal, place, self._distant_changes, turns=turns
        )
        self._responses = _open_distant_responses(
            app, self._distant_store, self._peers, calls, turns
        )
        self._shared_store = _open_shared_store(app, settings, place)
        self._shared_changes, number = self._follow_changes()
        # of this process
        meter = None if settings.metrics is None else settings.metrics.meter(time.monotonic)
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
            turns=turns,
        )
        if self._distant_store is not None or self._shared_store is not None:
            self._service.shared_pools = SharedPools(app, clock.set_others)
        self._sampler = _show_metrics(self._service, settings)
        if settings.control is not None:
            self._turn_on_control(settings.control, calls, bound, settings.host)
        self._listener = Listener(self._service, tls=bound.tls)
        self._reloader: Reloader | None = None
        self._garbage = GarbageCollector(
            lambda: clock.is_pacing,
            lambda: turns.has_large_body or self._is_loading,
            lambda: app.views.grown,
        )

    def _turn_on_control(
        self, control: ControlSettings, calls: AwaitedCalls | None, bound: Bound, host: str
    ) -> None:
        is_tls = bound.tls is not None
        shared = self._distant_changes or self._shared_changes
        turn_on(self._service, control, calls=calls, host=host, is_tls=is_tls, shared=shared)

    def _follow_changes(self) -> tuple[SharedChanges | None, int]:
        """Return the changes that the workers of this server share, if other servers do not share
        them, and the number of this process, which no other has."""
        place = self._place
        number = 0 if place is None else place.number
        if self._distant_store is not None and self._distant_changes is not None:
            return None, self._distant_store.number
        if place is None or place.changes is None:
            return None, number
        return SharedChanges(place.changes, number, self.cut), number

    def _open_state(self) -> None:
        """Open the state that workers share, if the configuration has some: so the first request
        need not. Mocks that were gone begin anew when they come back."""
        engine = self._service.app.engine
        gone = frozenset[str]() if self._place is None else self._place.gone
        if self._distant_store is not None and gone:
            self._distant_store.post((Reset(keys=gone),), time.monotonic())
        if self._shared_store is not None and (engine.needs_state or gone):
            self._shared_store.post((Reset(keys=gone),) if gone else (), time.monotonic())
        if self._shared_store is not None:
            self._shared_store.follow()

    async def start(self) -> None:
        """Accept connections, and answer other workers."""
        if self._shared_changes is not None:
            self._shared_changes.start()
        if self._peers is not None:
            await self._peers.start()
        if self._sampler is not None:
            self._sampler.start()
        if self._distant_store is not None:
            self._distant_store.start()
        if self._distant_changes is not None:
            await self._distant_changes.start()
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

        def deliver(engine: Engine) -> None:
            parts = self._service.app.engine.parts()  # in this thread
            _soon(loop, lambda: self._swap(engine, parts))

        reloader = Reloader(reload, deliver)
        self._reloader = reloader
        if RELOAD_SIGNAL is not None:
            self.on_signal(RELOAD_SIGNAL, reloader.ask)
        reloader.start()
        try:
            yield
        finally:
            reloader.end()

    def _swap(self, engine: Engine, parts: list[Any]) -> None:
        """Answer new requests with `engine`; responses in progress are unaffected. The `parts` of
        the engine before are let go of."""
        if not self.stopping.is_set():
            reloaded = self._service.app.use(engine)
            if self._distant_store is not None:
                self._distant_store.use_config(engine.fingerprint)
            log_state(reloaded, engine.stateful_mocks)
            freeze_heap()
            self._service.turns.let_go_of_each(parts)
        if self._reloader is not None:
            self._reloader.is_loading = False

    @property
    def _is_loading(self) -> bool:
        """True while a configuration is loaded, until its objects are frozen."""
        return self._reloader is not None and self._reloader.is_loading

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
        if self._shared_changes is not None:
            self._shared_changes.stop()
        if self._distant_changes is not None:
            await self._distant_changes.stop()
        if self._responses is not None:
            await self._responses.stop()
        if self._distant_store is not None:
            await self._distant_store.stop()
        if self._shared_store is not None:
            self._shared_store.close()


def _make_clock(settings: Settings, slot: int) -> Clock:
    """Return the clock of the process in this slot, whose lateness all processes show."""
    return Clock(
        speed=settings.speed,
        number=slot,
        processes=settings.workers,
        started=settings.started,
        lateness=settings.timing.lateness(slot),
    )


def _open_distant_store(
    app: App, clock: Clock, settings: Settings, place: WorkerPlace | None
) -> RedisStore | None:
    """Have `app` ask the state that other servers share, and return its store; None if none do."""
    if settings.sharing is None:
        return None
    is_successor = place is not None and place.successor
    return settings.sharing.open(app, clock, app.paces.slot, is_successor=is_successor)


def _open_distant_responses(
    app: App,
    store: RedisStore | None,
    peers: Peers | None,
    calls: AwaitedCalls | None,
    turns: Turns,
) -> DistantResponses | None:
    """Return the stored responses of all servers, which `calls` look back to; None if other servers
    share none."""
    if store is None:
        return None
    responses = DistantResponses(app, store, peers, turns)
    if isinstance(calls, DistantCalls):
        calls.find_earlier = responses.find_earlier
    return responses


def _open_shared_store(
    app: App, settings: Settings, place: WorkerPlace | None
) -> SharedStore | None:
    """Have `app` ask the state that it shares with the other workers of the server, and return
    its store; None if there are none, or if other servers share it. Nothing is opened yet."""
    if place is None or place.state is None:
        return None
    from mockllm.serve.shared_store import SharedStore  # not on Windows

    store = SharedStore(place.state, app.forget_session, timeout=settings.state_timeout)
    app.share_state(store, held=store)
    return store


def _show_metrics(service: Service, settings: Settings) -> Sampler | None:
    """Have the app answer ``GET /metrics``, and return what samples this process for it; None if it
    does not."""
    board, meter = settings.metrics, service.meter
    if board is None or meter is None:
        return None
    sampler = Sampler(service, meter)

    def read() -> Sums:
        sampler.sample()
        return board.sums()

    page = MetricsPage(read, settings.timing.total, vllm=board.vllm)
    service.app.show_metrics(page, meter)
    return sampler


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call `act` in `loop`, from a signal handler or another thread; ignored if it has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(act)
