"""When a process that only serves searches its whole heap for garbage.

The interpreter does so whenever enough objects have been kept, which holds the loop for 100 ms with
10,000 open streams, and nearly always in vain: a connection and an answer leave no cycles. So here
full collections wait until no answer is paced and nothing large is in work, unless very much has
been kept meanwhile, and take a hundredth of the time at most. Young objects are collected as ever.
Mocks that were added while the server runs are kept like those of its configuration: when there are
many new ones, what is in memory is not searched any more. It is freed as ever when nothing refers
to it.

It does not know what is collected. An embedded server shares its interpreter with the program, and
leaves all this alone.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable

MIN_KEPT = 10
"""Collections of younger objects after which a full one is due; the interpreter's own number. Each
stands for about 7,000 objects that were kept."""
MAX_KEPT = 200  # of them, 150 MB of small objects: it is not put off any longer
MAX_WORKED = 20_000
"""The same while a large body is in work: each of its turns counts as one (`serve.turns`), which is
80 seconds of them. To search the values of such a body takes 50 to 90 ms."""
PAUSE = 100.0  # seconds between two full collections, for each second that one takes


MIN_GROWN = 1_000
"""Mocks that were added or indexed after which they are left out of collections: 1,000 of them have
50,000 objects, which are searched in 20 ms."""


class GarbageCollector:
    """Collects all garbage when `poll` finds that it is due. `is_pacing` says whether something is
    open that a collection would make late, `takes_long` whether it would take long now, because a
    large body or a configuration is in work; `count_mocks` returns how many mocks were added or
    indexed so far; `now` is a clock in seconds."""

    def __init__(
        self,
        is_pacing: Callable[[], bool],
        takes_long: Callable[[], bool] = lambda: False,
        count_mocks: Callable[[], int] = lambda: 0,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_pacing = is_pacing
        self._takes_long = takes_long
        self._count_mocks = count_mocks
        self._left_out = 0
        self._now = now
        self._not_before = now()
        self._threshold = gc.get_threshold()

    def start(self) -> None:
        """Leave full collections to `poll` from now on."""
        self._threshold = gc.get_threshold()
        gc.set_threshold(*self._threshold[:2], sys.maxsize >> 32)  # a C int

    def stop(self) -> None:
        """Leave them to the interpreter again."""
        gc.set_threshold(*self._threshold)

    def poll(self) -> None:
        """Collect if it is due."""
        self._leave_out_mocks()
        kept = gc.get_count()[2]
        began = self._now()
        if kept < MIN_KEPT or began < self._not_before:
            return
        if self._takes_long():
            if kept < MAX_WORKED:
                return
        elif kept < MAX_KEPT and self._is_pacing():
            return
        gc.collect()
        ended = self._now()
        self._not_before = ended + (ended - began) * PAUSE

    def _leave_out_mocks(self) -> None:
        """Leave what is in memory out of collections from now on, if many mocks are new."""
        grown = self._count_mocks()
        if grown - self._left_out >= MIN_GROWN and not self._takes_long():
            gc.collect(1)  # young garbage, or it would never be freed
            gc.freeze()
            self._left_out = grown
