"""Compiles the latencies of a configuration, and reviews them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mockllm.config.latency import Latency, suspicious_times
from mockllm.config.mistakes import json_path
from mockllm.config.models import MOCK_FIELDS, AnyMock, Config
from mockllm.engine.failures import compile_error
from mockllm.engine.pace import Pace
from mockllm.engine.sources import MockSource, ScriptedSource, with_pace
from mockllm.errors import Place, Problem, warning
from mockllm.exchange import Pacing, PoolRule

FILE = "latency"
"""The name of the pool of the file's latency, if it has no other."""


def compile_latency(latency: Latency | None, place: str) -> Pace | None:
    """Return the pace of a latency that is written at `place`; None if it takes no time and has no
    bound on what is answered at once, as by a gate or to a slow client."""
    if latency is None:
        return None
    rule = _compile_pool(latency, place)
    ttft, per_token = latency.seconds("ttft"), latency.seconds("ttft_per_token")
    pacing = Pacing(rule, ttft, latency.between_tokens, latency.effective("jitter") or 0.0)
    if not (_takes_time(latency) or rule.concurrency):
        return None
    full = compile_error(latency.error) if rule.queue is not None else None
    return Pace(pacing, per_token, full, latency.effective("cached") or 0.0)


def _takes_time(latency: Latency) -> bool:
    times = latency.seconds("ttft"), latency.between_tokens, latency.seconds("ttft_per_token")
    return any(times)


def _compile_pool(latency: Latency, place: str) -> PoolRule:
    return PoolRule(
        latency.effective("pool") or place,
        latency.effective("concurrency"),
        latency.effective("queue"),
        latency.effective("slowdown") or 1.0,
        latency.shared,
    )


def set_paces(
    source: MockSource | ScriptedSource, mock: AnyMock, place: Place, default: Pace | None
) -> MockSource | ScriptedSource:
    """Return the source of a mock that is written at `place`, with the paces of its answers: that
    of the answer's own latency, else that of the mock's, else the `default`. An error has that of
    its own only."""
    pace = default if mock.pace is None else compile_latency(mock.pace, place.mock)
    has_own = mock.pace is not None
    if not isinstance(source, ScriptedSource):
        return _with_pace(source, pace, is_own=has_own, of_error=has_own)
    found: list[MockSource] = []
    for each, (path, entry) in zip(source.entries, mock.entries(), strict=False):
        if entry.pace is not None:
            own = compile_latency(entry.pace, place.at(path))
            found.append(with_pace(each, own, is_own=True))
        else:
            of_error = has_own and not entry.has_answer
            found.append(_with_pace(each, pace, is_own=has_own, of_error=of_error))
    rest = source.entries[len(found) :]  # the mock's own answer
    found += [_with_pace(each, pace, is_own=has_own, of_error=has_own) for each in rest]
    return replace(source, entries=tuple(found))


def _with_pace(
    source: MockSource, pace: Pace | None, *, is_own: bool, of_error: bool
) -> MockSource:
    """Return `source` with a pace, which `is_own` of its mock or that of the file. An error has it
    only if it is that `of_error`."""
    if source.fixed.failure is not None and not of_error:
        return source
    return with_pace(source, pace, is_own=is_own)


# --- review --------------------------------------------------------------------------------------


def review_latencies(config: Config) -> Iterator[Problem]:
    """Yield the problems of all latencies: times that were surely meant as milliseconds, jitter of
    no time, and pools that are described in several ways."""
    pools: dict[str, tuple[PoolRule, Place]] = {}
    for latency, place in _latencies(config):
        for path, message in suspicious_times(latency):
            yield warning(place.at(json_path([FILE, *path])), message)
        if latency.effective("jitter") and not _takes_time(latency):
            message = "no time varies: write 'ttft', 'itl' or 'ttft_per_token' beside it"
            yield warning(place.at(f"{FILE}.jitter"), message)
        name = latency.effective("pool")
        if name is None:
            continue
        rule = _compile_pool(latency, name)
        earlier, other = pools.setdefault(name, (rule, place))
        if earlier != rule:
            message = (
                f"the pool {name!r} has other numbers in {other or 'the file'}: write the same "
                "'concurrency', 'queue', 'slowdown' and 'shared', or another name"
            )
            yield Problem(place.at(f"{FILE}.pool"), message)


def _latencies(config: Config) -> Iterator[tuple[Latency, Place]]:
    if config.pace is not None:
        yield config.pace, config.latency_place
    for index, entry in enumerate(config.traffic):
        if entry.pace is not None:
            yield entry.pace, entry.place_in(index)
    for field in MOCK_FIELDS:
        for index, mock in enumerate(getattr(config, field)):
            for path, written in [("", mock), *mock.entries()]:
                if written.pace is not None:
                    yield written.pace, mock.place_in(field, index).at(path)
