"""The compiled mocks of one API, and the replies rendered from them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from mockllm.config.answers import MockStream, ReplyStream, WrittenAnswer
from mockllm.config.fault import Fault
from mockllm.config.models import AnyMock
from mockllm.engine.decision import Answer
from mockllm.engine.effects import Traffic
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import compile_faults, is_drawn
from mockllm.engine.reply import compile_made, compile_reply
from mockllm.engine.returned import read_returned
from mockllm.engine.scripts import script_of
from mockllm.engine.sources import (
    FixedSource,
    FunctionSource,
    MadeSource,
    MockSource,
    ReplySource,
    ScriptedSource,
    entries_of,
)
from mockllm.errors import Place, RequestError
from mockllm.exchange import Headers, Request
from mockllm.limits import KIB
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers import request_body
from mockllm.providers.api import API
from mockllm.providers.routes import NO_VALUES
from mockllm.replies.headers import join_headers
from mockllm.state.choosing import Candidate
from mockllm.validation.findings import Confirm, Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire.chunking import Chunk

SHARED = "mocks"
"""The list of the mocks that every API has."""

MAX_STRAIGHT = 16 * KIB  # bytes of a request that is decided on the short way
_NOT_STREAMED = MockStream()
NO_SOURCE = FixedSource(Answer({}))
"""The source of a mock that is not served, because JSON cannot represent it."""


Sources = tuple[MockSource | ScriptedSource, ...] | Mapping[int, MockSource | ScriptedSource]


@dataclass(frozen=True, slots=True)
class Table:
    """The compiled mocks of one API. `confirm` validates a request against the SDK's types; it is
    None if there are no mocks, so that the SDK need not be imported. `chunk` is the default for
    mocks that do not set their own."""

    api: API
    mocks: tuple[AnyMock, ...]
    """The mocks of the API's own list, then those of every API."""
    index: RuleIndex | LayeredIndex
    confirm: Confirm | None
    chunk: Chunk = "word"
    sources: Sources = ()
    """The source of the answer of each mock, by the index of its rule."""
    fails: bool = False
    """True if a mock answers with a failure."""
    places: tuple[Place, ...] = ()
    """The place of each mock, in the order of `mocks`."""
    shared: int = 0
    """The number of mocks, at the end of `mocks`, which are those of every API."""
    answers_look_back: bool = False
    """True if an answer depends on what a request continues."""
    elsewhere: RuleIndex = field(default_factory=lambda: RuleIndex(()))
    """The mocks that are restricted to other APIs, without this restriction: for explanations."""
    version: int = 0
    """A number that tells the tables of one API apart in which mocks were added at run time."""
    traffic: Traffic | None = None
    """What happens to all requests that match; None if nothing does."""
    header_names: tuple[bytes, ...] = field(init=False)
    """The headers that some mock or entry of traffic depends on, in lower case, each once."""
    readings: tuple[Callable[[Prompt], Any], ...] = field(init=False)
    """What mocks and traffic read of a conversation, in order."""
    looks_back: bool = field(init=False)
    """True if a mock, or an entry of traffic, depends on what a request continues."""
    straight_size: int = field(init=False)
    """The bytes of a body up to which a request is decided on the short way (`engine.straight`); -1
    if none is."""

    def __post_init__(self) -> None:
        indices = [self.index, *([] if self.traffic is None else [self.traffic.index])]
        names = [name for index in indices for name in index.header_names]
        readings = [read for index in indices for read in index.readings]
        object.__setattr__(self, "header_names", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "readings", tuple(dict.fromkeys(readings)))
        looks_back = self.answers_look_back or any(index.looks_back for index in indices)
        object.__setattr__(self, "looks_back", looks_back)
        object.__setattr__(self, "straight_size", self._measure_straight())

    def _measure_straight(self) -> int:
        if self.api.batch is not None or self.traffic is not None:
            return -1
        return bisect_left(range(1 + MAX_STRAIGHT), True, key=self.index.takes_long) - 1

    def accepts(self, prompt: Prompt) -> bool:
        """Return True if `validate` accepts a request. The messages of a plain one are left out: to
        validate one takes 1 µs, and 40 take 25."""
        if prompt.is_valid or self.confirm is None:
            return True
        body = prompt.body
        if prompt.is_plain:
            assert prompt.readers.conversation is not None
            body = {**body, prompt.readers.conversation: []}
        return self.confirm(body) is None

    def validate(self, prompt: Prompt) -> None:
        """Validate a request against the SDK's type.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        finding = self.confirm(prompt.body) if self.confirm is not None else None
        if finding is not None:
            raise _refusal(finding)

    def validate_in_pieces(self, prompt: Prompt) -> Pieces[None]:
        """Do what `validate` does, with pauses."""
        if self.confirm is not None:
            finding = yield from self.confirm.in_pieces(prompt.body)
            if finding is not None:
                raise _refusal(finding)

    def decode(self, body: bytes) -> Prompt:
        """Return the prompt of a request to this API with this `body`.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        return self.api.decode(self._request(body), NO_VALUES)

    def decode_in_pieces(self, body: bytes, leftovers: list[Any]) -> Pieces[Prompt]:
        """Do what `decode` does, with pauses. `leftovers` are those of `DividedWork`."""
        request = self._request(body)
        return (yield from self.api.decode_in_pieces(request, NO_VALUES, leftovers))

    def _request(self, body: bytes) -> Request:
        return Request.of("POST", self.api.routes[0], body=body)


def _refusal(finding: Finding) -> RequestError:
    if finding.kind is FindingKind.MISSING:
        return request_body.missing(finding.place)
    return RequestError(400, str(finding), param=finding.place, code="invalid_type")


def fails(source: MockSource | ScriptedSource) -> bool:
    """True if an answer of a mock is a failure."""
    return any(each.fixed.failure is not None for each in entries_of(source))


def looks_back(source: MockSource | ScriptedSource) -> bool:
    """True if an answer of a mock depends, or may depend, on what a request continues."""
    return any(
        isinstance(each, FunctionSource) or (isinstance(each, MadeSource) and each.reply.looks_back)
        for each in entries_of(source)
    )


class _Streamed(NamedTuple):
    """How an answer is streamed: the size of its deltas, and its events if they are written."""

    chunk: Chunk
    events: Sequence[Any] | None


def source_of(api: API, mock: AnyMock, chunk: Chunk, key: str = "") -> MockSource | ScriptedSource:
    """Return the source of the answers of `mock` in `api`; `chunk` is the configuration's default,
    `key` that of the mock's state if it has some."""
    own = stream_of(mock)
    stream = _Streamed(own.chunk or chunk, own.events)
    headers = _headers(mock)
    if not mock.has_state:
        return _with_faults(_source(api, mock, stream, headers), mock.faults)
    sources = [
        _source_of_entry(api, mock, entry, stream, number, path)
        for number, (path, entry) in enumerate(mock.entries())
    ]
    if mock.has_answer:
        own_answer = _source(api, mock, stream, headers, len(sources))
        sources.append(_with_faults(own_answer, mock.faults))
    return ScriptedSource(Candidate(key, script_of(mock)), tuple(sources))


def _source_of_entry(
    api: API, mock: AnyMock, entry: WrittenAnswer, stream: _Streamed, number: int, path: str
) -> MockSource:
    """Return the source of one of several answers, which has the mock's settings where the entry
    has none. The written events of the mock belong to its own answer."""
    own = stream_of(entry)
    events = own.events if entry.has_answer or own.events is not None else stream.events
    streamed = _Streamed(own.chunk or stream.chunk, events)
    headers = join_headers(_headers(mock), _headers(entry))
    faults = entry.faults or mock.faults
    if not entry.has_answer:
        return _with_faults(_source(api, mock, streamed, headers, number), faults)
    source = _source(api, entry, streamed, headers, number)
    if isinstance(source, MadeSource | FunctionSource):
        source = replace(source, path=path)
    return _with_faults(source, faults)


def _with_faults(source: MockSource, faults: Sequence[Fault]) -> MockSource:
    """Return `source` with what goes wrong while its answers are sent."""
    if not faults:
        return source
    planned = compile_faults(faults)
    fixed = source.fixed._replace(faults=planned)
    return replace(source, fixed=fixed, reusable=source.reusable and not is_drawn(planned))


def _source(
    api: API, written: WrittenAnswer, stream: _Streamed, headers: Headers, number: int = 0
) -> MockSource:
    """Return the source of the answer that is `written`, sent in this `stream` and with these
    `headers`. It is the answer `number` of its mock."""
    chunk = stream.chunk
    if written.failure is not None:
        failure = compile_error(written.failure)
        failure = replace(failure, headers=join_headers(headers, failure.headers))
        return FixedSource(failed_answer(api, failure, chunk))
    if written.function is not None:
        empty = Answer({}, chunk, stream.events, None, headers)
        returned = partial(_source_of_returned, api, stream, headers)
        return FunctionSource(empty, written.function, returned)
    if written.said is None or api.respond is None:
        answer = Answer(written.answer or {}, chunk, stream.events, number, headers)
        return FixedSource(answer)
    reply = compile_reply(written.said)
    fixed = Answer(api.respond(reply, {}), chunk, stream.events, number, headers, is_neutral=True)
    made = compile_made(written.said)
    if made is not None:
        return MadeSource(fixed._replace(number=None), made, api.respond)
    if reply.json is None and not reply.calls:
        return FixedSource(fixed)
    return ReplySource(fixed, reply, api.respond)


def _source_of_returned(
    api: API, stream: _Streamed, headers: Headers, value: Any
) -> FixedSource | ReplySource | MadeSource:
    """Return the source of what a function returned.

    Raises:
        ValueError: it is no answer; the reason begins with what it is.
    """
    source = _source(api, read_returned(value), stream, headers)
    assert not isinstance(source, FunctionSource)
    return replace(source, fixed=source.fixed._replace(number=None))


def _headers(written: WrittenAnswer) -> Headers:
    return tuple((name.lower().encode(), value.encode()) for name, value in written.headers.items())


def stream_of(written: WrittenAnswer) -> MockStream:
    """Return the stream settings of a mock or an entry; the defaults for an API that does not
    stream."""
    match getattr(written, "stream", None):
        case MockStream() as stream:
            return stream
        case ReplyStream(chunk=chunk):
            return MockStream(chunk=chunk)
        case _:
            return _NOT_STREAMED
