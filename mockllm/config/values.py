"""The kinds of value that a configuration holds, and how what is written becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mockllm.wire.chunking import Chunk

MAX_NESTING = 200  # levels; no answer has 30, and Python's recursion ends at a few hundred
MAX_CHUNK = 1_000_000  # graphemes; more are the whole text anyway
DONE = "[DONE]"
"""The event that ends a Chat Completions stream, in a stream that is given literally."""


_LEAVES = frozenset({str, int, float, bool, type(None)})


def _as_data(value: Any, left: int = MAX_NESTING) -> Any:
    """Convert objects of the official SDKs to JSON values; others are returned as they are."""
    if type(value) in _LEAVES:  # nearly all, and asking an abstract class is slow
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    if left == 0:
        raise PydanticCustomError(
            "too_deep", "nested deeper than {most} levels", {"most": MAX_NESTING}
        )
    if isinstance(value, Mapping):
        return {key: _as_data(member, left - 1) for key, member in value.items()}
    return [_as_data(entry, left - 1) for entry in value]


def _as_object(value: Any) -> Any:
    return _as_data(value)


def _as_chunk(value: Any) -> Any:
    if value in ("word", "char", "token") and isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CHUNK:
        return value
    raise PydanticCustomError(
        "chunk", "expected 'word', 'char', 'token' or a number of graphemes, at least 1"
    )


def _as_event(value: Any) -> Any:
    if value != DONE and not isinstance(value, (Mapping, BaseModel)):
        raise PydanticCustomError("event", "expected an object or '[DONE]'")
    return _as_data(value)


def _as_input(value: Any) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise PydanticCustomError("input_type", "expected a string or a list")
    return _as_data(value)


def empty_list_for_null(value: Any) -> Any:
    return [] if value is None else value


if TYPE_CHECKING:  # what may be written, for type checkers; what is held is JSON
    SDKObject = Mapping[str, object] | BaseModel
    SDKInput = str | Sequence[object]
else:
    SDKObject = Annotated[dict[str, Any], BeforeValidator(_as_object)]
    SDKInput = Annotated[str | list[Any], BeforeValidator(_as_input)]

_EVENT_SCHEMA = {"anyOf": [{"type": "object"}, {"const": DONE}]}
Event = Annotated[dict[str, Any] | str, PlainValidator(_as_event), WithJsonSchema(_EVENT_SCHEMA)]
_CHUNK_SCHEMA = {
    "anyOf": [
        {"enum": ["word", "char", "token"]},
        {"type": "integer", "minimum": 1, "maximum": MAX_CHUNK},
    ]
}
ChunkSize = Annotated[Chunk, PlainValidator(_as_chunk), WithJsonSchema(_CHUNK_SCHEMA)]
