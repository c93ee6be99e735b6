"""The deadlines of all paced answers of a process, and the one timer of the loop that serves them.

Answers are kept in pools (`replies.pools`), each with a time of its own. Pools that slow nothing
down have the same time and share one lane of deadlines; any other pool has two. When an answer
begins or ends, or the speed changes, only rates change: all open answers follow at once, and the
timer is set anew.

    loop's timer ──> tick: for each lane, each answer that is due is played up to now
                     set the timer to the earliest deadline of all lanes

The clock and the timer are handed in: tests drive the same lanes by hand, without waiting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mockllm.exchange import PoolRule
from mockllm.observers.lateness import Lateness
from mockllm.replies.lanes import Lane
from mockllm.replies.pools import Pool, PoolAdmission, SharedPool, share
from mockllm.serve.paced import Paced, SharedPlace
from mockllm.serve.timers import CallLater, Timer, call_later
from mockllm.serve.token_steps import play_lane

MAX_TICK = 0.004  # seconds of work before other callbacks of the loop have their turn
RESOLUTION = 0.001  # seconds; that of the timers of uvloop and epoll
SAMPLE_INTERVAL = 0.1  # seconds between two times at which the work of the loop is counted
TOLERANCE = 1e-6  # seconds by which a step may be early, because times are rounded


def _call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Call `callback` in the running loop. The time is rounded up: uvloop would round it to the
    nearest, and a timer that is early would only be set again."""
    return call_later(math.ceil(seconds / RESOLUTION) * RESOLUTION, callback)


class Clock:
    """The pools of a process. Its time passes `speed` times as fast as that of `now`, in seconds,
    and did so since the server `started`, at a time of `now`; by default now. The process is the
    one with this `number` of `processes`, which share the places."""

    def __init__(
        self,
        *,
        speed: float = 1.0,
        number: int = 0,
        processes: int = 1,
        started: float | None = None,
        lateness: Lateness | None = None,
        now: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
        call_later: CallLater = _call_later,
    ) -> None:
        # of the process
        self.now = now
        self._work = work  # the seconds that this thread has worked
        self._sampled = (0.0, 0.0)  # the time, and the work, when they were last counted
        self._call_later = call_later
        self._speed = speed
        self._number = number
        self._processes = processes
        self.lateness = lateness or Lateness()
        """How late the steps of paced answers were."""
        # of the answers
        created = now()
        self.common: Lane[Paced] = Lane(created, speed)
        """The time of all pools that slow nothing down."""
        self._origin = created - (0.0 if started is None else (created - started) * speed)
        self._pools: dict[PoolRule, Pool[Paced]] = {}
        self._open = 0  # answers that have a place
        self._counted = 0  # of those, when the last deadlines came
        # of a tick
        self.late: list[float] = []
        """The seconds by which its steps were late; they are in the histogram at its end."""
        self.tokens = 0
        """The tokens of all of them."""
        # of the timer
        self._timer: Timer | None = None
        self._due = math.inf
        self._fires = 0.0  # when the timer is expected
        self._is_ticking = False

    @property
    def speed(self) -> float:
        """How much faster than real time the pools are."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.set_speed(speed, self.now())

    def set_speed(self, speed: float, at: float, elapsed: float | None = None) -> None:
        """Set the speed from the time `at` on, which is not before that of the last change. Another
        process that has set it then says what was `elapsed`."""
        self._speed = speed
        self.common.set_rate(speed, at)
        if elapsed is not None:
            now = self.now()
            self._origin = self.common.time_at(now) - elapsed - (now - at) * speed
        for pool in self._pools.values():
            pool.set_speed(speed, at)
        self.set_timer()

    @property
    def is_pacing(self) -> bool:
        """True while an answer has a place in a pool."""
        return self._open > 0

    def places(self) -> tuple[int, int]:
        """Return the taken places of the pools that are in use and have a number of places, and all
        of them; of one that is shared, the share of this process."""
        pools = [pool for pool in self._pools.values() if pool.rule.concurrency is not None]
        own = [self._own_share(pool.rule) if pool.rule.shared else pool.rule for pool in pools]
        return sum(pool.running for pool in pools), sum(rule.concurrency or 0 for rule in own)

    def elapsed(self, at: float | None = None) -> float:
        """Return the seconds since the server started, in the time of the pools, at the time `at`,
        by default now."""
        return self.common.time_at(self.now() if at is None else at) - self._origin

    def enter(
        self, answer: Paced, rule: PoolRule, place: SharedPlace | None = None
    ) -> Pool[Paced] | None:
        """Let an answer begin, in the next iteration of the loop or when there is a place: its own
        one in a shared pool, if it has one there or in its line. Returns its pool; None if that is
        full."""
        now = self.now()
        pool = self._find_pool(rule, now, is_shared=place is not None)
        admission = pool.enter(answer, now)
        if place is not None:
            assert isinstance(pool, SharedPool)
            pool.set_others(place.others, now)
            place.wait(partial(self._run_shared, answer, pool))
        if admission is PoolAdmission.RUNS:
            self._begin(answer, pool, now)
            self.set_timer()
        return pool if admission is not PoolAdmission.REFUSED else None

    def leave(self, answer: Paced, pool: Pool[Paced]) -> None:
        """Give the place of an answer to the next one. Without effect if it has left."""
        now = self.now()
        was_running = pool.is_running(answer)
        self._open -= was_running
        follower = pool.leave(answer, now)
        if follower is not None:
            self._begin(follower, pool, now)
        elif not pool.running and not pool.waiting and self._pools.get(pool.rule) is pool:
            del self._pools[pool.rule]
        if was_running and not self._open:
            self._count_work(now)
        self.set_timer()

    def set_others(self, rule: PoolRule, number: int) -> None:
        """Let other processes generate so many answers of a shared pool."""
        pool = self._pools.get(rule)
        if isinstance(pool, SharedPool):
            pool.set_others(number, self.now())
            self.set_timer()

    def _run_shared(self, answer: Paced, pool: SharedPool[Paced]) -> None:
        now = self.now()
        pool.run(answer, now)
        self._begin(answer, pool, now)
        self.set_timer()

    def _begin(self, answer: Paced, pool: Pool[Paced], now: float) -> None:
        self._open += 1
        if self._open == 1:
            self._sampled = now, self._work()
        self.lateness.begin(self._open, is_stream=answer.is_stream)
        answer.begin(pool, now)

    def count_all(self, dues: Sequence[float], tokens: int) -> None:
        """Count steps, with so many tokens together, that were handed to the system just now: with
        all others of a tick at its end. `dues` is when they were due."""
        now = self.now()
        self.late += [now - due for due in dues]
        self.tokens += tokens

    def _count_work(self, now: float) -> None:
        """Count how long the loop has worked since the last time."""
        work = self._work()
        since, before = self._sampled
        self.lateness.work(work - before, now - since)
        self._sampled = now, work

    def set_timer(self) -> None:
        """Set the timer to the earliest deadline, after a change of deadlines or rates."""
        if self._is_ticking:
            return
        due = min((lane.next_deadline() for lane in self._lanes()), default=math.inf)
        if self._timer is not None:
            if self._due <= due < math.inf:
                return  # it is set anew when it is early
            self._timer.cancel()
        self._due, self._timer = due, None
        if due < math.inf:
            now = self.now()
            self._fires = max(due, now)
            self._timer = self._call_later(self._fires - now, self._tick)

    def _own_share(self, rule: PoolRule) -> PoolRule:
        return share(rule, self._number, self._processes)

    def _find_pool(self, rule: PoolRule, now: float, *, is_shared: bool) -> Pool[Paced]:
        if not is_shared:
            rule = self._own_share(rule)
        pool = self._pools.get(rule)
        if pool is None:
            prefill = decode = self.common
            if rule.slowdown != 1:
                prefill, decode = Lane(now, self._speed), Lane(now, self._speed)
            kind = SharedPool if is_shared else Pool
            pool = self._pools[rule] = kind(rule, prefill, decode, speed=self._speed)
        return pool

    def _lanes(self) -> Iterator[Lane[Paced]]:
        """The lanes with answers in them."""
        if len(self.common):
            yield self.common
        for pool in self._pools.values():
            if pool.prefill is not self.common:
                yield from (lane for lane in (pool.prefill, pool.decode) if len(lane))

    def _tick(self) -> None:
        """Play whatever is due, for at most `MAX_TICK` seconds at a time."""
        self._timer = None
        self._is_ticking = True
        now = self.now()
        stall = now - self._fires - RESOLUTION
        if stall > 0:
            self.lateness.stall(stall)
        if self._open != self._counted:
            self._counted = self._open
            self.lateness.set_load(self._open)
        if now - self._sampled[0] > SAMPLE_INTERVAL:
            self._count_work(now)
        try:
            self._play_due(now + TOLERANCE)
        finally:
            self._is_ticking = False
            self._count_steps()
            self.set_timer()

    def _count_steps(self) -> None:
        if self.late:
            self.lateness.add_all(self.late, self.tokens)
            self.late.clear()
            self.tokens = 0

    def _play_due(self, now: float) -> None:
        until = now + MAX_TICK
        for lane in [*self._lanes()]:
            if not play_lane(lane, now, until, self):
                return
