"""Decides what traffic does to one request: which entries hold, which are drawn, and what they do.

    select    which entries a request belongs to: as stateless as a match, and kept with it
    hold      which of them hold now, and how far they have risen: per request
    draw      which of those with a chance happen: a question to the store, per request
    decide    of each kind, the first that happens: the `Effects` of the request

Each kind has its place in the order of one request:

    credentials, validation, the client's own wishes
    error       `TrafficStage`: answers before anything is chosen, and takes nothing (`TakeNothing`)
    rate limit  `TrafficStage`: admits the request, in one atomic step with the choice
    choice      `Chooser`: a mock is chosen, and advanced
    latency     `Responder`: replaces the pace of the file, not that of a mock or an entry
    fault       `Responder`: stands in for a mock that has no faults itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mockllm.engine.decision import Answer, Planned, Summary
from mockllm.engine.limiting import RateLimit
from mockllm.engine.pace import Pace
from mockllm.exchange import PoolRule
from mockllm.matching.effort import Effort
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers.rate_limits import RateLimits

Elapsed = Callable[[str], float | None]
"""Returns the seconds since the entry with this name began, else since the start of the server;
None if it is stopped."""

MAX_COMBINATIONS = 1_000  # of entries that are for one request, whose effects are kept
_KEYS = 1 << 64  # of which a drawn one is an integer below


@dataclass(frozen=True, slots=True, eq=False)
class TrafficEntry:
    """A compiled entry of traffic in one API. Times are in seconds since it began; `end` is None if
    it does not end."""

    rule: Rule
    name: str = ""
    begin: float = 0.0
    end: float | None = None
    ramp: float = 0.0
    chance: float = 1.0
    error: Answer | None = None
    """The answer with its failure, which has the latency and the faults of the same entry."""
    has_latency: bool = False
    pace: Pace | None = None
    """The latency; None also if it takes no time."""
    faults: Planned = ()
    limit: RateLimit | None = None

    @property
    def is_constant(self) -> bool:
        """True if it holds for all of its requests, whenever they come: by no chance, at no time,
        and nobody can start or stop it."""
        has_times = self.begin > 0 or self.end is not None or self.ramp > 0
        return not self.name and not has_times and self.chance >= 1

    @property
    def has_drawn_kind(self) -> bool:
        """True if chance rises with it. Only a latency rises by its times."""
        return bool(self.error or self.faults or self.limit)

    def level(self, elapsed: float | None) -> float:
        """Return how far it has risen, from 0 (it does not hold) to 1."""
        if elapsed is None or elapsed < self.begin:
            return 0.0
        left = None if self.end is None else self.end - elapsed
        if left is not None and left <= 0:
            return 0.0
        if not self.ramp:
            return 1.0
        risen = (elapsed - self.begin) / self.ramp
        return min(1.0, risen, 1.0 if left is None else left / self.ramp)


class Effects(NamedTuple):
    """What traffic does to one request. An `error` is its answer; else there may be a `latency`,
    whose times have risen to `level`, a `fault`, and a `limit` that may refuse it."""

    error: TrafficEntry | None = None
    latency: TrafficEntry | None = None
    level: float = 1.0
    fault: TrafficEntry | None = None
    limit: TrafficEntry | None = None

    def pace(self, answer: Answer) -> tuple[Answer, tuple[str, ...]]:
        """Return `answer` with the latency, unless it has one itself, and the label of the entry
        that it has it from, or whose error it is. An error takes no time."""
        if self.error is not None:
            return answer, (self.error.rule.label,)
        if self.latency is None or answer.failure is not None or answer.has_own_pace:
            return answer, ()
        pace = _blend(answer.pace, self.latency.pace, self.level)
        return answer._replace(pace=pace), (self.latency.rule.label,)

    @property
    def unlimited(self) -> Effects:
        """The same without a limit."""
        return NO_EFFECTS if self[:4] == NO_EFFECTS[:4] else self._replace(limit=None)


NO_EFFECTS = Effects()


class Exposure(NamedTuple):
    """The entries of traffic that a request belongs to, in order, whether they hold or not. If one
    of them charges it, `costs` are what it costs, by the words of limits."""

    entries: tuple[TrafficEntry, ...]
    summary: Summary
    costs: Mapping[str, int]
    constant: Effects | None = None
    """What the entries do to the request whenever it comes; None if that changes."""


class Held(NamedTuple):
    """An entry that holds, and how far it has risen (`TrafficEntry.level`)."""

    entry: TrafficEntry
    level: float

    @property
    def is_drawn(self) -> bool:
        """True if chance decides what it does."""
        entry = self.entry
        return entry.chance < 1 or (self.level < 1 and entry.has_drawn_kind)


def hold(entries: Iterable[TrafficEntry], elapsed: Elapsed) -> list[Held]:
    """Return the entries that hold now."""
    levels = ((each, each.level(elapsed(each.name))) for each in entries)
    return [Held(entry, level) for entry, level in levels if level > 0 and entry.chance > 0]


def decide(held: Iterable[Held], drawn: Mapping[TrafficEntry, int]) -> Effects:
    """Return what the entries that hold do to a request. `drawn` has the keys of those that are
    drawn: one for all kinds of an entry, so that they happen together."""
    latency: Held | None = None
    fault: TrafficEntry | None = None
    limit: TrafficEntry | None = None
    for each in held:
        entry, level = each
        place = drawn[entry] / _KEYS if entry in drawn else 0.0
        if place >= entry.chance:
            continue
        has_risen = place < entry.chance * level
        if entry.error is not None and has_risen:
            return Effects(error=entry)
        if entry.has_latency and latency is None:
            latency = each
        if entry.faults and fault is None and has_risen:
            fault = entry
        if entry.limit is not None and limit is None and has_risen:
            limit = entry
    if latency is None:
        return Effects(fault=fault, limit=limit)
    return Effects(None, latency.entry, latency.level, fault, limit)


def _blend(usual: Pace | None, risen: Pace | None, level: float) -> Pace | None:
    """Return the pace between the `usual` one and one that has `risen` to this level. The answer is
    in the pool of the latter, if it has one."""
    if level >= 1 or (usual is None and risen is None):
        return risen
    one, other = usual or _no_time(risen), risen or _no_time(usual)
    pacing, before = other.pacing, one.pacing

    def between(usually: float, at_last: float) -> float:
        return usually + (at_last - usually) * level

    return other._replace(
        pacing=pacing._replace(
            ttft=between(before.ttft, pacing.ttft),
            itl=between(before.itl, pacing.itl),
            cv=between(before.cv, pacing.cv),
        ),
        per_token=between(one.per_token, other.per_token),
    )


def _no_time(pace: Pace | None) -> Pace:
    """Return the pace of an answer that takes no time, in the pool of `pace`."""
    assert pace is not None
    return pace._replace(pacing=pace.pacing._replace(ttft=0.0, itl=0.0, cv=0.0), per_token=0.0)


class Traffic:
    """The traffic of one API: an index of the requests that its entries are for."""

    def __init__(self, entries: Sequence[TrafficEntry]) -> None:
        self.entries = tuple(entries)
        self.index = RuleIndex([entry.rule for entry in entries])
        """Their rules, which all have state: so each of them that matches is a candidate."""
        self._by_index = {entry.rule.index: entry for entry in entries}
        self._is_for_all = not any(entry.rule.predicates for entry in entries)
        self._constant: dict[tuple[TrafficEntry, ...], Effects | None] = {}

    def select(
        self, prompt: Prompt, headers: Mapping[bytes, bytes], limits: RateLimits
    ) -> Exposure:
        """Return the entries for a request to an API with these `limits`."""
        if self._is_for_all:
            return self._exposure(self.index.rules, prompt, limits)
        return self._exposure(self.index.candidates(prompt, headers), prompt, limits)

    def search(
        self, prompt: Prompt, headers: Mapping[bytes, bytes], limits: RateLimits
    ) -> Pieces[Exposure]:
        """Return what `select` does, in pieces."""
        found = yield from self.index.search(prompt, headers, Effort())
        return self._exposure(found, prompt, limits)

    def _exposure(self, rules: Iterable[Rule], prompt: Prompt, limits: RateLimits) -> Exposure:
        entries = tuple(self._by_index[rule.index] for rule in rules)
        is_charged = any(entry.limit is not None and entry.limit.amounts for entry in entries)
        costs = limits.costs(prompt) if is_charged else {}
        return Exposure(entries, Summary.of(prompt), costs, self._constant_of(entries))

    def _constant_of(self, entries: tuple[TrafficEntry, ...]) -> Effects | None:
        """Return `Exposure.constant` of a request that these entries are for."""
        if entries not in self._constant:
            if len(self._constant) >= MAX_COMBINATIONS:
                self._constant.clear()
            held = [Held(entry, 1.0) for entry in entries if entry.is_constant]
            self._constant[entries] = decide(held, {}) if len(held) == len(entries) else None
        return self._constant[entries]

    @property
    def pools(self) -> list[PoolRule]:
        """The pools of the latencies."""
        return [each.pace.pacing.pool for each in self.entries if each.pace is not None]
