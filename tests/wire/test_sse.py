"""Frames, read back by a decoder written after the WHATWG's rules."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockllm.wire import json_encoding, sse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[a-z][a-z_.]{0,20}", fullmatch=True)


def decode(stream: bytes) -> list[tuple[str | None, str]]:
    """The events of a stream as (name, data). WHATWG HTML, section 9.2.6."""
    events: list[tuple[str | None, str]] = []
    name: str | None = None
    data: list[str] = []
    for line in re.split("\r\n|\n|\r", stream.decode()):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name, "\n".join(data)))
            name, data = None, []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        else:
            raise AssertionError(f"no field of ours: {line!r}")
    return events


@given(TEXTS, NAMES | st.none())
@example("\r\n\n: \ndata: x\n\n\u2028\u2029\u0085\x0b\x0c", "message_stop")
@settings(deadline=None)
def test_any_text_comes_back_in_one_event(text: str, name: str | None) -> None:
    frame = sse.frame({"text": text}, event=name)

    [(found, data)] = decode(frame)
    assert (found, orjson.loads(data)) == (name, {"text": text})


@given(TEXTS)
@settings(deadline=None)
def test_a_frame_survives_clients_that_split_lines_like_python(text: str) -> None:
    assert len(sse.frame([text], event="x").decode().splitlines()) == 3


@pytest.mark.parametrize(
    ("data", "event", "frame"),
    [
        ({"a": [1, "é"]}, None, 'data: {"a":[1,"é"]}\n\n'),
        ({"type": "ping"}, "ping", 'event: ping\ndata: {"type":"ping"}\n\n'),
        (None, None, "data: null\n\n"),
    ],
)
def test_examples_are_framed_as_listed(data: Any, event: str | None, frame: str) -> None:
    assert sse.frame(data, event=event).decode() == frame


def test_done_is_an_event_of_its_own() -> None:
    assert decode(sse.frame(1) + sse.DONE) == [(None, "1"), (None, "[DONE]")]


@pytest.mark.parametrize("event", [None, "name"])
def test_the_data_of_an_event_is_what_was_framed(event: str | None) -> None:
    assert sse.data_of(sse.frame({"a": "data: b\n\n"}, event=event)) == b'{"a":"data: b\\n\\n"}'
    assert sse.data_of(b": ping\n\n") == b""


@given(TEXTS, NAMES | st.none())
def test_a_frame_in_pieces_is_the_same(text: str, name: str | None) -> None:
    data = {"text": text, "more": [text]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "MAX_TEXT", 3)

        assert b"".join(sse.frame_in_pieces(data, event=name)) == sse.frame(data, event=name)
