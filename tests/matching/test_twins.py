"""Rules that differ in the id of a call alone are found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.message_predicates import MessageContains
from mockllm.matching.request_predicates import SystemContains
from mockllm.matching.rule import Rule
from mockllm.matching.twins import TwinGroups, find_twins, first_twin, preferred
from tests.support.strategies import ask_chat


def rules(*calls: tuple[str, str]) -> list[Rule]:
    """A rule for each text in the result of a call, given with the call's id."""
    return [
        Rule(at, "", (MessageContains(text, "tool", call_id), SystemContains("s")))
        for at, (text, call_id) in enumerate(calls)
    ]


def test_rules_that_are_equal_but_for_the_call_are_twins() -> None:
    known = rules(("a", "1"), ("b", "1"), ("a", "2"), ("a", ""), ("b", ""), ("a", "2"))

    twins = find_twins(known)

    assert set(twins) == {0, 2, 5}
    assert twins[0] is twins[2]
    assert twins[0] == {"1": [known[0]], "2": [known[2], known[5]]}
    assert first_twin(twins[5]) is known[0]


def test_the_twins_with_the_call_of_the_request_are_preferred() -> None:
    known = rules(("a", "1"), ("a", "2"), ("a", "2"))
    twins = find_twins(known)[0]

    def asked(call_id: str) -> list[Rule]:
        message = {"role": "tool", "tool_call_id": call_id, "content": "a"}
        return list(preferred(twins, ask_chat([message])))

    assert asked("1") == known[:1]
    assert asked("2") == known[1:]
    assert asked("3") == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "1", "2"])), max_size=9))
def test_twins_of_rules_that_come_and_go_are_those_that_are_left(
    calls: list[tuple[str, str]],
) -> None:
    known, groups = rules(*calls), TwinGroups()
    for rule in known:
        groups.add(rule)
    first = groups.twins()
    assert first == find_twins(known)

    for rule in known[::2]:
        groups.remove(rule)

    assert groups.twins() == find_twins(known[1::2])
    assert first == find_twins(known)
