from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
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


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


TEXT_PART = {"type": "text", "text": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}}
OTHER_IMAGE = {"type": "image_url", "image_url": {"url": "data:,y"}}
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
        (user([TEXT_PART, TEXT_PART | {"text": "you"}]), user("you say hi"), True),
        (user([TEXT_PART, TEXT_PART | {"text": "you"}]), user("hi"), False),
        (user([TEXT_PART, IMAGE]), user([TEXT_PART | {"text": "oh hi"}, IMAGE]), True),
        (user([IMAGE]), user([TEXT_PART, IMAGE]), True),
        (user([IMAGE]), user([TEXT_PART]), False),
        (user([IMAGE]), {"role": "assistant", "content": [IMAGE]}, False),
        (user([{"type": "image_url"}]), user([IMAGE]), True),
        (user([OTHER_IMAGE]), user([IMAGE]), False),
        ({"role": "tool", "tool_call_id": "c"}, result("c", ""), True),
        ({"role": "tool", "tool_call_id": "c", "content": []}, result("c", "42"), True),
        ({"role": "tool", "tool_call_id": "c"}, result("d", "42"), False),
        ({"role": "function", "name": "f"}, {"role": "function", "name": "f", "content": ""}, True),
        (
            {"role": "function", "name": "f"},
            {"role": "function", "name": "g", "content": ""},
            False,
        ),
        (result("other", [TEXT_PART, TEXT_PART | {"text": "4"}]), result("c", "hi 42"), True),
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


def block(call_id: str, *content: Any, **more: Any) -> dict[str, Any]:
    members = {"content": content[0]} if content else {}
    return {"type": "tool_result", "tool_use_id": call_id, **members, **more}


PICTURE = {"type": "image", "source": {"type": "url", "url": "https://x"}}
REPORT = {
    "type": "document",
    "title": "Report",
    "source": {"type": "text", "media_type": "text/plain", "data": "all is well"},
}


@pytest.mark.parametrize(
    ("mock", "content", "expected"),
    [
        ([block("t")], [block("t", "sunny")], True),
        ([block("t")], [block("t")], True),
        ([block("t")], [block("u"), block("t", is_error=True)], True),
        ([block("t")], [block("u", "t")], False),
        ([block("t")], "t", False),
        ([block("t"), block("u")], [block("u", "b"), block("t", "a")], True),
        ([block("t"), block("u")], [block("t", "a")], False),
        ([block("t", "")], [block("t", "sunny")], True),
        ([block("t", "sun")], [block("t", "sunny")], True),
        ([block("t", "sun")], [block("t", [TEXT_PART, TEXT_PART | {"text": "sunny"}])], True),
        ([block("t", [TEXT_PART, TEXT_PART | {"text": "x"}])], [block("t", "hi x")], True),
        ([block("t", "sun")], [block("t", "rain"), block("u", "sunny")], False),
        ([block("t", "sun")], [block("t", "rain"), {"type": "text", "text": "sun"}], False),
        ([block("t", [PICTURE])], [block("t", [TEXT_PART, PICTURE])], True),
        ([block("t", [PICTURE])], [block("t", [TEXT_PART]), PICTURE], False),
        ([block("t", is_error=True)], [block("t", "x", is_error=True)], True),
        ([block("t", is_error=True)], [block("t", "x")], False),
        ([block("t"), TEXT_PART], [block("t", "x"), TEXT_PART | {"text": "say hi"}], True),
        ([block("t"), TEXT_PART], [block("t", "x")], False),
        ([PICTURE, TEXT_PART], [TEXT_PART, PICTURE | {"cache_control": {"type": "x"}}], True),
        ([PICTURE], [PICTURE | {"source": {"type": "url", "url": "https://y"}}], False),
        ([{"type": "document", "title": "port"}], [REPORT], True),
        ([{"type": "document", "source": {"type": "text", "data": "well"}}], [REPORT], True),
        ([{"type": "document", "title": "well"}], [REPORT], False),
    ],
)
def test_contains_compares_the_blocks_of_messages_one_by_one(
    mock: Any, content: Any, expected: bool
) -> None:
    assert holds(rule(MESSAGES, user(mock), True), ask_messages([user(content)])) is expected


CALL_OUTPUT = {"type": "function_call_output", "call_id": "call_7", "output": "15 degrees"}
NAMED_CALL = {"type": "function_call_output", "call_id": "call_7"}


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
        ([NAMED_CALL], [user("hi"), CALL_OUTPUT], True),
        ([NAMED_CALL], [CALL_OUTPUT | {"output": [{"type": "input_text", "text": ""}]}], True),
        ([NAMED_CALL], [CALL_OUTPUT | {"call_id": "call_8"}], False),
        ([NAMED_CALL], [CALL_OUTPUT, user("thanks")], False),
        ([NAMED_CALL], "call_7", False),
        ([user("hi"), NAMED_CALL], [user("hi"), CALL_OUTPUT], True),
        ([user("hi"), NAMED_CALL], [user("ho"), CALL_OUTPUT], False),
        ([user("hi"), NAMED_CALL], [CALL_OUTPUT], False),
        ([NAMED_CALL, user("hi")], [user("x"), CALL_OUTPUT, user("hi")], True),
        ([{"role": "user"}], [user("anything")], True),
        ([{"role": "user"}], [{"role": "assistant", "content": "anything"}], False),
        (
            [{"type": "custom_tool_call_output", "call_id": "c"}],
            [{"type": "custom_tool_call_output", "call_id": "c", "output": "x"}],
            True,
        ),
        (
            [{"type": "computer_call_output", "call_id": "c"}],
            [{"type": "custom_tool_call_output", "call_id": "c", "output": "x"}],
            False,
        ),
        ("", [], True),
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
        (["a", "b"], ["xb", "xa", "c"], True, True),
        (["a", "b"], ["xa", "c"], True, False),
        ([1, 2], [1, 2], True, True),
        ([1, 2], [2, 1], True, False),
        ([[1, 2]], [[3], [1, 2]], True, True),
        ([1, 2], [[3], [1, 2]], True, True),
        ([1, 2], [[1, 2, 3]], True, False),
        ([], "a", True, True),
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
        (CHAT, user(5), True, "content: expected a string or a list of parts, found a number"),
        (MESSAGES, {"role": "tool", "content": "hi"}, False, "role: expected one of"),
        (RESPONSES, ["hi"], False, "0: expected an object, found a string"),
        (RESPONSES, [{"content": "hi"}], False, "developer, found nothing"),
        (RESPONSES, [{"role": "usr", "content": "hi"}], False, "0.role: .* found 'usr'"),
        (EMBEDDINGS, [], False, "can never match: a request has an input"),
    ],
)
def test_a_match_that_no_request_can_satisfy_is_refused(
    provider: Any, value: Any, contains: bool, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason.replace("[", r"\[")):
        provider.compile_match(value, contains)


def answering(mocks: list[Any], request: Any) -> int | None:
    """The position of the mock of Chat Completions that answers."""
    rules = [Rule(at, "", (CHAT.compile_match(mock, True),)) for at, mock in enumerate(mocks)]
    found = first_match(rules, ask_chat([request]), {})
    return None if found is None else found.index


@pytest.mark.parametrize(
    ("mocks", "request_", "expected"),
    [
        ([result("a", "ok")], result("z", "ok"), 0),
        ([result("a", "ok"), result("b", "ok")], result("a", "ok"), 0),
        ([result("a", "ok"), result("b", "ok")], result("b", "ok"), 1),
        ([result("a", "ok"), result("b", "ok")], result("z", "ok"), 0),
        ([result("a", "ok"), result("b", "ok")], result("b", "no"), None),
        ([result("a", "o"), result("b", "ok")], result("b", "ok"), 0),
        ([result("a", "ok"), result("b", "ok"), result("b", "ok")], result("b", "ok"), 1),
        ([result("a", "ok"), user("ok"), result("b", "ok")], result("b", "ok"), 2),
        ([result("a", "ok"), result("x", "o"), result("b", "ok")], result("b", "ok"), 2),
        ([result("x", "o"), result("a", "ok"), result("b", "ok")], result("b", "ok"), 0),
        ([result("a", ""), result("b", "")], result("b", "ok"), 1),
        (
            [result("a", [TEXT_PART, TEXT_PART]), result("b", [TEXT_PART, TEXT_PART])],
            result("b", "hi"),
            1,
        ),
        ([{"role": "tool", "content": "ok"}, result("b", "ok")], result("b", "ok"), 0),
    ],
)
def test_of_mocks_that_differ_in_the_call_alone_the_id_decides(
    mocks: list[Any], request_: Any, expected: int | None
) -> None:
    assert answering(mocks, request_) == expected


def test_twins_have_the_same_other_conditions_in_any_order() -> None:
    a, b = (HeaderContains(name, title, b"1") for name, title in ((b"x-a", "X-A"), (b"x-b", "X-B")))
    ok = [CHAT.compile_match(result(call_id, "ok"), True) for call_id in ("a", "b")]
    rules = [Rule(0, "", (ok[0], a, b)), Rule(1, "", (ok[1], b, replace(a, title="x-a")))]
    headers = {b"x-a": b"1", b"x-b": b"1"}

    assert first_match(rules, ask_chat([result("b", "ok")]), headers) is rules[1]
    others = [rules[0], replace(rules[1], predicates=(ok[1], b))]
    assert first_match(others, ask_chat([result("b", "ok")]), headers) is others[0]
