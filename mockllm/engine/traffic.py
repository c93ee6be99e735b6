"""Compiles the traffic of a configuration for each API, and reviews it."""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.config import traffic as words
from mockllm.config.models import Config
from mockllm.engine import unanswerable
from mockllm.engine.conditions import compile_match
from mockllm.engine.effects import Traffic, TrafficEntry
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import compile_faults, in_whole_answer
from mockllm.engine.latency import compile_latency
from mockllm.errors import Place, Problem, Severity
from mockllm.matching.rule import Rule
from mockllm.providers.api import API
from mockllm.wire.chunking import Chunk

MIN_SUSPICIOUS = 1000
"""A number without a unit, in `from`, `to` or `ramp`: 17 minutes, or a second in milliseconds."""


class TrafficCompiler:
    """Compiles the traffic of one configuration, API by API."""

    def __init__(self, config: Config, chunk: Chunk) -> None:
        self._entries = config.traffic
        self._places = [each.place_in(index) for index, each in enumerate(config.traffic)]
        self._chunk = chunk
        self._compiled: dict[str, list[TrafficEntry]] = {}  # by the word of the API
        self._never: list[dict[str, str]] = [{} for _ in config.traffic]
        self._problems: list[Problem] = []

    def compile(self, api: API) -> Traffic | None:
        """Return the traffic of `api`; None if no entry is for its requests."""
        compiled: list[TrafficEntry] = []
        for index, (written, place) in enumerate(zip(self._entries, self._places, strict=True)):
            predicates, found = compile_match(api, written.match, place.at("match"))
            self._problems += found
            reason = unanswerable.find_reason(api, predicates)
            if reason is not None:
                self._never[index][api.word] = reason
            if not any(problem.severity is Severity.ERROR for problem in found) and not reason:
                rule = Rule(index, place, predicates, stateful=True)
                compiled.append(_compile(api, written, rule, place, self._chunk))
        self._compiled[api.word] = compiled
        return Traffic(compiled) if compiled else None

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the entries, when all APIs are compiled."""
        yield from self._problems


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
