from __future__ import annotations

from mockllm import reuse
from mockllm.envelopes import json_reply
from mockllm.exchange import Decision
from mockllm.reuse import Decisions


def decision() -> Decision:
    return Decision(json_reply({}), None, "matched")


def keep(decisions: Decisions, key: reuse.Key, kept: Decision) -> None:
    """Keep a decision whose request has come twice."""
    decisions.keep(key, kept)
    decisions.keep(key, kept)


def test_a_decision_is_kept_when_its_request_comes_again() -> None:
    decisions = Decisions()

    decisions.keep(("/p", b"once"), decision())

    assert decisions.get(("/p", b"once")) is None


def test_a_decision_is_found_by_all_that_it_depends_on() -> None:
    decisions = Decisions()
    one = decision()
    keep(decisions, ("/p", b"body", b"a"), one)

    found = [decisions.get(("/p", b"body", value)) for value in (b"a", b"b", None)]

    assert found == [one, None, None]
    assert (decisions.hits, decisions.misses) == (1, 2)


def test_the_oldest_is_dropped_beyond_the_bound() -> None:
    decisions = Decisions()
    body = bytes(reuse.LARGEST // 2)
    count = reuse.MOST_BYTES // len(body) + 5

    for number in range(count):
        keep(decisions, (str(number), body), decision())

    assert decisions.get(("0", body)) is None
    assert decisions.get((str(count - 1), body)) is not None
    assert len(decisions) * (len(body) + reuse.PER_ENTRY) <= reuse.MOST_BYTES


def test_small_ones_are_bounded_too() -> None:
    decisions = Decisions()
    one = decision()

    for number in range(2 * reuse.MOST_BYTES // reuse.PER_ENTRY):
        keep(decisions, (b"%d" % number,), one)

    assert len(decisions) <= reuse.MOST_BYTES // reuse.PER_ENTRY


def test_a_very_large_body_is_not_kept() -> None:
    decisions = Decisions()
    key = ("/p", bytes(reuse.LARGEST))

    keep(decisions, key, decision())

    assert decisions.get(key) is None
