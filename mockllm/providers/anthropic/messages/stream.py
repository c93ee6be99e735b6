"""Streams a completed message (anthropic 2.12.0: `RawMessageStreamEvent`).

    message_start        the message without its content and its final members
      content_block_start    index 0, the block with its streamed members empty
      ping                   after the first start, or after message_start if there are no blocks
      content_block_delta    one for each piece
      content_block_stop
      ...                    the same for the next index
    message_delta        the stop reason and the cumulative usage
    message_stop

Each kind of block that is streamed in pieces has a function here. Any other block, and one with a
member of an unexpected type, is sent whole in its content_block_start. Kinds that only
`anthropic.types.beta` declares are streamed too: other clients ignore unknown kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from typing import Any

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import TOTALS
from mockllm.wire import chunking, jsontext, sse
from mockllm.wire.chunking import Chunk
from mockllm.wire.json_encoding import takes_long

Object = dict[str, Any]
SplitBlock = tuple[Object, Iterable[Object]]
"""A block as in its content_block_start, and the deltas that complete it."""

_PING = {"type": "ping"}
_SMALL = frozenset({"ping", "content_block_stop", "message_stop"})

_KNOWN_AT_END = {"container", "stop_reason", "stop_sequence", "stop_details"}  # null at first
_ONLY_AT_END = {"context_management"}  # not in message_start at all
_FINAL_MEMBERS = ("stop_reason", "stop_sequence", "stop_details", "container")
_COUNTED_AT_END = ("server_tool_use", "output_tokens_details", "iterations", "fallback_credit")


def events(response: Object, options: ResponseOptions, chunk: Chunk) -> Iterator[Object]:
    """The events of the stream of a completed `response`, in order. `options` is not used: the
    Messages API has no options for streams."""
    content = response["content"]
    blocks = content if isinstance(content, list) else []
    yield {"type": "message_start", "message": _opening(response)}
    if not blocks:
        yield _PING
    for index, block in enumerate(blocks):
        start, deltas = _split(block, chunk)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        if index == 0:
            yield _PING
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield _ending(response)
    yield {"type": "message_stop"}


def frame(event: Object) -> bytes:
    """Encode one event; its name is its type. An event whose type is not one printable line is
    named ``message``, the default of SSE: Anthropic's SDK skips frames without a name."""
    return sse.frame(event, event=_name(event))


def frame_or_pieces(event: Object) -> bytes | Iterator[bytes]:
    """Encode one event, in pieces if it takes long."""
    if event["type"] in _SMALL or not takes_long(event):
        return frame(event)
    return sse.frame_in_pieces(event, event=_name(event))


def _name(event: Object) -> str:
    name = event.get("type")
    is_name = isinstance(name, str) and name.isprintable()
    return name if is_name and name else "message"


def _opening(response: Object) -> Object:
    """The message before its content, without the members that are known only at its end."""
    message = {
        key: None if key in _KNOWN_AT_END else value
        for key, value in response.items()
        if key not in _ONLY_AT_END
    }
    if isinstance(response["content"], list):
        message["content"] = []
    if isinstance(response["usage"], dict):
        message["usage"] = _opening_usage(response["usage"])
    return message


def _opening_usage(usage: Object) -> Object:
    """The usage after the first token of output."""
    opening = {key: value for key, value in usage.items() if key not in _COUNTED_AT_END}
    if isinstance(usage["output_tokens"], int):
        opening["output_tokens"] = min(1, usage["output_tokens"])
    return opening


def _ending(response: Object) -> Object:
    usage = response["usage"]
    if isinstance(usage, dict):
        usage = _present(usage, *TOTALS, *_COUNTED_AT_END)
    return {
        "type": "message_delta",
        "delta": _present(response, *_FINAL_MEMBERS),
        "usage": usage,
        **_present(response, "context_management"),
    }


def _present(members: Object, *keys: str) -> Object:
    return {key: members[key] for key in keys if key in members}


def _split(block: Any, chunk: Chunk) -> SplitBlock:
    kind = block.get("type") if isinstance(block, dict) else None
    splitter = _SPLITTERS.get(kind) if isinstance(kind, str) else None
    return splitter(block, chunk) if splitter else (block, [])


def _text(block: Object, chunk: Chunk) -> SplitBlock:
    """Citations alternate with the pieces of the text, beginning with a citation."""
    if not isinstance(block["text"], str):
        return block, []
    pieces = _pieces("text_delta", "text", block["text"], chunk)
    if not isinstance(block.get("citations"), list):
        return block | {"text": ""}, pieces
    entries = block["citations"]
    citations = ({"type": "citations_delta", "citation": entry} for entry in entries)
    return block | {"text": "", "citations": []}, _alternate(citations, pieces)


def _thinking(block: Object, chunk: Chunk) -> SplitBlock:
    """The signature is sent in one piece after the text, or not at all if it is null: other models
    do not sign."""
    if not isinstance(block["thinking"], str):
        return block, []
    pieces = _pieces("thinking_delta", "thinking", block["thinking"], chunk)
    if not isinstance(block["signature"], str):
        return block | {"thinking": ""}, pieces
    signature = {"type": "signature_delta", "signature": block["signature"]}
    return block | {"thinking": "", "signature": ""}, chain(pieces, [signature])


def _call(block: Object, chunk: Chunk) -> SplitBlock:
    """The joined pieces are the JSON text of the input. The first one is empty, as in the
    service."""
    if not isinstance(block["input"], dict):
        return block, []
    text = jsontext.dumps(block["input"]).decode()
    first = {"type": "input_json_delta", "partial_json": ""}
    pieces = _pieces("input_json_delta", "partial_json", text, chunk)
    return block | {"input": {}}, chain([first], pieces)


def _compaction(block: Object, chunk: Chunk) -> SplitBlock:
    """The summary is sent in one piece: clients replace it with each delta instead of appending."""
    members = _present(block, "content", "encrypted_content")
    return block | dict.fromkeys(members), [{"type": "compaction_delta", **members}]


_SPLITTERS: dict[str, Callable[[Object, Chunk], SplitBlock]] = {
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
    """Entries of `first` and `second` in turn, then the rest of the longer one."""
    turns = chain.from_iterable(zip_longest(first, second))
    return (entry for entry in turns if entry is not None)
