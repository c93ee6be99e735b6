"""Compiles a configured reply into the value that APIs render."""

from __future__ import annotations

from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage
from mockllm.wire import jsontext


def compile_reply(reply: Reply) -> NeutralReply:
    """Return `reply` as APIs render it: `json` and arguments that are objects as compact JSON."""
    return NeutralReply(
        text=reply.text,
        reasoning=reply.reasoning,
        calls=tuple(map(_compile_call, reply.tool_calls or ())),
        refusal=reply.refusal,
        json=jsontext.dumps(reply.json_value).decode() if reply.has_json else None,
        finish=reply.finish,
        usage=_compile_usage(reply.usage),
    )


def _compile_call(call: ToolCall) -> NeutralCall:
    written = call.arguments
    arguments = written if isinstance(written, str) else jsontext.dumps(written).decode()
    return NeutralCall(call.name, arguments, call.id)


def _compile_usage(usage: Usage) -> NeutralUsage:
    return NeutralUsage(usage.input, usage.output, usage.cached, usage.reasoning)
