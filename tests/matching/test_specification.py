from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.predicates import HeaderContains, HeaderEquals
from mockllm.matching.rule import Rule
from mockllm.matching.specification import first_match
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from tests.support.rules import rule, user
from tests.support.strategies import ask_chat, ask_embeddings, ask_messages, ask_responses


def holds(wanted: Rule, prompt: Prompt, headers: dict[bytes, bytes] | None = None) -> bool:
    return first_match([wanted], prompt, headers or {}) is wanted


TEXT_PART = {"type": "text", "text": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("mock", "message"),
    [
        (user("hi"), {"content": "hi", "role": "user"}),
        (user("hi"), user("hi", name=None)),
        (user("hi"), user("hi", zzz="unknown members are ignored")),
        (user("hi"), user([TEXT_PART])),
        (user([TEXT_PART]), user("hi")),
        (user([TEXT_PART]), user([TEXT_PART | {"cache_control": {"type": "ephemeral"}}])),
        (user([TEXT_PART, IMAGE]), user([TEXT_PART | {"x": 1}, IMAGE | {"cache_control": {}}])),
        ({"role": "assistant"}, {"role": "assistant", "content": None, "tool_calls": []}),
        (
            {"role": "assistant", "tool_calls": [CALL]},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "function": {"arguments": '{ "a" : 1.0 }', "name": "f", "x": 2},
                        "index": 0,
                    }
                ],
            },
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": "42"},
            {"role": "tool", "tool_call_id": "c", "content": "42", "name": "f"},
        ),
    ],
)
def test_exact_chat_messages_are_equal_where_they_mean_the_same(mock: Any, message: Any) -> None:
    assert holds(rule(CHAT, mock), ask_chat([user("before"), message]))


@pytest.mark.parametrize(
    ("mock", "message"),
    [
        (user("hi"), user("Hi")),
        (user("hi"), user("hi ")),
        (user("\u00e9"), user("e\u0301")),
        (user("hi"), {"role": "system", "content": "hi"}),
        (user("hi"), user("hi", name="bob")),
        (user(""), user(None)),
        (user("hi"), user([TEXT_PART, TEXT_PART])),
        (user([IMAGE]), user([{"type": "image_url", "image_url": {"url": "data:,y"}}])),
        (
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "assistant", "tool_calls": [CALL | {"id": "call_2"}]},
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": "42"},
            {"role": "tool", "tool_call_id": "d", "content": "42"},
        ),
    ],
)
def test_exact_chat_messages_differ_where_meaning_differs(mock: Any, message: Any) -> None:
    assert not holds(rule(CHAT, mock), ask_chat([message]))


@pytest.mark.parametrize(
    ("mock", "block"),
    [
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "ok"},
            {"type": "tool_result", "tool_use_id": "t", "content": [TEXT_PART | {"text": "ok"}]},
        ),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1, "b": [True]}},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"b": [True], "a": 1e0}},
        ),
        (
            {"type": "text", "text": "a"},
            {"type": "text", "text": "a", "citations": None, "cache_control": {"type": "x"}},
        ),
    ],
)
def test_exact_messages_blocks_are_equal_where_they_mean_the_same(mock: Any, block: Any) -> None:
    wanted = rule(MESSAGES, user([mock, TEXT_PART]))

    assert holds(wanted, ask_messages([user([block, TEXT_PART])]))


def test_true_does_not_equal_1() -> None:
    def message(value: Any) -> dict[str, Any]:
        block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": value}}
        return {"role": "assistant", "content": [block]}

    assert not holds(rule(MESSAGES, message(1)), ask_messages([message(True)]))


def test_only_the_last_message_matters() -> None:
    assert not holds(rule(CHAT, user("first")), ask_chat([user("first"), user("second")]))


@pytest.mark.parametrize("note", ["system", "developer"])
def test_a_system_note_after_the_users_turn_is_skipped(note: str) -> None:
    prompt = ask_chat([user("old"), user("hi"), {"role": note, "content": "note"}])

    assert holds(rule(CHAT, user("hi")), prompt)
    assert holds(rule(CHAT, {"role": note, "content": "note"}), prompt)
    assert not holds(rule(CHAT, user("old")), prompt)


@pytest.mark.parametrize(
    ("mock", "message", "expected"),
    [
        (user("ell"), user("hello"), True),
        (user("Ell"), user("hello"), False),
        (user("ell"), {"role": "assistant", "content": "hello"}, False),
        (user([TEXT_PART]), user([{"type": "text", "text": "oh hi there"}, IMAGE]), True),
        (user("ab"), user([TEXT_PART | {"text": "a"}, TEXT_PART | {"text": "b"}]), False),
        (
            {"role": "assistant", "content": "no"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no way"}]},
            True,
        ),
        (
            {"role": "tool", "tool_call_id": "other", "content": "42"},
            {"role": "tool", "tool_call_id": "c", "content": "it is 42"},
            True,
        ),
        (user("", name="ann"), user("anything"), True),
        (user(""), user([IMAGE]), False),
    ],
)
def test_contains_searches_texts_of_the_role(mock: Any, message: Any, expected: bool) -> None:
    assert holds(rule(CHAT, mock, True), ask_chat([message])) is expected


def test_contains_searches_tool_results_of_messages() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "t", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": "u", "content": [{"type": "text", "text": "rain"}]},
    ]
    prompt = ask_messages([user(results)])

    assert [holds(rule(MESSAGES, user(text), True), prompt) for text in ("sun", "rain", "t")] == [
        True,
        True,
        False,
    ]


CALL_OUTPUT = {"type": "function_call_output", "call_id": "call_7", "output": "15 degrees"}


@pytest.mark.parametrize(
    ("mock", "value"),
    [
        ("hi", "hi"),
        ("hi", [user("hi")]),
        ("hi", [user("hi", type="message", id="msg_1", status="completed")]),
        ([user([{"type": "input_text", "text": "hi"}])], "hi"),
        ([CALL_OUTPUT], [CALL_OUTPUT | {"id": "fco_1", "status": "completed"}]),
        ([CALL_OUTPUT], [CALL_OUTPUT | {"output": [{"type": "input_text", "text": "15 degrees"}]}]),
    ],
)
def test_exact_responses_inputs_are_equal_where_they_mean_the_same(mock: Any, value: Any) -> None:
    assert holds(rule(RESPONSES, mock), ask_responses(value))


@pytest.mark.parametrize(
    ("mock", "value"),
    [
        ("hi", [user("before"), user("hi")]),
        ("hi", [{"role": "system", "content": "hi"}]),
        ([], "hi"),
        ([], [user("hi"), {"role": "system", "content": "note"}]),
        ([{"type": "item_reference", "id": "a"}], [{"type": "item_reference", "id": "b"}]),
    ],
)
def test_exact_compares_the_whole_responses_input(mock: Any, value: Any) -> None:
    assert not holds(rule(RESPONSES, mock), ask_responses(value))


@pytest.mark.parametrize(
    ("mock", "value", "expected"),
    [
        ("ell", "hello", True),
        ("ell", [user("hello"), user("bye")], False),
        ("15", [user("weather?"), CALL_OUTPUT], True),
        ("call_7", [CALL_OUTPUT], True),
        ('"call_id":"call_7"', [CALL_OUTPUT], True),
        ("hi", [user("hi"), {"role": "developer", "content": "note"}], True),
        ("note", [user("hi"), {"role": "developer", "content": "note"}], True),
        ("deep", [{"type": "reasoning", "id": "r", "summary": [{"text": "deep thought"}]}], True),
        ("f(", [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "f("}], True),
        ([CALL_OUTPUT], [user("hi"), CALL_OUTPUT], True),
        ([user("hi"), CALL_OUTPUT], [CALL_OUTPUT], False),
        ([user("hi")], [user("hi"), CALL_OUTPUT], False),
        ([], [user("hi")], True),
        ([user("lo")], "hello", False),
    ],
)
def test_contains_of_responses(mock: Any, value: Any, expected: bool) -> None:
    assert holds(rule(RESPONSES, mock, True), ask_responses(value)) is expected


@pytest.mark.parametrize(
    ("mock", "value", "contains", "expected"),
    [
        ("hi", "hi", False, True),
        ("hi", ["hi"], False, True),
        (["a", "b"], ["a", "b"], False, True),
        (["a", "b"], ["b", "a"], False, False),
        ([1, 2], [1, 2.0], False, True),
        ("b", ["abc", "x"], True, True),
        ("b", [1, 2], True, False),
    ],
)
def test_embeddings_inputs(mock: Any, value: Any, contains: bool, expected: bool) -> None:
    assert holds(rule(EMBEDDINGS, mock, contains), ask_embeddings(value)) is expected


@pytest.mark.parametrize(
    ("value", "contains", "headers", "expected"),
    [
        (b"a", False, {b"x-tenant": b"a"}, True),
        (b"a", False, {b"x-tenant": b"A"}, False),
        (b"a", False, {}, False),
        (b"", False, {}, True),
        (b"", False, {b"x-tenant": b""}, True),
        (b"", False, {b"x-tenant": b"a"}, False),
        (b"b", True, {b"x-tenant": b"abc"}, True),
        (b"", True, {b"x-tenant": b"abc"}, True),
        (b"", True, {}, False),
    ],
)
def test_headers(value: bytes, contains: bool, headers: Any, expected: bool) -> None:
    kind = HeaderContains if contains else HeaderEquals
    header = kind(b"x-tenant", "X-Tenant", value)

    assert holds(rule(CHAT, user("hi"), False, header), ask_chat([user("hi")]), headers) is expected


@pytest.mark.parametrize(
    ("provider", "value", "contains", "reason"),
    [
        (CHAT, {"content": "hi"}, False, "role: expected one of"),
        (CHAT, {"role": "robot", "content": "hi"}, False, "found 'robot'"),
        (CHAT, user([TEXT_PART, TEXT_PART]), True, "'contains' looks for one text"),
        (MESSAGES, {"role": "tool", "content": "hi"}, False, "role: expected one of"),
        (RESPONSES, ["hi"], False, "0: expected an object, found a string"),
        (RESPONSES, [{"content": "hi"}], False, "0.role: expected one of"),
        (EMBEDDINGS, ["a", "b"], True, "'contains' looks for one text"),
    ],
)
def test_a_match_that_no_request_can_satisfy_is_refused(
    provider: Any, value: Any, contains: bool, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason.replace("[", r"\[")):
        provider.compile_match(value, contains)
