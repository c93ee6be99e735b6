"""Chat Completions requests and matches, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.prompt import NOT_STREAMED, Prompt, ResponseOptions
from mockllm.providers.openai.chat.prompt import MEMBERS, canonical, compile_match, decode
from mockllm.providers.routes import NO_VALUES, Values
from tests.support.rules import user

Json = dict[str, Any]

ROLES = "developer, system, user, assistant, tool, function"
NOTE = {"role": "system", "content": "a note"}


def asked(*messages: Any, values: Values = NO_VALUES, **members: Any) -> Prompt:
    body = {"model": "m", "messages": list(messages or [user("hi")]), **members}
    return decode(Request.of("POST", "/", body=orjson.dumps(body)), values)


def refusal(**members: Any) -> tuple[int, str, str | None, str | None]:
    with pytest.raises(RequestError) as caught:
        asked(**members)
    error = caught.value
    return error.status, error.message, error.param, error.code


def matches(expected: Json, found: Json, *, contains: bool = False) -> bool:
    return compile_match(expected, contains).difference(asked(found), {}) is None


def calling(**call: Any) -> Json:
    return {"role": "assistant", "tool_calls": [call]}


# --- decode --------------------------------------------------------------------------------------


def test_a_prompt_has_the_model_the_last_message_and_the_body() -> None:
    prompt = asked(user("first"), user("grüß dich 👋"), extra=[1])

    assert (prompt.endpoint, prompt.model, prompt.options) == ("openai", "m", NOT_STREAMED)
    assert [(last.role, last.texts) for last in prompt.last_messages] == [
        ("user", ("grüß dich 👋",))
    ]
    assert prompt.body["extra"] == [1]


def test_the_texts_of_a_message_are_those_of_its_text_parts() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "refusal", "refusal": "b"},
        {"type": "text", "text": 5},
    ]

    (last,) = asked(user(parts)).last_messages

    assert last.texts == last.search_texts == ("a", "b")


@pytest.mark.parametrize("content", [None, []])
def test_a_message_may_have_no_text(content: Any) -> None:
    assert asked({"role": "assistant", "content": content}).last_messages[0].texts == ()


@pytest.mark.parametrize("role", MEMBERS)
def test_every_role_of_the_service_is_accepted(role: str) -> None:
    assert asked({"role": role, "content": ""}).last_messages[0].role == role


def test_a_system_note_at_the_end_leaves_the_turn_before_it_to_match_as_well() -> None:
    prompt = asked(user("old"), user("hi"), NOTE, {"role": "developer", "content": "another"})

    assert [last.texts for last in prompt.last_messages] == [("another",), ("hi",)]


def test_a_request_with_nothing_but_a_system_note_has_one_message_to_match() -> None:
    assert [last.texts for last in asked(NOTE).last_messages] == [("a note",)]


def test_a_model_in_the_path_is_used_where_the_body_has_none() -> None:
    assert asked(model=None, values={"model": "deployed"}).model == "deployed"
    assert asked(values={"model": "deployed"}).model == "m"


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^We could not parse the JSON body") as caught:
        decode(Request.of("POST", "/", body=b'{"model":'), NO_VALUES)

    assert (caught.value.status, caught.value.param) == (400, None)


def test_a_body_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(RequestError, match="expected a JSON object, found a list"):
        decode(Request.of("POST", "/", body=b"[]"), NO_VALUES)


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": [user("a"), {"content": "b"}]}, "messages.1.role"),
        ({"messages": [user([{"text": "a"}])]}, "messages.0.content.0.type"),
    ],
)
def test_a_missing_member_is_named(members: Json, path: str) -> None:
    message = f"{path}: Field required. Missing required parameter: '{path}'."

    assert refusal(**members) == (400, message, path, "missing_required_parameter")


@pytest.mark.parametrize(
    ("members", "path", "reason"),
    [
        ({"model": ""}, "model", "expected a non-empty string, found ''"),
        ({"model": 5}, "model", "expected a non-empty string, found 5"),
        ({"messages": {}}, "messages", "expected a list, found an object"),
        ({"messages": ["hi"]}, "messages.0", "expected an object, found 'hi'"),
        (
            {"messages": [user("a"), {"role": "robot", "content": "b"}]},
            "messages.1.role",
            f"expected one of {ROLES}, found 'robot'",
        ),
        (
            {"messages": [{"role": ["user"]}]},
            "messages.0.role",
            f"expected one of {ROLES}, found a list",
        ),
        (
            {"messages": [user(5)]},
            "messages.0.content",
            "expected a string or a list of parts, found 5",
        ),
        ({"messages": [user(["é"])]}, "messages.0.content.0", "expected an object, found 'é'"),
        (
            {"messages": [user([{"type": "text"}, {"type": 1}])]},
            "messages.0.content.1.type",
            "expected a string, found 1",
        ),
        ({"n": True}, "n", "expected an integer, found true"),
        ({"max_tokens": 1.5}, "max_tokens", "expected an integer, found 1.5"),
        ({"stream": "true"}, "stream", "expected a boolean, found 'true'"),
        ({"stream_options": []}, "stream_options", "expected an object, found a list"),
        (
            {"stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "expected a boolean, found 1",
        ),
        (
            {"stream": True, "stream_options": {"include_obfuscation": "no"}},
            "stream_options.include_obfuscation",
            "expected a boolean, found 'no'",
        ),
    ],
)
def test_a_member_of_a_wrong_type_is_named(members: Json, path: str, reason: str) -> None:
    assert refusal(**members) == (400, f"{path}: {reason}", path, "invalid_type")


def test_a_request_without_messages_is_refused() -> None:
    status, message, param, code = refusal(messages=[])

    assert (status, param, code) == (400, "messages", "empty_array")
    assert message.startswith("messages: at least one message is required.")


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"stream": None}, NOT_STREAMED),
        ({"stream": False, "stream_options": {"include_usage": True}}, NOT_STREAMED),
        ({"stream": True}, ResponseOptions(stream=True)),
        ({"stream": True, "stream_options": None}, ResponseOptions(stream=True)),
        (
            {"stream": True, "stream_options": {"include_usage": True}},
            ResponseOptions(stream=True, include_usage=True),
        ),
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
    ("expected", "found", "contains", "holds"),
    [
        (user("hi"), user("hi"), False, True),
        (user("hi"), user("hi!"), False, False),
        (user("hi"), {"role": "system", "content": "hi"}, False, False),
        (user("👋"), user("oh 👋!"), True, True),
        (user("hi"), {"role": "developer", "content": "hi"}, True, False),
        (user([{"type": "text", "text": "hi"}]), user("oh hi"), True, True),
        (user(None), user("anything"), True, True),
        (user([]), user("anything"), True, True),
    ],
)
def test_a_match_compares_role_and_text(
    expected: Json, found: Json, contains: bool, holds: bool
) -> None:
    assert matches(expected, found, contains=contains) is holds


@pytest.mark.parametrize(
    ("message", "contains", "error"),
    [
        ({"content": "a"}, False, f"role: expected one of {ROLES}, found nothing"),
        ({"role": "robot"}, True, f"role: expected one of {ROLES}, found 'robot'"),
        (user(5), True, "content: expected a string or a list of parts, found a number"),
    ],
)
def test_a_match_that_cannot_be_compiled_says_why(
    message: Json, contains: bool, error: str
) -> None:
    with pytest.raises(ValueError, match=r"^(role|content): ") as caught:
        compile_match(message, contains)

    assert str(caught.value) == error


# --- canonical -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (user("é"), {"content": "é", "role": "user"}),
        (user("a"), user([{"type": "text", "text": "a"}])),
        (user("a"), user("a", name=None)),
        (user("a"), user("a", cache_control={"type": "ephemeral"})),
        (user("a"), user("a", unknown=1)),
        (user("a"), user("a", tool_call_id="only of a tool message")),
        ({"role": "assistant"}, {"role": "assistant", "content": None, "tool_calls": []}),
        (
            user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            user([{"type": "text", "text": "a", "new": 1}, {"text": "b", "type": "text"}]),
        ),
        (
            calling(id="1", type="function", function={"name": "f", "arguments": '{"a":1,"b":2}'}),
            calling(id="1", function={"arguments": '{ "b": 2, "a": 1 }', "name": "f", "x": 1}),
        ),
        (
            calling(id="1", type="custom", custom={"name": "f", "input": "a"}),
            calling(id="1", type="custom", custom={"name": "f", "input": "a", "new": 1}, index=0),
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "[1]"}},
            {"role": "assistant", "function_call": {"name": "f", "arguments": "[ 1 ]"}},
        ),
    ],
)
def test_messages_that_mean_the_same_are_equal(one: Json, other: Json) -> None:
    assert canonical(one) == canonical(other)
    assert matches(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (user("a"), user("A")),
        (user("é"), user("e\u0301")),
        (user("a"), {"role": "developer", "content": "a"}),
        (user("a"), user("a", name="b")),
        (user(""), user(None)),
        (user(""), user([])),
        (
            user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            user([{"type": "text", "text": "b"}, {"type": "text", "text": "a"}]),
        ),
        (user([{"type": "new", "a": 1}]), user([{"type": "new", "a": 1, "b": 2}])),
        (calling(id="1"), calling(id="2")),
        (
            calling(function={"name": "f", "arguments": "not json"}),
            calling(function={"name": "f", "arguments": "not  json"}),
        ),
        (
            calling(function={"name": "f", "arguments": "1"}),
            calling(function={"name": "f", "arguments": "true"}),
        ),
        (
            calling(function={"name": "f", "arguments": "{}"}),
            calling(function={"name": "f", "arguments": {"json": {}, "x": 1}}),
        ),
        (calling(function="f"), calling(function="g")),
        (
            calling(type="custom", custom={"name": "f", "input": "a"}),
            calling(type="custom", custom={"name": "f", "input": "b"}),
        ),
        ({"role": "assistant", "tool_calls": ["a"]}, {"role": "assistant", "tool_calls": ["b"]}),
        ({"role": "assistant", "tool_calls": "a"}, {"role": "assistant", "tool_calls": []}),
        (
            {"role": "tool", "content": "a", "tool_call_id": "1"},
            {"role": "tool", "content": "a", "tool_call_id": "2"},
        ),
    ],
)
def test_messages_that_mean_something_else_differ(one: Json, other: Json) -> None:
    assert canonical(one) != canonical(other)
    assert not matches(one, other)
