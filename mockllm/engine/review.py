"""Checks of mocks: errors that prevent serving them, warnings about likely mistakes, and notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from mockllm.config.mistakes import json_path
from mockllm.config.models import MatchType, Mock
from mockllm.config.values import DONE
from mockllm.engine.mocks import stream_of
from mockllm.errors import Place, Problem, Severity
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.prompt import NOT_STREAMED
from mockllm.providers.api import API, SDK
from mockllm.providers.error_body import is_error_body
from mockllm.replies.prepared import PreparedReply
from mockllm.validation.findings import Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import jsontext, placeholders
from mockllm.wire.placeholders import FreshValues

MAX_PATHS = 20  # missing members of one response that are listed

_ANY_MODEL = "any-model"
_ANY_DELIVERY = FreshValues(b"0" * 20, b"1" * 10, b" " * 29)


def match_value(api: API, mock: Mock) -> Any:
    """Return the message or input that requests are compared with; None if any matches."""
    return getattr(mock.match, api.match_field)


def compares_exactly(api: API, mock: Mock) -> bool:
    """Return True if requests must have the message or input of the mock's match, all of it."""
    return match_value(api, mock) is not None and mock.match.match_type is MatchType.EXACT


def unserialisable_values(api: API, mock: Mock, place: Place) -> Iterator[Problem]:
    """Report Python values that JSON cannot represent: NaN, an int beyond 64 bits, an object."""
    members = {
        f"match.{api.match_field}": match_value(api, mock),
        "response": mock.answer,
        "stream.events": stream_of(mock).events,
    }
    for name, value in members.items():
        for path, message in jsontext.find_unserialisable(value):
            yield Problem(place.at(json_path([name, *path])), message)


def confirm_no_error(api: API, mock: Mock, place: Place) -> Iterator[Problem]:
    """Report the body of an error in place of an answer, which would be sent with status 200 and
    the members of a success."""
    if is_error_body(mock.answer, api.answer_members):
        message = (
            f"expected an answer of {api.title}, found the body of an error; a mock always answers "
            "with status 200 and cannot send an error (in a stream, 'stream.events' can)"
        )
        if "status" in api.answer_members:
            message += '; for a failed response, add "status": "failed"'
        yield Problem(place.at("response"), message)


def confirm_match(api: API, sdk: SDK, mock: Mock, place: Place) -> Iterator[Problem]:
    """Validate the message or input of a match against the SDK's type. With ``contains``, members
    may be missing, since those that are there are compared."""
    value = match_value(api, mock)
    contains = mock.match.match_type is MatchType.CONTAINS
    for finding in () if value is None else sdk.confirm_match(value):
        if contains and finding.kind is FindingKind.MISSING:
            continue
        path = json_path(["match", api.match_field, *finding.path])
        yield Problem(place.at(path), finding.message)


def empty_conditions(mock: Mock, place: Place) -> Iterator[Problem]:
    """Report conditions on instructions and tools that have no effect, or can never be met."""
    for name in mock.match.model_fields_set & {"system_contains", "tool_names"}:
        values = getattr(mock.match, name)
        if not values:
            message = "an empty list has no effect"
        elif "" in values and name == "tool_names":
            message = "can never match: no tool has an empty name"
        elif "" in values:
            message = "an empty text is in any instruction"
        else:
            continue
        yield Problem(place.at(f"match.{name}"), message, Severity.WARNING)


def confirm_response(api: API, sdk: SDK, mock: Mock, place: Place) -> Iterator[Problem]:
    """Validate a response against the SDK's model, as written and as it is sent. Missing members
    share one line, because a terse response lacks many: a note if they are filled in, a warning if
    they are not."""
    written = sdk.confirm_response(mock.answer)
    missing = [finding for finding in written if finding.kind is FindingKind.MISSING]
    # Where `type` is missing, only the answer with it filled in shows the other mistakes.
    sent = sdk.confirm_response(_sent(api, mock)) if missing else []
    absent = [finding for finding in sent if finding.kind is FindingKind.MISSING]
    for finding in (*written, *(each for each in sent if each not in written)):
        if finding.kind is not FindingKind.MISSING:
            path = json_path(["response", *finding.path])
            yield Problem(place.at(path), finding.message, _severity(finding))
    if absent:
        message = f"missing, and not filled in: {_paths(absent)}"
        yield Problem(place.at("response"), message, Severity.WARNING)
    filled_in = [finding for finding in missing if finding not in absent]
    if filled_in:
        yield Problem(place.at("response"), f"filled in: {_paths(filled_in)}", Severity.NOTE)


def _severity(finding: Finding) -> Severity:
    """Accuse no answer of what an old SDK does not know."""
    return Severity.NOTE if finding.kind is FindingKind.NEWER else Severity.WARNING


def _sent(api: API, mock: Mock) -> Any:
    """Return the answer as it is sent, with missing members filled in."""
    reply = api.render(mock.answer, NOT_STREAMED, "word")
    filled, _ = PreparedReply(reply).for_request(_ANY_MODEL, {"model": _ANY_MODEL})
    return orjson.loads(placeholders.fill_fresh(filled.body, _ANY_DELIVERY))


def _paths(findings: Sequence[Finding]) -> str:
    shown = [json_path(list(finding.path)) for finding in findings[:MAX_PATHS]]
    more = f" and {len(findings) - MAX_PATHS} more" if len(findings) > MAX_PATHS else ""
    return ", ".join(shown) + more


def contradictions(api: API, mock: Mock, place: Place) -> Iterator[Problem]:
    """Report members of the response that contradict each other."""
    for finding in api.find_contradictions(mock.answer):
        path = json_path(["response", *finding.path])
        yield Problem(place.at(path), finding.message, Severity.WARNING)


def impossible_count(api: API, mock: Mock, place: Place) -> Iterator[Problem]:
    """Report a response with another number of answers than its match has inputs."""
    if api.batch is None or not compares_exactly(api, mock):
        return
    answers, inputs = api.batch.answers(mock.answer), api.batch.inputs(match_value(api, mock))
    if answers > 1 and answers != inputs:
        found = "1 input" if inputs == 1 else f"{inputs} inputs"
        message = f"{answers} vectors, but match.input has {found}"
        yield Problem(place.at("response.data"), message, Severity.WARNING)


def unusable_response(mock: Mock, place: Place) -> Iterator[Problem]:
    """Report what fits the SDK's type and no client can use: no choice, and arguments of a call
    that are not JSON."""
    if mock.answer.get("choices") == []:
        message = "an empty list: clients read the first choice"
        yield Problem(place.at("response.choices"), message, Severity.WARNING)
    todo: list[tuple[list[str | int], Any]] = [
        ([name], mock.answer.get(name)) for name in ("choices", "output")
    ]
    while todo:
        path, value = todo.pop()
        if isinstance(value, list):
            todo += [([*path, index], entry) for index, entry in enumerate(value)]
        elif isinstance(value, dict):
            todo += [([*path, name], member) for name, member in value.items()]
        elif path[-1] == "arguments" and isinstance(value, str) and not _is_json(value):
            message = f"the arguments of a call are not JSON: {jsontext.describe(value)}"
            yield Problem(place.at(json_path(["response", *path])), message, Severity.WARNING)


def _is_json(text: str) -> bool:
    try:
        jsontext.loads(text.encode("utf-8", "replace"))
    except ValueError:
        return text == ""  # some services send it for no arguments
    return True


def confirm_events(api: API, sdk: SDK, mock: Mock, place: Place) -> Iterator[Problem]:
    """Validate the events of a literal stream against the SDK's model."""
    events = stream_of(mock).events
    for index, event in enumerate(events or ()):
        for finding in () if event == DONE else sdk.confirm_event(cast("dict[str, Any]", event)):
            path = json_path(["stream", "events", index, *finding.path])
            yield Problem(place.at(path), finding.message, _severity(finding))
    if events is not None and api.ends_with_done and DONE not in events[-1:]:
        message = f"expected {DONE!r} as the last event, as the service sends it"
        yield Problem(place.at("stream.events"), message, Severity.WARNING)


def duplicate_names(mocks: Iterable[Mock], field: str) -> Iterator[Problem]:
    """Report names that several mocks share; `field` is the name of their list."""
    first: dict[str, Place] = {}
    for index, mock in enumerate(mocks):
        place = mock.place_in(field, index)
        if mock.name and mock.name in first:
            message = f"the name is used twice, first by {first[mock.name]}"
            yield Problem(place, message, Severity.WARNING)
        first.setdefault(mock.name, place)


def unreachable(rules: Sequence[Rule], places: Mapping[int, Place]) -> Iterator[Problem]:
    """Report rules that never answer because an earlier rule matches the same requests. `places`
    are those of their mocks, by the index of the rule."""
    for rule, covering in find_shadowed(rules):
        message = f"unreachable: {covering.label} matches every request that this mock matches"
        yield Problem(places[rule.index], message, Severity.WARNING)
