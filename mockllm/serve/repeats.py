"""Answers reads that were answered before: from one look-up to the write.

Theory of operation
===================

In: the bytes that an idle connection has received at once. Out: how the same bytes were answered
before, or None, in which case they are parsed and decided like any others. A property test compares
the two.

A load test sends the same request again and again, and all that differs in the answers are the
values of a delivery. So a read that was exactly one request, and whose answer went out in one
write, is kept with its answer when it comes for the second time. What it is answered with depends
on nothing but these bytes, as `App.repeats` says, until something changes (`state.change_count`);
then all are dropped. The connection must have nothing else to do, and the peer must read.

There are four caches on the way of a request, and the outermost that has something wins:

1. this one, by the whole read: 5 µs less than with the last two (`small` in the benchmarks);
2. `serve.alike`, by the read without the values of headers that nothing reads;
3. the heads (`http1.head_cache`), by the bytes of a head, whatever the body;
4. the matches (`engine.match_cache`), by the body and the headers that matter.

What the journal and the metrics have of such a request differs from the one before in its time and
its number alone, so all else is prepared once.

Where reads never come again, few are looked up and kept (`bounded_cache.Patience`).

The hash of a long read would cost more than to parse it (20 µs for 35 kB), so that is looked up by
a few of its bytes, and compared whole.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from mockllm.app import App
from mockllm.bounded_cache import BoundedCache, Patience
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.match_cache import COPIES, MatchCache
from mockllm.exchange import Request
from mockllm.limits import KIB, MIB
from mockllm.observers.entries import Kept
from mockllm.observers.journal import Journal
from mockllm.observers.metrics import Meter, Row
from mockllm.replies.ready import ReadyBytes

MAX_BYTES = 32 * MIB  # of all reads and their answers
MAX_READ = 256 * KIB  # bytes; asyncio receives no more at once
PER_ENTRY = 4 * KIB  # bytes; about what a request costs beside its body, and its match
MAX_SEEN = 4_096  # reads that came once
MAX_HASHED = 2 * KIB  # bytes of a read that is looked up by its hash
SAMPLES = 64  # bytes of a longer one


class Repeat(NamedTuple):
    """The `data` by which a request is found, such a request, and the decision that is answered
    with the `ready` bytes. `stores` is True if its responses are stored. `matches` counts it,
    unless that is None. So does `counted`, for the metrics; if that is None, they count it as a new
    one. `entry` is what the journal has of it."""

    data: bytes
    request: Request
    decision: Decision
    ready: ReadyBytes
    stores: bool
    matches: MatchCache | None
    entry: Kept | None
    counted: Row | None


class RepeatCache(Patience):
    """Requests of all connections of a server that were answered at least twice, prepared for its
    `journal` and its `meter`, if there are some."""

    def __init__(
        self, app: App, journal: Journal | None = None, meter: Meter | None = None
    ) -> None:
        super().__init__()
        # of the server
        self._app = app
        self._changes = app.changes
        self._journal = journal
        self._meter = meter
        self._is_used = app.reuses
        # until something changes
        self._version = -1
        self._begin_anew()

    def __len__(self) -> int:
        return len(self._kept)

    def close(self) -> None:
        """Forget all, and keep nothing more: the server stops, and says so in each answer."""
        self._is_used = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._version = self._changes.known
        self._kept = BoundedCache[Hashable, Repeat](MAX_BYTES, max_seen=MAX_SEEN)
        self._get = self._kept.get

    def _is_latest(self) -> bool:
        """Return True if nothing has changed; all is dropped otherwise."""
        if self._version == self._changes.latest():
            return True
        self._begin_anew()
        return False

    def _is_new(self, key: Hashable) -> bool:
        """Return True if nothing was offered with this key, since something changed."""
        if self._version != self._changes.known:  # what comes later does not hold for it
            self._begin_anew()
        return self._kept.is_new(key)

    def _prepare(self, data: bytes, request: Request, decision: Decision) -> Repeat:
        """Return what is kept of a request, which is found by `data`, and whose answer is ready."""
        app, ready = self._app, decision.ready
        assert ready is not None
        stores = request.path in app.responses.paths
        is_match = decision.match.outcome is not Outcome.NOT_FOUND
        matches = app.engine.match_cache if is_match else None
        journal, meter = self._journal, self._meter
        entry = None if journal is None else journal.prepare(request, decision)
        counted = None if meter is None else meter.prepare(request, decision.match)
        return Repeat(data, request, decision, ready, stores, matches, entry, counted)

    def _add(self, key: Hashable, repeat: Repeat) -> None:
        size = sum(step.size for step in repeat.decision.reply.steps)
        self._kept.add(key, repeat, PER_ENTRY + 2 * len(repeat.data) + COPIES * size)


class Repeats(RepeatCache):
    """Whole reads, and how they were answered."""

    def find(self, data: bytes) -> Repeat | None:
        """Return how `data` was answered before; None if it must be parsed."""
        repeat = self._get(data if len(data) <= MAX_HASHED else sample(data))  # `key_of`, inline
        if repeat is None or repeat.data != data:
            self.note_in_vain()
            return None
        self._in_vain = 0
        return repeat if self._is_latest() else None

    def offer(self, data: bytes, request: Request, decision: Decision) -> None:
        """Keep a read that was exactly this request, whose answer was ready, if it was offered
        before and may be repeated."""
        if not self._is_used or len(data) > MAX_READ:
            return
        key = key_of(data)
        if self._is_new(key) or decision.ready is None:
            return
        if self._app.repeats(request, decision):
            self._add(key, self._prepare(data, request, decision))


def key_of(data: bytes) -> Hashable:
    """Return what `data` is looked up by: itself, or a sample of it if it is long. What is found by
    a sample has to be compared."""
    return data if len(data) <= MAX_HASHED else sample(data)


def sample(data: bytes) -> tuple[int, bytes, bytes]:
    """Return bytes from all over `data`, all of its end, and its length."""
    return len(data), data[:: len(data) // SAMPLES], data[-SAMPLES:]
