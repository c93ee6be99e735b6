"""A completed message as the events of a stream (`anthropic.types.RawMessageStreamEvent`, 2.12.0).

    message_start        the message without content and without its end
      content_block_start    index 0, the block without what is streamed of it
      ping                   after the first start; after message_start where there are no blocks
      content_block_delta    as many as it takes
      content_block_stop
      ...                    the next index
    message_delta        how it ended, and the cumulative usage
    message_stop

A kind of block that is streamed piece by piece has a function here; every other one, and one whose
members are not of their types, goes out whole with its start. The kinds that only
`anthropic.types.beta` knows are among them: other clients pass over what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from typing import Any

from mockllm.prompt import ResponseOptions
from mockllm.wire import chunking, jsontext, sse
from mockllm.wire.chunking import Chunk

Object = dict[str, Any]
Cut = tuple[Object, Iterable[Object]]
"""A block as it starts, and the deltas that make it whole."""

_PING = {"type": "ping"}

_TOLD_LATER = {"stop_reason", "stop_sequence", "stop_details"}  # null in message_start
_TOLD_ONCE = {"container", "context_management"}  # not in message_start at all
_END = ("stop_reason", "stop_sequence", "stop_details", "container")
_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
_COUNTED_LAST = ("server_tool_use", "output_tokens_details", "iterations", "fallback_credit")


def events(response: Object, options: ResponseOptions, chunk: Chunk) -> Iterator[Object]:
    """The events of the stream of a completed `response`, in order. `options` has nothing that the
    Messages API knows."""
    content = response["content"]
    blocks = content if isinstance(content, list) else []
    yield {"type": "message_start", "message": _opening(response)}
    if not blocks:
        yield _PING
    for index, block in enumerate(blocks):
        start, deltas = _cut(block, chunk)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        if index == 0:
            yield _PING
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield _ending(response)
    yield {"type": "message_stop"}


def frame(event: Object) -> bytes:
    """One event as the Messages API frames it: its type is the event's name. An event whose type is
    not one printable line is named ``message``, SSE's default: Anthropic's SDK skips a frame
    without a name."""
    name = event.get("type")
    if not isinstance(name, str) or not name or not name.isprintable():
        name = "message"
    return sse.frame(event, event=name)


def _opening(response: Object) -> Object:
    """The message before its content, without the members that are known only at its end."""
    message = {
        key: None if key in _TOLD_LATER else value
        for key, value in response.items()
        if key not in _TOLD_ONCE
    }
    if isinstance(response["content"], list):
        message["content"] = []
    if isinstance(response["usage"], dict):
        message["usage"] = _opening_usage(response["usage"])
    return message


def _opening_usage(usage: Object) -> Object:
    """The usage after the first token of output."""
    opening = {key: value for key, value in usage.items() if key not in _COUNTED_LAST}
    if isinstance(usage["output_tokens"], int):
        opening["output_tokens"] = min(1, usage["output_tokens"])
    return opening


def _ending(response: Object) -> Object:
    usage = response["usage"]
    if isinstance(usage, dict):
        usage = _present(usage, *_CUMULATIVE, *_COUNTED_LAST)
    return {
        "type": "message_delta",
        "delta": _present(response, *_END),
        "usage": usage,
        **_present(response, "context_management"),
    }


def _present(members: Object, *keys: str) -> Object:
    return {key: members[key] for key in keys if key in members}


def _cut(block: Any, chunk: Chunk) -> Cut:
    kind = block.get("type") if isinstance(block, dict) else None
    cutter = _KINDS.get(kind) if isinstance(kind, str) else None
    return cutter(block, chunk) if cutter else (block, [])


def _text(block: Object, chunk: Chunk) -> Cut:
    """Citations come between the pieces of the text, the first before any."""
    if not isinstance(block["text"], str):
        return block, []
    pieces = _pieces("text_delta", "text", block["text"], chunk)
    if not isinstance(block.get("citations"), list):
        return block | {"text": ""}, pieces
    citations = [{"type": "citations_delta", "citation": entry} for entry in block["citations"]]
    return block | {"text": "", "citations": []}, _alternate(citations, pieces)


def _thinking(block: Object, chunk: Chunk) -> Cut:
    """The signature comes in one piece, last."""
    if not isinstance(block["thinking"], str) or not isinstance(block["signature"], str):
        return block, []
    pieces = _pieces("thinking_delta", "thinking", block["thinking"], chunk)
    signature = {"type": "signature_delta", "signature": block["signature"]}
    return block | {"thinking": "", "signature": ""}, chain(pieces, [signature])


def _call(block: Object, chunk: Chunk) -> Cut:
    """The pieces joined are the JSON text of the input. The first is empty, as the service's is."""
    if not isinstance(block["input"], dict):
        return block, []
    text = jsontext.dumps(block["input"]).decode()
    first = {"type": "input_json_delta", "partial_json": ""}
    pieces = _pieces("input_json_delta", "partial_json", text, chunk)
    return block | {"input": {}}, chain([first], pieces)


def _compaction(block: Object, chunk: Chunk) -> Cut:
    """The summary comes in one piece: a client replaces what it has by what a delta brings."""
    brought = _present(block, "content", "encrypted_content")
    return block | dict.fromkeys(brought), [{"type": "compaction_delta", **brought}]


_KINDS: dict[str, Callable[[Object, Chunk], Cut]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _call,
    "server_tool_use": _call,
    "mcp_tool_use": _call,
    "compaction": _compaction,
}


def _pieces(kind: str, member: str, text: str, chunk: Chunk) -> Iterator[Object]:
    return ({"type": kind, member: piece} for piece in chunking.split(text, chunk))


def _alternate(first: Iterable[Object], second: Iterable[Object]) -> Iterator[Object]:
    """One of `first`, one of `second`, and so on; the longer list's rest at the end."""
    turns = chain.from_iterable(zip_longest(first, second))
    return (entry for entry in turns if entry is not None)
