"""Words of the vendors' formats where the configuration has its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from mockllm.config import foreign_words
from mockllm.config.answers import EmbeddingsEntry, Entry, ReplyStream, ResponseEntry
from mockllm.config.conditions import (
    AnyTool,
    Conditions,
    CountRange,
    MessageMatch,
    TextMatch,
    ToolResultMatch,
)
from mockllm.config.error import Error
from mockllm.config.fault import Fault
from mockllm.config.keys import keys_of
from mockllm.config.latency import Latency
from mockllm.config.match import Match
from mockllm.config.models import (
    AnthropicMock,
    AnthropicRequestMatch,
    Config,
    Mock,
    OpenAIEmbeddingsMock,
    OpenAIEmbeddingsRequestMatch,
    OpenAIMock,
    OpenAIRequestMatch,
    OpenAIResponseMock,
    OpenAIResponseRequestMatch,
)
from mockllm.config.rate_limit import RateLimit
from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.config.traffic import Traffic
from tests.support.configs import mistakes

MODELS: list[type[BaseModel]] = [
    *(Config, Mock, OpenAIMock, OpenAIResponseMock, AnthropicMock, OpenAIEmbeddingsMock),
    *(Entry, ResponseEntry, EmbeddingsEntry, ReplyStream, AnyTool, CountRange),
    *(OpenAIRequestMatch, OpenAIResponseRequestMatch, AnthropicRequestMatch),
    OpenAIEmbeddingsRequestMatch,
    *(Match, Conditions, TextMatch, ToolResultMatch, MessageMatch, Reply, ToolCall, Usage),
    *(Error, Fault, Latency, RateLimit, Traffic),
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


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"responses": ["a", "b"]}, "responses: write 'sequence' instead"),
        ({"returns": "a"}, "returns: write 'reply' instead"),
        ({"reply": "a", "when": {}}, "when: write 'match' instead"),
        ({"reply": "a", "id": "b"}, "id: write 'name' instead"),
        ({"reply": "a", "match": {"turn": {"min": 2}}}, "match.turn.min: write 'at_least' instead"),
        (
            {"reply": "a", "fault": "timeout"},
            (
                'fault: expected an object such as {"end": "cut"}, or a list of objects, found '
                '\'timeout\'; write {"end": "hang"}'
            ),
        ),
        (
            {"reply": "a", "stream": True},
            (
                'stream: expected an object such as {"chunk": "word"}, found true; write it into '
                "'match': answers are streamed if that is asked for"
            ),
        ),
        (
            {"reply": "a", "headers": [{"name": "x-a", "value": "b"}]},
            (
                'headers: expected an object such as {"x-name": "..."}, found a list; write '
                "conditions into 'match'"
            ),
        ),
        ({"reply": "a", "delayMs": 5}, 'delayMs: write {"latency": {"ttft": "..."}}'),
        ({"reply": "a", "ttft": 5}, "ttft: write it into 'latency'"),
        ({"reply": "a", "chunkSize": 5}, 'chunkSize: write {"stream": {"chunk": ...}}'),
        ({"statusCode": 503}, "statusCode: write it into 'error', as an object"),
        (
            {"reply": "a", "truncateAfterChunks": 2},
            (
                'truncateAfterChunks: write {"fault": {"end": "cut", "after": ...}}, for some of '
                'the requests with "chance"'
            ),
        ),
        (
            {"reply": "a", "match": {"userMessage": "b"}},
            'match.userMessage: write {"user": {"contains": "..."}}',
        ),
        (
            {"reply": "a", "match": {"turnIndex": 0}},
            'match.turnIndex: write {"turn": 1} for the first: it counts from 1',
        ),
        (
            {"reply": "a", "match": {"any_of": [{"toolCallId": "b"}]}},
            'match.any_of[0].toolCallId: write {"tool_result": {"call_id": "..."}}',
        ),
        ({"reply": "a", "match": {"endpoint": "chat"}}, "match.endpoint: write 'api' instead"),
        ({"reply": {"text": "a", "stream": {}}}, "reply.stream: write it beside 'reply'"),
        (
            {"reply": {"toolCalls": [{"toolName": "f"}]}},
            (
                "reply.toolCalls: unknown key, expected one of finish, json, reasoning, refusal, "
                "text, tool_calls, usage; did you mean 'tool_calls'?"
            ),
        ),
        (
            {"reply": {"tool_calls": [{"name": "f", "functionName": "g"}]}},
            f"reply.tool_calls[0].functionName: {vendors('name')}",
        ),
    ],
)
def test_a_word_of_another_tool_in_a_mock_is_told_with_ours(
    mock: dict[str, Any], expected: str
) -> None:
    assert mistakes({"mocks": [mock]}) == [f"a.json: mocks[0]: {expected}"]


def test_a_word_of_another_tool_in_embeddings_is_told_with_those_that_they_have() -> None:
    mock = {"match": {"inputText": "a"}, "response": {}, "delay": 1}

    assert mistakes({"openai_embeddings": [mock]}) == [
        "a.json: openai_embeddings[0]: match.inputText: write 'input' instead",
        'a.json: openai_embeddings[0]: delay: write {"latency": {"ttft": "..."}}',
    ]


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


@pytest.mark.parametrize(
    ("field", "key", "expected"),
    [
        ("openai", "input", "write 'message' instead"),
        ("anthropic", "input", "write 'message' instead"),
        ("openai_response", "message", "write 'input' instead"),
    ],
)
def test_what_another_api_calls_its_input_has_the_own_word(
    field: str, key: str, expected: str
) -> None:
    found = mistakes({field: [{"match": {key: "hi"}, "reply": "hi"}]})

    assert found == [f"a.json: {field}[0]: match.{key}: {expected}"]


@pytest.mark.parametrize("field", ["mocks", "openai", "openai_response", "anthropic"])
@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"text": "hi"}, ["text: write it into 'reply', which is the answer"]),
        ({"template": "hi"}, ["template: write it into 'reply', which is the answer"]),
        (
            {"reply": "hi", "user": "hello"},
            ["user: write it into 'match', which has the conditions"],
        ),
        ({"reply": "hi", "times": 2}, ["times: write it into an entry of 'sequence' or 'first'"]),
        ({"status": 503}, ["status: write it into 'error', as an object"]),
        (
            {"sequence": [{"error": "rate_limit", "retry_after": 1}, "hi"]},
            ["sequence[0].retry_after: write it into 'error', as an object"],
        ),
        (
            {"error": {"type": "rate_limit"}},
            ["error.type: a word of the vendors' formats; write 'as' instead"],
        ),
        (
            {"error": {"status_code": 503}},
            ["error.status_code: a word of the vendors' formats; write 'status' instead"],
        ),
        (
            {"sequence": [{"tool_calls": []}]},
            ["sequence[0].tool_calls: write it into 'reply', which is the answer"],
        ),
        (
            {"sequence": [{"reply": "hi", "match": {}}]},
            [
                (
                    "sequence[0].match: write it beside 'sequence': all entries have the "
                    "conditions of the mock"
                )
            ],
        ),
        (
            {"sequence": [{"sequence": ["hi"]}]},
            ["sequence[0].sequence: an entry has one answer: write its entries into this list"],
        ),
    ],
)
def test_a_word_that_stands_too_high_is_told_with_its_place(
    field: str, mock: dict[str, Any], expected: list[str]
) -> None:
    assert mistakes({field: [mock]}) == [f"a.json: {field}[0]: {each}" for each in expected]


def test_a_foreign_word_that_is_misspelt_means_the_same() -> None:
    (found,) = mistakes({"mocks": [{"responce": {"text": "hi"}}]})

    assert found.startswith("a.json: mocks[0]: responce: unknown key, expected one of at_end, ")
    assert found.endswith("; did you mean 'reply'?")


@pytest.mark.parametrize(
    ("key", "expected"),
    [("chat", "openai"), ("responses", "openai_response"), ("messages", "anthropic")],
)
def test_a_list_by_the_name_of_its_api_is_told(key: str, expected: str) -> None:
    assert mistakes({key: []}) == [f"a.json: {key}: write {expected!r} instead"]


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"reply": "a", "fault": "reset"}, 'found \'reset\'; write {"end": "reset"}'),
        ({"reply": "a", "fault": "rest"}, 'found \'rest\'; write {"end": "reset"}'),
        (  # without a place, that is a mistake too
            {"reply": "a", "fault": "clean"},
            'found \'clean\'; write {"end": "clean", "after": "head"}',
        ),
        ({"reply": "a", "fault": "nonsense"}, "found 'nonsense'"),
        ({"reply": "a", "fault": 3}, "found 3"),
        ({"reply": "a", "first": "b"}, "first: expected a list, found 'b'; write [\"b\"]"),
        ({"reply": "a", "first": {}}, "first: expected a list, found an object; write [{...}]"),
        ({"reply": "a", "match": {"tools": {"any": {}}}}, "expected a list, found an object"),
        (
            {"reply": "a", "match": [{"user": "b"}]},
            'found a list; write {"any_of": [...]}',
        ),
        (
            {"reply": "a", "match": {"not": [{"user": "b"}]}},
            'found a list; write {"any_of": [...]}',
        ),
        (
            {"reply": "a", "match": {"tools": {"all": ["b"]}}},
            "match.tools.all: write the list alone: [...]",
        ),
        (
            {"reply": "a", "match": {"user": {"contains": ["b", "c"]}}},
            'found a list; write [{"contains": "..."}, ...], of which one must hold',
        ),
        (
            {"reply": "a", "match": {"user": {"any_of": ["b", "c"]}}},
            'match.user.any_of: write a list of texts, such as ["a", {"contains": "b"}]',
        ),
        (
            {"reply": "a", "match": {"user": {"not_contains": "b"}}},
            'match.user.not_contains: write {"not": {...}} around the condition',
        ),
    ],
)
def test_another_form_is_told_with_the_one_to_write(mock: dict[str, Any], expected: str) -> None:
    (found,) = mistakes({"mocks": [mock]})

    assert found.endswith(expected)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("finish", "end_turn", "stop"),
        ("finish", "max_tokens", "length"),
        ("finish", "stp", None),
        ("finish", 1, None),
        ("api", "anthropic", "messages"),
        ("at_end", "loop", "restart"),
        ("role", "end_turn", None),
    ],
)
def test_a_value_of_another_format_means_one(key: str, value: Any, expected: str | None) -> None:
    assert foreign_words.meant_value(key, value) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"port": 8000}, "port: write 'listen_addr' instead"),
        (
            {"rate_limit": {"rpm": 5}},
            (
                'rate_limit: write it into an entry of "traffic": [{...}], which holds for all '
                "requests"
            ),
        ),
        (
            {"mocks": [{"reply": "a", "delay": "1s"}]},
            'mocks[0]: delay: write {"latency": {"ttft": "..."}}',
        ),
        (
            {"mocks": [{"reply": "a", "latency": {"tokens_per_second": 5}}]},
            "mocks[0]: latency.tokens_per_second: write 'tps' instead",
        ),
        (
            {"mocks": [{"reply": "a", "fault": {"end": "cut", "at": "head"}}]},
            (
                'mocks[0]: fault.at: write the place as "after", such as "first_token" or '
                '{"tokens": 5}'
            ),
        ),
        (
            {"traffic": [{"error": "overloaded", "probability": 0.5}]},
            "traffic[0]: probability: write 'chance' instead",
        ),
        (
            {"traffic": [{"rate_limit": {"requests_per_minute": 5}}]},
            "traffic[0]: rate_limit.requests_per_minute: write 'rpm' instead",
        ),
        (
            {"traffic": [{"rate_limit": 5}]},
            'traffic[0]: rate_limit: expected an object such as {"rpm": 50}, found 5',
        ),
        (
            {"mocks": [{"reply": {"templte": "{{ user }}"}}]},
            (
                "mocks[0]: reply.templte: unknown key, expected one of finish, json, reasoning, "
                "refusal, text, tool_calls, usage; did you mean 'template'?"
            ),
        ),
    ],
)
def test_a_word_of_other_tools_is_told_with_ours(config: dict[str, Any], expected: str) -> None:
    assert mistakes(config) == [f"a.json: {expected}"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("authentication_error", "bad_key"),
        ("api_error", "server_error"),
        ("insufficient_quota", "billing"),
        ("429", "rate_limit"),
    ],
)
def test_a_vendors_error_is_told_with_ours(word: str, meant: str) -> None:
    found = mistakes({"mocks": [{"error": word}, {"error": {"as": word}}]})

    ends = [f"or 'overloaded', found {word!r}; did you mean {meant!r}?"] * 2
    assert [text[text.index("or 'over") :] for text in found] == ends
