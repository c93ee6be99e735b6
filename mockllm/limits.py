"""What a server takes from its clients, and how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. Each has its answer where it is passed."""

    head: int = 64 * KIB
    """Of the request line and the headers: 414 or 431."""
    headers: int = 100
    """Header lines of a request: 431."""
    body: int = 64 * MIB
    """Of a body, decoded: 413. The largest request with images that we know is half of it."""
    unread: int = 256 * KIB
    """Received behind a request that is still being answered: no more is read until it is."""
    connections: int = 100_000
    """At once: further ones are answered with 503 and closed."""
    keep_alive: float = 75.0
    """A connection without a request is closed. Longer than the clients' own pools keep it."""
    head_time: float = 30.0
    """From the first byte of a request to the end of its head: 408."""
    body_grace: float = 30.0
    """From the end of a head until a body must come at `body_rate`: 408."""
    body_rate: float = 240.0
    """Bytes a second of a body: 408. A peer slower than this holds a connection for nothing."""
    write_time: float = 60.0
    """In which a peer that is being answered takes no byte: the connection is cut."""
    linger: float = 2.0
    """Without a byte of a peer that is refused and may go on sending, so that it reads the refusal:
    the connection is cut."""
