"""Plays the answers of mocks in order, so that clients can be called for each of them.

It knows which request gets which answer. It does not know what clients make of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from mockllm.config.answers import WrittenAnswer
from mockllm.config.models import MOCK_FIELDS, AnyMock, Config
from mockllm.config.objects import ConfigObject
from mockllm.engine.asking import answer_alone
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.engine.review.mocks import MIN_ERROR
from mockllm.engine.sources import entries_of
from mockllm.exchange import Request
from mockllm.matching.rule import Rule
from mockllm.state.store import LocalStore

_T = TypeVar("_T", bound=ConfigObject)


class Turn(NamedTuple):
    """A request and its answer: what is `written` at this path in the mock, None if it is the
    answer of an earlier mock, whose script must be over first. `status` is that of an error,
    `has_events` is True if the events of its stream are written out."""

    written: WrittenAnswer | None
    path: str = ""
    status: int | None = None
    has_events: bool = False

    @property
    def is_judged(self) -> bool:
        """True if a client can tell whether the answer is right: not of an earlier mock, nor an
        error whose status no client takes for one."""
        return self.written is not None and (self.status is None or self.status >= MIN_ERROR)


def each_answer_once(config: Config) -> Config:
    """Return `config` with mocks that give each of their answers once, whole and at once: without
    faults and traffic, which clients must not accept."""
    lists = {field: [_each_once(mock) for mock in getattr(config, field)] for field in MOCK_FIELDS}
    return config.model_copy(update={**lists, "traffic": []})


def _each_once(mock: AnyMock) -> AnyMock:
    entries = {
        name: [_without(entry, times=1) for entry in found]
        for name in ("first", "sequence")
        if (found := getattr(mock, name))
    }
    return _without(mock, **entries)


def _without(written: _T, **changes: object) -> _T:
    return written.model_copy(update={"fault": None, **changes})


def play(engine: Engine, table: Table, rule: Rule, request: Request) -> list[Turn] | Rule | None:
    """Return the turns in which the mock of `rule` gives each of its answers to `request`, sent
    again and again; if it does not answer, the rule that does instead, or None."""
    store = LocalStore()

    def answering() -> tuple[Rule | None, int]:
        decision = answer_alone(engine.decide(table, request), store)
        return decision.match.rule, decision.reply.status

    turns: list[Turn] = []
    other, status = answering()
    while other is not None and other.index < rule.index and other.passes:
        turns.append(Turn(None))
        other, status = answering()
    if other is None or other.index != rule.index:
        return other
    mock = table.mocks[rule.index]
    sources = entries_of(table.sources[rule.index])
    for number, (path, written) in enumerate(answers_in_order(mock)):
        if number:
            _, status = answering()
        error = None if sources[number].fixed.failure is None else status
        events = sources[number].fixed.events
        turns.append(Turn(written, path, error, has_events=events is not None))
    return turns


def answers_in_order(mock: AnyMock) -> Iterable[tuple[str, WrittenAnswer]]:
    """Return what is written about each answer of a mock, with its path, in the order in which they
    are given. The path of the mock's own, which is the last, is empty."""
    own = [("", mock)] if mock.has_answer else []
    return [*mock.entries(), *own]
