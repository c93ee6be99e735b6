"""The type of a mock's `reply`: an answer written once, in the words of no vendor.

It knows what a service can send, and refuses the rest. It does not know how an API spells it: that
is `providers.reply`, and a module `reply` of each API.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from mockllm.config.functions import ReplyFunction, is_function
from mockllm.config.mistakes import contradiction
from mockllm.config.objects import ConfigObject
from mockllm.config.schema_rules import (
    at_least_one_of,
    at_most_one_of,
    describe,
    has,
    has_key,
    has_value,
    when,
)
from mockllm.config.texts import (
    MADE_KEYS,
    GeneratedText,
    Refusal,
    TemplateText,
    Text,
    Words,
    find_templates,
    is_made_text,
    tag_of_text,
)
from mockllm.config.values import JSONValue, as_json

MAX_TOKENS = 2**53 - 1  # up to here every JSON reader counts exactly

_Count = Annotated[int, Field(strict=True, ge=0, le=MAX_TOKENS)]

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
"""The reason why a model stops, in Chat Completions' words."""


def _as_arguments(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, (Mapping, BaseModel)):
        return as_json(value)
    raise PydanticCustomError("arguments_type", "expected an object or a string")


if TYPE_CHECKING:  # type checkers allow what validation converts
    Arguments = str | Mapping[str, object] | BaseModel
else:
    _ARGUMENTS_SCHEMA = {"anyOf": [{"type": "object"}, {"type": "string"}]}
    Arguments = Annotated[Any, PlainValidator(_as_arguments), WithJsonSchema(_ARGUMENTS_SCHEMA)]


class ToolCall(ConfigObject):
    """A call of a tool by the model."""

    name: Annotated[str, Field(min_length=1)]
    """The name of the tool."""
    arguments: Arguments = {}
    """An object, or a text that is sent as written, even if it is not JSON. Messages, where
    arguments are always an object, sends such a text as ``{"INVALID_JSON": "..."}``. Values in an
    object, and the text, may be a ``{"template": "..."}``."""
    id: Annotated[str, Field(min_length=1)] | None = None
    """Sent as written. Without it, each answer has a new one."""


class Usage(ConfigObject):
    """Numbers of tokens; those left out are estimated, and agree with those that are written."""

    input: _Count | None = None
    """Tokens of the request, the cached ones included."""
    output: _Count | None = None
    """Tokens of the answer, those of the reasoning included."""
    cached: _Count | None = None
    """The part of `input` that was read from a cache."""
    reasoning: _Count | None = None
    """The part of `output` that is reasoning."""

    @field_validator("cached", "reasoning")
    @classmethod
    def _is_a_part(cls, value: int | None, info: ValidationInfo) -> int | None:
        whole = {"cached": "input", "reasoning": "output"}[info.field_name or ""]
        most = info.data.get(whole)
        if value is not None and most is not None and value > most:
            message = f"expected at most {most}, the {whole!r} of which it is a part, found {value}"
            raise contradiction(message)
        return value


_TEXT, _REFUSAL, _JSON = has("text"), has("refusal"), has_key("json")
_CALLS = has("tool_calls", [])
_SAYS_ONE_THING = (
    at_least_one_of(_TEXT, has("reasoning", ""), _CALLS, has("refusal", ""), _JSON, has("finish")),
    at_most_one_of(_TEXT, _REFUSAL, _JSON),
    at_most_one_of(_CALLS, _REFUSAL, _JSON),
    when(has_value("finish", "tool_calls"), _CALLS),
)


class Reply(ConfigObject):
    """An answer that each API sends in its own form, whole and streamed."""

    model_config = ConfigDict(json_schema_extra=describe(*_SAYS_ONE_THING))

    text_path: ClassVar[tuple[str, ...]] = ("text",)
    """The path of the text, where a mistake in it is reported."""

    text: Text | None = None
    """The words of the model."""
    reasoning: Words | None = None
    """The model's thinking, before anything else: `reasoning_content`, a reasoning item, a thinking
    block."""
    tool_calls: list[ToolCall] | None = None
    """Calls of tools, after the text."""
    refusal: Refusal | None = None
    """The refusal to answer, in place of everything but the reasoning."""
    json_value: JSONValue = Field(default=None, alias="json")
    """Any JSON value, said as compact text. If the request forces a tool and this is an object, it
    is the arguments of a call of that tool instead. Values in it may be a
    ``{"template": "..."}``."""
    finish: Finish | None = None
    """The reason why the model stops; by default ``tool_calls`` or ``stop``."""
    usage: Usage = Usage()
    """Numbers of tokens; estimated by default."""

    @property
    def has_json(self) -> bool:
        """True if there is a `json`, which may be null."""
        return "json_value" in self.model_fields_set

    def templates(self) -> Iterator[tuple[list[str | int], str]]:
        """Yield the path and the source of each template in the reply."""
        calls = {("tool_calls", place): call for place, call in enumerate(self.tool_calls or ())}
        values: dict[tuple[str | int, ...], Any] = {
            self.text_path: self.text,
            ("reasoning",): self.reasoning,
            ("refusal",): self.refusal,
            **{(*path, "arguments"): call.arguments for path, call in calls.items()},
            ("json",): self.json_value,
        }
        for path, value in values.items():
            for inner, source in find_templates(value):
                yield [*path, *inner], source

    @model_validator(mode="before")
    @classmethod
    def _names_its_text(cls, value: Any) -> Any:
        for key in MADE_KEYS.intersection(value) if isinstance(value, Mapping) else ():
            message = f'expected {{"text": {{"{key}": ...}}, ...}}, found {key!r} beside other keys'
            raise contradiction(message)
        return value

    @field_validator("tool_calls")
    @classmethod
    def _ids_differ(cls, calls: list[ToolCall] | None) -> list[ToolCall] | None:
        counts = Counter(call.id for call in calls or () if call.id is not None)
        for call_id, count in counts.most_common(1):
            if count > 1:
                raise contradiction(
                    f"expected a different 'id' for each call, found {call_id!r} twice: results "
                    "name the call by it"
                )
        return calls

    @field_validator("refusal")
    @classmethod
    def _refuses_only(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            _expect_none_of(info, ["text", "tool_calls"], "a model that refuses says nothing else")
        return value

    @field_validator("json_value")
    @classmethod
    def _says_json_only(cls, value: Any, info: ValidationInfo) -> Any:
        _expect_none_of(
            info, ["text", "tool_calls", "refusal"], "the JSON is the text, or the forced call"
        )
        return value

    @field_validator("finish")
    @classmethod
    def _finishes(cls, value: Finish | None, info: ValidationInfo) -> Finish | None:
        if value == "tool_calls" and "tool_calls" in info.data and not info.data["tool_calls"]:
            raise contradiction(
                "expected 'tool_calls' beside it; leave 'finish' out, it follows from the calls",
                needs="tool_calls",
            )
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Reply:
        said = (self.text is not None, self.reasoning, self.tool_calls, self.refusal)
        if not any(said) and not self.has_json and self.finish is None:
            raise contradiction(
                "expected at least one of 'text', 'reasoning', 'tool_calls', 'refusal', 'json' and "
                '\'finish\', found none; an empty answer is {"text": ""}'
            )
        return self


class _TextAlone(Reply):
    """A reply that is written as a text which is made: nothing in it is called `text`."""

    text_path = ()


def _expect_none_of(info: ValidationInfo, names: Sequence[str], reason: str) -> None:
    """Raise an error if one of the fields `names` has a value beside the one being validated."""
    beside = next((name for name in names if info.data.get(name) not in (None, [])), None)
    if beside is not None:
        field = "json" if info.field_name == "json_value" else info.field_name
        raise contradiction(f"expected either {field!r} or {beside!r}, found both: {reason}")


def _tag_of_reply(value: Any) -> str | None:
    if isinstance(value, Reply):
        return "<reply>"
    if is_function(value):
        return "<function>"
    if isinstance(value, Mapping) and not is_made_text(value):
        return "<reply>"
    return tag_of_text(value)


def _as_reply(value: Any) -> Reply | ReplyFunction:
    if isinstance(value, str):
        return Reply(text=value)
    return value if isinstance(value, Reply) or is_function(value) else _TextAlone(text=value)


if TYPE_CHECKING:
    AnyReply = str | Reply | GeneratedText | TemplateText | Mapping[str, object] | ReplyFunction
else:
    AnyReply = Annotated[
        Annotated[str, Tag("<text>")]
        | Annotated[GeneratedText, Tag("<generate>")]
        | Annotated[TemplateText, Tag("<template>")]
        | Annotated[Reply, Tag("<reply>")]
        | Annotated[SkipJsonSchema[Any], Tag("<function>")],
        Discriminator(
            _tag_of_reply,
            custom_error_type="reply_type",
            custom_error_message="expected a text or an object",
        ),
        AfterValidator(_as_reply),
    ]
