"""The frozen values that every floor speaks: a request, a reply, a decision, an exchange.

They hold no socket, no clock and no provider's format. A reply is *time as data*: a tuple of steps
``(pause_seconds, bytes)`` and an ending, so latency and faults are functions from reply to reply,
and a test of them never sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from mockllm.prompt import Prompt
from mockllm.rule import Rule

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines in order, names in lower case: ``((b"content-type", b"application/json"), ...)``."""


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request as received.

    `path` and `query` are the two halves of the target, as sent (``/v1/messages``, ``beta=true``).
    `first` maps each header name to its first value with surrounding white space removed.
    """

    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    first: dict[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = {name: value.strip() for name, value in reversed(self.headers)}
        object.__setattr__(self, "first", first)


class Step(NamedTuple):
    """Wait `pause` seconds after the step before, then send `data`."""

    pause: float
    data: bytes


class Ending(Enum):
    """How a reply ends once its steps are sent."""

    COMPLETE = "complete"
    """The message is closed as HTTP wants it; the connection may be used again."""
    CUT = "cut"
    """The connection is closed in the middle of the message."""
    RESET = "reset"
    """The connection is reset (TCP RST)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is framed as HTTP.

    The bytes may bear the marks of `mockllm.playback` where something belongs that only the
    delivery knows (a fresh id, the time). A `streamed` reply is sent as it comes, one HTTP chunk a
    step; any other has its length announced.
    """

    status: int
    headers: Headers
    steps: tuple[Step, ...]
    ending: Ending = Ending.COMPLETE
    streamed: bool = False

    @property
    def body(self) -> bytes:
        """All bytes of all steps, for tests and for whole answers."""
        return b"".join(step.data for step in self.steps)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the engine answers a request with, and why.

    `rule` is the rule whose mock answers, `prompt` the request as the rules saw it (None where no
    provider could read it), `reason` one word for journals: ``matched``, ``no match``, ...
    """

    reply: Reply
    reason: str
    rule: Rule | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of a journal: what came in, what was decided, how long it took in seconds."""

    request: Request
    decision: Decision
    seconds: float
