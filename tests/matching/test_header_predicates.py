from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.matching.predicate import Headers, Predicate
from tests.support.rules import check_covers, user
from tests.support.strategies import ask_chat, header_predicates, header_sets


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (
            HeaderEquals(b"x-tenant-id", "X-Tenant-ID", b"a"),
            "header X-Tenant-ID is 'b', expected 'a'",
        ),
        (
            HeaderContains(b"x-no", "X-No", b"a"),
            "header X-No is missing, expected containing 'a'",
        ),
        (HeaderEquals(b"authorization", "Authorization", b"k"), "header Authorization differs"),
        (HeaderEquals(b"x-goog-api-key", "X-Goog-Api-Key", b"k"), "header X-Goog-Api-Key differs"),
    ],
)
def test_a_difference_says_why(predicate: Predicate, reason: str) -> None:
    headers = {b"x-tenant-id": b"b", b"authorization": b"Bearer secret"}

    difference = predicate.difference(ask_chat([user("hi")]), headers)

    assert difference is not None
    assert difference.reason() == reason


@given(st.lists(header_predicates(), max_size=6), header_sets())
def test_a_header_predicate_accepts_what_one_that_it_covers_accepts(
    predicates: list[Predicate], headers: Headers
) -> None:
    check_covers(predicates, ask_chat([user("hi")]), headers)


def test_a_predicate_covers_itself() -> None:
    predicates = [HeaderEquals(b"x-a", "X-A", b"a"), HeaderContains(b"x-a", "X-A", b"a")]

    assert all(predicate.covers(predicate) for predicate in predicates)


@pytest.mark.parametrize(
    ("predicate", "logged"),
    [
        (HeaderEquals(b"x-a", "X-A", b"secret"), "header X-A differs"),
        (HeaderContains(b"x-b", "X-B", b"secret"), "header X-B is missing"),
    ],
)
def test_values_of_headers_are_not_logged(predicate: Predicate, logged: str) -> None:
    difference = predicate.difference(ask_chat([user("hi")]), {b"x-a": b"private"})

    assert difference is not None
    assert difference.logged is not None
    assert difference.logged() == logged
