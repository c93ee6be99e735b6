"""Messages requests and matches, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.prompt import NOT_STREAMED, STREAMED, Prompt, ResponseOptions
from mockllm.providers.anthropic.messages.prompt import canonical, compile_match, decode
from mockllm.providers.routes import NO_VALUES, Values
from tests.support.rules import user

Json = dict[str, Any]

ROLES = "user, assistant, system"
NOTE = {"role": "system", "content": "a note"}


def asked(*messages: Any, values: Values = NO_VALUES, **members: Any) -> Prompt:
    body = {"model": "m", "max_tokens": 9, "messages": list(messages or [user("hi")]), **members}
    return decode(Request.of("POST", "/", body=orjson.dumps(body)), values)


def refusal(**members: Any) -> tuple[int, str, str | None, str | None]:
    with pytest.raises(RequestError) as caught:
        asked(**members)
    error = caught.value
    return error.status, error.message, error.param, error.code


def matches(expected: Json, found: Json, *, contains: bool = False) -> bool:
    return compile_match(expected, contains).difference(asked(found), {}) is None


def text(value: Any, **more: Any) -> Json:
    return {"type": "text", "text": value, **more}


def result(content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "t", "content": content, **more}


def calling(**call: Any) -> Json:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", **call}]}


# --- decode --------------------------------------------------------------------------------------


def test_a_prompt_has_the_model_the_last_message_and_the_body() -> None:
    prompt = asked(user("first"), user("grüß dich 👋"), extra=[1])

    assert (prompt.endpoint, prompt.model, prompt.options) == ("anthropic", "m", NOT_STREAMED)
    assert [(last.role, last.texts) for last in prompt.last_messages] == [
        ("user", ("grüß dich 👋",))
    ]
    assert prompt.body["extra"] == [1]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (None, ()),
        ([], ()),
        ("", ("",)),
        ([text("a"), {"type": "image", "source": {}}, text("b"), text(5)], ("a", "b")),
        ([result("a"), text("b")], ("a", "b")),
        ([result([text("a"), {"type": "image"}, text("b")])], ("a", "b")),
        ([result(None), result(5), {"type": "tool_result"}], ()),
    ],
)
def test_the_texts_of_a_message_include_those_of_tool_results(
    content: Any, texts: tuple[str, ...]
) -> None:
    (last,) = asked(user(content)).last_messages

    assert last.texts == last.search_texts == texts


def test_contains_searches_more_than_the_words_of_a_message() -> None:
    document = {"type": "document", "title": "b", "source": {"type": "text", "data": "c"}}

    (last,) = asked(user([text("a"), document])).last_messages

    assert (last.texts, last.search_texts) == (("a",), ("a", "b", "c"))


def test_a_system_note_at_the_end_leaves_the_turn_before_it_to_match_as_well() -> None:
    prompt = asked(user("old"), user("hi"), NOTE, {"role": "system", "content": "another"})

    assert [last.texts for last in prompt.last_messages] == [("another",), ("hi",)]


def test_a_request_with_nothing_but_a_system_note_has_one_message_to_match() -> None:
    assert [last.texts for last in asked(NOTE).last_messages] == [("a note",)]


def test_a_model_in_the_path_is_used_where_the_body_has_none() -> None:
    assert asked(model=None, values={"model": "deployed"}).model == "deployed"
    assert asked(values={"model": "deployed"}).model == "m"


@pytest.mark.parametrize(
    ("stream", "options"), [(None, NOT_STREAMED), (False, NOT_STREAMED), (True, STREAMED)]
)
def test_the_form_of_the_answer_is_read(stream: Any, options: ResponseOptions) -> None:
    assert asked(stream=stream).options == options


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [user("a"), {"content": "b"}]}, "messages.1.role"),
        ({"messages": [user([text("a"), {"text": "b"}])]}, "messages.0.content.1.type"),
    ],
)
def test_a_missing_member_is_named(members: Json, path: str) -> None:
    message = f"{path}: Field required. Missing required parameter: '{path}'."

    assert refusal(**members) == (400, message, path, "missing_required_parameter")


@pytest.mark.parametrize(
    ("members", "path", "reason"),
    [
        ({"model": []}, "model", "expected a non-empty string, found a list"),
        ({"messages": "hi"}, "messages", "expected a list, found 'hi'"),
        ({"messages": [user("a"), None]}, "messages.1", "expected an object, found null"),
        (
            {"messages": [{"role": "developer", "content": "a"}]},
            "messages.0.role",
            f"expected one of {ROLES}, found 'developer'",
        ),
        ({"messages": [{"role": 1}]}, "messages.0.role", f"expected one of {ROLES}, found 1"),
        (
            {"messages": [user({})]},
            "messages.0.content",
            "expected a string or a list of parts, found an object",
        ),
        ({"messages": [user(["é"])]}, "messages.0.content.0", "expected an object, found 'é'"),
        (
            {"messages": [user([{"type": False}])]},
            "messages.0.content.0.type",
            "expected a string, found false",
        ),
        ({"max_tokens": "9"}, "max_tokens", "expected an integer, found '9'"),
        ({"max_tokens": True}, "max_tokens", "expected an integer, found true"),
        ({"stream": "yes"}, "stream", "expected a boolean, found 'yes'"),
    ],
)
def test_a_member_of_a_wrong_type_is_named(members: Json, path: str, reason: str) -> None:
    assert refusal(**members) == (400, f"{path}: {reason}", path, "invalid_type")


@pytest.mark.parametrize(
    "members",
    [
        {"max_tokens": 0},
        {"top_k": 0},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "new", "budget_tokens": 1}},
    ],
)
def test_a_count_of_the_minimum_is_accepted(members: Json) -> None:
    assert asked(user("hi"), **members).body.items() >= members.items()


def test_a_request_without_messages_is_refused() -> None:
    status, message, param, code = refusal(messages=[])

    assert (status, param, code) == (400, "messages", "empty_array")
    assert message.startswith("messages: at least one message is required.")


# --- compile_match -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "contains", "holds"),
    [
        (user("hi"), user("hi"), False, True),
        (user("hi"), user("hi!"), False, False),
        (user("hi"), {"role": "assistant", "content": "hi"}, False, False),
        (user("👋"), user("oh 👋!"), True, True),
        (user("hi"), {"role": "assistant", "content": "hi"}, True, False),
        (user([text("hi")]), user("oh hi"), True, True),
        (user("done"), user([result([text("all done")])]), True, True),
        (user("tool_use_id"), user([result("done")]), True, False),
        (user(None), user([result("done")]), True, True),
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
        ({"role": "tool"}, True, f"role: expected one of {ROLES}, found 'tool'"),
        (user({}), True, "content: expected a string or a list of parts, found an object"),
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
        (user("a"), user([text("a")])),
        (user("a"), user([text("a", cache_control={"type": "ephemeral"}, citations=None)])),
        (user("a"), user("a", name="undeclared")),
        (user(None), {"role": "user"}),
        (user([text("a"), text("b")]), user([text("a", new=1), text("b")])),
        (user([result("a")]), user([result([text("a", cache_control={})], is_error=None)])),
        (user([result(None)]), user([{"type": "tool_result", "tool_use_id": "t"}])),
        (calling(input={"a": 1, "b": 2}), calling(input={"b": 2, "a": 1}, new=1)),
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
        (user("a"), {"role": "assistant", "content": "a"}),
        (user(""), user(None)),
        (user(""), user([])),
        (user([text("a"), text("b")]), user([text("b"), text("a")])),
        (user("a"), user([result("a")])),
        (user([result("a")]), user([result("b")])),
        (user([result("a")]), user([result("a", is_error=True)])),
        (user([result("a")]), user([result("a", tool_use_id="u")])),
        (calling(input={"a": 1}), calling(input={"a": True})),
        (calling(input={"a": 1}), calling(input='{"a": 1}')),
        (calling(id="t"), calling(id="u")),
        (user([{"type": "new", "a": 1}]), user([{"type": "new", "a": 1, "b": 2}])),
    ],
)
def test_messages_that_mean_something_else_differ(one: Json, other: Json) -> None:
    assert canonical(one) != canonical(other)
    assert not matches(one, other)
