"""Loads configurations: validates mocks and compiles them into tables.

All mistakes are collected before any is reported. A mock that cannot be served is an error; a
likely mistake (a response that the official SDK's model rejects, an unreachable mock) is a warning,
which strict loading treats as an error. What is filled in is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from mockllm.config.files import listed_files, read_files
from mockllm.config.models import MOCK_FIELDS, AnyMock, Config, SessionHeader
from mockllm.config.traffic import Traffic
from mockllm.engine import calls, unanswerable
from mockllm.engine.conditions import NEVER, compile_match
from mockllm.engine.forms import MAX_FORMS, Form, ReviewedForms, form_of
from mockllm.engine.impossible import compares_whole, impossible_headers, refused_value
from mockllm.engine.latency import FILE, compile_latency, review_latencies, set_paces
from mockllm.engine.mock_review import compile_rule, review_mock
from mockllm.engine.mocks import NO_SOURCE, SHARED, Table, fails, looks_back, source_of
from mockllm.engine.pace import Pace
from mockllm.engine.reply_review import (
    Covering,
    hidden_in_apis,
    unusable_arguments,
    wrong_templates,
)
from mockllm.engine.review import (
    costs,
    duplicate_names,
    empty_conditions,
    not_compared,
    unreachable,
    unserialisable_values,
)
from mockllm.engine.scripts import keys_of
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.engine.surprises import find_surprises
from mockllm.engine.traffic import TrafficCompiler
from mockllm.errors import MISSING_EXTRA, ConfigError, Place, Problem, Severity
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.state.session_names import NO_SETTING, SessionSetting
from mockllm.wire.chunking import Chunk

_CONVERSATIONS = tuple(api for api in APIS if api.respond is not None)
"""The APIs that the mocks of `mocks` answer."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A compiled configuration, and the warnings about it."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    cors: bool = True
    warnings: tuple[Problem, ...] = ()
    session: SessionSetting = NO_SETTING
    models: tuple[str, ...] = ()
    """The models to list beside those that mocks name."""
    seed: int = 0
    chunk: Chunk = "word"
    """The size of text deltas of mocks that do not set their own."""
    strict_requests: bool = False
    """True if requests that the SDK's types do not allow are rejected."""
    pace: Pace | None = None
    """How long answers take that are not a mock's."""
    traffic: tuple[Traffic, ...] = ()
    """The entries of traffic, as they are written."""


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that is found in files. `config` has their valid mocks; `served` is True if the
    server would start with them. `mocks` counts the mocks, valid or not, `files` what was to be
    read."""

    config: Config
    problems: tuple[Problem, ...]
    served: bool
    mocks: int
    files: int


def load_config(*paths: str | Path) -> Config:
    """Return the configuration of one or more files or directories, merged in order.

    Raises:
        ConfigError: lists the mistakes of all files, including those found by compiling.
    """
    config, problems = read_files(*paths)
    if any(problem.severity is Severity.ERROR for problem in problems):
        _, more = _compile_tables(config, strict_requests=False)
        raise ConfigError((*problems, *(p for p in more if p.severity is Severity.ERROR)))
    config.add_warnings(problems)
    return config


def review(*paths: str | Path) -> Review:
    """Return what is found in one or more files or directories."""
    config, problems = read_files(*paths)
    _, more = _compile_tables(config, strict_requests=False)
    found = (*problems, *more)
    places = [mock.place for field in MOCK_FIELDS for mock in getattr(config, field)]
    places += [entry.place_in(index) for index, entry in enumerate(config.traffic)]
    places += [problem.place for problem in found if isinstance(problem.place, Place)]
    return Review(
        config,
        found,
        served=all(problem.severity is not Severity.ERROR for problem in found),
        mocks=len(
            {
                (place.file, place.field, place.position)
                for place in places
                if place.field in MOCK_FIELDS
            }
        ),
        files=len({*listed_files(*paths), *(place.file for place in places)}),
    )


def load(config: Config, *, strict_config: bool = False, strict_requests: bool = False) -> Loaded:
    """Validate `config` and return its compiled form. With `strict_requests`, the tables reject
    requests that the SDK's types do not allow.

    Raises:
        ConfigError: a mock's message or input is invalid for its API; with `strict_config`, also
            if there are warnings.
    """
    tables, compiled = _compile_tables(config, strict_requests=strict_requests)
    problems = (*config.warnings, *compiled)
    told = tuple(problem for problem in problems if problem.severity is not Severity.NOTE)
    fatal = told if strict_config else [p for p in told if p.severity is Severity.ERROR]
    if fatal:
        raise ConfigError(told)
    session = _session_setting(config)
    models = tuple(config.models)
    return Loaded(
        tables,
        config.require_auth,
        config.cors,
        told,
        session,
        models,
        seed=config.seed,
        chunk=config.stream.chunk,
        strict_requests=strict_requests,
        pace=compile_latency(config.pace, FILE),
        traffic=tuple(config.traffic),
    )


def _session_setting(config: Config) -> SessionSetting:
    match config.session:
        case SessionHeader(header=name):
            return SessionSetting(header=name.lower().encode())
        case "credential":
            return SessionSetting(by_credential=True)
        case _:
            return NO_SETTING


def _compile_tables(
    config: Config, *, strict_requests: bool
) -> tuple[tuple[Table, ...], list[Problem]]:
    problems: list[Problem] = []
    shared, traffic = _Shared(config), TrafficCompiler(config)
    tables = tuple(
        _with_traffic(_table(api, config, shared, problems, strict_requests), traffic)
        for api in APIS
    )
    # A mistake in a mock of every API is found in each of them.
    others = (*shared.problems(), *traffic.problems(), *review_latencies(config))
    found = dict.fromkeys([*problems, *others])
    return tables, list(_with_missing_extras_once(found))


def _with_traffic(table: Table, compiler: TrafficCompiler) -> Table:
    traffic = compiler.compile(table.api)
    return table if traffic is None else replace(table, traffic=traffic)


def _with_missing_extras_once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems, and of those that are a missing library the first one only."""
    missing: set[str] = set()
    for problem in problems:
        if MISSING_EXTRA in problem.message:
            if problem.message in missing:
                continue
            missing.add(problem.message)
        yield problem


class _Listed(NamedTuple):
    """A mock with its place, the key of its state if it has some, the mistakes that prevent
    compiling it (values in it that JSON cannot represent, wrong templates), and its form, if that
    is one of those by which mocks are reviewed (`engine.forms`)."""

    mock: AnyMock
    place: Place
    key: str
    mistakes: tuple[Problem, ...]
    form: Form | None


def _listed(mocks: Sequence[AnyMock], list_name: str) -> list[_Listed]:
    """Return the mocks of the list `list_name`."""
    keys = keys_of(list_name, mocks)
    forms: dict[Form | None, Form] = {}  # of mocks without mistakes
    listed: list[_Listed] = []
    for position, mock in enumerate(mocks):
        place = mock.place_in(list_name, position)
        form = form_of(mock)
        mistakes: tuple[Problem, ...] = ()
        if form not in forms:
            mistakes = (*unserialisable_values(mock, place),) or (*wrong_templates(mock, place),)
            if form is not None and not mistakes and len(forms) < MAX_FORMS:
                forms[form] = form
        listed.append(_Listed(mock, place, keys.get(position, ""), mistakes, forms.get(form)))
    return listed


class _Shared:
    """The mocks of every API with a conversation: reviewed once, compiled for each API."""

    def __init__(self, config: Config) -> None:
        self.listed = _listed(config.mocks, SHARED)
        self._hidden: list[dict[str, Covering]] = [{} for _ in config.mocks]
        self._never: list[dict[str, str]] = [{} for _ in config.mocks]
        self._require_auth = config.require_auth

    def hide(self, position: int, api: API, covering: Covering) -> None:
        """Record that the mock at `position` never answers in `api`."""
        self._hidden[position][api.title] = covering

    def never_matches(self, position: int, api: API, reason: str) -> None:
        """Record why the mock at `position` never answers in `api`."""
        self._never[position][api.word] = reason

    def problems(self) -> Iterator[Problem]:
        """Yield the problems that do not belong to one API, when all of them are compiled."""
        listed = zip(self.listed, self._hidden, self._never, strict=True)
        for (mock, place, _, mistakes, _), hidden, never in listed:
            answering = [each for each in _CONVERSATIONS if each.word not in never]
            yield from mistakes
            yield from empty_conditions(mock, place)
            yield from find_surprises(mock, place)
            for path, written in mock.written():
                yield from unusable_arguments(written, place.at(path))
            yield from unanswerable.shared_problems(mock.match, {} if answering else never, place)
            yield from self._impossible_headers(mock, place, answering)
            yield from hidden_in_apis(hidden, place, apis=len(answering)) if answering else ()
        yield from duplicate_names([each.mock for each in self.listed], SHARED)

    def _impossible_headers(
        self, mock: AnyMock, place: Place, apis: Iterable[API]
    ) -> Iterator[Problem]:
        """Yield the problems that the headers of a mock have in all `apis`: each has credentials of
        its own."""
        found = [
            {*impossible_headers(api, mock, place, require_auth=self._require_auth)} for api in apis
        ]
        yield from sorted(set.intersection(*found) if found else (), key=str)


# --- one API -------------------------------------------------------------------------------------


def _table(
    api: API, config: Config, shared: _Shared, problems: list[Problem], strict_requests: bool
) -> Table:
    own = _listed(getattr(config, api.name), api.name)
    listed = [*own, *(shared.listed if api.respond is not None else ())]
    chunk = config.stream.chunk
    if not listed:
        return Table(api, (), RuleIndex(()), None, chunk)
    sdk = api.sdk()
    confirm = sdk.request_confirmer(strict=strict_requests)
    mocks = tuple(each.mock for each in listed)
    places = tuple(each.place for each in listed)
    rules: list[Rule] = []
    answered = cache(partial(calls.malformed_in_answers, mocks))  # of all mocks, once
    reviewed = ReviewedForms()
    for index, (mock, place, _, mistakes, form) in enumerate(listed):
        if mistakes:  # further checks need valid JSON
            problems += mistakes if index < len(own) else ()
            continue
        notes = reviewed.notes(form, place)
        if notes is not None:  # of this form a review finds nothing else
            problems += notes
            rule = compile_rule(api, index, mock, place, problems)
            rules += [] if rule is None else [rule]
            continue
        before = len(problems)
        found = [*review_mock(api, sdk, mock, place, require_auth=config.require_auth)]
        problems += found
        rule = compile_rule(api, index, mock, place, problems)
        reason = unanswerable.find_reason(api, rule.predicates) if rule is not None else None
        if reason is not None and index >= len(own):
            shared.never_matches(index - len(own), api, reason)
        elif reason is not None:
            problems.append(unanswerable.never(reason, place))
        if rule is not None and NEVER not in rule.predicates:
            rules.append(rule)
            if compares_whole(rule) and not any(p.severity is Severity.ERROR for p in found):
                problems += refused_value(api, confirm, mock, place)
                problems += calls.arguments_in_match(api.match_field, mock, answered, place)
        if reason is None:
            reviewed.add(form, problems[before:])
    problems += duplicate_names([each.mock for each in own], api.name)
    problems += _hidden(api, rules, listed, shared)
    problems += costs(rules, places)
    sound = [(each.mock, each.place) for each in own if not each.mistakes]
    problems += calls.results_without_call(api.match_field, sound)
    pace = compile_latency(config.pace, FILE)
    sources = tuple(
        NO_SOURCE if each.mistakes else _source(api, each, chunk, pace) for each in listed
    )
    return Table(
        api,
        mocks,
        RuleIndex(rules),
        confirm,
        chunk,
        sources,
        any(map(fails, sources)),
        places,
        shared=len(listed) - len(own),
        answers_look_back=any(map(looks_back, sources)),
        elsewhere=RuleIndex(tuple(_of_other_apis(api, listed))),
    )


def _of_other_apis(api: API, listed: Sequence[_Listed]) -> Iterator[Rule]:
    """Yield the rules of mocks that would match requests to `api`, were they not restricted to
    other APIs: a request that only those match is explained by them. They have a condition on what
    is said last, or they would explain any request, and none on more than the request's body."""
    for index, (mock, place, _, mistakes, _) in enumerate(listed):
        if mistakes or mock.match.api is None or api.word in mock.match.api:
            continue
        match = mock.match.model_copy(update={"api": None})
        predicates, found = compile_match(api, match, place)
        is_on_more = any(each.header_names or each.looks_back for each in predicates)
        if not found and not is_on_more and any(each.on_message for each in predicates):
            yield Rule(index, place, predicates)


def _hidden(
    api: API, rules: Sequence[Rule], listed: Sequence[_Listed], shared: _Shared
) -> Iterator[Problem]:
    """Yield the problems of mocks in the API's own list that earlier ones hide; of those that every
    API has, tell `shared`. `listed` has the former, then the latter."""
    own = len(listed) - (len(shared.listed) if api.respond is not None else 0)
    missed: list[Rule] = []
    for rule, covering in find_shadowed(rules, missed):
        by_script = listed[covering.index].mock.fails_at_end
        if rule.index < own:
            place = listed[rule.index].place
            yield unreachable(covering.label, place, by_script=by_script)
        else:
            is_default = bool(rule.predicates) and not covering.predicates
            hiding = Covering(covering.label, is_default, by_script)
            shared.hide(rule.index - own, api, hiding)
    if api is not _CONVERSATIONS[0]:  # those that every API has are told of once
        missed = [rule for rule in missed if rule.index < own]
    if missed:
        yield not_compared(missed, [each.place for each in listed])


def _source(
    api: API, listed: _Listed, chunk: Chunk, pace: Pace | None
) -> MockSource | ScriptedSource:
    """Return the source of a mock's answers. `chunk` and `pace` are those of the file."""
    source = source_of(api, listed.mock, chunk, listed.key)
    return set_paces(source, listed.mock, listed.place, pace)
