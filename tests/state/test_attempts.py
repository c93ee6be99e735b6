from __future__ import annotations

import pytest

from mockllm.state import attempts
from mockllm.state.attempts import (
    MAX_HASHED,
    Attempt,
    Attempts,
    Taken,
    attempt_at,
    parse_retry_count,
)

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))


# --- Attempts of requests -------------------------------------------------------------------------


def test_attempts_at_equal_requests_are_equal() -> None:
    assert attempt_at("/v1/messages", b"{}", b"2") == attempt_at("/v1/messages", b"{}", b"2")


def test_an_attempt_tells_paths_bodies_and_their_border_apart() -> None:
    requests = [("/a", b"b"), ("/a", b"c"), ("/c", b"b"), ("/ab", b""), ("/", b"ab")]

    assert len({attempt_at(path, body, None).request for path, body in requests}) == 5


def test_large_bodies_are_told_apart_by_their_sizes_their_ends_and_samples_between() -> None:
    body = bytes(2 * MAX_HASHED + 10_000)
    others = [body + b"\0", *(replaced(body, place) for place in (0, MAX_HASHED, -1))]
    found = [attempt_at("/v1/messages", each, None).request for each in (body, *others)]

    assert found[0] == attempt_at("/v1/messages", bytes(len(body)), None).request
    assert len(set(found)) == 5


def replaced(body: bytes, place: int) -> bytes:
    """The body with another byte at a place."""
    changed = bytearray(body)
    changed[place] = 1
    return bytes(changed)


def test_an_attempt_does_not_hold_the_body() -> None:
    attempt = attempt_at("/v1/messages", b"secret" * 1000, None)

    assert len(attempt.request) == 16
    assert b"secret" not in attempt.request


@pytest.mark.parametrize(
    ("value", "count"),
    [(None, 0), (b"0", 0), (b"1", 1), (b"12", 12), (b"999999", 999_999)],
)
def test_a_retry_count_is_a_number(value: bytes | None, count: int) -> None:
    assert parse_retry_count(value) == count


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"1.0", b"one", b" 1", b"1_0", b"9" * 7, "²".encode()]
)
def test_an_invalid_retry_count_marks_no_retry(value: bytes) -> None:
    assert parse_retry_count(value) == 0


# --- Attempts that are known ----------------------------------------------------------------------


def test_an_attempt_is_followed_once() -> None:
    known = Attempts()
    known.add("", Attempt(A), "k", 1)

    assert known.follow("", Attempt(A, 1)) == Taken(0, "k", 1)
    assert known.follow("", Attempt(A, 1)) is None
    assert len(known) == 0


def test_an_attempt_with_a_count_that_is_one_less_is_preferred_to_a_later_one() -> None:
    known = Attempts()
    known.add("", Attempt(A, 0), "k", 1)
    known.add("", Attempt(A, 1), "k", 2)

    assert known.follow("", Attempt(A, 1)) == Taken(0, "k", 1)


def test_the_oldest_attempt_of_a_request_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_ATTEMPTS", 2)
    known = Attempts()
    for number in (1, 2, 3):
        known.add("", Attempt(A), "k", number)

    assert len(known) == 2
    assert known.follow("", Attempt(A, 1)) == Taken(0, "k", 3)
    assert known.follow("", Attempt(A, 1)) == Taken(0, "k", 2)
    assert known.follow("", Attempt(A, 1)) is None


def test_the_request_longest_unused_of_a_session_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "MAX_PER_SESSION", 2)
    known = Attempts()
    for request in (A, B, A, C):
        known.add("", Attempt(request), "k", 1)
    known.add("other", Attempt(B), "k", 1)

    assert known.follow("", Attempt(B, 1)) is None
    assert known.follow("other", Attempt(B, 1)) is not None
    assert known.follow("", Attempt(A, 1)) is not None
    assert known.follow("", Attempt(C, 1)) is not None


def test_the_session_longest_unused_loses_its_attempts_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "MAX_KEPT", 3)
    known = Attempts()
    for session, request in [("s", A), ("t", A), ("s", B), ("s", C), ("u", A)]:
        known.add(session, Attempt(request), "k", 1)

    assert len(known) == 3
    assert known.follow("t", Attempt(A, 1)) is None
    assert known.follow("s", Attempt(A, 1)) is None
    assert known.follow("s", Attempt(B, 1)) is not None


def test_one_request_after_another_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_KEPT", 10)
    known = Attempts()
    for number in range(1000):
        known.add(f"session {number % 7}", Attempt(b"%16d" % (number % 50)), "k", 1)
        assert len(known) <= 10

    for session in range(7):
        known.forget(f"session {session}")
    assert len(known) == 0


def test_the_attempts_of_one_session_are_forgotten() -> None:
    known = Attempts()
    known.add("s", Attempt(A), "k", 1)
    known.add("t", Attempt(A), "k", 2)

    known.forget("s")
    known.forget("unknown")

    assert known.follow("s", Attempt(A, 1)) is None
    assert known.follow("t", Attempt(A, 1)) == Taken(0, "k", 2)


def test_an_attempt_of_a_forgotten_mock_took_nothing() -> None:
    known = Attempts()
    known.add("s", Attempt(A), "k", 1)
    known.add("s", Attempt(B), "l", 1)

    known.forget("s", frozenset({"k"}))

    assert known.follow("s", Attempt(A, 1)) == Taken(0)
    assert known.follow("s", Attempt(B, 1)) == Taken(0, "l", 1)
