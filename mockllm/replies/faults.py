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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import accumulate, chain
from typing import Any, NamedTuple

from mockllm.exchange import Ending, EndingKind, Interruption, Reply, Step
from mockllm.replies.anatomy import Anatomy, Joined, StreamReading, Words, find_words, parse_event
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
    """Return `reply` with `faults`, in which the errors are those of a stream. `anatomy` is None if
    the reply has no words of a model.

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
            placed.append((body.find(fault.place), fault))
    if reply.ending.head < 1:
        return reply
    placed.sort(key=lambda each: each[0])
    reply = replace(reply, ending=ending, interruptions=tuple(interruptions))
    return _Rebuilt(body, reply).with_faults(placed)


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

    def with_faults(self, placed: Sequence[tuple[Cut, Fault]]) -> Reply:
        """Return the reply with faults that are in order."""
        bound = self._body.end
        for cut, fault in reversed(placed):
            self._tail = [*self._body.between(cut, bound), *self._tail]
            bound = cut
            self._put(cut, fault)
        steps = (*self._body.between(Cut(0), bound), *self._tail)
        ending = self._ending
        if self._unsent:
            ending = ending._replace(after=sum(step.size for step in steps) - self._unsent)
        return replace(self._reply, steps=steps, ending=ending)

    def _put(self, cut: Cut, fault: Fault) -> None:
        if fault.end is not None:
            self._tail = self._body.between(cut, self._body.end)  # no later fault happens
            self._end_at = cut
            self._ending = Ending(fault.end)
            self._unsent = self._body.size_after(cut)
            if fault.inside:
                self._unsent -= self._body.inside(cut)
        elif fault.error is not None:
            if self._end_at != cut:
                self._ending = Ending(EndingKind.CLEAN)
            self._unsent = 0
            self._tail = self._body.error_steps(fault.error, cut.step)
        else:
            self._tail.insert(0, Step((fault.data,), fault.pause, gate=fault.gate))


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
        self._events = None
        if reply.streamed and anatomy is not None:
            self._events = StreamReading(steps, anatomy)

    # --- places ---

    def find(self, place: Place) -> Cut:
        """Return the cut at a place after the head.

        Raises:
            NoSuchPlaceError: there is none.
        """
        match place.word:
            case "head":
                return Cut(0)
            case "bytes":
                return self._after_bytes(int(place.number))
            case "before_end" if not self._streamed:
                return Cut(0, max(self.steps[0].size - 1, 0))
        if self._events is not None:
            return _STREAM_PLACES[place.word](self._events, place)
        if place.word in ("events", "event"):
            raise NoSuchPlaceError("the answer is not a stream and has no events")
        return Cut(0, _WHOLE_PLACES[place.word](self._words, place))

    @cached_property
    def _words(self) -> list[Words]:
        if self._anatomy is None:
            return []
        return find_words(Joined(self.steps[0].pieces), self._anatomy)

    def _after_bytes(self, count: int) -> Cut:
        left = count
        for index, step in enumerate(self.steps):
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
        found: list[Step] = []
        for index in range(start.step, min(end.step + 1, len(self.steps))):
            step = self.steps[index]
            first = _whole_placeholder(step, start.offset) if index == start.step else 0
            last = _whole_placeholder(step, end.offset) if index == end.step else None
            if first or last is not None:
                pieces = _part_of(step.pieces, first, sys.maxsize if last is None else last)
                if not pieces:
                    continue
                step = Step(pieces) if first else step._replace(pieces=pieces)
            found.append(step)
        return found

    def size_after(self, cut: Cut) -> int:
        """Return the number of bytes behind a cut."""
        return sum(step.size for step in self.steps[cut.step :]) - cut.offset

    def inside(self, cut: Cut) -> int:
        """Return the number of bytes from a cut to the middle of what comes next: of a character
        that takes several bytes, else of the event."""
        if cut.step >= len(self.steps):
            return 0
        data = self.steps[cut.step].data[cut.offset :]
        wide = None if data.isascii() else _WIDE.search(data)  # which takes long
        return len(data) // 2 if wide is None else wide.end()

    def interruption(self, fault: Fault) -> Interruption:
        """Return what a fault at a time is."""
        step = Step((fault.data,), fault.pause, gate=fault.gate)
        error = fault.error
        if error is None or not self._streamed or self._anatomy is None:
            return Interruption(fault.place.number, step, instead=fault.instead)
        make = partial(self.error_steps, error)
        return Interruption(fault.place.number, step, make, fault.instead)

    def error_steps(self, error: Mapping[str, Any], sent: int) -> list[Step]:
        """Return the steps that report an error after so many events."""
        assert self._anatomy is not None
        first = parse_event(self.steps[0].data) if self.steps else None
        found = self._anatomy.error_events(dict(error), first, sent)
        frames = (placeholders.undo_stand_in(self._anatomy.frame(event)) for event in found)
        return [Step((frame,)) for frame in frames]


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


def _after_first_token(events: StreamReading, place: Place) -> Cut:
    for index in range(len(events)):
        if events[index].text:
            return Cut(index + 1)
    return _too_few_tokens(0)


def _after_tokens(events: StreamReading, place: Place) -> Cut:
    if place.total:
        wanted = _share(place, sum(_size(events[index].text) for index in range(len(events))))
    else:
        wanted = int(place.number) * BYTES_PER_TOKEN
    said = last = 0
    for index in range(len(events)):
        if events[index].text:
            said, last = said + _size(events[index].text), index + 1
        if said >= wanted:
            return Cut(last)
    return Cut(last) if said > wanted - BYTES_PER_TOKEN else _too_few_tokens(said)


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


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


def _in_arguments(events: StreamReading, place: Place) -> Cut:
    pieces = [
        (index, event)
        for index in range(len(events))
        if (event := events[index]).call is not None and event.text
    ]
    if not pieces:
        raise NoSuchPlaceError("the answer has no tool call with arguments")
    first = pieces[0][1].call
    pieces = [(index, event) for index, event in pieces if event.call == first]
    sizes = list(accumulate(len(event.text) for _, event in pieces))
    half = sum(2 * size <= sizes[-1] for size in sizes)
    return Cut(pieces[half][0])


def _before_finish(events: StreamReading, place: Place) -> Cut:
    found = None
    for index in reversed(range(len(events))):
        if events[index].is_finish:
            found = index
        elif events[index].text and found is not None:
            break
    if found is None:
        raise NoSuchPlaceError("the answer has no event that says why it finished")
    return Cut(found)


def _before_end(events: StreamReading, place: Place) -> Cut:
    for index in reversed(range(len(events))):
        if events[index].is_end:
            return Cut(index)
    raise NoSuchPlaceError("the answer has no event that ends it")


def _after_events(events: StreamReading, place: Place) -> Cut:
    if place.number > len(events):
        raise NoSuchPlaceError(f"the answer has {len(events):,} events")
    return Cut(int(place.number))


def _after_event(events: StreamReading, place: Place) -> Cut:
    found = 0
    for index in range(len(events)):
        found += events[index].kind == place.kind
        if found == place.number:
            return Cut(index + 1)
    times = f"only {found:,}" if found else "none"
    raise NoSuchPlaceError(f"of the events {place.kind!r} the answer has {times}")


_STREAM_PLACES: dict[str, Callable[[StreamReading, Place], Cut]] = {
    "first_token": _after_first_token,
    "tokens": _after_tokens,
    "tool_arguments": _in_arguments,
    "before_finish": _before_finish,
    "before_end": _before_end,
    "events": _after_events,
    "event": _after_event,
}


# --- Places in a whole answer --------------------------------------------------------------------


def _offset_of_token(words: Sequence[Words], place: Place) -> int:
    left = int(place.number) * BYTES_PER_TOKEN
    if place.total:
        left = _share(place, sum(each.size for each in words))
    said = 0
    for each in words:
        size = each.size
        if size >= left:
            return each.offset(left)
        left -= size
        said += size
    if said and left < BYTES_PER_TOKEN:
        return _offset_of_finish(words, place)
    return _too_few_tokens(said).offset


def _offset_in_arguments(words: Sequence[Words], place: Place) -> int:
    for each in words:
        if each.is_argument and each.size:
            return each.offset(each.size // 2)
    raise NoSuchPlaceError("the answer has no tool call with arguments")


def _offset_of_finish(words: Sequence[Words], place: Place) -> int:
    if not words:
        raise NoSuchPlaceError("the answer has no words of a model")
    return words[-1].end


_WHOLE_PLACES: dict[str, Callable[[Sequence[Words], Place], int]] = {
    "first_token": lambda words, _: _offset_of_token(words, Place("tokens", 1)),
    "tokens": _offset_of_token,
    "tool_arguments": _offset_in_arguments,
    "before_finish": _offset_of_finish,
}
