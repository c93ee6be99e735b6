"""Streams of messages: the order of their events, and the messages that clients rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import complete
from mockllm.providers.anthropic.messages.render import render
from mockllm.providers.anthropic.messages.stream import events, frame
from mockllm.wire import placeholders
from mockllm.wire.chunking import Chunk
from tests.support.anthropic.messages.responses import (
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
from tests.support.anthropic.messages.streams import (
    CHUNKS,
    STRICT,
    STRICT_BETA,
    Service,
    assert_deltas,
    assert_grammar,
    assert_rebuilt,
    assert_valid,
    bare,
    decoded,
    rebuilt,
    stream,
)
from tests.support.goldens import FRESH, Case


@pytest.fixture(name="service", scope="module")
def one_service() -> Iterator[Service]:
    service = Service()
    with service.http:
        yield service


# --- goldens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_stream_is_the_golden_one(case: Case) -> None:
    assert case.render(stream=True) == (case.folder / "stream.txt").read_bytes()


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_a_golden_stream_adds_up_to_the_golden_answer(case: Case) -> None:
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
def test_clients_without_beta_ignore_beta_blocks(name: str, service: Service) -> None:
    [case] = [case for case in GOLDENS if case.folder.name == name]
    service.body = stream(case.response)

    answer = service.helped(service.client.messages, unknown=True)

    kinds = [block["type"] for block in whole(case.response)["content"]]
    assert [block["type"] for block in answer["content"]] == kinds


def test_clients_ignore_an_unknown_block(service: Service) -> None:
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

    known_at_end = ("container", "stop_reason", "stop_sequence", "stop_details")
    assert [start[name] for name in known_at_end] == [None] * 4
    assert "context_management" not in start
    assert start["diagnostics"] is None
    assert start["usage"] == {
        "output_tokens": 1,
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
        "inference_geo": "global",
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
                "output_tokens_details": {"thinking_tokens": 0},
                "iterations": [],
            },
        ),
        ("context_management", {"applied_edits": []}),
    ]


def test_thinking_without_a_signature_comes_in_pieces() -> None:
    thinking = {"type": "thinking", "thinking": "let me", "signature": None}

    found = decoded(stream({"content": [thinking]}))

    assert [event["delta"] for event in found if event["type"] == "content_block_delta"] == [
        {"type": "thinking_delta", "thinking": "let"},
        {"type": "thinking_delta", "thinking": " me"},
    ]
    assert rebuilt(found)["content"] == [thinking]


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
def test_every_frame_has_a_one_line_name(event: Object, name: str) -> None:
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
def test_any_response_streams_without_loss(response: Object, chunk: Chunk) -> None:
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
