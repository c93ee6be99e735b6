"""The types of what a mock answers with: one answer, or several in order.

It knows which words may stand together in a mock and in an entry of its `sequence` or `first`. It
does not know how often an entry has been given: that is remembered by `state.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from mockllm.config.error import AnyError, Error
from mockllm.config.fault import AnyFaults, Fault, listed
from mockllm.config.functions import ReplyFunction, is_function
from mockllm.config.headers import AnswerHeaders
from mockllm.config.latency import AnyLatency, Latency
from mockllm.config.mistakes import ANSWERS, ONE_ANSWER, contradiction
from mockllm.config.objects import ConfigObject
from mockllm.config.reply import AnyReply, Reply
from mockllm.config.schema_rules import (
    at_least_one_of,
    at_most_one_of,
    describe,
    has,
    has_value,
    member,
    members,
    none_of,
    one_of,
    when,
)
from mockllm.config.texts import MADE_KEYS, TEXT_FORM, is_made_text, may_count_calls
from mockllm.config.values import AlsoWritten, ChunkSize, Event, OptionalSDKObject

MAX_TIMES = 1_000_000_000  # more than anybody sends; sums of a script stay within 64 bits

ALWAYS = "always"
"""The `times` of a last entry that is given for ever."""
AtEndWord = Literal["fail", "pass", "repeat", "restart"]
_OF_ONE_ANSWER = ANSWERS[:-1]
"""The answers of an entry: all but another sequence."""


# --- Streaming -----------------------------------------------------------------------------------


class ReplyStream(ConfigObject):
    """The streaming of one mock's answer."""

    chunk: ChunkSize | None = None
    """The size of text deltas; by default that of the configuration's `stream`."""


class MockStream(ReplyStream):
    """The streaming of one mock's answer, in the form of its API."""

    events: list[Event] | None = None
    """The events of the stream, sent exactly as written, with nothing added: objects, and
    ``"[DONE]"`` at the end of a Chat Completions stream."""


def _members(value: Any) -> Any:
    """Return an object created in Python as a dict of what was set in it, so that validation
    reports what does not belong where it stands. Other values are unchanged."""
    if isinstance(value, ConfigObject):
        return {name: getattr(value, name) for name in value.model_fields_set}
    return value


NeutralStream = Annotated[ReplyStream, BeforeValidator(_members)]
"""The `stream` beside an answer in the words of no API."""
OwnStream = Annotated[MockStream, BeforeValidator(_members)]
"""The `stream` beside an answer in the form of its API."""


# --- One answer ----------------------------------------------------------------------------------


class WrittenAnswer(ConfigObject):
    """What is written about one answer, in a mock or in an entry: one of `response`, `reply` and
    `error`, or none of them, and what is set on it."""

    headers: AnswerHeaders = Field(default_factory=dict)
    """Headers of the answer, added or replaced; those that frame a message cannot be set."""
    latency: AnyLatency | None = None
    """How long the answer takes; by default as long as others of the mock, or of the file."""

    fault: AnyFaults | None = None
    """What goes wrong while the answer is sent: an object, or a list of objects."""

    @property
    def pace(self) -> Latency | None:
        """`latency` as an object: validation has converted presets. None if nothing is written."""
        return cast("Latency | None", self.latency)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """`fault` as a tuple."""
        return listed(self.fault)

    @property
    def answer(self) -> dict[str, Any] | None:
        """`response` as JSON: validation has converted SDK objects. None if the answer is
        another."""
        return cast("dict[str, Any] | None", getattr(self, "response", None))

    @property
    def said(self) -> Reply | None:
        """`reply` as an object: validation has converted texts. None if the answer is another."""
        reply = getattr(self, "reply", None)
        return reply if isinstance(reply, Reply) else None

    @property
    def function(self) -> ReplyFunction | None:
        """The function that makes the `reply`. None if the answer is another."""
        reply = getattr(self, "reply", None)
        return None if isinstance(reply, Reply) else cast("ReplyFunction | None", reply)

    @property
    def failure(self) -> Error | None:
        """`error` as an object: validation has converted words. None if the answer is another."""
        return cast("Error | None", getattr(self, "error", None))

    @property
    def has_answer(self) -> bool:
        """True if one of `response`, `reply` and `error` is written."""
        fields = self.__dict__  # asked of every mock, ten times: getattr takes three times as long
        return (
            fields.get("response") is not None
            or fields.get("reply") is not None
            or fields.get("error") is not None
        )


def _one_answer(model: type[ConfigObject], info: ValidationInfo, last: str, value: Any) -> bool:
    """Return True if there is an answer among the fields of `model` in `info` and the `value` of
    the field `last`, or if one of them is invalid, which is reported.

    Raises:
        PydanticCustomError: there are several.
    """
    found: list[str] = []
    for name in _answers_in(model):
        if name != last and name not in info.data:
            return True
        if (value if name == last else info.data[name]) is not None:
            found.append(name)
    if len(found) > 1:
        both = " and ".join(map(repr, found))
        message = f"expected one answer, found {both}: keep one of them"
        raise PydanticCustomError(ONE_ANSWER, message)
    return bool(found)


def _any_of(names: Sequence[str]) -> str:
    """``'a', 'b' or 'c'``."""
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"


@cache
def _answers_in(model: type[BaseModel], names: Sequence[str] = ANSWERS) -> Sequence[str]:
    return tuple(name for name in names if name in model.model_fields)


# --- Entries -------------------------------------------------------------------------------------


def _as_times(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value == ALWAYS or (is_number and 1 <= value <= MAX_TIMES):
        return value
    raise PydanticCustomError("times", f"expected a whole number, at least 1, or '{ALWAYS}'")


_TIMES_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_TIMES}, {"const": ALWAYS}]
}
Times = Annotated[int | Literal["always"], PlainValidator(_as_times), WithJsonSchema(_TIMES_SCHEMA)]


class _Entry(WrittenAnswer):
    """The fields of every entry. In `first` an entry may have no answer: it takes the mock's own.

    What makes one answer late or broken belongs here, beside `headers` and `stream`, and counts in
    `advances_retry`.
    """

    model_config = ConfigDict(json_schema_extra=describe(at_most_one_of(*map(has, _OF_ONE_ANSWER))))

    times: Times = 1
    """How often the entry is given; ``"always"``, of the last one only, for ever."""
    retry: Literal["same", "next"] | None = None
    """What a client gets whose SDK marks a retry of this entry: the ``same`` again, or the
    ``next``. By default the next after an `error`, a `fault` or a `latency`."""

    @field_validator("error", check_fields=False)
    @classmethod
    def _has_at_most_one_answer(cls, error: Any, info: ValidationInfo) -> Any:
        _one_answer(cls, info, "error", error)
        return error

    @property
    def limit(self) -> int | None:
        """How often the entry is given; None for ever."""
        return self.times if isinstance(self.times, int) else None

    @property
    def advances_retry(self) -> bool:
        """True if a marked retry of this entry takes the next: it says so, or is meant to fail or
        to be late."""
        if self.retry is None:
            late_or_broken = self.fault is not None or self.latency is not None
            return self.failure is not None or late_or_broken
        return self.retry == "next"

    @property
    def is_empty(self) -> bool:
        """True if nothing is written but how often it is given."""
        return self.model_fields_set <= {"times", "retry"}


class Entry(_Entry):
    """One of several answers, in the words of no API. A text is its `reply`."""

    reply: AnyReply | None = None
    """The answer in the words of no API: a text, or an object."""
    error: AnyError | None = Field(default=None, validate_default=True)
    """A failure of the service: a word, or an object."""
    stream: NeutralStream = ReplyStream()
    """How the answer is streamed."""


class _InOwnForm(_Entry):
    """The field of the entries in an API's own list. It is validated before `error`, where several
    answers are found."""

    response: OptionalSDKObject = None
    """The answer in the form of the API."""


class ResponseEntry(Entry, _InOwnForm):
    """One of several answers, which may be in the form of its API: a `response`."""

    stream: OwnStream = MockStream()
    """How the answer is streamed."""


class EmbeddingsEntry(_InOwnForm):
    """One of several answers of Embeddings."""

    error: AnyError | None = Field(default=None, validate_default=True)
    """A failure of the service: a word, or an object."""


def _as(model: type[_Entry]) -> Callable[[Any], Any]:
    """Return a function that converts what may stand for an entry of this class."""

    def as_entry(value: Any) -> Any:
        if isinstance(value, str) or is_made_text(value) or is_function(value):
            return {"reply": value}
        if isinstance(value, (Reply, Error)):
            return {"error" if isinstance(value, Error) else "reply": value}
        if type(value) is model or isinstance(value, Mapping):
            return value
        if isinstance(value, _Entry):
            return _members(value)
        raise PydanticCustomError("entry_type", "expected a text or an object")

    return as_entry


if TYPE_CHECKING:  # type checkers allow what validation converts
    Entries = Sequence[str | Entry | Reply | Error | Mapping[str, object] | ReplyFunction]
    ResponseEntries = Entries
    EmbeddingsEntries = Sequence[EmbeddingsEntry | Error | Mapping[str, object]]
else:
    _AnyEntry = Annotated[Entry, BeforeValidator(_as(Entry)), AlsoWritten(TEXT_FORM)]
    _AnyResponseEntry = Annotated[
        ResponseEntry, BeforeValidator(_as(ResponseEntry)), AlsoWritten(TEXT_FORM)
    ]
    _AnyEmbeddingsEntry = Annotated[EmbeddingsEntry, BeforeValidator(_as(EmbeddingsEntry))]
    Entries = Annotated[list[_AnyEntry], Field(min_length=1)]
    ResponseEntries = Annotated[list[_AnyResponseEntry], Field(min_length=1)]
    EmbeddingsEntries = Annotated[list[_AnyEmbeddingsEntry], Field(min_length=1)]


# --- All answers of a mock ------------------------------------------------------------------------


_NO_EVENTS = member("stream", none_of(has("events")))
"""The stream has no events."""


def _describe_answers(schema: JsonDict, model: type[BaseModel]) -> None:
    """Add to the JSON Schema of a mock that it has exactly one answer, and what its entries are."""
    sequence = has("sequence")
    has_answer = at_least_one_of(
        *({"required": [key]} for key in sorted(MADE_KEYS)),
        *map(has, _answers_in(model, _OF_ONE_ANSWER)),
    )
    ends = none_of(has_value("times", ALWAYS))
    rules = [
        one_of(*map(has, _answers_in(model))),
        members("sequence", has_answer),
        members("first", ends),
        when(sequence, {"allOf": [members("first", has_answer), _NO_EVENTS]}),
        when(has("at_end"), sequence),
    ]
    describe(*rules)(schema, model)


class Answers(WrittenAnswer):
    """The answers of a mock: one of `ANSWERS`, and what comes before and after."""

    model_config = ConfigDict(json_schema_extra=_describe_answers)

    at_end: AtEndWord | None = None
    """What follows the last entry of a `sequence`: an error (``fail``), which is the default, the
    next mock that matches (``pass``), the last entry (``repeat``), or the first one (``restart``).
    """

    @property
    def first_entries(self) -> Sequence[_Entry]:
        """The entries of `first`: validation has converted texts."""
        return cast("Sequence[_Entry]", self.__dict__.get("first") or ())

    @property
    def sequence_entries(self) -> Sequence[_Entry]:
        """The entries of `sequence`: validation has converted texts."""
        return cast("Sequence[_Entry]", self.__dict__.get("sequence") or ())

    @cached_property
    def has_state(self) -> bool:
        """True if the answer depends on how often the mock has answered. Each API asks for it."""
        return bool(self.first_entries or self.sequence_entries or self._counts_calls)

    @property
    def _counts_calls(self) -> bool:
        """True if the mock's own reply does."""
        return self.said is not None and any(
            may_count_calls(source) for _, source in self.said.templates()
        )

    @property
    def passes(self) -> bool:
        """True if the next mock that matches answers once the `sequence` is over."""
        return self._ends and self.at_end == "pass"

    @property
    def fails_at_end(self) -> bool:
        """True if requests fail once the `sequence` is over."""
        return self._ends and self.at_end in (None, "fail")

    @property
    def _ends(self) -> bool:
        return bool(self.sequence_entries) and self.sequence_entries[-1].limit is not None

    def entries(self) -> Iterator[tuple[str, _Entry]]:
        """Yield all entries with their paths, in the order in which they are given."""
        for name, entries in (("first", self.first_entries), ("sequence", self.sequence_entries)):
            for index, entry in enumerate(entries):
                yield f"{name}[{index}]", entry

    def written(self) -> Iterator[tuple[str, WrittenAnswer]]:
        """Yield what is written about each answer, with its path in the mock: that of the mock's
        own is empty."""
        if self.has_answer:
            yield "", self
        yield from self.entries()

    @field_validator("sequence", check_fields=False)
    @classmethod
    def _has_one_answer(cls, sequence: Any, info: ValidationInfo) -> Any:
        if not _one_answer(cls, info, "sequence", sequence):
            message = f"expected {_any_of(_answers_in(cls))}, found none of them"
            raise PydanticCustomError(ONE_ANSWER, message)
        entries: Sequence[_Entry] = sequence or ()
        for index, entry in enumerate(entries):
            if not entry.has_answer:
                names = _any_of(_answers_in(type(entry), _OF_ONE_ANSWER))
                raise contradiction(f"expected {names}, found none of them", index)
            if entry.limit is None and index < len(entries) - 1:
                message = f"expected a number: entries behind '{ALWAYS}' would never be given"
                raise contradiction(message, index, "times")
        return sequence

    @field_validator("first", check_fields=False)
    @classmethod
    def _comes_before_an_answer(cls, first: Any, info: ValidationInfo) -> Any:
        has_sequence = info.data.get("sequence") is not None
        entries: Sequence[_Entry] = first or ()
        for index, entry in enumerate(entries):
            if entry.limit is None:
                message = f"expected a number: what follows '{ALWAYS}' would never be given"
                raise contradiction(message, index, "times")
            if has_sequence and not entry.has_answer:
                names = _any_of(_answers_in(type(entry), _OF_ONE_ANSWER))
                message = f"expected {names}: beside a 'sequence' the mock has no answer of its own"
                raise contradiction(message, index)
        return first

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        has_events = getattr(getattr(self, "stream", None), "events", None) is not None
        if self.sequence_entries and has_events:
            message = "expected in an entry of 'sequence': they are the stream of one answer"
            raise contradiction(message, "stream", "events")
        if self.at_end is not None and not self.sequence_entries:
            message = "expected 'sequence' beside it: any other answer is given for ever"
            raise contradiction(message, "at_end")
        return self
