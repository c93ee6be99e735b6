from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.matching import shadowing
from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.message_predicates import MessageContains
from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.matching.specification import first_match
from mockllm.matching.twins import find_twins
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support import tables
from tests.support.matches import compile_rule
from tests.support.strategies import ASKED


def one_by_one(rules: list[Rule]) -> list[tuple[Rule, Rule]]:
    """Each rule that an earlier one covers, and the first that does."""
    pairs = []
    for rule in rules:
        earlier = (each for each in before(rules, rule) if not each.passes)
        covering = next((each for each in earlier if each.covers(rule)), None)
        if covering is not None:
            pairs.append((rule, covering))
    return pairs


def before(rules: list[Rule], rule: Rule) -> list[Rule]:
    """The rules that are tried before `rule`: those before the first of its twins, and those of its
    twins that name the same call."""
    twins = [each for calls in find_twins(rules).get(rule.index, {}).values() for each in calls]
    first = min((each.index for each in twins), default=rule.index)
    alike = [each for each in twins if each.call_id == rule.call_id and each.index < rule.index]
    return [*rules[:first], *alike]


@pytest.mark.parametrize("kind", ASKED)
@given(data=st.data())
def test_shadowed_rules_are_found_as_one_by_one(kind: str, data: st.DataObject) -> None:
    rules, _, _ = data.draw(ASKED[kind])
    passing = data.draw(st.sets(st.integers(0, len(rules))))
    rules = [replace(rule, passes=rule.index in passing) for rule in rules]
    assert list(find_shadowed(rules)) == one_by_one(rules)


@pytest.mark.parametrize("kind", tables.KINDS)
@settings(max_examples=100)
@given(data=st.data())
def test_shadowed_rules_of_every_kind_are_found_as_one_by_one(
    kind: str, data: st.DataObject
) -> None:
    rules, _, _ = data.draw(tables.asked(kind))
    assert list(find_shadowed(rules)) == one_by_one(rules)


USER = {"user": "q77"}


@pytest.mark.parametrize(
    ("earlier", "covering", "later"),
    [
        (lambda at: {"user": f"q{at}"}, {}, USER),
        (lambda at: {"user": f"q{at}"}, USER, USER),
        (lambda at: {"user": f"q{at}"}, {"last_user": {"exact": "Q77", "ignore_case": True}}, USER),
        (lambda at: {"user": {"contains": f"q{at}x"}}, {"user": {"contains": "q7"}}, USER),
        (lambda at: {"system": f"q{at}x"}, {"system": "q7"}, {"system": ["q7", "q7"], "turn": 1}),
        (lambda at: {"model": f"m{at}"}, {"model": "m"}, {"model": {"exact": "m"}}),
        (lambda at: {"body": {"$.a": at}}, {"body": {"$.a": "x"}}, {"body": {"$.a": "x"}}),
        (lambda at: {"tools": [f"t{at}"]}, {"tools": ["t"]}, {"tools": ["a", "t"]}),
        (lambda at: {"headers": [{"name": f"x{at}", "value": "a"}]}, USER, USER),
    ],
)
def test_a_hidden_mock_is_found_behind_many_others(earlier: Any, covering: Any, later: Any) -> None:
    """Of conditions, only the first 100 mocks were compared with each."""
    count = 2 * shadowing.MAX_COMPARED
    matches = [*(earlier(1_000 + at) for at in range(count)), covering, later]
    rules = [compile_rule(CHAT, match, at) for at, match in enumerate(matches)]

    assert list(find_shadowed(rules)) == [(rules[-1], rules[-2])]


MANY: list[Callable[[int], Any]] = [
    lambda at: {"user": {"regex": f"q{at}x"}},
    lambda at: {"turn": {"at_least": 2_000 - at}},
    lambda at: {"not": {"user": f"q{at}"}},
    lambda at: {"user": {"starts_with": f"q{at}x"}},
]


@pytest.mark.parametrize("earlier", MANY)
@pytest.mark.parametrize(
    ("covering", "later"),
    [
        ({"user": {"regex": "q7"}}, {"user": {"regex": "q7"}, "turn": 5}),
        ({"turn": {"at_least": 3}}, {"turn": 5}),
        ({"not": {"user": {"contains": "z"}}}, {"not": {"user": {"contains": "z"}}, "turn": 5}),
    ],
)
def test_a_hidden_mock_is_found_behind_many_that_cannot_be_looked_up(
    earlier: Any, covering: Any, later: Any
) -> None:
    count = 3 * shadowing.MAX_COMPARED
    matches = [*(earlier(at) for at in range(count)), covering, later]
    rules = [compile_rule(CHAT, match, at) for at, match in enumerate(matches)]
    missed: list[Rule] = []

    assert list(find_shadowed(rules, missed)) == [(rules[-1], rules[-2])]
    assert missed == []


@pytest.mark.parametrize(("left", "missing"), [(0, [4, 5]), (1, [5]), (2, [5]), (3, [])])
def test_rules_that_are_not_compared_with_all_are_told(
    left: int, missing: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadowing, "MAX_COMPARED", 3)
    monkeypatch.setattr(shadowing, "MAX_COMPARISONS", left)
    matches = [{"user": {"regex": f"q{at}x"}} for at in range(6)]
    rules = [compile_rule(CHAT, match, at) for at, match in enumerate(matches)]
    missed: list[Rule] = []

    assert list(find_shadowed(rules, missed)) == []
    assert [rule.index for rule in missed] == missing


def check_unreachable(rules: list[Rule], prompt: Prompt, headers: Headers) -> None:
    """A rule that is found to be shadowed does not answer."""
    shadowed = [rule for rule, _ in find_shadowed(rules)]
    assert first_match(rules, prompt, headers) not in shadowed


@pytest.mark.parametrize("kind", ASKED)
@settings(max_examples=500)
@given(data=st.data())
def test_a_covered_rule_is_never_reached(kind: str, data: st.DataObject) -> None:
    check_unreachable(*data.draw(ASKED[kind]))


def results(*calls: tuple[str, str]) -> list[Rule]:
    """A rule for each result of a call, given by its text and the call's id."""
    return [
        Rule(at, f"r{at}", (MessageContains(text, "tool", call_id),))
        for at, (text, call_id) in enumerate(calls)
    ]


def test_a_mock_is_not_hidden_by_one_that_differs_in_the_call_alone() -> None:
    assert list(find_shadowed(results(("ok", "a"), ("ok", "b")))) == []


def test_a_mock_with_the_same_call_is_hidden() -> None:
    rules = results(("ok", "a"), ("ok", "b"), ("ok", "b"))

    assert list(find_shadowed(rules)) == [(rules[2], rules[1])]


def test_twins_are_hidden_by_what_precedes_the_first_of_them() -> None:
    rules = results(("o", ""), ("ok", "a"), ("ok", "b"))
    between = results(("ok", "a"), ("o", ""), ("ok", "b"))

    assert list(find_shadowed(rules)) == [(rules[1], rules[0]), (rules[2], rules[0])]
    assert list(find_shadowed(between)) == []


def contains(*texts: str) -> list[Rule]:
    """A rule for each text."""
    return [Rule(at, f"r{at}", (MessageContains(text, "user"),)) for at, text in enumerate(texts)]


def test_the_first_of_several_covering_rules_is_named() -> None:
    rules = contains("b", "a", "xab")

    assert list(find_shadowed(rules)) == [(rules[2], rules[0])]


def test_headers_that_are_spelled_differently_are_the_same() -> None:
    text = MessageContains("hi", "user")
    rules = [
        Rule(at, f"r{at}", (text, HeaderEquals(b"x-a", title, b"1")))
        for at, title in enumerate(("X-A", "x-a"))
    ]

    assert list(find_shadowed(rules)) == [(rules[1], rules[0])]


def test_one_of_many_tenants_with_the_same_text_is_found() -> None:
    text = MessageContains("hi", "user")
    tenants = [b"%d" % number for number in range(2 * shadowing.MAX_COMPARED)]
    rules = [
        Rule(at, f"r{at}", (text, HeaderEquals(b"x-a", "x-a", tenant)))
        for at, tenant in enumerate([*tenants, tenants[-1]])
    ]

    assert list(find_shadowed(rules)) == [(rules[-1], rules[-2])]


@pytest.mark.parametrize(
    "text_of",
    [
        lambda at, count: "ab" * (at + 1),  # each is a prefix of the next
        lambda at, count: "ab" * (count - at),  # of the one before
        lambda at, count: "a" * (at + 1),  # at many places
        lambda at, count: "a" * (count - at),
        lambda at, count: "same",
    ],
    ids=["prefixes", "prefixes in reverse", "repeated", "repeated in reverse", "same"],
)
@pytest.mark.parametrize("tenants", [False, True])
def test_the_number_of_comparisons_does_not_grow_with_the_number_of_pairs(
    text_of: Callable[[int, int], str], monkeypatch: pytest.MonkeyPatch, *, tenants: bool
) -> None:
    """2,000 rules whose texts begin alike took 21 seconds."""
    compared = 0
    covers = Rule.covers

    def counted(self: Rule, later: Rule) -> bool:
        nonlocal compared
        compared += 1
        return covers(self, later)

    monkeypatch.setattr(Rule, "covers", counted)
    count = 10 * shadowing.MAX_COMPARED
    rules = []
    for at in range(count):
        header: list[Predicate] = [HeaderEquals(b"x-a", "x-a", b"%d" % at)] if tenants else []
        rules.append(Rule(at, "", (MessageContains(text_of(at, count)), *header)))

    list(find_shadowed(rules))

    assert compared <= count
