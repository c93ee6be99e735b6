"""Compiles a configured reply into the value that APIs render, or that is made for each request."""

from __future__ import annotations

from collections.abc import Mapping

from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.config.texts import GeneratedText, Text, TokenCount
from mockllm.engine.made_reply import EchoedWords, GeneratedWords, MadeReply, Part
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage
from mockllm.wire import jsontext

EXAMPLE = "..."
"""Stands for a text that is made, where a reply is checked."""


def compile_reply(reply: Reply) -> NeutralReply:
    """Return `reply` as APIs render it: `json` and arguments that are objects as compact JSON, and
    examples of the texts that are made for each request."""
    return NeutralReply(
        text=_written(reply.text),
        reasoning=_written(reply.reasoning),
        calls=tuple(map(_compile_call, reply.tool_calls or ())),
        refusal=reply.refusal,
        json=jsontext.dumps(reply.json_value).decode() if reply.has_json else None,
        finish=reply.finish,
        usage=_compile_usage(reply.usage),
    )


def compile_made(reply: Reply) -> MadeReply | None:
    """Return `reply` as it is made for each request; None if all of it is written."""
    text, reasoning = _compile_text(reply.text), _compile_text(reply.reasoning)
    if all(part is None or isinstance(part, str) for part in (text, reasoning)):
        return None
    return MadeReply(compile_reply(reply), text, reasoning)


def _compile_text(text: Text | None) -> Part | None:
    match text:
        case GeneratedText(generate=TokenCount(tokens=count)):
            return GeneratedWords(count)
        case GeneratedText():
            return EchoedWords()
    assert text is None or isinstance(text, str)
    return text


def _written(text: Text | None) -> str | None:
    assert not isinstance(text, Mapping)
    return EXAMPLE if isinstance(text, GeneratedText) else text


def _compile_call(call: ToolCall) -> NeutralCall:
    written = call.arguments
    arguments = written if isinstance(written, str) else jsontext.dumps(written).decode()
    return NeutralCall(call.name, arguments, call.id)


def _compile_usage(usage: Usage) -> NeutralUsage:
    return NeutralUsage(usage.input, usage.output, usage.cached, usage.reasoning)
