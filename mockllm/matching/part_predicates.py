"""Conditions on the parts of the last message, for mocks whose content is not one text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mockllm.matching import readings
from mockllm.matching.closeness import RIGHT_KIND, WRONG_KIND, closeness_of_start
from mockllm.matching.effort import Effort, is_in_one
from mockllm.matching.folding import explain_absence
from mockllm.matching.message_predicates import (
    CallPredicate,
    LastMessagePredicate,
    MessageContains,
)
from mockllm.matching.parts import PER_PART, Part, is_within, is_within_one
from mockllm.matching.predicate import Difference, Headers, Predicate
from mockllm.matching.texts import quote
from mockllm.pieces import Pieces
from mockllm.prompt import Message, MessagePart, Prompt

PER_PIECE = 4_000  # nanoseconds to make and compare a piece of an item in canonical form
PER_BYTE = 90  # nanoseconds, of many small parts


@dataclass(frozen=True, slots=True)
class MessageHasParts(CallPredicate):
    """The message contains each of the `texts` in one of its texts, and each of the `parts` in one
    of its parts."""

    texts: tuple[str, ...]
    parts: tuple[Part, ...]
    role: str | None = None
    call_id: str = ""

    @property
    def required_texts(self) -> tuple[str, ...]:
        return (*self.texts, *(text for part in self.parts for text in part.texts))

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The ids of calls whose results an accepted message has."""
        return tuple(part.call_id for part in self.parts if part.call_id)

    @property
    def named_calls(self) -> tuple[str, ...]:
        return (*self.call_ids, self.call_id) if self.call_id else self.call_ids

    @property
    def readings(self) -> tuple[Callable[[Prompt], Any], ...]:
        return (readings.parts,)

    def accepts(self, message: Message) -> bool:
        if self.role is not None and self.role != message.role:
            return False
        return next(self._missing(message), None) is None

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        holds = False
        for message in prompt.last_messages:
            missing = yield from self._first_missing(message, effort)
            prompt.keep_verdict((self, id(message)), missing)
            is_of_role = self.role in (None, message.role)
            holds = holds or (missing is None and is_of_role)
        prompt.keep_verdict(self, holds)

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, (MessageHasParts, MessageContains)):
            return False
        if self.role not in (None, later.role):
            return False
        parts = later.parts if isinstance(later, MessageHasParts) else ()
        return all(
            any(text in other for other in later.required_texts) for text in self.texts
        ) and all(any(is_within(part.wanted, each.wanted) for each in parts) for part in self.parts)

    def _missing(self, message: Message) -> Iterator[str | Part]:
        """Yield the texts, then the parts, that the message does not contain."""
        yield from self._missing_texts(message)
        for part in self.parts:
            if not any(is_within(part.wanted, other.value) for other in message.parts()):
                yield part

    def _missing_texts(self, message: Message) -> Iterator[str]:
        for text in self.texts:
            if not any(text in other for other in message.search_texts):
                yield text

    def _first_missing(self, message: Message, effort: Effort) -> Pieces[str | Part | None]:
        """Return the first of `_missing`, with pauses; None if nothing is missing."""
        for text in self.texts:
            if not (yield from is_in_one(text, message.search_texts, effort)):
                return text
        for part in self.parts:
            values = (other.value for other in message.parts())
            if not (yield from is_within_one(part.wanted, values, effort)):
                return part
        return None

    def _miss(self, message: Message, prompt: Prompt, above: int) -> Difference:
        text = next(iter(self.required_texts), "")
        closeness = closeness_of_start(text, message, prompt, above)
        verdicts = prompt.verdicts or {}
        missing = verdicts.get((self, id(message))) or next(self._missing(message))
        assert missing is not None
        return Difference(closeness, partial(_missing_reason, missing, message))


@dataclass(frozen=True, slots=True)
class ItemsEndLike(LastMessagePredicate):
    """The last items of the request contain these. An item is its canonical form, or a part where
    it is written without its content and means any item that contains it."""

    items: tuple[bytes | Part, ...]
    role: None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the items once: 100,000 of them take 5 ms."""
        object.__setattr__(self, "_hash", hash(self.items))

    def __hash__(self) -> int:
        return self._hash

    @property
    def required_texts(self) -> tuple[str, ...]:
        return ()

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The id of the call whose result the last item is."""
        last = self.items[-1]
        return (last.call_id,) if isinstance(last, Part) and last.call_id else ()

    @property
    def named_calls(self) -> tuple[str, ...]:
        return self.call_ids

    def accepts(self, message: Message) -> bool:
        return message.size >= len(self.items) and self._first_missing(message) is None

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        holds = False
        for message in prompt.last_messages:
            if message.size >= len(self.items):
                missing = yield from self._first_missing_in_pieces(message, effort)
                prompt.keep_verdict((self, id(message)), missing)
                holds = holds or missing is None
        prompt.keep_verdict(self, holds)

    def _nearest_message(self, prompt: Prompt) -> Message:
        return next(each for each in prompt.last_messages if each.items is not None)

    def _first_missing(self, message: Message) -> bytes | Part | None:
        items: Sequence[Any] = message.items or ()
        pairs = zip(reversed(self.items), reversed(items), strict=False)
        for back, (wanted, item) in enumerate(pairs):
            if isinstance(wanted, Part):
                if not _has_part(message, item, wanted):
                    return wanted
            elif message.is_item_longer(item, len(wanted)) or message.key_of_item(back) != wanted:
                return wanted
        return None

    def _first_missing_in_pieces(
        self, message: Message, effort: Effort
    ) -> Pieces[bytes | Part | None]:
        """Do what `_first_missing` does, with pauses."""
        items: Sequence[Any] = message.items or ()
        pairs = zip(reversed(self.items), reversed(items), strict=False)
        for back, (wanted, item) in enumerate(pairs):
            if effort.is_much(PER_PART):
                yield False
            if isinstance(wanted, Part):
                is_there = _has_part(message, item, wanted)
            elif message.sizes is None:
                is_there = message.key_of_item(back) == wanted
            else:
                is_there = yield from _is_form(wanted, message.sizes.in_pieces(item), effort)
            if not is_there:
                return wanted
        return None

    def _miss(self, message: Message, prompt: Prompt, above: int) -> Difference:
        if message.size < len(self.items):
            return Difference(WRONG_KIND, partial(_size_reason, message.size, len(self.items)))
        missing = (prompt.verdicts or {}).get((self, id(message))) or self._first_missing(message)
        assert missing is not None
        if isinstance(missing, Part):
            return Difference(RIGHT_KIND, partial(_missing_reason, missing, message))
        return Difference(RIGHT_KIND, partial(_item_reason, missing))


def _has_part(message: Message, item: Any, wanted: Part) -> bool:
    """Return True if a part of an item contains `wanted`."""
    return any(
        isinstance(each, MessagePart) and is_within(wanted.wanted, each.value)
        for each in message.parts_of(message.without_lists(item))
    )


def _is_form(wanted: bytes, pieces: Iterable[bytes], effort: Effort) -> Pieces[bool]:
    """Return True if `pieces` are a canonical form, with pauses: it is made as far as it is the
    same."""
    size = 0
    for piece in pieces:
        if not wanted.startswith(piece, size):
            return False
        size += len(piece)
        if effort.is_much(PER_PIECE + PER_BYTE * len(piece)):
            yield False
    return size == len(wanted)


def _missing_reason(missing: str | Part, message: Message) -> str:
    if isinstance(missing, str):
        return explain_absence(missing, message.texts)
    if not missing.call_id:
        return f"no {missing.describe()}"
    others = [each for each in message.call_ids() if each != missing.call_id]
    if missing.call_id in message.call_ids():
        return f"no {missing.describe()}, only one without"
    found = f"found that of {', '.join(map(quote, others))}" if others else "found no result"
    return f"no {missing.describe()}, {found}"


def _item_reason(missing: bytes) -> str:
    return f"no item like {quote(missing.decode())}"


def _size_reason(found: int, least: int) -> str:
    return f"input has {found} {'item' if found == 1 else 'items'}, expected at least {least}"
