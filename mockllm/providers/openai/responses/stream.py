"""Streams a completed response as numbered events (openai 3.54.0: `ResponseStreamEvent`).

response.created, response.in_progress   the response without output and usage
    the events of each item of the output, one item after the other
response.completed                       the whole response
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses import echo, items
from mockllm.providers.openai.responses.answer import is_echo, optional_members
from mockllm.providers.openai.responses.items import Event
from mockllm.wire import json_encoding, sse
from mockllm.wire.chunking import Chunk

PADDED_TO = 16
"""Deltas are padded to a multiple of this many characters, so that the sizes of packets do not
reveal the text."""

_PADDED = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.shell_call_command.delta",
        "response.apply_patch_call_operation_diff.delta",
    }
)

_ENDINGS = {
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    "cancelled": "response.incomplete",  # the SDK has no event of its own for it
    "queued": None,  # not finished: there is no last event
    "in_progress": None,
}
"""The last event, by the status of the response; `response.completed` for any other."""


def events(response: dict[str, Any], options: ResponseOptions, chunk: Chunk) -> Iterator[Event]:
    """The events of a completed response, in order: `sequence_number` counts from 0, texts are cut
    by `chunk`, and deltas are padded if `options` requires it."""
    for number, event in enumerate(_events(response, chunk)):
        numbered = {"type": event["type"], "sequence_number": number, **event}
        if options.include_obfuscation and event["type"] in _PADDED:
            numbered["obfuscation"] = _padding(event["delta"], number)
        yield numbered


def frame(event: dict[str, Any]) -> bytes:
    """Encode one event; its name is its type, if it has one."""
    return sse.frame(event, event=_name(event))


def frame_or_pieces(event: dict[str, Any]) -> bytes | Iterator[bytes]:
    """Encode one event; one with a large text, which the last events have, in pieces."""
    delta = event.get("delta")
    is_small = isinstance(delta, str) and len(delta) <= json_encoding.MAX_TEXT
    if is_small or not json_encoding.takes_long(event):
        return frame(event)
    return sse.frame_in_pieces(event, event=_name(event))


def _name(event: dict[str, Any]) -> str | None:
    kind = event.get("type")
    named = isinstance(kind, str) and kind.isprintable()  # a line break would end the line
    return kind if named else None


def _events(response: dict[str, Any], chunk: Chunk) -> Iterator[Event]:
    status = _status(response)
    initial = _initial(response)
    yield {"type": "response.created", "response": initial}
    yield {"type": f"response.{initial['status']}", "response": initial}
    output = response.get("output")
    for index, item in enumerate(output if isinstance(output, list) else ()):
        yield from items.events(item, index, chunk)
    ending = _ENDINGS.get(status, "response.completed")
    if ending is not None:
        yield {"type": ending, "response": response}


def _initial(response: dict[str, Any]) -> dict[str, Any]:
    """The response before its first output. The service chooses a tier only later."""
    tier = response.get("service_tier")
    if is_echo(tier):
        tier = echo.placeholder(echo.INITIAL_TIER)
    initial = {
        **{name: value for name, value in response.items() if name != "output_text"},
        "status": "queued" if _status(response) == "queued" else "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "service_tier": "auto" if tier == "default" else tier,
        "usage": None,
    }
    return initial | optional_members(initial, written=initial)


def _status(response: dict[str, Any]) -> str:
    status = response.get("status")
    return status if isinstance(status, str) else ""


def _padding(delta: str, number: int) -> str:
    """Meaningless letters and digits, equal for the same delta at the same position."""
    noise = b64encode(blake2b(f"{number} {delta}".encode(), digest_size=12).digest(), b"xX")
    return noise[: -len(delta) % PADDED_TO].decode()
