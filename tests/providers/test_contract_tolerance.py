"""The contract for unusual requests: members that are newer than the installed SDKs, or left out by
clients, are accepted, unless the server is strict."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
    serving,
    small,
    turns,
    user,
)
from tests.support.contract import TEXT
from tests.support.served import Json

pytestmark = pytest.mark.anyio


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
"""Requests that only `strict` refuses."""

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
async def test_members_of_newer_clients_are_accepted(
    clients: Clients, api: str, body: Json
) -> None:
    answer = await clients.post(api, orjson.dumps(body))
    assert isinstance(answer, dict)


@pytest.mark.parametrize(("api", "body"), ALWAYS_LET_THROUGH)
async def test_well_formed_requests_are_accepted(clients: Clients, api: str, body: bytes) -> None:
    answer = await clients.post(api, body)
    assert isinstance(answer, dict)


async def test_a_mebibyte_is_accepted(clients: Clients) -> None:
    answer = await clients.post(
        CHAT, orjson.dumps(turns(CHAT, *user(CHAT, "x" * 2**20)["messages"]))
    )
    assert answer["choices"][0]["message"]["content"] == TEXT


# --- Strict ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def strict_clients(anyio_backend: str) -> AsyncIterator[Clients]:
    async with serving(strict=True) as clients:
        yield clients


@pytest.mark.parametrize(("api", "body"), LET_THROUGH)
async def test_strict_refuses_members_of_newer_clients(
    strict_clients: Clients, api: str, body: Json
) -> None:
    assert "Error code: 400" in await refusal(strict_clients, api, orjson.dumps(body))


@pytest.mark.parametrize(("api", "body"), ALWAYS_LET_THROUGH)
async def test_strict_accepts_well_formed_requests(
    strict_clients: Clients, api: str, body: bytes
) -> None:
    assert isinstance(await strict_clients.post(api, body), dict)
