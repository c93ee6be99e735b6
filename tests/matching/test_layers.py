"""Layers of rules: the answers of one index over all of them, in their order."""

from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.matching import readings
from mockllm.matching.effort import Effort
from mockllm.matching.explain import nearest_miss
from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.matching.request_predicates import Counter, CountIs
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from tests.support.rules import user


def asking(text: str) -> Prompt:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return CHAT.decode(Request.of("POST", CHAT.routes[0], body=orjson.dumps(body)), {})


def rule(text: str | None, *, stateful: bool = False) -> Rule:
    predicates = () if text is None else (CHAT.compile_match(user(text), True),)
    return Rule(0, text or "any", predicates, stateful)


def layered(layers: list[list[Rule]]) -> tuple[LayeredIndex, list[Rule]]:
    """The index of layers whose indices are in reverse order, and all their rules in order."""
    numbered = [
        [replace(rule, index=1_000 - 10 * number + place) for place, rule in enumerate(layer)]
        for number, layer in enumerate(layers)
    ]
    return LayeredIndex(list(map(RuleIndex, numbered))), [
        rule for each in numbered for rule in each
    ]


RULES = st.builds(rule, st.sampled_from(["a", "b", "ab", None]), stateful=st.booleans())
TEXTS = st.sampled_from(["a", "b", "ab", "cab", "c", ""])


@given(st.lists(st.lists(RULES, max_size=3), max_size=4), TEXTS)
def test_layers_answer_as_their_rules_one_by_one(layers: list[list[Rule]], text: str) -> None:
    index, rules = layered(layers)
    prompt = asking(text)
    matching = [each for each in rules if each.difference(prompt, {}) is None]
    stateless = next((place for place, each in enumerate(matching) if not each.stateful), None)
    expected = matching if stateless is None else matching[: stateless + 1]

    assert index.candidates(prompt, {}) == tuple(expected)
    assert finish(index.search(prompt, {}, Effort())) == tuple(expected)
    assert not index.takes_long(100)
    assert index.find(prompt, {}) == (matching[0] if matching else None)
    assert (index.rules, len(index)) == (tuple(rules), len(rules))
    if not matching:
        assert index.nearest_miss(prompt, {}) == nearest_miss(rules, prompt, {})


def test_layers_name_each_header_once() -> None:
    named = [replace(rule(None), predicates=(HeaderEquals(b"x-a", "x-a", b"1"),)) for _ in "ab"]

    assert LayeredIndex([RuleIndex([each]) for each in named]).header_names == (b"x-a",)


def test_layers_name_what_their_rules_read_once() -> None:
    counted = [replace(rule(None), predicates=(CountIs(each, 2, 2),)) for each in Counter]

    layered = LayeredIndex([RuleIndex([each]) for each in counted])

    expected = (readings.messages, readings.turns, readings.turn, readings.step)
    assert layered.readings == expected


def test_no_layers_have_no_rules() -> None:
    index = LayeredIndex([])

    assert index.candidates(asking("a"), {}) == ()
    assert index.nearest_miss(asking("a"), {}) is None
    assert not index.looks_back


def test_layers_search_no_more_of_a_body_than_one_index_of_all_their_rules() -> None:
    rules = [rule(f"text {number}") for number in range(400)]
    contained = [
        replace(
            each,
            index=at,
            predicates=(CHAT.compile_match({"role": "user", "content": f"text {at}"}, True),),
        )
        for at, each in enumerate(rules)
    ]

    whole = RuleIndex(contained)
    layers = LayeredIndex([RuleIndex(contained[at : at + 100]) for at in range(0, 400, 100)])

    assert whole.max_quick < RuleIndex(contained[:100]).max_quick
    for size in (whole.max_quick, whole.max_quick + 1):
        assert layers.takes_long(size) is whole.takes_long(size)
