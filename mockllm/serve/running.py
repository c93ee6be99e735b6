"""A process that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Collection

from mockllm.engine import Engine
from mockllm.serve.protocol import Service
from mockllm.serve.server import Listener

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
if sys.platform != "win32" and sys.implementation.name == "cpython":
    import uvloop

    new_event_loop = uvloop.new_event_loop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    engine: Engine,
    sock: socket.socket,
    *,
    drain_timeout: float,
    listening: Callable[[], None],
    signals: Collection[signal.Signals] = STOP_SIGNALS,
    lifeline: int | None = None,
) -> None:
    """Serve on `sock` until one of `signals` comes, or until the file descriptor `lifeline` is at
    its end; then drain. `listening` is called once connections are taken."""
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not go through it, nor workers copy it
    work = _serve(engine, sock, drain_timeout, listening, signals, lifeline)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


async def _serve(
    engine: Engine,
    sock: socket.socket,
    drain_timeout: float,
    listening: Callable[[], None],
    signals: Collection[signal.Signals],
    lifeline: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in signals:
        signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop.set))
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    listener = Listener(Service(engine))
    await listener.start(sock)
    listening()
    await stop.wait()
    if lifeline is not None:
        loop.remove_reader(lifeline)
    await listener.stop(drain_timeout)
