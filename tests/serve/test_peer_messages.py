from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Headers, Reply, Request, Step
from mockllm.pieces import finish
from mockllm.serve import peer_messages
from mockllm.serve.peer_messages import (
    MAX_MESSAGE,
    pack_reply,
    pack_request,
    pack_responses,
    read_message,
    unpack_reply,
    unpack_request,
    unpack_responses,
    write_message,
)
from mockllm.serve.turns import Turns
from mockllm.state.responses import StoredResponse
from mockllm.wire.placeholders import FreshValues
from tests.support.turns import CountedTurns

ALL_BYTES = bytes(range(256))
FRESH = FreshValues(b"0" * 20, b"1" * 10, b"2" * 29)


class Written:
    """A writer that records what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        pass


def written(*messages: Any) -> bytes:
    """The bytes of `messages` on a connection."""
    writer = Written()

    async def write_all() -> None:
        for message in messages:
            await write_message(cast("asyncio.StreamWriter", writer), message, Turns())

    asyncio.run(write_all())
    return writer.data


def read(data: bytes, count: int = 1) -> list[Any]:
    """The first messages of a connection that is closed after `data`."""

    async def read_all() -> list[Any]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return [await read_message(reader, Turns()) for _ in range(count)]

    return asyncio.run(read_all())


def transferred(message: Any) -> Any:
    """`message` as the other worker reads it."""
    (arrived,) = read(written(message))
    return arrived


def sent(reply: Reply) -> Reply:
    """A reply as the other worker receives it."""
    return finish(unpack_reply(transferred(finish(pack_reply(reply)))))


# --- Strategies -----------------------------------------------------------------------------------


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text(max_size=5), values, max_size=3)


chunks = st.sampled_from(["word", "char", "token"]) | st.integers(min_value=1, max_value=9)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
json_values = st.recursive(
    scalars, lambda each: st.lists(each, max_size=3) | objects(each), max_leaves=8
)


def headers() -> st.SearchStrategy[Headers]:
    return st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=5)), max_size=4).map(tuple)


def requests() -> st.SearchStrategy[Request]:
    texts = st.text(max_size=5)
    return st.builds(
        lambda method, path, lines, body, query: Request.of(method, path, lines, body, query=query),
        *(texts, texts, headers(), st.binary(max_size=20), texts),
    )


def replies() -> st.SearchStrategy[Reply]:
    """Replies in one piece, and streams without pauses."""
    status = st.integers(min_value=200, max_value=599)
    frames = st.lists(st.binary(max_size=8), max_size=4)
    whole = st.builds(Reply.whole, status, headers(), st.binary(max_size=20))
    return whole | st.builds(Reply.stream, status, headers(), frames)


def stored_responses() -> st.SearchStrategy[StoredResponse]:
    fresh = st.builds(
        FreshValues, *(st.binary(min_size=size, max_size=size) for size in (20, 10, 29, 6))
    )
    events = st.none() | st.lists(json_values, max_size=3)
    body = st.binary(max_size=20)
    response = objects(json_values)
    members = (body, response, chunks, events, fresh, st.booleans())
    return st.builds(StoredResponse, *members, answer_size=st.integers(0, 2**40))


# --- Packing --------------------------------------------------------------------------------------


@given(requests())
def test_a_request_arrives_as_it_was_sent(request: Request) -> None:
    assert unpack_request(transferred(pack_request(request))) == request


@given(replies())
def test_a_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    assert sent(reply) == reply


@given(st.lists(stored_responses(), max_size=4))
def test_stored_responses_arrive_as_they_were_sent(responses: list[StoredResponse]) -> None:
    assert finish(unpack_responses(transferred(finish(pack_responses(responses))))) == responses


def test_every_byte_arrives_in_headers_and_bodies() -> None:
    lines = ((ALL_BYTES, ALL_BYTES[::-1]),)
    request = Request.of("POST", "/", lines, ALL_BYTES)
    stream = Reply.stream(200, lines, [ALL_BYTES, ALL_BYTES[::-1]])
    stored = StoredResponse(ALL_BYTES, {}, "word", None, FRESH)

    assert unpack_request(transferred(pack_request(request))) == request
    assert sent(stream) == stream
    assert finish(unpack_responses(transferred(finish(pack_responses([stored]))))) == [stored]


def test_a_request_keeps_the_order_of_repeated_headers() -> None:
    request = Request.of("GET", "/", ((b"a", b"1"), (b"b", b"2"), (b"a", b"3")))

    arrived = unpack_request(transferred(pack_request(request)))

    assert arrived.headers == request.headers
    assert arrived.first_values == {b"a": b"1", b"b": b"2"}


def test_steps_arrive_without_pauses() -> None:
    reply = Reply(200, (), (Step((b"a", b"b"), 0.5), Step((b"c",))), streamed=True, before_head=1.0)

    arrived = sent(reply)

    assert arrived == Reply(200, (), (Step((b"a", b"b")), Step((b"c",))), streamed=True)


def test_steps_of_a_reply_that_is_not_streamed_arrive_as_one_body() -> None:
    reply = replace(Reply.stream(200, (), [b"ab", b"c"]), streamed=False)

    assert sent(reply) == Reply(200, (), (Step((b"ab", b"c")),))


def test_a_lazy_stream_arrives_with_all_its_steps() -> None:
    reply = Reply.lazy_stream(200, (), lambda: [b"a", b"b"])

    assert sent(reply) == Reply.stream(200, (), [b"a", b"b"])


def test_responses_of_one_mock_share_its_answer_before_and_after() -> None:
    answer = {"output": ["long"]}
    responses = [StoredResponse(b"%d" % number, answer, "word", None, FRESH) for number in range(3)]

    packed = transferred(finish(pack_responses(responses)))
    first, *others = finish(unpack_responses(packed))

    assert packed[0] == [[answer, "word", None]]
    assert all(each.response is first.response for each in others)


def test_equal_answers_with_other_chunks_or_events_are_not_shared() -> None:
    answer: dict[str, Any] = {}
    responses = [
        StoredResponse(b"", answer, "word", None, FRESH),
        StoredResponse(b"", answer, "char", None, FRESH, session="a"),
        StoredResponse(b"", answer, "word", [{"type": "error"}], FRESH),
    ]

    assert finish(unpack_responses(transferred(finish(pack_responses(responses))))) == responses


def test_what_is_large_is_packed_sent_and_unpacked_in_pieces() -> None:
    steps = (Step((b"a" * 100_000,) * 20), *[Step((b"b" * 100,))] * 2_000)
    reply = Reply(200, (), steps, streamed=True)
    stored = StoredResponse(b"x" * 1_000_000, {"a": "y" * 1_000_000}, "word", None, FRESH)
    turns = CountedTurns()

    async def exchange() -> list[Any]:
        reader, writer = asyncio.StreamReader(), Written()
        for pieces in (pack_reply(reply), pack_responses([stored])):
            packed = await turns.perform(pieces)
            await write_message(cast("asyncio.StreamWriter", writer), packed, turns)
        reader.feed_data(writer.data)
        first, second = [await read_message(reader, turns) for _ in range(2)]
        return [
            await turns.perform(unpack_reply(first)),
            *await turns.perform(unpack_responses(second)),
        ]

    arrived = asyncio.run(exchange())

    assert arrived == [reply, stored]
    assert len(turns.pauses) == 8
    assert min(turns.pauses) >= 1
    assert turns.pauses[0] >= len(steps)


# --- The connection -------------------------------------------------------------------------------


@given(st.lists(json_values, max_size=4))
def test_messages_arrive_in_order(messages: list[Any]) -> None:
    assert read(written(*messages), len(messages)) == messages


@given(st.lists(json_values, max_size=4), st.integers(1, 20))
def test_large_messages_arrive_in_order(messages: list[Any], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer_messages, "_MAX_UNDIVIDED", most)
        assert read(written(*messages), len(messages)) == messages


@given(json_values, st.data(), st.sampled_from([3, 100_000]))
def test_a_connection_that_is_cut_inside_a_message_raises(
    message: Any, data: st.DataObject, most: int
) -> None:
    complete = written(message)
    end = data.draw(st.integers(min_value=0, max_value=len(complete) - 1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer_messages, "_MAX_UNDIVIDED", most)
        with pytest.raises(asyncio.IncompleteReadError):
            read(complete[:end])


def test_a_message_that_is_too_long_raises_before_it_is_read() -> None:
    with pytest.raises(OSError, match="a message of 268,435,457 bytes"):
        read((MAX_MESSAGE + 1).to_bytes(4))


def test_a_message_of_the_maximum_length_is_read() -> None:
    with pytest.raises(asyncio.IncompleteReadError):  # OSError would mean that it is not read
        read(MAX_MESSAGE.to_bytes(4))
