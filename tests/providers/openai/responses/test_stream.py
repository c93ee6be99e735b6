"""Streamed Responses answers: golden files, the order of events, and what clients rebuild."""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIResponseValidationError

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses.answer import text_response
from mockllm.providers.openai.responses.render import render
from mockllm.providers.openai.responses.stream import frame
from mockllm.wire.chunking import Chunk
from tests.support.goldens import Case, delivered
from tests.support.openai.responses.responses import (
    CASES,
    items_beside_the_union,
    items_of_the_union,
    json_objects,
    responses,
    spoiled_responses,
    whole,
)
from tests.support.openai.responses.streams import (
    BESIDE_THE_UNION,
    CHUNKS,
    LATE,
    NEVER_IN_PROGRESS,
    PADDED,
    TYPED,
    Event,
    assert_done_says_all,
    assert_in_order,
    assert_typed,
    ends_completed,
    events_of,
    read_raw,
    read_with_async_helper,
    read_with_helper,
    rebuilt,
    snapshots,
    streamed,
    texts_of,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_stream_is_golden(case: Case) -> None:
    assert case.render(stream=True) == (case.folder / "stream.txt").read_bytes()


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.folder.name)
def test_events_are_in_order_and_typed(case: Case) -> None:
    body = case.render(stream=True)

    assert_in_order(events_of(body))
    assert_typed(body)


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.folder.name)
def test_events_add_up_to_the_whole_answer(case: Case) -> None:
    events = events_of(case.render(stream=True))

    final = rebuilt(events)

    assert_done_says_all(events)
    if events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed"):
        assert final == whole(case.response)
    else:
        assert final["output"] == whole(case.response)["output"]


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.folder.name)
def test_items_are_added_without_the_members_that_events_fill(case: Case) -> None:
    for event in events_of(case.render(stream=True)):
        if event["type"] == "response.output_item.added":
            item = event["item"]
            assert not any(item.get(name) for name in LATE.get(item["type"], ()))
            if "status" in item and item["type"] not in NEVER_IN_PROGRESS:
                assert item["status"] == "in_progress"


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.folder.name)
def test_strict_client_yields_every_event(case: Case) -> None:
    body = case.render(stream=True)
    sent = events_of(body)

    if BESIDE_THE_UNION.isdisjoint(event["type"] for event in sent):
        assert read_raw(body, strict=True) == sent
    else:
        with pytest.raises(APIResponseValidationError):
            read_raw(body, strict=True)
        assert [event["type"] for event in read_raw(body, strict=False)] == [
            event["type"] for event in sent
        ]


@pytest.mark.parametrize("case", TYPED, ids=lambda case: case.folder.name)
def test_helper_rebuilds_the_whole_answer(case: Case) -> None:
    body = case.render(stream=True)
    expected = whole(case.response)
    if not ends_completed(events_of(body)):
        with pytest.raises(RuntimeError, match=r"response\.completed"):
            read_with_helper(body)
        return

    for events, final in (read_with_helper(body), asyncio.run(read_with_async_helper(body))):
        assert final == expected
        assert list(snapshots(events)) == list(texts_of(expected))


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the helper's own copies
@pytest.mark.parametrize("folder", ["parts", "unknown_items"])
def test_the_helper_passes_on_unknown_events(folder: str) -> None:
    case = next(case for case in CASES if case.folder.name == folder)
    response = deepcopy(case.response)
    response["output"] = [item for item in response["output"] if isinstance(item, dict)]

    _, final = read_with_helper(streamed(response))

    assert final == whole(response)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_events_begin_with_the_keys_of_the_service(case: Case) -> None:
    order = ["type", "sequence_number", "item_id", "output_index"]
    indexes = ["content_index", "summary_index", "command_index"]
    for event in events_of(case.render(stream=True)):
        leading = [name for name in event if name in order + indexes]
        assert list(event)[: len(leading)] == leading
        assert leading == sorted(leading, key=(order + indexes).index)


def test_a_text_delta_has_the_bytes_of_the_service() -> None:
    events = events_of(streamed(text_response("Hi"), padded=True))

    assert list(events[4]) == [
        "type", "sequence_number", "item_id", "output_index", "content_index", "delta",
        "logprobs", "obfuscation",
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_deltas_are_padded_to_full_blocks(case: Case, chunk: Chunk) -> None:
    padded = events_of(streamed(case.response, chunk=chunk, padded=True))
    plain = events_of(streamed(case.response, chunk=chunk, padded=False))

    for event in padded:
        if PADDED.fullmatch(event["type"]):
            padding = event.pop("obfuscation")
            assert (len(event["delta"]) + len(padding)) % 16 == 0
            assert len(padding) < 16
            assert re.fullmatch("[A-Za-z0-9]*", padding)
    assert padded == plain


def test_every_delta_has_another_padding() -> None:
    events = events_of(streamed(text_response("a a a a a a"), chunk=1, padded=True))

    paddings = [event["obfuscation"] for event in events if "obfuscation" in event]
    assert len(set(paddings)) == len(paddings) == 11


@pytest.mark.parametrize("chunk", CHUNKS)
def test_log_probabilities_arrive_with_the_end_of_their_token(chunk: Chunk) -> None:
    words = ["Hel", "lo", " there", "!", " Bye"]
    logprobs = [{"token": word, "logprob": -0.5} for word in words]
    part = {"type": "output_text", "text": "".join(words), "logprobs": logprobs}
    events = events_of(streamed({"output": [{"content": [part]}]}, chunk=chunk))

    text, tokens = "", ""
    for event in events:
        if event["type"] == "response.output_text.delta":
            text += event["delta"]
            tokens += "".join(logprob["token"] for logprob in event["logprobs"])
            assert text.startswith(tokens)
    assert tokens == text == "Hello there! Bye"


def test_log_probabilities_of_another_text_are_not_lost() -> None:
    logprobs = [{"token": "quite another text", "logprob": -0.5}, "?", {"logprob": 0}]
    part = {"type": "output_text", "text": "Two words", "logprobs": logprobs}
    events = events_of(streamed({"output": [{"content": [part]}]}))

    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [delta["logprobs"] for delta in deltas] == [[], logprobs]


@pytest.mark.parametrize(
    ("status", "begins", "ends"),
    [
        ("completed", "response.in_progress", "response.completed"),
        ("incomplete", "response.in_progress", "response.incomplete"),
        ("failed", "response.in_progress", "response.failed"),
        ("cancelled", "response.in_progress", "response.incomplete"),
        ("queued", "response.queued", "response.output_item.done"),
        ("in_progress", "response.in_progress", "response.output_item.done"),
        ("a new one", "response.in_progress", "response.completed"),
        (None, "response.in_progress", "response.completed"),
    ],
)
def test_the_status_decides_how_a_stream_begins_and_ends(
    status: str | None, begins: str, ends: str
) -> None:
    events = events_of(streamed({**text_response("Hi"), "status": status}))

    assert (events[1]["type"], events[-1]["type"]) == (begins, ends)
    assert f"response.{events[0]['response']['status']}" == begins
    assert events[0]["response"] == events[1]["response"]
    if "response" in events[-1]:
        assert events[-1]["response"]["status"] == status


def test_a_stream_begins_with_an_empty_response() -> None:
    response = {
        **text_response("Hi"),
        "service_tier": "default",
        "error": {"code": "x"},
        "usage": {},
    }
    begun = events_of(streamed(response))[0]["response"]

    blank = ("status", "completed_at", "error", "incomplete_details", "output", "usage")
    assert [begun[name] for name in blank] == ["in_progress", None, None, None, [], None]
    assert begun["service_tier"] == "auto"
    assert list(begun) == list(whole(response))


@pytest.mark.parametrize("status", ["failed", "incomplete", "in_progress"])
@pytest.mark.parametrize(
    "kind",
    ["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"],
)
def test_a_failed_call_has_no_completed_event(kind: str, status: str) -> None:
    events = events_of(streamed({"output": [{"type": kind, "status": status}]}))

    assert f"response.{kind}.in_progress" in {event["type"] for event in events}
    assert f"response.{kind}.completed" not in {event["type"] for event in events}


@pytest.mark.parametrize(
    ("item", "ends"),
    [
        ({"type": "mcp_call", "error": None}, "completed"),
        ({"type": "mcp_call", "error": {"type": "http_error", "code": 502}}, "failed"),
        ({"type": "mcp_call", "status": "failed"}, "failed"),
        ({"type": "mcp_list_tools"}, "completed"),
        ({"type": "mcp_list_tools", "error": "unreachable"}, "failed"),
    ],
)
def test_an_mcp_item_ends_completed_or_failed(item: dict[str, Any], ends: str) -> None:
    events = events_of(streamed({"output": [item]}))

    assert events[-3]["type"] == f"response.{item['type']}.{ends}"


def test_a_reply_has_one_step_for_each_event_and_no_end_mark() -> None:
    reply: Reply = render(text_response("one two three"), ResponseOptions(stream=True), "word")

    assert reply.streamed
    assert dict(reply.headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert len(list(reply.steps)) == len(events_of(delivered(reply)))
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize(
    ("event", "framed"),
    [
        ({"type": "error", "message": "x"}, b'event: error\ndata: {"type":"error","message":"x"}'),
        ({"message": "no type"}, b'data: {"message":"no type"}'),
        ({"type": 5}, b'data: {"type":5}'),
        ({"type": "two\nlines"}, b'data: {"type":"two\\nlines"}'),
    ],
)
def test_events_as_written_by_a_user_are_framed(event: Event, framed: bytes) -> None:
    assert frame(event) == framed + b"\n\n"


@given(responses(items_of_the_union | items_beside_the_union), st.sampled_from(CHUNKS))
@settings(max_examples=120, deadline=None)
def test_any_valid_stream_adds_up(response: dict[str, Any], chunk: Chunk) -> None:
    body = streamed(response, chunk=chunk, padded=True)
    events = events_of(body)

    assert_in_order(events)
    assert_done_says_all(events)
    assert_typed(body)
    assert rebuilt(events) == whole(response)


@given(responses(items_of_the_union | items_beside_the_union), st.sampled_from(CHUNKS))
@settings(max_examples=50, deadline=None)
def test_helper_rebuilds_any_valid_answer(response: dict[str, Any], chunk: Chunk) -> None:
    expected = whole(response)
    body = streamed(response, chunk=chunk)

    for events, final in (read_with_helper(body), asyncio.run(read_with_async_helper(body))):
        assert final == expected
        assert list(snapshots(events)) == list(texts_of(expected))


@given(responses(items_of_the_union), st.sampled_from(CHUNKS))
@settings(max_examples=30, deadline=None)
def test_strict_client_yields_any_valid_stream(response: dict[str, Any], chunk: Chunk) -> None:
    body = streamed(response, chunk=chunk, padded=True)

    assert read_raw(body, strict=True) == events_of(body)


@given(json_objects | spoiled_responses(), st.sampled_from(CHUNKS), st.booleans())
@settings(max_examples=250, deadline=None)
def test_any_json_object_is_streamed(response: Event, chunk: Chunk, padded: bool) -> None:
    before = deepcopy(response)

    events = events_of(streamed(response, chunk=chunk, padded=padded))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    served = whole(response)
    output = served["output"] if isinstance(served["output"], list) else []
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == output
    if events[-1]["type"] not in ("response.queued", "response.output_item.done"):
        assert events[-1]["response"] == served
    assert response == before
