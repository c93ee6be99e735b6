"""Conversations that meet requirements."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.config.models import OpenAIRequestMatch
from mockllm.conformance.drafts import MAX_ANSWERS, Conversation, Draft
from mockllm.conformance.requirements import alternatives
from mockllm.engine.conditions import compile_match
from mockllm.errors import NOWHERE
from mockllm.prompt import ToolResult
from mockllm.providers.openai.chat import CHAT


def draft(match: dict[str, Any]) -> Draft:
    predicates, _ = compile_match(CHAT, OpenAIRequestMatch.model_validate(match), NOWHERE)
    return Draft.of(next(alternatives(predicates)))


def first(match: dict[str, Any]) -> Conversation:
    return next(draft(match).conversations())


def roles(match: dict[str, Any]) -> list[str]:
    return [message.role for message in first(match).messages]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, "user"),
        ({"user": "a"}, "user"),
        ({"tool_result": "a"}, "user assistant tool"),
        (
            {"all_of": [{"tool_result": "a"}, {"tool_result": {"name": "f"}}]},
            "user assistant tool tool",
        ),
        ({"step": 3}, "user assistant tool assistant tool"),
        ({"turn": 3}, "user assistant user assistant user"),
        ({"turn": 3, "step": 2}, "user assistant user assistant tool"),
        ({"turn": {"at_least": 2}, "user": "a"}, "user assistant user"),
        ({"any_message": {"role": "assistant"}}, "user assistant user"),
        ({"any_message": {"role": "tool", "text": "15"}}, "user assistant tool"),
        (
            {"any_message": {"role": "tool", "text": "15"}, "user": "a"},
            "user assistant tool assistant user",
        ),
        ({"tool_result": "a", "turn": 1}, "tool"),
    ],
)
def test_a_conversation_has_as_many_answers_as_are_needed(
    match: dict[str, Any], expected: str
) -> None:
    assert " ".join(roles(match)) == expected


@pytest.mark.parametrize(
    "match",
    [
        {"user": "a", "tool_result": "b"},
        {"user": "a", "step": 2},
        {"turn": MAX_ANSWERS + 1},
        {"tools": [], "tool_names": ["f"]},
        {"model": {"exact": "a", "contains": "b"}},
    ],
)
def test_a_draft_that_contradicts_itself_or_is_too_long_has_none(match: dict[str, Any]) -> None:
    assert [*draft(match).conversations()] == []


def test_a_result_is_as_its_condition_says() -> None:
    wanted = {"name": "f", "call_id": {"starts_with": "x"}, "text": "15", "error": True}

    found = first({"tool_result": wanted}).messages[-1]

    assert found == ToolResult(texts=("15",), call_id="x", name="f", error=True)


def test_results_have_the_ids_of_the_messages_that_are_written() -> None:
    messages = next(draft({}).answering(["a", "b"]).conversations()).messages

    assert [call.call_id for call in messages[1].calls] == ["a", "b"]


def test_texts_that_no_single_one_can_be_are_several() -> None:
    found = first({"user": "a", "last_user": "b", "all_of": [{"system": "c"}, {"system": "d"}]})

    assert found.system == ("c", "d")
    assert found.messages[-1].texts == ("a", "b")


def test_what_must_not_be_is_avoided() -> None:
    match = {
        "tools": {"any": ["f", "g"]},
        "not": {"any_of": [{"tools": ["f"]}, {"user": "any text"}]},
    }

    found = first(match)

    assert found.tools == ("g",)
    assert found.messages[-1].texts != ("any text",)
