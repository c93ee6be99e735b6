"""From files to tables that answer: reading, confirming, compiling.

All mistakes of a run are found before anything is said, so they are told at once. What stops the
start is an error; what only looks wrong (a response that the official SDK's model refuses, a mock
that can never be reached) is a warning, and `strict` makes errors of those too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mockllm.config.files import read_files
from mockllm.config.mistakes import label
from mockllm.config.models import Config, MatchType, Mock
from mockllm.engine.mocks import Table
from mockllm.engine.review import (
    confirm_events,
    confirm_match,
    confirm_response,
    not_json,
    same_names,
    unreachable,
    wanted,
)
from mockllm.errors import ConfigError, Problem, Severity
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import HeaderRule, Rule
from mockllm.providers import APIS
from mockllm.providers.api import API


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be served, and what its author should know."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    cors: bool = True
    warnings: tuple[Problem, ...] = ()


def load_config(*paths: str | Path) -> Config:
    """The configuration of several files, as `read_files` has it.

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
    tables = tuple(_table(api, config, problems, strict) for api in APIS)
    fatal = problems if strict else [p for p in problems if p.severity is Severity.ERROR]
    if fatal:
        raise ConfigError(tuple(problems))
    return Loaded(tables, config.require_auth, config.cors, tuple(problems))


# --- One provider --------------------------------------------------------------------------------


def _table(api: API, config: Config, problems: list[Problem], strict: bool) -> Table:
    mocks: tuple[Mock, ...] = tuple(getattr(config, api.name))
    chunk = config.stream.chunk
    if not mocks:
        return Table(api, mocks, RuleIndex(()), None, chunk)
    sdk = api.sdk()
    rules = []
    for index, mock in enumerate(mocks):
        place = mock.place or label(api.name, index, mock.name)
        mistakes = [*not_json(api, mock, place)]
        problems += mistakes
        if mistakes:
            continue  # nothing else could be found out about it
        problems += confirm_match(api, sdk, mock, place)
        problems += confirm_response(sdk, mock, place)
        problems += confirm_events(api, sdk, mock, place)
        rule = _compile(api, index, mock, place, problems)
        if rule is not None:
            rules.append(rule)
    problems += same_names(mocks, api.name)
    problems += unreachable(rules)
    return Table(api, mocks, RuleIndex(rules), sdk.request_confirmer(strict=strict), chunk)


def _compile(api: API, index: int, mock: Mock, place: str, problems: list[Problem]) -> Rule | None:
    try:
        contains = mock.match.match_type is MatchType.CONTAINS
        expectation = api.compile_match(wanted(api, mock), contains)
    except ValueError as exc:
        problems.append(Problem(f"{place}: match.{api.match_field}", str(exc)))
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
