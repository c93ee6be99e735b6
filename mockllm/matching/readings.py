"""Readings of a prompt that conditions are about: the user's words, the number of the turn.

A reading is a function of a prompt; `Prompt.once` keeps its result. None means that it cannot be
told: the request continues a conversation that is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mockllm.matching.folding import fold
from mockllm.prompt import ConversationMessage, Prompt, ToolResult

Texts = tuple[str, ...]


class Folded(dict[str, str]):
    """The texts of a prompt without case (`str.casefold`), each of which is folded once: to fold
    35 kB takes 100 µs."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()

    def __missing__(self, text: str) -> str:
        folded = self[text] = text.casefold()
        return folded


def fold_of(prompt: Prompt) -> Callable[[str], str]:
    """Return a function that folds texts of `prompt`."""
    return prompt.once(Folded).__getitem__


class Seen(dict[str, str]):
    """The texts of a prompt without what readers overlook (`folding.fold`), each folded once."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()

    def __missing__(self, text: str) -> str:
        seen = self[text] = fold(text)
        return seen


def seen_of(prompt: Prompt) -> Callable[[str], str]:
    """Return a function that gives texts of `prompt` without what readers overlook."""
    return prompt.once(Seen).__getitem__


def with_joined(texts: Texts) -> Texts:
    """Return the texts of one message, and all of them joined by a newline: a text is so if one of
    these is. Of no texts, the joined text is empty."""
    return texts if len(texts) == 1 else (*texts, "\n".join(texts))


Reading = Callable[[Prompt], Any]


def in_pieces(prompt: Prompt, wanted: Iterable[Reading]) -> Iterator[bool]:
    """Make the readings `wanted` of a long conversation, with pauses (`engine.decision.Pieces`)."""
    for read in wanted:
        if read is messages:
            for _ in prompt.read_in_pieces():
                yield False
        else:
            prompt.once(read)
        yield False


def messages(prompt: Prompt) -> tuple[ConversationMessage, ...]:
    """The whole conversation."""
    return prompt.messages()


def turns(prompt: Prompt) -> tuple[tuple[ConversationMessage, ...], ...]:
    """The messages before each of the model's answers."""
    return prompt.turns()


def user(prompt: Prompt) -> Texts:
    """The words of the user in the last turn; none if it has a tool result."""
    turn = prompt.last_turn()
    return () if _has_result(turn) else _words(turn)


def last_user(prompt: Prompt) -> Texts | None:
    """The user's last words, all those of the same turn."""
    for turn in reversed(prompt.turns()):
        words = _words(turn)
        if words:
            return words
    if prompt.earlier is not None:
        return prompt.earlier.last_user
    return () if prompt.is_known() else None


def system(prompt: Prompt) -> Texts:
    """The texts of all instructions."""
    return prompt.system()


def turn(prompt: Prompt) -> int | None:
    """The number of the requested answer in the conversation, from 1."""
    if not prompt.is_known():
        return None
    earlier = prompt.earlier.answers if prompt.earlier else 0
    return earlier + len(prompt.turns())


def step(prompt: Prompt) -> int | None:
    """The number of the requested answer since the user's last words, from 1. What stands beside a
    tool result does not count as such words: agents add notes there."""
    turns = prompt.turns()
    for back, messages in enumerate(reversed(turns)):
        if messages and not _has_result(messages):
            return back + 1
    if prompt.earlier is not None:
        return prompt.earlier.step + len(turns)
    return len(turns) if prompt.is_known() else None


def spoken(prompt: Prompt) -> tuple[ConversationMessage, ...]:
    """The messages of the conversation. Those of the user in one turn are one message, because APIs
    differ in how they are split."""
    joined: list[ConversationMessage] = []
    words: list[str] = []
    speaks = False
    for message in prompt.messages():
        if message.role == "user":
            speaks = True
            words += message.texts
            continue
        if message.role == "assistant" and speaks:
            joined.append(ConversationMessage("user", tuple(words)))
            words, speaks = [], False
        joined.append(message)
    if speaks:
        joined.append(ConversationMessage("user", tuple(words)))
    return tuple(joined)


def spoken_texts(prompt: Prompt) -> tuple[tuple[ConversationMessage, Texts], ...]:
    """The messages of the conversation, each with the texts that are tested."""
    return tuple((message, with_joined(message.texts)) for message in prompt.once(spoken))


def all_texts(prompt: Prompt) -> Texts:
    """The texts of all messages that are tested."""
    return tuple(text for _, texts in prompt.once(spoken_texts) for text in texts)


def all_result_texts(prompt: Prompt) -> Texts:
    """The texts of all tool results of the last turn that are tested."""
    return tuple(text for _, texts in prompt.once(result_texts) for text in texts)


def result_texts(prompt: Prompt) -> tuple[tuple[ToolResult, Texts], ...]:
    """The tool results of the last turn, each with the texts that are tested."""
    return tuple((result, with_joined(result.texts)) for result in prompt.once(results))


def results(prompt: Prompt) -> tuple[ToolResult, ...]:
    """The tool results of the last turn."""
    return tuple(message for message in prompt.last_turn() if isinstance(message, ToolResult))


def _has_result(messages: Iterable[ConversationMessage]) -> bool:
    return any(isinstance(message, ToolResult) for message in messages)


def _words(messages: Iterable[ConversationMessage]) -> Texts:
    return tuple(text for message in messages if message.role == "user" for text in message.texts)
