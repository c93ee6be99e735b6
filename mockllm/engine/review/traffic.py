"""Checks of traffic: entries that never happen, and what was surely meant otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from mockllm.config.conditions import APIName
from mockllm.config.durations import Seconds, describe_suspicious, find_suspicious
from mockllm.config.fault import Fault
from mockllm.config.mistakes import json_path
from mockllm.config.traffic import Traffic
from mockllm.engine.effects import TrafficEntry
from mockllm.engine.failures import why_no_error
from mockllm.engine.review import unanswerable
from mockllm.engine.review.empty_conditions import empty_conditions
from mockllm.engine.review.faults import impossible_place
from mockllm.engine.review.impossible import impossible_headers
from mockllm.engine.review.mocks import MIN_ERROR, unserialisable_in_traffic
from mockllm.errors import Place, Problem, Severity, warning
from mockllm.matching.costs import costs_of
from mockllm.providers.api import API
from mockllm.wire import jsontext

MIN_SUSPICIOUS = 1_000
"""A number without a unit in `from`, `to` or `ramp`: a quarter of an hour, or a second in
milliseconds."""

MAX_COMPARED = 100  # earlier entries that an entry is compared with

_TIMES = {"from": "from_", "to": "to", "ramp": "ramp"}

Compiled = Mapping[int, TrafficEntry]
"""The entries that requests to one API may meet, by their positions."""


def review_entry(
    written: Traffic, place: Place, apis: Sequence[API], *, require_auth: bool
) -> Iterator[Problem]:
    """Yield the problems of an entry, which requests to these `apis` may meet."""
    yield from unserialisable_in_traffic(written, place)
    yield from empty_conditions(written.match, place)
    yield from _impossible_headers(written, place, apis, require_auth=require_auth)
    yield from _times(written, place)
    yield from _error(written, place)
    yield from _rate_limit(written, place, apis)
    for number, fault in enumerate(written.faults):
        path = f"fault[{number}]" if isinstance(written.fault, (list, tuple)) else "fault"
        for part, message in find_suspicious(fault):
            yield warning(place.at(json_path([path, *part])), message)
        reasons = [impossible_place(api, fault, several=len(apis) > 1) for api in apis]
        if reasons and reasons[0] is not None:
            yield Problem(place.at(f"{path}.after"), reasons[0])
        yield from _no_error(fault, place.at(f"{path}.error"), apis)


def _no_error(fault: Fault, place: Place, apis: Sequence[API]) -> Iterator[Problem]:
    """Report a failure that cannot be the error of a fault, in some of the `apis` or in all."""
    reasons = {api.word: why_no_error(api, fault.failure) for api in apis}
    reason = next(filter(None, reasons.values()), None)
    if reason is None:
        return
    others = [word for word, why in reasons.items() if why is None]
    if not others:
        yield Problem(place, reason)
        return
    meant = jsontext.dumps({"api": others}).decode()
    remedy = f"its requests get status 500, unless 'match' leaves them out: {meant}"
    yield warning(place, f"{reason}; {remedy}")


def _impossible_headers(
    written: Traffic, place: Place, apis: Iterable[API], *, require_auth: bool
) -> Iterator[Problem]:
    """Yield the problems that the headers of an entry have in all `apis`."""
    found = [{*impossible_headers(api, written, place, require_auth=require_auth)} for api in apis]
    yield from sorted(set.intersection(*found) if found else (), key=str)


def _times(written: Traffic, place: Place) -> Iterator[Problem]:
    """Report times that were surely meant as milliseconds, and what they and `chance` prevent."""
    for key, name in _TIMES.items():
        value = getattr(written, name)
        if isinstance(value, Seconds) and value.is_bare and value >= MIN_SUSPICIOUS:
            yield warning(place.at(key), describe_suspicious(value))
    if written.chance == 0:
        yield warning(place.at("chance"), "nothing happens with a chance of 0")
    if written.end is not None and 2 * written.rise > written.end - written.begin:
        peak = (written.end - written.begin) / (2 * written.rise)
        message = (
            f"the whole is never reached, {peak:.0%} at most, because it falls before it has "
            "risen: write at most half of the time from 'from' to 'to'"
        )
        yield warning(place.at("ramp"), message)


def _error(written: Traffic, place: Place) -> Iterator[Problem]:
    failure = written.failure
    if failure is None:
        return
    for path, message in find_suspicious(failure):
        yield warning(place.at(json_path(["error", *path])), message)
    if failure.status is not None and failure.status < MIN_ERROR:
        message = f"official clients take an answer with status {failure.status} for no error"
        yield Problem(place.at("error.status"), message, Severity.NOTE)


def _rate_limit(written: Traffic, place: Place, apis: Sequence[API]) -> Iterator[Problem]:
    """Report limits that none of the vendors has whose requests the entry is for."""
    if written.rate_limit is None or not apis:
        return
    known = list(dict.fromkeys(word for api in apis for word in api.vendor.limits.words))
    for word in written.rate_limit.amounts:
        if word not in known:
            names = ", ".join(api.word for api in apis)
            expected = ", ".join(map(repr, known))
            message = f"no limit of {names}, for whose requests this entry is: write {expected}"
            yield Problem(place.at(f"rate_limit.{word}"), message)


# --- several APIs, several entries ----------------------------------------------------------------


def never_matching(
    written: Traffic, reasons: Mapping[str, str], apis: Sequence[API], place: Place
) -> Iterator[Problem]:
    """Report an entry that no request to any of the `apis` can meet. `reasons` are those of
    `unanswerable.find_reason` by the word of an API."""
    named: Sequence[APIName | str] = written.match.api or [api.word for api in apis]
    if any(word not in reasons for word in named):
        return
    told: dict[str, list[str]] = {}
    for word in named:
        told.setdefault(reasons[word], []).append(word)
    if len(told) > 1:
        shown = "; ".join(f"in {', '.join(words)}: {reason}" for reason, words in told.items())
    else:
        shown = next(iter(told))
    yield unanswerable.never(shown, place)


def duplicate_names(places: Iterable[Place]) -> Iterator[Problem]:
    """Report names that several entries share."""
    first: dict[str, Place] = {}
    for place in places:
        if place.name and place.name in first:
            message = (
                f"the name is used twice, first by {first[place.name]}: both are started and "
                "stopped together"
            )
            yield warning(place, message)
        first.setdefault(place.name, place)


def slow_conditions(compiled: Iterable[Compiled], places: Sequence[Place]) -> Iterator[Problem]:
    """Report conditions that take long to look up."""
    for by_position in compiled:
        for position, entry in by_position.items():
            slow = costs_of(entry.rule).slow_condition
            if slow:
                hint = "another condition beside it, such as 'model', saves that"
                yield Problem(places[position].at("match"), f"{slow}; {hint}", Severity.NOTE)


def hidden_kinds(
    entries: Sequence[Traffic], compiled: Sequence[Compiled], places: Sequence[Place]
) -> Iterator[Problem]:
    """Report what never happens of an entry, because of earlier ones that hold for every request
    that it is for: in each API, the first that has the same, or an error."""
    for position, written in enumerate(entries):
        for kind in written.kinds:
            by_api = [each for each in compiled if position in each and _has(each[position], kind)]
            covers = [_first_before(entries, each, position, kind) for each in by_api]
            if not covers or None in covers:
                continue
            first = covers[0]
            assert first is not None
            same = "has the same" if kind in entries[first].kinds else "answers with an error"
            message = (
                f"never happens: {places[first]} holds for every request that this entry is for, "
                f"and {same}"
            )
            yield warning(places[position].at(kind), message)


def _has(entry: TrafficEntry, kind: str) -> bool:
    """True if an entry with this kind has it in its API, where its limits may be none."""
    return kind != "rate_limit" or entry.limit is not None


def _first_before(
    entries: Sequence[Traffic], compiled: Compiled, position: int, kind: str
) -> int | None:
    """Return the position of the first entry that leaves nothing of this kind to the one at
    `position` in an API; None if there is none among the first `MAX_COMPARED`."""
    for earlier, entry in islice(compiled.items(), MAX_COMPARED):
        if earlier >= position:
            return None
        has_kind = kind in entries[earlier].kinds and _has(entry, kind)
        has_all = has_kind or entry.error is not None
        is_before = has_all and _always_before(entries[earlier], entries[position])
        if is_before and entry.rule.covers(compiled[position].rule):
            return earlier
    return None


def _always_before(earlier: Traffic, later: Traffic) -> bool:
    """True if an entry holds whenever a later one does. What has a name may be started and stopped
    alone, so its times say nothing."""
    if earlier.chance < 1 or earlier.rise:
        return False
    if earlier.begin == 0 and earlier.end is None:
        return True
    if earlier.name or later.name or later.begin < earlier.begin:
        return False
    return earlier.end is None or (later.end is not None and later.end <= earlier.end)
