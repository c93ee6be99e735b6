"""From files to tables that answer: reading, confirming, compiling.

All mistakes of a run are found before anything is said, so they are told at once. What stops the
start is an error; what only looks wrong (a response that the official SDK's model refuses, a mock
that can never be reached) is a warning, and `strict` makes errors of those too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from mockllm import envelopes, reading
from mockllm.catalog import Catalog
from mockllm.config import (
    DONE,
    Config,
    MatchType,
    Mock,
    MockStream,
    json_path,
    label,
    read_files,
)
from mockllm.confirm import Confirm, Finding
from mockllm.confirm import Kind as FindingKind
from mockllm.errors import ClientError, ConfigError, Problem, RequestError, Severity
from mockllm.exchange import Reply
from mockllm.prompt import Form, Prompt
from mockllm.provider import SDK, Provider
from mockllm.providers import PROVIDERS
from mockllm.reach import never_reached
from mockllm.rule import HeaderRule, Rule
from mockllm.wire import jsontext, placeholders, sse
from mockllm.wire.chunking import Chunk

_NOT_STREAMED = MockStream()


@dataclass(frozen=True, slots=True)
class Table:
    """One provider's mocks, ready to answer. `confirm` is the SDK's verdict on a request; None
    where there are no mocks, so that no SDK is imported to say that nothing matches."""

    provider: Provider
    mocks: tuple[Mock, ...]
    catalog: Catalog
    confirm: Confirm | None
    chunk: Chunk = "word"

    def check(self, prompt: Prompt) -> None:
        """Hold a request against the SDK's type.

        Raises:
            RequestError: 400, naming the first member that does not fit.
        """
        finding = self.confirm(prompt.body) if self.confirm is not None else None
        if finding is None:
            return
        if finding.kind is FindingKind.MISSING:
            raise reading.missing(finding.place)
        raise RequestError(400, str(finding), param=finding.place, code="invalid_type")

    def chunk_of(self, index: int) -> Chunk:
        """How the text of the mock at `index` is cut into deltas."""
        return _stream_of(self.mocks[index]).chunk or self.chunk

    def render(self, index: int, form: Form) -> Reply:
        """The reply of the mock at `index`: streamed literally, if it says so and a stream is
        wanted."""
        mock = self.mocks[index]
        events = _stream_of(mock).events
        if form.stream and events is not None:
            frames = [self._frame(event) for event in events]
            return placeholders.stream(200, self.provider.stream_headers, frames)
        return self.provider.render(mock.answer, form, self.chunk_of(index))

    def _frame(self, event: Any) -> bytes:
        return sse.DONE if event == DONE else self.provider.frame(event)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be served, and what its author should know."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    cors: bool = True
    warnings: tuple[Problem, ...] = ()


def load_config(*paths: str | Path) -> Config:
    """The configuration of several files, as `config.read_files` has it.

    Raises:
        ConfigError: with the mistakes of all files, those that only loading finds among them.
    """
    config, problems = read_files(*paths)
    if problems:
        raise ConfigError((*problems, *_errors(config)))
    return config


def _errors(config: Config) -> list[Problem]:
    """What would keep `config` from being served."""
    try:
        load(config)
    except ConfigError as exc:
        return [problem for problem in exc.problems if problem.severity is Severity.ERROR]
    return []


def load(config: Config, *, strict: bool = False) -> Loaded:
    """Confirm and compile `config`.

    Raises:
        ConfigError: a mock's message or input is not what its API takes; with `strict`, also
            every warning.
    """
    problems: list[Problem] = []
    tables = tuple(_table(provider, config, problems, strict) for provider in PROVIDERS)
    fatal = problems if strict else [p for p in problems if p.severity is Severity.ERROR]
    if fatal:
        raise ConfigError(tuple(problems))
    return Loaded(tables, config.require_auth, config.cors, tuple(problems))


# --- One provider --------------------------------------------------------------------------------


def _table(provider: Provider, config: Config, problems: list[Problem], strict: bool) -> Table:
    mocks: tuple[Mock, ...] = tuple(getattr(config, provider.name))
    chunk = config.stream.chunk
    if not config.cors:
        provider = _without_cors(provider)
    if not mocks:
        return Table(provider, mocks, Catalog(()), None, chunk)
    sdk = provider.sdk()
    rules = []
    for index, mock in enumerate(mocks):
        place = mock.place or label(provider.name, index, mock.name)
        mistakes = [*_not_json(provider, mock, place)]
        problems += mistakes
        if mistakes:
            continue  # nothing else could be found out about it
        problems += _confirm_match(provider, sdk, mock, place)
        problems += _confirm_response(sdk, mock, place)
        problems += _confirm_events(provider, sdk, mock, place)
        rule = _compile(provider, index, mock, place, problems)
        if rule is not None:
            rules.append(rule)
    problems += _same_names(mocks, provider.name)
    problems += _never_reached(rules)
    return Table(provider, mocks, Catalog(rules), sdk.request_confirmer(strict=strict), chunk)


def _without_cors(provider: Provider) -> Provider:
    """`provider` with answers that web pages of other origins cannot read."""

    def render(response: dict[str, Any], form: Form, chunk: Chunk) -> Reply:
        return envelopes.without_cors(provider.render(response, form, chunk))

    def render_error(error: ClientError, beside: Mapping[str, Any]) -> Reply:
        return envelopes.without_cors(provider.render_error(error, beside))

    stream_headers = envelopes.without_cors(Reply(200, provider.stream_headers, ())).headers
    return replace(
        provider, render=render, render_error=render_error, stream_headers=stream_headers
    )


def _stream_of(mock: Mock) -> MockStream:
    """How `mock` is streamed. An API that does not stream has nothing to say about it."""
    return getattr(mock, "stream", _NOT_STREAMED)


def _compile(
    provider: Provider, index: int, mock: Mock, place: str, problems: list[Problem]
) -> Rule | None:
    try:
        contains = mock.match.match_type is MatchType.CONTAINS
        expectation = provider.expect(_wanted(provider, mock), contains)
    except ValueError as exc:
        problems.append(Problem(f"{place}: match.{provider.looks_at}", str(exc)))
        return None
    # a copy: orjson's bytes keep the room that they were written in, 4 KiB each
    expectation = replace(expectation, key=b"%b" % expectation.key)
    headers = tuple(
        HeaderRule(
            name=header.name.strip().lower().encode(),
            title=header.name,
            value=header.value.strip().encode(),
            contains=header.match_type is MatchType.CONTAINS,
        )
        for header in mock.match.headers
    )
    return Rule(index, place, expectation, headers)


def _wanted(provider: Provider, mock: Mock) -> Any:
    return getattr(mock.match, provider.looks_at)


def _not_json(provider: Provider, mock: Mock, place: str) -> Iterator[Problem]:
    """What is written in Python and cannot be sent: a number beyond 64 bits, NaN, an object."""
    written = {
        f"match.{provider.looks_at}": _wanted(provider, mock),
        "response": mock.answer,
        "stream.events": _stream_of(mock).events,
    }
    for name, value in written.items():
        for path, message in jsontext.faults(value):
            yield Problem(f"{place}: {json_path([name, *path])}", message)


def _confirm_match(provider: Provider, sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    for finding in sdk.confirm_match(_wanted(provider, mock)):
        path = json_path(["match", provider.looks_at, *finding.path])
        yield Problem(f"{place}: {path}", finding.message)


def _confirm_response(sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """What the SDK's model says of a response. Absent members are told in one line: they are
    completed, and a terse response lacks many."""
    absent: list[Finding] = []
    for finding in sdk.confirm_response(mock.answer):
        if finding.kind is FindingKind.MISSING:
            absent.append(finding)
        else:
            path = json_path(["response", *finding.path])
            yield Problem(f"{place}: {path}", finding.message, Severity.WARNING)
    if absent:
        paths = ", ".join(json_path(list(finding.path)) for finding in absent)
        message = f"absent, completed where known: {paths}"
        yield Problem(f"{place}: response", message, Severity.WARNING)


def _confirm_events(provider: Provider, sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """What the SDK's model says of a stream that is given literally."""
    events = _stream_of(mock).events
    for index, event in enumerate(events or ()):
        for finding in () if event == DONE else sdk.confirm_event(cast("dict[str, Any]", event)):
            path = json_path(["stream", "events", index, *finding.path])
            yield Problem(f"{place}: {path}", finding.message, Severity.WARNING)
    if events is not None and provider.ends_with_done and DONE not in events[-1:]:
        message = f"the last event is not {DONE!r}, with which the service ends a stream"
        yield Problem(f"{place}: stream.events", message, Severity.WARNING)


# --- What only looks wrong -----------------------------------------------------------------------


def _same_names(mocks: Iterable[Mock], field: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for index, mock in enumerate(mocks):
        place = mock.place or label(field, index, mock.name)
        if mock.name and mock.name in first:
            message = f"the name is used twice, first by {first[mock.name]}"
            yield Problem(place, message, Severity.WARNING)
        first.setdefault(mock.name, place)


def _never_reached(rules: Sequence[Rule]) -> Iterator[Problem]:
    for rule, covering in never_reached(rules):
        message = f"is never reached: {covering.label} matches whatever it does"
        yield Problem(rule.label, message, Severity.WARNING)
