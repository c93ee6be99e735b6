"""Spells a neutral reply as a chat completion (openai 3.54.0: `ChatCompletion`).

It writes only what the completion of a configured response cannot know.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from mockllm.prompt import Body
from mockllm.providers import contents
from mockllm.providers.openai.chat.answer import USAGE
from mockllm.providers.openai.chat.conversation import read_forced_tool
from mockllm.providers.openai.usage import spell
from mockllm.providers.reply import NeutralCall, NeutralReply, resolve_json


def respond(
    reply: NeutralReply, body: Body, calls: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The response that says `reply` to a request with this `body`. `calls` are those of the reply,
    if they were spelled before.

    Reasoning is in `reasoning_content`, which DeepSeek, vLLM and others send. A call has the form
    of the tool that the request offers. The service ends with ``stop``, not ``tool_calls``, if the
    request names the tool to call.
    """
    said = resolve_json(reply, read_forced_tool(body))
    choice: dict[str, Any] = {"message": _message(said) | _calls(said.calls, body, calls)}
    finish: str | None = said.finish
    if finish is None and said.calls and _is_named(body):
        finish = "stop"
    if finish == "tool_calls":
        finish = None  # it follows from the calls, and has another name in the legacy form
    if finish is not None:
        choice["finish_reason"] = finish
    usage = spell(reply.usage, USAGE)
    return {"choices": [choice]} | ({"usage": usage} if usage else {})


def _message(reply: NeutralReply) -> dict[str, Any]:
    """The message without its calls. A message that says nothing has an empty content."""
    is_empty = reply.text is None and reply.refusal is None and not reply.calls
    message: dict[str, Any] = {"content": "" if is_empty else reply.text}
    if reply.refusal is not None:
        message["refusal"] = reply.refusal
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    return message


def custom_tools(body: Body) -> frozenset[str]:
    """The names of the tools in a request whose calls have a form of their own."""
    tools = contents.objects([tool.get("custom") for tool in contents.objects(body.get("tools"))])
    return frozenset(contents.text(tool.get("name")) for tool in tools)


def spell_calls(calls: Iterable[NeutralCall], custom: Container[str]) -> Iterator[dict[str, Any]]:
    """Spell each of the `calls`. Those of the `custom` tools have a form of their own."""
    return (_call(call, is_custom=call.name in custom) for call in calls)


def _calls(
    calls: Sequence[NeutralCall], body: Body, spelled: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """The member of a message with its calls; in the legacy form if the request has legacy
    functions, unless there are several."""
    if not calls:
        return {}
    if len(calls) == 1 and body.get("functions") and not body.get("tools"):
        return {"function_call": {"name": calls[0].name, "arguments": calls[0].arguments}}
    if spelled is None:
        spelled = list(spell_calls(calls, custom_tools(body)))
    return {"tool_calls": spelled}


def _call(call: NeutralCall, *, is_custom: bool) -> dict[str, Any]:
    call_id = {} if call.call_id is None else {"id": call.call_id}
    if is_custom:
        custom = {"name": call.name, "input": call.arguments}
        return {**call_id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments}
    return {**call_id, "type": "function", "function": function}


def _is_named(body: Body) -> bool:
    """True if the request names the tool to call, instead of leaving it a choice of one."""
    for choice in (body.get("tool_choice"), body.get("function_call")):
        if isinstance(choice, dict):
            return choice.get("type") != "allowed_tools"
    return False
