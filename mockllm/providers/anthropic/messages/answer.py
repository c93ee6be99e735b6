"""Completes configured messages: missing members are filled in, written ones stay.

Knows the members that every answer of the Messages API has (anthropic 2.12.0: `Message`) and their
order. It checks no types: a member of a wrong type is served as it is.
"""

from __future__ import annotations

from typing import Any

from mockllm.providers.anthropic.messages.echo import EVERYWHERE, INFERENCE_GEO
from mockllm.providers.members import fill_in
from mockllm.wire import jsontext, placeholders, tokens

Object = dict[str, Any]

_ID_PREFIXES = {
    "tool_use": "toolu_01",
    "server_tool_use": "srvtoolu_01",
    "mcp_tool_use": "mcptoolu_01",
}


def complete(response: Object) -> Object:
    """Fill in the members that clients rely on; completing a message again changes nothing.

    Written members keep their values and their order, an explicit null included. A missing one
    follows its predecessor on the wire: ``{"content": [...]}`` becomes ``{"model", "id", "type",
    "role", "content", "container", "stop_reason", "stop_sequence", "stop_details", "usage",
    "diagnostics"}``.
    """
    blocks = _blocks(response)
    completed = fill_in(
        response,
        {
            "model": placeholders.model_placeholder(),
            "id": placeholders.fresh_id("msg_01", 22, "message"),
            "type": "message",
            "role": "assistant",
            "content": [],
            "container": None,
            "stop_reason": _stop_reason(blocks),
            "stop_sequence": None,
            "stop_details": None,
            "usage": {},
            "diagnostics": None,
        },
    )
    if blocks:
        completed["content"] = [_block(index, block) for index, block in enumerate(blocks)]
    if isinstance(completed["usage"], dict):
        completed["usage"] = _usage(completed["usage"], blocks)
    return completed


def text_response(text: str) -> Object:
    """The smallest response whose text is `text`."""
    return {"content": [{"type": "text", "text": text}]}


def _blocks(response: Object) -> list[Any]:
    """The content blocks; none if the content is not a list."""
    content = response.get("content")
    return content if isinstance(content, list) else []


def _block(index: int, block: Any) -> Any:
    """A content block with the members that its type requires, where a neutral value exists."""
    match block:
        case {"type": "text"}:
            return fill_in(block, {"type": "text", "text": ""})
        case {"type": "thinking"}:
            return fill_in(block, {"type": "thinking", "thinking": "", "signature": ""})
        case {"type": "compaction"}:
            return fill_in(block, {"type": "compaction", "content": None})
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use" as kind}:
            name = {"name": block["name"]} if "name" in block else {}
            caller = {"caller": {"type": "direct"}} if kind == "tool_use" else {}
            call_id = _call_id(kind, index)
            return fill_in(block, {"type": kind, "id": call_id, **name, "input": {}, **caller})
        case _:
            return block


def _call_id(kind: str, index: int) -> Any:
    """A new id, its prefix and 22 characters. The first two are the block's index: two digits of a
    hash would give some calls of one answer the same id."""
    return placeholders.fresh_id(f"{_ID_PREFIXES[kind]}{index:02x}", 20, "call")


def _stop_reason(blocks: list[Any]) -> str:
    calls = any(isinstance(block, dict) and block.get("type") == "tool_use" for block in blocks)
    return "tool_use" if calls else "end_turn"


def _usage(written: Object, blocks: list[Any]) -> Object:
    """The usage of an answer, in tokens (`anthropic.types.Usage`, 2.14.0)."""
    thinking = 0  # its share of the author's number is unknown
    if "output_tokens" not in written:
        thinking = sum(_output_tokens(block) for block in blocks if _is_thinking(block))
    return fill_in(
        written,
        {
            "input_tokens": placeholders.tokens_placeholder(0),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": max(1, sum(map(_output_tokens, blocks))),  # real ones are never zero
            "output_tokens_details": {"thinking_tokens": thinking},
            "service_tier": "standard",
            INFERENCE_GEO: placeholders.echo_placeholder(INFERENCE_GEO, EVERYWHERE),
        },
    )


def _is_thinking(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking"


def _output_tokens(block: Any) -> int:
    """The estimated tokens that the model generated: texts, thinking, arguments of calls."""
    match block:
        case {"type": "text", "text": str(text)} | {"type": "thinking", "thinking": str(text)}:
            return tokens.estimate(text)
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use", "input": arguments}:
            return tokens.estimate(jsontext.dumps(arguments).decode())
        case _:
            return 0
