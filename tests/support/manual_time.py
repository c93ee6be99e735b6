"""Time that passes when a test says so, and paced answers in it, without a loop and a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any, cast

from mockllm.engine.decision import End
from mockllm.exchange import COMPLETE, Ending, EndingKind, Pacing, PoolRule, Step
from mockllm.http1.framing import Frame
from mockllm.http1.shared_frames import Divided, share
from mockllm.observers.measured import Measured
from mockllm.serve.clock import Clock
from mockllm.serve.gates import Gates
from mockllm.serve.paced_player import PacedPlayer
from mockllm.serve.player import Sender
from mockllm.state.sessions import COMMON
from tests.support.goldens import FRESH

ALONE = PoolRule()
"""A pool that is never full and slows nothing down."""


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualTime:
    """The time and the timers of a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.work = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = count()

    def clock(self, **options: Any) -> Clock:
        """A clock in this time."""
        times: Any = {"now": lambda: self.now, "work": lambda: self.work, **options}
        return Clock(call_later=self.call_later, **times)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heappush(self._timers, (self.now + seconds, next(self._numbers), timer))
        return timer

    @property
    def timers(self) -> int:
        """The number of timers that are set."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    def run(self, until: float = float("inf")) -> None:
        """Let time pass from timer to timer, until there is none or it is `until`."""
        while self._timers and self._timers[0][0] <= until:
            self._fire(max(self._timers[0][0], self.now))
        if until < float("inf"):
            self.now = max(self.now, until)

    def run_next(self) -> None:
        """Let time pass until the next timer, which must be set."""
        self._fire(max(self._timers[0][0], self.now))

    def stall(self, seconds: float) -> None:
        """Let time pass without a timer, as if the loop was busy."""
        self.now += seconds

    def _fire(self, now: float) -> None:
        _, _, timer = heappop(self._timers)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            self.now = now
            callback()


class Peer:
    """The other end of an answer: what it got, and when."""

    def __init__(self, time: ManualTime) -> None:
        self._time = time
        self.got: list[tuple[float, bytes]] = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.is_gone = False

    def write(self, data: bytes) -> None:
        self.got.append((round(self._time.now, 6), data))

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.got]


class Answer:
    """A paced answer, and its peer. With `shared` its frames are those of other answers too."""

    def __init__(
        self,
        time: ManualTime,
        clock: Clock,
        pacing: Pacing,
        frames: Iterable[Frame],
        *,
        shared: bool = False,
        ending: Ending = COMPLETE,
        is_stream: bool = True,
        measured: Measured | None = None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self.peer = Peer(time)
        self.ends: list[End] = []
        self.errors: list[Exception] = []
        self.is_over = False
        self.kind: EndingKind | None = None
        self.began = time.now
        self._then = over
        self.player = PacedPlayer(
            cast("Any", self.peer),
            self.peer.writable,
            asyncio.Event(),
            FRESH,
            frames=_divided([*frames]) if shared else Divided(iter(frames)),
            ending=ending,
            clock=clock,
            pacing=pacing,
            is_stream=is_stream,
            measured=measured,
            over=self._over,
            gates=Gates(call_later=time.call_later),
            session=COMMON,
            ended=self._ended,
        )
        self.is_admitted = self.player.start()

    def _over(self, kind: EndingKind, error: Exception | None) -> None:
        assert not self.is_over
        self.is_over = True
        self.kind = kind
        if error is not None:
            self.errors.append(error)
        self._then()

    def slow_down(self) -> None:
        """Let the peer read slowly."""
        self.peer.writable.clear()
        self.player.take_care()

    def _ended(self, sender: Sender, end: End) -> None:
        self.ends.append(end)


def _divided(frames: list[Frame]) -> Divided:
    """Return frames of which all but the first, which has a place among them, are shared."""
    return Divided(iter(frames[:1]), share(frames), 1)


def frames_of(*tokens: int) -> list[Frame]:
    """A frame for each number of tokens: its data is its place."""
    return [Frame(0.0, b"%d " % place, None, number) for place, number in enumerate(tokens)]


def steps_of(*tokens: int) -> tuple[Step, ...]:
    """A step for each number of tokens."""
    return tuple(Step((frame.data,), tokens=frame.tokens) for frame in frames_of(*tokens))


def pacing(ttft: float = 0.5, itl: float = 0.01, rule: PoolRule = ALONE) -> Pacing:
    """The pacing of an answer in a pool."""
    return Pacing(rule, ttft, itl)
