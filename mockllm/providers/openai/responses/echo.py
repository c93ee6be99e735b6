"""The members of a request that its response repeats (openai 3.57.0: `Response`).

Knows what the service makes of them: a tool is repeated with its defaults, a conversation's id as
an object. It does not know where they stand in a response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import orjson

from mockllm.pieces import Pieces
from mockllm.providers.contents import PARTS_AT_ONCE, is_long
from mockllm.providers.openai import service_tier
from mockllm.providers.openai.responses import tools
from mockllm.wire import jsontext, placeholders
from mockllm.wire.placeholders import NOTHING_ECHOED, Echoed

INITIAL_TIER = "initial_service_tier"

DEFAULTS: Mapping[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": "24h",
    "reasoning": {"context": None, "effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": service_tier.DEFAULT,
    INITIAL_TIER: "auto",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response contains if the request does not. The service chooses a tier only after the first
events of a stream, which have `INITIAL_TIER` instead."""

FOLLOWED_BY: Mapping[str, str] = {
    "completed_at": "conversation",
    "previous_response_id": "prompt",
    "prompt_cache_key": "prompt_cache_options",
}
"""Members that a response has only if the request has them, by the member that they follow."""


def placeholder(name: str, default: Any = None) -> orjson.Fragment:
    """The placeholder for one of `DEFAULTS`, or with another `default`."""
    return placeholders.echo_placeholder(name, DEFAULTS[name] if default is None else default)


def echoed(body: Mapping[str, Any], names: frozenset[str] | None) -> Echoed:
    """The values that a request has for the echoes in `names` (`placeholders.Echo`). Null is the
    same as absent."""
    names = _ALL if names is None else names
    present = names.intersection(body)
    if not present:
        return NOTHING_ECHOED
    written = getattr(body, "echoes", NOTHING_ECHOED)
    values = {}
    for name in present:
        value = body[name]
        if value is None:
            continue
        text = written.get(name)
        if text is None:
            normalise = _NORMALISE.get(name)
            text = jsontext.dumps(value if normalise is None else normalise(value))
        values[name] = b',"%b":%b' % (name.encode(), text) if name in _OPTIONAL else text
    if "service_tier" in values and INITIAL_TIER in names:
        values[INITIAL_TIER] = jsontext.dumps(body["service_tier"])
    return values


def echo_long(body: Mapping[str, Any]) -> Pieces[Echoed]:
    """The values of members that take long to write (`placeholders.EchoLong`): many tools."""
    given = body.get("tools")
    if not is_long(given):
        return NOTHING_ECHOED
    written = BytesIO()  # grows little by little, where a join would take 10 ms for 10 MB
    for start in range(0, len(given), PARTS_AT_ONCE):
        some = tools.normalise(given[start : start + PARTS_AT_ONCE])
        written.write(b"," if start else b"[")
        written.write(jsontext.dumps(some)[1:-1])
        yield False
    written.write(b"]")
    return {"tools": written.getvalue()}


_OPTIONAL = frozenset(FOLLOWED_BY.values())
_ALL = _OPTIONAL.union(DEFAULTS)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _conversation(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _reasoning(value: Any) -> Any:
    return DEFAULTS["reasoning"] | value if isinstance(value, dict) else value


def _text(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    text: dict[str, Any] = DEFAULTS["text"] | {
        name: member for name, member in value.items() if member is not None
    }
    match text["format"]:
        case {"type": "json_schema"} as given:
            members = {"description": None, "strict": False, **given}
            text["format"] = {"type": "json_schema", **dict(sorted(members.items()))}
    return text


_NORMALISE: Mapping[str, Callable[[Any], Any]] = {
    "conversation": _conversation,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "reasoning": _reasoning,
    "service_tier": service_tier.used,
    "temperature": _number,
    "text": _text,
    "tools": tools.normalise,
    "top_p": _number,
}
"""What the service makes of a member; it repeats all others unchanged."""
