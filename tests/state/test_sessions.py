from __future__ import annotations

import pytest

from mockllm.state import sessions
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED, Sessions


class Gone(list[str]):
    """The names of the sessions that are gone, in order."""


@pytest.fixture
def gone() -> Gone:
    return Gone()


@pytest.fixture
def known(gone: Gone) -> Sessions:
    return Sessions(gone.append)


def test_an_unknown_session_opens_with_its_first_request(known: Sessions) -> None:
    assert known.admit("a", 0.0)
    assert known.open == ("a",)


def test_the_common_session_is_always_open_and_never_listed(known: Sessions, gone: Gone) -> None:
    known.end(COMMON, 0.0)

    assert known.begin(COMMON, 0.0)
    assert known.admit(COMMON, 0.0)
    assert (known.open, gone) == ((), [])


def test_a_session_is_open_from_its_first_request_until_its_end(known: Sessions) -> None:
    assert [known.is_open(name) for name in (COMMON, "a", "b")] == [True, False, False]
    known.admit("a", 0.0)
    known.begin("b", 0.0)
    assert [known.is_open(name) for name in (COMMON, "a", "b")] == [True, True, True]
    known.end("a", 0.0)
    assert not known.is_open("a")


# --- Sessions that end ----------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [False, True])
def test_an_ended_session_refuses_its_requests_for_ten_minutes(
    known: Sessions, gone: Gone, *, pinned: bool
) -> None:
    if pinned:
        known.begin("a", 0.0)
    else:
        known.admit("a", 0.0)
    known.end("a", 5.0)

    assert gone == ["a"]
    assert known.open == ()
    assert [known.admit("a", 5.0 + after) for after in (0.0, STAYS_ENDED - 1)] == [False, False]
    assert known.admit("a", 5.0 + STAYS_ENDED)


def test_a_late_request_does_not_prolong_the_ten_minutes(known: Sessions) -> None:
    known.end("a", 0.0)
    known.admit("a", STAYS_ENDED - 1)

    assert known.admit("a", STAYS_ENDED)


def test_a_session_that_never_began_can_end(known: Sessions) -> None:
    known.end("a", 0.0)

    assert not known.admit("a", 1.0)


def test_a_test_may_begin_a_session_again_that_has_ended(known: Sessions) -> None:
    known.end("a", 0.0)

    assert known.begin("a", 1.0)
    assert known.admit("a", 2.0)


def test_a_pinned_session_ends_after_an_hour_unused(known: Sessions, gone: Gone) -> None:
    known.begin("a", 0.0)
    known.begin("b", 0.0)
    known.admit("a", 10.0)

    assert known.admit("a", MAX_UNUSED)
    assert gone == ["b"]
    assert not known.admit("b", MAX_UNUSED)
    assert known.admit("b", MAX_UNUSED + STAYS_ENDED)


def test_a_session_is_used_when_it_begins_again(known: Sessions, gone: Gone) -> None:
    known.begin("a", 0.0)
    known.begin("a", 10.0)

    assert known.admit("a", MAX_UNUSED)
    assert gone == []


def test_a_session_unused_for_an_hour_has_ended_then_whenever_it_is_noticed(
    known: Sessions, gone: Gone
) -> None:
    known.begin("a", 0.0)

    assert known.admit("a", MAX_UNUSED + STAYS_ENDED)
    assert gone == ["a"]


# --- Sessions that are evicted --------------------------------------------------------------------


def test_the_session_longest_unused_is_evicted(
    known: Sessions, gone: Gone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 2)
    for name in "abac":
        known.admit(name, 0.0)

    assert gone == ["b"]
    assert known.open == ("a", "c")


def test_an_evicted_session_begins_anew(
    known: Sessions, gone: Gone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)

    assert [known.admit(name, 0.0) for name in "aba"] == [True, True, True]
    assert gone == ["a", "b"]


@pytest.mark.parametrize("first", ["begin", "admit"])
def test_a_pinned_session_is_never_evicted(
    known: Sessions, gone: Gone, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
    getattr(known, first)("a", 0.0)
    known.begin("a", 0.0)
    for name in "bcd":
        known.admit(name, 0.0)

    assert known.admit("a", 0.0)
    assert gone == ["b", "c"]


def test_no_more_sessions_are_pinned_than_there_is_room_for(
    known: Sessions, gone: Gone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_PINNED", 1)
    known.begin("a", 0.0)

    assert not known.begin("b", 0.0)
    assert not known.use("b", 0.0)
    assert known.begin("a", 0.0)
    assert (known.current, known.open, gone) == (COMMON, ("a",), [])
    assert known.begin("b", MAX_UNUSED)  # the first has ended


def test_ended_sessions_are_bounded(known: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_ENDED", 2)
    for name in "abc":
        known.end(name, 0.0)

    assert [known.admit(name, 0.0) for name in "abc"] == [True, False, False]


# --- The current session --------------------------------------------------------------------------


def test_requests_belong_to_the_common_session_until_another_is_used(known: Sessions) -> None:
    assert known.current == COMMON
    known.use("a", 0.0)
    assert (known.current, known.open) == ("a", ("a",))
    known.use(COMMON, 0.0)
    assert (known.current, known.open) == (COMMON, ("a",))


def test_the_current_session_does_not_end_by_being_unused(known: Sessions, gone: Gone) -> None:
    known.use("a", 0.0)
    known.begin("b", 0.0)

    assert known.admit("a", 3 * MAX_UNUSED)
    assert gone == ["b"]


def test_a_current_session_that_ended_refuses_late_requests(known: Sessions) -> None:
    known.use("a", 0.0)
    known.end("a", 1.0)

    assert known.current == "a"
    assert not known.admit(known.current, 2.0)
