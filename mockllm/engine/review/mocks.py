"""Checks of mocks: errors that prevent serving them, warnings about likely mistakes, and notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from mockllm.config.answers import Answers, WrittenAnswer
from mockllm.config.conditions import Conditions, MatchType
from mockllm.config.durations import find_suspicious
from mockllm.config.error import Error
from mockllm.config.mistakes import json_path
from mockllm.config.models import AnyMock
from mockllm.config.traffic import Traffic
from mockllm.config.values import DONE, OWN_KEYS
from mockllm.engine.mock_sources import stream_of
from mockllm.errors import Place, Problem, Severity, warning
from mockllm.matching.costs import MAX_CANDIDATES, MAX_COMPARED, costs_of
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import first_crowded
from mockllm.prompt import NOT_STREAMED
from mockllm.providers.api import API, SDK
from mockllm.providers.error_body import is_error_body
from mockllm.replies.prepared import PreparedReply
from mockllm.validation.findings import Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import jsontext, placeholders
from mockllm.wire.placeholders import FreshValues

MAX_PATHS = 20  # missing members of one response that are listed
FILLED_IN = "filled in"  # begins a message that has nothing of a mock but its paths
MIN_ERROR = 300  # the lowest status for which official clients raise an exception

_ANY_MODEL = "any-model"
_ANY_DELIVERY = FreshValues(b"0" * 20, b"1" * 10, b" " * 29)


def match_value(api: API, mock: AnyMock) -> Any:
    """Return the message or input that requests are compared with; None if any matches."""
    return getattr(mock.match, api.match_field, None)


def _response(written: WrittenAnswer) -> dict[str, Any]:
    """Return the response that is written."""
    assert written.answer is not None
    return written.answer


def compares_exactly(api: API, mock: AnyMock) -> bool:
    """Return True if requests must have the message or input of the mock's match, all of it."""
    return match_value(api, mock) is not None and _match_type(mock) is MatchType.EXACT


def _match_type(mock: AnyMock) -> MatchType | None:
    """Return how a message or input is compared; None if the mock is not one of an API."""
    return getattr(mock.match, "match_type", None)


def unserialisable_values(mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Report Python values in a mock that JSON cannot represent, as `_unserialisable` does."""
    yield from _unserialisable(_conditions(mock.match), place)
    for path, written in mock.written():
        yield from _unserialisable(_values(written), place.at(path))


def unserialisable_in_traffic(written: Traffic, place: Place) -> Iterator[Problem]:
    """Report Python values in an entry of traffic that JSON cannot represent, as `_unserialisable`
    does."""
    yield from _unserialisable(_conditions(written.match) | _of_error(written.failure), place)


def _unserialisable(members: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    """Report Python values that JSON cannot represent: NaN, an int beyond 64 bits, an object, half
    a surrogate pair. The `members` are by their paths in what is at `place`."""
    for name, value in members.items():
        for path, message in () if value is None else jsontext.find_unserialisable(value):
            yield Problem(place.at(json_path([name, *path])), message)


def _conditions(match: Conditions) -> dict[str, Any]:
    """Return the words of a match, but for `body`: `engine.conditions` finds what is in that."""
    return {"match": match.model_dump(by_alias=True, exclude={"body"}, exclude_unset=True)}


def _values(written: WrittenAnswer) -> dict[str, Any]:
    """Return the values of any kind in an answer, by their paths."""
    return {
        "response": written.answer,
        **_of_error(written.failure),
        "reply": written.said and written.said.model_dump(by_alias=True, exclude_unset=True),
        "stream.events": stream_of(written).events,
    }


def _of_error(failure: Error | None) -> dict[str, Any]:
    return {
        "error.message": failure and failure.message,
        "error.body": failure and failure.body,
    }


def confirm_no_error(api: API, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Report the body of an error in place of an answer, which would be sent with status 200 and
    the members of a success."""
    if is_error_body(_response(written), api.answer_members):
        message = (
            f"expected an answer of {api.title}, found the body of an error, which would be sent "
            'with status 200; write "error" instead of "response", such as "error": '
            '"rate_limit" or {"status": 500, "body": {...}} (in a stream, \'stream.events\' can)'
        )
        if "status" in api.answer_members:
            message += '; for a failed response, add "status": "failed"'
        yield Problem(place.at("response"), message)


def confirm_match(api: API, sdk: SDK, mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Validate the message or input of a match against the SDK's type. With ``contains``, members
    may be missing, since those that are there are compared. An undeclared member is a warning: it
    is not compared."""
    value = match_value(api, mock)
    contains = _match_type(mock) is MatchType.CONTAINS
    for finding in () if value is None else sdk.confirm_match(value):
        if contains and finding.kind is FindingKind.MISSING:
            continue
        if finding.path == ("role",):  # a mistake that compiling the match reports
            continue
        path = json_path(["match", api.match_field, *finding.path])
        if finding.kind not in (FindingKind.UNKNOWN, FindingKind.NEWER):
            yield Problem(place.at(path), finding.message)
        elif not str(finding.path[-1]).startswith(OWN_KEYS):
            yield Problem(place.at(path), finding.message, _severity(finding))


def confirm_response(api: API, sdk: SDK, answer: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Validate a response against the SDK's model, as written and as it is sent. Missing members
    share one line, because a terse response lacks many: a note if they are filled in, a warning if
    they are not."""
    written = sdk.confirm_response(_response(answer))
    missing = [finding for finding in written if finding.kind is FindingKind.MISSING]
    # Where `type` is missing, only the answer with it filled in shows the other mistakes.
    sent = sdk.confirm_response(sent_of(api, _response(answer))) if missing else []
    absent = [finding for finding in sent if finding.kind is FindingKind.MISSING]
    shown = [each for each in sent if each not in written and not _is_ours(each, answer.answer)]
    for finding in (*written, *shown):
        if finding.kind is not FindingKind.MISSING:
            path = json_path(["response", *finding.path])
            yield Problem(place.at(path), finding.message, _severity(finding))
    if absent:
        message = f"missing, and not filled in: {_paths(absent)}"
        yield warning(place.at("response"), message)
    filled_in = [finding for finding in missing if finding not in absent]
    if filled_in:
        yield Problem(place.at("response"), f"{FILLED_IN}: {_paths(filled_in)}", Severity.NOTE)


def _is_ours(finding: Finding, written: Any) -> bool:
    """True if an old SDK does not know what was filled in, which its author cannot change."""
    for step in finding.path if finding.kind is FindingKind.NEWER else ():
        try:
            written = written[step]
        except (KeyError, IndexError, TypeError):
            return True
    return False


def _severity(finding: Finding) -> Severity:
    """Accuse no answer of what an old SDK does not know."""
    return Severity.NOTE if finding.kind is FindingKind.NEWER else Severity.WARNING


def sent_of(api: API, response: dict[str, Any]) -> Any:
    """Return `response` as it is sent, with missing members filled in."""
    reply = api.render(response, NOT_STREAMED, "word")
    filled, _ = PreparedReply(reply).for_request(_ANY_MODEL, {"model": _ANY_MODEL})
    return orjson.loads(placeholders.fill_fresh(filled.body, _ANY_DELIVERY))


def _paths(findings: Sequence[Finding]) -> str:
    shown = [json_path(list(finding.path)) for finding in findings[:MAX_PATHS]]
    more = f" and {len(findings) - MAX_PATHS} more" if len(findings) > MAX_PATHS else ""
    return ", ".join(shown) + more


def contradictions(api: API, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Report members of the response that contradict each other."""
    for finding in api.find_contradictions(_response(written)):
        path = json_path(["response", *finding.path])
        yield warning(place.at(path), finding.message)


def impossible_count(
    api: API, mock: AnyMock, written: WrittenAnswer, place: Place
) -> Iterator[Problem]:
    """Report a response of `mock` with another number of answers than its match has inputs."""
    if api.batch is None or not compares_exactly(api, mock):
        return
    answers = api.batch.answers(_response(written))
    inputs = api.batch.inputs(match_value(api, mock))
    if answers > 1 and answers != inputs:
        found = "1 input" if inputs == 1 else f"{inputs} inputs"
        message = f"{answers} vectors, but match.input has {found}"
        yield warning(place.at("response.data"), message)


_FIRST_READ = ("choices", "output", "content", "data")
"""Lists of which clients read the first entry."""
_REASONS = ("status", "error", "incomplete_details", "stop_reason")
"""Members that say why an answer is empty."""


def empty_answer(api: API, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Report an answer without any content, unless it says why."""
    answer = _response(written)
    if any(answer.get(name) not in (None, "completed") for name in _REASONS):
        return
    for name in _FIRST_READ:
        if name in api.answer_members and answer.get(name) == []:
            message = f"an empty list: clients read the first of its entries ({name}[0])"
            yield warning(place.at(f"response.{name}"), message)


def confirm_events(api: API, sdk: SDK, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Validate the events of a literal stream against the SDK's model."""
    events = stream_of(written).events
    for index, event in enumerate(events or ()):
        for finding in () if event == DONE else sdk.confirm_event(cast("dict[str, Any]", event)):
            path = json_path(["stream", "events", index, *finding.path])
            yield Problem(place.at(path), finding.message, _severity(finding))
    if events is not None and not _ends(api, events):
        ends = " or ".join(repr(each) for each in api.last_events)
        message = f"expected {ends} as the last event, as the service sends it"
        yield warning(place.at("stream.events"), message)
    if events is not None and stream_of(written).chunk is not None:
        message = "has no effect: events are sent as they are"
        yield warning(place.at("stream.chunk"), message)


def _ends(api: API, events: Sequence[Any]) -> bool:
    """True if the last of the events ends a stream of the service, or is an error."""
    match events[-1:]:
        case [dict() as event]:
            return event.get("type") in api.last_events or bool(event.get("error"))
        case [last]:
            return last in api.last_events
        case _:
            return False


def doubtful_error(api: API, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Report what has no effect beside an error, durations that were surely meant as milliseconds,
    and statuses by which clients recognise no error."""
    failure = written.failure
    if failure is None:
        return
    is_answered = failure.word == "flagged" and api.refuse is not None
    has_others = isinstance(written, Answers) and written.has_state  # which may be streamed
    if "stream" in written.model_fields_set and not is_answered and not has_others:
        message = "no effect: an error is sent whole, before a stream begins"
        yield warning(place.at("stream"), message)
    for path, message in find_suspicious(failure):
        yield warning(place.at(json_path(["error", *path])), message)
    status = failure.status
    if status is not None and status < MIN_ERROR:
        message = f"official clients take an answer with status {status} for no error"
        yield Problem(place.at("error.status"), message, Severity.NOTE)


def duplicate_names(mocks: Iterable[AnyMock], field: str) -> Iterator[Problem]:
    """Report names that several mocks share; `field` is the name of their list."""
    first: dict[str, tuple[int, AnyMock]] = {}
    for index, mock in enumerate(mocks):
        before, other = first.setdefault(mock.name, (index, mock))
        if mock.name and before != index:
            message = f"the name is used twice, first by {other.place_in(field, before)}"
            yield warning(mock.place_in(field, index), message)


def unreachable(covering: str, place: Place, *, by_script: bool = False) -> Problem:
    """Report a mock that never answers, because an earlier one, `covering`, matches the same
    requests. It does so `by_script` if it fails once its sequence is over."""
    message = f"unreachable: {covering} matches every request that this mock matches"
    if by_script:
        message += ', also once its sequence is over: "at_end": "pass" leaves them to this mock'
    return warning(place, message)


def not_compared(missed: Sequence[Rule], places: Sequence[Place]) -> Problem:
    """Report mocks, one at least, that were not compared with all that may hide them. `places` are
    those of all mocks."""
    many = f"this mock and {len(missed) - 1} others were" if len(missed) > 1 else "this mock was"
    message = (
        f"{many} not compared with each mock before, because too many begin with a condition that "
        "may hide any ('not', a range, a regular expression): one that hides it may be missed; "
        "another condition before those, such as 'model', lets fewer be compared"
    )
    return Problem(places[missed[0].index].at("match"), message, Severity.NOTE)


def costs(rules: Sequence[Rule], places: Sequence[Place]) -> Iterator[Problem]:
    """Report the time that the conditions of an API's rules take in every request. `places` are
    those of the mocks."""
    compared: list[Rule] = []
    for rule in rules:
        is_compared, slow = costs_of(rule)
        if is_compared:
            compared.append(rule)
        if slow:
            remedy = "another condition beside it, such as 'model', saves that"
            yield Problem(places[rule.index].at("match"), f"{slow}; {remedy}", Severity.NOTE)
    if len(compared) > MAX_COMPARED:
        yield warning(
            places[compared[0].index].at("match"),
            f"this mock and {len(compared) - 1} others are compared with every request one by one, "
            f"2 µs each, because no condition of theirs can be looked up ('not', ranges and the "
            "like cannot); add one that can, such as 'model' or 'user'",
        )
    crowded = first_crowded(rules, MAX_CANDIDATES)
    if crowded is not None:
        message = (
            f"every request that this mock matches is also matched by {MAX_CANDIDATES} earlier "
            "mocks with a 'sequence' or 'first', and has to choose among all of them: write them "
            "as one 'sequence', or tell them apart by their matches"
        )
        yield warning(places[crowded.index], message)
