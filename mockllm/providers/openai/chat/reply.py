"""Spells a neutral reply as a chat completion (openai 3.54.0: `ChatCompletion`).

It writes only what the completion of a configured response cannot know.
"""

from __future__ import annotations

from typing import Any

from mockllm.prompt import Body
from mockllm.providers import normalise
from mockllm.providers.openai.chat.conversation import read_forced_tool
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage, resolve_json


def respond(reply: NeutralReply, body: Body) -> dict[str, Any]:
    """The response that says `reply`; `body` is that of the request, read only for its `json`.

    Reasoning is in `reasoning_content`, which DeepSeek, vLLM and others send. The service ends with
    ``stop``, not ``tool_calls``, if the request names the function to call.
    """
    forced = "" if reply.json is None else read_forced_tool(body)
    said = resolve_json(reply, forced)
    choice: dict[str, Any]
    if forced and said.calls:
        choice = {"message": _message(said) | _forced_call(said.calls[0], body)}
        finish = said.finish or ("stop" if _is_named(body) else None)
    else:
        calls = {"tool_calls": [_call(call) for call in said.calls]} if said.calls else {}
        choice = {"message": _message(said) | calls}
        finish = said.finish
    if finish is not None:
        choice["finish_reason"] = finish
    usage = _usage(reply.usage)
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


def _call(call: NeutralCall) -> dict[str, Any]:
    call_id = {} if call.call_id is None else {"id": call.call_id}
    function = {"name": call.name, "arguments": call.arguments}
    return {**call_id, "type": "function", "function": function}


def _forced_call(call: NeutralCall, body: Body) -> dict[str, Any]:
    """The member of a message with the `call` of the tool that a request forces: a function, a
    custom tool, or a function in the legacy form."""
    if body.get("tool_choice") is None:
        return {"function_call": {"name": call.name, "arguments": call.arguments}}
    if _is_custom(call.name, body):
        custom = {"name": call.name, "input": call.arguments}
        return {"tool_calls": [{"type": "custom", "custom": custom}]}
    return {"tool_calls": [_call(call)]}


def _is_named(body: Body) -> bool:
    """True if a request that forces a tool names it, instead of leaving only one to choose."""
    choice = body.get("tool_choice")
    return choice is None or (isinstance(choice, dict) and choice.get("type") != "allowed_tools")


def _is_custom(name: str, body: Body) -> bool:
    custom = (tool.get("custom") for tool in normalise.objects(body.get("tools")))
    return any(isinstance(each, dict) and each.get("name") == name for each in custom)


def _usage(usage: NeutralUsage) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if usage.input is not None:
        written["prompt_tokens"] = usage.input
    if usage.output is not None:
        written["completion_tokens"] = usage.output
    if usage.cached is not None:
        written["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        written["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return written
