"""Forms of mocks: with them, a review finds the same as without."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mockllm import Config, ConfigError
from mockllm.config.models import MOCK_FIELDS, Mock, OpenAIMock
from mockllm.engine import tables
from mockllm.engine.forms import MAX_FORMS, form_of
from mockllm.engine.loading import load, review
from tests.support.served import chat_saying, messages_saying

NONE = object()
"""Stands for a member that is left out."""
TEXT = "<text>"
"""Stands for a text of a mock, in a template."""

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
}
RESPONSE = {
    "status": "completed",
    "output": [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ],
}
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 9},
}
EMBEDDING = {"data": [{"embedding": [0.5], "index": 0}]}
SAID = {"message": {"role": "user", "content": TEXT}}
WORDS = {
    "user": {"contains": TEXT},
    "model": TEXT,
    "system": TEXT,
    "tool_result": TEXT,
    "headers": [{"name": "x-a", "value": "b"}],
    "stream": True,
    "turn": 1,
    "api": "chat",
}
TEMPLATES: Mapping[str, Sequence[dict[str, Any]]] = {
    "openai": [
        {"match": SAID | {"match_type": "exact"}, "response": CHAT},
        {"match": SAID | {"match_type": "contains"}, "response": {"choices": CHAT["choices"]}},
        {"match": {"user": TEXT, "model": "m"}, "reply": TEXT},
        {"match": WORDS, "reply": {"text": TEXT}},
        {"match": SAID, "sequence": [TEXT, {"response": CHAT, "times": 2}]},
        {"match": {"user": TEXT}, "first": [TEXT, {"headers": {"x-a": "b"}}], "response": CHAT},
    ],
    "openai_response": [
        {"match": {"input": TEXT}, "response": RESPONSE},
        {"match": {"input": [{"role": "user", "content": TEXT}]}, "response": RESPONSE},
        {"response": RESPONSE | {"output_text": TEXT}},
    ],
    "anthropic": [
        {"match": SAID, "response": MESSAGE},
        {"match": {"last_user": {"starts_with": TEXT}}, "response": {"content": TEXT}},
    ],
    "openai_embeddings": [
        {"match": {"input": TEXT}, "response": EMBEDDING},
        {"match": {"input": [TEXT, "b"]}, "response": EMBEDDING},
        {"match": {"input": TEXT}, "sequence": [{"response": EMBEDDING}, {"response": EMBEDDING}]},
    ],
    "mocks": [
        {"match": WORDS, "reply": TEXT},
        {"match": {"user": TEXT}, "reply": {"text": TEXT, "finish": "length"}},
        {"match": {"user": {"regex": TEXT}}, "reply": {"template": TEXT}},
        {"match": {"user": TEXT}, "sequence": [TEXT, {"reply": TEXT, "times": 2}]},
        {"match": WORDS, "first": [{"reply": TEXT}], "sequence": [TEXT], "at_end": "pass"},
    ],
}
TEXTS = ["", "hi", "Hi, you!", "stop", "assistant", "text", "Grüße", "\ud800", "{", "(", "a\0", " "]
VALUES = [
    *(NONE, None, True, 0, 1, 1.0, float("nan"), 2**70, [], {}, [TEXT], {"a": TEXT}),
    *("", TEXT, "stop", "user", "assistant", "tool", "tool_calls", "failed", "text", "error"),
    *("always", "next", "repeat"),
    {"type": "text", "text": TEXT},
    {"contains": TEXT, "exact": TEXT},
    {"name": TEXT, "error": True},
    [{"id": "c", "type": "function", "function": {"name": "f", "arguments": TEXT}}],
    {"not": {"user": TEXT}},
    {"template": TEXT},
]
NAMES = [
    *("match", "message", "content", "role", "text", "type", "output", "output_text", "choices"),
    *("finish_reason", "tool_calls", "tool_call_id", "status", "error", "usage", "api", "stream"),
    *("tools", "user", "not", "headers", "body", "system_contains", "tool_names", "total_tokens"),
    *("name", "_own", "latency", "fault", "reply", "first", "typo"),
    *("sequence", "times", "retry", "at_end", "response"),
]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    members = value.values() if isinstance(value, dict) else value
    for member in members if isinstance(members, list) or isinstance(value, dict) else ():
        yield from _objects(member)


def _filled(value: Any, texts: Callable[[], str]) -> Any:
    """Return a template with a text in place of each `TEXT`."""
    if isinstance(value, dict):
        return {name: _filled(member, texts) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(each, texts) for each in value]
    return texts() if value == TEXT else value


def _changed(draw: st.DrawFn, template: dict[str, Any]) -> dict[str, Any]:
    """Return a template with another value of one member."""
    template = copy.deepcopy(template)
    changed = draw(st.sampled_from([*_objects(template)]))
    name = draw(st.sampled_from([*changed, *changed, *NAMES]))
    value = draw(st.sampled_from(VALUES))
    changed.pop(name, None)
    if value is not NONE:
        changed[name] = copy.deepcopy(value)
    return template


@st.composite
def mocks_of(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Mocks of one or two lists, which have the form of a template or one or two changes to it."""
    config: dict[str, list[dict[str, Any]]] = {}
    for field in draw(st.lists(st.sampled_from([*TEMPLATES]), min_size=1, max_size=2)):
        forms = [draw(st.sampled_from(TEMPLATES[field]))]
        for _ in range(draw(st.integers(1, 3))):
            forms.append(_changed(draw, draw(st.sampled_from(forms))))
        for form in draw(st.lists(st.sampled_from(forms), min_size=2, max_size=6)):
            filled = _filled(form, lambda: draw(st.sampled_from(TEXTS)))
            config.setdefault(field, []).append(filled)
    return config


def _valid(written: Mapping[str, Sequence[dict[str, Any]]]) -> Config:
    valid: dict[str, Any] = {}
    for field, mocks in written.items():
        for mock in mocks:
            try:
                valid.setdefault(field, []).append(MOCK_FIELDS[field].model_validate(mock))
            except ValidationError:
                continue
    return Config(**valid)


@contextmanager
def one_by_one() -> Iterator[None]:
    """Review each mock, whatever its form."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "form_of", lambda mock: None)
        yield


def _loaded(config: Config) -> Any:
    try:
        loaded = load(config)
    except ConfigError as exc:
        return exc.problems
    tables = [(table.index.rules, table.sources) for table in loaded.tables]
    return repr(tables), loaded.warnings


@given(mocks_of())
@settings(max_examples=200)
def test_loading_by_form_is_loading_one_by_one(written: dict[str, list[dict[str, Any]]]) -> None:
    found = _loaded(_valid(written))
    with one_by_one():
        assert found == _loaded(_valid(written))


@given(mocks_of())
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example writes the file
)
def test_a_review_by_form_finds_the_same_with_all_notes(
    tmp_path: Path, written: dict[str, list[dict[str, Any]]]
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(written))

    found = review(file).problems
    with one_by_one():
        assert found == review(file).problems


def test_mocks_that_differ_in_their_texts_have_one_form() -> None:
    mocks = [
        OpenAIMock.model_validate({"name": text, "match": SAID, "response": chat_saying(text)})
        for text in ("a", "Grüße")
    ]

    assert form_of(mocks[0]) == form_of(mocks[1]) is not None


def test_mocks_with_several_answers_have_one_form() -> None:
    entries = [["a", {"reply": "b", "times": 2}], ["c", {"reply": "d", "times": 2}]]
    mocks = [Mock.model_validate({"sequence": each}) for each in entries]

    assert form_of(mocks[0]) == form_of(mocks[1]) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"reply": "a"}, {"reply": ""}),
        ({"sequence": ["a", "b"]}, {"sequence": ["a"]}),
        ({"sequence": ["a"]}, {"sequence": [{"reply": "a", "times": 2}]}),
        ({"sequence": ["a"]}, {"sequence": ["a"], "at_end": "pass"}),
        ({"reply": "a"}, {"reply": {"text": "a", "finish": "stop"}}),
        ({"match": {"user": "a"}, "reply": "a"}, {"match": {"user": ["a"]}, "reply": "a"}),
        (
            {"match": {"user": {"contains": "a"}}, "reply": "a"},
            {"match": {"user": {"exact": "a"}}, "reply": "a"},
        ),
        (
            {"match": {"user": "a", "tools": []}, "reply": "a"},
            {"match": {"user": "a", "tools": ["f"]}, "reply": "a"},
        ),
    ],
)
def test_mocks_that_differ_in_more_have_other_forms(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert form_of(Mock.model_validate(one)) != form_of(Mock.model_validate(other))


@pytest.mark.parametrize(
    "written",
    [
        {"sequence": ["a", {"error": "rate_limit"}]},
        {"error": "rate_limit"},
        {"reply": "a", "latency": {"ttft": 1}},
        {"reply": {"template": "{{ user }}"}},
        {"match": {"user": {"regex": "a"}}, "reply": "a"},
        {"match": {"not": {"user": "a"}}, "reply": "a"},
    ],
)
def test_what_is_made_late_broken_or_nested_has_no_form(written: dict[str, Any]) -> None:
    assert form_of(Mock.model_validate(written)) is None


def test_a_mock_of_a_known_form_has_notes_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    terse = [{"match": {"model": text}, "response": messages_saying(text)} for text in "ab"]
    file.write_text(json.dumps({"anthropic": terse}))

    notes = [str(each.place) for each in review(file).problems]
    assert notes == [f"{file}: anthropic[{index}]: response" for index in (0, 1)]


def test_the_repeated_text_of_an_answer_is_compared_in_each_mock(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    said = [_filled(RESPONSE, iter(text).__next__) for text in "ab"]
    answers = [answer | {"output_text": "a"} for answer in said]
    mocks = [{"match": {"model": "m"}, "response": answer} for answer in answers]
    file.write_text(json.dumps({"openai_response": mocks}))

    places = [str(each.place) for each in review(file).problems]
    assert f"{file}: openai_response[0]: response.output_text" not in places
    assert f"{file}: openai_response[1]: response.output_text" in places


def test_a_mistake_behind_many_forms_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    tools = [{"match": {"tools": [f"{number}"]}, "reply": "a"} for number in range(MAX_FORMS)]
    wrong = {"match": {"tools": [], "user": "a", "tool_result": "b"}, "reply": "a"}
    file.write_text(json.dumps({"openai": [*tools, wrong, wrong | {"name": "b"}]}))

    places = [str(each.place) for each in review(file).problems if "never match" in each.message]
    assert places == [
        f"{file}: openai[{MAX_FORMS}]: match",
        f"{file}: openai[{MAX_FORMS + 1}] 'b': match",
    ]
