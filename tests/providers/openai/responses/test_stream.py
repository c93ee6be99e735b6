"""Streamed Responses answers: golden files, the order of events, and what clients rebuild."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, get_args

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIResponseValidationError, AsyncOpenAI, OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses.answer import text_response
from mockllm.providers.openai.responses.render import render
from mockllm.providers.openai.responses.stream import frame
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk
from tests.providers.openai.responses.test_answer import (
    PASSED_ON,
    items_beside_the_union,
    items_of_the_union,
    json_objects,
    responses,
    spoiled_responses,
    whole,
)
from tests.support.goldens import MODEL, Case, cases, delivered

Event = dict[str, Any]

CASES = cases("openai/responses")
TYPED = [case for case in CASES if case.folder.name not in PASSED_ON]
CHUNKS: tuple[Chunk, ...] = ("word", "char", "token", 1, 3)

MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(ResponseStreamEvent)[0])
}
BESIDE_THE_UNION = frozenset(
    {
        "response.apply_patch_call_operation_diff.delta",  # the service has it, the SDK does not
        "response.apply_patch_call_operation_diff.done",
        "response.function_call_output.delta",  # the service does not have it, users wait for it
        "response.function_call_output.done",
    }
)

# The order of events, by their names without "response.", each followed by a space.

_PART = (
    r"content_part\.added "
    r"(?:(?:output_text\.delta )*(?:output_text\.annotation\.added )*output_text\.done "
    r"|(?:refusal\.delta )*refusal\.done "
    r"|(?:reasoning_text\.delta )*reasoning_text\.done "
    r"|)"  # a part of an unknown type
    r"content_part\.done "
)
_SUMMARY = (
    r"reasoning_summary_part\.added (?:reasoning_summary_text\.delta )*"
    r"reasoning_summary_text\.done reasoning_summary_part\.done "
)
GRAMMAR = {
    "message": rf"(?:{_PART})*",
    "function_call": r"(?:function_call_arguments\.delta )*function_call_arguments\.done ",
    "function_call_output": r"(?:function_call_output\.delta )*function_call_output\.done ",
    "custom_tool_call": r"(?:custom_tool_call_input\.delta )*custom_tool_call_input\.done ",
    "reasoning": rf"(?:{_SUMMARY})*(?:{_PART})*",
    "web_search_call": (
        r"web_search_call\.in_progress web_search_call\.searching (?:web_search_call\.completed )?"
    ),
    "file_search_call": (
        r"file_search_call\.in_progress file_search_call\.searching "
        r"(?:file_search_call\.completed )?"
    ),
    "code_interpreter_call": (
        r"code_interpreter_call\.in_progress (?:(?:code_interpreter_call_code\.delta )*"
        r"code_interpreter_call_code\.done )?code_interpreter_call\.interpreting "
        r"(?:code_interpreter_call\.completed )?"
    ),
    "image_generation_call": (
        r"image_generation_call\.in_progress image_generation_call\.generating "
        r"(?:image_generation_call\.partial_image )*(?:image_generation_call\.completed )?"
    ),
    "mcp_list_tools": r"mcp_list_tools\.in_progress mcp_list_tools\.(?:completed|failed) ",
    "mcp_call": (
        r"mcp_call\.in_progress (?:mcp_call_arguments\.delta )*mcp_call_arguments\.done "
        r"mcp_call\.(?:completed|failed) "
    ),
    "shell_call": (
        r"(?:shell_call_command\.added (?:shell_call_command\.delta )*shell_call_command\.done )*"
    ),
    "shell_call_output": (
        r"(?:(?:shell_call_output_content\.delta )*shell_call_output_content\.done )*"
    ),
    "apply_patch_call": (
        r"(?:(?:apply_patch_call_operation_diff\.delta )*apply_patch_call_operation_diff\.done )?"
    ),
    "compaction": r"compaction\.compacting ",
}
"""What stands between `output_item.added` and `output_item.done`; nothing for any other kind."""

BEGINNING = re.compile(r"created (?:in_progress|queued) ")
ENDING = re.compile(r"(?:completed |incomplete |failed )?")

PADDED = re.compile(
    r"response\.(?:output_text|refusal|reasoning_text|reasoning_summary_text"
    r"|function_call_arguments|custom_tool_call_input|mcp_call_arguments"
    r"|code_interpreter_call_code|shell_call_command|apply_patch_call_operation_diff)\.delta"
)


def streamed(response: Event, *, chunk: Chunk = "word", padded: bool = False) -> bytes:
    form = ResponseOptions(stream=True, include_obfuscation=padded)
    return delivered(render(response, form, chunk))


def events_of(body: bytes) -> list[Event]:
    """The events of a stream, read by the letter of how this API frames them."""
    assert body.endswith(b"\n\n")
    events = []
    for block in body[:-2].split(b"\n\n"):
        name, data = block.split(b"\n")
        assert name.startswith(b"event: ")
        assert data.startswith(b"data: ")
        event = jsontext.loads(data.removeprefix(b"data: "))
        assert name.decode() == f"event: {event['type']}"
        events.append(event)
    return events


def assert_in_order(events: list[Event]) -> None:
    """The events obey the grammar; indexes and numbers count without a gap."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [at for at, event in enumerate(events) if "output_item.added" in event["type"]]
    done = [at for at, event in enumerate(events) if "output_item.done" in event["type"]]
    first, last = (added[0], done[-1] + 1) if added else (2, 2)
    assert BEGINNING.fullmatch(_names(events[:first]))
    assert ENDING.fullmatch(_names(events[last:]))
    assert added[1:] == [at + 1 for at in done[:-1]]
    for index, (begin, end) in enumerate(zip(added, done, strict=True)):
        _assert_item_in_order(events[begin : end + 1], index)


def _assert_item_in_order(events: list[Event], index: int) -> None:
    item = events[-1]["item"]
    assert {event["output_index"] for event in events} == {index}
    assert {event["item_id"] for event in events if "item_id" in event} <= {item["id"]}
    assert events[0]["item"]["id"] == item["id"]
    assert re.fullmatch(GRAMMAR.get(item["type"], ""), _names(events[1:-1])), _names(events)


def _names(events: list[Event]) -> str:
    return "".join(event["type"].removeprefix("response.") + " " for event in events)


def assert_typed(body: bytes) -> None:
    """Every event is strictly of the SDK's type."""
    for event in events_of(body):
        if event["type"] not in BESIDE_THE_UNION:
            MODELS[event["type"]].model_validate_json(jsontext.dumps(event), strict=True)


# What a client makes of the events: for each the change of the item it is about.


def _grow(name: str) -> Callable[[Event, Event], None]:
    def grow(item: Event, event: Event) -> None:
        item[name] += event["delta"]

    return grow


def _grow_part(member: str, index: str, name: str) -> Callable[[Event, Event], None]:
    def grow(item: Event, event: Event) -> None:
        part = item[member][event[index]]
        part[name] += event["delta"]
        if event.get("logprobs"):
            part["logprobs"] += event["logprobs"]

    return grow


def _add_part(member: str, index: str) -> Callable[[Event, Event], None]:
    def add(item: Event, event: Event) -> None:
        assert event[index] == len(item[member])
        item[member].append(event["part"])

    return add


def _add_annotation(item: Event, event: Event) -> None:
    annotations = item["content"][event["content_index"]]["annotations"]
    assert event["annotation_index"] == len(annotations)
    annotations.append(event["annotation"])


def _add_command(item: Event, event: Event) -> None:
    assert event["command_index"] == len(item["action"]["commands"])
    item["action"]["commands"].append(event["command"])


def _grow_command(item: Event, event: Event) -> None:
    item["action"]["commands"][event["command_index"]] += event["delta"]


def _grow_shell_output(item: Event, event: Event) -> None:
    if event["command_index"] == len(item["output"]):
        item["output"].append({"stdout": "", "stderr": ""})
    for name, piece in event["delta"].items():
        item["output"][event["command_index"]][name] += piece


def _end_shell_output(item: Event, event: Event) -> None:
    if event["command_index"] == len(item["output"]):
        item["output"].append({"stdout": "", "stderr": ""})
    item["output"][event["command_index"]]["outcome"] = event["output"][0]["outcome"]


def _grow_diff(item: Event, event: Event) -> None:
    item["operation"]["diff"] += event["delta"]


def _grow_function_output(item: Event, event: Event) -> None:
    if isinstance(item["output"], str):  # parts are there from the beginning
        item["output"] += event["delta"]


def _add_image(item: Event, event: Event) -> None:
    assert event["partial_image_index"] == len(item["partial_images"])
    item["partial_images"].append(event["partial_image_b64"])


CHANGES: dict[str, Callable[[Event, Event], None]] = {
    "content_part.added": _add_part("content", "content_index"),
    "output_text.delta": _grow_part("content", "content_index", "text"),
    "output_text.annotation.added": _add_annotation,
    "refusal.delta": _grow_part("content", "content_index", "refusal"),
    "reasoning_text.delta": _grow_part("content", "content_index", "text"),
    "reasoning_summary_part.added": _add_part("summary", "summary_index"),
    "reasoning_summary_text.delta": _grow_part("summary", "summary_index", "text"),
    "function_call_arguments.delta": _grow("arguments"),
    "custom_tool_call_input.delta": _grow("input"),
    "mcp_call_arguments.delta": _grow("arguments"),
    "code_interpreter_call_code.delta": _grow("code"),
    "shell_call_command.added": _add_command,
    "shell_call_command.delta": _grow_command,
    "shell_call_output_content.delta": _grow_shell_output,
    "shell_call_output_content.done": _end_shell_output,
    "apply_patch_call_operation_diff.delta": _grow_diff,
    "function_call_output.delta": _grow_function_output,
    "image_generation_call.partial_image": _add_image,
}
LATE = {
    "file_search_call": {"queries", "results"},
    "code_interpreter_call": {"outputs"},
    "image_generation_call": {"result", "error"},
    "mcp_list_tools": {"tools", "error"},
    "mcp_call": {"output", "error"},
}
"""Members that no delta brings: they come with `output_item.done`, like every item's status."""
NEVER_IN_PROGRESS = ("apply_patch_call_output", "program_output")


def rebuilt(events: list[Event]) -> Event:
    """The response that the events add up to, from the skeletons and the deltas."""
    response: Event = deepcopy(events[0]["response"])
    for event in deepcopy(events[2:]):
        name = event["type"].removeprefix("response.")
        if name == "output_item.added":
            response["output"].append(event["item"])
        elif name == "output_item.done":
            item, final = response["output"][-1], event["item"]
            late = LATE.get(final["type"], set()) | {"status"}
            item.update({member: final[member] for member in late if member in final})
        elif "output_index" in event:
            if name in CHANGES:
                CHANGES[name](response["output"][event["output_index"]], event)
        else:
            output, response = response["output"], event["response"]
            assert output == response["output"]
    return response


def assert_done_says_all(events: list[Event]) -> None:
    """Every `.done` bears what its deltas added up to."""
    deltas: dict[str, str] = {}
    for event in events:
        stem, _, phase = event["type"].rpartition(".")
        if phase == "delta" and isinstance(event["delta"], str):
            assert event["delta"] != ""
            deltas[stem] = deltas.get(stem, "") + event["delta"]
        elif phase == "done" and stem not in ENDED_WITHOUT_TEXT:
            said = {event.get(name) for name in TEXTS} - {None}
            assert said == {deltas.pop(stem, "")}
    assert deltas == {}


TEXTS = ("text", "refusal", "arguments", "input", "code", "command", "diff", "output")
ENDED_WITHOUT_TEXT = frozenset(
    {
        "response.output_item",
        "response.content_part",
        "response.reasoning_summary_part",
        "response.shell_call_output_content",
    }
)


# The official clients, fed without a network.


def _transport(body: bytes) -> httpx2.MockTransport:
    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=body)

    return httpx2.MockTransport(answer)


def _client(body: bytes, *, strict: bool = False) -> OpenAI:
    http_client = httpx2.Client(transport=_transport(body))
    return OpenAI(api_key="k", http_client=http_client, _strict_response_validation=strict)


def read_raw(body: bytes, *, strict: bool) -> list[Event]:
    """The events as `create(stream=True)` yields them."""
    with _client(body, strict=strict) as client:
        stream = client.responses.create(model=MODEL, input="Hi", stream=True)
        return [event.to_dict(mode="json", warnings=False) for event in stream]


def read_with_helper(body: bytes) -> tuple[list[Any], Event]:
    """The events and the final response of `.stream()`."""
    with (
        _client(body) as client,
        client.responses.stream(model=MODEL, input="Hi") as stream,
    ):
        events = list(stream)
        return events, _unparsed(stream.get_final_response().to_dict(mode="json", warnings=False))


async def read_with_async_helper(body: bytes) -> tuple[list[Any], Event]:
    http_client = httpx2.AsyncClient(transport=_transport(body))
    async with (
        AsyncOpenAI(api_key="k", http_client=http_client) as client,
        client.responses.stream(model=MODEL, input="Hi") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
        return events, _unparsed(final.to_dict(mode="json", warnings=False))


def _unparsed(value: Any) -> Any:
    """Without what the helper adds: structured outputs that nobody asked for."""
    if isinstance(value, list):
        return [_unparsed(entry) for entry in value]
    if isinstance(value, dict):
        added = ("parsed", "parsed_arguments")
        return {name: _unparsed(inner) for name, inner in value.items() if name not in added}
    return value


def snapshots(events: list[Any]) -> Iterator[str]:
    """What the helper made of the deltas of each text and each function call, in order."""
    latest: dict[tuple[str, int, int], str] = {}
    for event in events:
        if event.type in ("response.output_text.delta", "response.function_call_arguments.delta"):
            place = (event.type, event.output_index, getattr(event, "content_index", 0))
            latest[place] = event.snapshot
    yield from (latest[place] for place in sorted(latest, key=lambda place: place[1:]))


def texts_of(response: Event) -> Iterator[str]:
    """The texts and the arguments of a response that have deltas, in order."""
    for item in response["output"]:
        if item["type"] == "function_call" and item["arguments"]:
            yield item["arguments"]
        elif item["type"] == "message":
            yield from (part["text"] for part in item["content"] if part.get("text"))


def ends_completed(events: list[Event]) -> bool:
    return bool(events[-1]["type"] == "response.completed")


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
def test_items_begin_without_what_comes_late(case: Case) -> None:
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
def test_helper_passes_on_what_it_does_not_know(folder: str) -> None:
    case = next(case for case in CASES if case.folder.name == folder)
    response = deepcopy(case.response)
    response["output"] = [item for item in response["output"] if isinstance(item, dict)]

    _, final = read_with_helper(streamed(response))

    assert final == whole(response)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_keys_begin_as_the_service_writes_them(case: Case) -> None:
    order = ["type", "sequence_number", "item_id", "output_index"]
    indexes = ["content_index", "summary_index", "command_index"]
    for event in events_of(case.render(stream=True)):
        leading = [name for name in event if name in order + indexes]
        assert list(event)[: len(leading)] == leading
        assert leading == sorted(leading, key=(order + indexes).index)


def test_a_text_delta_is_written_as_the_service_writes_it() -> None:
    events = events_of(streamed(text_response("Hi"), padded=True))

    assert list(events[4]) == [
        "type", "sequence_number", "item_id", "output_index", "content_index", "delta",
        "logprobs", "obfuscation",
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_padding_fills_deltas_up(case: Case, chunk: Chunk) -> None:
    padded = events_of(streamed(case.response, chunk=chunk, padded=True))
    plain = events_of(streamed(case.response, chunk=chunk, padded=False))

    for event in padded:
        if PADDED.fullmatch(event["type"]):
            padding = event.pop("obfuscation")
            assert (len(event["delta"]) + len(padding)) % 16 == 0
            assert len(padding) < 16
            assert re.fullmatch("[A-Za-z0-9]*", padding)
    assert padded == plain


def test_paddings_differ() -> None:
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
def test_a_call_that_did_not_complete_has_no_such_event(kind: str, status: str) -> None:
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
def test_mcp_says_whether_it_failed(item: dict[str, Any], ends: str) -> None:
    events = events_of(streamed({"output": [item]}))

    assert events[-3]["type"] == f"response.{item['type']}.{ends}"


def test_a_reply_has_one_step_for_each_event_and_no_end_mark() -> None:
    reply: Reply = render(text_response("one two three"), ResponseOptions(stream=True), "word")

    assert reply.streamed
    assert dict(reply.headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert len(reply.steps) == len(events_of(delivered(reply)))
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
