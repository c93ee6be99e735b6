"""Spells a neutral reply as a response (openai 3.54.0: `Response`).

It writes only what the completion of a configured response cannot know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.prompt import Body
from mockllm.providers import normalise
from mockllm.providers.openai.responses.conversation import read_forced_tool
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage, resolve_json

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The reasons of an incomplete response, by the `finish` of a reply."""


def respond(reply: NeutralReply, body: Body) -> dict[str, Any]:
    """The response that says `reply`; `body` is that of the request, read only for its `json`.
    Reasoning is a summary."""
    forced = "" if reply.json is None else read_forced_tool(body)
    said = resolve_json(reply, forced)
    is_custom = bool(forced) and _is_custom(forced, body)
    response: dict[str, Any] = {}
    if said.finish in _INCOMPLETE:
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": _INCOMPLETE[said.finish]}
    response["output"] = [*_items(said), *(_call(call, is_custom) for call in said.calls)]
    usage = _usage(reply.usage)
    return response | ({"usage": usage} if usage else {})


def _items(reply: NeutralReply) -> Iterator[dict[str, Any]]:
    """The items before the calls."""
    if reply.reasoning is not None:
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": reply.reasoning}]}
    if reply.refusal is not None:
        yield {"type": "message", "content": [{"type": "refusal", "refusal": reply.refusal}]}
    elif reply.text is not None:
        yield {"type": "message", "content": [{"type": "output_text", "text": reply.text}]}


def _call(call: NeutralCall, is_custom: bool) -> dict[str, Any]:
    call_id = {} if call.call_id is None else {"call_id": call.call_id}
    if is_custom:
        return {"type": "custom_tool_call", **call_id, "input": call.arguments, "name": call.name}
    return {"type": "function_call", "arguments": call.arguments, **call_id, "name": call.name}


def _is_custom(name: str, body: Body) -> bool:
    return any(
        tool.get("type") == "custom" and tool.get("name") == name
        for tool in normalise.objects(body.get("tools"))
    )


def _usage(usage: NeutralUsage) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if usage.input is not None:
        written["input_tokens"] = usage.input
    if usage.cached is not None:
        written["input_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.output is not None:
        written["output_tokens"] = usage.output
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return written
