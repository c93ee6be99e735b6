"""The phases of a connection, and the moves between them."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """The event that a connection waits for. Only `HTTPProtocol._enter` changes it; `Timeouts`
    limits its duration."""

    IDLE = "idle"
    """The first byte of a request."""
    HEAD = "head"
    """The end of its head."""
    BODY = "body"
    """The end of its body."""
    ANSWERING = "answering"
    """The end of an answer that takes time."""
    LINGERING = "lingering"
    """The peer's close: the last answer is written, and further bytes are discarded."""
    CLOSED = "closed"
    """Nothing: the connection is lost."""


IDLE = Phase.IDLE
"""The phase in which nearly all requests come: to get it of its enumeration takes 0.06 µs."""

READING = {Phase.IDLE, Phase.HEAD, Phase.BODY}

FOLLOWS = {
    **dict.fromkeys(READING, READING | {Phase.ANSWERING, Phase.LINGERING, Phase.CLOSED}),
    Phase.ANSWERING: READING | {Phase.LINGERING, Phase.CLOSED},
    Phase.LINGERING: {Phase.CLOSED},
    Phase.CLOSED: set(),
}
"""The phases that may follow each phase."""
