"""Limits on what clients send, and on how long the server waits for them."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

MIN_SPEED, MAX_SPEED = 1e-6, 1_000_000.0  # times as fast as real time


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are in bytes, times in seconds; each field names the status sent beyond it."""

    head: int = 64 * KIB
    """Maximum size of the request line and headers; beyond: 414 or 431."""
    headers: int = 100
    """Maximum number of header lines of a request; beyond: 431."""
    body: int = 64 * MIB
    """Maximum size of a decoded body; beyond: 413. Twice the largest known request with images."""
    unread: int = 256 * KIB
    """Maximum size of pipelined bytes buffered while a request is answered; beyond: reading pauses.
    """
    connections: int = 100_000
    """Maximum number of concurrent connections; further ones get 503 and are closed."""
    keep_alive: float = 3660.0
    """Idle timeout of a connection, longer than that of any usual client's pool: Envoy keeps a
    connection for an hour, Java for 20 minutes, Go and reqwest for 90 s. A server that closes first
    may do so while a request is on its way, which most clients do not retry."""
    head_time: float = 30.0
    """Maximum time from the first byte of a request to the end of its headers; beyond: 408."""
    body_grace: float = 30.0
    """Time after the headers before `body_rate` is enforced."""
    body_rate: float = 240.0
    """Minimum rate of a body in bytes per second; below: 408."""
    write_time: float = 60.0
    """Maximum time in which a client reads no byte of its response; beyond: aborted."""
    linger: float = 2.0
    """Time without a byte from a client whose request was rejected before it was complete; then the
    connection is aborted. Closing at once could destroy the response before the client reads it."""
