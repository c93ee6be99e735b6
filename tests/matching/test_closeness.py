"""How close a request is to the text of a rule."""

from __future__ import annotations

from mockllm.matching.closeness import (
    ALIKE,
    RIGHT_KIND,
    WRONG_KIND,
    closeness_of_start,
    closeness_of_texts,
    folded_texts,
)
from mockllm.matching.folding import MAX_FOLDED
from tests.support.rules import user
from tests.support.strategies import ask_chat

PROMPT = ask_chat([user("What is the Weather?"), {"role": "system", "content": "Be kind."}])
NOTE, TURN = PROMPT.last_messages


def start(wanted: str) -> int:
    return closeness_of_start(wanted, TURN, PROMPT, 0)


def same(*texts: str) -> int:
    return closeness_of_texts(texts, TURN, PROMPT, 0)


def test_each_of_the_last_messages_has_its_own_texts() -> None:
    assert folded_texts(NOTE, PROMPT) == "be kind."
    assert folded_texts(TURN, PROMPT) == "what is the weather?"


def test_a_text_to_contain_is_close_by_its_longest_start() -> None:
    assert start("the wind") == RIGHT_KIND + len("the w")
    assert start("xyz") == start("") == RIGHT_KIND
    assert start("THE WEATHER") == ALIKE + len("the weather")


def test_a_text_to_equal_is_close_by_the_common_start_or_if_it_is_contained() -> None:
    assert same("what was") == RIGHT_KIND + len("what ")
    assert same("Weather") == RIGHT_KIND + len("weather")
    assert same("the") == RIGHT_KIND + len("the")
    assert same("what is", "the  weather?") == ALIKE + len("what is the weather?")
    assert same("") == RIGHT_KIND
    assert same() == WRONG_KIND


def test_a_text_that_is_not_folded_whole_is_not_alike() -> None:
    long = "A" * (MAX_FOLDED + 1)
    prompt = ask_chat([user(long.lower())])
    (message,) = prompt.last_messages

    assert closeness_of_start(long, message, prompt, 0) == RIGHT_KIND + MAX_FOLDED
    assert closeness_of_texts([long], message, prompt, 0) == RIGHT_KIND + MAX_FOLDED
