"""The texts of a request that conditions are about, and how much there is to compare."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from mockllm.matching import readings
from mockllm.matching.divided_readings import divide, joined_in_pieces, read_slices
from mockllm.matching.readings import Reading, Texts, with_joined
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

WORK_PER_TEXT = 500  # characters that are compared in the time that a short text takes

Read = Callable[[Prompt], Texts | None]
"""Reads texts; None if they cannot be told."""
Size = Callable[[Prompt], int]
"""Reads roughly the characters that are compared to test texts."""


class _Reading(NamedTuple):
    """`read` gives the texts, `tested` those that are tested: none if they cannot be told. `name`
    is the word of the configuration, `none` the reason if there are no texts, `failed` the
    beginning of the reason if no text is right."""

    name: str
    read: Read
    none: str
    failed: str
    tested: Callable[[Prompt], Texts]
    size: Size
    on_message: bool = False

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What takes long to read where a conversation is long, in order."""
        before = (readings.messages, readings.turns) if self.on_message else ()
        return (*before, self.read, self.tested, self.size)


def _of_message(name: str, read: Read, none: str, failed: str, *, on_message: bool) -> _Reading:
    """Return the reading of texts that are tested one by one, and all of them joined."""

    def tested(prompt: Prompt) -> Texts:
        found = prompt.once(read)
        return with_joined(found) if found else ()

    def tested_in_pieces(prompt: Prompt) -> Pieces[Texts]:
        found = prompt.once(read)
        return (yield from joined_in_pieces(found)) if found else ()

    divide(tested, tested_in_pieces)
    return _Reading(name, read, none, failed, tested, size_of(tested), on_message)


def _of_name(name: str, read: Callable[[Prompt], Texts], none: str, failed: str) -> _Reading:
    """Return the reading of texts that are tested one by one."""
    return _Reading(name, read, none, failed, read, size_of(read))


def size_of(read: Callable[[Prompt], Texts]) -> Size:
    """Return a reading of the size of the texts that `read` gives."""

    def size(prompt: Prompt) -> int:
        texts = prompt.once(read)
        return sum(map(len, texts)) + WORK_PER_TEXT * len(texts)

    def size_in_pieces(prompt: Prompt) -> Pieces[int]:
        texts = prompt.once(read)
        sizes = yield from read_slices(texts, lambda some: (sum(map(len, some)),))
        return sum(sizes) + WORK_PER_TEXT * len(texts)

    divide(size, size_in_pieces)
    return size


def _model(prompt: Prompt) -> Texts:
    return (prompt.model,)


class Subject(Enum):
    """The texts that a condition is about."""

    USER = _of_message(
        "user",
        readings.user,
        "the last turn has no words of the user",
        "the user's last turn",
        on_message=True,
    )
    LAST_USER = _of_message(
        "last_user",
        readings.last_user,
        "the user says nothing",
        "the user's last message",
        on_message=True,
    )
    SYSTEM = _of_message(
        "system",
        readings.system,
        "there are no instructions",
        "the instruction",
        on_message=False,
    )
    MODEL = _of_name("model", _model, "", "the model")
    SCHEMA = _of_name(
        "schema",
        Prompt.schemas,
        "no schema is asked for and no tool is forced",
        "the schema",
    )


ALL_MESSAGES = size_of(readings.all_texts)
ALL_RESULTS = size_of(readings.all_result_texts)
