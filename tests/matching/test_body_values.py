"""Values of a request's body, by their JSONPath."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.conditions import CANONICAL
from mockllm.matching.body_values import (
    AllValues,
    AnyValue,
    BodyHas,
    Canonical,
    ValueEquals,
    ValueText,
    is_longer,
)
from mockllm.matching.effort import Effort
from mockllm.matching.json_path import MAX_LEVELS, read_path
from mockllm.matching.lookups import BodyValues
from mockllm.matching.readings import Folded
from mockllm.matching.text_tests import Contains
from mockllm.pieces import finish
from mockllm.wire import json_encoding
from mockllm.wire.jsontext import canonical
from tests.support.strategies import ask_chat

FOLDED = Folded(ask_chat([{"role": "user", "content": "hi"}]))


def _deep(levels: int) -> Any:
    return {"a": _deep(levels - 1)} if levels else 0


def test_a_body_that_is_too_large_decides_nothing() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}], metadata=_deep(MAX_LEVELS))

    difference = BodyHas(read_path("$..x"), None, CANONICAL).difference(prompt, {})

    assert difference is not None
    assert difference.undecided
    assert "more than 10,000 values or 32 levels" in difference.reason()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (0, False, False),
        (1, True, False),
        ("1", 1, False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (None, None, True),
    ],
)
def test_values_are_compared_as_json(one: Any, other: Any, equal: bool) -> None:
    assert ValueEquals.of(one, CANONICAL).passes(other) is equal


@pytest.mark.parametrize(
    "value",
    [[], {}, [0] * 5, {"a": [1.0, -0.0, 1e16]}, "a" * 9, "\u2028", [[["a"]]], _deep(300), [None]],
)
def test_the_canonical_form_of_what_is_longer_has_more_bytes(value: Any) -> None:
    size = len(canonical(value))

    assert not is_longer(value, size)
    assert not is_longer(value, size + 1)
    assert is_longer([value] * 1_000, 100)


def test_a_large_value_is_shown_by_its_beginning() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}], metadata={"b": [1] * 5_000, "a": "x"})
    wrong = BodyHas(read_path("$.metadata"), ValueEquals.of({}, CANONICAL), CANONICAL)

    difference = wrong.difference(prompt, {})

    assert difference is not None
    assert difference.reason().startswith('$.metadata is {"a":"x","b":[1,1,1,')


def test_tests_of_a_value_are_combined() -> None:
    text = ValueText(Contains("a"))

    assert AnyValue((ValueEquals.of(1, CANONICAL), text)).passes("cat")
    assert not AnyValue((ValueEquals.of(1, CANONICAL), text)).passes(2)
    assert AllValues(()).passes(None)
    assert not AllValues((text, ValueEquals.of("b", CANONICAL))).passes("ab")
    assert not text.passes(["a"])


def forms() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=9)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=6)
        ),
    )


@given(forms(), forms(), st.integers(1, 30), st.integers(0, 60))
def test_values_are_compared_in_pieces_as_at_once(
    one: Any, other: Any, weight: int, size: int
) -> None:
    test = ValueEquals.of(one, CANONICAL)
    either = AnyValue((ValueEquals.of(0, CANONICAL), AllValues((test, test))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "_MAX_WEIGHT", weight)
        patch.setattr(json_encoding, "_SORTED_AT_ONCE", 2)
        patch.setattr(json_encoding, "MAX_TEXT", 4)
        patch.setattr(json_encoding, "_PIECE_OF_TEXT", 3)
        same = copy.deepcopy(one)

        assert b"".join(json_encoding.canonical_in_pieces(other)) == canonical(other)
        assert finish(test.passes_in_pieces(same, FOLDED, Effort()))
        assert finish(test.passes_in_pieces(other, FOLDED, Effort())) is test.passes(other)
        assert finish(either.passes_in_pieces(other, FOLDED, Effort())) is either.passes(other)
        form = finish(CANONICAL.up_to(size, other))
    assert form == (canonical(other) if len(canonical(other)) <= size else None)


@pytest.mark.parametrize("last", [{"role": "user", "content": "hello"}, {"role": "user"}])
def test_a_large_value_is_compared_with_pauses(last: Any) -> None:
    wanted = [{"role": "user", "content": "hello"}] * 50_000
    prompt = ask_chat([*wanted[:-1], last])
    has = BodyHas(read_path("$.messages"), ValueEquals.of(wanted, CANONICAL), CANONICAL)
    read = BodyValues(has.path, CANONICAL, longest=10_000_000)

    assert sum(1 for _ in has.decide_in_pieces(prompt, {}, Effort())) > 10
    assert sum(1 for _ in read.in_pieces(prompt, Effort())) > 10

    assert (has.difference(prompt, {}) is None) is (last == wanted[0])
    assert finish(read.in_pieces(prompt, Effort())) == read(prompt)


def test_no_more_is_encoded_of_a_value_than_a_mock_may_have() -> None:
    pieces = iter([b"[1", b",2", b",3", b"]"])
    counted = Canonical(canonical, lambda value: pieces)

    assert finish(counted.up_to(3, {"a": [1, 2, 3]})) is None
    assert list(pieces) == [b",3", b"]"]
