"""`calls` of servers and sessions: what a test reads while, and after, a server runs."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI

from mockllm import AsyncServer, AsyncSession, Server, Session, Timing
from tests.support.served import (
    API_KEY,
    PATIENCE,
    chat_request,
    http_request,
    nothing_left_behind,
    port_of,
)

pytestmark = pytest.mark.anyio

MOCKS: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": "weather"}, "reply": "Sunny"},
        {
            "name": "long",
            "match": {"user": "long"},
            "reply": "word " * 20_000,
            "stream": {"chunk": 100},
        },
        {"name": "paced", "match": {"user": "paced"}, "reply": "In time", "latency": {"itl": 1e-6}},
    ]
}
MANY = 10_000


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def client_of(server: Server | Session) -> OpenAI:
    return OpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0)


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server.base_url)), PATIENCE)


def read_until(client: socket.socket, end: bytes) -> None:
    """Read an answer up to its last byte, and nothing after it."""
    read = b""
    while not read.endswith(end):
        more = client.recv(65_536)
        assert more, read
        read += more


@pytest.mark.parametrize("text", ["weather", "paced"])
def test_a_call_is_there_when_its_last_byte_is_read(text: str) -> None:
    ends = [(False, b"}"), (True, b"0\r\n\r\n")]
    with Server(MOCKS, journal=1) as server, connected(server) as client:
        for number in range(MANY // 2):
            stream, end = ends[number % 2]
            path = f"/v1/chat/completions?after={number}"
            client.sendall(http_request(path, chat_request(text, stream=stream)))
            read_until(client, end)

            [call] = server.calls

            assert (call.path, call.mock, call.delivery) == (path, text, "complete")


@pytest.mark.parametrize("stream", [False, True])
def test_a_large_answer_is_there_when_its_last_byte_is_read(stream: bool) -> None:
    with Server(MOCKS) as server, client_of(server) as client:
        for number in range(1, 6):
            answer = client.chat.completions.create(**chat_request("long", stream=stream))
            _ = [*answer] if stream else None

            calls = server.calls

            assert len(calls) == number
            assert (calls[-1].delivery, calls[-1].mock) == ("complete", "long")
            assert calls[-1].started <= calls[-1].started + calls[-1].ttft <= calls[-1].ended


async def test_an_async_server_is_asked_in_its_own_loop() -> None:
    async with (
        AsyncServer(MOCKS) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        await client.chat.completions.create(**chat_request("weather"))

        assert [call.user for call in server.calls] == ["weather"]
        assert isinstance(server.session("a"), AsyncSession)


async def test_an_async_server_is_asked_from_another_thread() -> None:
    async with (
        AsyncServer(MOCKS) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        await client.chat.completions.create(**chat_request("weather"))

        calls = await asyncio.to_thread(lambda: server.calls)

        assert [call.mock for call in calls] == ["weather"]


def test_readers_in_threads_see_whole_calls_while_requests_come() -> None:
    seen: list[int] = []
    done = threading.Event()

    def read(server: Server) -> None:
        while not done.is_set():
            seen.append(sum(call.status == 200 for call in server.calls))

    with Server(MOCKS) as server, client_of(server) as client:
        readers = [threading.Thread(target=read, args=(server,)) for _ in range(2)]
        for reader in readers:
            reader.start()
        for _ in range(50):
            client.chat.completions.create(**chat_request("weather"))
        done.set()
        for reader in readers:
            reader.join()

        assert max(seen, default=0) <= 50 == len(server.calls)


def test_calls_can_be_read_after_the_end_until_the_next_start() -> None:
    server = Server(MOCKS)
    with server, client_of(server) as client:
        client.chat.completions.create(**chat_request("weather"))
    assert [call.mock for call in server.calls] == ["weather"]

    server.clear_calls()
    assert server.calls == []

    with server:
        assert server.calls == []


def test_a_session_sees_its_own_calls_alone() -> None:
    with Server(MOCKS) as server, server.session("a") as a, server.session("b") as b:
        for session in (a, b, a):
            with client_of(session) as client:
                client.chat.completions.create(**chat_request("weather"))

        assert [call.session for call in server.calls] == ["a", "b", "a"]
        assert [len(a.calls), len(b.calls)] == [2, 1]
        a.clear_calls()
        assert [call.session for call in server.calls] == ["b"]


def test_calls_of_a_session_can_be_read_until_it_begins_anew() -> None:
    with Server(MOCKS) as server:
        with server.session("a") as ended, client_of(ended) as client:
            client.chat.completions.create(**chat_request("weather"))
            assert len(server.session("a").calls) == 1  # it is open, and goes on
        with pytest.raises(NotFoundError), client_of(ended) as client:
            client.chat.completions.create(**chat_request("weather"))

        assert [call.outcome for call in ended.calls] == ["matched", "session ended"]
        assert server.session("a").calls == []


def test_the_current_session_has_the_calls_that_name_none() -> None:
    with Server(MOCKS) as server, client_of(server) as client:
        server.use_session("a")
        client.chat.completions.create(**chat_request("weather"))

        assert len(server.session("a").calls) == 1


def test_the_number_of_calls_is_bounded() -> None:
    with Server(MOCKS, journal=2) as server, client_of(server) as client:
        for text in ("weather", "long", "weather"):
            client.chat.completions.create(**chat_request(text))

        assert [call.mock for call in server.calls] == ["long", "weather"]


@pytest.mark.parametrize("kind", [Server, AsyncServer])
def test_a_server_without_a_journal_says_so(kind: type[Server]) -> None:
    with pytest.raises(RuntimeError, match="keeps no journal: it has journal=0"):
        _ = kind(MOCKS, journal=0).calls
    with pytest.raises(RuntimeError, match="the server is not started"):
        kind(MOCKS).clear_calls()
    with pytest.raises(ValueError, match="journal: expected 0 or more, found -1"):
        kind(MOCKS, journal=-1)
    with pytest.raises(TypeError, match="journal: expected a number of requests, found True"):
        kind(MOCKS, journal=True)


def test_without_a_journal_requests_are_answered() -> None:
    with Server(MOCKS, journal=0) as server, server.session("a") as a, client_of(a) as client:
        answer = client.chat.completions.create(**chat_request("weather"))

        assert answer.choices[0].message.content == "Sunny"


def test_a_call_knows_the_conversation_that_it_continues() -> None:
    with Server(MOCKS) as server, server.session("a") as a, client_of(a) as client:
        first = client.responses.create(model="m", input="weather")
        second = client.responses.create(model="m", input="weather", previous_response_id=first.id)
        client.responses.create(model="m", input="weather", previous_response_id=second.id)
        assert [(call.turn, call.step) for call in a.calls] == [(1, 1), (2, 1), (3, 1)]


def test_the_times_of_paced_answers_can_be_read_also_after_the_end() -> None:
    with Server(MOCKS, latency={"ttft": "1ms"}) as server, client_of(server) as client:
        assert (server.timing.requests, server.timing.verdict) == (0, "no answer was paced")
        _ = [*client.chat.completions.create(**chat_request("weather"), stream=True)]
        client.chat.completions.create(**chat_request("weather"))
        timing = server.timing

    assert (timing.requests, timing.streams, timing.most_open) == (2, 1, 1)
    assert timing.steps >= 2
    assert 0 <= timing.late_p50 <= timing.late_max
    assert 0 <= timing.cpu_share <= 1
    assert server.timing.requests == 2


async def test_an_async_server_has_times_too() -> None:
    server = AsyncServer(MOCKS, latency={"ttft": "1ms"})
    with pytest.raises(RuntimeError, match="the server is not started"):
        _ = server.timing
    async with server:
        assert isinstance(server.timing, Timing)
