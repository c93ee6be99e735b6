"""Conditions resolved to what must hold and what must not."""

from __future__ import annotations

from itertools import islice

from hypothesis import given

from mockllm.conformance.requirements import alternatives
from mockllm.matching.logic import AllOf, AnyOf, Not
from mockllm.matching.predicate import Predicate
from mockllm.matching.request_predicates import Counter, CountIs, NoTools, OffersTool, Streams
from mockllm.providers.openai.chat import CHAT
from tests.support import conversations, matches

TURN_2 = CountIs(Counter.TURN, 2, 2)


def found(*predicates: Predicate) -> list[list[tuple[Predicate, bool]]]:
    return [[(each, holds) for each, holds in one] for one in alternatives(predicates)]


def test_alternatives_are_lists_of_what_must_hold() -> None:
    either = AnyOf((Streams(True), NoTools()))

    assert found(either, TURN_2) == [
        [(Streams(True), True), (TURN_2, True)],
        [(NoTools(), True), (TURN_2, True)],
    ]


def test_what_must_not_hold_is_what_else_may() -> None:
    both = Not(AllOf((Streams(True), OffersTool("f"))), "")

    assert found(both) == [[(Streams(False), True)], [(OffersTool("f"), False)]]
    assert found(Not(AnyOf((Streams(True), OffersTool("f"))), "")) == [
        [(Streams(False), True), (OffersTool("f"), False)]
    ]


def test_a_number_that_must_not_be_is_less_or_more() -> None:
    assert found(Not(TURN_2, "")) == [
        [(CountIs(Counter.TURN, 1, 1), True)],
        [(CountIs(Counter.TURN, 3), True)],
    ]


def test_nothing_meets_an_alternative_of_none() -> None:
    assert found(AnyOf(())) == []
    assert found() == [[]]


@given(matches.matches(), conversations.conversations())
def test_a_request_that_meets_an_alternative_meets_the_match(
    match: matches.Match, conversation: conversations.Conversation
) -> None:
    """The converse holds unless something is undecided, which nothing is here."""
    rule = matches.compile_rule(CHAT, match)
    prompt = conversations.as_chat(conversation)

    def holds(condition: Predicate) -> bool:
        return condition.difference(prompt, {}) is None

    met = any(
        all(holds(condition) is expected for condition, expected in one)
        for one in islice(alternatives(rule.predicates), 1000)
    )

    assert met is (rule.difference(prompt, {}) is None)
