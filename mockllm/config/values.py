"""The types of values in a configuration, and their conversion from JSON and SDK objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError

from mockllm.wire.chunking import Chunk

MAX_NESTING = 200  # levels; answers have less than 30, and Python's stack allows a few hundred
MAX_CHUNK = 1_000_000  # graphemes; more than any text has
OWN_KEYS = ("_", "$")
"""The first characters of keys that an author may add anywhere: comments, ``$schema``, anchors."""
DONE = "[DONE]"
"""The event that ends a Chat Completions stream in `stream.events`."""

_T = TypeVar("_T")

_LEAVES = frozenset({str, int, float, bool, type(None)})


def _as_data(value: Any, levels: int = MAX_NESTING) -> Any:
    """Convert objects of the official SDKs to JSON values; any other value is unchanged."""
    if type(value) in _LEAVES:  # nearly all values; isinstance of an ABC is slow
        return value
    is_object = type(value) is dict
    if not is_object and type(value) is not list:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
        is_object = isinstance(value, Mapping)
        if not is_object and not isinstance(value, (list, tuple)):
            return value
    if levels == 0:
        raise PydanticCustomError(
            "too_deep", "nested deeper than {most} levels", {"most": MAX_NESTING}
        )
    below, leaves = levels - 1, _LEAVES
    if is_object:
        return {
            key: member if type(member) in leaves else _as_data(member, below)
            for key, member in value.items()
        }
    return [entry if type(entry) in leaves else _as_data(entry, below) for entry in value]


def as_json(value: Any) -> Any:
    """Convert a value of Python to JSON values. Unlike an object of an SDK, a model of the author's
    own has all of its members, also those with a default."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return _as_data(value)


def _expect_unicode(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair; files have U+FFFD instead
        raise PydanticCustomError("string_unicode", "expected Unicode characters") from None
    return name


Name = Annotated[str, AfterValidator(_expect_unicode)]
"""The name of a mock or of an entry of traffic, which logs, journals and the control API show."""


class ValidationContext:
    """What is known of the data that are validated: the context (`ValidationInfo.context`)."""

    is_own: bool = False
    """True if they are JSON that nobody else has, of at most `MAX_NESTING` levels: then they are
    kept without a copy."""


def _as_own_data(value: Any, info: ValidationInfo) -> Any:
    if isinstance(info.context, ValidationContext) and info.context.is_own:
        return value
    return _as_data(value)


def _as_chunk(value: Any) -> Any:
    if value in ("word", "char", "token") and isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CHUNK:
        return value
    raise PydanticCustomError(
        "chunk", f"expected 'word', 'char', 'token' or a number of graphemes, 1 to {MAX_CHUNK:,}"
    )


def _as_event(value: Any) -> Any:
    if value != DONE and not isinstance(value, (Mapping, BaseModel)):
        raise PydanticCustomError("event", "expected an object or '[DONE]'")
    return _as_data(value)


def _as_input(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise PydanticCustomError("input_type", "expected a string or a list")
    return _as_own_data(value, info)


class AlsoWritten:
    """Adds another form of a value, which validation converts, to its JSON Schema: a text, where an
    object may be written as one."""

    def __init__(self, form: JsonDict) -> None:
        self._form = form

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [self._form, handler(schema)]}


class _AlsoNull:
    """Adds null to the JSON Schema of a list, whose items remain where an editor looks for them."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"type": ["array", "null"]}


def _empty_list_for_null(value: Any) -> Any:
    return [] if value is None else value


def without_own_keys(value: Any) -> Any:
    """Remove the keys of an object that begin with ``_`` or ``$``; other values are unchanged."""
    if not isinstance(value, dict):
        return value
    for key in value:
        if isinstance(key, str) and key.startswith(OWN_KEYS):
            break
    else:  # most objects have none
        return value
    return {
        key: member
        for key, member in value.items()
        if not (isinstance(key, str) and key.startswith(OWN_KEYS))
    }


ListOrNull = Annotated[list[_T], BeforeValidator(_empty_list_for_null), _AlsoNull()]
"""A list. An explicit null is treated like a missing list."""

if TYPE_CHECKING:  # type checkers allow SDK objects, which validation converts to JSON
    JSONValue = object
    SDKObject = Mapping[str, object] | BaseModel
    SDKInput = str | Sequence[object]
    OptionalSDKObject = SDKObject | None
    OptionalSDKInput = SDKInput | None
else:
    JSONValue = Annotated[Any, BeforeValidator(as_json)]
    SDKObject = Annotated[dict[str, Any], BeforeValidator(_as_own_data)]
    SDKInput = Annotated[str | list[Any], BeforeValidator(_as_input)]
    OptionalSDKObject = SDKObject  # may be left out, but null is a mistake, not "anything"
    OptionalSDKInput = SDKInput

_EVENT_SCHEMA = {"anyOf": [{"type": "object"}, {"const": DONE}]}
Event = Annotated[dict[str, Any] | str, PlainValidator(_as_event), WithJsonSchema(_EVENT_SCHEMA)]
_CHUNK_SCHEMA = {
    "anyOf": [
        {"enum": ["word", "char", "token"]},
        {"type": "integer", "minimum": 1, "maximum": MAX_CHUNK},
    ]
}
ChunkSize = Annotated[Chunk, PlainValidator(_as_chunk), WithJsonSchema(_CHUNK_SCHEMA)]
