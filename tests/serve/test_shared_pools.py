"""Pools that several processes share, in time that passes by hand: one line for all, whoever
leaves, and one number of answers that slows all of them down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from mockllm.engine.decision import End, Exchange, Outcome
from mockllm.serve.address import bind
from mockllm.serve.connections import Service
from mockllm.serve.listener import Listener
from mockllm.serve.shared_pools import POLL, SharedPools
from mockllm.state.store import StateUnavailableError
from tests.serve.test_paced_answers import LATENCY, STREAM, WHOLE, Paced, PacedApp, answers_of
from tests.support.http.peer import Peer
from tests.support.manual_time import ManualTime
from tests.support.served import PATIENCE
from tests.support.shared_views import Views

pytestmark = pytest.mark.anyio

ONE = {**LATENCY, "concurrency": 1, "shared": True}
LENGTH = 1.1  # seconds, a bit more than those of an answer that has its place


class Process(Paced):
    """One of the processes that share pools."""

    def __init__(self, service: Service, port: int, time: ManualTime, seen: list[Exchange]) -> None:
        self.service, self.port = service, port
        self.time, self.seen = time, seen

    @property
    def is_asking(self) -> bool:
        """True while an answer asks for a place."""
        assert self.service.shared_pools is not None
        return bool(self.service.shared_pools._places)

    def own_time(self) -> float:
        """The time of its pool, in which tokens are due."""
        (pool,) = self.service.clock._pools.values()
        return pool.decode.time_at(self.time.now)

    @property
    def outcomes(self) -> list[tuple[Outcome, End]]:
        """What became of its answers, in the order in which they ended."""
        return [(each.decision.match.outcome, each.delivery.end) for each in self.seen]


class Sharing:
    """Processes that share pools, in the same time."""

    def __init__(self, time: ManualTime, views: Views, processes: list[Process]) -> None:
        self.time = time
        self.views = views
        self.processes = processes

    async def left(self, count: int = 0) -> None:
        """Return when so many answers are in pools or lines."""
        while self.views.taken != count:
            await checkpoint()


@asynccontextmanager
async def sharing(latency: Any, text: str = "one two three") -> AsyncIterator[Sharing]:
    """Two processes."""
    time, views = ManualTime(), Views("a", "b")
    async with AsyncExitStack() as stack:
        processes, shared = [], []
        for number, view in enumerate(views.values()):
            app, clock = PacedApp(latency, text=text), time.clock(number=number, processes=2)
            app.share_state(view)
            seen = list[Exchange]()
            service = Service(app, observers=(seen.append,), clock=clock)
            pools = SharedPools(app, clock.set_others, call_later=time.call_later)
            service.shared_pools = pools
            shared.append(pools)
            listener, sock = Listener(service), bind("127.0.0.1", 0)
            await listener.start(sock)
            stack.push_async_callback(listener.stop, PATIENCE)
            processes.append(Process(service, sock.getsockname()[1], time, seen))
        yield Sharing(time, views, processes)
        assert views.taken == 0, "a place was not given back"
        assert all(not pools._lines for pools in shared)


async def test_all_processes_have_one_line() -> None:
    async with sharing({**ONE, "concurrency": 2, "queue": 1}) as all_:
        a, b = all_.processes
        first, second, third = await a.ask(STREAM), await b.ask(STREAM), await a.ask(STREAM)
        fourth = await b.ask(STREAM)
        (refusal,) = await answers_of(fourth)
        assert refusal.status == 503
        assert b.outcomes == [(Outcome.POOL_FULL, End.COMPLETE)]

        all_.time.run(LENGTH)
        for peer in (first, second):
            await answers_of(peer)
        assert third.received == b""
        all_.time.run(2 * LENGTH)
        await answers_of(third)

        fourth.send(STREAM)
        await b.entry()
        all_.time.run()
        assert [answer.status for answer in await answers_of(fourth, 2)] == [503, 200]
        for peer in (first, second, third, fourth):
            peer.reset()


async def test_places_are_given_in_the_order_of_the_line_whichever_process_waits() -> None:
    async with sharing(ONE) as all_:
        a, b = all_.processes
        peers = [await process.ask(WHOLE) for process in (a, b, b, a, b)]
        for count, peer in enumerate(peers, 1):
            assert all(not other.received for other in peers[count - 1 :])
            all_.time.run(count * LENGTH)
            await answers_of(peer)
        for peer in peers:
            peer.reset()


async def test_who_leaves_the_line_or_its_place_makes_room_in_all_processes() -> None:
    async with sharing({**ONE, "queue": 1}) as all_:
        a, b = all_.processes
        first, second = await a.ask(STREAM), await b.ask(STREAM)
        second.reset()
        await all_.left(1)
        third = await a.ask(STREAM)
        first.reset()
        await all_.left(1)
        fourth = await b.ask(STREAM)

        all_.time.run(LENGTH)
        await answers_of(third)
        all_.time.run()
        await answers_of(fourth)

        assert b.outcomes == [(Outcome.MOCK, End.CLIENT_GONE), (Outcome.MOCK, End.COMPLETE)]
        for peer in (third, fourth):
            peer.reset()


async def test_a_call_that_gets_lost_delays_an_answer_for_a_moment() -> None:
    async with sharing(ONE) as all_:
        a, b = all_.processes
        first, second = await a.ask(STREAM), await b.ask(STREAM)
        all_.views["b"].is_deaf = True
        all_.time.run(LENGTH + POLL - 0.1)
        await answers_of(first)
        all_.time.run(2 * LENGTH)
        assert second.received == b""

        all_.time.run(2 * LENGTH + POLL)
        await answers_of(second)
        for peer in (first, second):
            peer.reset()


async def test_answers_of_other_processes_slow_those_of_one_down() -> None:
    latency = {"itl": "10ms", "concurrency": 3, "slowdown": 5, "shared": True}
    async with sharing(latency, text=" ".join("ab" for _ in range(200))) as all_:
        a, b = all_.processes
        first = await a.ask(WHOLE)
        all_.time.run(0.55)
        second = await b.ask(WHOLE)
        all_.time.run(0.9)
        # of two, each takes three times as long; who comes last knows it at once, who was there
        # after at most 0.1 s
        assert b.own_time() == pytest.approx(0.55 + 0.35 / 3)
        assert a.own_time() == pytest.approx(0.6 + 0.3 / 3)

        second.reset()
        await all_.left(1)
        all_.time.run(1.2)
        assert a.own_time() == pytest.approx(0.6 + 0.4 / 3 + 0.2)
        first.reset()
        await all_.left()


async def test_a_busy_store_is_waited_for() -> None:
    async with sharing(ONE) as all_:
        a, b = all_.processes
        all_.views["b"].is_far = True
        first, second = await a.ask(STREAM), await b.ask(STREAM, WHOLE)
        all_.time.run(LENGTH)
        await answers_of(first)
        all_.time.run(2 * LENGTH)
        await answers_of(second)
        await b.entry()
        all_.time.run()

        assert [answer.status for answer in await answers_of(second, 2)] == [200, 200]
        for peer in (first, second):
            peer.reset()


async def test_who_leaves_while_the_store_is_asked_has_left() -> None:
    async with sharing(ONE) as all_:
        a, b = all_.processes
        view = all_.views["b"]
        view.is_far = True
        view.is_open.clear()
        peer = await Peer.connect(b.port)
        peer.send(STREAM)
        while not b.is_asking:
            await checkpoint()
        peer.reset()
        while not b.seen:
            await checkpoint()
        view.is_open.set()
        await checkpoint()

        assert b.outcomes == [(Outcome.UNDECIDED, End.CLIENT_GONE)]
        other = await a.ask(WHOLE)
        all_.time.run()
        await answers_of(other)
        other.reset()


async def test_without_its_state_a_request_is_refused_and_the_connection_stays() -> None:
    async with sharing(ONE) as all_:
        _, b = all_.processes
        view = all_.views["b"]
        view.is_far, view.error = True, StateUnavailableError("state_lost", "It is not there.")
        peer = await b.ask(STREAM)
        (refusal,) = await answers_of(peer)
        assert (refusal.status, b"state_lost" in refusal.body) == (503, True)

        view.error = None
        peer.send(STREAM)
        await b.entry()
        all_.time.run()

        assert [answer.status for answer in await answers_of(peer, 2)] == [503, 200]
        assert [outcome for outcome, _ in b.outcomes] == [Outcome.NO_STATE, Outcome.MOCK]
        peer.reset()


async def test_a_pool_that_is_not_shared_asks_nothing_and_has_a_share_of_the_places() -> None:
    async with sharing({**LATENCY, "concurrency": 2}) as all_:
        peers = [await process.ask(STREAM) for process in all_.processes * 2]
        assert [process.service.clock.places() for process in all_.processes] == [(1, 1)] * 2
        all_.time.run()
        for peer in peers:
            await answers_of(peer)
            peer.reset()

        assert [view.asked for view in all_.views.values()] == [0, 0]


async def test_the_places_of_a_shared_pool_add_up_in_metrics() -> None:
    async with sharing({**ONE, "concurrency": 5}) as all_:
        a, b = all_.processes
        peers = [await a.ask(STREAM) for _ in range(4)] + [await b.ask(STREAM)]

        assert [process.service.clock.places() for process in all_.processes] == [(4, 3), (1, 2)]
        for peer in peers:
            peer.reset()
        await all_.left()
