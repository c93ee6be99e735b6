"""Spells a neutral reply as a message (anthropic 2.12.0: `Message`).

It writes only what the completion of a configured response cannot know.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from mockllm.limits import KIB
from mockllm.prompt import Body
from mockllm.providers.anthropic.messages.conversation import read_forced_tool
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage, resolve_json
from mockllm.wire import jsontext

Object = dict[str, Any]

NOT_JSON = "INVALID_JSON"
"""The member of an `input` that has arguments which are no object, as Anthropic's documentation of
fine-grained tool streaming advises."""
MAX_READ = 64 * KIB  # characters of arguments that are read for each request
MAX_KEPT = 16  # longer ones that are kept as they were read: 4 MB take 30 ms


def respond(reply: NeutralReply, body: Body, calls: list[Object] | None = None) -> Object:
    """The response that says `reply` to a request with this `body`, which matters only for its
    `json`. `calls` are those of the reply, if they were spelled before.

    A refusal has no content: its words are in `stop_details`.
    """
    said = resolve_json(reply, read_forced_tool(body))
    response: Object = {
        "content": [*_blocks(said), *(map(_call, said.calls) if calls is None else calls)]
    }
    stop_reason = _stop_reason(said)
    if stop_reason is not None:
        response["stop_reason"] = stop_reason
    if stop_reason == "refusal":
        response["stop_details"] = {
            "type": "refusal",
            "category": None,
            "explanation": said.refusal,
        }
    usage = _usage(reply.usage)
    return response | ({"usage": usage} if usage else {})


def input_of(arguments: str) -> Object:
    """The `input` of a call with these arguments, which may be any text."""
    if not arguments:
        return {}  # OpenAI's models write it for no arguments
    return _read_long(arguments) if len(arguments) > MAX_READ else _read(arguments)


def _read(arguments: str) -> Object:
    try:
        value = jsontext.loads(arguments.encode("utf-8", "replace"))
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {NOT_JSON: arguments}


@lru_cache(maxsize=MAX_KEPT)
def _read_long(arguments: str) -> Object:
    """Do what `_read` does, once for all requests."""
    return _read(arguments)


def _blocks(reply: NeutralReply) -> Iterator[Object]:
    if reply.reasoning is not None:
        thinking = {"type": "thinking", "thinking": reply.reasoning}
        yield thinking | {"signature": _signature(reply.reasoning)}
    if reply.text:  # the service has no empty text blocks
        yield {"type": "text", "text": reply.text}


def custom_tools(body: Body) -> frozenset[str]:
    """None: the calls of all tools have one form."""
    return frozenset()


def spell_calls(calls: Iterable[NeutralCall], custom: Container[str]) -> Iterator[Object]:
    """Spell each of the `calls`."""
    return map(_call, calls)


def _call(call: NeutralCall) -> Object:
    call_id = {} if call.call_id is None else {"id": call.call_id}
    return {"type": "tool_use", **call_id, "name": call.name, "input": input_of(call.arguments)}


def _signature(thinking: str) -> str:
    """Characters like those of a signature, the same for the same text: clients drop a thinking
    block without one."""
    digest = blake2b(thinking.encode("utf-8", "surrogatepass")).digest()
    return b64encode(b"\x12\x40" + digest).decode()


def _stop_reason(reply: NeutralReply) -> str | None:
    """The reason that is not filled in, if there is one. A message with calls always ends with
    ``tool_use``, unless it is cut short."""
    if reply.refusal is not None or reply.finish == "content_filter":
        return "refusal"
    return "max_tokens" if reply.finish == "length" else None


def _usage(usage: NeutralUsage) -> Object:
    """The counts; `input_tokens` are those that were not read from the cache."""
    written: Object = {}
    if usage.input is not None:
        written["input_tokens"] = usage.input - (usage.cached or 0)
    if usage.cached is not None:
        written["cache_read_input_tokens"] = usage.cached
    if usage.output is not None:
        written["output_tokens"] = usage.output
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written
