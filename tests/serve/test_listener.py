"""A listener that stops: connections that wait, streams, slow readers, requests half sent."""

from __future__ import annotations

import asyncio
import socket

import openai as openai_sdk
import pytest

from mockllm import AsyncServer
from tests.support.http.answers import read_answers
from tests.support.http.messages import KIB, get, post
from tests.support.http.peer import Peer
from tests.support.listening import (
    FOREVER,
    LONG_REQUEST,
    LONG_TEXT,
    SHORT,
    TEXT,
    EditedApp,
    paced,
    running,
    text_of,
    unchanged,
)
from tests.support.processes import config
from tests.support.served import port_of

pytestmark = pytest.mark.anyio


READY = get(target="/ready")


async def test_a_connection_made_before_the_stop_is_answered() -> None:
    """Though the server has not accepted the connection yet."""
    server = AsyncServer(config())
    await server.start()
    clients = [socket.create_connection(("127.0.0.1", port_of(server.base_url))) for _ in range(5)]
    for client in clients:
        client.sendall(READY)
    await server.stop()
    for client in clients:
        with client:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


async def test_a_stop_lets_a_stream_end() -> None:
    async with running(EditedApp(paced(then=SHORT))) as server:
        stream = await server.stream()
        first = (await anext(stream)).choices[0].delta.content or ""
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        assert first + await text_of(stream) == TEXT
        await stop


async def test_a_stop_lets_several_streams_end() -> None:
    async with running(EditedApp(paced(then=SHORT))) as server:
        streams = [await server.stream() for _ in range(10)]
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        assert await asyncio.gather(*map(text_of, streams)) == [TEXT] * 10
        await stop


async def test_a_stop_cuts_a_stream_that_does_not_end_in_time() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        stream = await server.stream()
        await anext(stream)
        await (await server.begin_to_stop(drain_timeout=SHORT))
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(stream)


async def test_a_stop_without_a_drain_timeout_is_at_once() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        stream = await server.stream()
        await anext(stream)
        await (await server.begin_to_stop(drain_timeout=0))
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(stream)


async def test_a_stop_waits_for_a_slow_reader() -> None:
    async with running(EditedApp(unchanged)) as server:
        peer = await Peer.connect(server.port, receive_buffer=8 * KIB)
        peer.send(LONG_REQUEST)
        await peer.read_until(b"\r\n\r\n")
        peer.stop_reading()
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        peer.go_on_reading()
        (answer,) = read_answers(await peer.read_all())
        assert (answer.status, answer.whole) == (200, True)
        assert LONG_TEXT.encode() in answer.body
        await stop
        peer.close()


async def test_a_stop_does_not_wait_forever_for_a_slow_reader() -> None:
    async with running(EditedApp(unchanged)) as server:
        peer = await Peer.connect(server.port, receive_buffer=8 * KIB)
        peer.stop_reading()
        peer.send(LONG_REQUEST)
        await (await server.begin_to_stop(drain_timeout=SHORT))
        peer.close()


async def test_a_stop_answers_a_request_that_is_half_sent() -> None:
    async with running(EditedApp(unchanged)) as server:
        peer = await Peer.connect(server.port)
        head, _, body = post("Expect: 100-continue").partition(b"\r\n\r\n")
        peer.send(head + b"\r\n\r\n")
        await peer.read_until(b"100 Continue\r\n\r\n")
        stop = await server.begin_to_stop(drain_timeout=FOREVER)
        peer.send(body)
        answer = read_answers(await peer.read_all())[-1]
        assert answer.status == 404  # no mock says Hello
        assert answer.headers["connection"] == "close"
        await stop
        peer.close()
