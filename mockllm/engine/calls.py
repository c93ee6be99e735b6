"""Finds mistakes in the calls of tools, in the answers and the matches of mocks.

It goes by the members that calls and their results have in all APIs, not by the types of one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mockllm.config.answers import WrittenAnswer
from mockllm.config.mistakes import json_path
from mockllm.config.models import AnyMock
from mockllm.engine.mock_sources import stream_of
from mockllm.errors import Place, Problem, Severity, warning
from mockllm.wire import jsontext

Path = tuple[str | int, ...]
_Object = Mapping[str, Any]

_CONTAINERS = ("choices", "output", "content")  # the members of an answer that calls are in
_REFERENCES = ("tool_call_id", "tool_use_id")  # of results; in Responses it is `call_id`


def mistakes_in_answer(written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Report arguments of calls in an answer that are not JSON, and calls with the id of an earlier
    one. (The API's `confirm_response` compares the ids of calls in Responses.)"""
    first: dict[tuple[Path, str], Path] = {}
    for path, each in _objects(_answered(written)):
        if _has_malformed_arguments(each):
            message = (
                f"the arguments of a call are not JSON: {jsontext.describe(each['arguments'])}"
            )
            yield warning(place.at(json_path(["response", *path, "arguments"])), message)
        call_id = each.get("id")
        if not isinstance(call_id, str) or "call_id" in each or not _is_call(path, each):
            continue
        earlier = first.setdefault((path[:-1], call_id), path)
        if earlier != path:
            message = (
                f"the same as that of {json_path(['response', *earlier])}; results refer to calls "
                "by their id"
            )
            yield warning(place.at(json_path(["response", *path, "id"])), message)


def find_calls(written: WrittenAnswer) -> Iterator[str]:
    """Yield the paths of the calls of tools in an answer: ``reply.tool_calls[0]``."""
    said = written.said.tool_calls if written.said is not None else None
    for index, _ in enumerate(said or ()):
        yield f"reply.tool_calls[{index}]"
    for path, each in _objects(_answered(written)):
        if _is_call(path, each):
            yield json_path(["response", *path])


def malformed_in_answers(mocks: Iterable[AnyMock]) -> frozenset[str]:
    """Return the arguments of calls in the answers of `mocks` that are not JSON."""
    answers = (_answered(written) for mock in mocks for _, written in mock.written())
    return frozenset(text for answer in answers for _, text in _malformed_arguments(answer))


def arguments_in_match(
    field: str, mock: AnyMock, answered: Callable[[], Container[str]], place: Place
) -> Iterator[Problem]:
    """Report arguments of calls in a match, compared whole, that are not JSON, unless they are
    `answered` too (`malformed_in_answers`), which is asked only if there are any. `field` is the
    member of the match."""
    for path, arguments in _malformed_arguments(getattr(mock.match, field)):
        if arguments not in answered():
            message = (
                f"the arguments of a call are not JSON: {jsontext.describe(arguments)}; no mock "
                "answers with them, so only a client that makes them up can match"
            )
            yield warning(place.at(json_path(["match", field, *path])), message)


def results_without_call(
    field: str, mocks: Sequence[tuple[AnyMock, Place, Hashable]]
) -> Iterator[Problem]:
    """Report results in matches whose call no mock makes, if the mocks make calls with ids at all.
    It is a note: a client may have made the call itself. `field` is the member of the match. The
    mocks have their forms (`engine.forms`), None if unknown: equal ones have results with equal
    ids."""
    without: set[Hashable] = set()  # results
    results: list[tuple[Place, str, AnyMock]] = []
    for mock, place, form in mocks:
        if form in without:
            continue
        found = [*_results(getattr(mock.match, field))]
        if not found and form is not None:
            without.add(form)
        for path, call_id in found:
            results.append((place.at(json_path(["match", field, *path])), call_id, mock))
    if not results:
        return
    answers = [written for mock, _, _ in mocks for _, written in mock.written()]
    made = {call_id for written in answers for call_id in _ids(_answered(written))}
    if not made:
        return
    for written in answers:
        made |= {call_id for event in stream_of(written).events or () for call_id in _ids(event)}
    for place, call_id, mock in results:
        if call_id not in made and call_id not in _ids(getattr(mock.match, field)):
            message = f"no mock makes a call with the id {call_id!r}"
            yield Problem(place, message, Severity.NOTE)


def _answered(written: WrittenAnswer) -> dict[str, Any]:
    answer = written.answer or {}
    return {name: answer[name] for name in _CONTAINERS if name in answer}


def _objects(value: Any) -> Iterator[tuple[Path, _Object]]:
    """Yield the objects in a JSON value with their paths, in order."""
    todo: list[tuple[Path, Any]] = [((), value)]
    while todo:
        path, each = todo.pop()
        members: Iterable[tuple[str | int, Any]] = ()
        if isinstance(each, dict):
            yield path, each
            members = each.items()
        elif isinstance(each, list):
            members = enumerate(each)
        inner = [((*path, name), each) for name, each in members if isinstance(each, (dict, list))]
        todo += reversed(inner)


def _malformed_arguments(value: Any) -> Iterator[tuple[Path, str]]:
    for path, each in _objects(value):
        if _has_malformed_arguments(each):
            yield (*path, "arguments"), each["arguments"]


def _has_malformed_arguments(call: _Object) -> bool:
    arguments = call.get("arguments")
    return isinstance(arguments, str) and not _is_json(arguments)


def _is_json(text: str) -> bool:
    try:
        jsontext.loads(text.encode("utf-8", "replace"))
    except ValueError:
        return text == ""  # some services send it for no arguments
    return True


def _is_call(path: Path, value: _Object) -> bool:
    kind = value.get("type")
    is_listed = path[-2:-1] == ("tool_calls",)
    return is_listed or (isinstance(kind, str) and kind.endswith(("tool_use", "_call")))


def _ids(value: Any) -> set[str]:
    calls = (each for path, each in _objects(value) if _is_call(path, each))
    found = [call.get("call_id", call.get("id")) for call in calls]
    return {call_id for call_id in found if isinstance(call_id, str)}


def _results(value: Any) -> Iterator[tuple[Path, str]]:
    for path, each in _objects(value):
        kind = each.get("type")
        is_output = isinstance(kind, str) and kind.endswith("call_output")
        for name in (*_REFERENCES, "call_id") if is_output else _REFERENCES:
            if isinstance(each.get(name), str):
                yield (*path, name), each[name]
