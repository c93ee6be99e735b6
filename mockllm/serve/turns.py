"""Divides the time of the loop among the work that takes long.

Deciding a request of a megabyte takes milliseconds, and generating a long stream a second. If a
hundred clients ask for it at once, no other request may wait until all of it is done. So work of
this kind takes turns: all turns in one iteration of the loop take about MAX_TURN seconds together,
and the rest of the work waits for a later iteration. A turn that cannot be divided, such as
searching one long text, is alone in its iteration.

For example, four players of long streams and a large request take turns like this:

    iteration 1   player 1 (4 ms)            others wait
    iteration 2   player 2 (4 ms)
    iteration 3   player 3 (1 ms: its peer is slow), player 4 (3 ms)
    iteration 4   the decision on the request (4 ms)
    iteration 5   player 1 ...

Work that consists of pieces is done by `perform`, as many pieces in one turn as there is time for.

What remains of a large body is let go of in the same way, because to free a million values takes
as long as to decode them. No full collection of garbage begins while such a body is decoded and
matched: it would look at all of these values, which takes 50 to 100 ms, and none is garbage.

Waiting work is resumed in the order of its deadlines. A large request gets a later one, so that
small requests need not wait for all large ones that came before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any

from mockllm.engine.decision import DividedWork
from mockllm.pieces import Pieces

MAX_TURN = 0.004  # seconds of all turns in one iteration
MIN_CHARGED = 0.0002  # seconds; shorter work is not counted, because counting it costs as well
MAX_SMALL = 64 * 1024  # bytes of a request that is decided at once while there is time
BYTES_PER_SECOND = 1024 * 1024  # by which a large request's deadline is later
MAX_FREEING = 0.001  # seconds in which leftovers are freed in one iteration
MAX_FREED = 500  # entries of a list that are freed at once
_ONLY_HERE = 2  # references to a value in a variable that are counted, if there is no other
MAX_RESUMED = 8  # turns that begin in one iteration, if all are short

_Waiting = tuple[float, int, asyncio.Future[None]]


class Turns:
    """The time that is left in the current iteration of the loop, and the work that waits."""

    def __init__(self) -> None:
        # of the iteration
        self._spent = 0.0
        self.over = False
        """True if work has to wait, because the time is spent or earlier work waits."""
        # of the waiting work
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._is_renewing = False
        self._leftovers: list[list[Any]] = []
        self._collections = _Collections()
        self._beside = 0

    @property
    def left(self) -> float:
        """Seconds that are left in this iteration."""
        return MAX_TURN - self._spent

    def spend(self, seconds: float) -> None:
        """Count `seconds` of work in this iteration."""
        self._spent += seconds
        self.over = bool(self._waiting) or self._spent >= MAX_TURN
        self._renew_later()

    @property
    def has_large_body(self) -> bool:
        """True while a large body is in work, or let go of, or a thread has large values."""
        return self._collections.are_delayed or self._beside > 0

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Know, as long as the context is open, that a thread works on large values."""
        self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1

    def begin_large(self) -> None:
        """Begin no full collection until the leftovers of a large body are let go of."""
        self._collections.delay()

    def let_go(self, leftovers: list[Any]) -> None:
        """Let go of what remains of a large body, little by little."""
        self._leftovers.append(leftovers)  # it delays collections until it is gone
        self._renew_later()

    def let_go_of_many(self, entries: list[Any]) -> None:
        """Let go of a list little by little, if that is long and the loop runs. Nothing else may
        refer to it."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            if len(entries) > MAX_FREED:
                self.begin_large()
                self.let_go([entries])

    def let_go_of_each(self, entries: list[Any]) -> None:
        """Let go of the entries of a list one by one, if the loop runs. Nothing else may refer to
        them."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            self.begin_large()
            self.let_go(entries)

    def stop(self) -> None:
        """Let go of all leftovers, and delay no collection from now on: the loop may end."""
        while self._leftovers:
            self._leftovers.pop()
            self._collections.resume()
        self._collections.stop()

    async def perform(self, pieces: Pieces[Any]) -> Any:
        """Return the result of `pieces`, which are done in turns. One that cannot be divided is the
        first of its iteration."""
        alone = False
        while True:
            await self.wait(alone=alone)
            began = time.monotonic()
            until = began + self.left
            if not alone:
                self._collections.collect_young()
            try:
                alone = next(pieces)
                while not alone and time.monotonic() < until:
                    alone = next(pieces)
            except StopIteration as end:
                return end.value
            finally:
                self.spend(time.monotonic() - began)

    async def finish(self, work: DividedWork) -> Any:
        """Return the result of `work`, then let go of its leftovers. The first of its pieces is
        done now: most have no other."""
        try:
            next(work.pieces)
        except StopIteration as end:
            return end.value
        if work.leftovers is None:
            return await self.perform(work.pieces)
        self.begin_large()
        try:
            return await self.perform(work.pieces)
        finally:
            self.let_go(work.leftovers)

    async def wait(self, size: int = 0, *, alone: bool = False) -> None:
        """Wait for a turn: at once if there is time. `size` is that of the work in bytes, for work
        that cannot be divided: if it is large, or with `alone`, the turn is the first of its
        iteration."""
        most = 0.0 if alone or size > MAX_SMALL else MAX_TURN
        if not self._waiting and (self._spent < most or not self._spent):
            return
        loop = asyncio.get_running_loop()
        deadline, number = loop.time() + size / BYTES_PER_SECOND, next(self._numbers)
        while True:
            future = loop.create_future()
            heappush(self._waiting, (deadline, number, future))
            self.over = True
            self._renew_later()
            await future
            if self._spent < most or not self._spent:
                return

    def _renew_later(self) -> None:
        if not self._is_renewing:
            self._is_renewing = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Begin an iteration: resume work that waits. It runs in the next iteration, before the
        next call of this."""
        self._is_renewing = False
        self._spent = 0.0
        resumed = 0
        while self._waiting and resumed < MAX_RESUMED:
            _, _, future = heappop(self._waiting)
            if not future.done():  # else its task was cancelled
                future.set_result(None)
                resumed += 1
        self.over = bool(self._waiting)
        if self._leftovers:
            self._free()
        if self.over or self._leftovers:
            self._renew_later()

    def _free(self) -> None:
        """Let go of leftovers for a moment, but at least of one."""
        began = time.monotonic()
        while self._leftovers:
            if self._leftovers[-1]:
                _free_one(self._leftovers[-1])
            else:
                self._leftovers.pop()
                self._collections.resume()
            spent = time.monotonic() - began
            if spent > MAX_FREEING:
                self._spent += spent
                break


def _free_one(leftovers: list[Any]) -> None:
    """Let go of one of the leftovers; of a long list that nothing else refers to, of a part."""
    one = leftovers.pop()
    if one.__class__ is list and len(one) > MAX_FREED and sys.getrefcount(one) == _ONLY_HERE:
        del one[-MAX_FREED:]
        leftovers.append(one)


class _Collections:
    """Delays full collections of garbage from the first large body on until the last is gone. Young
    garbage is collected meanwhile; what survives that is not looked at again."""

    def __init__(self) -> None:
        self._bodies = 0
        self._delays = False
        self._is_stopped = False

    @property
    def are_delayed(self) -> bool:
        """True while a large body is in work."""
        return self._bodies > 0

    def delay(self) -> None:
        """Delay collections for one more body."""
        self._bodies += 1
        if gc.isenabled() and not self._is_stopped:
            gc.disable()
            self._delays = True

    def resume(self) -> None:
        """End the delay for one body."""
        self._bodies -= 1
        if not self._bodies and self._delays:
            gc.enable()
            self._delays = False

    def stop(self) -> None:
        """End the delay for all bodies, for good."""
        self._is_stopped = True
        if self._delays:
            gc.enable()
            self._delays = False

    def collect_young(self) -> None:
        """Collect what was made since the last turn, which takes 1 ms behind one of 4 ms. Without
        it, a list of 300,000 entries would be young as a whole, and looked at in 10 ms."""
        if self._delays:
            gc.collect(1)
