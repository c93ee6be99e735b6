"""The closeness of a request to a condition that does not hold. More is closer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from mockllm.matching.folding import MAX_FOLDED, MAX_TEXTS, fold, fold_all, folded_messages, some
from mockllm.matching.texts import common_prefix, longest_start_within
from mockllm.prompt import Message, Prompt

WRONG_KIND = 1  # another role, or texts where only other parts are expected
NOTHING_HOLDS = 2
"""Closeness of a rule without a condition on the message, if its first condition fails."""
RIGHT_KIND = 2  # the same role; characters in common are added, of folded texts
SAME_CALL = 2**37
"""Added for the result of the same call: more than the characters of any text."""
ALIKE = 2**38  # a text that is the same when folded; its length is added
ONLY_REQUEST = 2**39  # the message is right: more than the characters of any text
ONLY_HEADERS = 2**40  # only a header differs


def closeness_of_start(wanted: str, message: Message, prompt: Prompt, above: int) -> int:
    """Return how close the texts of a message are to containing `wanted`: by the longest start of
    it that is in them. It may be too low if no more than `above` characters are."""
    needle, found = fold(wanted), folded_texts(message, prompt)
    if not needle:
        return RIGHT_KIND
    if needle in found:
        return RIGHT_KIND + len(needle) if len(wanted) > MAX_FOLDED else ALIKE + len(needle)
    return RIGHT_KIND + longest_start_within(needle, found, above=above)


def closeness_of_texts(
    expected: Sequence[str], message: Message, prompt: Prompt, above: int
) -> int:
    """Return how close the texts of a message are to those `expected`: by their common start, or
    the length of those expected if the message contains them. It may be too low if no more than
    `above` characters are the same."""
    text, found = _fold_expected(tuple(some(expected))), folded_texts(message, prompt)
    if not text:
        return WRONG_KIND if found and not expected else RIGHT_KIND
    is_whole = len(expected) <= MAX_TEXTS
    if text == found and is_whole and all(len(each) <= MAX_FOLDED for each in expected):
        return ALIKE + len(text)
    if text in found:
        return RIGHT_KIND + len(text)
    return RIGHT_KIND + common_prefix(text, found, above=above)


@lru_cache(maxsize=256)  # of up to 32 kB each: a rule that is near one request is near the next
def _fold_expected(texts: tuple[str, ...]) -> str:
    return fold_all(texts)


def folded_texts(message: Message, prompt: Prompt) -> str:
    """Return the folded texts of one of the prompt's last messages."""
    folded = folded_messages(prompt)
    return folded[0] if message is prompt.last_messages[0] else folded[1]
