"""A process that serves until it is told to stop: alone, or as one of several workers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from enum import Enum

from mockllm.app import App
from mockllm.engine.engine import Engine
from mockllm.limits import Limits
from mockllm.serve.connections import Observer, Service
from mockllm.serve.listener import DRAIN_TIMEOUT, Listener
from mockllm.serve.reload import Reload, Reloader, freeze_heap

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
if sys.platform != "win32" and sys.implementation.name == "cpython":
    import uvloop

    new_event_loop = uvloop.new_event_loop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RELOAD_SIGNAL = getattr(signal, "SIGHUP", None)  # Windows has none

LAST_CALL = 0.5  # seconds in which idle clients of a server that stops may ask once more
HANG_TIMEOUT = 10.0  # seconds without a sign of life after which a worker hangs
BEATS = 10  # signs of life in that time


@dataclass(frozen=True, slots=True)
class Settings:
    """How a process serves, whatever it serves. Times in seconds."""

    limits: Limits = field(default_factory=Limits)
    drain_timeout: float = DRAIN_TIMEOUT
    tls: ssl.SSLContext | None = None
    observers: tuple[Observer, ...] = ()


class Signal(Enum):
    """What a supervisor and a worker say to each other, a byte each."""

    LISTENING = b"l"
    """The worker takes connections."""
    ALIVE = b"."
    """The worker's loop goes round."""
    LEAVING = b"x"
    """Someone else has told the worker to stop: it wants to retire."""
    RETIRE = b"r"
    """Leave the socket to another worker, and drain."""
    STOP = b"s"
    """Drain: nobody else takes connections any more."""
    CUT = b"c"
    """End at once."""


def serve(
    engine: Engine,
    sock: socket.socket,
    settings: Settings,
    *,
    listening: Callable[[], None],
    reload: Reload | None = None,
) -> None:
    """Serve on `sock` until SIGINT or SIGTERM, then drain; a second one cuts at once. `listening`
    is called once connections are taken. SIGHUP, or files that `reload` watches, swap the engine.
    """
    freeze_heap()
    _run(_serve(engine, sock, settings, listening, reload))


def work(
    engine: Engine, sock: socket.socket, settings: Settings, channel: socket.socket, beat: float
) -> None:
    """Serve on `sock` as a supervisor says on `channel`, telling it every `beat` seconds that the
    loop goes round. The end of the channel means to stop; at SIGTERM it asks to retire."""
    _run(_work(engine, sock, settings, channel, beat))


def _run(life: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(life)


async def _serve(
    engine: Engine,
    sock: socket.socket,
    settings: Settings,
    listening: Callable[[], None],
    reload: Reload | None,
) -> None:
    process = _Process(engine, settings)
    for name in STOP_SIGNALS:
        process.on_signal(name, process.stop)
    with process.reloading(reload):
        await process.start(sock)
        listening()
        await process.stopping.wait()
    await process.drain()


async def _work(
    engine: Engine, sock: socket.socket, settings: Settings, channel: socket.socket, beat: float
) -> None:
    loop = asyncio.get_running_loop()
    process = _Process(engine, settings)
    left = False  # to another worker

    def say(word: Signal) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone, or will be served with more
            channel.send(word.value)

    def live() -> None:
        say(Signal.ALIVE)
        loop.call_later(beat, live)

    def listen() -> None:
        nonlocal left
        try:
            words = channel.recv(64)
        except OSError:
            words = b""
        if not words:
            loop.remove_reader(channel)
        if Signal.CUT.value in words:
            process.cut()
        elif Signal.RETIRE.value in words:
            left = True
            process.stop()
        elif not process.stopping.is_set():
            process.stop()

    process.on_signal(signal.SIGTERM, lambda: say(Signal.LEAVING))
    loop.add_reader(channel, listen)
    await process.start(sock)
    say(Signal.LISTENING)
    live()
    await process.stopping.wait()
    await process.drain(inherited=left)


class _Process:
    """A listener that is told to stop, and told again."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._settings = settings
        self._service = Service(App(engine), limits=settings.limits, observers=settings.observers)
        self._listener = Listener(self._service, tls=settings.tls)
        self._cut = False
        self.stopping = asyncio.Event()

    async def start(self, sock: socket.socket) -> None:
        """Take connections."""
        await self._listener.start(sock)

    def on_signal(self, number: int, act: Callable[[], None]) -> None:
        """Have the loop `act` on a signal."""
        loop = asyncio.get_running_loop()
        signal.signal(number, lambda *_: _soon(loop, act))

    @contextlib.contextmanager
    def reloading(self, reload: Reload | None) -> Iterator[None]:
        """While inside, swap engines as `reload` says."""
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
        """Requests from now on are answered by `engine`; answers under way are decided already."""
        if not self.stopping.is_set():
            self._service.app.use(engine)
            freeze_heap(collect=False)

    def stop(self) -> None:
        """Drain; if that is what it does already, end at once."""
        if self.stopping.is_set():
            self.cut()
        self.stopping.set()

    def cut(self) -> None:
        """End at once."""
        self._cut = True
        self.stopping.set()
        self._service.cut()

    async def drain(self, *, inherited: bool = False) -> None:
        """Let answers under way end."""
        timeout = 0.0 if self._cut else self._settings.drain_timeout
        await self._listener.stop(timeout, last_call=LAST_CALL, inherited=inherited)


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Have `loop` act, from a signal or another thread; nothing if it has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(act)
