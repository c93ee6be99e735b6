"""An answer in the words of no vendor, as all APIs render it.

It knows what a model says. It does not know how an API spells that: the module `reply` of each API
turns it into the API's own response, which is completed and sent like a configured one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class NeutralCall(NamedTuple):
    """A call of a tool. `arguments` are a JSON text, or any other text that a model may write in
    its place. Without a `call_id`, each answer has a new one."""

    name: str
    arguments: str = "{}"
    call_id: str | None = None


class NeutralUsage(NamedTuple):
    """Numbers of tokens; None is estimated. `cached` is a part of `input`, `reasoning` one of
    `output`."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


ESTIMATED = NeutralUsage()
"""All numbers are estimated."""


@dataclass(frozen=True, slots=True)
class NeutralReply:
    """An answer that every API can send.

    `reasoning` comes first, then `text` or a `refusal`, then the `calls`. `json` is a compact JSON
    text, said in place of text and calls (see `resolve_json`). Without `finish`, the model stops
    for the reason that follows from the rest.
    """

    text: str | None = None
    reasoning: str | None = None
    calls: tuple[NeutralCall, ...] = ()
    refusal: str | None = None
    json: str | None = None
    finish: Finish | None = None
    usage: NeutralUsage = ESTIMATED


def resolve_json(reply: NeutralReply, forced_tool: str) -> NeutralReply:
    """Return `reply` with its `json` as a call of the tool that a request forces, or else as text.
    `forced_tool` is its name, empty if there is none. Only an object can be the arguments of a
    call."""
    if reply.json is None:
        return reply
    if forced_tool and reply.json.startswith("{"):
        return replace(reply, json=None, calls=(NeutralCall(forced_tool, reply.json),))
    return replace(reply, json=None, text=reply.json)
