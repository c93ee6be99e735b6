"""The values of a request that templates may use: the same in every API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from mockllm.engine.asked import Asked
from mockllm.engine.template_values import LOOKING_BACK, NAMES, READINGS, read_values
from mockllm.exchange import Request
from mockllm.matching.divided_readings import in_pieces
from mockllm.pieces import finish
from mockllm.prompt import Earlier, Prompt
from mockllm.prompt.conversation import MESSAGES_AT_ONCE
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.routes import NO_VALUES
from mockllm.replies.template_bounds import TemplateError
from tests.support.work import count_pauses

NO_BODY = NAMES - {"body", "headers", "call"}
CALL = {"name": "get_weather", "arguments": "{}"}
CHAT_CALL = {"id": "c", "type": "function", "function": CALL}
TOOL: dict[str, Any] = {"name": "get_weather", "parameters": {}}

BODIES: dict[str, dict[str, Any]] = {
    CHAT.name: {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "tool_calls": [CHAT_CALL],
            },
            {"role": "tool", "tool_call_id": "c", "content": "15 degrees"},
        ],
        "tools": [{"type": "function", "function": TOOL}],
    },
    RESPONSES.name: {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "c", **CALL},
            {"type": "function_call_output", "call_id": "c", "output": "15 degrees"},
        ],
        "tools": [{"type": "function", **TOOL}],
    },
    MESSAGES.name: {
        "max_tokens": 9,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c", "name": "get_weather", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": "15 degrees"},
                ],
            },
        ],
        "tools": [{"name": "get_weather", "input_schema": {}}],
    },
}
RESULT = {"name": "get_weather", "call_id": "c", "text": "15 degrees", "error": False}


def asked(api: API, body: dict[str, Any], *headers: tuple[str, str]) -> Asked:
    lines = tuple((name.encode(), value.encode("latin-1")) for name, value in headers)
    request = Request.of("POST", api.routes[0], lines, orjson.dumps(body | {"model": "m"}))
    return Asked(api.decode(request, NO_VALUES), request, "a session")


def values_of(names: Iterable[str], asked: Asked) -> dict[str, Any]:
    values: dict[str, Any] = finish(read_values(names, asked))
    return values


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES], ids=lambda api: api.name)
def test_a_conversation_has_the_same_values_in_every_api(api: API) -> None:
    assert values_of(NO_BODY, asked(api, BODIES[api.name])) == {
        "user": "Weather?",
        "system": "Be brief.",
        "model": "m",
        "messages": [
            {"role": "user", "text": "Weather?", "calls": []},
            {
                "role": "assistant",
                "text": "",
                "calls": [{"call_id": "c", "name": "get_weather"}],
            },
            {"role": "tool", **RESULT},
        ],
        "tools": ["get_weather"],
        "tool_results": [RESULT],
        "turn": 2,
        "step": 2,
        "session": "a session",
    }


@pytest.mark.parametrize("count", [0, 1, MESSAGES_AT_ONCE, 3 * MESSAGES_AT_ONCE + 1])
def test_a_long_conversation_is_read_in_pieces(count: int) -> None:
    """20,000 messages held the loop for 60 ms."""
    turns = [{"role": ("user", "assistant")[at % 2], "content": f"{at}"} for at in range(count)]
    body = {"messages": turns or [{"role": "system"}]}

    values, pauses = count_pauses(read_values(["messages"], asked(CHAT, body)))

    assert [each["text"] for each in values["messages"]] == [turn["content"] for turn in turns]
    assert pauses >= 2 * (max(count - 1, 0) // MESSAGES_AT_ONCE)


LONG = 3 * MESSAGES_AT_ONCE + 1


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        (
            "messages",
            {"messages": [{"role": "user", "content": "a"}] * LONG},
            [{"role": "user", "text": "\n".join("a" * LONG), "calls": []}],
        ),
        (
            "messages",
            {"messages": [{"role": "assistant", "tool_calls": [CHAT_CALL] * LONG}]},
            [
                {
                    "role": "assistant",
                    "text": "",
                    "calls": [{"call_id": "c", "name": "get_weather"}] * LONG,
                }
            ],
        ),
        (
            "system",
            {"messages": [{"role": "system", "content": "a"}] * LONG},
            "\n".join("a" * LONG),
        ),
        (
            "tools",
            {
                "messages": [{"role": "user", "content": "a"}],
                "tools": [{"type": "function", "function": TOOL}] * LONG,
            },
            ["get_weather"] * LONG,
        ),
        (
            "tool_results",
            {
                "messages": [
                    {
                        "role": "tool",
                        "tool_call_id": "c",
                        "content": [{"type": "text", "text": "a"}] * LONG,
                    }
                ]
            },
            [RESULT | {"name": "", "text": "\n".join("a" * LONG)}],
        ),
    ],
    ids=["words", "calls", "system", "tools", "results"],
)
def test_a_long_value_is_made_in_pieces(name: str, body: dict[str, Any], expected: Any) -> None:
    """300,000 texts held the loop for 20 ms when they were joined."""
    read, pauses_of_reading = asked(CHAT, body), 0
    for _ in in_pieces(read.prompt, READINGS[name]):
        pauses_of_reading += 1

    values, pauses = count_pauses(read_values([name], read))

    assert values == {name: expected}
    assert pauses >= LONG // MESSAGES_AT_ONCE
    assert pauses_of_reading


def test_the_body_is_the_decoded_one() -> None:
    body = BODIES[CHAT.name]

    assert values_of(["body"], asked(CHAT, body)) == {"body": body | {"model": "m"}}


def test_headers_are_in_lower_case_and_credentials_are_hidden() -> None:
    lines = [
        ("x-test", "one"),
        ("x-test", "two"),
        ("authorization", "Bearer sk-1"),
        ("x-api-key", "sk-2"),
        ("x-name", "é"),
    ]

    values = values_of(["headers"], asked(CHAT, BODIES[CHAT.name], *lines))

    assert values["headers"] == {
        "x-test": "one",
        "authorization": "***",
        "x-api-key": "***",
        "x-name": "é",
    }


def test_what_a_request_continues_is_known_or_an_error() -> None:
    body = {"input": "Hi", "previous_response_id": "resp_1"}
    unknown = asked(RESPONSES, body)
    known = asked(RESPONSES, body)
    known.prompt.earlier = Earlier(answers=2)

    assert values_of(["turn"], known) == {"turn": 3}
    with pytest.raises(TemplateError, match="'turn' is not known: the request continues"):
        values_of(["turn"], unknown)


def test_the_number_of_the_call_is_given() -> None:
    assert values_of(["call"], asked(CHAT, BODIES[CHAT.name])._replace(call=3)) == {"call": 3}


def test_a_call_that_nobody_has_counted_is_an_error() -> None:
    with pytest.raises(TemplateError, match="'call' is not counted here"):
        values_of(["call"], asked(CHAT, BODIES[CHAT.name]))


def test_every_name_that_looks_back_is_one() -> None:
    assert NAMES > LOOKING_BACK


def test_a_request_without_a_conversation_has_values() -> None:
    empty = Prompt("openai", "m", (), asked(CHAT, BODIES[CHAT.name]).prompt.options, {})

    values = values_of(NO_BODY, Asked(empty, Request.of("POST", "/")))

    assert (values["user"], values["messages"], values["turn"]) == ("", [], 1)
