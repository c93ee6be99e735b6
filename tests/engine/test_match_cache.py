from __future__ import annotations

from mockllm.engine import match_cache
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.match_cache import MatchCache
from mockllm.providers.envelope import json_reply


def decision() -> Decision:
    return Decision(json_reply({}), None, Outcome.MOCK)


def keep(decisions: MatchCache, key: match_cache.Key, kept: Decision) -> None:
    """Keep a decision whose request has come twice."""
    decisions.keep(key, kept)
    decisions.keep(key, kept)


def test_a_decision_is_kept_when_its_request_comes_again() -> None:
    decisions = MatchCache()

    decisions.keep(("/p", b"once"), decision())

    assert decisions.get(("/p", b"once")) is None


def test_a_decision_is_found_by_all_that_it_depends_on() -> None:
    decisions = MatchCache()
    one = decision()
    keep(decisions, ("/p", b"body", b"a"), one)

    found = [decisions.get(("/p", b"body", value)) for value in (b"a", b"b", None)]

    assert found == [one, None, None]
    assert (decisions.hits, decisions.misses) == (1, 2)


def test_the_oldest_is_dropped_beyond_the_bound() -> None:
    decisions = MatchCache()
    body = bytes(match_cache.MAX_ENTRY // 2)
    count = match_cache.MAX_BYTES // len(body) + 5

    for number in range(count):
        keep(decisions, (str(number), body), decision())

    assert decisions.get(("0", body)) is None
    assert decisions.get((str(count - 1), body)) is not None
    assert len(decisions) * (len(body) + match_cache.PER_ENTRY) <= match_cache.MAX_BYTES


def test_small_ones_are_bounded_too() -> None:
    decisions = MatchCache()
    one = decision()

    for number in range(2 * match_cache.MAX_BYTES // match_cache.PER_ENTRY):
        keep(decisions, (b"%d" % number,), one)

    assert len(decisions) <= match_cache.MAX_BYTES // match_cache.PER_ENTRY


def test_a_very_large_body_is_not_kept() -> None:
    decisions = MatchCache()
    key = ("/p", bytes(match_cache.MAX_ENTRY))

    keep(decisions, key, decision())

    assert decisions.get(key) is None
