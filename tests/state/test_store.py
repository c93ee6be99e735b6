"""The store of one process: the contract of all stores, and its own bounds."""

from __future__ import annotations

import pytest

from mockllm.state import sessions
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Entry, Script
from mockllm.state.store import BeginSession, Choose, LocalStore, Result, TooManySessions
from tests.state.contract import StoreContract
from tests.state.machine import make_store_machine


class TestLocalStore(StoreContract):
    make_store = staticmethod(LocalStore)


TestLocalStoreMachine = make_store_machine(LocalStore).TestCase

CANDIDATES = (Candidate("a", Script((Entry(9),))),)


def choose(store: LocalStore, session: str, retry: int = 0) -> Result:
    (result,) = store.perform([Choose(session, CANDIDATES, Attempt(b"a" * 16, retry))], 0.0)
    return result


def test_an_evicted_session_loses_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
    store = LocalStore()
    choose(store, "a")
    choose(store, "b")

    assert choose(store, "a", retry=1) == Chosen(0, 0, 1)


def test_a_pinned_session_keeps_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
    store = LocalStore()
    store.perform([BeginSession("a")], 0.0)
    for session in "abc":
        choose(store, session)

    assert choose(store, "a", retry=1) == Chosen(0, 0, 1, repeated=True)


def test_a_session_that_no_room_is_left_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_PINNED", 1)
    store = LocalStore()

    results = store.perform([BeginSession(name) for name in "abc"], 0.0)

    assert results == [None, TooManySessions()]
    assert store.sessions.open == ("a",)


def test_a_session_that_begins_may_be_the_current_one() -> None:
    store = LocalStore()
    store.perform([BeginSession("a", current=True), BeginSession("b")], 0.0)

    assert store.sessions.current == "a"
    store.perform([BeginSession(sessions.COMMON, current=True)], 0.0)
    assert store.sessions.current == sessions.COMMON


def test_a_request_without_a_question_is_admitted_to_its_session() -> None:
    store = LocalStore()

    assert store.sessions.admit("a", 0.0)
    assert choose(store, "a") == Chosen(0, 0, 1)
    store.sessions.end("a", 0.0)
    assert not store.sessions.admit("a", 0.0)
