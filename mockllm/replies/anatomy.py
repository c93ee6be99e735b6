"""The parts of an answer that faults refer to, in the words of no API.

An API says what an event of a stream means, where a whole answer has the words of the model, and
how it reports an error inside a stream. This module reads replies by it. It does not know what
happens at a place: that is `replies.faults`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from mockllm.bounded_cache import BoundedCache
from mockllm.exchange import Step
from mockllm.limits import KIB, MIB
from mockllm.pieces import Pieces
from mockllm.wire import jsontext, placeholders, sse
from mockllm.wire.json_pieces import loads_in_pieces

MAX_SEARCHES = 100
"""Words of an answer that are looked for in all of it, as they are not behind those before."""
PIECE = 128 * KIB  # bytes of a large answer that are read at a time
MAX_KNOWN = 64 * MIB  # bytes of steps whose events are known
MAX_SEEN = 65_536  # steps that were read once
PER_EVENT = 500  # bytes that a known event takes, beside its step
_NUMBER = re.compile("\x7f([0-9]{1,9})\x7f")


class Event(NamedTuple):
    """The meaning of one event of a stream."""

    kind: str = ""
    """Its type; empty if the events of the API have none."""
    text: str = ""
    """The words of the model in it."""
    call: int | None = None
    """The number of the tool call whose arguments the text is; None if it is no argument."""
    is_finish: bool = False
    """True if it says why the model stopped."""
    is_end: bool = False
    """True if it ends the stream."""


NO_EVENT = Event()


class SaidMember(NamedTuple):
    """Words of the model in a whole answer: a `member` of an object, and its value, which is a text
    or, of arguments in some APIs, an object."""

    member: str
    value: Any
    is_argument: bool = False


Object = dict[str, Any]


class Anatomy(NamedTuple):
    """What the answers of an API consist of."""

    read_event: Callable[[Any], Event]
    """The meaning of an event, which may be any JSON value or ``"[DONE]"``."""
    read_answer: Callable[[Object], Iterable[SaidMember]]
    """The words of the model in a whole answer, in the order in which it generates them."""
    error_events: Callable[[Object, Any, int], Iterable[Object]]
    """`error_events(body, first, sent)`: the events that report an error whose body, as a whole
    answer, would be `body`, in a stream whose first event is `first`, after `sent` events."""
    frame: Callable[[Object], bytes]
    """An event as bytes."""
    has_kinds: bool = True
    """True if its events have types."""
    repeats_first: bool = False
    """True if the events that report an error repeat something of the first event."""


class KnownEvents:
    """The events of steps that were read at least twice, because several requests share them. Each
    is kept with the size of its text, and of that the first character."""

    def __init__(self, max_bytes: int = MAX_KNOWN) -> None:
        self._known = BoundedCache[int, tuple[Step, Event, int]](max_bytes, max_seen=MAX_SEEN)

    def get(self, step: Step) -> tuple[Event, int] | None:
        """Return the event of a step, and the size of its text; None if it is not known."""
        found = self._known.get(id(step))
        return found[1:] if found is not None and found[0] is step else None

    def offer(self, step: Step, event: Event, size: int) -> None:
        """Keep the event of a step, with the step, if that was offered before."""
        short = event._replace(text=event.text[:1])
        self._known.offer(id(step), (step, short, size), lambda: step.size + PER_EVENT)


class StreamReading:
    """Reads the events of a stream, each when it is first needed, with pauses. `known` are those
    of other readings."""

    def __init__(
        self,
        steps: Sequence[Step],
        anatomy: Anatomy,
        piece: int = PIECE,
        *,
        known: KnownEvents | None = None,
    ) -> None:
        self._steps = steps
        self._anatomy = anatomy
        self._piece = piece
        self._known = KnownEvents(0) if known is None else known
        self._read: dict[int, tuple[Event, int]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def read(self, index: int) -> Pieces[tuple[Event, int]]:
        """Return an event, and the size of its text as UTF-8. Of a text in an event that is large,
        only the beginning and the end are in the event."""
        found = self._read.get(index)
        if found is None:
            yield False
            step = self._steps[index]
            found = self._known.get(step)
            if found is None:
                short = yield from _abridge(_body_of(step), self._piece)
                event = self._anatomy.read_event(parse_event(short.text))
                found = event, (yield from short.size_of(event.text))
                self._known.offer(step, *found)
            self._read[index] = found
        return found


def read_whole(step: Step) -> Pieces[Any]:
    """Do what `parse_event` does with the event of a step, with pauses if it is large."""
    if step.size <= 2 * PIECE:
        return parse_event(step.data)
    yield True
    whole = step.data  # to copy 10 MB takes 3 to 6 ms
    yield True
    data = sse.data_of(whole)
    yield True
    data = placeholders.stand_in(data)
    yield True
    try:
        return (yield from loads_in_pieces(data))
    except ValueError:
        return parse_event(step.data)


def _body_of(step: Step) -> bytes | Joined:
    return step.pieces[0] if len(step.pieces) == 1 else Joined(step.pieces)


def parse_event(frame: bytes) -> Any:
    """Return the data of an event as JSON, or as a text if it is none (``"[DONE]"``). Values of the
    delivery are replaced by stand-ins (`placeholders.stand_in`)."""
    data = sse.data_of(frame)
    try:
        return jsontext.loads(placeholders.stand_in(data), max_values=None)
    except ValueError:
        return data.decode(errors="replace")


class Joined:
    """Pieces as if they were joined, which takes 6 ms for 10 MB: only slices of them are."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._ends = list(accumulate(map(len, pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self))
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, end)
        found = b"".join(self._pieces[first : last + 1])
        before = self._ends[first - 1] if first else 0
        return found[start - before : end - before]


class Words(NamedTuple):
    """Words of the model in the `body` of a whole answer, from `start` to `end`, in which
    characters of a text may be escaped."""

    body: bytes | Joined
    start: int
    end: int
    is_argument: bool
    is_escaped: bool
    piece: int = PIECE

    def size(self) -> Pieces[int]:
        """Return the size of the text, as UTF-8."""
        if not self.is_escaped:
            return self.end - self.start
        return (yield from _sum_of_sizes(self._parts()))

    def offset(self, count: int) -> Pieces[int]:
        """Return the place in the body after so many bytes of the text, or after the character that
        is not over there."""
        if not self.is_escaped:
            return _end_of_character(self.body, self.start + count, self.end)
        for at, part in self._parts():
            yield False
            size = _text_size(part)
            if count < size:
                text = _text_of(part).encode()
                before = text[: _end_of_character(text, count, size)].decode()
                return at + len(jsontext.dumps(before)) - 2
            count -= size
        return self.end

    def _parts(self) -> Iterator[tuple[int, bytes]]:
        return _parts(self.body, self.start, self.end, self.piece)


def find_words(body: bytes | Joined, anatomy: Anatomy, piece: int = PIECE) -> Pieces[list[Words]]:
    """Return the words of the model in a whole answer, in the order in which they are generated. A
    large body is read in pieces of about this size, 12 bytes at least, with pauses."""
    short = yield from _abridge(body, piece)
    try:
        answer = jsontext.loads(placeholders.stand_in(short.text), max_values=None)
    except ValueError:
        return []
    if not isinstance(answer, dict):
        return []
    found: list[Words] = []
    searched: dict[bytes, int] = {}  # where to look for the next of several equal words
    behind: dict[str, int] = {}  # where the words before of a member end: the next are behind them
    left = MAX_SEARCHES
    for member, value, is_argument in anatomy.read_answer(answer):
        yield False
        encoded = jsontext.dumps(value)
        key = jsontext.dumps(member) + b":" + encoded
        at = short.text.find(key, max(searched.get(key, 0), behind.get(member, 0)))
        if at < 0 and left:
            left -= 1
            at = short.text.find(key, searched.get(key, 0))
        if at < 0:
            continue
        end = searched[key] = behind[member] = at + len(key)
        is_text = isinstance(value, str)
        start = short.place(end - len(encoded) + is_text)
        found.append(Words(body, start, short.place(end - is_text), is_argument, is_text, piece))
    return found


class _Abridged:
    """A JSON text in which the pieces of large strings are replaced by their numbers, because to
    decode and search 10 MB takes 30 ms. A text of at most two pieces is as it was."""

    def __init__(self, body: bytes | Joined) -> None:
        self.text = b""
        self._body = body
        self._ends: list[int] = []
        """Where the numbers end."""
        self._missing: list[int] = []
        """The bytes that are missing up to there."""
        self._parts: list[slice] = []
        """What is missing: places in the body."""

    def place(self, at: int) -> int:
        """Return the place in the body of a place in the text that is in no number."""
        index = bisect_right(self._ends, at)
        return at + self._missing[index - 1] if index else at

    def size_of(self, text: str) -> Pieces[int]:
        """Return the size as UTF-8 of a text that is decoded, with what is missing in it."""
        if not self._parts:
            return len(text.encode(errors="surrogatepass"))
        numbers = {int(number) for number in _NUMBER.findall(text)}
        known = numbers.intersection(range(len(self._parts)))  # a text may have others
        parts = ((0, self._body[self._parts[number]]) for number in known)
        size = len(_NUMBER.sub("", text).encode(errors="surrogatepass"))
        return size + (yield from _sum_of_sizes(parts))

    def abridge(self, piece: int) -> Pieces[None]:
        """Read the body in pieces of about this size."""
        kept: list[bytes] = []
        size, in_string = 0, False
        for at, part in _parts(self._body, 0, len(self._body), piece):
            yield False
            quotes = jsontext.without_escaped_quotes(part).count(b'"')
            if in_string and not quotes:
                self._parts.append(slice(at, at + len(part)))
                number = b"\x7f%d\x7f" % len(self._ends)
                self._ends.append(size + len(number))
                self._missing.append(at + len(part) - self._ends[-1])
                part = number
            in_string ^= quotes % 2 == 1
            kept.append(part)
            size += len(part)
        self.text = b"".join(kept)


def _abridge(body: bytes | Joined, piece: int) -> Pieces[_Abridged]:
    abridged = _Abridged(body)
    if len(body) > 2 * piece:
        yield from abridged.abridge(piece)
    else:
        abridged.text = body[:]
    return abridged


def _parts(body: bytes | Joined, start: int, end: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of a JSON text between two places, each with its place. They have about this
    size, and neither a character nor its escape is divided."""
    while start < end:
        after = _end_of_character(body, min(start + size, end), end)
        part = body[start:after]
        if after < end:
            part = jsontext.without_open_escape(part)
            at = part.rfind(b"\\u", len(part) - 5)
            if at >= 0:  # unless the backslash is escaped
                part = part if jsontext.without_open_escape(part[: at + 1])[at:] else part[:at]
        yield start, part
        start += len(part)


def _end_of_character(text: bytes | Joined, at: int, end: int) -> int:
    """Return `at`, or where the character ends that `at` is in, before `end`."""
    for byte in text[at : min(at + 3, end)]:  # it has at most four
        if byte & 0xC0 != 0x80:
            break
        at += 1
    return at


def _sum_of_sizes(parts: Iterable[tuple[int, bytes]]) -> Pieces[int]:
    """Return the size of the parts of a JSON string, as UTF-8, when they are decoded."""
    size = 0
    for _, part in parts:
        yield False
        size += _text_size(part)
    return size


def _text_size(part: bytes) -> int:
    """Return the size of a part of a JSON string, as UTF-8, when it is decoded."""
    if b"\\" not in part:
        return len(part)
    if b"\\u" in part:
        return len(_text_of(part).encode())
    return len(part) - part.count(b"\\") + part.count(rb"\\")


def _text_of(part: bytes) -> str:
    return str(jsontext.loads(b'"%b"' % part))


def texts_of(value: Any, names: Iterable[str]) -> str:
    """Return the texts among the members `names` of an object, joined; empty if there are none."""
    if not isinstance(value, Mapping):
        return ""
    return "".join(text for name in names if isinstance(text := value.get(name), str))


def entries_of(value: Any, name: str) -> list[Object]:
    """Return the objects in a list that is a member of an object."""
    entries = value.get(name) if isinstance(value, Mapping) else None
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
