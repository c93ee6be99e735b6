"""Compiles a configured reply into the value that APIs render, or that is made for each request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.config.texts import GeneratedText, TemplateText, Text, TokenCount, template_of
from mockllm.engine.made_reply import (
    EchoedWords,
    GeneratedWords,
    MadeReply,
    MadeValue,
    Part,
    templates_in,
)
from mockllm.engine.template_values import NAMES
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage
from mockllm.replies.templates import Template, compile_template
from mockllm.wire import jsontext

EXAMPLE = "..."
"""Stands for a text that is made, where a reply is checked."""
MAX_KEPT = 4_096  # templates, each of which is compiled once for all APIs


def compile_reply(reply: Reply) -> NeutralReply:
    """Return `reply` as APIs render it: `json` and arguments that are objects as compact JSON, and
    examples of the texts that are made for each request."""
    return NeutralReply(
        text=_written(reply.text),
        reasoning=_written(reply.reasoning),
        calls=tuple(map(_compile_call, reply.tool_calls or ())),
        refusal=_written(reply.refusal),
        json=_dumps(_replace_templates(reply.json_value, _example)) if reply.has_json else None,
        finish=reply.finish,
        usage=_compile_usage(reply.usage),
    )


def compile_made(reply: Reply) -> MadeReply | None:
    """Return `reply` as it is made for each request; None if all of it is written.

    Raises:
        ValueError: a template is wrong, or Jinja2 is not installed.
    """
    made = MadeReply(
        compile_reply(reply),
        _compile_text(reply.text),
        _compile_text(reply.reasoning),
        _compile_text(reply.refusal),
        tuple(_compile_arguments(call) for call in reply.tool_calls or ()),
        _compile_value(reply.json_value) if reply.has_json else None,
        reply.text_path,
    )
    return None if made.is_written else made


@lru_cache(maxsize=MAX_KEPT)
def compile_source(source: str) -> Template:
    """Return the template of a reply.

    Raises:
        ValueError: it is wrong, or Jinja2 is not installed.
    """
    return compile_template(source, NAMES)


def _compile_text(text: Text | None) -> Part | None:
    if text is None or type(text) is str:  # as in most replies; to ask for other types takes 1 µs
        return text
    match text:
        case GeneratedText(generate=TokenCount(tokens=count)):
            return GeneratedWords(count)
        case GeneratedText():
            return EchoedWords()
        case TemplateText(template=source):
            return compile_source(source)
    assert isinstance(text, str)
    return text


def _compile_arguments(call: ToolCall) -> Part:
    written = call.arguments
    if isinstance(written, str):
        return written
    source = template_of(written)
    return _compile_value(written) if source is None else compile_source(source)


def _compile_value(value: Any) -> Part:
    """Return the JSON text of `value`, to be made if there are templates in it."""
    filled = _replace_templates(value, compile_source)
    templates = tuple(templates_in(filled))
    return MadeValue(filled, templates) if templates else _dumps(value)


def _replace_templates(value: Any, make: Callable[[str], Any]) -> Any:
    """Return `value` with each template in it replaced by what `make` makes of its source."""
    source = template_of(value)
    if source is not None:
        return make(source)
    match value:
        case dict():
            return {name: _replace_templates(member, make) for name, member in value.items()}
        case list():
            return [_replace_templates(entry, make) for entry in value]
        case _:
            return value


def _example(source: str) -> str:
    return EXAMPLE


def _written(text: Text | None) -> str | None:
    return text if text is None or isinstance(text, str) else EXAMPLE


def _compile_call(call: ToolCall) -> NeutralCall:
    written = call.arguments
    if isinstance(written, str):
        arguments = written
    elif template_of(written) is not None:
        arguments = "{}"
    else:
        arguments = _dumps(_replace_templates(written, _example))
    return NeutralCall(call.name, arguments, call.id)


def _compile_usage(usage: Usage) -> NeutralUsage:
    return NeutralUsage(usage.input, usage.output, usage.cached, usage.reasoning)


def _dumps(value: Any) -> str:
    return jsontext.dumps(value).decode()
