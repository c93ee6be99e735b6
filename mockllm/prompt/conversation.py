"""The conversation of a request: its messages in the same form for all APIs, and how they are read.

A long conversation is read with pauses, in which the server answers others.
"""

from __future__ import annotations

from array import array
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar, cast, overload

from mockllm.pieces import Pieces

Body = Mapping[str, Any]
_T = TypeVar("_T")

MESSAGES_AT_ONCE = 500
"""Messages that are read without a pause: 1 to 3 ms."""
CALLS_AT_ONCE = 5_000
"""Calls whose names are kept without a pause: 0.5 ms."""


def slices(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield `values`, as many at a time as are read without a pause."""
    for start in range(0, len(values), MESSAGES_AT_ONCE):
        yield values[start : start + MESSAGES_AT_ONCE]


JoinedTexts = tuple[str, list[int]]
"""Several texts as one, and their lengths."""


def joined_in_slices(texts: Sequence[str]) -> Iterator[JoinedTexts]:
    """Yield `texts`, as many at a time as `slices` does."""
    for some in slices(texts):
        yield "".join(some), [*map(len, some)]


def tuple_or_list(values: list[_T]) -> Sequence[_T]:
    """Return `values` as a tuple, many as they are."""
    return values if len(values) > MESSAGES_AT_ONCE else tuple(values)


class ToolCall(NamedTuple):
    """A call of a tool by the model. `call_id` links it to its result."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ConversationMessage:
    """A message of one side; `role` is ``user``, ``assistant`` or ``tool``.

    One answer of the model is one message, even where a request splits it into several messages or
    items. System and developer messages are not part of the conversation. Many texts or calls,
    which are read in pieces, are lists: a new tuple takes 10 ms to be looked at for garbage.
    """

    role: str
    texts: Sequence[str] = ()
    calls: Sequence[ToolCall] = ()

    @property
    def text(self) -> str:
        """All texts, joined by a newline."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True)
class ToolResult(ConversationMessage):
    """The result of one call. `name` is that of the tool, empty if the request does not contain the
    call; `error` is True if the tool failed."""

    role: str = "tool"
    call_id: str = ""
    name: str = ""
    error: bool = False


class KeptTexts(Sequence[str]):
    """Many texts that are kept for long. They are one text in memory, which is let go of at once:
    to free 300,000 of them takes 10 ms."""

    __slots__ = ("_joined", "_places")

    def __init__(self, joined: str, places: Sequence[int]) -> None:
        """`places` are the offsets in `joined` where the texts begin, and the end of the last."""
        self._joined = joined
        self._places = places

    @classmethod
    def of(cls, texts: Sequence[str]) -> Pieces[KeptTexts]:
        """Keep `texts`, with pauses."""
        return (yield from cls.of_joined(joined_in_slices(texts)))

    @classmethod
    def of_joined(cls, slices: Iterable[JoinedTexts]) -> Pieces[KeptTexts]:
        """Keep the texts that `joined_in_slices` joined, with pauses."""
        parts: list[str] = []
        places = array("Q", (0,))
        for joined, lengths in slices:
            parts.append(joined)
            places.extend(accumulate(lengths, initial=places.pop()))
            yield False
        yield True  # 10 MB take 3 ms
        return cls("".join(parts), places)

    def __len__(self) -> int:
        return len(self._places) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        at = range(len(self))[index]
        return self._joined[self._places[at] : self._places[at + 1]]


class Earlier(NamedTuple):
    """The part of a conversation that a request does not repeat, because the service stores it."""

    answers: int = 0
    """The number of the model's answers."""
    step: int = 0
    """The number of them since the user's last words."""
    last_user: Sequence[str] = ()
    """The user's last words; many of them are `KeptTexts`."""
    calls: tuple[ToolCall, ...] = ()


def _nothing(body: Body) -> tuple[()]:
    return ()


def _no_name(body: Body) -> str:
    return ""


def _is_whole(body: Body) -> bool:
    return False


def _no_limit(body: Body) -> None:
    return None


class Readers(NamedTuple):
    """Functions of an API that read the conversation from a decoded body. They never raise, even if
    the body contains members that an SDK would reject."""

    messages: Callable[[Body], Iterable[ConversationMessage | None]] = _nothing
    """The messages in order, and None for each pause in reading a long one. An answer may be split
    as in the request; tool results have a name only where the request states it."""

    system: Callable[[Body], Iterable[str]] = _nothing
    """The texts of all system and developer messages, in order."""

    tools: Callable[[Body], Iterable[str]] = _nothing
    """The names of the available tools; the type of a tool that has no name."""

    schemas: Callable[[Body], Iterable[str]] = _nothing
    """The name of the output's schema, if there is one."""

    forced_tool: Callable[[Body], str] = _no_name
    """The name of the one tool that the model must call; empty if the model may choose."""

    continues: Callable[[Body], bool] = _is_whole
    """True if the request continues a conversation that the service stores (Responses)."""

    output_limit: Callable[[Body], int | None] = _no_limit
    """The number of tokens that the answer may have; None if there is no limit."""

    conversation: str | None = None
    """The member of the body that is the list of the conversation's messages or items, each of
    which can be read without the others; None if there is no such list."""

    untold_failures: str = ""
    """The sentence that requests do not tell, or seldom, that a tool failed; empty if they do."""


NO_CONVERSATION = Readers()


# --- Reading ---


def bodies_in_slices(body: Body, member: str | None) -> Iterator[Body]:
    """Yield the body of a request, which is read in one piece; of a long conversation, the body
    with its first `MESSAGES_AT_ONCE` entries, then as many of the others at a time alone."""
    entries = body.get(member or "")
    if member is None or not isinstance(entries, list) or len(entries) <= MESSAGES_AT_ONCE:
        yield body
        return
    others = body
    for entries_at_once in slices(entries):
        yield ChainMap({member: entries_at_once}, cast("dict[str, Any]", others))
        others = {}


def read_in_pieces(
    readers: Readers,
    body: Body,
    earlier: Earlier | None,
    let_go_later: Callable[[Iterable[Sequence[Any]]], None],
) -> Pieces[list[ConversationMessage]]:
    """Return the messages of a conversation, with those of one answer merged, and with pauses.
    `earlier` is what the body does not repeat; `let_go_later` is called with what is long."""
    joined: list[ConversationMessage] = []
    answer: _Answer | None = None  # the last message, if it is several in the request
    names = {call.call_id: call.name for call in earlier.calls} if earlier else {}
    unnamed = False
    read = 0
    for number, some in enumerate(bodies_in_slices(body, readers.conversation)):
        if number:
            yield False
        for message in readers.messages(some):
            if message is None:
                yield False
                continue
            read += 1
            if not read % MESSAGES_AT_ONCE:
                yield False
            let_go_later((message.texts, message.calls))
            if message.calls:
                yield from _keep_names(message.calls, names)
            if message.role == "assistant" and joined and joined[-1].role == "assistant":
                answer = answer or _Answer(joined[-1])
                answer.add(message)
                continue
            if answer is not None:
                joined[-1], answer = answer.message(), None
            unnamed = unnamed or (isinstance(message, ToolResult) and not message.name)
            joined.append(message)
    if answer is not None:
        joined[-1] = answer.message()
    if unnamed:
        yield from _name_results(joined, names)
    return joined


class _Answer:
    """The messages of one answer, which are merged when all of them are known: each time, it would
    take as long as there are messages before."""

    def __init__(self, first: ConversationMessage) -> None:
        self._first = first
        self._texts = [*first.texts]
        self._calls = [*first.calls]

    def add(self, message: ConversationMessage) -> None:
        self._texts += message.texts
        self._calls += message.calls

    def message(self) -> ConversationMessage:
        texts, calls = tuple_or_list(self._texts), tuple_or_list(self._calls)
        return replace(self._first, texts=texts, calls=calls)


def _keep_names(calls: Sequence[ToolCall], names: dict[str, str]) -> Iterator[bool]:
    """Add the names of calls by their ids, with pauses."""
    for start in range(0, len(calls), CALLS_AT_ONCE):
        if start:
            yield False
        names.update(calls[start : start + CALLS_AT_ONCE])


def _name_results(
    joined: Iterable[ConversationMessage], names: Mapping[str, str]
) -> Iterator[bool]:
    """Give the results without a name that of their call, with pauses. They are made for this
    prompt and nobody else has seen them, so they are changed: as many new ones would all be young
    garbage at once."""
    for place, message in enumerate(joined, 1):
        if isinstance(message, ToolResult) and not message.name:
            object.__setattr__(message, "name", names.get(message.call_id, ""))
        if not place % MESSAGES_AT_ONCE:
            yield False


class TurnDivider:
    """Divides messages, which are added in order, into the turns before and between answers."""

    def __init__(self) -> None:
        self._over: list[Sequence[ConversationMessage]] = []
        self._open: list[ConversationMessage] = []

    def add(self, messages: Iterable[ConversationMessage]) -> None:
        """Add further messages."""
        over, turn = self._over, self._open
        for message in messages:
            if message.role == "assistant":
                over.append(tuple(turn))
                turn.clear()
            else:
                turn.append(message)

    def result(self) -> list[Sequence[ConversationMessage]]:
        """Return all turns, of which the last one is over with that; no more can be added."""
        self._over.append(self._open)
        return self._over


def is_prefill(last: ConversationMessage) -> bool:
    """Return True if the last message is the start of an answer, which the model is to continue."""
    return last.role == "assistant" and bool(last.texts) and not last.calls
