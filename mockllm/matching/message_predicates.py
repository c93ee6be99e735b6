"""Conditions on the last message of a request, whose content is one text or compared whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Self, cast

from mockllm.matching import readings
from mockllm.matching.closeness import (
    RIGHT_KIND,
    SAME_CALL,
    WRONG_KIND,
    closeness_of_start,
    closeness_of_texts,
)
from mockllm.matching.effort import PER_CHARACTER, PER_TEXT, Effort, is_in_one
from mockllm.matching.folding import explain_absence
from mockllm.matching.json_difference import explain_json
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.texts import quote
from mockllm.pieces import Pieces
from mockllm.prompt import Message, Prompt

MAX_EXPLAINED = 1_000_000  # bytes of a message whose first difference is looked for: 5 ms
MAX_ENTRIES_EXPLAINED = 2_000  # entries of its content, if what is expected is shorter: 4 to 8 ms
MAX_ITEMS_EXPLAINED = 1_000  # of a large request, for which a remedy is looked for
MAX_KEY_EXPLAINED = 16_000  # bytes that are expected where very many values are found
MAX_SHOWN = 100  # bytes of two canonical forms that differ
MAX_REMEDY_EFFORT = 5_000_000  # nanoseconds that it takes to search for what is not equal


class LastMessagePredicate(Predicate):
    """A condition that holds if it accepts one of the prompt's last messages."""

    __slots__ = ()

    role: str | None
    """The required role of the message; None for any role."""

    @property
    def on_message(self) -> bool:
        return True

    @property
    def reads_one_message(self) -> bool:
        return True

    @property
    @abstractmethod
    def required_texts(self) -> tuple[str, ...]:
        """Texts that every accepted message contains."""

    @property
    def named_calls(self) -> tuple[str, ...]:
        """The ids of the calls whose results the condition is written for. A message with one of
        them is nearer than others, also where the id does not matter."""
        return ()

    @property
    def readings(self) -> tuple[Callable[[Prompt], Any], ...]:
        return (readings.parts,) if self.named_calls else ()

    @abstractmethod
    def accepts(self, message: Message) -> bool:
        """Return True if `message` meets the condition."""

    @abstractmethod
    def _miss(self, message: Message, prompt: Prompt, above: int) -> Difference:
        """Return the difference from a message of the right role. The closeness may be too low if
        no more than `above` characters agree."""

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        verdicts = prompt.verdicts
        known = None if verdicts is None else verdicts.get(self)
        if known or (known is None and any(map(self.accepts, prompt.last_messages))):
            return None
        message = prompt.last_messages[-1]
        if len(prompt.last_messages) > 1:  # else it is the one that was looked at
            message = self._nearest_message(prompt)
        if self.role is not None and self.role != message.role:
            return Difference(WRONG_KIND, partial(self._role_reason, message.role))
        if not self.named_calls or set(self.named_calls).isdisjoint(message.call_ids()):
            return self._miss(message, prompt, max(0, closer_than - RIGHT_KIND))
        miss = self._miss(message, prompt, max(0, closer_than - SAME_CALL - RIGHT_KIND))
        return miss._replace(closeness=miss.closeness + SAME_CALL)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        known = prompt.verdicts
        if known is None or self not in known:
            prompt.keep_verdict(self, any(map(self.accepts, prompt.last_messages)))
            if effort.is_much(prompt.once(search_effort)):
                yield False

    def _nearest_message(self, prompt: Prompt) -> Message:
        for message in prompt.last_messages:
            if message.role == self.role:
                return message
        return prompt.last_messages[-1]

    def _role_reason(self, found: str) -> str:
        return f"role is {found!r}, expected {self.role!r}"


class CallPredicate(LastMessagePredicate):
    """A condition, a dataclass, that prefers the result of a call. Of several rules that differ in
    the `call_id` alone, the one with the id of the call whose result is in the message answers
    (`Rule.call_id`)."""

    __slots__ = ()

    call_id: str
    """The id of the call; empty for any."""

    @property
    def named_calls(self) -> tuple[str, ...]:
        return (self.call_id,) if self.call_id else ()

    def preferred_call(self) -> str:
        return self.call_id

    def without_call(self) -> Predicate:
        without: Predicate = replace(cast("Any", self), call_id="")
        return without


@dataclass(frozen=True, slots=True)
class MessageContains(CallPredicate):
    """The message contains a text."""

    text: str
    role: str | None = None
    call_id: str = ""

    @property
    def required_texts(self) -> tuple[str, ...]:
        return (self.text,)

    def accepts(self, message: Message) -> bool:
        if self.role is not None and self.role != message.role:
            return False
        return any(self.text in text for text in message.search_texts)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        holds = False
        for message in prompt.last_messages:
            if not holds and self.role in (None, message.role):
                holds = yield from is_in_one(self.text, message.search_texts, effort)
        prompt.keep_verdict(self, holds)

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, LastMessagePredicate) or self.role not in (None, later.role):
            return False
        return any(self.text in text for text in later.required_texts)

    def _miss(self, message: Message, prompt: Prompt, above: int) -> Difference:
        closeness = closeness_of_start(self.text, message, prompt, above)
        return Difference(closeness, partial(explain_absence, self.text, message.texts))


class Relaxed(NamedTuple):
    """The condition that a mock would have with ``contains``, and the remedy in the user's words
    for a request for which it holds."""

    predicate: LastMessagePredicate
    remedy: str = 'write "match_type": "contains"'


@dataclass(frozen=True, slots=True)
class _ItemsPredicate(LastMessagePredicate):
    """A condition on whole items: input items of Responses, elsewhere the message itself. They are
    compared by their canonical form, `key`; `size` is their number, and `texts` are those of the
    last item, for explanations."""

    size: int
    key: bytes
    texts: tuple[str, ...] = field(default=(), compare=False)  # of 250,000, to hash takes 5 ms
    role: str | None = None
    relaxed: Relaxed | None = field(default=None, compare=False, repr=False)
    named_calls: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(
        cls,
        items: Sequence[Any],
        canonical: Callable[[Any], bytes],
        texts: tuple[str, ...],
        role: str | None = None,
        *,
        relaxed: Relaxed | None = None,
        named_calls: tuple[str, ...] = (),
    ) -> Self:
        """Return the condition on these items."""
        # the key is copied, because bytes returned by orjson occupy at least 4 KiB
        key = b"%b" % b",".join(map(canonical, items))
        return cls(len(items), key, texts, role, relaxed, named_calls)

    @property
    def required_texts(self) -> tuple[str, ...]:
        return self.texts

    def _nearest_message(self, prompt: Prompt) -> Message:
        whole = [message for message in prompt.last_messages if message.items is not None]
        same_role = (message for message in whole if message.role == self.role)
        return next(same_role, (whole or prompt.last_messages)[-1])

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if all(message.sizes is None for message in prompt.last_messages):
            return  # one comparison of bytes decides it, without a verdict to be kept
        if self.is_decided(prompt):
            return
        holds = False
        for message in prompt.last_messages:
            if not holds and self._accepts_size(message.size):
                key = yield from equal_key(message, self.size, (self.key,))
                holds = key is not None
        prompt.keep_verdict(self, holds)

    @abstractmethod
    def _accepts_size(self, found: int) -> bool:
        """Return True if `found` is a right number of items."""

    def _has_key(self, message: Message) -> bool:
        """Return True if the last items of a message, which has as many, are these."""
        if message.is_longer(self.size, len(self.key)):
            return False
        return message.key_of_last(self.size) == self.key

    def _has_same_items(self, other: _ItemsPredicate) -> bool:
        return self.size == other.size and self.key == other.key

    def _miss(self, message: Message, prompt: Prompt, above: int) -> Difference:
        closeness = closeness_of_texts(self.texts, message, prompt, above)
        return Difference(closeness, partial(self._reason, message, prompt))

    def _reason(self, message: Message, prompt: Prompt) -> str:
        """Return the first difference, and the remedy if ``contains`` would match."""
        reason = self._size_reason(message.size) or self._item_reason(message)
        relaxed = self.relaxed
        if relaxed is None or prompt.once(search_effort) > MAX_REMEDY_EFFORT:
            return reason
        is_large = self.size > MAX_ITEMS_EXPLAINED or len(self.key) > MAX_EXPLAINED
        if message.sizes is not None and is_large:
            return reason
        if any(map(relaxed.predicate.accepts, prompt.last_messages)):
            reason += f"; the request contains it: {relaxed.remedy}"
        return reason

    @abstractmethod
    def _size_reason(self, found: int) -> str:
        """Return a sentence if `found` is a wrong number of items, else an empty one."""

    def _item_reason(self, message: Message) -> str:
        longest = max(len(self.key), MAX_EXPLAINED)
        too_long = f"it is longer than {MAX_EXPLAINED:,} bytes, expected {len(self.key):,}"
        least = message.least_size if self.size > 0 else 0
        if least > longest:
            return too_long
        if least > len(self.key) and message.entries > MAX_ENTRIES_EXPLAINED:
            return f"it has {message.entries:,} parts, and more than {len(self.key):,} bytes"
        if message.has_many_values(self.size):
            is_short = len(self.key) <= MAX_KEY_EXPLAINED
            if least > len(self.key) or (is_short and message.is_longer(self.size, len(self.key))):
                return f"it has thousands of values, and more than {len(self.key):,} bytes"
            return self._difference_of_forms(message)
        if message.sizes is not None and len(self.key) > MAX_EXPLAINED:
            return self._difference_of_forms(message)
        if message.is_longer(self.size, longest):
            return too_long
        expected, found = self.key, message.key_of_last(self.size)
        is_message = self.size == 1 and expected.startswith(b"{")
        if self.size != 1:
            expected, found = b"[%b]" % expected, b"[%b]" % found
        difference = explain_json(expected, found, "" if is_message else "input")
        return difference or "other members than the text differ"

    def _difference_of_forms(self, message: Message) -> str:
        """Return where a large message differs, without decoding what is compared."""
        at, following = message.divided_form(self.size).difference_from(self.key)
        expected = quote(self.key[at : at + MAX_SHOWN].decode(errors="replace"))
        found = quote(following[:MAX_SHOWN].decode(errors="replace"))
        return f"its canonical form differs at byte {at:,}: expected {expected}, found {found}"


def equal_key(message: Message, size: int, keys: Collection[bytes]) -> Pieces[bytes | None]:
    """Return that of the `keys` which is the canonical form of the last `size` items of a message,
    which has as many, with pauses; None if none is."""
    if message.sizes is None or size <= 0:
        key = message.key_of_last(size)
        return key if key in keys else None
    if message.least_size > max(map(len, keys)):
        return None
    return (yield from message.divided_form(size).find_among(keys))


@dataclass(frozen=True, slots=True)
class ItemsEqual(_ItemsPredicate):
    """The request has exactly these items."""

    def accepts(self, message: Message) -> bool:
        return self._accepts_size(message.size) and self._has_key(message)

    def _accepts_size(self, found: int) -> bool:
        return found == self.size

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, ItemsEqual) and self._has_same_items(later)

    def _size_reason(self, found: int) -> str:
        items = "item" if found == 1 else "items"
        return f"input has {found} {items}, expected {self.size}" if found != self.size else ""


@dataclass(frozen=True, slots=True)
class ItemsEndWith(_ItemsPredicate):
    """The last items of the request are these."""

    def accepts(self, message: Message) -> bool:
        return self._accepts_size(message.size) and self._has_key(message)

    def _accepts_size(self, found: int) -> bool:
        return found >= self.size

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, _ItemsPredicate):
            return False
        ends_with_these = later.key.endswith(b"," + self.key)
        return self.size == 0 or self._has_same_items(later) or ends_with_these

    def _size_reason(self, found: int) -> str:
        items = "item" if found == 1 else "items"
        least = f"at least {self.size}"
        return f"input has {found} {items}, expected {least}" if found < self.size else ""


def search_effort(prompt: Prompt) -> int:
    """The nanoseconds that it takes to search the texts of the last messages for another, as far
    as `MAX_REMEDY_EFFORT` and the text that exceeds it: to look at 300,000 texts takes 10 ms."""
    effort = 0
    for text in chain.from_iterable(message.search_texts for message in prompt.last_messages):
        effort += PER_TEXT + PER_CHARACTER * len(text)
        if effort > MAX_REMEDY_EFFORT:
            break
    return effort
