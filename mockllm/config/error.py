"""The type of a mock's `error`: a failure of the service, written once, in the words of no vendor.

It knows which failures there are, and refuses what cannot be sent. It does not know how a vendor
spells them: that is `providers.failures`, and a module `failures` of each vendor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from mockllm.config.durations import AnyDuration, Seconds, remedy, spell
from mockllm.config.headers import HEADER_NAME, AnswerHeaders
from mockllm.config.mistakes import contradiction
from mockllm.config.objects import ConfigObject
from mockllm.config.schema_rules import describe, has, has_key, has_value, none_of, one_of, when
from mockllm.config.values import AlsoWritten, JSONValue
from mockllm.exchange import WITHOUT_CONTENT

MIN_STATUS, MAX_STATUS = 200, 599
MAX_RETRY_AFTER = 120.0
"""Seconds. OpenAI's client does not retry at all after a longer one, Anthropic's sleeps as long as
it says, and hangs if it is infinite (openai 3.54.0, anthropic 2.12.0)."""

Word = Literal[
    "bad_request",
    "context_length",
    "flagged",
    "bad_key",
    "billing",
    "permission",
    "not_found",
    "timeout",
    "conflict",
    "too_large",
    "unprocessable",
    "rate_limit",
    "slow_down",
    "server_error",
    "overloaded",
]
"""The failures that services report."""
WORDS: tuple[Word, ...] = get_args(Word)

_MEDIA_TYPE = re.compile(rf"{HEADER_NAME}/{HEADER_NAME}( ?;[\t -~]*)?")


_WORD, _BODY, _MESSAGE = has("as"), has_key("body"), has("message")
_IS_SENDABLE = (
    one_of(_WORD, has("status")),
    when(_BODY, none_of(_WORD, _MESSAGE)),
    when(has("content_type"), _BODY),
    when(has_value("status", *sorted(WITHOUT_CONTENT)), none_of(_BODY, _MESSAGE)),
)


class Error(ConfigObject):
    """A failure that each API sends in its own form: a word, or a status."""

    model_config = ConfigDict(json_schema_extra=describe(*_IS_SENDABLE))

    word: Word | None = Field(default=None, validation_alias="as", serialization_alias="as")
    """The failure, which has a status, a body and headers in each API."""
    status: Annotated[int, Field(strict=True, ge=MIN_STATUS, le=MAX_STATUS)] | None = None
    """The status of a failure that has no word, from 200 to 599."""
    message: str | None = None
    """The message, instead of the service's own."""
    body: JSONValue = None
    """The whole body, sent as written: any JSON value, or a text. Without it, the body has the form
    of the API's errors."""
    content_type: str | None = None
    """The type of `body`. By default JSON or, of a text, ``text/html`` if it begins with ``<``,
    else ``text/plain``."""
    force: StrictBool = False
    """Accept any `retry_after`."""
    retry_after: AnyDuration | None = None
    """The time after which the client should try again; at most 120 seconds, unless `force` is
    true."""
    headers: AnswerHeaders = {}
    """Headers, added or replaced."""

    @property
    def has_body(self) -> bool:
        """True if there is a `body`, which may be null."""
        return "body" in self.model_fields_set

    @property
    def delay(self) -> Seconds | None:
        """`retry_after` in seconds: validation has converted texts."""
        assert self.retry_after is None or isinstance(self.retry_after, Seconds)
        return self.retry_after

    @field_validator("status")
    @classmethod
    def _has_no_word(cls, status: int | None, info: ValidationInfo) -> int | None:
        word = info.data.get("word")
        if status is not None and word is not None:
            message = f"expected either 'as' or 'status', found both: {word!r} has its own status"
            raise contradiction(message)
        return status

    @field_validator("message")
    @classmethod
    def _has_room(cls, message: str | None, info: ValidationInfo) -> str | None:
        if message is not None:
            _expect_a_status_with_a_body("message", info)
        return message

    @field_validator("body")
    @classmethod
    def _is_the_whole_body(cls, body: Any, info: ValidationInfo) -> Any:
        _expect_a_status_with_a_body("body", info)
        if info.data.get("word") is not None:
            message = "expected 'status' beside it instead of 'as', whose body is the service's"
            raise contradiction(message)
        if info.data.get("message") is not None:
            message = "expected either 'message' or 'body', found both: the body is sent as written"
            raise contradiction(message)
        return body

    @field_validator("content_type")
    @classmethod
    def _is_a_media_type(cls, value: str | None) -> str | None:
        if value is not None and not _MEDIA_TYPE.fullmatch(value):
            raise PydanticCustomError("media_type", "expected a media type such as 'text/html'")
        return value

    @field_validator("retry_after")
    @classmethod
    def _is_bearable(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or value <= MAX_RETRY_AFTER or info.data.get("force", True):
            return value
        shown = spell(value)
        hint = f"{remedy(value)}; " if value.is_bare and math.isfinite(value) else ""
        raise contradiction(
            f"expected at most {MAX_RETRY_AFTER:g} seconds, found {shown}: {hint}official clients "
            'do not retry then, or hang; "force": true sends it all the same',
            needs="force",
        )

    @model_validator(mode="after")
    def _is_one(self) -> Error:
        if self.word is None and self.status is None:
            raise contradiction("expected 'as' or 'status', found neither")
        if self.content_type is not None and not self.has_body:
            raise contradiction("expected 'body' beside 'content_type', found nothing")
        return self


def _expect_a_status_with_a_body(name: str, info: ValidationInfo) -> None:
    if info.data.get("status") in WITHOUT_CONTENT:
        status = info.data["status"]
        raise contradiction(f"expected no {name!r}: an answer with status {status} has no body")


def _as_error(value: Any) -> Any:
    if isinstance(value, str):
        if value not in WORDS:
            words = ", ".join(map(repr, WORDS[:-1])) + f" or {WORDS[-1]!r}"
            raise PydanticKnownError("literal_error", {"expected": words})
        return {"as": value}
    if isinstance(value, Mapping):
        if "word" in value:  # the name of the field in Python, where `as` is a keyword
            raise contradiction("expected 'as', found 'word'")
        return value
    if isinstance(value, Error):
        return value
    if isinstance(value, int) and MIN_STATUS <= value <= MAX_STATUS:
        message = f'expected a word or an object, found {value}: write {{"status": {value}}}'
        raise contradiction(message)
    raise PydanticCustomError("error_type", "expected a word or an object")


if TYPE_CHECKING:
    AnyError = str | Error | Mapping[str, object]
else:
    AnyError = Annotated[Error, BeforeValidator(_as_error), AlsoWritten({"enum": [*WORDS]})]
