"""The index gives the answers of the specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.matching import readings, specification
from mockllm.matching.effort import Effort
from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.index import RuleIndex, is_reusable
from mockllm.matching.message_predicates import MessageContains
from mockllm.matching.predicate import Headers
from mockllm.matching.request_predicates import OffersTool
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support import tables
from tests.support.matches import compile_rule
from tests.support.strategies import ASKED, ask_chat


class Hurried(Effort):
    """Pauses wherever it may."""

    def is_much(self, nanoseconds: int) -> bool:
        return True


def check_index(rules: list[Rule], prompt: Prompt, headers: Headers) -> None:
    """Both answers of an index are those of the specification, with state and without."""
    for known in (rules, [replace(rule, stateful=False) for rule in rules]):
        index = RuleIndex(known)
        assert index.find(prompt, headers) is specification.first_match(known, prompt, headers)
        expected = specification.candidates(known, prompt, headers)
        assert index.candidates(prompt, headers) == expected
        other = replace(prompt, verdicts=None, _readings=None)
        assert finish(index.search(other, headers, Hurried())) == expected
        assert index.candidates(other, headers) == expected
        if not expected:
            nearest = index.nearest_miss(prompt, headers)
            pieces = index.search_nearest_miss(other, headers, Hurried())
            assert finish(pieces) == nearest


@pytest.mark.parametrize("kind", ASKED)
@settings(max_examples=1000)
@given(data=st.data())
def test_the_index_finds_what_the_specification_finds(kind: str, data: st.DataObject) -> None:
    check_index(*data.draw(ASKED[kind]))


@pytest.mark.parametrize("kind", tables.KINDS)
@settings(max_examples=100)
@given(data=st.data())
def test_mocks_of_every_kind_are_found_in_one_table(kind: str, data: st.DataObject) -> None:
    """Even the few rules of a test are looked up rather than checked one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.matching.nodes.MAX_CHECKED", 0)
        patch.setattr("mockllm.matching.substrings.MAX_WITHOUT_AUTOMATON", 1)
        patch.setattr("mockllm.matching.substrings.MAX_AT_ONCE", 1)
        patch.setattr("mockllm.matching.lookups.MAX_SHORT", 0)
        check_index(*data.draw(tables.asked(kind)))


def test_an_empty_index_finds_nothing() -> None:
    index = RuleIndex([])

    assert len(index) == 0
    assert index.find(ask_chat([{"role": "user", "content": "hi"}]), {}) is None


def test_an_index_names_each_header_that_a_rule_depends_on_once() -> None:
    tenant = HeaderEquals(b"x-tenant", "X-Tenant", b"a")
    stage = HeaderEquals(b"x-stage", "X-Stage", b"test")

    index = RuleIndex([Rule(0, "a", (tenant, stage)), Rule(1, "b", (tenant,))])

    assert index.header_names == (b"x-tenant", b"x-stage")


def test_an_index_names_what_its_rules_read_of_a_long_conversation() -> None:
    written: list[Any] = [
        {"model": "m", "tools": ["f"]},
        {"any_of": [{"turn": 2}, {"not": {"turn": 3}}]},
    ]
    rules = [compile_rule(CHAT, match, at) for at, match in enumerate(written)]

    assert RuleIndex(rules).readings[-3:] == (readings.messages, readings.turns, readings.turn)
    assert RuleIndex([Rule(0, "", (OffersTool("f"),))]).readings == (
        readings.tools,
        readings.tool_sets,
    )


def test_rules_with_a_thousand_predicates_in_common_are_indexed() -> None:
    """A node for each of them, in one another, exceeded Python's recursion limit."""
    offered = tuple(OffersTool(f"tool {number}") for number in range(1_200))
    rules = [Rule(number, str(number), offered) for number in range(12)]

    check_index(rules, ask_chat([{"role": "user", "content": "hi"}]), {})


@pytest.mark.parametrize(
    "match",
    [
        {"any_message": {"regex": "[x-z]{4}"}},
        {"any_message": {"contains": "hi"}, "not": {"any_message": {"contains": "hi"}}},
        {"tool_result": {"name": "f", "text": {"ends_with": "no"}}},
    ],
)
def test_a_rule_is_checked_once_however_many_texts_lead_to_it(
    match: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was checked once for each text, with all texts: 20,000 messages took minutes."""
    checked = 0
    rule = compile_rule(CHAT, match)
    for kind in {type(predicate) for predicate in rule.predicates}:
        difference = kind.difference

        def counted(self: Any, *args: Any, difference: Any = difference, **options: Any) -> Any:
            nonlocal checked
            checked += 1
            return difference(self, *args, **options)

        monkeypatch.setattr(kind, "difference", counted)
    calls = [{"id": f"c{at}", "type": "function", "function": {"name": "f"}} for at in range(30)]
    asked = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": calls}]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "hi"} for call in calls]

    assert RuleIndex([rule]).find(ask_chat([*asked, *results]), {}) is None

    assert 0 < checked <= 3


FIXED = Rule(0, "fixed", (MessageContains("hi"),))
SEQUENCE = Rule(0, "sequence", (MessageContains("hi"),), stateful=True)
OTHER = Rule(0, "other", (MessageContains("bye"),), stateful=True)


@pytest.mark.parametrize(
    ("rules", "reusable"),
    [
        ([FIXED], True),
        ([FIXED, SEQUENCE], True),
        ([OTHER, FIXED], True),
        ([OTHER], True),
        ([SEQUENCE], False),
        ([SEQUENCE, FIXED], False),
    ],
)
def test_a_match_is_reusable_if_no_rule_with_state_held_before_it(
    rules: list[Rule], reusable: bool
) -> None:
    index = RuleIndex([replace(rule, index=place) for place, rule in enumerate(rules)])

    candidates = index.candidates(ask_chat([{"role": "user", "content": "hi"}]), {})

    assert is_reusable(candidates) is reusable


def test_rules_behind_a_twin_with_state_may_answer() -> None:
    """The first rule has no state, but the twin in its place has."""
    rules = [
        Rule(0, "first", (MessageContains("ok", "tool", "a"),)),
        Rule(1, "behind", (MessageContains("ok", "tool"),)),
        Rule(2, "twin", (MessageContains("ok", "tool", "b"),), stateful=True),
    ]
    prompt = ask_chat([{"role": "tool", "tool_call_id": "b", "content": "ok"}])

    assert RuleIndex(rules).candidates(prompt, {}) == (rules[2], rules[1])
    check_index(rules, prompt, {})
