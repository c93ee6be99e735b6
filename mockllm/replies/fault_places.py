"""The places in an answer at which a fault may happen.

A place is found as a cut in the body: so many bytes into a step. Each API's `Anatomy` says where
the moments are that all of them have, so token 5 ends at the same word in each. For example, in a
stream of Chat Completions

    role  "Hello"  " world"  finish  [DONE]
    |     |        |         |       |
    head  |        |         |       before_end
          |        |         before_finish
          |        {"tokens": 3}: the word in which the token ends is sent
          first_token: after this word

This module does not know what happens at a place: that is `replies.faults`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from mockllm.exchange import Step
from mockllm.pieces import Pieces
from mockllm.replies.anatomy import Anatomy, Joined, KnownEvents, StreamReading, Words, find_words
from mockllm.wire.tokens import BYTES_PER_TOKEN


class NoSuchPlaceError(Exception):
    """An answer has no such place; the message says what it has instead."""


class FaultPlace(NamedTuple):
    """A place in an answer. `word` is ``start`` (before the head), ``head``, ``first_token``,
    ``tool_arguments``, ``before_finish``, ``before_end``, ``tokens``, ``bytes``, ``events``,
    ``event`` or ``time``. `number` is how many, how long or which, `kind` the type of an event. The
    `total` is the number of tokens that the answer says it has; 0 if it is to be estimated."""

    word: str
    number: float = 0
    kind: str = ""
    total: int = 0


START = FaultPlace("start")


class Cut(NamedTuple):
    """A place between the bytes of a body: before the byte `offset` of the step `step`."""

    step: int
    offset: int = 0


class Places:
    """The places in a body. The `steps` of a whole answer are one; `anatomy` is None if there are
    no words of a model in it. `known` are the events of other streams."""

    def __init__(
        self,
        steps: tuple[Step, ...],
        anatomy: Anatomy | None,
        *,
        streamed: bool,
        known: KnownEvents | None = None,
    ) -> None:
        self._steps = steps
        self._anatomy = anatomy
        self._streamed = streamed
        self._events: StreamReading | None = None
        self._words: list[Words] | None = None
        if streamed and anatomy is not None:
            self._events = StreamReading(steps, anatomy, known=known)

    def find(self, place: FaultPlace) -> Pieces[Cut]:
        """Return the cut at a place after the head.

        Raises:
            NoSuchPlaceError: there is none.
        """
        match place.word:
            case "head":
                return Cut(0)
            case "bytes":
                return (yield from self._after_bytes(int(place.number)))
            case "before_end" if not self._streamed:
                return Cut(0, max(self._steps[0].size - 1, 0))
        if self._events is not None:
            return (yield from _STREAM_PLACES[place.word](self._events, place))
        if place.word in ("events", "event"):
            raise NoSuchPlaceError("the answer is not a stream and has no events")
        words = yield from self._find_words()
        return Cut(0, (yield from _WHOLE_PLACES[place.word](words, place)))

    def _find_words(self) -> Pieces[list[Words]]:
        if self._words is None:
            self._words = []
            if self._anatomy is not None:
                body = Joined(self._steps[0].pieces)
                self._words = yield from find_words(body, self._anatomy)
        return self._words

    def _after_bytes(self, count: int) -> Pieces[Cut]:
        left = count
        for index, step in enumerate(self._steps):
            yield False
            if left < step.size:
                return Cut(index, left)
            left -= step.size
        if left:
            raise NoSuchPlaceError(f"the answer has {count - left:,} bytes")
        return Cut(len(self._steps))


# --- Places in a stream --------------------------------------------------------------------------


def _after_first_token(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    for index in range(len(events)):
        event, _ = yield from events.read(index)
        if event.text:
            return Cut(index + 1)
    raise _too_few_tokens(0)


def _after_tokens(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    if place.total:
        total = 0
        for index in range(len(events)):
            _, size = yield from events.read(index)
            total += size
        wanted = _share(place, total)
    else:
        wanted = int(place.number) * BYTES_PER_TOKEN
    said = last = 0
    for index in range(len(events)):
        _, size = yield from events.read(index)
        if size:
            said, last = said + size, index + 1
        if said >= wanted:
            return Cut(last)
        yield False
    if said <= wanted - BYTES_PER_TOKEN:
        raise _too_few_tokens(said)
    return Cut(last)


def _share(place: FaultPlace, said: int) -> int:
    """Return after how many of the bytes that are `said` a token ends, of an answer that says how
    many tokens it has: all are taken to be equally long, to the nearest byte."""
    if place.number > place.total or not said:
        raise _has_tokens(place.total if said else 0)
    return max((2 * int(place.number) * said + place.total) // (2 * place.total), 1)


def _too_few_tokens(said: int) -> NoSuchPlaceError:
    return _has_tokens(-(-said // BYTES_PER_TOKEN))


def _has_tokens(count: int) -> NoSuchPlaceError:
    return NoSuchPlaceError(f"the answer has {count:,} token{'s' * (count != 1)}")


def _in_arguments(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    first: int | None = None
    indices: list[int] = []
    sizes: list[int] = []
    for index in range(len(events)):
        event, size = yield from events.read(index)
        if event.call is None or not size or first not in (None, event.call):
            continue
        first = event.call
        indices.append(index)
        sizes.append(size)
    if not indices:
        raise NoSuchPlaceError("the answer has no tool call with arguments")
    ends = list(accumulate(sizes))
    return Cut(indices[bisect_right(ends, ends[-1] // 2)])


def _before_finish(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    found = None
    for index in reversed(range(len(events))):
        event, _ = yield from events.read(index)
        if event.is_finish:
            found = index
        elif event.text and found is not None:
            break
    if found is None:
        raise NoSuchPlaceError("the answer has no event that says why it finished")
    return Cut(found)


def _before_end(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    for index in reversed(range(len(events))):
        event, _ = yield from events.read(index)
        if event.is_end:
            return Cut(index)
    raise NoSuchPlaceError("the answer has no event that ends it")


def _after_events(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    yield from ()
    if place.number > len(events):
        raise NoSuchPlaceError(f"the answer has {len(events):,} events")
    return Cut(int(place.number))


def _after_event(events: StreamReading, place: FaultPlace) -> Pieces[Cut]:
    found = 0
    for index in range(len(events)):
        event, _ = yield from events.read(index)
        found += event.kind == place.kind
        if found == place.number:
            return Cut(index + 1)
    times = f"only {found:,}" if found else "none"
    raise NoSuchPlaceError(f"of the events {place.kind!r} the answer has {times}")


_STREAM_PLACES: dict[str, Callable[[StreamReading, FaultPlace], Pieces[Cut]]] = {
    "first_token": _after_first_token,
    "tokens": _after_tokens,
    "tool_arguments": _in_arguments,
    "before_finish": _before_finish,
    "before_end": _before_end,
    "events": _after_events,
    "event": _after_event,
}


# --- Places in a whole answer --------------------------------------------------------------------


def _offset_of_token(words: Sequence[Words], place: FaultPlace) -> Pieces[int]:
    left = int(place.number) * BYTES_PER_TOKEN
    if place.total:
        total = 0
        for each in words:
            total += yield from each.size()
        left = _share(place, total)
    said = 0
    for each in words:
        size = yield from each.size()
        if size >= left:
            return (yield from each.offset(left))
        left -= size
        said += size
    if said and left < BYTES_PER_TOKEN:
        return _end_of_words(words)
    raise _too_few_tokens(said)


def _offset_of_first_token(words: Sequence[Words], place: FaultPlace) -> Pieces[int]:
    return _offset_of_token(words, FaultPlace("tokens", 1))


def _offset_in_arguments(words: Sequence[Words], place: FaultPlace) -> Pieces[int]:
    for each in words:
        if not each.is_argument:
            continue
        size = yield from each.size()
        if size:
            return (yield from each.offset(size // 2))
    raise NoSuchPlaceError("the answer has no tool call with arguments")


def _offset_of_finish(words: Sequence[Words], place: FaultPlace) -> Pieces[int]:
    yield from ()
    return _end_of_words(words)


def _end_of_words(words: Sequence[Words]) -> int:
    if not words:
        raise NoSuchPlaceError("the answer has no words of a model")
    return words[-1].end


_WHOLE_PLACES: dict[str, Callable[[Sequence[Words], FaultPlace], Pieces[int]]] = {
    "first_token": _offset_of_first_token,
    "tokens": _offset_of_token,
    "tool_arguments": _offset_in_arguments,
    "before_finish": _offset_of_finish,
}
