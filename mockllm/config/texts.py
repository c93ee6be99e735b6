"""The types of a reply's texts: written, or generated for each request.

"It is sunny."   {"generate": {"tokens": 300}}   {"generate": "echo"}

It knows how they are written. It does not make them: that is `engine.made_reply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictStr, Tag

from mockllm.config.objects import ConfigObject

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


def tag_of_text(value: Any) -> str | None:
    """Return the tag of the type that a text has; None if the value is not a text."""
    if isinstance(value, str):
        return "<text>"
    is_generated = isinstance(value, Mapping) and "generate" in value
    return "<generate>" if is_generated or isinstance(value, GeneratedText) else None


_OR_GENERATED = Discriminator(
    tag_of_text,
    custom_error_type="made_text",
    custom_error_message='expected a text or {"generate": ...}',
)

if TYPE_CHECKING:  # type checkers allow what validation converts
    Text = str | GeneratedText | Mapping[str, object]
    Words = Text
else:
    _Generated = Annotated[GeneratedText, Tag("<generate>")]
    _NonEmpty = Annotated[StrictStr, Field(min_length=1)]
    Text = Annotated[Annotated[StrictStr, Tag("<text>")] | _Generated, _OR_GENERATED]
    Words = Annotated[Annotated[_NonEmpty, Tag("<text>")] | _Generated, _OR_GENERATED]
    """A text that is not empty if it is written."""
