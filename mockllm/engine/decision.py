"""What was decided on a request: who answers, with what, and what must be known before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple, Self

from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.replies.ready import ReadyBytes
from mockllm.wire.chunking import Chunk


class Outcome(Enum):
    """Who answered. The value is the word for it in logs."""

    MOCK = "matched"
    ECHO = "echo"
    GENERATED = "generated"
    """Made by an API that has an answer to anything: a vector."""
    UNMATCHED = "no match"
    REFUSED = "refused"
    """Not a request that the API takes: credentials, a member of the body, the framing."""
    ENDPOINT = "endpoint"
    PROBE = "health"
    PREFLIGHT = "preflight"
    NOT_FOUND = "not found"
    FAILED = "internal error"


class Summary(NamedTuple):
    """A request in a few words, for observers: made once per match and kept with it."""

    api: str
    model: str
    stream: bool

    @classmethod
    def of(cls, prompt: Prompt) -> Self:
        """The summary of `prompt`."""
        return cls(prompt.endpoint, prompt.model, prompt.options.stream)


class Answer(NamedTuple):
    """What is said: a response in its API's form, as configured or as made for a request, and how
    it is streamed: cut into deltas by `chunk`, or literally the `events`, where there are some."""

    response: dict[str, Any]
    chunk: Chunk = "word"
    events: Sequence[Any] | None = None


class Match(NamedTuple):
    """What a request was matched with: all that an equal request gets too.

    `ready` is the reply as it goes over a connection that stays open, where nothing pauses and it
    is small; None otherwise. `rule` is the rule whose mock answers. `summary` is None where no API
    could read the request, `answer` where nothing was said. `reusable`: an equal request may be
    answered by this match.
    """

    outcome: Outcome
    reply: Reply
    ready: ReadyBytes | None = None
    rule: Rule | None = None
    summary: Summary | None = None
    answer: Answer | None = None
    reusable: bool = False


class Decision(NamedTuple):
    """What one request is answered with: the match, and the reply as it is for this request alone.

    Both are the same as long as nothing is drawn or remembered for a single request.
    """

    match: Match
    reply: Reply
    ready: ReadyBytes | None

    @classmethod
    def by(cls, match: Match) -> Self:
        """The decision to answer as the match says."""
        return cls(match, match.reply, match.ready)


class AskWorkers(NamedTuple):
    """Have another worker process decide `request`: the one in `slot`, or where that is None any
    that knows. The answer is its reply, or None where nobody knows or answers in time."""

    request: Request
    slot: int | None


Operation = AskWorkers


class Question(NamedTuple):
    """What only the outside world can tell before a request is decided: operations, said as values,
    and how to go on with their answers, which are in the same order. `resume` may ask again."""

    operations: tuple[Operation, ...]
    resume: Callable[[Sequence[Any]], Decision | Question]


class End(Enum):
    """How a delivery ended. The value is the word for it in logs."""

    COMPLETE = "complete"
    CLEAN = "ended early"
    CUT = "cut"
    RESET = "reset"
    HANG = "hung"
    CLIENT_GONE = "client gone"
    FAILED = "failed"


class Delivery(NamedTuple):
    """What really went over the wire, in seconds since the request was whole: when it was decided,
    when the first byte was written, and when it ended, and how."""

    decided: float
    first_byte: float
    ended: float
    end: End = End.COMPLETE


class Exchange(NamedTuple):
    """A request, what was decided on it, and what became of it: an observer's line."""

    request: Request
    decision: Decision
    delivery: Delivery
