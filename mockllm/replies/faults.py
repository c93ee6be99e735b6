"""Faults: replies that go wrong at a place, as functions from reply to reply.

A place is a cut in the body: so many bytes into a step. Each API's `Anatomy` says where the moments
are that all of them have, so a fault after token 5 comes at the same word in each. For example, in
a stream of Chat Completions

    role  "Hello"  " world"  finish  [DONE]
    |     |        |         |       |
    head  |        |         |       before_end
          |        |         before_finish
          |        {"tokens": 3}: the word in which the token ends is sent
          first_token: after this word

An end keeps the steps and says how many bytes are sent, because the length of a whole answer is
announced before; everything else is put between steps.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain, islice, pairwise
from typing import Any, NamedTuple

from mockllm.exchange import Ending, EndingKind, Interruption, Reply, Step
from mockllm.matching.effort import Pieces, finish
from mockllm.replies.anatomy import (
    Anatomy,
    Joined,
    StreamReading,
    Words,
    find_words,
    read_whole,
)
from mockllm.wire import placeholders
from mockllm.wire.tokens import BYTES_PER_TOKEN

_WIDE = re.compile(rb"[\xc2-\xf4](?=[\x80-\xbf])")
"""The first byte of a character that takes several."""


class NoSuchPlaceError(Exception):
    """An answer has no such place; the message says what it has instead."""


class Place(NamedTuple):
    """A place in an answer. `word` is ``start`` (before the head), ``head``, ``first_token``,
    ``tool_arguments``, ``before_finish``, ``before_end``, ``tokens``, ``bytes``, ``events``,
    ``event`` or ``time``. `number` is how many, how long or which, `kind` the type of an event. The
    `total` is the number of tokens that the answer says it has; 0 if it is to be estimated."""

    word: str
    number: float = 0
    kind: str = ""
    total: int = 0


START = Place("start")


class Fault(NamedTuple):
    """What happens at a place: an ending, a pause in seconds, bytes that are sent, an error, given
    by its body as a whole answer, or a wait at a gate. `inside` moves an ending into what comes
    next. `instead` is the error as the answer, which it is if it comes at a time before the
    head."""

    place: Place
    end: EndingKind | None = None
    pause: float = 0.0
    data: bytes = b""
    error: Mapping[str, Any] | None = None
    inside: bool = False
    gate: str = ""
    instead: Reply | None = None


class Cut(NamedTuple):
    """A place between the bytes of a body: before the byte `offset` of the step `step`."""

    step: int
    offset: int = 0


def apply_faults(reply: Reply, faults: Iterable[Fault], anatomy: Anatomy | None) -> Reply:
    """Return `reply` with `faults`, as `apply_in_pieces` does, without pauses."""
    return finish(apply_in_pieces(reply, faults, anatomy))


def apply_in_pieces(
    reply: Reply, faults: Iterable[Fault], anatomy: Anatomy | None
) -> Pieces[Reply]:
    """Return `reply` with `faults`, in which the errors are those of a stream, with pauses
    (`effort.Pieces`): to read 10,000 events takes 100 ms. `anatomy` is None if the reply has no
    words of a model.

    Raises:
        NoSuchPlaceError: the reply does not have the place of a fault.
    """
    reply = replace(reply, steps=tuple(reply.steps))
    body = _Body(reply, anatomy)
    placed: list[tuple[Cut, Fault]] = []
    interruptions: list[Interruption] = []
    ending = reply.ending
    for fault in faults:
        if fault.place.word == "start":
            reply = _before_head(reply, fault)
        elif fault.place.word == "time" and fault.end is not None:
            ending = Ending(fault.end, time=fault.place.number)
        elif fault.place.word == "time":
            interruptions.append(body.interruption(fault))
        else:
            placed.append(((yield from body.find(fault.place)), fault))
    if reply.ending.head < 1:
        return reply
    placed.sort(key=lambda each: each[0])
    reply = replace(reply, ending=ending, interruptions=tuple(interruptions))
    return (yield from _Rebuilt(body, reply).with_faults(placed))


def _before_head(reply: Reply, fault: Fault) -> Reply:
    """Return `reply` with a fault before its head. Nothing comes after an ending."""
    if reply.ending.head < 1:
        return reply
    if fault.end is not None:
        return replace(reply, ending=Ending(fault.end, head=0.5 if fault.inside else 0.0))
    if fault.gate:
        opening = reply.opening
        if reply.preface or reply.before_head:
            opening += (Step((reply.preface,), reply.before_head),)
        opening += (Step((b"",), gate=fault.gate),)
        return replace(reply, before_head=0.0, preface=b"", opening=opening)
    if fault.data:
        return replace(reply, preface=reply.preface + fault.data)
    return replace(reply, before_head=reply.before_head + fault.pause)


# --- Building the reply --------------------------------------------------------------------------


class _Rebuilt:
    """A reply that is built from its end to its beginning: what comes after a cut is done."""

    def __init__(self, body: _Body, reply: Reply) -> None:
        self._body = body
        self._reply = reply
        self._tail: list[Step] = []
        self._end_at: Cut | None = None
        self._ending = reply.ending
        self._unsent = 0

    def with_faults(self, placed: Sequence[tuple[Cut, Fault]]) -> Pieces[Reply]:
        """Return the reply with faults that are in order."""
        if placed and placed[0][1].end is not None and not placed[0][0].offset:
            yield from self._end(*placed[0])  # all is kept: two million steps take 15 ms to copy
            return (yield from self._of(self._body.steps))
        bound = self._body.end
        for cut, fault in reversed(placed):
            if fault.end is None and fault.error is None:
                yield True
                self._tail = self._body.between(cut, bound) + self._tail
            bound = cut
            yield from self._put(cut, fault)
        yield True
        before = self._body.between(Cut(0), bound)
        yield True
        return (yield from self._of((*before, *self._tail)))

    def _of(self, steps: tuple[Step, ...]) -> Pieces[Reply]:
        ending = self._ending
        if self._unsent:
            size = yield from _size_of(steps)
            ending = ending._replace(after=size - self._unsent)
        return replace(self._reply, steps=steps, ending=ending)

    def _put(self, cut: Cut, fault: Fault) -> Pieces[None]:
        if fault.end is not None:
            yield True
            self._tail = self._body.between(cut, self._body.end)  # no later fault happens
            yield from self._end(cut, fault)
        elif fault.error is not None:
            if self._end_at != cut:
                self._ending = Ending(EndingKind.CLEAN)
            self._unsent = 0
            self._tail = yield from self._body.error_steps(fault.error, cut.step)
        else:
            self._tail.insert(0, Step((fault.data,), fault.pause, gate=fault.gate))

    def _end(self, cut: Cut, fault: Fault) -> Pieces[None]:
        assert fault.end is not None
        self._end_at = cut
        self._ending = Ending(fault.end)
        self._unsent = yield from self._body.size_after(cut)
        if fault.inside:
            self._unsent -= yield from self._body.inside(cut)


class _Body:
    """The body of a reply, and the places in it."""

    def __init__(self, reply: Reply, anatomy: Anatomy | None) -> None:
        steps = reply.steps
        assert isinstance(steps, tuple)
        if not reply.streamed:
            tokens = sum(step.tokens for step in steps)
            pieces = tuple(chain.from_iterable(step.pieces for step in steps))
            steps = (Step(pieces, tokens=tokens),)
        self.steps: tuple[Step, ...] = steps
        self.end = Cut(len(steps))
        self._streamed = reply.streamed
        self._anatomy = anatomy
        self._words: list[Words] | None = None
        self._events = None
        if reply.streamed and anatomy is not None:
            self._events = StreamReading(steps, anatomy)

    # --- places ---

    def find(self, place: Place) -> Pieces[Cut]:
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
                return Cut(0, max(self.steps[0].size - 1, 0))
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
                body = Joined(self.steps[0].pieces)
                self._words = yield from find_words(body, self._anatomy)
        return self._words

    def _after_bytes(self, count: int) -> Pieces[Cut]:
        left = count
        for index, step in enumerate(self.steps):
            yield False
            if left < step.size:
                return Cut(index, left)
            left -= step.size
        if left:
            raise NoSuchPlaceError(f"the answer has {count - left:,} bytes")
        return self.end

    # --- parts ---

    def between(self, start: Cut, end: Cut) -> list[Step]:
        """Return the steps from one cut to another. A step that is cut becomes two, neither of
        which has a part of a placeholder."""
        if start.step == end.step:
            return self._part(start.step, start.offset, end.offset)
        first = self._part(start.step, start.offset)
        last = self._part(end.step, 0, end.offset)
        return [*first, *self.steps[start.step + 1 : end.step], *last]

    def _part(self, index: int, start: int, end: int | None = None) -> list[Step]:
        """Return the part of a step between two places in it; nothing if that is empty."""
        if index >= len(self.steps):
            return []
        step = self.steps[index]
        first = _whole_placeholder(step, start)
        last = None if end is None else _whole_placeholder(step, end)
        if not first and last is None:
            return [step]
        pieces = _part_of(step.pieces, first, sys.maxsize if last is None else last)
        if not pieces:
            return []
        return [Step(pieces) if first else step._replace(pieces=pieces)]

    def size_after(self, cut: Cut) -> Pieces[int]:
        """Return the number of bytes behind a cut."""
        return (yield from _size_of(islice(self.steps, cut.step, None))) - cut.offset

    def inside(self, cut: Cut) -> Pieces[int]:
        """Return the number of bytes from a cut to the middle of what comes next: of a character
        that takes several bytes, else of the event."""
        if cut.step >= len(self.steps):
            return 0
        size = 0
        pieces = _part_of(self.steps[cut.step].pieces, cut.offset, sys.maxsize)
        for piece, after in pairwise((*pieces, b"")):
            yield False
            wide = None if piece.isascii() else _WIDE.search(piece + after[:1])  # it takes long
            if wide is not None:
                return size + wide.end()
            size += len(piece)
        return size // 2

    def interruption(self, fault: Fault) -> Interruption:
        """Return what a fault at a time is."""
        step = Step((fault.data,), fault.pause, gate=fault.gate)
        error = fault.error
        if error is None or not self._streamed or self._anatomy is None:
            return Interruption(fault.place.number, step, instead=fault.instead)

        def make(sent: int) -> list[Step]:
            return finish(self.error_steps(error, sent))

        return Interruption(fault.place.number, step, make, fault.instead)

    def error_steps(self, error: Mapping[str, Any], sent: int) -> Pieces[list[Step]]:
        """Return the steps that report an error after so many events."""
        assert self._anatomy is not None
        first = (yield from read_whole(self.steps[0])) if self.steps else None
        found = self._anatomy.error_events(dict(error), first, sent)
        frames = (placeholders.undo_stand_in(self._anatomy.frame(event)) for event in found)
        return [Step((frame,)) for frame in frames]


def _size_of(steps: Iterable[Step]) -> Pieces[int]:
    size = 0
    for step in steps:
        yield False
        size += step.size
    return size


def _part_of(pieces: Sequence[bytes], first: int, last: int) -> tuple[bytes, ...]:
    """Return the bytes from `first` to `last` of joined pieces, in pieces that are not large. What
    is not cut is not copied."""
    found: list[bytes] = []
    for piece in pieces:
        part = piece[max(first, 0) : max(last, 0)]
        if part:
            found += placeholders.cut(part)
        first -= len(piece)
        last -= len(piece)
    return tuple(found)


def _whole_placeholder(step: Step, offset: int) -> int:
    """Return the offset behind the placeholder of the delivery that an `offset` in a step is in."""
    before = 0
    for piece in step.pieces if offset else ():
        if before < offset < before + len(piece):  # none is divided between two
            return before + placeholders.end_of_placeholder(piece, offset - before)
        before += len(piece)
    return offset


# --- Places in a stream --------------------------------------------------------------------------


def _after_first_token(events: StreamReading, place: Place) -> Pieces[Cut]:
    for index in range(len(events)):
        event, _ = yield from events.read(index)
        if event.text:
            return Cut(index + 1)
    return _too_few_tokens(0)


def _after_tokens(events: StreamReading, place: Place) -> Pieces[Cut]:
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
    return Cut(last) if said > wanted - BYTES_PER_TOKEN else _too_few_tokens(said)


def _share(place: Place, said: int) -> int:
    """Return after how many of the bytes that are `said` a token ends, of an answer that says how
    many tokens it has: all are taken to be equally long, to the nearest byte."""
    if place.number > place.total or not said:
        raise _has_tokens(place.total if said else 0)
    return max((2 * int(place.number) * said + place.total) // (2 * place.total), 1)


def _too_few_tokens(said: int) -> Cut:
    raise _has_tokens(-(-said // BYTES_PER_TOKEN))


def _has_tokens(count: int) -> NoSuchPlaceError:
    return NoSuchPlaceError(f"the answer has {count:,} token{'s' * (count != 1)}")


def _in_arguments(events: StreamReading, place: Place) -> Pieces[Cut]:
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


def _before_finish(events: StreamReading, place: Place) -> Pieces[Cut]:
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


def _before_end(events: StreamReading, place: Place) -> Pieces[Cut]:
    for index in reversed(range(len(events))):
        event, _ = yield from events.read(index)
        if event.is_end:
            return Cut(index)
    raise NoSuchPlaceError("the answer has no event that ends it")


def _after_events(events: StreamReading, place: Place) -> Pieces[Cut]:
    yield from ()
    if place.number > len(events):
        raise NoSuchPlaceError(f"the answer has {len(events):,} events")
    return Cut(int(place.number))


def _after_event(events: StreamReading, place: Place) -> Pieces[Cut]:
    found = 0
    for index in range(len(events)):
        event, _ = yield from events.read(index)
        found += event.kind == place.kind
        if found == place.number:
            return Cut(index + 1)
    times = f"only {found:,}" if found else "none"
    raise NoSuchPlaceError(f"of the events {place.kind!r} the answer has {times}")


_STREAM_PLACES: dict[str, Callable[[StreamReading, Place], Pieces[Cut]]] = {
    "first_token": _after_first_token,
    "tokens": _after_tokens,
    "tool_arguments": _in_arguments,
    "before_finish": _before_finish,
    "before_end": _before_end,
    "events": _after_events,
    "event": _after_event,
}


# --- Places in a whole answer --------------------------------------------------------------------


def _offset_of_token(words: Sequence[Words], place: Place) -> Pieces[int]:
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
    return _too_few_tokens(said).offset


def _offset_of_first_token(words: Sequence[Words], place: Place) -> Pieces[int]:
    return _offset_of_token(words, Place("tokens", 1))


def _offset_in_arguments(words: Sequence[Words], place: Place) -> Pieces[int]:
    for each in words:
        if not each.is_argument:
            continue
        size = yield from each.size()
        if size:
            return (yield from each.offset(size // 2))
    raise NoSuchPlaceError("the answer has no tool call with arguments")


def _offset_of_finish(words: Sequence[Words], place: Place) -> Pieces[int]:
    yield from ()
    return _end_of_words(words)


def _end_of_words(words: Sequence[Words]) -> int:
    if not words:
        raise NoSuchPlaceError("the answer has no words of a model")
    return words[-1].end


_WHOLE_PLACES: dict[str, Callable[[Sequence[Words], Place], Pieces[int]]] = {
    "first_token": _offset_of_first_token,
    "tokens": _offset_of_token,
    "tool_arguments": _offset_in_arguments,
    "before_finish": _offset_of_finish,
}
