"""Paced answers over sockets, in time that passes by hand: queues, clients that leave, pipelining,
ends and stops."""

from __future__ import annotations

import asyncio
import time as real_time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mockllm import AsyncServer, Config, Server
from mockllm.engine.decision import Decision, End, Exchange, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Ending, EndingKind, LazySteps, Reply, Request, Step
from mockllm.serve.player import MAX_UNSENT
from tests.support.apps import LoneApp
from tests.support.http.answers import Answer, read_answers
from tests.support.http.messages import CHAT, asking, post
from tests.support.http.peer import Peer
from tests.support.listening import Edit, Running, running, unchanged
from tests.support.manual_time import ManualTime

pytestmark = pytest.mark.anyio

LATENCY = {"ttft": "1s", "itl": "10ms"}
STREAM = post(body=asking(stream=True))
WHOLE = post(body=asking())
TEXT = "one two three"
DONE = b"data: [DONE]\n\n\r\n0\r\n\r\n"


class PacedApp(LoneApp):
    """An app whose answers take time, and are edited."""

    def __init__(self, latency: Any, edit: Edit = unchanged, text: str = TEXT) -> None:
        config = {"mocks": [{"reply": text}], "latency": latency}
        super().__init__(Engine(load(Config.from_dict(config))))
        self._edit = edit

    def decide(self, request: Request) -> Decision:
        decision = super().decide(request)
        return decision._replace(reply=self._edit(decision.reply))


class Paced:
    """A server with paced answers, in its own time."""

    def __init__(self, server: Running, time: ManualTime, seen: list[Exchange]) -> None:
        self.time = time
        self.seen = seen
        self.server = server
        self.service = server.listener._service
        self.port = server.port

    async def ask(self, *requests: bytes) -> Peer:
        """A new client that has sent `requests`, once the first answer has begun or waits."""
        peer = await Peer.connect(self.port)
        before = self.entered
        peer.send(b"".join(requests))
        while self.entered == before and not peer.received:
            await checkpoint()
        return peer

    async def entry(self) -> None:
        """Return when an answer is in a pool."""
        while not self.entered:
            await checkpoint()

    @property
    def entered(self) -> int:
        """The number of answers in pools."""
        pools = self.service.clock._pools.values()
        return sum(pool.running + pool.waiting for pool in pools)

    @property
    def connections(self) -> list[Any]:
        """The open connections."""
        return [*self.service.connections]

    async def left(self, count: int = 0) -> None:
        """Return when so many answers are in pools."""
        while self.entered != count:
            await checkpoint()


@asynccontextmanager
async def paced(
    latency: Any = LATENCY, edit: Edit = unchanged, text: str = TEXT
) -> AsyncIterator[Paced]:
    time, seen = ManualTime(), list[Exchange]()
    async with running(PacedApp(latency, edit, text), (seen.append,), time.clock()) as server:
        yield Paced(server, time, seen)


async def answers_of(peer: Peer, count: int = 1) -> list[Answer]:
    """The first answers that a client gets."""
    while True:
        answers = read_answers(bytes(peer.received))
        if len(answers) >= count and answers[-1].whole:
            return answers
        await checkpoint()


async def test_a_stream_comes_in_time() -> None:
    async with paced() as one:
        peer = await one.ask(STREAM)
        one.time.run(0.99)
        await checkpoint()
        assert peer.received == b""

        one.time.run(1.0)
        await peer.read_until(b'"one"')
        assert b"two" not in peer.received
        one.time.run()
        (answer,) = await answers_of(peer)

        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert one.seen[0].delivery.end is End.COMPLETE
        assert one.seen[0].delivery.first_byte >= 0
        peer.reset()


async def test_a_whole_answer_waits_before_its_head() -> None:
    async with paced() as one:
        peer = await one.ask(WHOLE)
        one.time.run(1.02)
        await checkpoint()
        assert peer.received == b""

        one.time.run(1.03)
        (answer,) = await answers_of(peer)

        assert TEXT.encode() in answer.body
        peer.reset()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with paced() as one:
        peer = await one.ask(STREAM, WHOLE, STREAM)
        for place in range(3):
            await one.left(1)
            assert len(read_answers(bytes(peer.received))) == place
            one.time.run(one.time.now + 1.05)
            await answers_of(peer, place + 1)

        streamed = [
            answer.headers["content-type"].startswith("text/event-stream")
            for answer in await answers_of(peer, 3)
        ]
        assert streamed == [True, False, True]
        assert [exchange.delivery.end for exchange in one.seen] == [End.COMPLETE] * 3
        peer.reset()


async def test_a_client_that_leaves_in_the_queue_frees_its_place() -> None:
    async with paced({**LATENCY, "concurrency": 1, "queue": 1}) as one:
        first = await one.ask(STREAM)
        second = await one.ask(STREAM)
        assert one.entered == 2

        second.reset()
        await one.left(1)
        third = await one.ask(STREAM)
        first.reset()
        await one.left(1)
        one.time.run()
        (answer,) = await answers_of(third)

        assert answer.status == 200
        ends = [exchange.delivery.end for exchange in one.seen]
        assert ends == [End.CLIENT_GONE, End.CLIENT_GONE, End.COMPLETE]
        third.reset()


async def test_a_pool_is_shared_by_sessions() -> None:
    async with paced({**LATENCY, "concurrency": 1, "queue": 1}) as one:
        peers = [
            await one.ask(post(body=asking(stream=True), target=f"/session/{name}{CHAT}"))
            for name in "abc"
        ]
        (pool,) = one.service.clock._pools.values()
        assert (pool.running, pool.waiting) == (1, 1)
        (refusal,) = await answers_of(peers[2])
        assert refusal.status == 503

        one.time.run(1.5)
        await answers_of(peers[0])
        assert peers[1].received == b""
        one.time.run()
        await answers_of(peers[1])

        assert [exchange.decision.session for exchange in one.seen] == ["c", "a", "b"]
        for peer in peers:
            peer.reset()


async def test_a_request_beyond_the_queue_is_refused_and_the_connection_stays() -> None:
    async with paced({**LATENCY, "concurrency": 1, "queue": 0}) as one:
        first = await one.ask(STREAM)
        second = await one.ask(STREAM)
        (refusal,) = await answers_of(second)
        assert refusal.status == 503
        assert b"overloaded" in refusal.body
        assert one.seen[0].decision.match.outcome is Outcome.POOL_FULL

        one.time.run()
        await answers_of(first)
        second.send(STREAM)
        await one.left(1)
        one.time.run()

        assert [answer.status for answer in await answers_of(second, 2)] == [503, 200]
        first.reset()
        second.reset()


async def test_a_client_without_keep_alive_gets_all_and_then_the_end() -> None:
    async with paced() as one:
        peer = await one.ask(post("Connection: close", body=asking(stream=True)))
        one.time.run()

        (answer,) = read_answers(await peer.read_all())
        assert answer.closes
        assert answer.whole
        peer.reset()


async def test_an_old_client_gets_a_stream_that_ends_with_the_connection() -> None:
    async with paced() as one:
        peer = await one.ask(post(body=asking(stream=True), version="1.0"))
        one.time.run()

        assert (await peer.read_all()).endswith(b"data: [DONE]\n\n")
        peer.reset()


@pytest.mark.parametrize("request_", [STREAM, WHOLE], ids=["stream", "whole"])
async def test_a_client_that_closes_its_side_before_the_first_byte_has_left(
    request_: bytes,
) -> None:
    async with paced({**LATENCY, "concurrency": 1}) as one:
        generated, queued = [await one.ask(request_) for _ in range(2)]
        one.time.run(0.5)
        for peer in (queued, generated):
            peer.half_close()
        await one.left()

        ends = [exchange.delivery.end for exchange in one.seen]
        assert ends == [End.CLIENT_GONE, End.CLIENT_GONE]
        assert generated.received == queued.received == b""
        for peer in (queued, generated):
            peer.reset()


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset, Peer.half_close])
async def test_a_client_that_leaves_between_two_tokens_is_noticed_at_once(
    leave: Callable[[Peer], None],
) -> None:
    async with paced({**LATENCY, "concurrency": 1}) as one:
        first, second = [await one.ask(STREAM) for _ in range(2)]
        one.time.run(1.0)
        await first.read_until(b'"one"')

        leave(first)
        await one.left(1)

        assert [exchange.delivery.end for exchange in one.seen] == [End.CLIENT_GONE]
        one.time.run()
        assert (await second.read_until(DONE)).endswith(DONE)
        first.reset()
        second.reset()


async def test_a_client_that_leaves_while_a_token_is_late_is_noticed_after_it() -> None:
    async with paced() as one:
        peer = await one.ask(STREAM)
        one.time.run(1.0)
        await peer.read_until(b'"one"')
        (connection,) = one.connections

        one.time.stall(0.015)  # " two" was due at 1.01
        peer.half_close()
        while not connection._peer_finished.is_set():
            await checkpoint()
        one.time.run(one.time.now)
        await one.left()

        assert [exchange.delivery.end for exchange in one.seen] == [End.CLIENT_GONE]
        assert b'" two"' in await peer.read_all()


async def test_a_client_that_sends_no_more_with_its_request_has_left_when_it_must_wait() -> None:
    async with paced() as one:
        peer = await Peer.connect(one.server.port)
        peer.send(STREAM)
        peer.half_close()
        while not one.seen:
            one.time.run(0.5)
            await checkpoint()

        assert [exchange.delivery.end for exchange in one.seen] == [End.CLIENT_GONE]
        assert peer.received == b""
        peer.reset()


async def test_a_client_that_sends_no_more_gets_an_answer_that_takes_no_time() -> None:
    async with paced({"ttft": 1e-9}) as one:
        peer = await Peer.connect(one.server.port)
        peer.send(STREAM)
        await one.entry()
        one.time.stall(1.0)
        peer.half_close()
        await checkpoint()
        one.time.run()

        assert (await peer.read_all()).endswith(DONE)
        peer.reset()


@pytest.mark.parametrize("kind", [EndingKind.CUT, EndingKind.RESET])
async def test_a_paced_stream_may_be_cut_or_reset(kind: EndingKind) -> None:
    def cut(reply: Reply) -> Reply:
        return replace(reply, steps=tuple(reply.steps)[:2], ending=Ending(kind))

    async with paced(edit=cut) as one:
        peer = await one.ask(STREAM)
        one.time.run()
        await peer.ended.wait()

        assert b'"one"' in peer.received
        assert not peer.received.endswith(DONE)
        peer.reset()
        assert [exchange.delivery.end.name for exchange in one.seen] == [kind.name]


async def test_a_paced_stream_may_hang() -> None:
    def hang(reply: Reply) -> Reply:
        return replace(reply, ending=Ending(EndingKind.HANG))

    async with paced(edit=hang) as one:
        peer = await one.ask(STREAM)
        one.time.run()
        await peer.read_until(b"[DONE]")
        peer.reset()

        while not one.seen:
            await checkpoint()
        assert one.seen[0].delivery.end is End.HANG


async def test_an_answer_that_fails_half_way_is_aborted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(reply: Reply) -> Reply:
        def steps() -> Any:
            yield Step((b"data: a\n\n",), tokens=1)
            raise ZeroDivisionError

        return replace(reply, steps=LazySteps(steps))

    async with paced(edit=failing) as one:
        peer = await one.ask(STREAM)
        one.time.run()
        await peer.ended.wait()

        assert one.seen[0].delivery.end is End.FAILED
        assert "internal error sending an answer" in caplog.text
        caplog.clear()
        peer.reset()


async def test_a_slow_client_delays_no_other() -> None:
    async with paced({**LATENCY, "concurrency": 1}, text="word " * 200_000) as one:
        slow = await Peer.connect(one.server.port, receive_buffer=4096)
        slow.stop_reading()
        slow.send(STREAM)
        await one.left(1)
        other = await one.ask(STREAM)
        while one.entered:  # the slow client gives up its place when its buffers are full
            one.time.run(one.time.now + 100.0)
            await checkpoint()

        (answer,) = await answers_of(other)
        assert answer.whole
        unsent = [connection._transport.get_write_buffer_size() for connection in one.connections]
        assert max(unsent) <= 2 * MAX_UNSENT
        slow.go_on_reading()
        while not slow.received.endswith(DONE):
            one.time.run(one.time.now + 100.0)
            await checkpoint()
        slow.reset()
        other.reset()


# --- Reloads --------------------------------------------------------------------------------------


async def test_a_reload_leaves_open_streams_and_those_that_wait_as_they_are() -> None:
    """What begins later has the new times, in the same pool."""
    pool = {"pool": "p", "concurrency": 1}
    async with paced(LATENCY | pool) as one:
        opened, waiting = await one.ask(STREAM), await one.ask(STREAM)
        one.time.run(1.0)
        await opened.read_until(b'"one"')

        config = {"mocks": [{"reply": "new"}], "latency": LATENCY | pool | {"ttft": "5s"}}
        one.service.app.use(Engine(load(Config.from_dict(config))))
        later = await one.ask(STREAM)
        for peer, not_by, by in ((opened, 1.0, 1.1), (waiting, 1.9, 2.2), (later, 6.9, 7.2)):
            one.time.run(not_by)
            await checkpoint()
            assert DONE not in peer.received
            one.time.run(by)
            await peer.read_until(DONE)

        assert [b"two" in peer.received for peer in (opened, waiting, later)] == [True, True, False]
        assert one.entered == 0
        for peer in (opened, waiting, later):
            peer.reset()


# --- Stops ----------------------------------------------------------------------------------------


async def test_a_server_that_stops_completes_open_streams_within_its_time() -> None:
    async with paced() as one:
        peer = await one.ask(STREAM)
        stop = await one.server.begin_to_stop(drain_timeout=60.0)
        one.time.run()
        await stop

        assert (await peer.read_all()).endswith(DONE)
        peer.reset()


async def test_a_server_that_stops_at_once_aborts_open_and_waiting_streams() -> None:
    async with paced({**LATENCY, "concurrency": 1}) as one:
        peers = [await one.ask(STREAM) for _ in range(5)]
        await (await one.server.begin_to_stop(drain_timeout=0))

        for peer in peers:
            await peer.ended.wait()
            peer.reset()
        assert one.entered == 0
        assert one.time.timers == 0


async def test_an_embedded_server_stops_soon_in_the_middle_of_streams() -> None:
    config = {"mocks": [{"reply": TEXT}], "latency": {"ttft": "1h"}}
    async with AsyncServer(config) as server:
        peers = []
        for _ in range(50):
            peers.append(await Peer.connect(int(server.base_url.rpartition(":")[2])))
            peers[-1].send(STREAM)
        assert server._listening is not None
        clock = server._listening.listener._service.clock
        while len(clock.common) < len(peers):
            await checkpoint()
        with anyio.fail_after(10.0):
            await server.stop()
    for peer in peers:
        peer.reset()


def test_a_server_in_a_thread_has_latency_and_speed() -> None:
    began = real_time.monotonic()
    with Server({"mocks": [{"reply": TEXT}]}, latency="instant", speed=1000) as server:
        assert server._settings.speed == 1000
    assert real_time.monotonic() - began < 60


async def test_speed_makes_an_hour_short() -> None:
    config = {"mocks": [{"reply": TEXT}]}
    async with AsyncServer(config, latency={"ttft": "1h", "itl": "1m"}, speed=1e6) as server:
        peer = await Peer.connect(int(server.base_url.rpartition(":")[2]))
        peer.send(STREAM)
        (answer,) = await answers_of(peer)
        assert TEXT.split()[0].encode() in answer.body
        peer.reset()


async def test_many_streams_are_whole_on_a_real_clock() -> None:
    config = {"mocks": [{"reply": "word " * 100}]}
    latency = {"ttft": "10ms", "itl": "1ms", "jitter": 0.5, "concurrency": 40, "slowdown": 2}
    async with AsyncServer(config, latency=latency, speed=5) as server:
        port = int(server.base_url.rpartition(":")[2])
        peers = [await Peer.connect(port) for _ in range(100)]
        for peer in peers:
            peer.send(STREAM)
        answers = await asyncio.gather(*(answers_of(peer) for peer in peers))
        for peer in peers:
            peer.reset()
        assert server._listening is not None
        lateness = server._listening.listener._service.clock.lateness
        assert lateness.steps > 100 * 90

    assert all(answer.body.count(b"word") == 100 for (answer,) in answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 0}, "speed: expected at least 1e-06"),
        ({"speed": -1}, "speed: expected at least 1e-06"),
        ({"speed": float("nan")}, "speed: expected at least 1e-06"),
        ({"latency": "quick"}, "expected .vllm-8b."),
        ({"latency": {"itl": 1, "tps": 1}}, "expected either"),
    ],
)
def test_a_wrong_latency_or_speed_is_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AsyncServer({}, **options)


def test_a_speed_is_a_number() -> None:
    with pytest.raises(TypeError, match="speed: expected a number"):
        AsyncServer({}, speed="fast")  # type: ignore[arg-type]  # what is tested
