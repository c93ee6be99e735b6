"""Reading replies by the anatomy of their API."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Step
from mockllm.pieces import finish
from mockllm.providers.openai.chat.anatomy import ANATOMY
from mockllm.replies.anatomy import (
    MAX_SEARCHES,
    NO_EVENT,
    PER_EVENT,
    PIECE,
    Event,
    Joined,
    KnownEvents,
    SaidMember,
    StreamReading,
    entries_of,
    find_words,
    parse_event,
    read_whole,
    texts_of,
)
from mockllm.wire import jsontext, placeholders, sse


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'event: a\ndata: {"b":1}\n\n', {"b": 1}),
        (b"data: [DONE]\n\n", "[DONE]"),
        (b": ping\n\n", ""),
        (b"data: {broken\n\n", "{broken"),
    ],
)
def test_an_event_is_json_or_a_text(frame: bytes, expected: Any) -> None:
    assert parse_event(frame) == expected


def test_values_of_the_delivery_are_read_and_put_back() -> None:
    data = b'{"id":"a-%b","created":%b,"at":%b}' % (
        placeholders.UNIQUE_ID,
        placeholders.SECONDS,
        placeholders.SECONDS,
    )

    value = parse_event(b"data: " + data + b"\n\n")

    assert value["created"] == value["at"]
    assert placeholders.undo_stand_in(jsontext.dumps(value)) == data


def test_an_event_is_read_once() -> None:
    read: list[Any] = []

    def note(value: Any) -> Event:
        read.append(value)
        return NO_EVENT

    events = StreamReading((Step((b"data: 1\n\n",)),) * 3, ANATOMY._replace(read_event=note))

    assert [finish(events.read(1)), finish(events.read(1))] == [(NO_EVENT, 0)] * 2
    assert (read, len(events)) == ([1], 3)


def test_events_of_steps_that_are_shared_are_known_to_the_third_reading() -> None:
    """A stream of 10,000 events was read for each request."""
    read: list[Any] = []

    def note(value: Any) -> Event:
        read.append(value)
        return Event(text="word " * value)

    steps = tuple(Step((b"data: %d\n\n" % number,)) for number in range(3))
    known, reader = KnownEvents(), ANATOMY._replace(read_event=note)

    def sizes(steps: tuple[Step, ...]) -> list[int]:
        events = StreamReading(steps, reader, known=known)
        found = [finish(events.read(number)) for number in range(3)]
        return [size for event, size in found if bool(event.text) is (size > 0)]

    assert [sizes(steps) for _ in range(4)] == [[0, 5, 10]] * 4
    assert read == [0, 1, 2] * 2
    equal = tuple(Step(step.pieces) for step in steps)
    assert sizes((equal[0], steps[1], equal[2])) == [0, 5, 10]
    assert read == [*[0, 1, 2] * 2, 0, 2]


def test_no_more_events_are_known_than_have_room() -> None:
    steps = [Step((b"data: %d\n\n" % number,)) for number in range(100)]
    known = KnownEvents(5 * (steps[0].size + PER_EVENT))

    for step in (*steps, *steps):
        known.offer(step, NO_EVENT, 7)

    assert 0 < sum(known.get(step) == (NO_EVENT, 7) for step in steps) <= 5


def chat(*contents: Any) -> bytes:
    return jsontext.dumps({"choices": [{"message": {"content": each}} for each in contents]})


def test_equal_words_are_found_one_after_the_other() -> None:
    body = chat("a", "b", "a")

    found = finish(find_words(body, ANATOMY))

    assert [body[each.start :][:1] for each in found] == [b"a", b"b", b"a"]
    assert len({each.start for each in found}) == 3


class Noted(bytes):
    """A body that notes from where it is searched, and how far."""

    __slots__ = ()
    searched: ClassVar[list[int]] = []

    def __getitem__(self, part: Any) -> Any:
        return Noted(super().__getitem__(part))

    def find(self, wanted: Any, start: Any = 0, end: Any = None, /) -> int:
        found = super().find(wanted, start)
        self.searched.append((found if found >= 0 else len(self)) - start)
        return found


def test_very_many_words_are_found_in_one_pass() -> None:
    """The words of 100,000 calls were each looked for from the beginning, for minutes."""
    texts = [f"words {number}" for number in range(5_000)]
    body = Noted(chat(*texts))

    Noted.searched.clear()
    found = finish(find_words(body, ANATOMY))

    assert [body[each.start : each.end].decode() for each in found] == texts
    assert sum(Noted.searched) < len(body)


def test_words_that_are_not_in_order_are_found() -> None:
    def backwards(answer: dict[str, Any]) -> list[SaidMember]:
        return [SaidMember("content", f"words {number}") for number in reversed(range(5_000))]

    body = Noted(chat(*(f"words {number}" for number in range(5_000))))

    Noted.searched.clear()
    found = finish(find_words(body, ANATOMY._replace(read_answer=backwards)))

    assert len(found) == 1 + MAX_SEARCHES
    assert found[0].start > found[1].start
    assert len(Noted.searched) == 5_000 + MAX_SEARCHES


def test_words_of_several_members_are_found_wherever_they_are() -> None:
    choices = [
        {"message": {"content": "a", "reasoning": "b"}},
        {"message": {"content": "a", "reasoning": "c"}},
    ]
    body = jsontext.dumps({"choices": choices})

    found = finish(find_words(body, ANATOMY))

    assert [each.start for each in found] == [
        body.index(b'b"'),
        body.index(b'a"'),
        body.index(b'c"'),
        body.rindex(b'a"'),
    ]


def test_a_place_in_escaped_words_is_behind_whole_characters() -> None:
    body = chat('"\n\u2028é')
    (words,) = finish(find_words(body, ANATOMY))
    size = finish(words.size())

    parts = [body[words.start : finish(words.offset(count))] for count in range(size + 1)]

    ends = [b"", b'\\"', b"\\n", b"\\u2028", "é".encode()]
    assert list(dict.fromkeys(parts)) == [b"".join(ends[: n + 1]) for n in range(len(ends))]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":5}', chat(None)])
def test_a_body_may_have_no_words(body: bytes) -> None:
    assert finish(find_words(body, ANATOMY)) == []


@given(
    st.lists(
        st.lists(st.sampled_from(["word ", '"', "\\\\", "\\n", "\0", "\u2028", "é", "中", "😀"])),
        max_size=3,
    ),
    st.integers(12, 40),
    st.integers(1, 30),
    st.data(),
)
def test_words_of_a_large_body_are_found_like_those_of_a_small_one(
    texts: list[list[str]], piece: int, size: int, data: st.DataObject
) -> None:
    body = chat(*("".join(text) for text in texts))
    joined = Joined([body[at : at + size] for at in range(0, len(body), size)])

    plain = finish(find_words(body, ANATOMY))
    found = finish(find_words(joined, ANATOMY, piece))

    assert [(each.start, each.end) for each in found] == [(e.start, e.end) for e in plain]
    for words, same, text in zip(plain, found, texts, strict=True):
        size = finish(words.size())
        assert size == finish(same.size()) == len("".join(text).encode())
        count = data.draw(st.integers(0, size))
        offset = finish(words.offset(count))
        assert offset == finish(same.offset(count))
        after = jsontext.dumps(_up_to("".join(text), count))[1:-1]
        assert body[words.start : offset] == after


def _up_to(text: str, count: int) -> str:
    """The characters of a text that begin in its first bytes."""
    return next(text[:end] for end in range(len(text) + 1) if len(text[:end].encode()) >= count)


@given(st.lists(st.binary(max_size=5)), st.integers(0, 30), st.integers(0, 30))
def test_pieces_are_cut_as_if_they_were_joined(pieces: list[bytes], start: int, end: int) -> None:
    joined, data = Joined(pieces), b"".join(pieces)

    assert (len(joined), joined[start:end], joined[:]) == (len(data), data[start:end], data)


def test_only_the_words_of_a_small_part_of_a_large_body_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads, sizes = jsontext.loads, list[int]()

    def note(text: bytes, **options: Any) -> Any:
        sizes.append(len(text))
        return loads(text, **options)

    monkeypatch.setattr(jsontext, "loads", note)
    body = chat("word " * PIECE, 'a\u2028"')

    first, second = finish(find_words(Joined(placeholders.cut(body)), ANATOMY))

    assert finish(first.size()) == 5 * PIECE
    assert finish(first.offset(5 * PIECE // 2)) == first.start + 5 * PIECE // 2
    assert second.end == len(body) - len('"}}]}')
    assert max(sizes) <= 3 * PIECE


@given(
    st.lists(
        st.sampled_from(
            ["word ", '"', "\\\\", "\\n", "\0", "\u2028", "é", "中", "\x7f0\x7f", "😀"]
        ),
        max_size=40,
    ),
    st.integers(20, 40),
    st.integers(1, 30),
)
def test_a_large_event_is_measured_like_a_small_one(text: list[str], piece: int, size: int) -> None:
    said = "".join(text)
    data = sse.frame({"choices": [{"delta": {"content": said}, "finish_reason": "stop"}]})
    parts = tuple(data[at : at + size] for at in range(0, len(data), size))

    event, found = finish(StreamReading((Step(parts),), ANATOMY, piece).read(0))
    plain, measured = finish(StreamReading((Step((data,)),), ANATOMY).read(0))

    assert plain == Event(text=said, is_finish=True)
    assert measured == len(said.encode())
    assert bool(event.text) == bool(said)
    assert event._replace(text=said) == plain
    if "\x7f" not in said:
        assert found == measured


def test_an_event_is_read_whole_where_it_is_repeated() -> None:
    text = "word " * PIECE
    data = sse.frame({"response": {"instructions": text}})

    assert finish(read_whole(Step((data,)))) == {"response": {"instructions": text}}
    assert finish(read_whole(Step(placeholders.cut(b"data: {" + data)))).startswith("{data: ")


def test_members_are_read_whatever_they_are() -> None:
    assert texts_of({"a": "x", "b": 5, "c": "y"}, ("a", "b", "c", "d")) == "xy"
    assert texts_of(None, ("a",)) == ""
    assert entries_of({"a": [{}, 5, None, {"b": 1}]}, "a") == [{}, {"b": 1}]
    assert entries_of([], "a") == entries_of({"a": {}}, "a") == []
