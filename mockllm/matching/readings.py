"""Readings of a prompt that conditions are about: the user's words, the number of the turn.

A reading is a function of a prompt; `Prompt.once` keeps its result. None means that it cannot be
told: the request continues a conversation that is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from mockllm.matching.effort import MAX_TEXT_AT_ONCE, Effort
from mockllm.matching.folding import fold
from mockllm.pieces import Pieces, finish
from mockllm.prompt import ConversationMessage, Prompt, ToolResult
from mockllm.prompt.conversation import slices, tuple_or_list
from mockllm.prompt.prompt import read_messages, read_system, read_tools, read_turns

Texts = Sequence[str]
UNKNOWN_CHAIN = "the request continues a conversation that is not known here"
PER_FOLDED = 10  # nanoseconds to fold a character that is not ASCII
_M = TypeVar("_M", bound=ConversationMessage)


class Folded(dict[str, str]):
    """The texts of a prompt without case (`str.casefold`), each of which is folded once: to fold
    35 kB takes 100 µs. Long ones are beside the dictionary: to hash 60 MB takes 10 to 30 ms."""

    _long: tuple[tuple[str, str], ...] = ()

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()

    def fold(self, text: str) -> str:
        """Return a text, long or not, without case."""
        if len(text) <= MAX_TEXT_AT_ONCE:
            return self[text]
        return finish(self.fold_in_pieces(text, Effort()))

    def fold_in_pieces(self, text: str, effort: Effort) -> Pieces[str]:
        """Return a long text without case, with pauses."""
        for long, folded in self._long:
            if long is text:
                return folded
        folded = ""  # grows in place
        for start in range(0, len(text), MAX_TEXT_AT_ONCE):
            folded += text[start : start + MAX_TEXT_AT_ONCE].casefold()
            if effort.is_much(PER_FOLDED * MAX_TEXT_AT_ONCE):
                yield False
        self._long = (*self._long, (text, folded))
        return folded

    def __missing__(self, text: str) -> str:
        folded = self[text] = text.casefold()
        return folded


def fold_of(prompt: Prompt) -> Callable[[str], str]:
    """Return a function that folds texts of `prompt`."""
    folded = prompt.once(Folded)
    return folded.__getitem__ if prompt.leftovers is None else folded.fold


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


messages = read_messages
"""The whole conversation."""
turns = read_turns
"""The messages before each of the model's answers."""
system = read_system
"""The texts of all instructions."""
tools = read_tools
"""The names of the tools."""


MAX_HASHED = 1_024  # characters of a name that is looked up; a longer one is compared


def tool_sets(prompt: Prompt) -> Sequence[Collection[str]]:
    """The names of the tools for look-ups, some hundreds in each."""
    return tuple(chain.from_iterable(map(sets_of_names, slices(prompt.once(tools)))))


def sets_of_names(names: Sequence[str]) -> tuple[Collection[str], ...]:
    """Return names as a set, and those that take long to hash beside it."""
    long = tuple(name for name in names if len(name) > MAX_HASHED)
    if not long:
        return (frozenset(names),)
    return frozenset(name for name in names if len(name) <= MAX_HASHED), long


def user(prompt: Prompt) -> Texts:
    """The words of the user in the last turn; none if it has a tool result."""
    if prompt.is_plain:
        return _plain_words(prompt)
    turn = prompt.last_turn()
    return () if has_result(turn) else words(turn)


def last_user(prompt: Prompt) -> Texts | None:
    """The user's last words, all those of the same turn."""
    if prompt.is_plain:
        return _plain_words(prompt)
    for turn in reversed(prompt.turns()):
        found = words(turn)
        if found:
            return found
    return earlier_words(prompt)


def _plain_words(prompt: Prompt) -> Texts:
    """Return the words of the user in the last turn of a plain conversation, of which nothing else
    is read: 1 µs instead of 10, and of 100 for 40 messages."""
    words: list[str] = []
    for message in reversed(prompt.body[prompt.readers.conversation or ""]):
        role = message["role"]
        if role == "user":
            words.append(message["content"])
        elif role == "assistant":
            break
    return tuple(reversed(words))


def earlier_words(prompt: Prompt) -> Texts | None:
    """The user's last words in what a request continues; none if it continues nothing."""
    if prompt.earlier is not None:
        return prompt.earlier.last_user
    return () if prompt.is_known() else None


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
        if messages and not has_result(messages):
            return back + 1
    return steps_since_earlier_words(prompt)


def steps_since_earlier_words(prompt: Prompt) -> int | None:
    """The `step` of a request without words of the user."""
    turns = prompt.turns()
    if prompt.earlier is not None:
        return prompt.earlier.step + len(turns)
    return len(turns) if prompt.is_known() else None


def spoken(prompt: Prompt) -> Sequence[ConversationMessage]:
    """The messages of the conversation. Those of the user in one turn are one message, because APIs
    differ in how they are split."""
    joining = Spoken()
    joining.add(prompt.messages())
    return tuple(joining.result())


class Spoken:
    """Joins messages, which are added in order, as `spoken` does."""

    def __init__(self) -> None:
        self._joined: list[ConversationMessage] = []
        self._words: list[str] = []
        self._speaks = False

    def add(self, messages: Iterable[ConversationMessage]) -> None:
        """Add further messages."""
        joined = self._joined
        for message in messages:
            if message.role == "user":
                self._speaks = True
                self._words += message.texts
                continue
            if message.role == "assistant" and self._speaks:
                self._end_turn()
            joined.append(message)

    def result(self) -> list[ConversationMessage]:
        """Return all messages; no more can be added."""
        if self._speaks:
            self._end_turn()
        return self._joined

    def _end_turn(self) -> None:
        self._joined.append(ConversationMessage("user", tuple_or_list(self._words)))
        self._words, self._speaks = [], False


def spoken_texts(prompt: Prompt) -> Sequence[tuple[ConversationMessage, Texts]]:
    """The messages of the conversation, each with the texts that are tested."""
    return tuple(map(with_tested, prompt.once(spoken)))


def with_tested(message: _M) -> tuple[_M, Texts]:
    """Return a message with its texts that are tested."""
    return message, with_joined(message.texts)


def all_texts(prompt: Prompt) -> Texts:
    """The texts of all messages that are tested."""
    return tuple(tested(prompt.once(spoken_texts)))


def all_result_texts(prompt: Prompt) -> Texts:
    """The texts of all tool results of the last turn that are tested."""
    return tuple(tested(prompt.once(result_texts)))


def tested(messages: Iterable[tuple[ConversationMessage, Texts]]) -> Iterator[str]:
    """Return the texts of messages that are tested."""
    return chain.from_iterable(texts for _, texts in messages)


def result_texts(prompt: Prompt) -> Sequence[tuple[ToolResult, Texts]]:
    """The tool results of the last turn, each with the texts that are tested."""
    return tuple(map(with_tested, prompt.once(results)))


def results(prompt: Prompt) -> Sequence[ToolResult]:
    """The tool results of the last turn."""
    return tuple(results_among(prompt.last_turn()))


def results_among(messages: Iterable[ConversationMessage]) -> Iterator[ToolResult]:
    """Return the tool results among messages."""
    return (message for message in messages if isinstance(message, ToolResult))


def parts(prompt: Prompt) -> None:
    """The parts of the last messages, which are kept with them."""
    for message in prompt.last_messages:
        message.parts()


def has_result(messages: Iterable[ConversationMessage]) -> bool:
    """Return True if one of the messages is a tool result."""
    return any(isinstance(message, ToolResult) for message in messages)


def words(messages: Iterable[ConversationMessage]) -> Texts:
    """Return the texts of the user."""
    return tuple(
        chain.from_iterable(message.texts for message in messages if message.role == "user")
    )
