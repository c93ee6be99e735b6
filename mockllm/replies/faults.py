"""Faults: replies that go wrong at a place, as functions from reply to reply.

Where the places are is found by `replies.fault_places`; this module cuts the body there and builds
the reply anew.

An end keeps the steps and says how many bytes are sent, because the length of a whole answer is
announced before; everything else is put between steps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple

from mockllm.exchange import (
    PAUSE,
    Ending,
    EndingKind,
    Interruption,
    Reply,
    Step,
    with_pauses,
)
from mockllm.pieces import Pieces, finish
from mockllm.replies.anatomy import Anatomy, KnownEvents, read_whole
from mockllm.replies.fault_places import Cut, FaultPlace, Places
from mockllm.wire import json_encoding, placeholders, sse

_WIDE = re.compile(rb"[\xc2-\xf4](?=[\x80-\xbf])")
"""The first byte of a character that takes several."""


class Fault(NamedTuple):
    """What happens at a place: an ending, a pause in seconds, bytes that are sent, an error, given
    by its body as a whole answer, or a wait at a gate. `inside` moves an ending into what comes
    next. `instead` is the error as the answer, which it is if it comes at a time before the
    head."""

    place: FaultPlace
    end: EndingKind | None = None
    pause: float = 0.0
    data: bytes = b""
    error: Mapping[str, Any] | None = None
    inside: bool = False
    gate: str = ""
    instead: Reply | None = None


def apply_faults(reply: Reply, faults: Iterable[Fault], anatomy: Anatomy | None) -> Reply:
    """Return `reply` with `faults`, as `apply_in_pieces` does, without pauses."""
    return finish(apply_in_pieces(reply, faults, anatomy))


def apply_in_pieces(
    reply: Reply,
    faults: Iterable[Fault],
    anatomy: Anatomy | None,
    *,
    known: KnownEvents | None = None,
) -> Pieces[Reply]:
    """Return `reply` with `faults`, in which the errors are those of a stream, with pauses: to read
    10,000 events takes 100 ms, unless they are `known`. `anatomy` is None if the reply has no words
    of a model.

    Raises:
        NoSuchPlaceError: the reply does not have the place of a fault.
    """
    reply = replace(reply, steps=tuple(reply.steps))
    body = _Body(reply, anatomy, known)
    placed: list[tuple[Cut, Fault]] = []
    interruptions: list[Interruption] = []
    ending = reply.ending
    for fault in faults:
        if fault.place.word == "start":
            reply = _before_head(reply, fault)
        elif fault.place.word == "time" and fault.end is not None:
            ending = Ending(fault.end, time=fault.place.number)
        elif fault.place.word == "time":
            interruptions.append((yield from body.interruption(fault)))
        else:
            placed.append(((yield from body.places.find(fault.place)), fault))
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
    """The body of a reply, which may be cut between its bytes."""

    def __init__(self, reply: Reply, anatomy: Anatomy | None, known: KnownEvents | None) -> None:
        steps = reply.steps
        assert isinstance(steps, tuple)
        if not reply.streamed:
            tokens = sum(step.tokens for step in steps)
            pieces = tuple(chain.from_iterable(step.pieces for step in steps))
            steps = (Step(pieces, tokens=tokens),)
        self.steps: tuple[Step, ...] = steps
        self.end = Cut(len(steps))
        self._streamed = reply.streamed
        self.places = Places(steps, anatomy, streamed=reply.streamed, known=known)
        self._anatomy = anatomy
        self._first: Any = None
        """The first event of a stream, when it is read."""

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

    def interruption(self, fault: Fault) -> Pieces[Interruption]:
        """Return what a fault at a time is."""
        step = Step((fault.data,), fault.pause, gate=fault.gate)
        error = fault.error
        if error is None or not self._streamed or self._anatomy is None:
            return Interruption(fault.place.number, step, instead=fault.instead)
        first = yield from self._first_event()
        make = partial(_steps_of_error, error, self._anatomy, first)
        return Interruption(fault.place.number, step, make, fault.instead)

    def error_steps(self, error: Mapping[str, Any], sent: int) -> Pieces[list[Step]]:
        """Return the steps that report an error after so many events."""
        assert self._anatomy is not None
        first = yield from self._first_event()
        steps: list[Step] = []
        for step in _steps_of_error(error, self._anatomy, first, sent):
            if step == PAUSE:
                yield False
            else:
                steps.append(step)
        return steps

    def _first_event(self) -> Pieces[Any]:
        """Return the first event of a stream, if an error repeats something of it; else None."""
        repeats = self._anatomy is not None and self._anatomy.repeats_first
        if self._first is None and repeats and self.steps:
            self._first = yield from read_whole(self.steps[0])
        return self._first


def _steps_of_error(
    error: Mapping[str, Any], anatomy: Anatomy, first: Any, sent: int
) -> Iterator[Step]:
    """Yield the steps that report an error after so many events, of which this is the `first`. A
    large one is encoded with a `PAUSE` after each of its pieces."""
    for event in anatomy.error_events(dict(error), first, sent):
        if json_encoding.takes_long(event):
            pieces = placeholders.undo_in_pieces(sse.divided(anatomy.frame, event))
            yield Step((yield from with_pauses(pieces)))
        else:
            yield Step((placeholders.undo_stand_in(anatomy.frame(event)),))


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
