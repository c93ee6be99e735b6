"""Conditions of conditions: three values of truth, of which one is "cannot be decided"."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.logic import AllOf, AnyOf, Not
from mockllm.matching.predicate import Difference, Predicate
from tests.support.strategies import ask_chat


class Fixed(Predicate):
    """Holds, does not, or cannot be decided."""

    def __init__(self, verdict: bool | None) -> None:
        self.verdict = verdict

    def difference(self, *_: Any, **__: Any) -> Difference | None:
        if self.verdict:
            return None
        return Difference(1, lambda: "no", undecided=self.verdict is None)


VERDICTS = [True, False, None]


def kleene(values: list[bool | None], absorbing: bool) -> bool | None:
    """Kleene's strong logic: what decides whatever the others are, then what is not known."""
    if absorbing in values:
        return absorbing
    return None if None in values else not absorbing


def decided(predicate: Predicate) -> bool | None:
    difference = predicate.difference(ask_chat([{"role": "user", "content": "weather?"}]), {})
    if difference is None:
        return True
    return None if difference.undecided else False


@pytest.mark.parametrize("one", VERDICTS)
@pytest.mark.parametrize("other", VERDICTS)
def test_what_cannot_be_decided_stays_so_unless_another_condition_decides(
    one: bool | None, other: bool | None
) -> None:
    both = (Fixed(one), Fixed(other))

    assert decided(AllOf(both)) is kleene([one, other], absorbing=False)
    assert decided(AnyOf(both)) is kleene([one, other], absorbing=True)
    assert decided(Not(Fixed(one), "")) is (None if one is None else not one)


def test_no_conditions_hold_and_no_alternatives_do_not() -> None:
    assert decided(AllOf(())) is True
    assert decided(AnyOf(())) is False
