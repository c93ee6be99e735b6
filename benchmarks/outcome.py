"""What a run of a load generator tells."""

from __future__ import annotations

from dataclasses import dataclass

CONNECTIONS = 16


class LoadError(Exception):
    """The load generator itself failed, or is not installed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The counts of a run: `refused` answers with a status above 399, `broken` requests (socket
    errors and timeouts). Times are in microseconds."""

    requests: int
    microseconds: int
    refused: int
    broken: int
    p50: int
    p99: int
