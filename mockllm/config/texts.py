"""The types of a reply's texts: written, or made for each request.

"It is sunny."   {"template": "Sunny in {{ user }}."}   {"generate": "echo"}

It knows how they are written. It does not make them: that is `engine.made_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictStr, Tag
from pydantic.config import JsonDict

from mockllm.config.objects import OWN_KEYS_SCHEMA, ConfigObject
from mockllm.config.values import without_own_keys

MAX_GENERATED = 200_000
"""Tokens of one generated text: 1 MB, longer than any model's answer."""


class TokenCount(ConfigObject):
    """The length of a generated text."""

    tokens: Annotated[int, Field(strict=True, ge=1, le=MAX_GENERATED)]
    """The number of its words, of which each is one token."""


def _tag_of_generate(value: Any) -> str | None:
    if isinstance(value, str):
        return "<echo>"
    return "<tokens>" if isinstance(value, (Mapping, TokenCount)) else None


class GeneratedText(ConfigObject):
    """A text that is made for each request, and cut by its token limit."""

    generate: Annotated[
        Annotated[Literal["echo"], Tag("<echo>")] | Annotated[TokenCount, Tag("<tokens>")],
        Discriminator(
            _tag_of_generate,
            custom_error_type="generate",
            custom_error_message='expected {"tokens": ...} or "echo"',
        ),
    ]
    """``{"tokens": 300}`` for as many words without a meaning, the same for the same request;
    ``"echo"`` for the user's last words."""


class TemplateText(ConfigObject):
    """A text that is made for each request, by Jinja2."""

    template: StrictStr
    """The template, such as ``It is sunny in {{ user }}.``"""


_TOKENS: JsonDict = {
    "type": "object",
    "properties": {"tokens": {"type": "integer", "minimum": 1, "maximum": MAX_GENERATED}},
    "required": ["tokens"],
}
_VALUES: dict[str, JsonDict] = {
    "generate": {"anyOf": [{"const": "echo"}, _TOKENS]},
    "template": {"type": "string"},
}


def _object_of(key: str) -> JsonDict:
    """The JSON Schema of an object that has this key only."""
    return {
        "type": "object",
        "properties": {key: _VALUES[key]},
        "required": [key],
        "additionalProperties": False,
        **OWN_KEYS_SCHEMA,
    }


TEXT_FORM: JsonDict = {"anyOf": [{"type": "string"}, *map(_object_of, _VALUES)]}
"""The JSON Schema of a text, for an object that may be written as one."""
MADE_KEYS = frozenset({"generate", "template"})
"""The keys of the objects that are texts."""


def tag_of_text(value: Any) -> str | None:
    """Return the tag of the type that a text has; None if the value is not a text."""
    if isinstance(value, str):
        return "<text>"
    for model, key in ((GeneratedText, "generate"), (TemplateText, "template")):
        if isinstance(value, model) or (isinstance(value, Mapping) and key in value):
            return f"<{key}>"
    return None


def is_made_text(value: Any) -> bool:
    """Return True for an object that is a text."""
    if isinstance(value, Mapping):
        keys = without_own_keys(value)
        return bool(keys) and MADE_KEYS.issuperset(keys)
    return isinstance(value, (GeneratedText, TemplateText))


def _tag_of_refusal(value: Any) -> str | None:
    tag = tag_of_text(value)
    return None if tag == "<generate>" else tag


def template_of(value: Any) -> str | None:
    """Return the template that a value inside of arguments or JSON is; None if it is none: an
    object with this key only."""
    if isinstance(value, TemplateText):
        return value.template
    match value:
        case {"template": str(source), **others} if not others:
            return source
        case _:
            return None


def find_templates(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path and the source of each template in a value of arguments or JSON."""
    source = template_of(value)
    if source is not None:
        yield (), source
        return
    members = value.items() if isinstance(value, Mapping) else ()
    for key, member in members or (enumerate(value) if isinstance(value, list) else ()):
        for path, source in find_templates(member):
            yield (key, *path), source


_STRING = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
_STRINGS = re.compile(_STRING, re.DOTALL)
_CODE = re.compile(rf"""\{{[{{%](?:{_STRING}|[}}%](?!\}})|[^}}%"'])*+""", re.DOTALL)
_CALL = re.compile(r"\bcall\b")


def may_count_calls(source: str) -> bool:
    """True if a template may use how often its mock has answered: the name ``call``, outside of
    strings. What is mistaken for it costs a question of the store."""
    return any(_CALL.search(_STRINGS.sub("", code)) for code in _CODE.findall(source))


if TYPE_CHECKING:  # type checkers allow what validation converts
    Text = str | GeneratedText | TemplateText | Mapping[str, object]
    Words = Text
    Refusal = str | TemplateText | Mapping[str, object]
else:
    _Templated = Annotated[TemplateText, Tag("<template>")]
    _Made = Annotated[GeneratedText, Tag("<generate>")] | _Templated
    _NonEmpty = Annotated[Annotated[StrictStr, Field(min_length=1)], Tag("<text>")]
    _text = Discriminator(
        tag_of_text,
        custom_error_type="text",
        custom_error_message='expected a text, {"generate": ...} or {"template": "..."}',
    )
    Text = Annotated[Annotated[StrictStr, Tag("<text>")] | _Made, _text]
    Words = Annotated[_NonEmpty | _Made, _text]
    """A text that is not empty if it is written."""
    Refusal = Annotated[
        _NonEmpty | _Templated,
        Discriminator(
            _tag_of_refusal,
            custom_error_type="text",
            custom_error_message='expected a text or {"template": "..."}',
        ),
    ]
    """A text that is not empty if it is written, and not generated."""
