"""Checks of mocks: errors that prevent serving them, and warnings about likely mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from mockllm.config.mistakes import json_path, label
from mockllm.config.models import Mock
from mockllm.config.values import DONE
from mockllm.engine.mocks import stream_of
from mockllm.errors import Problem, Severity
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.providers.api import API, SDK
from mockllm.providers.error_body import is_error_body
from mockllm.validation.findings import Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import jsontext


def match_value(api: API, mock: Mock) -> Any:
    """Return the message or input that requests are compared with; None if any matches."""
    return getattr(mock.match, api.match_field)


def unserialisable_values(api: API, mock: Mock, place: str) -> Iterator[Problem]:
    """Report Python values that JSON cannot represent: NaN, an int beyond 64 bits, an object."""
    members = {
        f"match.{api.match_field}": match_value(api, mock),
        "response": mock.answer,
        "stream.events": stream_of(mock).events,
    }
    for name, value in members.items():
        for path, message in jsontext.find_unserialisable(value):
            yield Problem(f"{place}: {json_path([name, *path])}", message)


def confirm_no_error(api: API, mock: Mock, place: str) -> Iterator[Problem]:
    """Report the body of an error in place of an answer, which would be sent with status 200 and
    the members of a success."""
    if is_error_body(mock.answer, api.answer_members):
        message = (
            f"expected an answer of {api.title}, found the body of an error; a mock always answers "
            "with status 200 and cannot send an error (in a stream, 'stream.events' can)"
        )
        if "status" in api.answer_members:
            message += '; for a failed response, add "status": "failed"'
        yield Problem(f"{place}: response", message)


def confirm_match(api: API, sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """Validate the message or input of a match against the SDK's type."""
    value = match_value(api, mock)
    for finding in () if value is None else sdk.confirm_match(value):
        path = json_path(["match", api.match_field, *finding.path])
        yield Problem(f"{place}: {path}", finding.message)


def empty_conditions(mock: Mock, place: str) -> Iterator[Problem]:
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
        yield Problem(f"{place}: match.{name}", message, Severity.WARNING)


def confirm_response(sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """Validate a response against the SDK's model. All missing members share one warning, because
    they are filled in and a terse response lacks many."""
    missing: list[Finding] = []
    for finding in sdk.confirm_response(mock.answer):
        if finding.kind is FindingKind.MISSING:
            missing.append(finding)
        else:
            path = json_path(["response", *finding.path])
            yield Problem(f"{place}: {path}", finding.message, Severity.WARNING)
    if missing:
        paths = ", ".join(json_path(list(finding.path)) for finding in missing)
        message = f"missing, filled in where possible: {paths}"
        yield Problem(f"{place}: response", message, Severity.WARNING)


def confirm_events(api: API, sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """Validate the events of a literal stream against the SDK's model."""
    events = stream_of(mock).events
    for index, event in enumerate(events or ()):
        for finding in () if event == DONE else sdk.confirm_event(cast("dict[str, Any]", event)):
            path = json_path(["stream", "events", index, *finding.path])
            yield Problem(f"{place}: {path}", finding.message, Severity.WARNING)
    if events is not None and api.ends_with_done and DONE not in events[-1:]:
        message = f"expected {DONE!r} as the last event, as the service sends it"
        yield Problem(f"{place}: stream.events", message, Severity.WARNING)


def duplicate_names(mocks: Iterable[Mock], field: str) -> Iterator[Problem]:
    """Report names that several mocks share; `field` is the name of their list."""
    first: dict[str, str] = {}
    for index, mock in enumerate(mocks):
        place = mock.place or label(field, index, mock.name)
        if mock.name and mock.name in first:
            message = f"the name is used twice, first by {first[mock.name]}"
            yield Problem(place, message, Severity.WARNING)
        first.setdefault(mock.name, place)


def unreachable(rules: Sequence[Rule]) -> Iterator[Problem]:
    """Report rules that never answer because an earlier rule matches the same requests."""
    for rule, covering in find_shadowed(rules):
        message = f"unreachable: {covering.label} matches every request that this mock matches"
        yield Problem(rule.label, message, Severity.WARNING)
