"""Words of the vendors' formats where the configuration has its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from mockllm.config import foreign_words
from mockllm.config.answers import EmbeddingsEntry, Entry, ReplyStream
from mockllm.config.conditions import Conditions, MessageMatch, TextMatch, ToolResultMatch
from mockllm.config.match import Match
from mockllm.config.models import (
    Mock,
    OpenAIEmbeddingsMock,
    OpenAIRequestMatch,
)
from mockllm.config.objects import keys_of
from mockllm.config.reply import Reply, ToolCall, Usage
from tests.support.configs import mistakes

MODELS: list[type[BaseModel]] = [
    *(Mock, Entry, OpenAIEmbeddingsMock, EmbeddingsEntry, ReplyStream),
    *(Match, Conditions, TextMatch, ToolResultMatch, MessageMatch, Reply, ToolCall, Usage),
]
FOREIGN = [
    pytest.param(model, key, id=f"{model.__name__}-{key}")
    for model in MODELS
    for key in foreign_words._WORDS[model.__name__]
]


def test_each_object_that_has_foreign_words_is_known() -> None:
    assert {model.__name__ for model in MODELS} == set(foreign_words._WORDS)


@pytest.mark.parametrize(("model", "key"), FOREIGN)
def test_a_foreign_word_is_no_key_and_means_one(model: type[BaseModel], key: str) -> None:
    found = foreign_words.find(model, key)

    assert found is not None
    assert key not in keys_of(model)
    assert found.meant is None or found.meant in keys_of(model)


def vendors(word: str) -> str:
    return f"a word of the vendors' formats; write {word!r} instead"


@pytest.mark.parametrize("field", ["mocks", "openai", "openai_response", "anthropic"])
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"content": "hi"}, [f"content: {vendors('text')}"]),
        ({"text": "hi", "thinking": "hm"}, [f"thinking: {vendors('reasoning')}"]),
        ({"text": "hi", "stop_reason": "end_turn"}, [f"stop_reason: {vendors('finish')}"]),
        (
            {"text": "hi", "usage": {"prompt_tokens": 1, "total_tokens": 2}},
            [
                f"usage.prompt_tokens: {vendors('input')}",
                "usage.total_tokens: leave it out: it is the sum of 'input' and 'output'",
            ],
        ),
        (
            {"tool_calls": [{"name": "f", "input": {"city": "Paris"}}]},
            [f"tool_calls[0].input: {vendors('arguments')}"],
        ),
        (
            {
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ]
            },
            [
                (
                    "tool_calls[0].type: leave it out: the call has the form of the tool that is "
                    "offered"
                ),
                "tool_calls[0].function: write its 'name' and 'arguments' here",
            ],
        ),
        (
            {"text": "hi", "finish": "tool_use"},
            [
                (
                    "finish: expected 'stop', 'length', 'tool_calls' or 'content_filter', found "
                    "'tool_use'; did you mean 'tool_calls'?"
                )
            ],
        ),
    ],
)
def test_a_vendors_word_in_a_reply_is_told_with_the_word_to_write(
    field: str, reply: Any, expected: list[str]
) -> None:
    found = mistakes({field: [{"reply": reply}]})

    assert found == [f"a.json: {field}[0]: reply.{each}" for each in expected]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("system_prompt", vendors("system")),
        (
            "contains",
            ('a test of a text, which belongs to a condition: write {"user": {"contains": "..."}}'),
        ),
    ],
)
@pytest.mark.parametrize("field", ["mocks", "openai", "openai_embeddings"])
@pytest.mark.parametrize("around", ["", "not"])
def test_a_foreign_word_in_a_match_is_told_with_the_word_to_write(
    field: str, around: str, key: str, expected: str
) -> None:
    match = {around: {key: "a"}} if around else {key: "a"}
    answer = {"error": "overloaded"}

    path = f"match.{around}.{key}" if around else f"match.{key}"
    assert mistakes({field: [{"match": match, **answer}]}) == [
        f"a.json: {field}[0]: {path}: {expected}"
    ]


def test_what_another_api_calls_its_input_is_no_foreign_word_there() -> None:
    assert foreign_words.find(OpenAIRequestMatch, "input") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("stp", None), (1, None)],
)
def test_a_reason_to_stop_of_another_api_means_one(value: Any, expected: str | None) -> None:
    assert foreign_words.meant_finish(value) == expected
