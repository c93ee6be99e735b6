"""Streams of Responses: their grammar, what they add up to, and how official clients read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, get_args

from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses.render import render
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk
from tests.support.goldens import MODEL, delivered
from tests.support.http_library import httpx
from tests.support.openai.responses.responses import CASES, PASSED_ON

Event = dict[str, Any]

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
"""Events between `output_item.added` and `output_item.done`; none for any other kind."""

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
    """Every `.done` event has the text that its deltas add up to."""
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
def _transport(body: bytes) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx.Response(200, headers=headers, content=body)

    return httpx.MockTransport(answer)


def _client(body: bytes, *, strict: bool = False) -> OpenAI:
    http_client = httpx.Client(transport=_transport(body))
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
    http_client = httpx.AsyncClient(transport=_transport(body))
    async with (
        AsyncOpenAI(api_key="k", http_client=http_client) as client,
        client.responses.stream(model=MODEL, input="Hi") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
        return events, _unparsed(final.to_dict(mode="json", warnings=False))


def _unparsed(value: Any) -> Any:
    """Remove what the helper adds: parsed outputs that were not requested."""
    if isinstance(value, list):
        return [_unparsed(entry) for entry in value]
    if isinstance(value, dict):
        added = ("parsed", "parsed_arguments")
        return {name: _unparsed(inner) for name, inner in value.items() if name not in added}
    return value


def snapshots(events: list[Any]) -> Iterator[str]:
    """Snapshots by the helper of each text and each function call, in order."""
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
