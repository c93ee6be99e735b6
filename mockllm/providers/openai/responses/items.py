"""Streams the items of a Responses output (openai 3.54.0: `ResponseStreamEvent`).

An item is added with some members empty, its events fill them, and it is done when it is complete.
The tables at the end have a function for each kind of item and of part. Any other kind is added
complete, and so is a member whose type cannot be streamed.

Events are dicts with keys in the order of the service, without a `sequence_number`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mockllm.providers.openai.responses.answer import kind_of
from mockllm.wire import chunking, jsontext
from mockllm.wire.chunking import Chunk

Event = dict[str, Any]
Item = dict[str, Any]
Fill = Callable[[Item, Event, Chunk], Iterator[Event]]
"""`fill(item, at, chunk)`: the events that fill an item or a part. Each event has the members of
`at`, the position in the output."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item or part: the values of its `empty` members, and the events that fill them."""

    empty: dict[str, Any]
    fill: Fill


def events(item: Any, index: int, chunk: Chunk) -> Iterator[Event]:
    """The events of one item of a completed response: `response.output_item.added`, those that fill
    it, and `response.output_item.done`. The item may be any JSON value."""
    kind = _KINDS.get(kind_of(item), _WHOLE)
    added = _emptied(item, kind.empty)
    yield {"type": "response.output_item.added", "output_index": index, "item": added}
    at = {"item_id": _member(item, "id"), "output_index": index}
    yield from kind.fill(item, at, chunk)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _emptied(value: Any, empty: Any) -> Any:
    """`value` before it is streamed: a member in `empty` has its value there, provided that the
    types agree or that value is null."""
    if isinstance(value, dict) and isinstance(empty, dict):
        return {
            name: _emptied(member, empty[name]) if name in empty else member
            for name, member in value.items()
        }
    return empty if empty is None or isinstance(value, type(empty)) else value


# --- building blocks -----------------------------------------------------------------------------


def _text(stem: str, name: str, text: Any, at: Event, chunk: Chunk) -> Iterator[Event]:
    """`<stem>.delta` for each piece of `text`, then `<stem>.done` with the whole text as `name`. No
    events if it is not a string."""
    if not isinstance(text, str):
        return
    for piece in chunking.split(text, chunk):
        yield {"type": f"{stem}.delta", **at, "delta": piece}
    yield {"type": f"{stem}.done", **at, name: text}


def _phase(item: Item, at: Event, phase: str) -> Event:
    """`response.<type of the item>.<phase>`: the progress of a hosted tool."""
    return {"type": f"response.{item['type']}.{phase}", **at}


def _completed(item: Item, at: Event) -> Iterator[Event]:
    """The last phase of a call, if it was completed; there is no event for a failed one."""
    if item.get("status") == "completed":
        yield _phase(item, at, "completed")


def _nothing(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    yield from ()


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _entries(value: Any, name: str) -> list[Any]:
    entries = _member(value, name)
    return entries if isinstance(entries, list) else []


# --- parts of a message or a reasoning item ------------------------------------------------------


def _content(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    for index, part in enumerate(_entries(item, "content")):
        here = {**at, "content_index": index}
        kind = _PARTS.get(kind_of(part), _WHOLE)
        added = _emptied(part, kind.empty)
        yield {"type": "response.content_part.added", **here, "part": added}
        yield from kind.fill(part, here, chunk)
        yield {"type": "response.content_part.done", **here, "part": part}


def _output_text(part: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    text = part.get("text")
    if not isinstance(text, str):
        return
    logprobs = _entries(part, "logprobs")
    for piece, share in _with_logprobs(chunking.split(text, chunk), logprobs):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": share}
    for index, annotation in enumerate(_entries(part, "annotations")):
        yield {
            "type": "response.output_text.annotation.added",
            **at,
            "annotation_index": index,
            "annotation": annotation,
        }
    yield {"type": "response.output_text.done", **at, "text": text, "logprobs": logprobs}


def _with_logprobs(pieces: Iterator[str], logprobs: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Each piece of a text with the log probabilities of the tokens that end in it; the last piece
    has all remaining ones."""
    left = deque(logprobs)
    ahead = 0  # characters by which the pieces are ahead of the tokens
    piece = next(pieces, None)
    while piece is not None:
        ahead += len(piece)
        share = []
        following = next(pieces, None)
        while left and (following is None or _token_length(left[0]) <= ahead):
            ahead -= _token_length(left[0])
            share.append(left.popleft())
        yield piece, share
        piece = following


def _token_length(logprob: Any) -> int:
    token = _member(logprob, "token")
    return len(token) if isinstance(token, str) else 0


def _refusal(part: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    return _text("response.refusal", "refusal", part.get("refusal"), at, chunk)


def _reasoning_text(part: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    return _text("response.reasoning_text", "text", part.get("text"), at, chunk)


# --- items that the model generates --------------------------------------------------------------


def _reasoning(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """The summaries, then the reasoning itself, which only open-weight models reveal."""
    for index, part in enumerate(_entries(item, "summary")):
        here = {**at, "summary_index": index}
        added = _emptied(part, {"text": ""})
        text = _member(part, "text")
        yield {"type": "response.reasoning_summary_part.added", **here, "part": added}
        yield from _text("response.reasoning_summary_text", "text", text, here, chunk)
        yield {"type": "response.reasoning_summary_part.done", **here, "part": part}
    yield from _content(item, at, chunk)


def _function_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """The last event also names the function, which newer clients require."""
    stem = "response.function_call_arguments"
    for event in _text(stem, "arguments", item.get("arguments"), at, chunk):
        named = event["type"] == f"{stem}.done" and "name" in item
        yield {**event, "name": item["name"]} if named else event


def _custom_tool_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    return _text("response.custom_tool_call_input", "input", item.get("input"), at, chunk)


def _shell_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """The commands, one after the other. Their events have no `item_id`."""
    stem = "response.shell_call_command"
    for index, command in enumerate(_entries(item.get("action"), "commands")):
        here = {"output_index": at["output_index"], "command_index": index}
        yield {"type": f"{stem}.added", **here, "command": _emptied(command, "")}
        yield from _text(stem, "command", command, here, chunk)


def _apply_patch_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """Events that the service sends but the SDK's union does not declare."""
    diff = _member(item.get("operation"), "diff")
    return _text("response.apply_patch_call_operation_diff", "diff", diff, at, chunk)


# --- hosted tools --------------------------------------------------------------------------------


def _search(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    yield _phase(item, at, "in_progress")
    yield _phase(item, at, "searching")
    yield from _completed(item, at)


def _code_interpreter_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    stem = "response.code_interpreter_call_code"
    yield _phase(item, at, "in_progress")
    yield from _text(stem, "code", item.get("code"), at, chunk)
    yield _phase(item, at, "interpreting")
    yield from _completed(item, at)


def _image_generation_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """The partial images are those in `partial_images`, a list of base64 strings that authors may
    add to the item. The SDK has no such member: the service streams partial images, but does not
    store them."""
    yield _phase(item, at, "in_progress")
    yield _phase(item, at, "generating")
    attributes = ("background", "output_format", "quality", "size")
    for index, image in enumerate(_entries(item, "partial_images")):
        yield {
            **_phase(item, at, "partial_image"),
            "partial_image_index": index,
            "partial_image_b64": image,
            **{name: item[name] for name in attributes if name in item},
        }
    yield from _completed(item, at)


def _mcp_list_tools(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    yield _phase(item, at, "in_progress")
    yield _phase(item, at, "failed" if item.get("error") else "completed")


def _mcp_call(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    failed = item.get("error") or item.get("status") == "failed"
    yield _phase(item, at, "in_progress")
    yield from _text("response.mcp_call_arguments", "arguments", item.get("arguments"), at, chunk)
    yield _phase(item, at, "failed" if failed else "completed")


def _compaction(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    yield _phase(item, at, "compacting")


# --- outputs of tools ----------------------------------------------------------------------------


def _shell_call_output(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    stem = "response.shell_call_output_content"
    for index, entry in enumerate(_entries(item, "output")):
        here = {**at, "command_index": index}
        for name in ("stdout", "stderr"):
            text = _member(entry, name)
            for piece in chunking.split(text, chunk) if isinstance(text, str) else ():
                yield {"type": f"{stem}.delta", **here, "delta": {name: piece}}
        yield {"type": f"{stem}.done", **here, "output": [entry]}


def _function_call_output(item: Item, at: Event, chunk: Chunk) -> Iterator[Event]:
    """Events that the service does not have, for tests of agents. An output that is not a string is
    sent as JSON."""
    if "output" not in item:
        return
    output = item["output"]
    text = output if isinstance(output, str) else jsontext.dumps(output).decode()
    here = {**at, "call_id": item.get("call_id")}
    yield from _text("response.function_call_output", "output", text, here, chunk)


# --- tables --------------------------------------------------------------------------------------

_WHOLE = Kind({}, _nothing)

_PARTS = {
    "output_text": Kind({"annotations": [], "logprobs": [], "text": ""}, _output_text),
    "refusal": Kind({"refusal": ""}, _refusal),
    "reasoning_text": Kind({"text": ""}, _reasoning_text),
}

_IN_PROGRESS = {"status": "in_progress"}

_KINDS = {
    "message": Kind(_IN_PROGRESS | {"content": []}, _content),
    "function_call": Kind(_IN_PROGRESS | {"arguments": ""}, _function_call),
    "custom_tool_call": Kind(_IN_PROGRESS | {"input": ""}, _custom_tool_call),
    "reasoning": Kind(_IN_PROGRESS | {"summary": [], "content": []}, _reasoning),
    "shell_call": Kind(_IN_PROGRESS | {"action": {"commands": []}}, _shell_call),
    "apply_patch_call": Kind(_IN_PROGRESS | {"operation": {"diff": ""}}, _apply_patch_call),
    "web_search_call": Kind(_IN_PROGRESS, _search),
    "file_search_call": Kind(_IN_PROGRESS | {"queries": [], "results": None}, _search),
    "code_interpreter_call": Kind(
        _IN_PROGRESS | {"code": "", "outputs": None}, _code_interpreter_call
    ),
    "image_generation_call": Kind(
        _IN_PROGRESS | {"result": None, "error": None, "partial_images": []}, _image_generation_call
    ),
    "mcp_list_tools": Kind({"tools": [], "error": None}, _mcp_list_tools),
    "mcp_call": Kind(_IN_PROGRESS | {"arguments": "", "output": None, "error": None}, _mcp_call),
    "compaction": Kind({}, _compaction),
    "shell_call_output": Kind(_IN_PROGRESS | {"output": []}, _shell_call_output),
    "function_call_output": Kind(_IN_PROGRESS | {"output": ""}, _function_call_output),
    # Added complete except for the status. Kinds without a status, or whose status cannot be
    # in_progress (program_output, apply_patch_call_output), are _WHOLE.
    "computer_call": Kind(_IN_PROGRESS, _nothing),
    "computer_call_output": Kind(_IN_PROGRESS, _nothing),
    "local_shell_call": Kind(_IN_PROGRESS, _nothing),
    "local_shell_call_output": Kind(_IN_PROGRESS, _nothing),
    "custom_tool_call_output": Kind(_IN_PROGRESS, _nothing),
    "tool_search_call": Kind(_IN_PROGRESS, _nothing),
    "tool_search_output": Kind(_IN_PROGRESS, _nothing),
}
