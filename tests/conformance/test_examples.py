"""Texts and values that pass tests."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given

from mockllm.config.models import OpenAIRequestMatch
from mockllm.conformance.examples import TEXTS, find_texts, find_values
from mockllm.engine.conditions import compile_match
from mockllm.errors import NOWHERE
from mockllm.matching.body_values import AllValues, BodyHas
from mockllm.matching.text_predicates import TextIs
from mockllm.matching.text_tests import TextTest
from mockllm.providers.openai.chat import CHAT
from tests.support import matches


def compiled(text: Any) -> TextTest:
    """The test of a text, as it is written in a match."""
    match = OpenAIRequestMatch.model_validate({"user": text})
    (predicate,), _ = compile_match(CHAT, match, NOWHERE)
    assert isinstance(predicate, TextIs)
    return predicate.test


def body_test(value: Any) -> BodyHas:
    match = OpenAIRequestMatch.model_validate({"body": {"$.a": value}})
    (predicate,), _ = compile_match(CHAT, match, NOWHERE)
    assert isinstance(predicate, BodyHas)
    return predicate


@given(matches.texts, matches.texts)
def test_each_text_passes_what_is_wanted_and_nothing_else(wanted: Any, unwanted: Any) -> None:
    test, other = compiled(wanted), compiled(unwanted)

    found = [*islice(find_texts([test], [other]), 20)]

    assert all(test.passes(text) and not other.passes(text) for text in found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "wanted",
    [
        ["hi"],
        [{"starts_with": "a", "ends_with": "c", "contains": "b"}],
        [{"starts_with": "ab", "contains": "b", "ends_with": "ab"}],
        [{"contains": "A"}, {"contains": "b"}, {"regex": "[0-9]+"}],
        [{"contains": "straße", "ignore_case": True}, {"regex": "^str"}],
        [[{"contains": "a"}, "b"], "b"],
        [{"regex": "^[a-z]+ing$"}],
        [{"regex": "^a.*"}, {"regex": "z$"}],
        [{"contains": ""}],
    ],
)
def test_tests_that_some_text_passes_have_one(wanted: list[Any]) -> None:
    assert next(find_texts([*map(compiled, wanted)]), None) is not None


def test_the_first_text_is_the_one_that_is_written() -> None:
    assert next(find_texts([compiled({"contains": "weather"})])) == "weather"


def test_there_are_several_where_any_will_do() -> None:
    assert [*find_texts([])][: len(TEXTS)] == [*TEXTS]
    assert len([*find_texts([compiled({"contains": "weather"})])]) > len(TEXTS)


def test_tests_that_contradict_each_other_have_none() -> None:
    assert [*find_texts([compiled("a"), compiled("b")])] == []


@pytest.mark.parametrize(
    "value",
    [
        0,
        None,
        "a",
        [1, {"b": 2}],
        {"equals": {"b": 1}},
        {"contains": "a"},
        {"exists": True},
        {"any": [{"starts_with": "a"}, 3]},
        {"exists": True, "ends_with": "z"},
    ],
)
def test_a_value_passes(value: Any) -> None:
    test = body_test(value).test
    assert test is not None

    found = [*islice(find_values(test), 5)]

    assert found
    assert all(map(test.passes, found))


def test_any_value_has_one_of_each_type() -> None:
    assert {type(value) for value in find_values(AllValues(()))} >= {str, int, bool, dict, list}
