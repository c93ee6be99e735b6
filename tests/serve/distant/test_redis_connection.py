"""Large commands to a Redis over TLS: sent in pieces, whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import pytest
from redis.asyncio import SSLConnection
from redis.exceptions import ConnectionError as LostError

from mockllm.serve.distant import redis_connection
from mockllm.serve.distant.redis_connection import DividedConnection
from tests.support.redis_servers import CERTIFICATE, RedisServer, needs_redis

pytestmark = pytest.mark.anyio

MAX_WRITTEN = 1_000
PARTS = [b"*3", b"a" * 2_500, b"\r\n", b"b" * 900, b"c" * 900, b"", b"d" * 3_000, b"\r\n"]


class Sent:
    """What connections send, in place of sending it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pieces: list[tuple[bytes, bool]] = []
        self.most = 10**9
        self.is_lost = False
        sent = self

        async def send(
            self: SSLConnection, command: Iterable[bytes], check_health: bool = True
        ) -> None:
            sent.pieces.append((b"".join(command), check_health))
            sent.is_lost = len(sent.pieces) == sent.most

        async def disconnect(self: SSLConnection, nowait: bool = False) -> None:
            sent.is_lost = True

        connected = property(lambda self: not sent.is_lost)
        monkeypatch.setattr(redis_connection, "MAX_WRITTEN", MAX_WRITTEN)
        monkeypatch.setattr(SSLConnection, "send_packed_command", send)
        monkeypatch.setattr(SSLConnection, "disconnect", disconnect)
        monkeypatch.setattr(SSLConnection, "is_connected", connected)


async def test_a_large_command_is_sent_in_pieces_between_which_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = Sent(monkeypatch)
    turns: list[int] = []

    async def count() -> None:
        while True:
            turns.append(len(sent.pieces))
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await DividedConnection().send_packed_command(PARTS)
    other.cancel()

    assert b"".join(piece for piece, _ in sent.pieces) == b"".join(PARTS)
    assert max(len(piece) for piece, _ in sent.pieces) <= MAX_WRITTEN
    assert [checks for _, checks in sent.pieces] == [True] + [False] * (len(sent.pieces) - 1)
    assert turns == [*range(1, len(sent.pieces))]


@pytest.mark.parametrize("command", ["PING", b"PING", [b"PI", b"NG"], (b"PING",)])
@pytest.mark.parametrize("check_health", [False, True])
async def test_a_small_command_is_sent_at_once(
    monkeypatch: pytest.MonkeyPatch, command: str | bytes | Iterable[bytes], check_health: bool
) -> None:
    sent = Sent(monkeypatch)

    await DividedConnection().send_packed_command(command, check_health)

    assert sent.pieces == [(b"PING", check_health)]


async def test_the_rest_of_a_command_is_never_sent_over_another_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = Sent(monkeypatch)
    sent.most = 2

    with pytest.raises(LostError):
        await DividedConnection().send_packed_command(PARTS)

    assert len(sent.pieces) == 2


async def test_a_connection_on_which_half_a_command_was_sent_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = Sent(monkeypatch)
    sending = asyncio.create_task(DividedConnection().send_packed_command(PARTS))
    await asyncio.sleep(0)
    assert not sent.is_lost

    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending

    assert sent.is_lost


@needs_redis
async def test_redis_understands_a_command_that_was_sent_in_pieces() -> None:
    value = bytes(range(256)) * 10_000
    with contextlib.closing(RedisServer(tls=True)) as server:
        connection = DividedConnection(port=server.port, ssl_ca_certs=str(CERTIFICATE))
        try:
            await connection.send_command("SET", "a", value)
            assert await connection.read_response() == b"OK"
            await connection.send_command("GET", "a")
            assert await connection.read_response() == value
        finally:
            await connection.disconnect()
