"""Values of a request's body, by their JSONPath."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.matching.body_values import (
    AllValues,
    AnyValue,
    BodyHas,
    ValueEquals,
    ValueText,
    is_longer,
)
from mockllm.matching.json_path import MAX_LEVELS, read_path
from mockllm.matching.text_tests import Contains
from mockllm.wire.jsontext import canonical
from tests.support.strategies import ask_chat


def _deep(levels: int) -> Any:
    return {"a": _deep(levels - 1)} if levels else 0


def test_a_body_that_is_too_large_decides_nothing() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}], metadata=_deep(MAX_LEVELS))

    difference = BodyHas(read_path("$..x"), None, canonical).difference(prompt, {})

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
    assert ValueEquals.of(one, canonical).passes(other) is equal


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
    wrong = BodyHas(read_path("$.metadata"), ValueEquals.of({}, canonical), canonical)

    difference = wrong.difference(prompt, {})

    assert difference is not None
    assert difference.reason().startswith('$.metadata is {"a":"x","b":[1,1,1,')


def test_tests_of_a_value_are_combined() -> None:
    text = ValueText(Contains("a"))

    assert AnyValue((ValueEquals.of(1, canonical), text)).passes("cat")
    assert not AnyValue((ValueEquals.of(1, canonical), text)).passes(2)
    assert AllValues(()).passes(None)
    assert not AllValues((text, ValueEquals.of("b", canonical))).passes("ab")
    assert not text.passes(["a"])
