"""Compiles the answers of one mock to their source.

In what order a mock with state gives them is in its script, which `engine.scripts` compiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mockllm.config.answers import MockStream, ReplyStream, WrittenAnswer
from mockllm.config.fault import Fault
from mockllm.config.models import AnyMock
from mockllm.engine.decision import Answer
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
from mockllm.exchange import Headers
from mockllm.limits import KIB
from mockllm.providers.api import API
from mockllm.providers.completed import is_large, is_long
from mockllm.replies.headers import join_headers
from mockllm.state.choosing import Candidate
from mockllm.wire.chunking import Chunk

NO_SOURCE = FixedSource(Answer({}))
"""The source of a mock that is not served, because JSON cannot represent it."""
MAX_ARGUMENTS = 64 * KIB  # characters of a call that is spelled for each request
MAX_EVENTS = 2_000  # that are written in a mock and counted at once: 5 ms
_NOT_STREAMED = MockStream()


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
        return FixedSource(_sized(answer))
    reply = compile_reply(written.said)
    has_large = any(len(call.arguments) > MAX_ARGUMENTS for call in reply.calls)
    calls = None
    if has_large or is_long(reply.calls):
        calls = list(api.spell_calls(reply.calls, ()))
    response = api.respond(reply, {}, calls)
    fixed = Answer(response, chunk, stream.events, number, headers, is_neutral=True)
    fixed = _sized(fixed)
    made = compile_made(written.said)
    if made is not None:
        return MadeSource(fixed._replace(number=None), made, api)
    if reply.json is None and not reply.calls:
        return FixedSource(fixed)
    return ReplySource(fixed, reply, api, calls)


def _sized(answer: Answer) -> Answer:
    """Return `answer`, marked if it is large."""
    is_marked = is_large(answer.response) or len(answer.events or ()) > MAX_EVENTS
    return answer._replace(is_large=True) if is_marked else answer


def _source_of_returned(
    api: API, stream: _Streamed, headers: Headers, value: Any
) -> FixedSource | ReplySource | MadeSource:
    """Return the source of what a function returned.

    Raises:
        ValueError: it is no answer; the reason begins with what it is.
    """
    source = _source(api, read_returned(value), stream, headers)
    assert not isinstance(source, FunctionSource)
    fixed = source.fixed._replace(number=None)
    return replace(source, fixed=fixed._replace(size=fixed.own_size))


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


def fails(source: MockSource | ScriptedSource) -> bool:
    """True if an answer of a mock is a failure."""
    return any(each.fixed.failure is not None for each in entries_of(source))


def looks_back(source: MockSource | ScriptedSource) -> bool:
    """True if an answer of a mock depends, or may depend, on what a request continues."""
    return any(
        isinstance(each, FunctionSource) or (isinstance(each, MadeSource) and each.reply.looks_back)
        for each in entries_of(source)
    )
