"""Spells a neutral reply as a response (openai 3.54.0: `Response`).

It writes only what the completion of a configured response cannot know.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any

from mockllm.prompt import Body
from mockllm.providers import contents
from mockllm.providers.openai.responses.answer import USAGE
from mockllm.providers.openai.responses.conversation import read_forced_tool
from mockllm.providers.openai.usage import spell
from mockllm.providers.reply import NeutralCall, NeutralReply, resolve_json

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The reasons of an incomplete response, by the `finish` of a reply."""


def respond(
    reply: NeutralReply, body: Body, calls: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The response that says `reply` to a request with this `body`. Reasoning is a summary. A call
    has the form of the tool that the request offers. `calls` are those of the reply, if they were
    spelled before."""
    said = resolve_json(reply, read_forced_tool(body))
    if calls is None:
        calls = list(spell_calls(said.calls, custom_tools(body))) if said.calls else []
    response: dict[str, Any] = {}
    if said.finish in _INCOMPLETE:
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": _INCOMPLETE[said.finish]}
    response["output"] = [*_items(said), *calls]
    usage = spell(reply.usage, USAGE)
    return response | ({"usage": usage} if usage else {})


def _items(reply: NeutralReply) -> Iterator[dict[str, Any]]:
    """The items before the calls."""
    if reply.reasoning is not None:
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": reply.reasoning}]}
    if reply.refusal is not None:
        yield {"type": "message", "content": [{"type": "refusal", "refusal": reply.refusal}]}
    elif reply.text is not None:
        yield {"type": "message", "content": [{"type": "output_text", "text": reply.text}]}


def spell_calls(calls: Iterable[NeutralCall], custom: Container[str]) -> Iterator[dict[str, Any]]:
    """Spell each of the `calls`. Those of the `custom` tools have a form of their own."""
    for call in calls:
        call_id = {} if call.call_id is None else {"call_id": call.call_id}
        if call.name in custom:
            kind, member = "custom_tool_call", "input"
        else:
            kind, member = "function_call", "arguments"
        yield {"type": kind, member: call.arguments, **call_id, "name": call.name}


def custom_tools(body: Body) -> frozenset[str]:
    """The names of the tools in a request whose calls have a form of their own."""
    tools = contents.objects(body.get("tools"))
    names = (contents.text(tool.get("name")) for tool in tools if tool.get("type") == "custom")
    return frozenset(names)
