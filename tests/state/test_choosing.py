from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.state.choosing import (
    NONE_LEFT,
    AtEnd,
    Candidate,
    Chosen,
    Exhausted,
    Script,
    ScriptEntry,
    choose,
    repeat,
)
from mockllm.state.specification import list_of
from tests.state.scripts import scripts

ALWAYS = ScriptEntry(None)


# --- Scripts --------------------------------------------------------------------------------------


@given(scripts(), st.integers(0, 40))
def test_the_place_in_a_script_is_that_in_the_list_of_its_entries(
    script: Script, taken: int
) -> None:
    entries = list_of(script, taken + 1)

    assert script.entry_at(taken) == (entries[taken] if taken < len(entries) else None)


@pytest.mark.parametrize("at_end", [AtEnd.FAIL, AtEnd.PASS])
def test_a_script_without_an_entry_left_is_over(at_end: AtEnd) -> None:
    script = Script((ScriptEntry(2), ScriptEntry()), at_end)

    assert [script.entry_at(taken) for taken in range(5)] == [0, 0, 1, None, None]


def test_a_large_number_of_times_costs_no_memory() -> None:
    script = Script((ScriptEntry(10**18), ScriptEntry()))

    assert [script.entry_at(taken) for taken in (0, 10**18 - 1, 10**18)] == [0, 0, 1]


@pytest.mark.parametrize(
    "entries", [(ALWAYS, ScriptEntry()), (ScriptEntry(0),), (ScriptEntry(-1), ALWAYS)]
)
def test_a_script_that_no_list_describes_is_refused(entries: tuple[ScriptEntry, ...]) -> None:
    with pytest.raises(AssertionError):
        Script(entries)


@pytest.mark.parametrize("restart_at", [-1, 1])
def test_a_script_restarts_at_one_of_its_entries(restart_at: int) -> None:
    with pytest.raises(AssertionError):
        Script((ScriptEntry(),), AtEnd.RESTART, restart_at)


# --- Choosing -------------------------------------------------------------------------------------


def test_the_first_candidate_whose_script_is_not_over_is_chosen() -> None:
    once = Script((ScriptEntry(),), AtEnd.PASS)
    candidates = (Candidate("a", once), Candidate("b", once), Candidate("c"))

    assert choose(candidates, Counter[str]()) == Chosen(0, 0, 1)
    assert choose(candidates, Counter({"a": 1})) == Chosen(1, 0, 1)
    assert choose(candidates, Counter({"a": 1, "b": 1})) == Chosen(2)
    assert choose(candidates[:2], Counter({"a": 1, "b": 1})) == NONE_LEFT


def test_an_exhausted_mock_lets_no_later_one_answer() -> None:
    candidates = (Candidate("a", Script((ScriptEntry(3),))), Candidate("b"))

    assert choose(candidates, Counter({"a": 3})) == Exhausted(0, 3)


# --- Repeating ------------------------------------------------------------------------------------


def test_a_retry_repeats_the_place_of_its_mock() -> None:
    candidates = (Candidate("a"), Candidate("b", Script((ScriptEntry(2), ScriptEntry()))))

    assert repeat(candidates, "b", 3) == Chosen(1, 1, 3, repeated=True)


def test_a_retry_does_not_repeat_an_entry_that_advances_it() -> None:
    candidates = (Candidate("a", Script((ScriptEntry(2, advances_retry=True), ScriptEntry()))),)

    assert repeat(candidates, "a", 2) is None
    assert repeat(candidates, "a", 3) == Chosen(0, 1, 3, repeated=True)


def test_a_retry_does_not_repeat_a_mock_that_is_no_candidate() -> None:
    assert repeat((Candidate("a"),), "b", 1) is None
