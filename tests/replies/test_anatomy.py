"""Reading replies by the anatomy of their API."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.exchange import Step
from mockllm.providers.openai.chat.anatomy import ANATOMY
from mockllm.replies.anatomy import (
    NO_EVENT,
    Event,
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

    parts = [body[words.start : words.offset(count)] for count in range(len(words.text) + 1)]

    ends = [b"", b'\\"', b"\\n", b"\\u2028", "é".encode()]
    assert list(dict.fromkeys(parts)) == [b"".join(ends[: n + 1]) for n in range(len(ends))]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":5}', chat(None)])
def test_a_body_may_have_no_words(body: bytes) -> None:
    assert find_words(body, ANATOMY) == []


def test_members_are_read_whatever_they_are() -> None:
    assert texts_of({"a": "x", "b": 5, "c": "y"}, ("a", "b", "c", "d")) == "xy"
    assert texts_of(None, ("a",)) == ""
    assert entries_of({"a": [{}, 5, None, {"b": 1}]}, "a") == [{}, {"b": 1}]
    assert entries_of([], "a") == entries_of({"a": {}}, "a") == []
