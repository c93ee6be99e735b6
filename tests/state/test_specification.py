"""The specification of choosing, by examples small enough to be read."""

from __future__ import annotations

import pytest

from mockllm.state.attempts import Attempt
from mockllm.state.choosing import AtEnd, Candidate, Chosen, Exhausted, Script, ScriptEntry
from mockllm.state.rate_limits import Limit
from mockllm.state.specification import History, Ledger, list_of

TWICE, ONCE = ScriptEntry(2), ScriptEntry()


@pytest.mark.parametrize(
    ("script", "entries"),
    [
        (Script((TWICE, ONCE)), [0, 0, 1]),
        (Script((TWICE, ONCE), AtEnd.PASS), [0, 0, 1]),
        (Script((TWICE, ONCE), AtEnd.REPEAT), [0, 0, 1, 1, 1, 1, 1]),
        (Script((TWICE, ONCE), AtEnd.RESTART), [0, 0, 1, 0, 0, 1, 0]),
        (Script((TWICE, ONCE), AtEnd.RESTART, 1), [0, 0, 1, 1, 1, 1, 1]),
        (Script((ONCE, TWICE, ONCE), AtEnd.RESTART, 1), [0, 1, 1, 2, 1, 1, 2]),
    ],
)
def test_a_script_is_a_list_gone_through(script: Script, entries: list[int]) -> None:
    assert list_of(script, 7) == entries


def test_an_entry_given_always_fills_the_list() -> None:
    assert list_of(Script((ONCE, ScriptEntry(None))), 4)[:4] == [0, 1, 1, 1]


def test_a_time_out_and_its_retry_have_one_place() -> None:
    history = History()
    candidates = (Candidate("a", Script((ONCE, ONCE))),)

    results = [
        history.choose(candidates, Attempt(b"hi")),
        history.choose(candidates, Attempt(b"hi", 1)),
        history.choose(candidates, Attempt(b"bye")),
        history.choose(candidates, Attempt(b"bye, bye")),
    ]

    assert results == [
        Chosen(0, 0, 1),
        Chosen(0, 0, 1, repeated=True),
        Chosen(0, 1, 2),
        Exhausted(0, 2),
    ]
    assert history.count("a") == 2


def test_an_error_and_its_retry_have_two_places() -> None:
    history = History()
    candidates = (Candidate("a", Script((ScriptEntry(advances_retry=True), ONCE))),)

    first = history.choose(candidates, Attempt(b"hi"))
    second = history.choose(candidates, Attempt(b"hi", 1))

    assert (first, second) == (Chosen(0, 0, 1), Chosen(0, 1, 2))


def test_a_reset_forgets_everything_or_one_mock() -> None:
    history = History()
    for key in "ab":
        history.choose((Candidate(key, Script((ONCE,))),), Attempt(b"hi"))

    history.reset({"a"})
    assert (history.count("a"), history.count("b")) == (0, 1)

    history.reset()
    assert history.count("b") == 0


def test_a_ledger_is_emptied_by_time_and_never_has_less_than_nothing() -> None:
    limit, ledger = Limit(3, 6.0), Ledger()
    ledger.charge(2, 10.0)
    ledger.charge(1, 11.0)

    assert [ledger.level(limit, now) for now in (11.0, 13.0, 20.0)] == [2.5, 1.5, 0.0]
    ledger.charge(1, 20.0)
    assert ledger.level(limit, 20.0) == 1.0


@pytest.mark.parametrize(("cost", "level"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)])
def test_what_time_has_given_back_is_not_given_back_again(cost: int, level: float) -> None:
    limit, ledger = Limit(3, 6.0), Ledger()
    ledger.charge(2, 10.0)
    ledger.charge(1, 12.0)
    ledger.settle(limit, 2, cost, since=10.0, now=12.0)

    assert ledger.level(limit, 12.0) == level
