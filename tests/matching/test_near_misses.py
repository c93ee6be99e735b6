"""The nearest miss among many rules, compared with the one found by measuring each of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mockllm.matching import near_misses
from mockllm.matching.explain import nearest_miss
from mockllm.matching.index import RuleIndex
from mockllm.matching.message_predicates import MessageContains
from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.matching.text_predicates import MAX_NEAR, ResultIs
from mockllm.matching.text_tests import Contains
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support.matches import compile_rule
from tests.support.strategies import ASKED, ask_chat


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def compare(rules: list[Rule], prompt: Prompt, headers: Headers) -> None:
    index = RuleIndex(rules)
    assume(index.find(prompt, headers) is None)
    assert index.nearest_miss(prompt, headers) == nearest_miss(rules, prompt, headers)


@pytest.mark.parametrize("kind", ASKED)
@given(data=st.data())
def test_the_nearest_rule_is_found(kind: str, data: st.DataObject) -> None:
    compare(*data.draw(ASKED[kind]))


TEXTS = st.text("ab ", max_size=12)


@given(
    st.lists(st.text("ab ", min_size=1, max_size=8), min_size=1),
    st.integers(-1, 9),
    st.lists(TEXTS, min_size=1, max_size=2),
)
def test_rules_that_have_too_little_in_common_are_passed_over_at_once(
    beginnings: list[str], common: int, texts: list[str]
) -> None:
    rules = [
        near_misses._Scanned(None, beginning, is_exact=True, rule=Rule(at, str(at)))
        for at, beginning in enumerate(beginnings)
    ]
    of_all = near_misses._Beginnings.of(rules)
    assert of_all is not None

    assert of_all.may_have(common, texts) == (
        common <= 0
        or any(
            beginning.startswith(text[:common]) or (len(beginning) >= common and beginning in text)
            for beginning in beginnings
            for text in texts
        )
    )


@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=30), TEXTS)
def test_the_nearest_text_is_found(texts: list[tuple[str, bool]], text: str) -> None:
    rules = [
        Rule(at, f"r{at}", (CHAT.compile_match(user(each), contains),))
        for at, (each, contains) in enumerate(texts)
    ]

    compare(rules, ask_chat([user(text)]), {})


@pytest.mark.parametrize("contains", [False, True])
def test_a_rule_behind_those_that_are_scanned_is_found(contains: bool) -> None:
    texts = [f"task {number}" for number in range(near_misses.MAX_SCANNED)]
    texts += ["zebra crossing", "the weather in Paris", "zoo"]
    rules = [
        Rule(at, each, (CHAT.compile_match(user(each), contains),)) for at, each in enumerate(texts)
    ]
    asked = "Tell me the weather in Rome" if contains else "the weather in Rome"

    nearest = RuleIndex(rules).nearest_miss(ask_chat([user(asked)]), {})

    assert nearest is not None
    assert nearest[0].label == "the weather in Paris"


@pytest.mark.parametrize("contains", [False, True])
def test_a_rule_of_the_same_call_is_found_behind_those_that_are_scanned(contains: bool) -> None:
    def result(number: int, content: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}

    texts = [*map(str, range(near_misses.MAX_SCANNED)), "sunny", "the weather is nice"]
    rules = [
        Rule(at, text, (CHAT.compile_match(result(at, text), contains),))
        for at, text in enumerate(texts)
    ]
    prompt = ask_chat([result(near_misses.MAX_SCANNED, "the weather is rainy")])

    nearest = RuleIndex(rules).nearest_miss(prompt, {})

    assert nearest is not None
    assert nearest == nearest_miss(rules, prompt, {})
    assert nearest.rule.label == "sunny"


@pytest.mark.parametrize("contains", [False, True])
def test_few_of_many_rules_are_measured(contains: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To measure the first 100 took 250 µs."""
    measured = 0
    difference = Rule.difference_in_pieces

    def counted(self: Rule, *args: Any, **options: Any) -> Any:
        nonlocal measured
        measured += 1
        return difference(self, *args, **options)

    rules = [
        Rule(at, "", (CHAT.compile_match(user(f"do task {at} now"), contains),))
        for at in range(1_000)
    ]
    index = RuleIndex(rules)
    monkeypatch.setattr(Rule, "difference_in_pieces", counted)

    index.nearest_miss(ask_chat([user("do task 5000 at once")]), {})

    assert 0 < measured < 30


@pytest.mark.parametrize(
    "match",
    [
        {"user": {"contains": "wanted"}},
        {"user": {"contains": "wanted", "ignore_case": True}},
        {"last_user": {"regex": "wante+d"}},
        {"any_message": ["wanted", {"starts_with": "wanted"}]},
        {"any_of": [{"user": "wanted"}, {"not": {"any_message": {"contains": "lorem"}}}]},
    ],
)
def test_few_rules_are_measured_on_a_long_text(match: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 conditions on 35 kB took up to 36 ms."""
    compared = 0
    difference = Rule.difference_in_pieces

    def counted(self: Rule, *args: Any, **options: Any) -> Any:
        nonlocal compared
        compared += size
        return difference(self, *args, **options)

    asked = "lorem " * 100_000
    size = len(asked)
    index = RuleIndex([compile_rule(CHAT, match, at) for at in range(near_misses.MAX_SCANNED)])
    monkeypatch.setattr(Rule, "difference_in_pieces", counted)

    nearest = index.nearest_miss(ask_chat([user(asked)]), {})

    assert nearest is not None
    assert nearest.rule.index == 0
    assert size <= compared <= near_misses.MAX_WORK


def test_tool_results_are_read_once_for_all_rules() -> None:
    """20 results and 100 conditions took 16 ms; 8 results are compared with each."""
    searched: list[str] = []

    class Counted(Contains):
        def closeness(self, text: str, **options: Any) -> int:
            searched.append(text)
            return super().closeness(text, **options)

    rules = [Rule(at, "", (ResultIs(Counted(f"wanted {at}")),)) for at in range(5)]
    calls = [{"id": f"c{at}", "type": "function", "function": {"name": "f"}} for at in range(20)]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"{at} {call['id']}"}
        for at, call in enumerate(calls)
    ]
    asked = [user("hi"), {"role": "assistant", "content": None, "tool_calls": calls}, *results]

    nearest = RuleIndex(rules).nearest_miss(ask_chat(asked), {})

    assert nearest is not None
    assert nearest.rule is rules[0]
    assert len(searched) == 5 * MAX_NEAR


def test_a_long_text_is_searched_for_no_rule_but_those_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To search a text of a megabyte for 100 others takes 50 ms."""
    searched = 0
    accepts = MessageContains.accepts

    def counted(self: MessageContains, message: Any) -> bool:
        nonlocal searched
        searched += 1
        return accepts(self, message)

    rules: list[Rule] = []
    for at in range(50):
        predicates: tuple[Predicate, ...] = (MessageContains(f"{at} wanted", "user"),)
        rules.append(Rule(at, "", predicates))
    index = RuleIndex(rules)
    monkeypatch.setattr(MessageContains, "accepts", counted)

    index.nearest_miss(ask_chat([user("lorem " * 100_000)]), {})

    assert searched < 10
