"""The parts of an answer that faults refer to, in the words of no API.

An API says what an event of a stream means, where a whole answer has the words of the model, and
how it reports an error inside a stream. This module reads replies by it. It does not know what
happens at a place: that is `replies.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mockllm.exchange import Step
from mockllm.wire import jsontext, placeholders, sse


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


class Said(NamedTuple):
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
    read_answer: Callable[[Object], Iterable[Said]]
    """The words of the model in a whole answer, in the order in which it generates them."""
    error_events: Callable[[Object, Any, int], Iterable[Object]]
    """`error_events(body, first, sent)`: the events that report an error whose body, as a whole
    answer, would be `body`, in a stream whose first event is `first`, after `sent` events."""
    frame: Callable[[Object], bytes]
    """An event as bytes."""
    has_kinds: bool = True
    """True if its events have types."""


class StreamReading:
    """Reads the events of a stream, each when it is first needed."""

    def __init__(self, steps: Sequence[Step], anatomy: Anatomy) -> None:
        self._steps = steps
        self._anatomy = anatomy
        self._read: dict[int, Event] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Event:
        event = self._read.get(index)
        if event is None:
            value = parse_event(self._steps[index].data)
            event = self._read[index] = self._anatomy.read_event(value)
        return event


def parse_event(frame: bytes) -> Any:
    """Return the data of an event as JSON, or as a text if it is none (``"[DONE]"``). Values of the
    delivery are replaced by stand-ins (`placeholders.stand_in`)."""
    data = sse.data_of(frame)
    try:
        return jsontext.loads(placeholders.stand_in(data), max_values=None)
    except ValueError:
        return data.decode(errors="replace")


class Words(NamedTuple):
    """Words of the model in the body of a whole answer: the `text`, as UTF-8, and where it begins.
    In the body, characters of it may be escaped."""

    text: bytes
    start: int
    is_argument: bool
    is_escaped: bool

    def offset(self, count: int) -> int:
        """Return the place in the body after so many bytes of the text, or after the character that
        is not over there."""
        while count < len(self.text) and self.text[count] & 0xC0 == 0x80:
            count += 1
        if not self.is_escaped:
            return self.start + count
        part = self.text[:count].decode(errors="surrogatepass")
        return self.start + len(jsontext.dumps(part)) - 2


def find_words(body: bytes, anatomy: Anatomy) -> list[Words]:
    """Return the words of the model in a whole answer, in the order in which they are generated."""
    try:
        answer = jsontext.loads(placeholders.stand_in(body), max_values=None)
    except ValueError:
        return []
    if not isinstance(answer, dict):
        return []
    found: list[Words] = []
    searched: dict[bytes, int] = {}  # where to look for the next of several equal words
    for member, value, is_argument in anatomy.read_answer(answer):
        encoded = jsontext.dumps(value)
        key = jsontext.dumps(member) + b":" + encoded
        at = body.find(key, searched.get(key, 0))
        if at < 0:
            continue
        searched[key] = at + len(key)
        is_text = isinstance(value, str)
        start = at + len(key) - len(encoded) + is_text
        text = value.encode(errors="surrogatepass") if is_text else encoded
        found.append(Words(text, start, is_argument, is_text))
    return found


def texts_of(value: Any, names: Iterable[str]) -> str:
    """Return the texts among the members `names` of an object, joined; empty if there are none."""
    if not isinstance(value, Mapping):
        return ""
    return "".join(text for name in names if isinstance(text := value.get(name), str))


def entries_of(value: Any, name: str) -> list[Object]:
    """Return the objects in a list that is a member of an object."""
    entries = value.get(name) if isinstance(value, Mapping) else None
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
