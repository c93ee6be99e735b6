"""Judges by what `Lateness` has counted whether clients saw the delays of the configuration or
those of the server: for a program, for JSON and for a person. It does not know why a step was late.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mockllm.observers.lateness import MAX_HELD, Lateness


class Timing(NamedTuple):
    """How a server kept the times of its paced answers. Times are in seconds.

    It counts answers with a latency only, and no step that waited for a client which reads slowly.
    """

    requests: int
    """The requests whose answers had begun."""
    streams: int
    """Those whose answers are streams."""
    most_open: int
    """The most answers that were open at once."""
    steps: int
    """The events, or whole answers, that were handed to the system."""
    tokens: int
    """The tokens in them."""
    late_p50: float
    """Half of the steps were late by at most so much."""
    late_p99: float
    """99 of 100 steps were late by at most so much."""
    late_max: float
    """The most by which a step was late."""
    longest_stall: float
    """The most by which the server's loop was late to look at what is due."""
    cpu_share: float
    """The share of the time with open answers in which the loop worked, from 0 to 1. With several
    workers, the mean of them."""
    verdict: str
    """Whether the schedule was held, as a sentence."""

    @property
    def held(self) -> bool:
        """True if 99 of 100 steps were late by at most 10 ms, or there were none."""
        return self.late_p99 <= MAX_HELD

    @classmethod
    def of(cls, lateness: Lateness) -> Timing:
        """Return what was counted."""
        return cls(
            requests=lateness.answers,
            streams=lateness.streams,
            most_open=lateness.most_open,
            steps=lateness.steps,
            tokens=lateness.tokens,
            late_p50=lateness.quantile(0.5),
            late_p99=lateness.quantile(0.99),
            late_max=lateness.latest,
            longest_stall=lateness.longest_stall,
            cpu_share=lateness.cpu_share,
            verdict=verdict(lateness),
        )


def verdict(lateness: Lateness) -> str:
    """Say whether the delays that clients saw were those of the configuration."""
    if not lateness.answers:
        return "no answer was paced"
    if lateness.is_held:
        return "held the schedule"
    above = lateness.late_above
    where = f"above {above:,} open answers, delays" if above else "delays"
    remedy = "use more --workers or fewer clients"
    return f"late: {where} are the mock server's own; {remedy}"


def as_object(timing: Timing) -> dict[str, Any]:
    """Return a timing as a JSON object, with times in milliseconds."""
    return {
        "requests": timing.requests,
        "streams": timing.streams,
        "most_open": timing.most_open,
        "steps": timing.steps,
        "tokens": timing.tokens,
        "late_ms": {
            "p50": _milliseconds(timing.late_p50),
            "p99": _milliseconds(timing.late_p99),
            "max": _milliseconds(timing.late_max),
        },
        "longest_stall_ms": _milliseconds(timing.longest_stall),
        "cpu_share": round(timing.cpu_share, 2),
        "verdict": timing.verdict,
    }


def as_rows(timing: Timing) -> list[tuple[str, str]]:
    """Return a timing as names and values of a table."""
    found = as_object(timing)
    late = found["late_ms"]
    return [
        (
            "paced answers",
            f"{timing.requests:,} ({timing.streams:,} streams), {timing.most_open:,} open at most",
        ),
        ("steps", f"{timing.steps:,} with {timing.tokens:,} tokens"),
        (
            "late by",
            f"{late['p50']:g} ms (p50), {late['p99']:g} ms (p99), {late['max']:g} ms (max)",
        ),
        (
            "loop",
            f"longest stall {found['longest_stall_ms']:g} ms, {timing.cpu_share:.0%} of a core",
        ),
        ("verdict", timing.verdict),
    ]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
