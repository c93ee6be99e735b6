"""Conditions on parts: what they cover, and the reasons why they do not hold."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.matching import effort
from mockllm.matching.divided_readings import in_pieces
from mockllm.matching.effort import Effort
from mockllm.matching.predicate import Predicate
from mockllm.pieces import finish
from mockllm.prompt import Prompt, message
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.rules import user
from tests.support.strategies import (
    ask_chat,
    ask_messages,
    ask_responses,
    blocks_messages,
    items,
    messages_requests,
    responses_requests,
)
from tests.support.work import count_work

TEXT = {"type": "text", "text": "hi"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x"}}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def output(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, **more}


def tool(call_id: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, **more}


def blocks(*content: Any) -> Prompt:
    return ask_messages([user(list(content))])


@pytest.mark.parametrize(
    ("api", "mock", "prompt", "reason"),
    [
        (MESSAGES, user([result("t")]), blocks(TEXT), "no result of call 't', found no result"),
        (
            MESSAGES,
            user([result("t")]),
            blocks(result("u"), result("v")),
            "no result of call 't', found that of 'u', 'v'",
        ),
        (
            MESSAGES,
            user([result("t", content="15")]),
            blocks(result("t", content="16"), result("u", content="15")),
            "no result of call 't' that contains '15', only one without",
        ),
        (MESSAGES, user([TEXT, IMAGE]), blocks(IMAGE), "no text contains 'hi'"),
        (
            MESSAGES,
            user([TEXT, {"type": "image"}]),
            blocks(TEXT),
            'no part like \'{"type":"image"}\'',
        ),
        (
            MESSAGES,
            user([result("t")]),
            ask_messages([{"role": "assistant", "content": "hi"}]),
            "role is 'assistant', expected 'user'",
        ),
        (
            CHAT,
            tool("a"),
            ask_chat([tool("b", content="x")]),
            "no result of call 'a', found that of 'b'",
        ),
        (
            RESPONSES,
            [output("a")],
            ask_responses([output("b", output="x")]),
            "no result of call 'a', found that of 'b'",
        ),
        (
            RESPONSES,
            [user("hi"), output("a")],
            ask_responses([output("a", output="x")]),
            "input has 1 item, expected at least 2",
        ),
        (
            RESPONSES,
            [user("hi"), output("a")],
            ask_responses([user("ho"), output("a", output="x")]),
            'no item like \'{"content":"hi","role":"user","type":"message"}\'',
        ),
    ],
)
def test_a_difference_says_why(api: API, mock: Any, prompt: Prompt, reason: str) -> None:
    difference = api.compile_match(mock, True).difference(prompt, {})

    assert difference is not None
    assert difference.reason() == reason


def check_covers(predicates: list[Predicate], prompt: Prompt) -> None:
    accepting = [each for each in predicates if each.difference(prompt, {}) is None]
    for earlier in predicates:
        if any(earlier.covers(later) for later in accepting):
            assert earlier in accepting


@given(st.lists(blocks_messages(), max_size=6), messages_requests())
def test_a_condition_on_blocks_accepts_what_one_that_it_covers_accepts(
    mocks: list[Any], prompt: Prompt
) -> None:
    check_covers([MESSAGES.compile_match(mock, True) for mock in mocks], prompt)


@given(st.lists(st.lists(items(), max_size=2), max_size=6), responses_requests())
def test_a_condition_on_items_accepts_what_one_that_it_covers_accepts(
    mocks: list[Any], prompt: Prompt
) -> None:
    check_covers([RESPONSES.compile_match(mock, True) for mock in mocks], prompt)


def test_a_mock_covers_those_that_ask_for_more() -> None:
    call, with_text, both, text = (
        MESSAGES.compile_match(user(content), True)
        for content in (
            [result("t")],
            [result("t", content="15")],
            [result("t", content="15 degrees"), TEXT],
            [TEXT],
        )
    )

    assert call.covers(with_text)
    assert call.covers(both)
    assert with_text.covers(both)
    assert text.covers(both)
    assert not with_text.covers(call)
    assert not call.covers(text)
    assert not both.covers(with_text)


# --- In pieces -----------------------------------------------------------------------------------

BLOCKS = st.lists(
    st.sampled_from([TEXT, IMAGE, result("t"), result("t", content="15"), result("u")]), max_size=4
)


def reason_of(predicate: Predicate, prompt: Prompt) -> str | None:
    difference = predicate.difference(prompt, {})
    if difference is None:
        return None
    assert callable(difference.reason)
    return f"{difference.closeness}: {difference.reason()}"


@given(BLOCKS, BLOCKS, st.integers(1, 3))
def test_parts_that_are_compared_in_pieces_decide_the_same(
    wanted: list[Any], found: list[Any], most: int
) -> None:
    predicate = MESSAGES.compile_match(user(wanted), True)
    at_once, divided = blocks(*found), blocks(*found)
    expected = reason_of(predicate, at_once)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(message, "PARTS_AT_ONCE", most)
        patch.setattr(effort, "MAX_EFFORT", most)
        for _ in in_pieces(divided, predicate.readings):
            pass
        for _ in predicate.decide_in_pieces(divided, {}, Effort()):
            pass

        assert reason_of(predicate, divided) == expected
        assert [*divided.last_messages[-1].call_ids()] == [*at_once.last_messages[-1].call_ids()]


def test_many_parts_are_made_and_compared_with_pauses() -> None:
    """250,000 parts held the loop for 500 ms."""
    prompt = blocks(*[IMAGE] * 20_000)
    predicate = MESSAGES.compile_match(user([result("t")]), True)

    assert len(list(in_pieces(prompt, predicate.readings))) >= 40
    assert len(list(predicate.decide_in_pieces(prompt, {}, Effort()))) >= 10
    assert reason_of(predicate, prompt) == "2: no result of call 't', found no result"


SAID = st.sampled_from([user("hi"), user("ho"), output("a"), output("b", output="x")])


@given(
    st.lists(SAID, max_size=3),
    st.lists(SAID | st.just(output("a", output="y")), min_size=1, max_size=4),
    st.integers(1, 3_000),
)
def test_last_items_are_compared_in_pieces_as_at_once(
    wanted: list[Any], found: list[Any], most: int
) -> None:
    predicate = RESPONSES.compile_match([*wanted, output("a")], True)
    body = {"model": "m", "input": found}
    at_once = RESPONSES.decode(Request.of("POST", "/", body=orjson.dumps(body)), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effort, "MAX_EFFORT", most)
        for divided in (in_pieces_of(RESPONSES, body), ask_responses(found)):
            finish(in_pieces(divided, predicate.readings))
            finish(predicate.difference_in_pieces(divided, {}, Effort()))

            assert predicate.is_decided(divided)
            assert reason_of(predicate, divided) == reason_of(predicate, at_once)


def test_large_items_before_a_result_are_compared_with_pauses() -> None:
    """An item of 200,000 parts held the loop for 2.3 s."""
    parts = [{"type": "input_text", "text": f"part {at}"} for at in range(10_000)]
    said = [user([*parts, {"type": "input_text", "text": "other"}]), output("a", output="ok")]
    prompt = in_pieces_of(RESPONSES, {"model": "m", "input": said})
    predicate = RESPONSES.compile_match([user([*parts, *parts[:1]]), output("a")], True)

    assert max(count_work(predicate.decide_in_pieces(prompt, {}, Effort()))) <= 20_000
    assert reason_of(predicate, prompt) is not None


NESTED = st.recursive(
    st.sampled_from([TEXT, IMAGE, {"type": "text", "text": "15", "cache_control": {}}, None, 1]),
    lambda inner: st.builds(
        lambda kind, content: {"type": kind, "tool_use_id": "t", "content": content},
        st.sampled_from(["tool_result", "mcp_tool_result", "search_result", "text", "unknown"]),
        st.none() | st.sampled_from(["", "15"]) | st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)
LISTS = st.lists(NESTED, max_size=3)


def in_pieces_of(api: API, body: Any) -> Prompt:
    """The prompt of a request that is read in pieces."""
    return finish(api.decode_in_pieces(Request.of("POST", "/", body=orjson.dumps(body)), {}, []))


@given(
    st.builds(lambda content: user([TEXT, result("t", content=content)]), LISTS)
    | st.builds(lambda number: tool("t", content=[TEXT] * number), st.integers(2, 4)),
    LISTS,
    st.integers(1, 3_000),
)
def test_parts_within_parts_are_made_and_compared_the_same_in_pieces(
    asked: dict[str, Any], wanted: list[Any], most: int
) -> None:
    api = CHAT if asked["role"] == "tool" else MESSAGES
    predicate = api.compile_match(user([TEXT, result("t", content=wanted)]), True)
    body = {"model": "m", "max_tokens": 1, "messages": [asked]}
    at_once = api.decode(Request.of("POST", "/", body=orjson.dumps(body)), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.providers.contents.PARTS_AT_ONCE", 1)
        patch.setattr(effort, "MAX_EFFORT", most)
        divided = in_pieces_of(api, body)
        for _ in in_pieces(divided, predicate.readings):
            pass
        for _ in predicate.decide_in_pieces(divided, {}, Effort()):
            pass

        assert [*divided.last_messages[-1].parts()] == [*at_once.last_messages[-1].parts()]
        assert reason_of(predicate, divided) == reason_of(predicate, at_once)


@pytest.mark.parametrize(
    ("api", "found"),
    [
        (MESSAGES, user([result("t", content=[TEXT] * 20_000)])),
        (MESSAGES, user([result("t", content=[TEXT] * 400)] * 50)),
        (CHAT, tool("t", content=[TEXT] * 20_000)),
    ],
    ids=["list", "lists", "result"],
)
def test_many_parts_within_a_part_are_made_and_compared_with_pauses(api: API, found: Any) -> None:
    """200,000 parts held the loop for 157 ms."""
    prompt = in_pieces_of(api, {"model": "m", "max_tokens": 1, "messages": [found]})
    image = tool("t", content=[IMAGE]) if api is CHAT else user([result("t", content=[IMAGE])])
    predicate = api.compile_match(image, True)
    leftovers = prompt.leftovers
    assert leftovers is not None
    before = len(leftovers)

    assert max(count_work(in_pieces(prompt, predicate.readings))) <= 20_000
    assert max(count_work(predicate.decide_in_pieces(prompt, {}, Effort()))) <= 20_000
    parts = [*prompt.last_messages[-1].parts()]
    contents = [part.value["content"] for part in parts]
    assert leftovers[before:] == [*contents, parts]
    assert reason_of(predicate, prompt) is not None


@pytest.mark.parametrize("call_id", ["t", "u"])
def test_the_entries_of_a_large_output_are_not_looked_at_for_its_call(call_id: str) -> None:
    """A mock without a content means any output of the call: 250,000 parts held the loop for
    500 ms."""
    large = output("t", output=[{"type": "input_text", "text": "x"}] * 10_000)
    body = orjson.dumps({"model": "m", "input": [large]})
    prompt = finish(RESPONSES.decode_in_pieces(Request.of("POST", "/", body=body), {}, []))
    predicate = RESPONSES.compile_match([output(call_id)], True)
    small = RESPONSES.decode(Request.of("POST", "/", body=body), {})

    assert reason_of(predicate, prompt) == reason_of(predicate, small)
    assert (reason_of(predicate, prompt) is None) is (call_id == "t")
