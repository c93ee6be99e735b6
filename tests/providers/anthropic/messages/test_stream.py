"""Streams: the order of their events, and what clients rebuild from them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types import RawMessageStreamEvent
from anthropic.types.beta import BetaRawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import complete
from mockllm.providers.anthropic.messages.render import render
from mockllm.providers.anthropic.messages.stream import events, frame
from mockllm.wire import placeholders
from mockllm.wire.chunking import Chunk
from tests.providers.anthropic.messages.test_answer import (
    BETA_RESPONSES,
    FOR_BETA,
    GOLDENS,
    JSON,
    NOT_VALID,
    OBJECTS,
    RESPONSES,
    TEXTS,
    Object,
    broken,
    plain,
    whole,
)
from tests.support.goldens import FRESH, Case, delivered

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
"""State, event: next state. What is not here must not be on the wire."""

DELTAS = {
    "text": r"(citations_delta |text_delta )*",
    "thinking": r"(thinking_delta )*signature_delta ",
    "tool_use": r"input_json_delta (input_json_delta )+",
    "server_tool_use": r"input_json_delta (input_json_delta )+",
    "mcp_tool_use": r"input_json_delta (input_json_delta )+",
    "compaction": r"compaction_delta ",
}
"""The deltas of a valid block, in order; those of every other kind are none."""

STARTS: dict[str, Object] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
    "mcp_tool_use": {"input": {}},
    "compaction": {"content": None},
}
"""What a valid block has none of yet when it starts."""

STREAMED = ("text", "thinking", "signature")  # a delta brings more of these

STRICT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
STRICT_BETA: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)


# --- reading streams ----------------------------------------------------------------------------


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
    """The message that the events tell, by the plainest reading of them."""
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
    """One delta, as its kind wants to be added."""
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
    """What the last but one event tells."""
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
    """Every event but `ping`, which the unions lack, is of the SDK's types and has no member
    beyond them."""
    for event in found:
        if event == {"type": "ping"}:
            continue
        model = adapter.validate_json(orjson.dumps(event), strict=True)
        assert unknown(model) == []


# --- clients ------------------------------------------------------------------------------------


class Service:
    """Clients of a service that answers everything with `body`, all without a network."""

    def __init__(self) -> None:
        self.body = b""
        self.transport = httpx2.MockTransport(self.handle)
        self.http = httpx2.Client(transport=self.transport)
        self.client = anthropic.Anthropic(api_key="k", http_client=self.http)
        self.strict = self.client.with_options()
        self.strict._strict_response_validation = True

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=self.body)

    def helped(self, messages: Any, *, unknown: bool = False) -> Any:
        """What `.stream()` makes of it. An `unknown` block is held in a model of another kind,
        which pydantic would warn of."""
        with messages.stream(**ASKED) as found:
            return found.get_final_message().to_dict(mode="json", warnings=not unknown)

    def raw(self, messages: Any) -> list[Any]:
        """The events of `create(stream=True)`."""
        with messages.create(**ASKED, stream=True) as found:
            return [event.to_dict(mode="json") for event in found]

    def both_async(self, *, beta: bool) -> tuple[Any, list[Any]]:
        """The same two from asynchronous clients, the second a strict one."""

        async def ask() -> tuple[Any, list[Any]]:
            async with httpx2.AsyncClient(transport=self.transport) as http:
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


@pytest.fixture(name="service", scope="module")
def one_service() -> Iterator[Service]:
    service = Service()
    with service.http:
        yield service


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


# --- goldens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_stream_is_the_golden_one(case: Case) -> None:
    assert case.render(stream=True) == (case.folder / "stream.txt").read_bytes()


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_golden_stream_tells_the_golden_answer(case: Case) -> None:
    found = decoded((case.folder / "stream.txt").read_bytes())
    answer = orjson.loads((case.folder / "whole.json").read_bytes())

    assert_grammar(found)
    assert plain(rebuilt(found)) == plain(answer)


@pytest.mark.parametrize(
    "case",
    [case for case in GOLDENS if case.folder.name not in NOT_VALID],
    ids=lambda case: case.folder.name,
)
def test_golden_stream_is_rebuilt_by_the_official_clients(case: Case, service: Service) -> None:
    found = decoded(stream(case.response, case.chunk))
    beyond = {"top_level_members"}  # has a member that nobody knows, to be kept all the same

    assert_deltas(found)
    if case.folder.name not in beyond:
        assert_valid(found, STRICT_BETA)
    if case.folder.name not in FOR_BETA:
        assert_rebuilt(service, case.response, case.chunk, beta=False)
    assert_rebuilt(service, case.response, case.chunk, beta=True)


@pytest.mark.parametrize("name", sorted(FOR_BETA))
def test_clients_without_beta_get_over_beta_blocks(name: str, service: Service) -> None:
    [case] = [case for case in GOLDENS if case.folder.name == name]
    service.body = stream(case.response)

    answer = service.helped(service.client.messages, unknown=True)

    kinds = [block["type"] for block in whole(case.response)["content"]]
    assert [block["type"] for block in answer["content"]] == kinds


def test_clients_get_over_an_unknown_block(service: Service) -> None:
    [case] = [case for case in GOLDENS if case.folder.name == "unknown_block"]
    service.body = stream(case.response)

    answer = service.helped(service.client.messages, unknown=True)

    assert bare(answer) == bare(whole(case.response))
    with pytest.raises(anthropic.APIResponseValidationError):
        service.raw(service.strict.messages)


# --- the codec ----------------------------------------------------------------------------------


def test_answer_is_a_stream_of_one_event_a_step() -> None:
    reply = render(
        {"content": [{"type": "text", "text": "a b"}]}, ResponseOptions(stream=True), "word"
    )

    filled = placeholders.fill(reply, model="m", input_tokens=1)
    steps = [decoded(placeholders.fill_fresh(step.data, FRESH)) for step in filled.steps]
    assert [[event["type"] for event in found] for found in steps] == [
        *(["message_start"], ["content_block_start"], ["ping"]),
        *(["content_block_delta"], ["content_block_delta"], ["content_block_stop"]),
        *(["message_delta"], ["message_stop"]),
    ]
    assert (reply.status, reply.streamed) == (200, True)
    assert dict(reply.headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert dict(reply.headers)[b"request-id"].startswith(b"req_011C")


def test_message_starts_with_its_first_token_and_without_its_end() -> None:
    response: Object = {
        "content": [{"type": "text", "text": "x"}],
        "stop_reason": "refusal",
        "stop_sequence": "x",
        "stop_details": {"type": "refusal"},
        "container": {"id": "c"},
        "context_management": {"applied_edits": []},
        "diagnostics": None,
        "usage": {"output_tokens": 50, "input_tokens": 4, "server_tool_use": {}, "iterations": []},
    }

    found = decoded(stream(response))
    start, last = found[0]["message"], found[-2]

    assert (start["stop_reason"], start["stop_sequence"], start["stop_details"]) == (None,) * 3
    assert not {"container", "context_management"} & set(start)
    assert start["diagnostics"] is None
    assert start["usage"] == {
        "output_tokens": 1,
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
    assert list(last.items()) == [
        ("type", "message_delta"),
        (
            "delta",
            {
                "stop_reason": "refusal",
                "stop_sequence": "x",
                "stop_details": {"type": "refusal"},
                "container": {"id": "c"},
            },
        ),
        (
            "usage",
            {
                "input_tokens": 4,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 50,
                "server_tool_use": {},
                "iterations": [],
            },
        ),
        ("context_management", {"applied_edits": []}),
    ]


def test_citations_come_between_the_pieces() -> None:
    block = {"type": "text", "text": "a b", "citations": [{"n": 1}, {"n": 2}, {"n": 3}]}

    deltas = [
        event["delta"].get("citation", event["delta"].get("text"))
        for event in events(complete({"content": [block]}), ResponseOptions(), "word")
        if event["type"] == "content_block_delta"
    ]

    assert deltas == [{"n": 1}, "a", {"n": 2}, " b", {"n": 3}]


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, "error"),
        ({"type": "my_event"}, "my_event"),
        ({"type": "two words"}, "two words"),
        ({}, "message"),
        ({"type": None}, "message"),
        ({"type": ""}, "message"),
        ({"type": "a\nevent: b"}, "message"),
        ({"type": "a\r\n\r\n"}, "message"),
        ({"type": "a\u2028b"}, "message"),
    ],
)
def test_every_frame_bears_a_name_of_one_line(event: Object, name: str) -> None:
    assert frame(event).decode().splitlines()[0] == f"event: {name}"
    assert len(frame(event).decode().splitlines()) == 3


def test_error_event_raises_in_the_official_client(service: Service) -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    service.body = stream({})[:-1] + b"\n" + frame({"type": "error", "error": error})

    with pytest.raises(anthropic.APIStatusError) as raised:
        service.raw(service.client.messages)

    assert raised.value.status_code == 200
    assert raised.value.body == {"type": "error", "error": error}


# --- any response -------------------------------------------------------------------------------


@given(response=RESPONSES, chunk=CHUNKS)
@settings(deadline=None, max_examples=60)
def test_valid_response_is_rebuilt_by_the_official_clients(
    service: Service, response: Object, chunk: Chunk
) -> None:
    found = decoded(stream(response, chunk))

    assert_grammar(found)
    assert_deltas(found)
    assert_valid(found, STRICT)
    assert_rebuilt(service, response, chunk, beta=False)


@given(response=BETA_RESPONSES, chunk=CHUNKS)
@settings(deadline=None, max_examples=60)
def test_valid_beta_response_is_rebuilt_by_the_official_beta_client(
    service: Service, response: Object, chunk: Chunk
) -> None:
    found = decoded(stream(response, chunk))

    assert_grammar(found)
    assert_deltas(found)
    assert_valid(found, STRICT_BETA)
    assert_rebuilt(service, response, chunk, beta=True)


@given(response=OBJECTS | broken(), chunk=CHUNKS)
@settings(deadline=None, max_examples=300)
def test_whatever_is_configured_streams_and_nothing_is_lost(response: Object, chunk: Chunk) -> None:
    found = decoded(stream(response, chunk))

    assert_grammar(found)
    assert plain(rebuilt(found)) == plain(whole(response))


@given(event=st.dictionaries(TEXTS | st.just("type"), JSON | TEXTS, max_size=3))
@settings(deadline=None)
def test_any_event_is_one_frame(event: Object) -> None:
    name, data, *rest = frame(event).decode().splitlines()

    assert name.startswith("event: ")
    assert orjson.loads(data.removeprefix("data: ")) == event
    assert rest == [""]


def test_deep_response_is_answered_both_ways() -> None:
    deep: Any = {}
    for _ in range(600):
        deep = {"a": deep}
    response = {"content": [{"type": "tool_use", "name": "f", "input": deep}], "x": deep}

    assert rebuilt(decoded(stream(response))) == whole(response)
