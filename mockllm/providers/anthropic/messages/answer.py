"""Completes configured messages: missing members are filled in, written ones stay.

Knows the members that every answer of the Messages API has (anthropic 2.12.0: `Message`) and their
order. It checks no types: a member of a wrong type is served as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from mockllm.pieces import AT_ONCE, Pieces, drain, finish
from mockllm.providers.anthropic.messages.echo import EVERYWHERE, INFERENCE_GEO
from mockllm.providers.call_ids import Link, missing_ids
from mockllm.providers.completed import CompletedResponse
from mockllm.providers.counts import count, sum_counts
from mockllm.providers.members import fill_in
from mockllm.wire import jsontext, placeholders, tokens

Object = dict[str, Any]

_CACHES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")

TOTALS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
"""The counts of a whole answer, which the end of a stream repeats."""

_SAMPLED = ("message", "fallback_message")

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
    if type(response) is CompletedResponse:
        return response
    return finish(_complete(response))


def complete_in_pieces(response: Object) -> Pieces[CompletedResponse]:
    """Do what `complete` does, with pauses if there are many blocks."""
    return CompletedResponse((yield from _complete(response)))


def _complete(response: Object) -> Pieces[Object]:
    blocks = _blocks(response)
    read = yield from _read_blocks(blocks)
    completed = fill_in(
        response,
        {
            "model": placeholders.model_placeholder(),
            "id": placeholders.fresh_id("msg_01", 22, "message"),
            "type": "message",
            "role": "assistant",
            "content": [],
            "container": None,
            "stop_reason": _stop_reason(response, has_calls=read.has_calls),
            "stop_sequence": None,
            "stop_details": None,
            "usage": {},
            "diagnostics": None,
        },
    )
    if blocks:
        completed["content"] = yield from _complete_blocks(blocks)
    if isinstance(completed["usage"], dict):
        calls = yield from _server_calls(_blocks(completed))
        completed["usage"] = _usage(completed["usage"], read, calls)
    return completed


class _Read(NamedTuple):
    """What blocks say of their message: the estimated tokens of what is said and of what is
    thought, and whether there are calls of the client's tools."""

    said: int
    thought: int
    has_calls: bool


def _read_blocks(blocks: list[Any]) -> Pieces[_Read]:
    said = thought = 0
    has_calls = False
    for number, block in enumerate(blocks, 1):
        if _is_thinking(block):
            thought += _output_tokens(block)
        else:
            said += _output_tokens(block)
        has_calls = has_calls or (isinstance(block, dict) and block.get("type") == "tool_use")
        if number % AT_ONCE == 0:
            yield False
    return _Read(said, thought, has_calls)


def text_response(text: str) -> Object:
    """The smallest response whose text is `text`."""
    return {"content": [{"type": "text", "text": text}]}


def refuse(message: str | None) -> Object:
    """The response to a flagged prompt, which is no error; `message` explains it."""
    details = {"type": "refusal", "category": None, "explanation": message}
    return {"content": [], "stop_reason": "refusal", "stop_details": details}


def _blocks(response: Object) -> list[Any]:
    """The content blocks; none if the content is not a list."""
    content = response.get("content")
    return content if isinstance(content, list) else []


def _complete_blocks(blocks: list[Any]) -> Pieces[list[Any]]:
    """Content blocks with the members that their types require, with pauses if there are many."""
    links: dict[int, Link] = {}
    for index, block in enumerate(blocks):
        link = _link(block)
        if link is not None:
            links[index] = link
        if index % AT_ONCE == AT_ONCE - 1:
            yield False
    ids = yield from missing_ids(links, lambda index: _call_id(links[index].kind, index))
    return (yield from drain(map(_block, blocks, map(ids.get, range(len(blocks))))))


def _link(block: Any) -> Link | None:
    """The call or the result that a block is, if its id is a text or left out."""
    match block:
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use" as kind}:
            name, call = "id", kind
        case {"type": "mcp_tool_result"}:
            name, call = "tool_use_id", "mcp_tool_use"
        case {"type": str(kind)} if kind.endswith("_tool_result"):
            name, call = "tool_use_id", "server_tool_use"
        case _:
            return None
    is_readable = name not in block or isinstance(block[name], str)
    return Link(call, name == "id", block.get(name)) if is_readable else None


def _block(block: Any, call_id: Any) -> Any:
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
            return fill_in(block, {"type": kind, "id": call_id, **name, "input": {}, **caller})
        case {"type": str(kind)} if call_id is not None:
            return fill_in(block, {"type": kind, "tool_use_id": call_id})
        case _:
            return block


def _call_id(kind: str, index: int) -> Any:
    """A new id, its prefix and 22 characters. The first two are the block's index: two digits of a
    hash would give some calls of one answer the same id."""
    return placeholders.fresh_id(f"{_ID_PREFIXES[kind]}{index:02x}", 20, "call")


def _stop_reason(response: Object, *, has_calls: bool) -> str:
    """The reason that agrees with what is written, in a message that has calls or none."""
    if isinstance(response.get("stop_sequence"), str):
        return "stop_sequence"
    match response.get("stop_details"):
        case {"type": "refusal"}:
            return "refusal"
    return "tool_use" if has_calls else "end_turn"


def _usage(written: Object, read: _Read, calls: dict[str, int]) -> Object:
    """The usage of an answer, in tokens (`anthropic.types.Usage`, 2.14.0). What is filled in agrees
    with what is written: the thinking is part of the output, the tokens of both caches add up to
    those that create a cache, those of `iterations` to the totals, and the calls of server tools
    are those of the message."""
    written = _add_up_iterations(written)
    said, thought = read.said, read.thought
    details = written.get("output_tokens_details")
    if isinstance(details, dict) and count(details.get("thinking_tokens")) is not None:
        thought = details["thinking_tokens"]
    output = written.get("output_tokens", max(1, said + thought))  # real ones are never zero
    thinking = {"thinking_tokens": max(min(thought, (count(output) or 0) - said), 0)}
    created, caches = _cache_creation(written)
    completed = fill_in(
        written,
        {
            "input_tokens": placeholders.tokens_placeholder(0),
            "cache_creation_input_tokens": created,
            "cache_read_input_tokens": 0,
            "cache_creation": caches,
            "output_tokens": output,
            "output_tokens_details": thinking,
            "service_tier": "standard",
            INFERENCE_GEO: placeholders.echo_placeholder(INFERENCE_GEO, EVERYWHERE),
            **({"server_tool_use": calls} if any(calls.values()) else {}),
        },
    )
    parts: dict[str, Any] = {
        "cache_creation": caches,
        "output_tokens_details": thinking,
    }
    if completed.get("server_tool_use"):  # an empty one stays: it says nothing to agree with
        parts["server_tool_use"] = calls
    for name, members in parts.items():
        if isinstance(completed.get(name), dict):
            completed[name] = fill_in(completed[name], members)
    return completed


_SAYS_CACHED = frozenset(
    {
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "iterations",
    }
)
"""Members of a usage that says itself what is cached."""


def count_cached(
    written: Mapping[str, Any], estimated: int, share: float, divided: bool
) -> dict[str, Any]:
    """The usage with a share of cached tokens (`API.count_cached`). `input_tokens` are the others,
    so they are changed where they are those of the whole prompt."""
    whole: int | None = estimated
    if "input_tokens" in written:
        whole = count(written["input_tokens"]) if divided else None
    if whole is None or _SAYS_CACHED.intersection(written):
        return dict(written)
    cached = int(whole * share)
    return {**written, "input_tokens": whole - cached, "cache_read_input_tokens": cached}


def _add_up_iterations(written: Object) -> Object:
    """`written` with the totals of its `iterations`, where they are left out. What summarizes a
    conversation or advises the model is not in the totals (anthropic 2.14.0: `BetaUsage`)."""
    entries = written.get("iterations")
    sampled = [
        entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("type") in _SAMPLED
    ]
    totals = {
        name: sum_counts(entry.get(name) for entry in sampled)
        for name in TOTALS
        if any(count(entry.get(name)) is not None for entry in sampled)
    }
    return fill_in(written, totals)


def _server_calls(blocks: list[Any]) -> Pieces[dict[str, int]]:
    """The number of searches and fetches in a message, with pauses if it has many blocks. Those
    that fail are not charged for."""
    failed: set[Any] = set()
    others: list[Any] = []  # ids that are no texts
    for number, block in enumerate(blocks, 1):
        if _is_failure(block):
            call_id = block["tool_use_id"]
            if isinstance(call_id, Hashable):
                failed.add(call_id)
            else:
                others.append(call_id)
        if number % AT_ONCE == 0:
            yield False
    counts = {"web_search": 0, "web_fetch": 0}
    for number, block in enumerate(blocks, 1):
        if isinstance(block, dict) and block.get("type") == "server_tool_use":
            name, call_id = block.get("name"), block.get("id")
            is_failed = call_id in (failed if isinstance(call_id, Hashable) else others)
            if name in ("web_search", "web_fetch") and not is_failed:
                counts[name] += 1
        if number % AT_ONCE == 0:
            yield False
    return {f"{name}_requests": number for name, number in counts.items()}


def _is_failure(block: Any) -> bool:
    match block:
        case {"tool_use_id": _, "content": {"type": str(kind)}}:
            return kind.endswith("_error")
        case _:
            return False


def _cache_creation(written: Object) -> tuple[int, dict[str, int]]:
    """The tokens that create a cache, in all and by the lifetime of the cache."""
    caches = written.get("cache_creation")
    known = {
        name: tokens
        for name in _CACHES
        if (tokens := count(caches.get(name) if isinstance(caches, dict) else None)) is not None
    }
    created = count(written.get("cache_creation_input_tokens"))
    rest = max((created or 0) - sum(known.values()), 0)
    missing = [name for name in _CACHES if name not in known]
    values = dict.fromkeys(_CACHES, 0) | known | dict.fromkeys(missing[:1], rest)
    return sum(values.values()), values


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
