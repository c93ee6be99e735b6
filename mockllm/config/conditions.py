"""The conditions of a mock's `match` that have the same words in every API.

{"user": {"contains": "weather"}, "tools": ["get_weather"], "step": 1}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from mockllm.config import foreign_words
from mockllm.config.keys import keys_of
from mockllm.config.mistakes import contradiction
from mockllm.config.objects import OWN_KEYS_SCHEMA, ConfigObject
from mockllm.config.values import AlsoWritten, ListOrNull, without_own_keys
from mockllm.errors import closest

MAX_SHOWN = 100  # characters of what is meant, in a message


class MatchType(StrEnum):
    """The comparison of a mock's message or input, or of a header's value, with a request."""

    EXACT = "exact"
    CONTAINS = "contains"


class HeaderMatch(ConfigObject):
    """A header that a request must have. `value` is compared with the header's first value."""

    name: Annotated[str, Field(min_length=1)]
    """The name of the header, in any case."""
    value: str
    """The value to compare."""
    match_type: MatchType = MatchType.EXACT
    """How the value is compared: ``exact``, or ``contains``."""


def _kind(words: Mapping[type, str], otherwise: str | None = None) -> Callable[[Any], str | None]:
    """Return a function that gives the tag of a value by its type; `otherwise` for objects."""

    def tag(value: Any) -> str | None:
        for kind, word in words.items():
            if isinstance(value, kind):
                return word
        return otherwise if isinstance(value, Mapping) else None

    return tag


# --- objects in which null is a mistake ----------------------------------------------------------


@cache
def _optional_keys(model: type[BaseModel]) -> frozenset[str]:
    """Return the keys of a model that have no value where they are left out."""
    fields = zip(keys_of(model), model.model_fields.values(), strict=True)
    return frozenset(key for key, field in fields if field.default is None)


def _describe_without_null(schema: JsonDict, model: type[BaseModel]) -> None:
    """Remove null from the JSON Schema of a model."""
    schema |= OWN_KEYS_SCHEMA
    properties = cast("dict[str, dict[str, Any]]", schema["properties"])
    for key in _optional_keys(model):
        properties[key].pop("default", None)
        forms = [form for form in properties[key].pop("anyOf", ()) if form != {"type": "null"}]
        if len(forms) > 1:
            properties[key]["anyOf"] = forms
        elif forms:
            properties[key] |= forms[0]


def _describe_with_one_of(*keys: str) -> Callable[[JsonDict, type[BaseModel]], None]:
    """Return a function that adds to the JSON Schema of a model that one of `keys` is required."""

    def describe(schema: JsonDict, model: type[BaseModel]) -> None:
        _describe_without_null(schema, model)
        schema["anyOf"] = [{"required": [key]} for key in keys]

    return describe


class _WithoutNull(ConfigObject):
    """An object in which null is a mistake, not "anything": it is often the result of a failed
    look-up."""

    model_config = ConfigDict(json_schema_extra=_describe_without_null)

    @model_validator(mode="before")
    @classmethod
    def _has_no_null(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and None in value.values():
            for key in _optional_keys(cls).intersection(value):
                if value[key] is None:
                    raise PydanticCustomError(
                        "null", "{key} is null; leave it out if it does not matter", {"key": key}
                    )
        return value


# --- texts ---------------------------------------------------------------------------------------


OPERATORS = ("contains", "starts_with", "ends_with", "exact", "regex")
"""The keys of `TextMatch` that test a text."""


def _expect_one_of(words: Sequence[str]) -> PydanticCustomError:
    return PydanticCustomError(
        "no_operator", "expected one of {words}", {"words": ", ".join(words)}
    )


class TextMatch(_WithoutNull):
    """Tests of a text, all of which it must pass."""

    model_config = ConfigDict(json_schema_extra=_describe_with_one_of(*OPERATORS))

    contains: StrictStr | None = None
    """The text contains this."""
    starts_with: StrictStr | None = None
    """The text begins with this."""
    ends_with: StrictStr | None = None
    """The text ends with this."""
    exact: StrictStr | None = None
    """The text is this."""
    regex: Annotated[StrictStr, Field(min_length=1)] | None = None
    """A part of the text matches this regular expression of RE2."""
    ignore_case: StrictBool = False
    """Compare without regard to upper and lower case."""

    @model_validator(mode="after")
    def _has_an_operator(self) -> Self:
        if not self.model_fields_set.intersection(OPERATORS):
            raise _expect_one_of(OPERATORS)
        return self


_TEXT: Mapping[type, str] = {str: "<text>", TextMatch: "<tests>", list: "<list>", tuple: "<list>"}
_Tested = Annotated[StrictStr, Tag("<text>")] | Annotated[TextMatch, Tag("<tests>")]
_TextOrTests = Annotated[
    _Tested,
    Discriminator(
        _kind({str: "<text>", TextMatch: "<tests>"}, "<tests>"),
        custom_error_type="text",
        custom_error_message='expected a text or an object such as {"contains": "..."}',
    ),
]
_Texts = Annotated[list[_TextOrTests], Field(min_length=1)]
_AN_EXAMPLE = 'a text, an object such as {"contains": "..."} or a list of these'
if TYPE_CHECKING:  # type checkers allow what validation converts
    _WrittenText = str | TextMatch | Mapping[str, object]
    Text = _WrittenText | Sequence[_WrittenText]
else:
    Text = Annotated[
        _Tested | Annotated[_Texts, Tag("<list>")],
        Discriminator(
            _kind(_TEXT, "<tests>"),
            custom_error_type="text",
            custom_error_message=f"expected {_AN_EXAMPLE}",
        ),
    ]
"""A text that is exactly this, an object that says how it is tested, or a list of these, of which
one is so."""


# --- the other words -----------------------------------------------------------------------------


class ToolResultMatch(_WithoutNull):
    """A result of a tool in the last turn."""

    model_config = ConfigDict(
        json_schema_extra=_describe_with_one_of("name", "call_id", "text", "error")
    )

    name: Text | None = None
    """The name of the tool, as in the call that the result belongs to."""
    call_id: Text | None = None
    """The id of the call."""
    text: Text | None = None
    """The text of the result."""
    error: StrictBool | None = None
    """True if the tool failed."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if not self.model_fields_set:
            raise _expect_one_of((*OPERATORS, "name", "call_id", "text", "error"))
        return self


class MessageMatch(_WithoutNull):
    """A message of the conversation. Instructions have their own condition, `system`."""

    model_config = ConfigDict(json_schema_extra=_describe_with_one_of("role", "text"))

    role: Literal["user", "assistant", "tool"] | None = None
    """The side that speaks; ``tool`` for results."""
    text: Text | None = None
    """The text of the message."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if not self.model_fields_set:
            raise _expect_one_of((*OPERATORS, "role", "text"))
        return self


def _tagged(model: type[BaseModel], tag: str) -> Callable[[Any], str | None]:
    """Return a function that tells `model`, by one of its keys or what resembles one, from the
    tests of a text. An object without keys may be either; `model` names the keys of both."""
    keys = frozenset(model.model_fields)
    known = (*TextMatch.model_fields, *keys)

    def is_meant(key: Any) -> bool:
        if not isinstance(key, str) or key in known:
            return key in keys
        return foreign_words.find(model, key) is not None or closest(key, known) in keys

    def tag_of(value: Any) -> str | None:
        if isinstance(value, model):
            return tag
        if isinstance(value, Mapping) and (
            any(map(is_meant, value)) or not without_own_keys(value)
        ):
            return tag
        return _kind(_TEXT, "<tests>")(value)

    return tag_of


def _text_or(model: type[BaseModel], tag: str, other: str) -> Any:
    """The type of a text, as `Text` has them, or of a `model`, which is called `other`."""
    return Annotated[
        _Tested | Annotated[_Texts, Tag("<list>")] | Annotated[model, Tag(tag)],
        Discriminator(
            _tagged(model, tag),
            custom_error_type="text",
            custom_error_message=f"expected {_AN_EXAMPLE}, or {other}",
        ),
    ]


if TYPE_CHECKING:  # type checkers allow what validation converts
    ToolResult = Text | ToolResultMatch
    AnyMessage = Text | MessageMatch
else:
    ToolResult = _text_or(ToolResultMatch, "<result>", "an object with 'name' or 'error'")
    AnyMessage = _text_or(MessageMatch, "<message>", 'one with "role" and "text"')


class AnyTool(ConfigObject):
    """Tools of which one must be offered."""

    any: Annotated[list[StrictStr], Field(min_length=1)]
    """Names of tools."""


if TYPE_CHECKING:  # type checkers allow what validation converts
    Tools = Sequence[str] | AnyTool | Mapping[str, object]
else:
    _Names = list[StrictStr]
    Tools = Annotated[
        Annotated[_Names, Tag("<list>")] | Annotated[AnyTool, Tag("<any>")],
        Discriminator(
            _kind({list: "<list>", tuple: "<list>", AnyTool: "<any>"}, "<any>"),
            custom_error_type="tools",
            custom_error_message='expected a list of names, or {"any": [...]}',
        ),
    ]


class CountRange(_WithoutNull):
    """A range of numbers, both ends included."""

    model_config = ConfigDict(json_schema_extra=_describe_with_one_of("at_least", "at_most"))

    at_least: Annotated[StrictInt, Field(ge=1)] = 1
    """The lowest number."""
    at_most: Annotated[StrictInt, Field(ge=1)] | None = None
    """The highest number; without it, there is none."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if not self.model_fields_set:
            raise contradiction("expected 'at_least' or 'at_most', found neither")
        return self


if TYPE_CHECKING:  # type checkers allow what validation converts
    Count = int | CountRange | Mapping[str, object]
else:
    _Number = Annotated[StrictInt, Field(ge=1)]
    Count = Annotated[
        Annotated[_Number, Tag("<number>")] | Annotated[CountRange, Tag("<range>")],
        Discriminator(
            _kind({bool: "<none>", int: "<number>", CountRange: "<range>"}, "<range>"),
            custom_error_type="count",
            custom_error_message='expected a number from 1, or {"at_least": ...}',
        ),
    ]

APIName = Literal["chat", "responses", "messages", "embeddings"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


if TYPE_CHECKING:  # type checkers allow what validation converts
    _APIs = APIName | Sequence[APIName]
else:
    _APIs = Annotated[
        Annotated[list[APIName], Field(min_length=1)],
        BeforeValidator(_as_list),
        AlsoWritten({"enum": [*get_args(APIName)]}),
    ]

VALUE_WORDS = ("equals", "any", "exists")
"""The keys of a test of a value in the body, beside those of `TextMatch`."""


def _value_tests(any_of: JsonDict) -> JsonDict:
    """Return the JSON Schema of a test of a value, with that of each value in its `any`."""
    texts: JsonDict = {operator: {"type": "string"} for operator in OPERATORS}
    return {
        "type": "object",
        "properties": {
            "equals": {},
            "any": {"type": "array", "minItems": 1, "items": any_of},
            "exists": {"const": True},
            **texts,
            "regex": {"type": "string", "minLength": 1},
            "ignore_case": {"type": "boolean"},
        },
        "anyOf": [{"required": [word]} for word in (*VALUE_WORDS, *OPERATORS)],
        "additionalProperties": False,
        **OWN_KEYS_SCHEMA,
    }


_NO_OBJECT: JsonDict = {"not": {"type": "object"}}
_IN_ANY: JsonDict = {"anyOf": [_NO_OBJECT, _value_tests({"anyOf": [_NO_OBJECT, _value_tests({})]})]}
_IS_ABSENT: JsonDict = {
    "type": "object",
    "properties": {"exists": {"const": False}},
    "required": ["exists"],
    "additionalProperties": False,
    **OWN_KEYS_SCHEMA,
}
_BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "patternProperties": {
        r"^\$($|[.\[])": {"anyOf": [_NO_OBJECT, _value_tests(_IN_ANY), _IS_ABSENT]},
        "^_": {},
    },
    "additionalProperties": False,
}


def _write_tests(values: Any) -> Any:
    """Write tests of a text that are objects, ``{"$.a": contains("b")}``, as in a file."""
    if not isinstance(values, Mapping):
        return values
    return {path: _write_test(path, value) for path, value in values.items()}


def _write_test(path: Any, value: Any) -> Any:
    if isinstance(value, list) and any(isinstance(each, TextMatch) for each in value):
        raise PydanticCustomError(
            "list_of_tests",
            "{path}: a list is compared as JSON; {remedy}",
            {"path": path, "remedy": 'write {"any": [...]} for one of several tests'},
        )
    if isinstance(value, Mapping) and isinstance(among := value.get("any"), list | tuple):
        return {**value, "any": [*map(_as_written, among)]}
    return _as_written(value)


def _as_written(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, TextMatch) else value


_BodyValues = Annotated[
    dict[StrictStr, Any], BeforeValidator(_write_tests), WithJsonSchema(_BODY_SCHEMA)
]


def _no_object_of_headers(headers: Any) -> Any:
    """Refuse ``{"x-tenant": "a"}``, with the form that is meant."""
    if not isinstance(headers, Mapping):
        return headers
    name, value = next(iter(headers.items()), ("x-tenant", "a"))
    found = {"name": name, "value": value if isinstance(value, str) else "..."}
    meant = json.dumps([found], ensure_ascii=False, default=str)
    if len(meant) > MAX_SHOWN:
        meant = '[{"name": "...", "value": "..."}]'
    raise PydanticCustomError("headers", "expected a list such as {meant}", {"meant": meant})


class Conditions(_WithoutNull, defer_build=True):
    """Conditions on a request, all of which must hold; the words are the same for every API.

    The last turn is everything after the model's last answer, without instructions.

    Validation of a type is built when the first object of it is made, so that of types which are
    only inherited from never is. The others have an object as the default of a mock.
    """

    user: Text | None = None
    """The words of the user in the last turn, which must have no tool result."""
    tool_result: ToolResult | None = None
    """A tool result in the last turn: its text, or an object with more conditions."""
    last_user: Text | None = None
    """The user's last words, wherever they stand."""
    any_message: AnyMessage | None = None
    """Some message of the conversation: its text, or an object with its role."""
    system: Text | None = None
    """One of the instructions: system and developer messages, `instructions`, `system`."""
    model: Text | None = None
    """The model that is asked for."""
    api: _APIs | None = None
    """The API, or a list of APIs."""
    tools: Tools | None = None
    """Names of tools that are offered, all of them; ``{"any": [...]}``: one of them; an empty list:
    none."""
    schema_: Text | None = Field(default=None, alias="schema")
    """The name of the output's schema, or of the one tool that the model must call."""
    turn: Count | None = None
    """The number of the requested answer in the conversation, from 1."""
    step: Count | None = None
    """The number of the requested answer since the user's last words, from 1."""
    stream: StrictBool | None = None
    """True if a stream is asked for, false if not."""
    body: _BodyValues | None = None
    """Values in the request's body, by their JSONPath (RFC 9535): a value, or an object with
    `equals`, `any`, `exists` or the tests of a text."""
    headers: Annotated[ListOrNull[HeaderMatch], BeforeValidator(_no_object_of_headers)] = Field(
        default_factory=list
    )
    """Headers that the request must have."""
    all_of: Sequence[Conditions] | None = None
    """Conditions that must all hold."""
    any_of: Annotated[Sequence[Conditions], Field(min_length=1)] | None = None
    """Conditions of which one must hold."""
    not_: Annotated[Conditions | None, Field(validation_alias="not", serialization_alias="not")] = (
        None
    )
    """Conditions that must not hold together."""
