"""Loads configurations: validates mocks and compiles them into tables.

All mistakes are collected before any is reported. A mock that cannot be served is an error; a
likely mistake (a response that the official SDK's model rejects, an unreachable mock) is a warning,
which strict loading treats as an error. What is filled in is a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mockllm.config.files import read_files
from mockllm.config.models import (
    MOCK_FIELDS,
    Config,
    HeaderMatch,
    MatchType,
    Mock,
    SessionHeader,
)
from mockllm.engine.mocks import Table, source_of
from mockllm.engine.review import (
    compares_exactly,
    confirm_events,
    confirm_match,
    confirm_no_error,
    confirm_response,
    contradictions,
    duplicate_names,
    empty_conditions,
    impossible_count,
    match_value,
    unreachable,
    unserialisable_values,
    unusable_response,
)
from mockllm.errors import ConfigError, Place, Problem, Severity
from mockllm.matching.index import RuleIndex
from mockllm.matching.predicates import (
    HasInputs,
    HeaderContains,
    HeaderEquals,
    OffersTool,
    Predicate,
    SystemContains,
)
from mockllm.matching.rule import Rule
from mockllm.providers import APIS
from mockllm.providers.api import API, CannotMatch
from mockllm.state.session_names import NO_SETTING, SessionSetting


@dataclass(frozen=True, slots=True)
class Loaded:
    """A compiled configuration, and the warnings about it."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    cors: bool = True
    warnings: tuple[Problem, ...] = ()
    session: SessionSetting = NO_SETTING


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that is found in files. `config` has their valid mocks; `served` is True if the
    server would start with them. `mocks` counts the mocks, valid or not, `files` those they are
    in."""

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
    places += [problem.place for problem in found if isinstance(problem.place, Place)]
    return Review(
        config,
        found,
        served=all(problem.severity is not Severity.ERROR for problem in found),
        mocks=len({(place.file, place.field, place.position) for place in places if place.field}),
        files=len({place.file for place in places}),
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
    return Loaded(tables, config.require_auth, config.cors, told, _session_setting(config))


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
    tables = tuple(_table(api, config, problems, strict_requests) for api in APIS)
    return tables, problems


# --- one API -------------------------------------------------------------------------------------


def _table(api: API, config: Config, problems: list[Problem], strict_requests: bool) -> Table:
    mocks: tuple[Mock, ...] = tuple(getattr(config, api.name))
    chunk = config.stream.chunk
    if not mocks:
        return Table(api, mocks, RuleIndex(()), None, chunk)
    sdk = api.sdk()
    rules = []
    places: dict[int, Place] = {}
    for index, mock in enumerate(mocks):
        place = places[index] = mock.place_in(api.name, index)
        mistakes = [*unserialisable_values(api, mock, place)]
        problems += mistakes
        if mistakes:
            continue  # further checks need valid JSON
        problems += confirm_match(api, sdk, mock, place)
        problems += empty_conditions(mock, place)
        errors = [*confirm_no_error(api, mock, place)]
        problems += errors or confirm_response(api, sdk, mock, place)
        problems += contradictions(api, mock, place)
        problems += impossible_count(api, mock, place)
        problems += unusable_response(mock, place)
        problems += confirm_events(api, sdk, mock, place)
        rule = _compile(api, index, mock, place, problems)
        if rule is not None:
            rules.append(rule)
    problems += duplicate_names(mocks, api.name)
    problems += unreachable(rules, places)
    confirm = sdk.request_confirmer(strict=strict_requests)
    sources = tuple(source_of(mock, chunk) for mock in mocks)
    return Table(api, mocks, RuleIndex(rules), confirm, chunk, sources)


def _compile(
    api: API, index: int, mock: Mock, place: Place, problems: list[Problem]
) -> Rule | None:
    on_message: tuple[Predicate, ...] = ()
    value = match_value(api, mock)
    if value is not None:
        try:
            contains = mock.match.match_type is MatchType.CONTAINS
            on_message = (api.compile_match(value, contains),)
        except ValueError as exc:
            severity = Severity.WARNING if isinstance(exc, CannotMatch) else Severity.ERROR
            problems.append(Problem(place.at(f"match.{api.match_field}"), str(exc), severity))
            return None
    on_request = map(SystemContains, getattr(mock.match, "system_contains", ()))
    on_tools = map(OffersTool, getattr(mock.match, "tool_names", ()))
    on_headers = map(_compile_header, mock.match.headers)
    # What is compared exactly belongs to its response, whatever the number: check warns.
    is_exact = compares_exactly(api, mock)
    answers = 1 if is_exact or api.batch is None else api.batch.answers(mock.answer)
    on_inputs = (HasInputs(answers),) if answers > 1 else ()
    return Rule(index, place, (*on_message, *on_request, *on_tools, *on_headers, *on_inputs))


def _compile_header(header: HeaderMatch) -> Predicate:
    kind = HeaderContains if header.match_type is MatchType.CONTAINS else HeaderEquals
    name = header.name.strip().lower().encode()
    return kind(name, title=header.name, value=header.value.strip().encode())
