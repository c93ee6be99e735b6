"""Loads configurations: validates mocks and compiles them into tables.

All mistakes are collected before any is reported. A mock that cannot be served is an error; a
likely mistake (a response that the official SDK's model rejects, an unreachable mock) is a warning,
which strict loading treats as an error. What is filled in is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mockllm.config.files import listed_files, read_files
from mockllm.config.models import MOCK_FIELDS, Config, SessionHeader
from mockllm.config.traffic import Traffic
from mockllm.engine.latency import FILE, compile_latency, review_latencies
from mockllm.engine.mocks import Table
from mockllm.engine.pace import Pace
from mockllm.engine.tables import SharedMocks, compile_table
from mockllm.engine.traffic import TrafficCompiler
from mockllm.errors import MISSING_EXTRA, ConfigError, Place, Problem, Severity
from mockllm.providers import APIS
from mockllm.state.session_names import NO_SETTING, SessionSetting
from mockllm.wire.chunking import Chunk


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
    shared, traffic = SharedMocks(config), TrafficCompiler(config)
    tables = tuple(
        _with_traffic(
            compile_table(api, config, shared, problems, strict_requests=strict_requests), traffic
        )
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
