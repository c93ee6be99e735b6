"""Compiles the traffic of a configuration for each API, and has it reviewed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mockllm.config import traffic as words
from mockllm.config.models import Config
from mockllm.engine.conditions import compile_match
from mockllm.engine.effects import Traffic, TrafficEntry
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import compile_faults, in_whole_answer
from mockllm.engine.latency import compile_latency, review_latencies
from mockllm.engine.limiting import compile_rate_limit
from mockllm.engine.review import traffic as review
from mockllm.engine.review import unanswerable
from mockllm.engine.scripts import as_json
from mockllm.errors import ConfigError, Place, Problem, Severity
from mockllm.matching.rule import Rule
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.state.keys import Identity, state_keys
from mockllm.wire.chunking import Chunk


class TrafficCompiler:
    """Compiles the traffic of one configuration, API by API."""

    def __init__(self, config: Config) -> None:
        self._entries = config.traffic
        self._require_auth = config.require_auth
        self._chunk = config.stream.chunk
        self._places = [each.place_in(index) for index, each in enumerate(config.traffic)]
        self._keys = state_keys(
            Identity("traffic", each.name, as_json(each.match), None) for each in config.traffic
        )
        self._never: list[dict[str, str]] = [{} for _ in config.traffic]
        self._compiled: list[tuple[API, dict[int, TrafficEntry]]] = []
        self._problems: list[Problem] = []

    def compile(self, api: API) -> Traffic | None:
        """Return the traffic of `api`; None if no entry is for its requests."""
        compiled: dict[int, TrafficEntry] = {}
        for index, (written, place) in enumerate(zip(self._entries, self._places, strict=True)):
            predicates, found = compile_match(api, written.match, place)
            self._problems += found
            reason = unanswerable.find_reason(api, predicates)
            if reason is not None:
                self._never[index][api.word] = reason
            elif not any(problem.severity is Severity.ERROR for problem in found):
                rule = Rule(index, place, predicates, stateful=True)
                entry = _compile(api, written, rule, place, self._chunk)
                limit = compile_rate_limit(written.rate_limit, self._keys[index], api)
                compiled[index] = replace(entry, limit=limit)
        self._compiled.append((api, compiled))
        return Traffic([*compiled.values()]) if compiled else None

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the entries, when all APIs are compiled."""
        yield from self._problems
        apis = [api for api, _ in self._compiled]
        by_api = [compiled for _, compiled in self._compiled]
        for index, (written, place) in enumerate(zip(self._entries, self._places, strict=True)):
            meeting = [api for api, compiled in self._compiled if index in compiled]
            yield from review.review_entry(written, place, meeting, require_auth=self._require_auth)
            yield from review.never_matching(written, self._never[index], apis, place)
        yield from review.duplicate_names(self._places)
        yield from review.hidden_kinds(self._entries, by_api, self._places)
        yield from review.slow_conditions(by_api, self._places)


class CompiledTraffic(NamedTuple):
    """All traffic of a server: the entries as they are written, compiled for each API by its name,
    and likely mistakes in them."""

    entries: tuple[words.Traffic, ...]
    by_api: Mapping[str, Traffic]
    warnings: tuple[Problem, ...] = ()


def compile_traffic(
    entries: Sequence[object], *, chunk: Chunk, require_auth: bool, strict: bool = False
) -> CompiledTraffic:
    """Return traffic that is set at run time. Each of `entries` is written as in a file; the others
    are those of the configuration. With `strict`, likely mistakes are mistakes.

    Raises:
        ConfigError: lists the mistakes of all.
    """
    stream, written = {"chunk": chunk}, list(entries)
    config = Config.from_dict({"traffic": written, "stream": stream, "require_auth": require_auth})
    compiler = TrafficCompiler(config)
    compiled = {api.name: compiler.compile(api) for api in APIS}
    problems = dict.fromkeys([*compiler.problems(), *review_latencies(config)])
    told = tuple(each for each in problems if each.severity is not Severity.NOTE)
    if any(strict or each.severity is Severity.ERROR for each in told):
        raise ConfigError(told)
    by_api = {name: each for name, each in compiled.items() if each is not None}
    return CompiledTraffic(tuple(config.traffic), by_api, told)


def _compile(
    api: API, written: words.Traffic, rule: Rule, place: Place, chunk: Chunk
) -> TrafficEntry:
    """Return an entry, which is written at `place`, in one API."""
    pace = compile_latency(written.pace, place.mock)
    faults = compile_faults(written.faults)
    error = None
    if written.failure is not None:
        error = failed_answer(api, compile_error(written.failure), chunk)._replace(
            pace=pace, has_own_pace=True, faults=in_whole_answer(faults)
        )
    return TrafficEntry(
        rule,
        written.name,
        written.begin,
        written.end,
        written.rise,
        written.chance,
        error,
        written.latency is not None,
        pace,
        faults,
    )
