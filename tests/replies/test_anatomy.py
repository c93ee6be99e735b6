"""Reading replies by the anatomy of their API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Step
from mockllm.providers.openai.chat.anatomy import ANATOMY
from mockllm.replies.anatomy import (
    NO_EVENT,
    PIECE,
    Event,
    Joined,
    StreamReading,
    entries_of,
    find_words,
    parse_event,
    texts_of,
)
from mockllm.wire import jsontext, placeholders


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

    assert (events[1], events[1], len(events)) == (NO_EVENT, NO_EVENT, 3)
    assert read == [1]


def chat(*contents: Any) -> bytes:
    return jsontext.dumps({"choices": [{"message": {"content": each}} for each in contents]})


def test_equal_words_are_found_one_after_the_other() -> None:
    body = chat("a", "b", "a")

    found = find_words(body, ANATOMY)

    assert [body[each.start :][:1] for each in found] == [b"a", b"b", b"a"]
    assert len({each.start for each in found}) == 3


def test_a_place_in_escaped_words_is_behind_whole_characters() -> None:
    body = chat('"\n\u2028é')
    (words,) = find_words(body, ANATOMY)

    parts = [body[words.start : words.offset(count)] for count in range(words.size + 1)]

    ends = [b"", b'\\"', b"\\n", b"\\u2028", "é".encode()]
    assert list(dict.fromkeys(parts)) == [b"".join(ends[: n + 1]) for n in range(len(ends))]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":5}', chat(None)])
def test_a_body_may_have_no_words(body: bytes) -> None:
    assert find_words(body, ANATOMY) == []


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

    plain, found = find_words(body, ANATOMY), find_words(joined, ANATOMY, piece)

    assert [(each.start, each.end) for each in found] == [(e.start, e.end) for e in plain]
    for words, same, text in zip(plain, found, texts, strict=True):
        assert words.size == same.size == len("".join(text).encode())
        count = data.draw(st.integers(0, words.size))
        assert words.offset(count) == same.offset(count)
        after = jsontext.dumps(_up_to("".join(text), count))[1:-1]
        assert body[words.start : words.offset(count)] == after


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

    first, second = find_words(Joined(placeholders.cut(body)), ANATOMY)

    assert first.size == 5 * PIECE
    assert first.offset(first.size // 2) == first.start + first.size // 2
    assert second.end == len(body) - len('"}}]}')
    assert max(sizes) <= 3 * PIECE


def test_members_are_read_whatever_they_are() -> None:
    assert texts_of({"a": "x", "b": 5, "c": "y"}, ("a", "b", "c", "d")) == "xy"
    assert texts_of(None, ("a",)) == ""
    assert entries_of({"a": [{}, 5, None, {"b": 1}]}, "a") == [{}, {"b": 1}]
    assert entries_of([], "a") == entries_of({"a": {}}, "a") == []
