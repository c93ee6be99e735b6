"""What answers say, in the same form for all APIs."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.engine.decision import Answer
from mockllm.observers.said import MAX_DELTAS, MAX_PARTS, MAX_TEXT, Said, SaidCall, read_said

CALL = {"name": "look_up", "arguments": '{"city":"Rome"}'}
RESPONSES: dict[str, dict[str, Any]] = {
    "chat": {
        "choices": [
            {
                "message": {
                    "reasoning_content": "hm",
                    "content": "Hello there",
                    "tool_calls": [{"id": "1", "type": "function", "function": CALL}],
                }
            }
        ]
    },
    "messages": {
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "Hello there"},
            {"type": "tool_use", "id": "1", "name": "look_up", "input": {"city": "Rome"}},
        ]
    },
    "responses": {
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "Hello there"}]},
            {"type": "function_call", "call_id": "1", **CALL},
        ]
    },
}


@pytest.mark.parametrize("api", RESPONSES)
def test_all_apis_say_the_same(api: str) -> None:
    said = read_said(Answer(RESPONSES[api]))

    assert said == Said(
        ("Hello there",),
        (("Hello", " there"),),
        ("hm",),
        (SaidCall("look_up", '{"city":"Rome"}'),),
    )


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({}, Said()),
        ({"data": [{"embedding": [0.1]}, {"embedding": [0.2]}]}, Said(vectors=2)),
        ({"choices": [{"message": {"refusal": "No"}}]}, Said(("No",), (("No",),))),
        (
            {"output": [{"content": [{"type": "refusal", "refusal": "No"}]}]},
            Said(("No",), (("No",),)),
        ),
        (
            {"choices": [{"message": {"tool_calls": [{"custom": {"name": "f", "input": "x"}}]}}]},
            Said(calls=(SaidCall("f", "x"),)),
        ),
        ({"content": [{"type": "tool_use", "name": "f"}]}, Said(calls=(SaidCall("f", "{}"),))),
        ({"choices": "x", "content": 3, "output": None, "data": {}}, Said()),
        ({"choices": [None, 3, {"message": "x"}], "output": ["x", {"content": "y"}]}, Said()),
        ({"choices": [{"message": {"tool_calls": [{"function": 3}, {}]}}]}, Said()),
    ],
)
def test_members_that_are_missing_or_strange_say_nothing(
    response: dict[str, Any], said: Said
) -> None:
    assert read_said(Answer(response)) == said


@pytest.mark.parametrize("chunk", ["word", "char", "token", 3])
def test_the_deltas_are_those_of_a_stream(chunk: Any) -> None:
    text = "One two  three\n🙂 four"

    (deltas,) = read_said(Answer({"content": [{"text": text}]}, chunk)).deltas

    assert len(deltas) > 1
    assert "".join(deltas) == text


def test_what_is_too_much_is_cut() -> None:
    long = read_said(Answer({"content": [{"text": "ab " * MAX_TEXT}]}))
    many = read_said(Answer({"content": [{"text": "x"}] * (MAX_PARTS + 5)}))

    assert long.is_cut
    assert many.is_cut
    assert len(long.texts[0]) == MAX_TEXT
    assert len(long.deltas[0]) == MAX_DELTAS + 1
    assert "".join(long.deltas[0]) == long.texts[0]
    assert len(many.texts) == MAX_PARTS
