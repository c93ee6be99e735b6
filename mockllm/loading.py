"""From files to tables that answer: reading, confirming, compiling.

All mistakes of a run are found before anything is said, so they are told at once. What stops the
start is an error; what only looks wrong (a response that the official SDK's model refuses, a mock
that can never be reached) is a warning, and `strict` makes errors of those too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockllm.catalog import Catalog
from mockllm.config import MOCK_FIELDS, Config, MatchType, Mock, json_path, label
from mockllm.confirm import Confirm, Finding
from mockllm.confirm import Kind as FindingKind
from mockllm.errors import ConfigError, Problem, Severity
from mockllm.matching import covers
from mockllm.provider import SDK, Provider
from mockllm.providers import PROVIDERS
from mockllm.rule import HeaderRule, Kind, Rule

MOST_COMPARED = 2_000  # rules that look for a text; each is compared with all that stand before it


@dataclass(frozen=True, slots=True)
class Table:
    """One provider's mocks, ready to answer. `confirm` is the SDK's verdict on a request; None
    where there are no mocks, so that no SDK is imported to say that nothing matches."""

    provider: Provider
    mocks: tuple[Mock, ...]
    catalog: Catalog
    confirm: Confirm | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be served, and what its author should know."""

    tables: tuple[Table, ...]
    require_auth: bool = True
    warnings: tuple[Problem, ...] = ()


def load_config(*paths: str | Path) -> Config:
    """The configuration of several files: their mocks in order. A directory stands for its
    ``*.json`` files, sorted by name. Of settings that are no mocks, the last one counts.

    Raises:
        ConfigError: with the mistakes of all files.
    """
    problems: list[Problem] = []
    configs: list[Config] = []
    for path in paths:
        try:
            configs.extend(map(Config.from_file, _files(Path(path))))
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(tuple(problems))
    return _merged(configs)


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
    return Loaded(tables, config.require_auth, tuple(problems))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.json"))
    if not files:
        raise ConfigError(
            (Problem(str(path), "expected a directory with *.json files, found none"),)
        )
    return files


def _merged(configs: Sequence[Config]) -> Config:
    """One configuration of several. Mocks keep the place they were read from."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= {name: getattr(config, name) for name in config.model_fields_set}
    for field in MOCK_FIELDS:
        merged[field] = [mock for config in configs for mock in getattr(config, field)]
    return Config.model_construct(**merged)


# --- One provider --------------------------------------------------------------------------------


def _table(provider: Provider, config: Config, problems: list[Problem], strict: bool) -> Table:
    mocks: tuple[Mock, ...] = tuple(getattr(config, provider.name))
    if not mocks:
        return Table(provider, mocks, Catalog(()), confirm=None)
    sdk = provider.sdk()
    rules = []
    for index, mock in enumerate(mocks):
        place = mock.place or label(provider.name, index, mock.name)
        problems += _confirm_match(provider, sdk, mock, place)
        problems += _confirm_response(sdk, mock, place)
        rule = _compile(provider, index, mock, place, problems)
        if rule is not None:
            rules.append(rule)
    problems += _same_names(mocks, provider.name)
    problems += _never_reached(rules)
    return Table(provider, mocks, Catalog(rules), sdk.request_confirmer(strict=strict))


def _compile(
    provider: Provider, index: int, mock: Mock, place: str, problems: list[Problem]
) -> Rule | None:
    try:
        contains = mock.match.match_type is MatchType.CONTAINS
        expectation = provider.expect(_wanted(provider, mock), contains)
    except ValueError as exc:
        problems.append(Problem(f"{place}: match.{provider.looks_at}", str(exc)))
        return None
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


def _confirm_match(provider: Provider, sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    for finding in sdk.confirm_match(_wanted(provider, mock)):
        path = json_path(["match", provider.looks_at, *finding.path])
        yield Problem(f"{place}: {path}", finding.message)


def _confirm_response(sdk: SDK, mock: Mock, place: str) -> Iterator[Problem]:
    """What the SDK's model says of a response. Absent members are told in one line: they are
    completed, and a terse response lacks many."""
    absent: list[Finding] = []
    for finding in sdk.confirm_response(mock.response):
        if finding.kind is FindingKind.MISSING:
            absent.append(finding)
        else:
            path = json_path(["response", *finding.path])
            yield Problem(f"{place}: {path}", finding.message, Severity.WARNING)
    if absent:
        paths = ", ".join(json_path(list(finding.path)) for finding in absent)
        message = f"absent, completed where known: {paths}"
        yield Problem(f"{place}: response", message, Severity.WARNING)


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
    """Rules that an earlier one covers. Equal bodies are found in a dictionary; earlier rules that
    look for a text or an ending are compared one by one, up to MOST_COMPARED."""
    equals: dict[tuple[int, bytes], list[Rule]] = {}
    others: list[Rule] = []
    for rule in rules:
        wanted = rule.expectation
        same = equals.get((wanted.size, wanted.key), []) if wanted.kind is Kind.EQUALS else []
        covering = next((early for early in (*same, *others) if covers(early, rule)), None)
        if covering is not None:
            message = f"is never reached: {covering.label} matches whatever it does"
            yield Problem(rule.label, message, Severity.WARNING)
        elif wanted.kind is Kind.EQUALS:
            equals.setdefault((wanted.size, wanted.key), []).append(rule)
        elif len(others) < MOST_COMPARED:
            others.append(rule)
