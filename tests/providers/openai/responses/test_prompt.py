"""Responses requests and matches, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.prompt import NOT_STREAMED, Prompt, ResponseOptions
from mockllm.providers.openai.responses.prompt import (
    DEFAULT_MODEL,
    canonical,
    compile_match,
    decode,
)
from mockllm.providers.routes import NO_VALUES, Values
from tests.support.rules import user

Json = dict[str, Any]

ROLES = "user, assistant, system, developer"
NOTE = {"role": "developer", "content": "a note"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "done"}


def asked(value: Any = "hi", *, values: Values = NO_VALUES, **members: Any) -> Prompt:
    body = {"model": "m", "input": value, **members}
    return decode(Request.of("POST", "/", body=orjson.dumps(body)), values)


def refusal(value: Any = "hi", **members: Any) -> tuple[int, str, str | None, str | None]:
    with pytest.raises(RequestError) as caught:
        asked(value, **members)
    error = caught.value
    return error.status, error.message, error.param, error.code


def matches(expected: Any, found: Any, *, contains: bool = False) -> bool:
    return compile_match(expected, contains).difference(asked(found), {}) is None


# --- decode --------------------------------------------------------------------------------------


def test_a_text_is_one_message_of_the_user() -> None:
    prompt = asked("grüß dich 👋", extra=[1])

    (last,) = prompt.last_messages
    assert (prompt.endpoint, prompt.model, prompt.options) == ("openai_response", "m", NOT_STREAMED)
    assert (last.role, last.size) == ("user", 1)
    assert last.texts == last.search_texts == ("grüß dich 👋",)
    assert prompt.body["extra"] == [1]


def test_an_empty_list_has_no_item_and_contains_no_text_but_the_empty_one() -> None:
    (last,) = asked([]).last_messages

    assert (last.role, last.texts, last.search_texts, last.size) == ("user", (), ("",), 0)


@pytest.mark.parametrize(
    ("item", "role", "texts"),
    [
        (user("a"), "user", ("a",)),
        (user([{"type": "input_text", "text": "a"}]), "user", ("a",)),
        ({"type": "message", "role": "assistant"}, "assistant", ()),
        (CALL, "", ("f", '{"a": 1}')),
        (OUTPUT, "", ("done",)),
        ({**OUTPUT, "output": [{"type": "input_text", "text": "é"}]}, "", ("é",)),
        (
            {"type": "reasoning", "summary": [{"text": "a"}, "b", {"text": 1}, {"text": "c"}]},
            "",
            ("a", "c"),
        ),
        ({"type": "new", "role": 5, "name": 1, "arguments": {}, "summary": "s"}, "", ()),
    ],
)
def test_the_texts_of_the_last_item_are_read(item: Json, role: str, texts: tuple[str, ...]) -> None:
    (last,) = asked([user("first"), item]).last_messages

    assert (last.role, last.texts, last.size) == (role, texts, 2)


def test_the_json_of_the_last_item_is_searched_too() -> None:
    (last,) = asked([OUTPUT]).last_messages

    assert last.search_texts[:-1] == last.texts
    assert '"call_id":"c"' in last.search_texts[-1]


def test_a_system_note_at_the_end_leaves_the_item_before_it_to_match_by_its_text() -> None:
    note, turn = asked([user("old"), user("hi"), NOTE]).last_messages

    assert (note.texts, note.size) == (("a note",), 3)
    assert (turn.texts, turn.items) == (("hi",), None)


def test_a_request_with_nothing_but_a_system_note_has_one_message_to_match() -> None:
    assert [last.texts for last in asked([NOTE]).last_messages] == [("a note",)]


def test_a_model_in_the_path_is_used_where_the_body_has_none() -> None:
    assert asked(model=None, values={"model": "deployed"}).model == "deployed"
    assert asked(values={"model": "deployed"}).model == "m"


@pytest.mark.parametrize(
    "members",
    [
        {"prompt": {"id": "pmpt_1"}},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
    ],
)
def test_a_stored_context_stands_for_the_input(members: Json) -> None:
    prompt = asked(None, **members)

    assert [(last.texts, last.size) for last in prompt.last_messages] == [((), 0)]
    assert list(prompt.messages()) == []


def test_a_stored_prompt_stands_for_the_model() -> None:
    stored = {"id": "pmpt_1"}

    assert asked(None, model=None, prompt=stored).model == DEFAULT_MODEL
    assert asked("hi", prompt=stored).model == "m"
    assert refusal(model=None, previous_response_id="resp_1")[2] == "model"
    assert refusal(model="", prompt=stored)[2] == "model"


def test_a_reference_may_lack_its_type() -> None:
    reference = {"id": "msg_1"}

    assert matches([{"type": "item_reference", **reference}], [reference])
    assert matches([reference], [{"type": "item_reference", **reference}])
    assert not matches([reference], [{"id": "msg_2"}])


@pytest.mark.parametrize(
    ("value", "members", "path"),
    [
        ("hi", {"model": None}, "model"),
        (None, {}, "input"),
        ([user("a"), {}], {}, "input.1.type"),
        ([{"type": None, "content": "a"}], {}, "input.0.type"),
        ([{"type": "message", "content": "a"}], {}, "input.0.role"),
        ([{"role": None}], {}, "input.0.role"),
        ([user([{"type": "input_text"}, {"text": "a"}])], {}, "input.0.content.1.type"),
    ],
)
def test_a_missing_member_is_named(value: Any, members: Json, path: str) -> None:
    message = f"{path}: Field required. Missing required parameter: '{path}'."

    assert refusal(value, **members) == (400, message, path, "missing_required_parameter")


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (5, "input", "expected a string or a list, found 5"),
        ({"role": "user"}, "input", "expected a string or a list, found an object"),
        ([user("a"), "hi"], "input.1", "expected an object, found 'hi'"),
        ([None], "input.0", "expected an object, found null"),
        ([{"type": 5, "role": "user"}], "input.0.type", "expected a string, found 5"),
        (
            [{"role": "tool", "content": "a"}],
            "input.0.role",
            f"expected one of {ROLES}, found 'tool'",
        ),
        ([user(5)], "input.0.content", "expected a string or a list of parts, found 5"),
        ([user(["é"])], "input.0.content.0", "expected an object, found 'é'"),
        ([user([{"type": []}])], "input.0.content.0.type", "expected a string, found a list"),
    ],
)
def test_an_input_of_a_wrong_type_is_named(value: Any, path: str, reason: str) -> None:
    assert refusal(value) == (400, f"{path}: {reason}", path, "invalid_type")


@pytest.mark.parametrize(
    ("members", "path", "reason"),
    [
        ({"model": 5}, "model", "expected a non-empty string, found 5"),
        ({"max_output_tokens": "9"}, "max_output_tokens", "expected an integer, found '9'"),
        ({"stream": 1}, "stream", "expected a boolean, found 1"),
        ({"stream_options": True}, "stream_options", "expected an object, found true"),
        (
            {"stream_options": {"include_obfuscation": 0}},
            "stream_options.include_obfuscation",
            "expected a boolean, found 0",
        ),
    ],
)
def test_an_option_of_a_wrong_type_is_named(members: Json, path: str, reason: str) -> None:
    assert refusal(**members) == (400, f"{path}: {reason}", path, "invalid_type")


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"stream": None}, NOT_STREAMED),
        ({"stream": False, "stream_options": {"include_obfuscation": False}}, NOT_STREAMED),
        ({"stream": True}, ResponseOptions(stream=True)),
        (
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            ResponseOptions(stream=True, include_obfuscation=False),
        ),
    ],
)
def test_the_form_of_the_answer_is_read(members: Json, options: ResponseOptions) -> None:
    assert asked(**members).options == options


# --- compile_match -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("hi", "hi", True),
        ("hi", [user("hi")], True),
        ("hi", [user([{"type": "input_text", "text": "hi"}])], True),
        ("hi", "hi!", False),
        ("hi", [user("before"), user("hi")], False),
        ([user("before"), user("hi")], [user("before"), user("hi")], True),
        ([user("hi"), user("before")], [user("before"), user("hi")], False),
        ([CALL, OUTPUT], [CALL, OUTPUT], True),
        ([], [], True),
        ([], "", False),
    ],
)
def test_a_match_compares_the_whole_input(expected: Any, found: Any, holds: bool) -> None:
    assert matches(expected, found) is holds


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("👋", "oh 👋!", True),
        ("hi", [user("hi"), user("after")], False),
        ('"call_id":"c"', [OUTPUT], True),
        ("hi", [user("oh hi"), NOTE], True),
        ([OUTPUT], [user("a"), CALL, OUTPUT], True),
        ([CALL], [user("a"), CALL, OUTPUT], False),
        ([user("hi")], [user("oh hi")], False),
        ([user("a"), OUTPUT], [OUTPUT], False),
        ([], "anything", True),
    ],
)
def test_contains_looks_for_a_text_or_for_the_last_items(
    expected: Any, found: Any, holds: bool
) -> None:
    assert matches(expected, found, contains=True) is holds


@pytest.mark.parametrize("contains", [False, True])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([user("a"), "hi"], "1: expected an object, found a string"),
        ([None], "0: expected an object, found null"),
        ([{}], f"0.role: expected one of {ROLES}, found nothing"),
        ([OUTPUT, {"role": "tool"}], f"1.role: expected one of {ROLES}, found 'tool'"),
    ],
)
def test_a_match_that_cannot_be_compiled_says_why(
    value: list[Any], error: str, contains: bool
) -> None:
    with pytest.raises(ValueError, match=r"^\d") as caught:
        compile_match(value, contains)

    assert str(caught.value) == error


# --- canonical -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (user("é"), {"type": "message", "content": "é", "role": "user"}),
        (user("a"), user("a", id="msg_1", status="completed", new=1)),
        (user("a"), user([{"type": "output_text", "text": "a", "annotations": []}])),
        (user(None), {"role": "user"}),
        (CALL, {**CALL, "id": "fc_1", "status": "completed"}),
        (CALL, {**CALL, "arguments": '{"a":1}', "undeclared": 1}),
        (OUTPUT, {**OUTPUT, "id": None}),
        (OUTPUT, {**OUTPUT, "output": [{"type": "input_text", "text": "done"}]}),
        ({"type": "new", "a": 1, "id": "1"}, {"a": 1, "type": "new", "id": "2"}),
    ],
)
def test_items_that_mean_the_same_are_equal(one: Json, other: Json) -> None:
    assert canonical(one) == canonical(other)
    assert matches([one], [other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (user("a"), user("A")),
        (user("é"), user("e\u0301")),
        (user("a"), {"role": "assistant", "content": "a"}),
        (user(""), user(None)),
        (CALL, {**CALL, "call_id": "d"}),
        (CALL, {**CALL, "name": "g"}),
        (CALL, {**CALL, "arguments": '{"a": true}'}),
        (OUTPUT, {**OUTPUT, "output": "failed"}),
        (OUTPUT, {**OUTPUT, "type": "custom_tool_call_output"}),
        ({"type": "item_reference", "id": "1"}, {"type": "item_reference", "id": "2"}),
        ({"type": "new", "a": 1}, {"type": "new", "a": 1, "b": 2}),
    ],
)
def test_items_that_mean_something_else_differ(one: Json, other: Json) -> None:
    assert canonical(one) != canonical(other)
    assert not matches([one], [other])
