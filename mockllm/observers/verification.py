"""Verification: compares what happened with what a test expected, and explains the difference.

Everything here is a function of what the journal has. It returns the text of a failure, or None if
there is none; it raises nothing and knows no server. A text says what was expected and what was
found, lists the calls, and ends with what comes closest:

    expected 1 call of 'ask', found no call

    2 requests so far:
      1. 200  'tell'      gpt-4o  "And in Paris?"
      2. 404  [no match]  gpt-4o  "Wether in Paris"
    closest to 'ask': request 2: text differs at character 3: expected 'ather', found 'her'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mockllm.matching.explain import NearMiss
from mockllm.matching.rule import Rule
from mockllm.observers.calls import Call, name_of
from mockllm.observers.journal import MAX_EXPLAINED, Record
from mockllm.redaction import escape, redact_text

NO_REQUEST = "there was no request"
MAX_LISTED = 20  # requests in a failure, the last ones; a screen has room for them
MAX_COMPARED = MAX_EXPLAINED  # requests, the last ones, of which the closest to a mock is searched
MAX_WORDS = 60  # characters of the last words of a request
MAX_PATH = 100  # characters of a path with its query
MAX_NAME = 40  # characters of a mock's or a model's name


class Times(NamedTuple):
    """How often something was expected. Each is a number, or None if it does not matter."""

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None

    def accepts(self, count: int) -> bool:
        """Return True if `count` is as expected."""
        return (
            (self.exactly is None or count == self.exactly)
            and (self.at_least is None or count >= self.at_least)
            and (self.at_most is None or count <= self.at_most)
        )

    @property
    def is_bounded(self) -> bool:
        """True if more may be too many."""
        return self.exactly is not None or self.at_most is not None

    def describe(self, noun: str) -> str:
        """Return the expectation in words: ``at least 2 calls``."""
        if self.exactly is not None:
            return counted(self.exactly, noun)
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least} to {counted(self.at_most, noun)}"
        if self.at_most is not None:
            return f"at most {counted(self.at_most, noun)}"
        return f"at least {counted(self.at_least or 0, noun)}"


class ScriptProgress(NamedTuple):
    """How far a mock with several answers has come: how many it has `given`, which of its `entries`
    is due next, from 1 (None if none is), and whether each was used as often as it says."""

    given: int
    due: int | None
    entries: int
    used_up: bool

    def describe(self) -> str:
        """Return the state in words: ``2 answers given, entry 2 of 3 is due``."""
        given = counted(self.given, "answer")
        if self.due is None:
            return f"{given} given, all {counted(self.entries, 'entry')} are used up"
        return f"{given} given, entry {self.due} of {self.entries} is due"


class Subject(NamedTuple):
    """A mock as a test means it: its name in messages, the calls that it answered, its rule in each
    API, and its progress if it has several answers."""

    name: str
    answered: Callable[[Call], bool]
    rules: tuple[tuple[str, Rule], ...] = ()
    progress: ScriptProgress | None = None
    is_named: bool = False
    """True if it answered the calls whose rule has its name, and no others."""

    @property
    def quoted(self) -> str:
        """The name in quotes, escaped and cut."""
        return _quoted(self.name)


class CallCounts(NamedTuple):
    """How many calls a mock has answered, and how many requests: retries count too."""

    calls: int
    requests: int


# --- Counting -------------------------------------------------------------------------------------


def calls_among(
    calls: Iterable[Call], answered: Callable[[Call], bool] = lambda call: True
) -> list[Call]:
    """Return those of `calls` that are calls of their own: the requests that were `answered` so,
    but no retry of one that was. So a call and its retries by an SDK are one."""
    known = [*calls]
    if all(call.attempt == 1 for call in known):  # most often; the rest takes twice as long
        return [call for call in known if call.is_meant and answered(call)]
    reached: set[int] = set()  # the requests that were answered so, at some attempt
    found = []
    for call in known:
        if not call.is_meant or not answered(call):
            if call.attempt == 1:
                reached.discard(call.same_request)
            continue
        if call.attempt == 1 or call.same_request not in reached:
            found.append(call)
        reached.add(call.same_request)
    return found


def count_answered(record: Record, subject: Subject) -> CallCounts:
    """Return how many calls, and requests, a mock has answered."""
    answered = sum(1 for call in record.calls if subject.answered(call))
    return CallCounts(len(calls_among(record.calls, subject.answered)), answered)


def unmatched_among(calls: Iterable[Call], *, strict: bool = False) -> list[Call]:
    """Return the requests that the mocks did not answer: no mock held, a sequence was over, the
    server failed, or the session had ended; with `strict`, also those that were invalid."""
    return [call for call in calls if call.is_unmatched or (strict and call.is_invalid)]


# --- Failures -------------------------------------------------------------------------------------


def wrong_number(
    record: Record,
    subject: Subject,
    times: Times,
    *,
    requests: bool = False,
    counts: CallCounts | None = None,
) -> str | None:
    """Return the failure of an expectation how often a mock was called or, if `requests`, how many
    requests it answered. The `counts` are those of `count_answered`, if they are known."""
    calls, answered = counts or count_answered(record, subject)
    count, noun = (answered, "request") if requests else (calls, "call")
    if times.accepts(count):
        return _incomplete(record) if times.is_bounded else None
    found = counted(calls, "call")
    if answered != calls or requests:
        found = f"{found}, {counted(answered, 'request')}"
    lines = [f"expected {times.describe(noun)} of {subject.quoted}, found {found}"]
    if subject.progress is not None:
        lines.append(f"{subject.quoted}: {subject.progress.describe()}")
    lines += ["", *_listed(record)]
    if not times.accepts(count + 1) or count > 0:
        return "\n".join(lines)
    return "\n".join([*lines, *_closest(record, subject)])


def unmatched(record: Record, *, strict: bool = False) -> str | None:
    """Return the failure of the expectation that mocks answered all requests."""
    missed = unmatched_among(record.calls, strict=strict)
    if not missed:
        return _incomplete(record)
    are = "request was" if len(missed) == 1 else "requests were"
    lines = [f"{len(missed):,} {are} not answered by a mock:"]
    several = _has_several(record)
    for call in missed[:MAX_LISTED]:
        lines += [_line(call, several=several), *_reason(call, "       ")]
        lines += [f"       {line}" for line in call.traceback.splitlines()]
    if len(missed) > MAX_LISTED:
        lines.append(f"  ... and {len(missed) - MAX_LISTED:,} more")
    if len(missed) < len(record.calls):
        lines += ["", *_listed(record)]
    return "\n".join(lines)


def not_called(record: Record, subjects: Sequence[Subject]) -> str | None:
    """Return the failure of the expectation that every mock was called, and its script used up."""
    lines = []
    names = {name_of(call.rule) for call in record.calls if call.rule is not None}
    for subject in subjects:
        if subject.is_named:
            is_called = subject.name in names
        else:
            is_called = any(subject.answered(call) for call in record.calls)
        if not is_called:
            lines.append(f"  {subject.quoted}: no call")
        elif subject.progress is not None and not subject.progress.used_up:
            lines.append(f"  {subject.quoted}: {subject.progress.describe()}")
    if not lines:
        return None
    of = f"{len(lines)} of {counted(len(subjects), 'mock')} {'was' if len(lines) == 1 else 'were'}"
    uncalled = [f"expected every mock to be called and used up, which {of} not:", *lines]
    return "\n".join([*uncalled, "", *_listed(record)])


def wrong_order(record: Record, subjects: Sequence[Subject]) -> str | None:
    """Return the failure of the expectation that mocks were called in this order: for a mock named
    once its first call, for one named again its next. Other calls may lie between."""
    positions = {id(call): place for place, call in enumerate(record.calls)}
    named: dict[str, int] = {}
    last, before = -1, ""
    expected = " -> ".join(subject.quoted for subject in subjects)
    found_of: dict[Callable[[Call], bool], list[Call]] = {}
    for subject in subjects:
        if subject.answered not in found_of:
            found_of[subject.answered] = calls_among(record.calls, subject.answered)
        calls = found_of[subject.answered]
        number = named[subject.name] = named.get(subject.name, 0) + 1
        if number > len(calls):
            found = f"found only {counted(len(calls), 'call')} of {subject.quoted}"
            problem = found if calls else f"found no call of {subject.quoted}"
            lines = [f"expected calls in the order {expected}, {problem}", "", *_listed(record)]
            return "\n".join([*lines, *([] if calls else _closest(record, subject))])
        place = positions[id(calls[number - 1])]
        if place < last:
            which = f"call {number} of {subject.quoted}" if number > 1 else subject.quoted
            problem = f"found {which} before {before}"
            return "\n".join(
                [f"expected calls in the order {expected}, {problem}", "", *_listed(record)]
            )
        last, before = place, subject.quoted
    return _incomplete(record)


def too_few(record: Record, count: int, timeout: float, *, is_stopped: bool = False) -> str:
    """Return the failure of waiting for `count` calls, which ends early if the server stops."""
    found = calls_among(record.calls)
    counts = counted(len(found), "call")
    if len(found) != len(record.calls):
        counts = f"{counts}, {counted(len(record.calls), 'request')}"
    expected = f"expected {counted(count, 'call')} {_until(timeout, is_stopped)}, found {counts}"
    return "\n".join([expected, "", *_listed(record)])


def not_reached(
    record: Record | None,
    gate: str,
    count: int,
    timeout: float,
    found: int,
    *,
    is_stopped: bool = False,
) -> str:
    """Return the failure of waiting for `count` answers to reach a gate, which ends early if the
    server stops. There is no record if no journal is kept."""
    reached = f"found {counted(found, 'answer')}"
    until = _until(timeout, is_stopped)
    expected = f"expected {counted(count, 'answer')} at gate {_quoted(gate)} {until}"
    lines = [] if record is None else ["", *_listed(record)]
    return "\n".join([f"{expected}, {reached}", *lines])


def report(record: Record) -> str:
    """Return the list of the calls, for a report of a test that has failed."""
    lines = _listed(record)
    for number, call in _latest(record, MAX_LISTED):
        lines += _reason(call, f"request {number}: ")
    return "\n".join(lines)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``no call``, ``1 call``, ``2 calls``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {plural}" if number > 1 else f"1 {noun}" if number else f"no {noun}"


# --- Their parts ----------------------------------------------------------------------------------


def _until(timeout: float, is_stopped: bool) -> str:
    return "before the server stopped" if is_stopped else f"within {timeout:g} s"


def _incomplete(record: Record) -> str | None:
    """Return the failure of what cannot be told, since the journal has lost requests."""
    if record.missing:
        return f"cannot be told: {record.missing}"
    if not record.lost:
        return None
    return f"cannot be told: {_lost(record)}"


def _lost(record: Record) -> str:
    lost = counted(record.lost, "request")
    return (
        f"the journal had no room for {lost} before the {len(record.calls):,} that it has. Let it "
        "keep more ('journal=' of the server), or call clear_calls() between tests"
    )


def _latest(record: Record, most: int) -> list[tuple[int, Call]]:
    """Return the last calls with their numbers, from 1: those that are lost have numbers too."""
    first = max(0, len(record.calls) - most)
    return [*enumerate(record.calls[first:], record.lost + first + 1)]


def _listed(record: Record) -> list[str]:
    """Return the last calls, a line each, below a heading."""
    calls, held = record.calls, _held(record)
    if record.missing:
        held = [*held, f"there may be others: {record.missing}"]
    elif record.lost:
        held = [*held, f"the others do not count: {_lost(record)}"]
    if not calls:
        return held or [NO_REQUEST]
    heading = f"{counted(len(calls) + record.lost, 'request')} so far"
    if len(calls) > MAX_LISTED or record.lost:
        heading = f"{heading}, the last {min(len(calls), MAX_LISTED)} of them"
    several = _has_several(record)
    shown = [
        (number, _cells(call, several=several)) for number, call in _latest(record, MAX_LISTED)
    ]
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in shown), strict=True)]
    return [
        f"{heading}:",
        *(f"{number:>3}. {_joined(cells, widths)}" for number, cells in shown),
        *held,
    ]


def _held(record: Record) -> list[str]:
    """Return the line of the requests whose answers are held at gates, if there are some."""
    counts = [f"{number:,} at {_quoted(gate)}" for gate, number in sorted(record.held.items())]
    return [f"answers that are held: {', '.join(counts)}"] if counts else []


def _has_several(record: Record) -> bool:
    """Return True if the calls are of several sessions."""
    return not all(call.is_beside(record.calls[0]) for call in record.calls)


def _line(call: Call, *, several: bool) -> str:
    return f"  - {_joined(_cells(call, several=several), [0] * 5)}"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(cell for cell in padded if cell).rstrip()


def _cells(call: Call, *, several: bool) -> tuple[str, ...]:
    """Return the status, the mock, the attempt, the model and the last words of a call, which is
    one of `several` sessions."""
    attempt = f"attempt {call.attempt}" if call.attempt > 1 else ""
    ended = "" if call.delivery == "complete" else f"({_how_ended(call)})"
    session = f"session={call.session}" if several and call.session else ""
    words = " ".join(each for each in (_words(call), ended, session) if each)
    return (str(call.status), _source(call), attempt, _cut(call.model or "", MAX_NAME), words)


def _source(call: Call) -> str:
    """Return the name of the mock that answered; of an error of traffic that of its entry."""
    if call.mock is not None:
        return _quoted(call.mock)
    named = "".join(f" {_quoted(name)}" for name in call.traffic)
    return f"[{call.outcome}{named}]"


def _how_ended(call: Call) -> str:
    how = call.delivery.replace("_", " ")
    return how if call.held_at is None else f"{how} while held at {_quoted(call.held_at)}"


def _words(call: Call) -> str:
    """Return the last words of a request, in quotes; of one without words, what it asked for."""
    if call.api is None:
        return f"{call.method} {_cut(call.path, MAX_PATH)}"
    if call.is_body_cut:
        return "[body cut by the journal]"
    return f'"{_cut(escape(call.text), MAX_WORDS)}"' if call.text else f"{call.api}, without words"


def _reason(call: Call, before: str) -> list[str]:
    """Return the line why no mock answered a call, as far as that is known."""
    return [] if call.near_miss is None else [f"{before}{call.near_miss}"]


def _closest(record: Record, subject: Subject) -> list[str]:
    """Return which of the last calls comes closest to a mock that answered none, and why not. Of
    equally close ones it is the last, or one that no mock answered."""
    best = (-1, False, "")
    for number, call in _latest(record, MAX_COMPARED):
        for api, rule in subject.rules:
            compared = call.compare(api, rule)
            if compared is None:
                continue
            closeness, difference = compared
            if difference is None:
                answer = f"{_quoted(call.mock)} answered" if call.mock else f"got {call.status}"
                return [f"request {number} matches {subject.quoted} too, but {answer}"]
            if (closeness, call.is_unmatched) >= best[:2]:
                reason = redact_text(NearMiss.of(rule, difference).logged)
                line = f"closest to {subject.quoted}: request {number}: {reason}"
                best = closeness, call.is_unmatched, line
    return [best[2]] if best[2] else []


def _quoted(name: str) -> str:
    return f"'{_cut(escape(name), MAX_NAME)}'"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
