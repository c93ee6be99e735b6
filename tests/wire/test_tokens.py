"""Estimates of tokens: cheap, the same everywhere, never zero for a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.wire import tokens

MEDIA = ("data", "url", "image_url", "file_data", "file_url", "input_audio")


@given(st.text())
@settings(deadline=None)
def test_text_counts_a_token_for_every_four_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))

    assert 4 * (tokens.estimate(text) - 1) < size <= 4 * tokens.estimate(text)


@given(st.text(), st.integers(0, 20))
def test_the_first_tokens_of_a_text_are_its_beginning(text: str, count: int) -> None:
    first = tokens.first_tokens(text, count)

    assert text.startswith(first)
    assert tokens.estimate(first) <= count
    if first != text:
        following = text[len(first)].encode("utf-8")
        assert len(first.encode()) + len(following) > 4 * count


@pytest.mark.parametrize(
    ("value", "total"),
    [
        (None, 0),
        (True, 1),
        (0, 1),
        (1.5, 1),
        ("", 0),
        ("abcde", 2),
        ([], 0),
        (["abcd", 1, ["efgh"]], 3),
        ({"text": "abcd"}, 2),
        ({"a": {"b": [1, "x"]}}, 4),
    ],
)
def test_value_counts_its_texts_its_numbers_and_its_keys(value: Any, total: int) -> None:
    assert tokens.estimate_value(value) == total


@pytest.mark.parametrize("member", MEDIA)
def test_media_count_only_their_caption(member: str) -> None:
    assert tokens.estimate_value({member: "x" * 4000, "title": "abcd"}) == 2
    assert tokens.estimate_value({member: {"deep": "x" * 4000}}) == 0


def test_deep_value_is_counted() -> None:
    value: Any = "abcd"
    for _ in range(5000):
        value = [value]

    assert tokens.estimate_value(value) == 1


@pytest.mark.parametrize(
    ("body", "total"),
    [
        ({}, 1),
        ({"messages": []}, 1),
        ({"model": "a long name that is no text of the prompt"}, 1),
        ({"messages": [{"role": "user", "content": "abcdefgh"}]}, 3 + 2 + 1 + 2),
        ({"input": "abcdefgh"}, 2),
        ({"input": ["abcd", "efgh"]}, 2),
        ({"input": [1, 2, 3]}, 3),
        ({"input": [[1, 2], [3]]}, 3),
        ({"input": [{"content": "abcd"}], "instructions": "abcd"}, 3 + 2 + 1),
        ({"messages": [{"content": "abcd"}], "system": "abcd", "tools": [{"name": "f"}]}, 8),
        ({"messages": "not a list"}, 3),
        ({"messages": None, "input": []}, 1),
    ],
)
def test_prompt_counts_what_reaches_the_model(body: dict[str, Any], total: int) -> None:
    assert tokens.estimate_prompt(body) == total


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text())))
def test_a_list_counts_as_much_as_its_entries(entries: list[Any]) -> None:
    assert tokens.estimate_value(entries) == sum(map(tokens.estimate_value, map(wrapped, entries)))


def wrapped(entry: Any) -> Any:
    """An entry in a list that is not one of numbers only."""
    return [entry, ""]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 1) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", *MEDIA]), inner, max_size=3)
    ),
)


@given(st.lists(JSON))
def test_a_prompt_is_estimated_like_any_value(entries: list[Any]) -> None:
    per_message = tokens.TOKENS_PER_MESSAGE * len(entries)
    has_messages = bool(entries) and isinstance(entries[0], dict)
    expected = tokens.estimate_value(entries) + (per_message if has_messages else 0)

    assert tokens.estimate_prompt({"messages": entries}) == max(expected, 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["type", "text", "data", "url", "é"]), inner)
    ),
)


@given(
    st.dictionaries(st.sampled_from(["messages", "input", "system", "tools", "model"]), JSON),
    st.integers(1, 5),
)
def test_an_estimate_in_pieces_is_that_of_the_whole_body(body: dict[str, Any], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_VALUES_AT_ONCE", most)
        patch.setattr(tokens, "_CHARACTERS_AT_ONCE", most)
        pieces = tokens.estimate_in_pieces(body)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                estimated = end.value
                break

    assert estimated == body
    assert estimated.input_tokens == tokens.estimate_prompt(body)
    assert tokens.estimate_prompt(estimated) == estimated.input_tokens


@pytest.mark.parametrize(
    "entries",
    [
        [[7] * 1_000] * 100,
        [{"a": 7}] * 50_000,
        [7] * 100_000,
        [{str(name): 7 for name in range(100_000)}],
    ],
    ids=["lists", "objects", "numbers", "members"],
)
def test_there_is_a_pause_after_some_values(entries: list[Any]) -> None:
    """900 lists of 1,000 tokens held the loop for 30 ms."""
    pauses = sum(1 for _ in tokens.estimate_in_pieces({"input": entries}))

    assert pauses >= 100_000 // tokens._VALUES_AT_ONCE - 1


@pytest.mark.parametrize("content", [str, lambda text: [{"type": "text", "text": text}]])
def test_the_tokens_of_a_large_text_are_estimated_with_pauses(content: Any) -> None:
    body = {"messages": [{"role": "user", "content": content("wörd " * 400_000)}]}

    assert sum(1 for _ in tokens.estimate_in_pieces(body)) >= 7
