"""Tokens of the events of a stream: divided by characters, and counted as `usage` counts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Step
from mockllm.prompt import STREAMED, ResponseOptions
from mockllm.providers.speech import Speaker, Speech, measure, meter, speak
from mockllm.wire.chunking import Chunk


def _events(response: Any, options: ResponseOptions, chunk: Chunk) -> Iterator[dict[str, Any]]:
    yield from response["events"]


LETTERS = Speaker(
    complete=lambda response: response,
    events=_events,
    frame=lambda event: event["text"].encode() + b"|",
    characters=lambda event: len(event["text"]) if event["text"].isalpha() else 0,
    is_thought=lambda event: event["text"].isupper(),
    output="output",
    reasoning="reasoning",
    opening=1,
)
"""Events are texts: letters are said, capitals are thought, the first event is the opening."""


def told(*texts: str, **counts: Any) -> list[tuple[bytes, int]]:
    response = {"events": [{"text": text} for text in texts], **counts}
    return [(step.data, step.tokens) for step in speak(LETTERS, response, STREAMED, "word")]


def test_tokens_are_divided_by_characters() -> None:
    assert told("0", "ab", "abcd", "ab", usage={"output": 8}) == [
        (b"0|", 0),
        (b"ab|", 2),
        (b"abcd|", 4),
        (b"ab|", 2),
    ]


def test_what_comes_before_the_first_text_comes_together_with_it() -> None:
    assert told("0", "1", "2", "ab", "3", "cd", "4", usage={"output": 2}) == [
        (b"0|", 0),
        (b"1|", 1),
        (b"2|", 0),
        (b"ab|", 0),
        (b"3|", 0),
        (b"cd|", 1),
        (b"4|", 0),
    ]


def test_tokens_of_hidden_reasoning_come_before_the_first_text() -> None:
    usage = {"output": 10, "output_details": {"reasoning": 8}}

    assert told("0", "a", "b", usage=usage) == [(b"0|", 0), (b"a|", 9), (b"b|", 1)]


def test_reasoning_that_is_shown_is_not_hidden() -> None:
    usage = {"output": 4, "output_details": {"reasoning": 2}}

    assert told("0", "AAAA", "AAAA", "bbbb", "bbbb", usage=usage) == [
        (b"0|", 0),
        *((text, 1) for text in (b"AAAA|", b"AAAA|", b"bbbb|", b"bbbb|")),
    ]


def test_tokens_are_estimated_if_nothing_counts_them() -> None:
    assert sum(tokens for _, tokens in told("0", "a" * 20, usage=None)) == 5
    assert sum(tokens for _, tokens in told("0", "a" * 20, usage={"output": "many"})) == 5


@pytest.mark.parametrize("output", [0, 1, 7])
def test_an_answer_without_text_is_complete_with_its_last_token(output: int) -> None:
    assert told("0", "1", "2", usage={"output": output}) == [
        (b"0|", 0),
        (b"1|", max(output, 1)),
        (b"2|", 0),
    ]


def test_the_closing_comes_with_the_last_token() -> None:
    speaker = replace(LETTERS, closing=(b"end",))

    steps = [*speak(speaker, {"events": [{"text": "0"}, {"text": "a"}]}, STREAMED, "word")]

    assert steps[-1] == Step((b"end",))


@given(st.lists(st.text("aB1", min_size=1, max_size=30)), st.integers(0, 500), st.integers(0, 500))
def test_all_tokens_are_given_once_and_in_order(
    texts: list[str], tokens: int, reasoning: int
) -> None:
    events = [{"text": text} for text in texts]
    speech = measure(LETTERS, events, tokens, reasoning)

    steps = [*meter(LETTERS, events, speech)]

    assert [step.data for step in steps] == [LETTERS.frame(event) for event in events]
    assert all(step.tokens >= 0 for step in steps)
    if speech.characters and any(text.isalpha() for text in texts[1:]):
        done = sum(step.tokens for step in steps)
        assert done == max(tokens, 1)


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(1, 300))
def test_a_token_is_given_with_the_characters_that_spell_it(sizes: list[int], tokens: int) -> None:
    events = [{"text": "0"}, *({"text": "a" * size} for size in sizes)]

    steps = [*meter(LETTERS, events, Speech(tokens, 0, sum(sizes)))][1:]

    for said, complete in zip(
        accumulate(sizes), accumulate(step.tokens for step in steps), strict=True
    ):
        exact = tokens * said / sum(sizes)
        assert abs(complete - exact) <= 0.5 or complete == 1
