"""Streams of Messages: their grammar, what they add up to, and how official clients read them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import anthropic
import orjson
from anthropic.types import RawMessageStreamEvent
from anthropic.types.beta import BetaRawMessageStreamEvent
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.render import render
from mockllm.wire.chunking import Chunk
from tests.support.anthropic.messages.responses import Object, plain, whole
from tests.support.goldens import delivered
from tests.support.http_library import httpx

CHUNKS = st.sampled_from(["word", "char", "token", 1, 3])

GRAMMAR: dict[str, dict[str, str]] = {
    "start": {"message_start": "started"},
    "started": {"content_block_start": "first", "ping": "no block"},
    "first": {"ping": "block"},
    "block": {"content_block_delta": "block", "content_block_stop": "between"},
    "between": {"content_block_start": "block", "message_delta": "ended"},
    "no block": {"message_delta": "ended"},
    "ended": {"message_stop": "done"},
    "done": {},
}
"""The next state by state and event. Any other event is an error."""

DELTAS = {
    "text": r"(citations_delta |text_delta )*",
    "thinking": r"(thinking_delta )*signature_delta ",
    "tool_use": r"input_json_delta (input_json_delta )+",
    "server_tool_use": r"input_json_delta (input_json_delta )+",
    "mcp_tool_use": r"input_json_delta (input_json_delta )+",
    "compaction": r"compaction_delta ",
}
"""The kinds of deltas of a valid block, in order; any other kind of block has none."""

STARTS: dict[str, Object] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
    "mcp_tool_use": {"input": {}},
    "compaction": {"content": None},
}
"""Members that a valid block lacks when it starts."""

STREAMED = ("text", "thinking", "signature")  # a delta brings more of these

STRICT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
STRICT_BETA: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)


def stream(response: Object, chunk: Chunk = "word") -> bytes:
    """The body of the streamed answer for `response`."""
    return delivered(render(response, ResponseOptions(stream=True), chunk))


def decoded(body: bytes) -> list[Object]:
    """The events of a body in which every frame is named after its event."""
    found = []
    for text in body.split(b"\n\n")[:-1]:
        match = re.fullmatch(rb"event: ([a-z_]+)\ndata: (\{.*\})", text)
        assert match, text
        event = orjson.loads(match[2])
        assert event["type"] == match[1].decode()
        found.append(event)
    assert body.endswith(b"\n\n")
    return found


def assert_grammar(found: list[Object]) -> None:
    """The events come as the table says, and blocks are counted from 0, one after the other."""
    state, index = "start", -1
    for event in found:
        assert event["type"] in GRAMMAR[state], (state, event)
        state = GRAMMAR[state][event["type"]]
        index += event["type"] == "content_block_start"
        assert event.get("index", index) == index
    assert state == "done"


def assert_deltas(found: list[Object]) -> None:
    """Every block starts empty and has the deltas of its kind."""
    kinds: list[str] = []
    brought: list[str] = []
    for event in found:
        if event["type"] == "content_block_start":
            block = event["content_block"]
            assert block.items() >= STARTS.get(block["type"], {}).items()
            assert not block.get("citations")
            assert not block.get("encrypted_content")
            kinds.append(block["type"])
            brought.append("")
        elif event["type"] == "content_block_delta":
            brought[-1] += event["delta"]["type"] + " "
    for kind, deltas in zip(kinds, brought, strict=True):
        assert re.fullmatch(DELTAS.get(kind, ""), deltas), (kind, deltas)


def rebuilt(found: list[Object]) -> Any:
    """The message that the events add up to, by a straightforward reading."""
    message: Any = None
    blocks: list[Any] = []
    texts: dict[int, str] = {}
    for event in found:
        match event:
            case {"type": "message_start"}:
                message = event["message"]
            case {"type": "content_block_start"}:
                blocks.append(event["content_block"])
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                add(blocks[index], delta, texts, index)
            case {"type": "content_block_stop", "index": index} if index in texts:
                blocks[index]["input"] = orjson.loads(texts[index])
            case {"type": "message_delta"}:
                end(message, event)
    if isinstance(message["content"], list):
        message["content"] = blocks
    return message


def add(block: Object, delta: Object, texts: dict[int, str], index: int) -> None:
    """Apply one delta by the rule of its kind."""
    match delta.pop("type"):
        case "citations_delta":
            block["citations"].append(delta["citation"])
        case "input_json_delta":
            texts[index] = texts.get(index, "") + delta["partial_json"]
        case "compaction_delta":
            block.update(delta)
        case _:
            [(member, piece)] = delta.items()
            assert member in STREAMED
            block[member] += piece


def end(message: Object, event: Object) -> None:
    """Apply the last event but one to `message`."""
    message.update(event["delta"])
    if isinstance(event["usage"], dict):
        message["usage"].update(event["usage"])
    else:
        assert message["usage"] == event["usage"]
    if "context_management" in event:
        message["context_management"] = event["context_management"]


def unknown(model: BaseModel) -> list[str]:
    """The members that the SDK's types do not have."""
    found = list(model.model_extra or {})
    for name in type(model).model_fields:
        value = getattr(model, name)
        for part in value if isinstance(value, list) else [value]:
            found += unknown(part) if isinstance(part, BaseModel) else []
    return found


def assert_valid(found: list[Object], adapter: TypeAdapter[Any]) -> None:
    """Every event except `ping`, which the unions lack, is valid by the SDK's types and has no
    undeclared member."""
    for event in found:
        if event == {"type": "ping"}:
            continue
        model = adapter.validate_json(orjson.dumps(event), strict=True)
        assert unknown(model) == []


class Service:
    """Clients of a service that answers everything with `body`, all without a network."""

    def __init__(self) -> None:
        self.body = b""
        self.transport = httpx.MockTransport(self.handle)
        self.http = httpx.Client(transport=self.transport)
        self.client = anthropic.Anthropic(api_key="k", http_client=self.http)
        self.strict = self.client.with_options()
        self.strict._strict_response_validation = True

    def handle(self, request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx.Response(200, headers=headers, content=self.body)

    def helped(self, messages: Any, *, unknown: bool = False) -> Any:
        """The result of `.stream()`. The SDK stores an `unknown` block in a model of another kind,
        about which pydantic would warn."""
        with messages.stream(**ASKED) as found:
            return found.get_final_message().to_dict(mode="json", warnings=not unknown)

    def raw(self, messages: Any) -> list[Any]:
        """The events of `create(stream=True)`."""
        with messages.create(**ASKED, stream=True) as found:
            return [event.to_dict(mode="json") for event in found]

    def both_async(self, *, beta: bool) -> tuple[Any, list[Any]]:
        """The same two from asynchronous clients, the second a strict one."""

        async def ask() -> tuple[Any, list[Any]]:
            async with httpx.AsyncClient(transport=self.transport) as http:
                client = anthropic.AsyncAnthropic(api_key="k", http_client=http)
                messages: Any = client.beta.messages if beta else client.messages
                async with messages.stream(**ASKED) as found:
                    helped = (await found.get_final_message()).to_dict(mode="json")
                client._strict_response_validation = True
                raw = await messages.create(**ASKED, stream=True)
                return helped, [event.to_dict(mode="json") async for event in raw]

        return asyncio.run(ask())


ASKED: Object = {
    "model": "mock-model",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "?"}],
}


def bare(message: Object) -> bytes:
    """`message` without null members of itself, its usage and its blocks: helpers set some that
    were absent."""
    message = {key: value for key, value in message.items() if value is not None}
    message["usage"] = {key: value for key, value in message["usage"].items() if value is not None}
    message["content"] = [
        {key: value for key, value in block.items() if value is not None}
        for block in message["content"]
    ]
    return plain(message)


def assert_rebuilt(service: Service, response: Object, chunk: Chunk, *, beta: bool) -> None:
    """Helpers and strict clients, synchronous and not, get exactly the completed response."""
    service.body = stream(response, chunk)
    expected = bare(whole(response))
    sent = [event for event in decoded(service.body) if event["type"] != "ping"]
    client: Any = service.client.beta if beta else service.client
    strict: Any = service.strict.beta if beta else service.strict

    assert bare(service.helped(client.messages)) == expected
    assert bare(service.helped(strict.messages)) == expected
    assert service.raw(strict.messages) == sent
    helped, raw = service.both_async(beta=beta)
    assert bare(helped) == expected
    assert raw == sent
