"""What was decided on a request, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.replies.ready import ReadyBytes


class Decision(NamedTuple):
    """What the engine answers a request with, and why.

    `ready` is the reply as it goes over a connection that stays open, where nothing pauses and it
    is small; None otherwise. `reason` is a word or two for journals: ``matched``, ``no match``, ...
    `rule` is the rule whose mock answers, `prompt` the request as the rules saw it; None where no
    provider could read it, and where the decision was made before and is used again.
    """

    reply: Reply
    ready: ReadyBytes | None
    reason: str
    rule: Rule | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of a journal: what came in, what was decided, how long it took in seconds."""

    request: Request
    decision: Decision
    seconds: float
