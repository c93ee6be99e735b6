"""What was decided on a request: who answers, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Self

from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.replies.ready import ReadyBytes


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


class Decision(NamedTuple):
    """What a request is answered with, and who answers.

    `ready` is the reply as it goes over a connection that stays open, where nothing pauses and it
    is small; None otherwise. `rule` is the rule whose mock answers. `summary` is None where no API
    could read the request. `reusable`: an equal request may be answered by this decision too.
    `retrievable`: the answer may be asked for again, by its id.
    """

    reply: Reply
    ready: ReadyBytes | None
    outcome: Outcome
    rule: Rule | None = None
    summary: Summary | None = None
    reusable: bool = False
    retrievable: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of a journal: what came in, what was decided, how long it took in seconds."""

    request: Request
    decision: Decision
    seconds: float
