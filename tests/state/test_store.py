"""The store of one process: the contract of all stores, and what only it does."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from mockllm.state import sessions
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Script, ScriptEntry
from mockllm.state.operations import Admit, BeginSession, Choose, EndSession, Result
from mockllm.state.store import LocalStore, StateUnavailableError
from mockllm.state.values import ExpiringValues
from tests.state.contract import SessionsContract
from tests.state.equality import make_equality_machine
from tests.state.machine import make_store_machine


class TestLocalStore(SessionsContract):
    make_store = staticmethod(LocalStore)


TestLocalStoreMachine = make_store_machine(LocalStore).TestCase

CANDIDATES = (Candidate("a", Script((ScriptEntry(9),))),)


def choose(store: LocalStore, session: str, retry: int = 0) -> Result:
    (result,) = store.perform([Choose(session, CANDIDATES, Attempt(b"a" * 16, retry))], 0.0)
    return result


def test_a_session_that_begins_may_be_the_current_one() -> None:
    store = LocalStore()
    store.perform([BeginSession("a", current=True), BeginSession("b")], 0.0)

    assert store.sessions.current == "a"
    store.perform([BeginSession(sessions.COMMON, current=True)], 0.0)
    assert store.sessions.current == sessions.COMMON


def test_what_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
    gone: list[str] = []
    store = LocalStore(gone.append)

    store.perform([Admit("a"), Admit("b"), EndSession("c")], 0.0)

    assert gone == ["a", "c"]


def test_everything_is_performed_at_once() -> None:
    store = LocalStore()

    assert store.perform_at_once([Admit("a")], 0.0) == [None]
    store.post([EndSession("a")], 0.0)
    assert not store.sessions.is_open("a")
    with pytest.raises(NotImplementedError):
        asyncio.run(store.perform_later([Admit("a")]))


def test_state_that_cannot_be_reached_is_a_503() -> None:
    error = StateUnavailableError("state_busy", "Other processes use the state")

    assert (error.status, error.code, error.message) == (
        503,
        "state_busy",
        "Other processes use the state",
    )


# --- The state machine that holds other stores equal to it ----------------------------------------


class _LastingValues(ExpiringValues):
    def get(self, key: str, now: float) -> bytes | None:
        return super().get(key, 0.0)


def test_the_state_machine_finds_a_store_that_differs() -> None:
    def make() -> LocalStore:
        store = LocalStore()
        store._values = _LastingValues()
        return store

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            make_equality_machine(make),
            settings=settings(max_examples=200, derandomize=True, phases=[Phase.generate]),
        )


def test_the_state_machine_finds_no_difference_where_there_is_none() -> None:
    run_state_machine_as_test(
        make_equality_machine(LocalStore), settings=settings(max_examples=5, derandomize=True)
    )


def test_a_session_that_was_chosen_in_is_found_by_a_retry() -> None:
    store = LocalStore()

    assert choose(store, "a") == Chosen(0, 0, 1)
    assert choose(store, "a", retry=1) == Chosen(0, 0, 1, repeated=True)
