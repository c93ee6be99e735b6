"""The type of a mock's `fault`: what goes wrong while its answer is sent, and where.

    {"end": "cut", "after": {"tokens": 12}}
    [{"pause": "30s", "after": "first_token"}, {"error": "overloaded", "after": "before_finish"}]

It knows which faults and places there are, and refuses combinations that cannot happen. It does not
know the bytes of an answer: that is `replies.faults`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mockllm.config.durations import Duration, Seconds
from mockllm.config.error import AnyError, Error
from mockllm.config.mistakes import contradiction
from mockllm.config.objects import ConfigObject
from mockllm.config.schema_rules import (
    at_least_one_of,
    describe,
    has,
    has_key,
    has_value,
    member,
    none_of,
    one_of,
    when,
)
from mockllm.exchange import WITHOUT_CONTENT
from mockllm.matching.texts import quote
from mockllm.wire import jsontext

MAX_COUNT = 2**53 - 1  # of tokens, bytes or events; up to here every JSON reader counts exactly

Point = Literal["head", "first_token", "tool_arguments", "before_finish", "before_end"]
"""A moment of an answer that is the same in every API."""
POINTS: tuple[Point, ...] = get_args(Point)

_GATE = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._-]{1,128}")
"""The names of gates, which are parts of URLs, as those of sessions are."""
_GATE_SCHEMA = {"type": "string", "pattern": r"^(?!\.\.?$)[A-Za-z0-9._-]{1,128}$"}
GATE_NAMES = "1 to 128 of A-Z a-z 0-9 . _ -"


def checked_gate_name(name: str) -> str:
    """Return the valid name of a gate.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a gate is a string; found {name!r:.100}")
    if not is_gate_name(name):
        raise ValueError(f"expected the name of a gate, {GATE_NAMES}; found {name!r:.100}")
    return name


def is_gate_name(name: str) -> bool:
    """Return True for the valid name of a gate: one of `GATE_NAMES`, but not ``.`` or ``..``."""
    return _GATE.fullmatch(name) is not None


_Count = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]


_COUNTED = ("tokens", "time", "bytes", "events", "event")


class Position(ConfigObject):
    """A place in an answer, counted from its beginning. It is one of `tokens`, `time`, `bytes`,
    `events` and `event`; the last three differ between APIs."""

    model_config = ConfigDict(
        json_schema_extra=describe(one_of(*map(has, _COUNTED)), when(has_key("nth"), has("event")))
    )

    tokens: _Count | None = None
    """After so many tokens of the model, estimated as four bytes of text each."""
    time: Duration | None = None
    """So long after the answer began."""
    bytes_: Annotated[
        _Count | None, Field(validation_alias="bytes", serialization_alias="bytes")
    ] = None
    """After so many bytes of the body, without HTTP's chunks."""
    events: _Count | None = None
    """After so many events of a stream."""
    event: Annotated[str, Field(min_length=1)] | None = None
    """After an event of this type."""
    nth: _Count = 1
    """Which of the events of this type, from 1."""

    @property
    def is_of_one_api(self) -> bool:
        """True if the place is another moment in each API."""
        return self.tokens is None and self.time is None

    @model_validator(mode="after")
    def _is_one(self) -> Position:
        values = (self.tokens, self.time, self.bytes_, self.events, self.event)
        found = [name for name, value in zip(_COUNTED, values, strict=True) if value is not None]
        if len(found) != 1:
            both = " and ".join(map(repr, found)) or "none of them"
            raise contradiction(f"expected one of {', '.join(map(repr, _COUNTED))}, found {both}")
        if "nth" in self.model_fields_set and self.event is None:
            raise contradiction("expected 'event' beside 'nth', found nothing")
        return self


def _kind_of_place(value: Any) -> str | None:
    if isinstance(value, str):
        return "<point>"
    return "<position>" if isinstance(value, (Mapping, Position)) else None


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(value, Mapping) and value.keys() == {"hex"}:
        digits = value["hex"]
        try:
            return binascii.unhexlify("".join(digits.split()))
        except (AttributeError, ValueError):
            found = quote(digits) if isinstance(digits, str) else jsontext.describe(digits)
            message = f'expected pairs of hexadecimal digits, such as "ff 00", found {found}'
            raise contradiction(message, "hex") from None
    raise PydanticCustomError("send", 'expected a text, or bytes such as {"hex": "ff 00"}')


if TYPE_CHECKING:  # type checkers allow what validation converts
    AnyPlace = Point | Position | Mapping[str, object]
    AnyBytes = str | bytes | Mapping[str, str]
else:
    AnyPlace = Annotated[
        Annotated[Point, Tag("<point>")] | Annotated[Position, Tag("<position>")],
        Discriminator(
            _kind_of_place,
            custom_error_type="place",
            custom_error_message='expected a word or an object such as {"tokens": 5}',
        ),
    ]
    _BYTES_SCHEMA = {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "object",
                "properties": {"hex": {"type": "string", "pattern": r"^\s*([0-9A-Fa-f]\s*){2,}$"}},
                "required": ["hex"],
                "additionalProperties": False,
            },
        ]
    }
    AnyBytes = Annotated[
        Any,
        PlainValidator(_as_bytes),
        PlainSerializer(lambda sent: sent and {"hex": sent.hex()}, when_used="json"),
        WithJsonSchema(_BYTES_SCHEMA),
    ]


_KINDS = ("end", "pause", "hold", "send", "error")
_TIMED = {"required": ["after"], "properties": {"after": {"type": "object", **has("time")}}}
_INSIDE = has_value("inside", True)
_IN_STREAM = none_of(
    has_key("body"),
    has("headers", {}),
    has("retry_after"),
    has_value("status", *sorted(WITHOUT_CONTENT)),
)
_IS_POSSIBLE = (
    one_of(*map(has, _KINDS)),
    when(has_value("end", "clean"), has("after")),
    when(_INSIDE, has("end")),
    when(_TIMED, none_of(has_value("end", "clean"), _INSIDE)),
    when(has("after"), member("error", at_least_one_of({"not": {"type": "object"}}, _IN_STREAM))),
)


class Fault(ConfigObject):
    """Something that goes wrong while an answer is sent: one of `end`, `pause`, `hold`, `send` and
    `error`."""

    model_config = ConfigDict(json_schema_extra=describe(*_IS_POSSIBLE))

    end: Literal["cut", "reset", "clean", "hang"] | None = None
    """The end of the answer. ``cut``: the connection is closed. ``reset``: it is reset, once the
    client has received all that was sent. ``clean``: the body ends as if it were complete.
    ``hang``: nothing more is sent until the client goes."""
    pause: Duration | None = None
    """Nothing is sent for so long."""
    hold: Annotated[str, Field(strict=True), WithJsonSchema(_GATE_SCHEMA)] | None = None
    """Nothing is sent until a test lets the answer pass this gate."""
    send: AnyBytes | None = None
    """A text that is put into the body, or ``{"hex": "ff 00"}``. Before the head, it is sent as it
    is."""
    error: AnyError | None = None
    """A failure of the service. In a stream, it is an event in the form of the API, and the last
    one. Before the head, and where the answer is no stream, it is the answer."""
    after: AnyPlace | None = None
    """The place; by default before the head."""
    inside: StrictBool = False
    """End in the middle of what comes next: of an event and, if it has one, of a character that
    takes several bytes; of the head."""
    chance: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    """The probability of the fault, from 0 to 1."""

    @property
    def failure(self) -> Error | None:
        """`error` as an object: validation has converted words."""
        assert self.error is None or isinstance(self.error, Error)
        return self.error

    @property
    def position(self) -> Position | None:
        """`after` as an object; None if it is a word or absent."""
        return self.after if isinstance(self.after, Position) else None

    @property
    def sent(self) -> bytes:
        """`send` as bytes: validation has converted texts. Empty if it is absent."""
        assert self.send is None or isinstance(self.send, bytes)
        return self.send or b""

    @property
    def seconds(self) -> Seconds | None:
        """`pause` in seconds: validation has converted texts."""
        assert self.pause is None or isinstance(self.pause, Seconds)
        return self.pause

    @field_validator("hold")
    @classmethod
    def _is_gate(cls, name: str | None) -> str | None:
        if name is not None and not is_gate_name(name):
            raise contradiction(f"expected the name of a gate, {GATE_NAMES}; found {name!r:.100}")
        return name

    @field_validator("send")
    @classmethod
    def _is_something(cls, send: Any) -> Any:
        if send == b"":
            raise contradiction("expected something to send, found nothing")
        return send

    @model_validator(mode="after")
    def _is_one(self) -> Fault:
        found = [name for name in _KINDS if getattr(self, name) is not None]
        if len(found) != 1:
            both = " and ".join(map(repr, found))
            reason = f"{both}: write a list of faults" if found else "none of them"
            raise contradiction(f"expected one of {', '.join(map(repr, _KINDS))}, found {reason}")
        return self

    @model_validator(mode="after")
    def _is_possible(self) -> Fault:
        if self.end == "clean" and self.after is None:
            raise contradiction(
                '"clean" ends a body: expected \'after\' beside it, such as "head", found nothing'
            )
        if self.inside and self.end is None:
            raise contradiction("expected 'end' beside 'inside', found nothing")
        is_timed = self.position is not None and self.position.time is not None
        if is_timed and self.inside:
            raise contradiction("a time is inside of nothing: leave out 'inside'")
        if is_timed and self.end == "clean":
            raise contradiction(
                '"clean" is at a place: after a time write "cut", "reset" or "hang"'
            )
        if self.failure is not None and self.after is not None:
            _expect_in_stream(self.failure)
        return self


def _expect_in_stream(error: Error) -> None:
    """Refuse what an error inside a stream cannot have, whose head is sent."""
    if error.has_body:
        raise contradiction("in a stream, write 'send' instead of an error's 'body'")
    if error.status in WITHOUT_CONTENT:
        raise contradiction(
            f"an error in a stream has a body, that of status {error.status} has none: "
            "write another 'status', or leave out 'after'"
        )
    for name, value in (("headers", error.headers), ("retry_after", error.retry_after)):
        if value:
            message = f"the head is sent when the error comes: leave out {name!r}, or 'after'"
            raise contradiction(message)


_EXPECTED = 'expected an object such as {"end": "cut"}, or a list of objects'


def _kind_of_faults(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "<list>"
    return "<fault>" if isinstance(value, (Mapping, Fault)) else None


def _without_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("faults", _EXPECTED)
    return value


def _end_once(faults: list[Fault]) -> list[Fault]:
    ends = [fault for fault in faults if fault.end is not None and fault.chance == 1]
    if len(ends) > 1:
        raise contradiction("expected one 'end', found several: an answer ends once")
    return faults


if TYPE_CHECKING:
    AnyFaults = Fault | Mapping[str, object] | Sequence[Fault | Mapping[str, object]] | None
else:
    _Listed = Annotated[list[Fault], Field(min_length=1), AfterValidator(_end_once)]
    AnyFaults = Annotated[
        Annotated[Fault, Tag("<fault>")] | Annotated[_Listed, Tag("<list>")],
        Discriminator(
            _kind_of_faults,
            custom_error_type="faults",
            custom_error_message=_EXPECTED,
        ),
        BeforeValidator(_without_null),
    ]
"""One fault, or a list of them."""


def listed(faults: AnyFaults) -> tuple[Fault, ...]:
    """Return the faults of a mock, after validation, as a tuple."""
    if faults is None:
        return ()
    if isinstance(faults, Fault):
        return (faults,)
    assert isinstance(faults, list)
    return tuple(faults)
