"""Loads configurations: validates mocks and compiles them into tables.

All mistakes are collected before any is reported. A mock that cannot be served is an error; a
likely mistake (a response that the official SDK's model rejects, an unreachable mock) is a warning,
which `strict` treats as an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mockllm.config.files import read_files
from mockllm.config.mistakes import label
from mockllm.config.models import Config, HeaderMatch, MatchType, Mock
from mockllm.engine.mocks import Table, source_of
from mockllm.engine.review import (
    confirm_events,
    confirm_match,
    confirm_no_error,
    confirm_response,
    duplicate_names,
    empty_conditions,
    match_value,
    unreachable,
    unserialisable_values,
)
from mockllm.errors import ConfigError, Problem, Severity
from mockllm.matching.index import RuleIndex
from mockllm.matching.predicates import (
    HeaderContains,
    HeaderEquals,
    OffersTool,
    Predicate,
    SystemContains,
)
from mockllm.matching.rule import Rule
from mockllm.providers import APIS
from mockllm.providers.api import API


@dataclass(frozen=True, slots=True)
class Loaded:
    """A compiled configuration, and the warnings about it."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    cors: bool = True
    warnings: tuple[Problem, ...] = ()


def load_config(*paths: str | Path) -> Config:
    """Return the configuration of one or more files or directories, merged in order.

    Raises:
        ConfigError: lists the mistakes of all files, including those found by compiling.
    """
    config, problems = read_files(*paths)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ConfigError((*problems, *_errors(config)))
    config.add_warnings(problems)
    return config


def _errors(config: Config) -> list[Problem]:
    """Return the problems that prevent serving `config`."""
    try:
        load(config)
    except ConfigError as exc:
        return [problem for problem in exc.problems if problem.severity is Severity.ERROR]
    return []


def load(config: Config, *, strict: bool = False) -> Loaded:
    """Validate `config` and return its compiled form.

    Raises:
        ConfigError: a mock's message or input is invalid for its API; with `strict`, also if
            there are warnings.
    """
    problems = list(config.warnings)
    tables = tuple(_table(api, config, problems, strict) for api in APIS)
    fatal = problems if strict else [p for p in problems if p.severity is Severity.ERROR]
    if fatal:
        raise ConfigError(tuple(problems))
    return Loaded(tables, config.require_auth, config.cors, tuple(problems))


# --- one API -------------------------------------------------------------------------------------


def _table(api: API, config: Config, problems: list[Problem], strict: bool) -> Table:
    mocks: tuple[Mock, ...] = tuple(getattr(config, api.name))
    chunk = config.stream.chunk
    if not mocks:
        return Table(api, mocks, RuleIndex(()), None, chunk)
    sdk = api.sdk()
    rules = []
    for index, mock in enumerate(mocks):
        place = mock.place or label(api.name, index, mock.name)
        mistakes = [*unserialisable_values(api, mock, place)]
        problems += mistakes
        if mistakes:
            continue  # further checks need valid JSON
        problems += confirm_match(api, sdk, mock, place)
        problems += empty_conditions(mock, place)
        errors = [*confirm_no_error(api, mock, place)]
        problems += errors or confirm_response(sdk, mock, place)
        problems += confirm_events(api, sdk, mock, place)
        rule = _compile(api, index, mock, place, problems)
        if rule is not None:
            rules.append(rule)
    problems += duplicate_names(mocks, api.name)
    problems += unreachable(rules)
    confirm = sdk.request_confirmer(strict=strict)
    sources = tuple(source_of(mock, chunk) for mock in mocks)
    return Table(api, mocks, RuleIndex(rules), confirm, chunk, sources)


def _compile(api: API, index: int, mock: Mock, place: str, problems: list[Problem]) -> Rule | None:
    on_message: tuple[Predicate, ...] = ()
    value = match_value(api, mock)
    if value is not None:
        try:
            contains = mock.match.match_type is MatchType.CONTAINS
            on_message = (api.compile_match(value, contains),)
        except ValueError as exc:
            problems.append(Problem(f"{place}: match.{api.match_field}", str(exc)))
            return None
    on_request = map(SystemContains, getattr(mock.match, "system_contains", ()))
    on_tools = map(OffersTool, getattr(mock.match, "tool_names", ()))
    on_headers = map(_compile_header, mock.match.headers)
    return Rule(index, place, (*on_message, *on_request, *on_tools, *on_headers))


def _compile_header(header: HeaderMatch) -> Predicate:
    kind = HeaderContains if header.match_type is MatchType.CONTAINS else HeaderEquals
    name = header.name.strip().lower().encode()
    return kind(name, title=header.name, value=header.value.strip().encode())
