"""Answers that take time: pauses, endings, turns, and what observers see of them."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio
import openai as openai_sdk
import pytest
from anyio.lowlevel import checkpoint

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import End, Exchange, Operation, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import COMPLETE, Ending, EndingKind, LazySteps, Reply, Step
from mockllm.http1.framing import Frame, frames
from mockllm.serve.gates import Gates
from mockllm.serve.player import ENDS, Player
from mockllm.serve.turns import Turns
from mockllm.state.sessions import COMMON
from tests.support.goldens import FRESH
from tests.support.http.messages import get
from tests.support.http.peer import Peer
from tests.support.listening import (
    FOREVER,
    SHORT,
    STREAM_REQUEST,
    TEXT,
    Edit,
    EditedApp,
    Running,
    ended,
    endless,
    paced,
    running,
    text_of,
)
from tests.support.served import PATIENCE, chat_request, tasks

pytestmark = pytest.mark.anyio


# --- Pauses ---------------------------------------------------------------------------------------


async def test_a_stream_with_pauses_arrives_whole() -> None:
    async with running(EditedApp(paced(then=SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_paused_stream_does_not_delay_others() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        slow = await server.stream()
        assert (await anext(slow)).choices[0].delta.role == "assistant"
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
        await slow.close()
        await (await server.begin_to_stop(drain_timeout=0))


async def test_an_answer_may_wait_before_its_first_byte() -> None:
    async with running(EditedApp(paced(SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_client_that_disconnects_ends_its_answer() -> None:
    async with running(EditedApp(endless)) as server:
        stream = await server.stream()
        await anext(stream)
        await stream.close()
        # `running` finds that the answer ends, though there are hours of it.


async def test_a_client_that_resets_ends_its_answer_in_a_pause() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        peer.reset()


# --- Endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending(EndingKind.CUT), Ending(EndingKind.RESET)])
async def test_a_stream_may_be_cut_or_reset(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(EditedApp(ended(ending, after=5))) as server:
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(await server.stream())
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


LARGE = bytes(64 * 1024)


def large(count: int, ending: Ending) -> Edit:
    """So many large steps, then this ending."""
    return lambda reply: replace(reply, steps=(Step((LARGE,)),) * count, ending=ending)


def read_all(port: int) -> tuple[bytes, str]:
    """Everything that a server sends to a request for a stream, and how the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(STREAM_REQUEST)
        data = bytearray()
        try:
            while part := peer.recv(1 << 16):
                data += part
        except ConnectionResetError:
            return bytes(data), "reset"
        return bytes(data), "closed"


async def received(port: int) -> tuple[bytes, str]:
    """`read_all`, in a thread that is gone afterwards."""
    found: list[tuple[bytes, str]] = []
    thread = threading.Thread(target=lambda: found.append(read_all(port)))
    thread.start()
    while thread.is_alive():
        await checkpoint()
    return found[0]


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


async def test_a_reset_comes_behind_all_that_was_sent() -> None:
    async with running(EditedApp(large(100, Ending(EndingKind.RESET)))) as server:
        data, end = await received(server.port)

    assert end == "reset"
    assert body_of(data).count(0) == 100 * len(LARGE)


@pytest.mark.parametrize("after", [0, 1, len(LARGE), len(LARGE) + 5])
async def test_a_stream_may_be_cut_behind_any_byte(after: int) -> None:
    async with running(EditedApp(large(3, Ending(EndingKind.CUT, after)))) as server:
        data, end = await received(server.port)

    assert end == "closed"
    assert body_of(data).count(0) == after
    assert not data.endswith(b"0\r\n\r\n")


async def test_after_a_clean_ending_the_connection_is_used_again() -> None:
    async with running(EditedApp(ended(Ending(EndingKind.CLEAN), after=5))) as server:
        peer = await Peer.connect(server.port)
        for _ in range(2):
            peer.send(STREAM_REQUEST)
            await peer.read_until(b"0\r\n\r\n")
        peer.reset()


async def test_a_hanging_answer_lasts_until_the_client_goes() -> None:
    seen: list[Exchange] = []
    async with running(
        EditedApp(ended(Ending(EndingKind.HANG), after=5)), (seen.append,)
    ) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        peer.reset()

    assert [exchange.delivery.end for exchange in seen] == [End.HANG]


async def test_a_hanging_answer_ends_when_the_client_closes() -> None:
    async with running(EditedApp(ended(Ending(EndingKind.HANG), after=1))) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        peer.close()  # in order, as a client that times out does
        await all_closed(server)


async def test_a_hanging_answer_ends_if_the_client_has_closed_before() -> None:
    def late(reply: Reply) -> Reply:
        return replace(reply, steps=(), ending=Ending(EndingKind.HANG), before_head=SHORT)

    async with running(EditedApp(late)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        peer.close()
        await all_closed(server)


async def test_a_reset_waits_only_so_long_for_a_client_that_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mockllm.serve.player.MAX_RESET_WAIT", SHORT)
    async with running(EditedApp(large(2, Ending(EndingKind.RESET)))) as server:
        peer = await Peer.connect(server.port, receive_buffer=2048)
        peer.stop_reading()
        peer.send(STREAM_REQUEST)
        await anyio.sleep(SHORT)
        await all_closed(server)
        peer.reset()


@pytest.mark.parametrize("head", [0.0, 0.5])
async def test_an_answer_may_end_before_or_in_its_head(head: float) -> None:
    seen: list[Exchange] = []

    def cut(reply: Reply) -> Reply:
        return replace(reply, ending=Ending(EndingKind.CUT, head=head))

    async with running(EditedApp(cut), (seen.append,)) as server:
        data, end = await received(server.port)

    assert end == "closed"
    assert data == b"" if head == 0 else data and b"\r\n\r\n" not in data
    assert [exchange.delivery.end for exchange in seen] == [End.CUT]


@pytest.mark.parametrize("kind", [EndingKind.CUT, EndingKind.RESET])
async def test_an_answer_may_end_at_a_time(kind: EndingKind) -> None:
    seen: list[Exchange] = []

    def late(reply: Reply) -> Reply:
        return replace(paced(0.0, then=FOREVER)(reply), ending=Ending(kind, time=SHORT))

    async with running(EditedApp(late), (seen.append,)) as server:
        data, end = await received(server.port)

    assert end == ("closed" if kind is EndingKind.CUT else "reset")
    assert data.count(b"data: ") == 1
    assert [exchange.delivery.end for exchange in seen] == [ENDS[kind]]


async def test_an_answer_that_is_over_by_then_is_complete() -> None:
    seen: list[Exchange] = []

    def early(reply: Reply) -> Reply:
        return replace(reply, ending=Ending(EndingKind.CUT, time=FOREVER))

    async with running(EditedApp(early), (seen.append,)) as server:
        assert await text_of(await server.stream()) == TEXT

    assert [exchange.delivery.end for exchange in seen] == [End.COMPLETE]


async def all_closed(server: Running) -> None:
    """Return once the server has closed its connections, while it still listens."""
    service = server.listener._service
    while not service.connections:
        await checkpoint()
    while service.connections:
        await checkpoint()


async def test_an_answer_may_wait_before_its_head() -> None:
    def late(reply: Reply) -> Reply:
        return replace(reply, before_head=SHORT)

    async with running(EditedApp(late)) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_client_that_closes_before_a_late_head_has_left() -> None:
    decided = anyio.Event()

    def late(reply: Reply) -> Reply:
        decided.set()
        return replace(reply, before_head=3600.0)

    async with running(EditedApp(late)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await decided.wait()
        await anyio.wait_all_tasks_blocked()  # the answer waits
        peer.close()  # in order, as a client that times out does
        await all_closed(server)


# --- What observers see ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "end"),
    [(EndingKind.CUT, End.CUT), (EndingKind.RESET, End.RESET), (EndingKind.CLEAN, End.CLEAN)],
)
async def test_observers_see_how_a_delivery_ended(kind: EndingKind, end: End) -> None:
    seen: list[Exchange] = []
    async with running(EditedApp(large(2, Ending(kind))), (seen.append,)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        while not seen:
            await checkpoint()
        peer.reset()

    assert [exchange.delivery.end for exchange in seen] == [end]


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset, Peer.half_close])
async def test_observers_see_at_once_that_a_client_is_gone(leave: Callable[[Peer], None]) -> None:
    seen: list[Exchange] = []
    async with running(EditedApp(paced(0.0, then=FOREVER)), (seen.append,)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        leave(peer)
        await all_closed(server)
        peer.reset()

    assert [exchange.delivery.end for exchange in seen] == [End.CLIENT_GONE]


async def test_a_client_that_sends_no_more_with_its_request_has_left_when_it_must_wait() -> None:
    seen: list[Exchange] = []
    async with running(EditedApp(paced(0.0, then=FOREVER)), (seen.append,)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        peer.half_close()
        received = await peer.read_all()
        peer.reset()

    assert received.count(b"data: ") == 1
    assert [exchange.delivery.end for exchange in seen] == [End.CLIENT_GONE]


async def test_an_exchange_is_observed_before_its_last_byte_can_be_read() -> None:
    seen: list[Exchange] = []
    async with running(EditedApp(paced(then=SHORT)), (seen.append,)) as server:
        await text_of(await server.stream())

        (exchange,) = seen
    delivery = exchange.delivery
    assert delivery.end is End.COMPLETE
    assert 0 <= delivery.decided <= delivery.first_byte < delivery.ended


async def test_observers_see_an_answer_that_fails_half_way() -> None:
    seen: list[Exchange] = []

    def steps() -> Iterator[Step]:
        yield Step((b"data: a\n\n",), SHORT)
        raise ZeroDivisionError

    def failing(reply: Reply) -> Reply:
        return replace(reply, steps=LazySteps(steps))

    async with running(EditedApp(failing), (seen.append,)) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_all()

    assert [exchange.delivery.end for exchange in seen] == [End.FAILED]


class SilentPeers:
    """Performs operations that never end."""

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        await anyio.sleep(FOREVER)
        return ()


@pytest.mark.parametrize(("path", "session"), [("", ""), ("/session/a", "a")])
async def test_observers_see_a_client_that_leaves_before_the_decision(
    path: str, session: str
) -> None:
    seen: list[Exchange] = []
    app = App(Engine(load(Config.from_dict({}))))
    app.set_peers(frozenset({1}))
    async with running(cast("Any", app), (seen.append,)) as server:
        server.listener._service.performer = SilentPeers()
        peer = await Peer.connect(server.port)
        peer.send(get("Authorization: Bearer a", target=f"{path}/v1/responses/resp_x"))
        while tasks() < 3:
            await checkpoint()
        peer.reset()

    (exchange,) = seen
    assert exchange.decision.match.outcome is Outcome.UNDECIDED
    assert exchange.decision.session == session
    assert exchange.delivery.end is End.CLIENT_GONE


# --- Turns ----------------------------------------------------------------------------------------


async def test_players_share_the_time_of_each_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockllm.serve.turns.MAX_TURN", -1.0)  # over after each frame
    rounds = 0
    made: list[tuple[int, int]] = []

    def frames(number: int) -> Iterator[Frame]:
        for _ in range(5):
            made.append((rounds, number))
            yield Frame(0.0, b"x")

    turns = Turns()
    playing = [
        asyncio.create_task(player(turns).play(frames(number), COMPLETE)) for number in range(3)
    ]
    while not all(task.done() for task in playing):
        await asyncio.sleep(0)
        rounds += 1

    assert len(made) == 15
    assert len(set(made)) == len({in_round for in_round, _ in made})


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_end_is_told_before_the_last_byte_of_the_content_is_written(
    streamed: bool,
) -> None:
    told: list[Any] = []
    transport = Taking(told)
    steps = (Step((b"first",)), Step((b"last",)))
    reply = Reply(200, (), steps, streamed=streamed)

    await player(Turns(), transport, told).play(frames(reply), COMPLETE)

    *before, end, last = told
    assert end is End.COMPLETE
    assert b"last" in last
    assert b"first" in b"".join(before)


def player(turns: Turns, transport: Taking | None = None, ends: list[Any] | None = None) -> Player:
    """A player whose peer takes everything at once; `ends` gets the end of the delivery."""
    writable = asyncio.Event()
    writable.set()
    connection = (cast("Any", transport or Taking()), writable, asyncio.Event())
    told = [] if ends is None else ends
    return Player(
        *connection,
        FRESH,
        turns=turns,
        gates=Gates(),
        session=COMMON,
        ended=lambda _, end: told.append(end),
    )


class Taking:
    """A transport whose peer takes everything; what it takes is `written`."""

    def __init__(self, written: list[Any] | None = None) -> None:
        self._written = [] if written is None else written

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def is_closing(self) -> bool:
        return False
