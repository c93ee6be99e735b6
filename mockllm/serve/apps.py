"""The app of a server, with the clocks of its process."""

from __future__ import annotations

import time
from collections.abc import Callable

from mockllm.app import App
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter
from mockllm.observers.lateness import Lateness
from mockllm.serve.clock import Clock


def make_app(engine: Engine, clock: Clock, timing: Callable[[], Lateness], *, is_tls: bool) -> App:
    """Return an app in the server's own time, that of `clock`. `timing` returns how late the steps
    of paced answers were."""
    return App(
        engine,
        tls=is_tls,
        clock=time.monotonic,
        work_clock=time.thread_time,
        timing=timing,
        elapsed=clock.elapsed,
        limiter=Limiter(now=clock.elapsed, speed=lambda: clock.speed, wall_clock=time.time),
    )
