from __future__ import annotations

import pytest

from mockllm.bounded_cache import RARELY
from mockllm.engine import match_cache
from mockllm.engine.decision import Match, Outcome
from mockllm.engine.match_cache import Choices, MatchCache
from mockllm.providers.envelope import json_reply
from mockllm.state.choosing import Chosen


def match() -> Match:
    return Match(Outcome.MOCK, json_reply({}))


def keep(matches: MatchCache, key: match_cache.Key, kept: Match) -> None:
    """Keep a decision whose request has come twice."""
    matches.offer(key, kept)
    matches.offer(key, kept)


def test_a_decision_is_kept_when_its_request_comes_again() -> None:
    matches = MatchCache()

    matches.offer(("/p", b"once"), match())

    assert matches.get(("/p", b"once")) is None


def test_a_decision_is_found_by_all_that_it_depends_on() -> None:
    matches = MatchCache()
    one = match()
    keep(matches, ("/p", b"body", b"a"), one)

    found = [matches.get(("/p", b"body", value)) for value in (b"a", b"b", None)]

    assert found == [one, None, None]
    assert (matches.hits, matches.misses) == (1, 2)


def test_a_request_that_is_left_out_is_one_whose_match_was_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mockllm.bounded_cache.PATIENCE", 2)
    matches = MatchCache()
    keep(matches, ("/p", b"body"), match())
    matches.get(("/p", b"one"))
    matches.get(("/p", b"two"))

    left_out = matches.rest
    while matches.rest:
        matches.leave_out()

    assert left_out == RARELY - 1
    assert matches.get(("/p", b"body")) is not None
    assert (matches.hits, matches.misses, matches.rest) == (1, 2 + left_out, 0)
    matches.get(("/p", b"three"))
    assert matches.rest == 0  # something was found meanwhile


def test_choices_are_kept_with_the_answers_that_were_chosen() -> None:
    matches = MatchCache()
    key = ("/p", b"body")
    choices = Choices((), (), key)
    for _ in range(2):
        matches.offer(key, choices)
    one, other = match(), match()
    matches.add_answer(choices, Chosen(0, 0, 1), one)
    matches.add_answer(choices, Chosen(1, 0, 1), other)

    assert matches.get(key) is choices
    assert matches.get_answer(choices, Chosen(0, 0, 7, repeated=True)) is one
    assert matches.get_answer(choices, Chosen(1, 0, 2)) is other
    assert matches.get_answer(choices, Chosen(0, 1, 2)) is None
    assert (matches.hits, matches.misses, len(matches)) == (1, 0, 3)


def test_older_matches_are_dropped_beyond_the_bound() -> None:
    matches = MatchCache()
    body = bytes(match_cache.MAX_ENTRY // 2)
    count = match_cache.MAX_BYTES // len(body) + 5

    for number in range(count):
        keep(matches, (str(number), body), match())

    assert matches.get(("0", body)) is None
    assert matches.get((str(count - 1), body)) is not None
    assert len(matches) * (len(body) + match_cache.PER_ENTRY) <= match_cache.MAX_BYTES


def test_small_ones_are_bounded_too() -> None:
    matches = MatchCache()
    one = match()

    for number in range(2 * match_cache.MAX_BYTES // match_cache.PER_ENTRY):
        keep(matches, (b"%d" % number,), one)

    assert len(matches) <= match_cache.MAX_BYTES // match_cache.PER_ENTRY


def test_a_very_large_body_is_not_kept() -> None:
    matches = MatchCache()
    key = ("/p", bytes(match_cache.MAX_ENTRY))

    keep(matches, key, match())

    assert matches.get(key) is None
