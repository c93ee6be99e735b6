"""The contract for malformed requests: the SDK's exception names the invalid member."""

from __future__ import annotations

from typing import Any

import openai as openai_sdk
import orjson
import pytest

from tests.support.bodies import (
    APIS,
    CALL,
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    Clients,
    refusal,
    small,
    turns,
    user,
    without,
)
from tests.support.served import Json

pytestmark = pytest.mark.anyio


NO_BOOLEANS: list[Any] = ["yes", 1, {}]
NO_COUNTS: list[Any] = [0, -1, "5", 1.5, True]
NO_INPUTS: list[Any] = [{"type": "text", "text": "hi"}, 5, True]
NO_LISTS: list[Any] = ["hi", {"role": "user"}, 5]
NO_OBJECTS: list[Any] = ["hi", 5, None, []]
NO_ROLES: list[Any] = ["robot", 5, "", []]

NOT_JSON = [
    (b"", "could not parse the JSON body"),
    (b'{"a":', "could not parse the JSON body"),
    (b"hello", "could not parse the JSON body"),
    (b'{"model": NaN}', "could not parse the JSON body"),
    (b'{"model": Infinity}', "could not parse the JSON body"),
    (b'{"model": "\xff"}', "could not parse the JSON body"),
    (b'{"model": "\xed\xa0\x80"}', "could not parse the JSON body"),
    (b'{"model": ' + b"[" * 5000 + b"]" * 5000 + b"}", "could not parse the JSON body"),
    (b'{"model": [[]' + b",[]" * 1_000_000 + b"]}", "it has more than 1,000,000 values"),
    (b"[]", "expected a JSON object, found a list"),
    (b"null", "expected a JSON object, found null"),
    (b'"x"', "expected a JSON object, found 'x'"),
    (b"1", "expected a JSON object, found 1"),
]

REFUSED: list[tuple[str, Json, str]] = [
    *((api, without(api, "model"), "model: Field required") for api in APIS),
    *((api, small(api, model=None), "model: Field required") for api in APIS),
    *((api, small(api, model=""), "model: expected a non-empty string") for api in APIS),
    *((api, small(api, model="m" * 1_001), "maximum length 1000") for api in APIS),
    (EMBEDDINGS, small(EMBEDDINGS, input=["a"] * 2_048, dimensions=4_096), "dimensions: expected"),
    *((api, small(api, model=5), "model: expected a non-empty string") for api in APIS),
    *(
        (api, small(api, stream=value), "stream: expected a boolean")
        for api in (CHAT, RESPONSES, MESSAGES)
        for value in NO_BOOLEANS
    ),
    # Counts below 1, and of a wrong type
    *(
        (CHAT, small(CHAT, **{name: value}), f"{name}: ")
        for name in ("max_tokens", "max_completion_tokens", "n")
        for value in NO_COUNTS
    ),
    *(
        (RESPONSES, small(RESPONSES, max_output_tokens=value), "max_output_tokens: ")
        for value in NO_COUNTS
    ),
    *(
        (MESSAGES, small(MESSAGES, max_tokens=value), "max_tokens: ")
        for value in NO_COUNTS
        if value is True or value != 0  # which fills the prompt cache
    ),
    (MESSAGES, without(MESSAGES, "max_tokens"), "max_tokens: Field required"),
    (MESSAGES, small(MESSAGES, max_tokens=None), "max_tokens: Field required"),
    # The list of messages or items
    *((api, without(api, "messages"), "messages: Field required") for api in (CHAT, MESSAGES)),
    *(
        (api, small(api, messages=value), "messages: ")
        for api in (CHAT, MESSAGES)
        for value in [*NO_LISTS, []]
    ),
    *((api, without(api, "input"), "input: Field required") for api in (RESPONSES, EMBEDDINGS)),
    *(
        (api, small(api, input=value), "input: expected")
        for api in (RESPONSES, EMBEDDINGS)
        for value in NO_INPUTS
    ),
    (EMBEDDINGS, small(EMBEDDINGS, input=[]), "input: at least one input is required"),
    (EMBEDDINGS, small(EMBEDDINGS, input=["a", {}]), "input.1: expected"),
    (EMBEDDINGS, small(EMBEDDINGS, encoding_format="hex"), "encoding_format: expected"),
    # Each message or item
    *(
        (api, turns(api, value), "messages.0: expected an object")
        for api in (CHAT, MESSAGES)
        for value in NO_OBJECTS
    ),
    *((RESPONSES, turns(RESPONSES, value), "input.0: expected an object") for value in NO_OBJECTS),
    *(
        (api, turns(api, {"content": "hi"}), "messages.0.role: Field required")
        for api in (CHAT, MESSAGES)
    ),
    (RESPONSES, turns(RESPONSES, {"content": "hi"}), "input.0.type: Field required"),
    *(
        (api, turns(api, {"role": role, "content": "hi"}), ".0.role: expected")
        for api in (CHAT, RESPONSES, MESSAGES)
        for role in NO_ROLES
    ),
    (MESSAGES, turns(MESSAGES, {"role": "tool", "content": "x"}), "messages.0.role: expected"),
    # Content and its parts
    *(
        (api, user(api, value), ".0.content: expected")
        for api in (CHAT, RESPONSES, MESSAGES)
        for value in NO_INPUTS
    ),
    *(
        (api, user(api, [value]), ".0.content.0: expected an object")
        for api in (CHAT, RESPONSES, MESSAGES)
        for value in NO_OBJECTS
    ),
    *(
        (api, user(api, [{"text": "hi"}]), ".0.content.0.type: Field required")
        for api in (CHAT, RESPONSES, MESSAGES)
    ),
    *(
        (api, user(api, [{"type": 5}]), ".0.content.0.type: expected")
        for api in (CHAT, RESPONSES, MESSAGES)
    ),
    (CHAT, user(CHAT, [{"type": "text", "text": 5}]), "messages.0.content.0.text: expected"),
    (CHAT, user(CHAT, [{"type": "text"}]), "messages.0.content.0.text: Field required"),
    (MESSAGES, user(MESSAGES, [{"type": "text"}]), "messages.0.content.0.text: Field required"),
    (RESPONSES, user(RESPONSES, [{"type": "input_text"}]), "input.0.content.0.text: Field"),
    # Members that the SDK's type declares otherwise
    (CHAT, small(CHAT, temperature="hot"), "temperature: expected a number"),
    (RESPONSES, small(RESPONSES, temperature="hot"), "temperature: expected a number"),
    (CHAT, small(CHAT, tools="x"), "tools: expected a list"),
    (RESPONSES, small(RESPONSES, tools="x"), "tools: expected a list"),
    (MESSAGES, small(MESSAGES, tools="x"), "tools: expected a list"),
    (CHAT, small(CHAT, stream_options=[]), "stream_options: expected an object"),
    (CHAT, small(CHAT, metadata=[]), "metadata: expected an object"),
    (MESSAGES, small(MESSAGES, system=5), "system: expected"),
    (RESPONSES, small(RESPONSES, instructions=5), "instructions: expected a string"),
    (EMBEDDINGS, small(EMBEDDINGS, dimensions="many"), "dimensions: expected"),
    # Tool calls and results
    (
        CHAT,
        turns(CHAT, {"role": "assistant", "tool_calls": [{**CALL, "function": {}}]}),
        "messages.0.tool_calls.0.function.",
    ),
    (
        CHAT,
        turns(
            CHAT,
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"arguments": "{}"}}]},
        ),
        "messages.0.tool_calls.0.function.name: Field required",
    ),
    (
        CHAT,
        turns(CHAT, {"role": "assistant", "tool_calls": "x"}),
        "messages.0.tool_calls: expected a list",
    ),
    (
        CHAT,
        turns(CHAT, {"role": "tool", "content": "42"}),
        "messages.0.tool_call_id: Field required",
    ),
    (
        RESPONSES,
        turns(RESPONSES, {"type": "function_call", "call_id": "c", "arguments": "{}"}),
        "input.0.name: Field required",
    ),
    (
        RESPONSES,
        turns(RESPONSES, {"type": "function_call_output", "call_id": "c"}),
        "input.0.output: Field required",
    ),
    (
        RESPONSES,
        turns(RESPONSES, {"type": "custom_tool_call_output", "output": "42"}),
        "input.0.call_id: Field required",
    ),
    (
        MESSAGES,
        turns(
            MESSAGES,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "input": {}}]},
        ),
        "messages.0.content.0.name: Field required",
    ),
    (
        MESSAGES,
        user(MESSAGES, [{"type": "tool_result", "content": "42"}]),
        "messages.0.content.0.tool_use_id: Field required",
    ),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("body", "reason"), NOT_JSON)
async def test_a_body_that_is_not_a_json_object_is_refused(
    clients: Clients, api: str, body: bytes, reason: str
) -> None:
    assert reason in await refusal(clients, api, body)


@pytest.mark.parametrize(("api", "body", "reason"), REFUSED)
async def test_a_malformed_request_is_refused(
    clients: Clients, api: str, body: Json, reason: str
) -> None:
    assert reason in await refusal(clients, api, orjson.dumps(body))


async def test_the_member_at_fault_is_the_exceptions_param(clients: Clients) -> None:
    body = orjson.dumps(turns(CHAT, {"role": "user", "content": 5}))
    with pytest.raises(openai_sdk.BadRequestError) as info:
        await clients.post(CHAT, body)
    assert info.value.param == "messages.0.content"
    assert info.value.code == "invalid_type"


async def test_a_reason_is_short_however_long_the_value(clients: Clients) -> None:
    text = await refusal(clients, CHAT, orjson.dumps(small(CHAT, temperature="hot" * 100_000)))
    assert "temperature: expected a number" in text
    assert len(text) < 500
