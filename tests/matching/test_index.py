"""The index gives the answers of the specification."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.matching.index import RuleIndex
from mockllm.matching.predicates import (
    DECIDE,
    Difference,
    HeaderEquals,
    Headers,
    Predicate,
)
from mockllm.matching.rule import Rule
from mockllm.matching.specification import first_match
from mockllm.prompt import Prompt
from tests.support.strategies import (
    ask_chat,
    chat_requests,
    chat_rules,
    header_predicates,
    header_sets,
    responses_requests,
    responses_rules,
)


@dataclass(frozen=True)
class ModelIs(Predicate):
    """A kind of condition that the index has no entry for."""

    model: str

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        if prompt.model == self.model:
            return None
        return Difference(1, lambda: f"model is {prompt.model!r}, expected {self.model!r}")


def mixed_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules with any number of conditions of any kind, in any order."""
    predicate = st.one_of(
        header_predicates(),
        st.builds(ModelIs, st.sampled_from(["m", "n"])),
        chat_rules().filter(bool).map(lambda rules: rules[0].predicates[0]),
    )
    return st.lists(st.lists(predicate, max_size=3).map(tuple), max_size=6).map(
        lambda wanted: [Rule(index, f"mock {index}", each) for index, each in enumerate(wanted)]
    )


def check_index(rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]) -> None:
    """The rule that the index finds is that of the specification."""
    assert RuleIndex(rules).find(prompt, headers) is first_match(rules, prompt, headers)


@settings(max_examples=1000)
@given(chat_rules(), chat_requests(), header_sets())
def test_the_index_finds_what_the_specification_finds_in_chat(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    check_index(rules, prompt, headers)


@settings(max_examples=1000)
@given(responses_rules(), responses_requests(), header_sets())
def test_the_index_finds_what_the_specification_finds_in_responses(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    check_index(rules, prompt, headers)


@settings(max_examples=500)
@given(mixed_rules(), chat_requests(), header_sets())
def test_the_index_finds_rules_with_several_conditions_or_none(
    rules: list[Rule], prompt: Prompt, headers: dict[bytes, bytes]
) -> None:
    check_index(rules, prompt, headers)


def test_an_empty_index_finds_nothing() -> None:
    index = RuleIndex([])

    assert len(index) == 0
    assert index.find(ask_chat([{"role": "user", "content": "hi"}]), {}) is None


def test_an_index_names_each_header_that_a_rule_depends_on_once() -> None:
    tenant = HeaderEquals(b"x-tenant", "X-Tenant", b"a")
    stage = HeaderEquals(b"x-stage", "X-Stage", b"test")

    index = RuleIndex([Rule(0, "a", (tenant, stage)), Rule(1, "b", (tenant,))])

    assert index.header_names == (b"x-tenant", b"x-stage")
