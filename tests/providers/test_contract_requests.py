"""The contract, what a request may be: everything that is refused, with the member at fault in the
SDK's exception, and everything that is let through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import openai as openai_sdk
import orjson
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.providers import contract
from tests.providers.contract import TEXT, TEXT_ASKED
from tests.served import (
    API_KEY,
    Json,
    chat_mock,
    chat_request,
    embeddings_request,
    messages_mock,
    messages_request,
    responses_mock,
    responses_request,
)

pytestmark = pytest.mark.anyio

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "chat", "responses", "messages", "embeddings"
APIS = (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)
PATHS = {
    CHAT: "/chat/completions",
    RESPONSES: "/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/embeddings",
}

ANYTHING = {"match_type": "contains"}
VECTOR = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
CONFIG = {
    "openai": [chat_mock("", contract.CHAT[TEXT_ASKED], **ANYTHING)],
    "openai_response": [responses_mock("", contract.RESPONSES[TEXT_ASKED], **ANYTHING)],
    "anthropic": [messages_mock("", contract.MESSAGES[TEXT_ASKED], **ANYTHING)],
    "openai_embeddings": [
        {"match": {"input": "", **ANYTHING}, "response": VECTOR},
    ],
}
"""Answers anything; complete, so that `strict` has nothing to say against it."""


class Clients(NamedTuple):
    """The clients of one server; `post` sends what their methods would not."""

    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    async def post(self, api: str, body: bytes) -> Any:
        options: Any = {"headers": {"content-type": "application/json"}}
        client = self.anthropic if api == MESSAGES else self.openai
        return await client.post(PATHS[api], content=body, options=options, cast_to=object)


async def _clients(*, strict: bool) -> AsyncIterator[Clients]:
    async with (
        AsyncServer(CONFIG, strict=strict) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as openai,
        AsyncAnthropic(
            base_url=server.anthropic_base_url, api_key=API_KEY, max_retries=0
        ) as anthropic,
    ):
        yield Clients(openai, anthropic)


@pytest.fixture(scope="module")
async def clients(anyio_backend: str) -> AsyncIterator[Clients]:
    async for clients in _clients(strict=False):
        yield clients


def small(api: str, **members: Any) -> Json:
    """The smallest request of an API, with `members`."""
    request = {
        CHAT: chat_request,
        RESPONSES: responses_request,
        MESSAGES: messages_request,
        EMBEDDINGS: embeddings_request,
    }[api]
    return request("hi", **members)


def without(api: str, name: str) -> Json:
    return {key: value for key, value in small(api).items() if key != name}


def turns(api: str, *entries: Any) -> Json:
    """A request with these messages or items, and a user's turn behind them."""
    name = "input" if api == RESPONSES else "messages"
    return small(api, **{name: [*entries, {"role": "user", "content": "hi"}]})


def user(api: str, content: Any) -> Json:
    """A request in which a user's turn has this content."""
    return turns(api, {"role": "user", "content": content})


# --- Refused --------------------------------------------------------------------------------------

CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

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
    (b"[]", "expected a JSON object, found a list"),
    (b"null", "expected a JSON object, found null"),
    (b'"x"', "expected a JSON object, found a string"),
    (b"1", "expected a JSON object, found a number"),
]

REFUSED: list[tuple[str, Json, str]] = [
    *((api, without(api, "model"), "model: Field required") for api in APIS),
    *((api, small(api, model=None), "model: Field required") for api in APIS),
    *((api, small(api, model=""), "model: expected a string") for api in APIS),
    *((api, small(api, model=5), "model: expected a string") for api in APIS),
    *(
        (api, small(api, stream=value), "stream: expected a boolean")
        for api in (CHAT, RESPONSES, MESSAGES)
        for value in NO_BOOLEANS
    ),
    # Counts below 1, and of a wrong type
    *(
        (CHAT, small(CHAT, **{name: value}), f"{name}: expected")
        for name in ("max_tokens", "max_completion_tokens", "n")
        for value in NO_COUNTS
    ),
    *(
        (RESPONSES, small(RESPONSES, max_output_tokens=value), "max_output_tokens: expected")
        for value in NO_COUNTS
    ),
    *((MESSAGES, small(MESSAGES, max_tokens=value), "max_tokens: expected") for value in NO_COUNTS),
    (MESSAGES, without(MESSAGES, "max_tokens"), "max_tokens: Field required"),
    (MESSAGES, small(MESSAGES, max_tokens=None), "max_tokens: Field required"),
    # The list of messages or items
    *((api, without(api, "messages"), "messages: Field required") for api in (CHAT, MESSAGES)),
    *(
        (api, small(api, messages=value), "messages: expected")
        for api in (CHAT, MESSAGES)
        for value in [*NO_LISTS, []]
    ),
    *((api, without(api, "input"), "input: Field required") for api in (RESPONSES, EMBEDDINGS)),
    *(
        (api, small(api, input=value), "input: expected")
        for api in (RESPONSES, EMBEDDINGS)
        for value in NO_INPUTS
    ),
    (EMBEDDINGS, small(EMBEDDINGS, input=[]), "input: expected"),
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


async def refusal(clients: Clients, api: str, body: bytes) -> str:
    """The text of the exception that the SDK of `api` raises for a 400."""
    refused: type[Any] = (anthropic_sdk if api == MESSAGES else openai_sdk).BadRequestError
    with pytest.raises(refused) as info:
        await clients.post(api, body)
    assert info.value.request_id
    assert info.value.type == "invalid_request_error"
    return str(info.value)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("body", "reason"), NOT_JSON)
async def test_what_is_no_json_object_is_refused(
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


# --- Let through ----------------------------------------------------------------------------------

EXTRA = {"not_yet_invented": {"a": [1]}}
UNKNOWN_PART = {"type": "hologram", "data": "x"}

LET_THROUGH: list[tuple[str, Json]] = [
    # Members that the SDK's type does not declare
    *((api, small(api, **EXTRA)) for api in APIS),
    *((api, turns(api, {"role": "user", "content": "x", **EXTRA})) for api in (CHAT, MESSAGES)),
    *((api, user(api, [{"type": "text", "text": "x", **EXTRA}])) for api in (CHAT, MESSAGES)),
    (RESPONSES, user(RESPONSES, [{"type": "input_text", "text": "x", **EXTRA}])),
    (CHAT, turns(CHAT, {"role": "assistant", "tool_calls": [{**CALL, **EXTRA}]})),
    # Null for an optional member
    (CHAT, small(CHAT, tools=None, user=None, n=None, stream=None, stop=None)),
    (CHAT, turns(CHAT, {"role": "assistant", "content": "x", "tool_calls": None})),
    (CHAT, turns(CHAT, {"role": "user", "content": "x", "name": None})),
    (RESPONSES, small(RESPONSES, tools=None, user=None, stream=None, max_output_tokens=None)),
    (MESSAGES, small(MESSAGES, tools=None, system=None, metadata=None, stream=None)),
    (EMBEDDINGS, small(EMBEDDINGS, user=None, dimensions=None, encoding_format=None)),
    # A part, block, item or tool of a type that the installed SDK does not know
    *((api, user(api, [UNKNOWN_PART])) for api in (CHAT, RESPONSES, MESSAGES)),
    *((api, small(api, tools=[UNKNOWN_PART])) for api in (CHAT, RESPONSES, MESSAGES)),
    (RESPONSES, turns(RESPONSES, {"type": "hologram_call", "angle": 5})),
    (CHAT, turns(CHAT, {"role": "assistant", "tool_calls": [{"id": "c", "type": "hologram"}]})),
    # A value that the installed SDK's enum does not have
    (CHAT, small(CHAT, reasoning_effort="galactic")),
    (CHAT, small(CHAT, service_tier="galactic")),
    (RESPONSES, small(RESPONSES, reasoning={"effort": "galactic"})),
    (RESPONSES, small(RESPONSES, include=["galactic"])),
    (MESSAGES, small(MESSAGES, service_tier="galactic")),
    # What clients leave out of the turns and items that they echo
    (
        RESPONSES,
        turns(
            RESPONSES,
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x"}],
            },
        ),
    ),
    (RESPONSES, turns(RESPONSES, {"type": "reasoning", "encrypted_content": "x"})),
    (RESPONSES, turns(RESPONSES, {"type": "web_search_call"})),
    (
        MESSAGES,
        turns(MESSAGES, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}),
    ),
]
"""What `strict` refuses."""

ALWAYS_LET_THROUGH: list[tuple[str, bytes]] = [
    *((api, orjson.dumps(small(api))) for api in APIS),
    # A byte-order mark, white space around, a duplicate key, a lone surrogate
    *((api, b"\xef\xbb\xbf" + orjson.dumps(small(api))) for api in APIS),
    *((api, b" \r\n\t" + orjson.dumps(small(api)) + b"\n") for api in APIS),
    *((api, orjson.dumps(small(api)).replace(b"{", b'{"model":5,', 1)) for api in APIS),
    *((api, orjson.dumps(small(api)).replace(b'"hi"', b'"\\ud83d hi"')) for api in APIS),
    (CHAT, orjson.dumps(small(CHAT, max_tokens=None, stream_options=None, metadata=None))),
    (CHAT, orjson.dumps(turns(CHAT, {"role": "assistant", "content": None}))),
    (CHAT, orjson.dumps(turns(CHAT, {"role": "developer", "content": "x"}))),
    (CHAT, orjson.dumps(turns(CHAT, {"role": "assistant", "tool_calls": [CALL]}))),
    (MESSAGES, orjson.dumps(turns(MESSAGES, {"role": "system", "content": "x"}))),
    (RESPONSES, orjson.dumps(turns(RESPONSES, {"role": "assistant", "content": "x"}))),
    (EMBEDDINGS, orjson.dumps(small(EMBEDDINGS, input=["hi", "there"]))),
]


@pytest.mark.parametrize(("api", "body"), LET_THROUGH)
async def test_what_newer_clients_send_is_let_through(
    clients: Clients, api: str, body: Json
) -> None:
    answer = await clients.post(api, orjson.dumps(body))
    assert isinstance(answer, dict)


@pytest.mark.parametrize(("api", "body"), ALWAYS_LET_THROUGH)
async def test_what_is_well_formed_is_let_through(clients: Clients, api: str, body: bytes) -> None:
    answer = await clients.post(api, body)
    assert isinstance(answer, dict)


async def test_a_mebibyte_is_let_through(clients: Clients) -> None:
    answer = await clients.post(
        CHAT, orjson.dumps(turns(CHAT, *user(CHAT, "x" * 2**20)["messages"]))
    )
    assert answer["choices"][0]["message"]["content"] == TEXT


# --- Strict ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def strict_clients(anyio_backend: str) -> AsyncIterator[Clients]:
    async for clients in _clients(strict=True):
        yield clients


@pytest.mark.parametrize(("api", "body"), LET_THROUGH)
async def test_strict_refuses_what_newer_clients_send(
    strict_clients: Clients, api: str, body: Json
) -> None:
    assert "Error code: 400" in await refusal(strict_clients, api, orjson.dumps(body))


@pytest.mark.parametrize(("api", "body"), ALWAYS_LET_THROUGH)
async def test_strict_lets_through_what_is_well_formed(
    strict_clients: Clients, api: str, body: bytes
) -> None:
    assert isinstance(await strict_clients.post(api, body), dict)
