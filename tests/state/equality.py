"""A state machine that holds a store equal to `LocalStore`, whatever it is asked.

Questions of several operations are drawn from few sessions, mocks, buckets and pools, with bounds
so small that everything is evicted. A test module of a store does

    TestEqualityOfMyStore = make_equality_machine(make_my_store).TestCase
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mockllm.state import attempts, draws, rate_limits, sessions, values
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import AtEnd, Candidate, Script, ScriptEntry
from mockllm.state.operations import (
    Admit,
    BeginSession,
    Choose,
    CountAnswers,
    CountPlaces,
    Draw,
    EndSession,
    Enter,
    Get,
    IsOpen,
    Leave,
    ListSessions,
    Operation,
    Put,
    Reset,
    Settle,
    Spend,
    TakeNothing,
)
from mockllm.state.rate_limits import Charge, Limit
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED
from mockllm.state.store import LocalStore
from tests.state.contract import PerformingStore

SMALL_BOUNDS: tuple[tuple[ModuleType, str, int], ...] = (
    (attempts, "MAX_ATTEMPTS", 2),
    (attempts, "MAX_PER_SESSION", 2),
    (attempts, "MAX_KEPT", 5),
    (draws, "MAX_COUNTED", 3),
    (rate_limits, "MAX_BUCKETS", 4),
    (sessions, "MAX_UNPINNED", 2),
    (sessions, "MAX_PINNED", 2),
    (sessions, "MAX_ENDED", 2),
    (values, "MAX_VALUES", 3),
    (values, "MAX_BYTES", 1_500),
)
"""Bounds that a store must read when it performs an operation."""

KEYS = ("a", "b", "ä")
SESSIONS = (COMMON, "s", "t", "u")
BUCKETS = ("one", "two", "three\0ü")

_sessions = st.sampled_from(SESSIONS)
_some_session = st.none() | _sessions
_key = st.sampled_from(KEYS)
_request = st.sampled_from([name * 16 for name in (b"x", b"y", b"z")])
_attempt = st.builds(Attempt, _request, st.sampled_from([0, 0, 1, 2]))
_zero = st.just(0.0)
_seconds = st.sampled_from([0.0, 1.0, 7.5, STAYS_ENDED, MAX_UNUSED])


_scripts = st.sampled_from(
    [
        None,
        Script((ScriptEntry(), ScriptEntry())),
        Script((ScriptEntry(2, advances_retry=True), ScriptEntry()), AtEnd.PASS),
        Script((ScriptEntry(), ScriptEntry(2)), AtEnd.RESTART, restart_at=1),
        Script((ScriptEntry(), ScriptEntry(None))),
        Script((ScriptEntry(),), AtEnd.REPEAT),
    ]
)
_candidates = st.lists(
    st.builds(Candidate, _key, _scripts), min_size=1, max_size=3, unique_by=lambda each: each.key
).map(tuple)
_charge = st.builds(
    Charge,
    st.sampled_from(BUCKETS),
    st.sampled_from([Limit(3, 60.0), Limit(100, 60.0), Limit(1, 1.0)]),
    st.sampled_from([0.0, 1.0, 2.5]),
    _some_session,
)


def _distinct(charges: list[Charge]) -> tuple[Charge, ...]:
    return tuple({(charge.bucket, charge.session): charge for charge in charges}.values())


_of_requests: list[st.SearchStrategy[Any]] = [
    st.builds(Choose, _sessions, _candidates, st.none() | _attempt),
    st.builds(TakeNothing, _sessions, _attempt),
    st.builds(Admit, _sessions),
    st.builds(Draw, _sessions, st.just(7), _key, _attempt),
    st.builds(Spend, st.lists(_charge, min_size=1, max_size=2).map(_distinct), st.just(0.0)),
    st.builds(Settle, _charge, st.sampled_from([0.0, 1.5]), st.sampled_from([0.0, -5.0]), _zero),
    st.builds(Enter, st.sampled_from(["pool", "other"]), st.sampled_from("123456"), st.just(2)),
    st.builds(
        Enter,
        st.sampled_from(["line", "other line"]),
        st.sampled_from("abcdef"),
        st.just(2),
        st.sampled_from([1, 2, None]),
    ),
    st.builds(Leave, st.sampled_from("123456abcdef")),
    st.builds(CountPlaces, st.sampled_from(["pool", "line", "other line"])),
    st.builds(Put, _key, st.binary(max_size=700), st.sampled_from([0.0, 5.0, 900.0])),
    st.builds(Get, _key),
]
_of_tests: list[st.SearchStrategy[Any]] = [
    st.builds(BeginSession, _sessions, st.booleans()),
    st.builds(EndSession, _sessions),
    st.builds(IsOpen, _sessions),
    st.just(ListSessions()),
    st.builds(CountAnswers, st.just(KEYS), _some_session),
    st.builds(Reset, _some_session, st.none() | st.frozensets(_key)),
]
_questions = st.lists(st.one_of(*_of_requests, *_of_tests), min_size=1, max_size=4)


def _at(operation: Operation, now: float) -> Operation:
    """Return an operation that was drawn for the time 0, at the time `now`."""
    match operation:
        case Spend():
            return operation._replace(at=now)
        case Settle(since=before):
            return operation._replace(since=now + before, at=now)
    return operation


class EqualityMachine(RuleBasedStateMachine):
    """Asks a store and a `LocalStore` the same questions."""

    make_store: Callable[[], PerformingStore]

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, bound in SMALL_BOUNDS:
            self.patch.setattr(module, name, bound)
        self.store = type(self).make_store()
        self.expected = LocalStore()
        self.now = 0.0
        self.entered: dict[str, str] = {}  # pools, by lease

    @rule(question=_questions, seconds=_seconds)
    def ask(self, question: list[Operation], seconds: float) -> None:
        """Ask a question some time after the one before it."""
        self.now += seconds
        operations = [_at(each, self.now) for each in question if self.is_possible(each)]
        expected = self.expected.perform(operations, self.now)
        results = list(self.store.perform(operations, self.now))
        assert results == expected

    def is_possible(self, operation: Operation) -> bool:
        """Return False for a lease whose name was entered before: no other has it, and only who may
        wait in a line enters again."""
        if not isinstance(operation, Enter):
            return True
        pool = self.entered.setdefault(operation.lease, operation.pool)
        if operation.queue == 0:
            self.entered[operation.lease] = ""
        return pool == operation.pool

    def teardown(self) -> None:
        self.patch.undo()


def make_equality_machine(factory: Callable[[], PerformingStore]) -> type[EqualityMachine]:
    """Return the state machine of the stores that `factory` returns."""
    return type("EqualityMachine", (EqualityMachine,), {"make_store": staticmethod(factory)})
