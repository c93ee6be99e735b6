"""The JSON Schemas of what the control API answers (JSON Schema 2020-12, as in OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any, get_type_hints

from mockllm.config.models import MOCK_FIELDS
from mockllm.endpoints.control.calls import APIS
from mockllm.limits import MAX_SPEED, MIN_SPEED
from mockllm.observers.timing import Timing

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(members: Schema, *, optional: Schema | None = None) -> Schema:
    """Return the schema of an object that has `members`, may have the `optional` ones, and has no
    others."""
    return {
        "type": "object",
        "properties": {**members, **(optional or {})},
        "required": list(members),
        "additionalProperties": False,
    }


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


_PROBLEM = _object(
    {"place": TEXT, "message": TEXT, "severity": {"enum": ["error", "warning", "note"]}}
)
_PAGE: Schema = {"next": COUNT, "more": FLAG}
_MOCK: Schema = {
    "id": TEXT,
    "name": TEXT,
    "session": _or_null(TEXT),
    "is_added": FLAG,
    "apis": _list({"enum": list(APIS)}),
    "mock": {"type": "object"},
    "requests": COUNT,
    "progress": _or_null(
        _object({"given": COUNT, "due": _or_null(COUNT), "entries": COUNT, "is_used_up": FLAG})
    ),
}
_TOOL_CALL = _object({"id": TEXT, "name": TEXT})
_MESSAGE = _object(
    {"role": TEXT, "texts": _list(TEXT), "calls": _list(_TOOL_CALL)},
    optional={"result": _object({"call_id": TEXT, "name": TEXT, "error": FLAG})},
)
_DELIVERIES = ["complete", "clean", "cut", "reset", "hang", "client_gone", "error"]
_CALL_MEMBERS: Schema = {
    "number": COUNT,
    "method": TEXT,
    "path": TEXT,
    "headers": {"type": "object", "additionalProperties": TEXT},
    "body": {"description": "The body as JSON, without credentials."},
    "is_body_cut": FLAG,
    "attempt": COUNT,
    "session": _or_null(TEXT),
    "api": _or_null({"enum": list(APIS)}),
    "model": _or_null(TEXT),
    "stream": FLAG,
    "user": TEXT,
    "text": TEXT,
    "system": TEXT,
    "tools": _list(TEXT),
    "messages": _list(_MESSAGE),
    "turn": _or_null(COUNT),
    "step": _or_null(COUNT),
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "mock": _or_null(TEXT),
    "mock_id": _or_null(TEXT),
    "status": COUNT,
    "outcome": TEXT,
    "is_unmatched": FLAG,
    "is_late": FLAG,
    "near_miss": _or_null(TEXT),
    "traceback": TEXT,
    "delivery": {"enum": _DELIVERIES},
    "held_at": _or_null(TEXT),
    "traffic": _list(TEXT),
    "asked_for": _list(TEXT),
    "started": NUMBER,
    "ended": NUMBER,
    "ttft": NUMBER,
}
_CALL = _object(_CALL_MEMBERS)
_BRIEF_CALL = _object(
    {
        **{
            name: _CALL_MEMBERS[name]
            for name in (
                *("number", "session", "method", "path", "api", "model", "stream", "mock"),
                *("status", "outcome", "attempt", "is_unmatched", "near_miss", "delivery"),
                *("started", "ended", "ttft"),
            )
        },
        "words": TEXT,
    }
)
_REPLY = _object(
    {
        "texts": _list(TEXT),
        "deltas": _list(_list(TEXT)),
        "reasoning": _list(TEXT),
        "calls": _list(_object({"name": TEXT, "arguments": TEXT})),
        "vectors": COUNT,
        "is_cut": FLAG,
    }
)
_MISS = _object(
    {"mock": TEXT, "id": TEXT, "match": _or_null({"type": "object"}), "reasons": _list(TEXT)}
)

SCHEMAS: dict[str, Schema] = {
    "Refusal": _object(
        {"error": _object({"code": TEXT, "message": TEXT}, optional={"problems": _list(_PROBLEM)})}
    ),
    "KnownMock": _object(_MOCK, optional={"warnings": _list(_PROBLEM)}),
    "KnownMocks": _object({"mocks": _list(ref("KnownMock")), **_PAGE}),
    "AddedMocks": {
        "anyOf": [
            ref("KnownMock"),
            _object({"mocks": _list(ref("KnownMock")), "warnings": _list(_PROBLEM)}),
        ]
    },
    "NewMock": {
        "type": "object",
        "description": (
            "The keys of a mock and of its `match` side by side, as in a configuration file. "
            "`first` may be true: it comes before those that were added earlier."
        ),
    },
    "NewMocks": {
        "anyOf": [
            ref("NewMock"),
            {
                "type": "object",
                "description": "Lists of mocks, as in a configuration file.",
                "properties": {
                    name: _list(ref(model.__name__)) for name, model in MOCK_FIELDS.items()
                },
            },
        ]
    },
    "Call": _CALL,
    "Calls": _object(
        {"calls": _list(ref("Call")), "lost": COUNT, "missing": _or_null(TEXT), **_PAGE}
    ),
    "Routes": _object({"routes": _list(_object({"method": TEXT, "path": TEXT, "summary": TEXT}))}),
    "WholeCall": _object({**_CALL_MEMBERS, "reply": _or_null(_REPLY)}),
    "Misses": _object({"misses": _list(_MISS)}),
    "Watched": _object(
        {
            "calls": _list(_BRIEF_CALL),
            "skipped": COUNT,
            "next": COUNT,
            "lost": COUNT,
            "missing": _or_null(TEXT),
            "time": NUMBER,
            "total": _or_null(COUNT),
            "held": {"type": "object", "additionalProperties": COUNT},
            "timing": {"type": "object"},
        }
    ),
    "Verified": _object({"holds": {"const": True}}, optional={"calls": COUNT, "requests": COUNT}),
    "Session": _object(
        {
            "name": TEXT,
            "token": TEXT,
            "base_url": TEXT,
            "openai_base_url": TEXT,
            "anthropic_base_url": TEXT,
        }
    ),
    "Sessions": _object({"sessions": _list(ref("Session")), "current": _or_null(TEXT), **_PAGE}),
    "CurrentSession": _object({"current": _or_null(TEXT)}),
    "KnownTraffic": _object({"traffic": _list(ref("TrafficEntry"))}),
    "TrafficEntry": _object(
        {"id": TEXT, "name": TEXT, "holds": FLAG, "entry": {"type": "object"}},
        optional={"warnings": _list(_PROBLEM)},
    ),
    "NewTraffic": _object({"traffic": _list(ref("Traffic"))}),
    "Gates": _object({"held": {"type": "object", "additionalProperties": COUNT}}),
    "Timing": _object(
        {
            name: TEXT if kind is str else NUMBER if kind is float else COUNT
            for name, kind in get_type_hints(Timing).items()
        }
    ),
    "Speed": _object({"speed": {"type": "number", "minimum": MIN_SPEED, "maximum": MAX_SPEED}}),
}
"""The schemas of answers, by their names."""
