"""Whatever makes an answer wait for its place in a pool, and what may happen meanwhile: its client
leaves, the server drains or stops at once, a request is pipelined behind it, a reload. Each meets
each. Then what a retry gets of an attempt that waited, or was refused.

Over sockets, in time that passes by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from anyio.lowlevel import checkpoint

from mockllm import Config
from mockllm.engine.decision import End, Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter
from mockllm.engine.loading import load
from tests.serve.test_paced_answers import TEXT, Paced, answers_of
from tests.support.apps import LoneApp
from tests.support.http.answers import Answer
from tests.support.http.messages import asking, post
from tests.support.http.peer import Peer
from tests.support.listening import running
from tests.support.manual_time import ManualTime

pytestmark = pytest.mark.anyio

LINE = {"ttft": "1s", "itl": "10ms", "pool": "line", "concurrency": 1}
"""One answer after the other."""
SAYS = {"reply": TEXT}


class Trouble(NamedTuple):
    """Words by which all answers wait in one line, the status of an answer, and whether it says
    `TEXT` to its end."""

    config: dict[str, Any]
    status: int = 200
    is_whole: bool = True
    headers: tuple[str, ...] = ()


def _mock(**words: Any) -> dict[str, Any]:
    return {"mocks": [SAYS | words]}


TROUBLES: dict[str, Trouble] = {
    "the latency of the file": Trouble(_mock() | {"latency": LINE}),
    "the latency of a mock": Trouble(_mock(latency=LINE)),
    "the latency of an entry": Trouble(
        {"mocks": [{"sequence": [SAYS | {"latency": LINE, "times": "always"}]}]}
    ),
    "the latency of a first answer": Trouble(_mock(first=[{"latency": LINE, "times": 99}])),
    "the latency of traffic": Trouble(_mock() | {"traffic": [{"latency": LINE}]}),
    "a latency that the client asks for": Trouble(
        _mock(), headers=("x-mockllm-latency: ttft=1s,itl=10ms,pool=line,concurrency=1",)
    ),
    "an error that is late": Trouble({"mocks": [{"error": "overloaded", "latency": LINE}]}, 503),
    "an error in a sequence that is late": Trouble(
        {"mocks": [{"sequence": [{"error": "overloaded", "latency": LINE, "times": "always"}]}]},
        503,
    ),
    "an error of traffic that is late": Trouble(
        _mock() | {"traffic": [{"error": "overloaded", "latency": LINE}]}, 503
    ),
    "an admission to a limit": Trouble(
        _mock()
        | {"latency": LINE, "traffic": [{"rate_limit": {"rpm": 99, "tpm": 9999, "concurrent": 9}}]}
    ),
    "a pause in the answer": Trouble(
        _mock(latency=LINE, fault={"pause": "1s", "after": "first_token"})
    ),
    "a fault of traffic": Trouble(
        _mock()
        | {"traffic": [{"latency": LINE, "fault": {"end": "clean", "after": "first_token"}}]},
        is_whole=False,
    ),
    "an answer that is made": Trouble(
        {"mocks": [{"reply": {"template": "one two {{ 'three' }}"}, "latency": LINE}]}
    ),
}


class Meeting:
    """A server in whose line answers wait."""

    def __init__(self, trouble: Trouble, one: Paced) -> None:
        self.one = one
        self.time = one.time
        self.trouble = trouble
        self.stream = post(*trouble.headers, body=asking(stream=True))
        self.whole = post(*trouble.headers, body=asking())

    @property
    def ends(self) -> list[End]:
        return [exchange.delivery.end for exchange in self.one.seen]

    async def line(self) -> tuple[Peer, Peer]:
        """Two clients: the answer to the first is being made, that to the second waits."""
        peers = await self.one.ask(self.stream), await Peer.connect(self.one.port)
        peers[1].send(self.stream)
        await self.one.left(2)
        (pool,) = self.one.service.clock._pools.values()
        assert (pool.running, pool.waiting) == (1, 1)
        return peers

    async def over(self, count: int) -> None:
        """Let time pass until so many answers are over."""
        while len(self.ends) < count:
            self.time.run()
            await checkpoint()

    async def expect(self, peer: Peer, count: int = 1, text: str = TEXT) -> None:
        """Check that a client gets so many answers as they should be."""
        answers = await answers_of(peer, count)
        assert len(answers) == count
        for answer in answers:
            self._expect(answer, text)

    def _expect(self, answer: Answer, text: str) -> None:
        assert answer.status == self.trouble.status
        if answer.status == 200:
            last = text.split()[-1].encode()
            assert (last in answer.body) is self.trouble.is_whole

    def nothing_is_left(self) -> None:
        """Check that no place is taken."""
        assert self.one.entered == 0
        assert self.one.service.clock._pools == {}
        assert len(self.one.service.app.own_store.leases) == 0


def engine(config: dict[str, Any]) -> Engine:
    return Engine(load(Config.from_dict(config)), client_faults=True)


@asynccontextmanager
async def serving(config: dict[str, Any]) -> AsyncIterator[Paced]:
    time, seen = ManualTime(), list[Exchange]()
    app = LoneApp(engine(config), limiter=Limiter(now=lambda: time.now))
    async with running(app, (seen.append,), time.clock()) as server:
        yield Paced(server, time, seen)


# --- what may happen meanwhile --------------------------------------------------------------------


async def _a_client_leaves_that_waits(met: Meeting) -> None:
    first, second = await met.line()
    second.reset()
    await met.one.left(1)
    third = await Peer.connect(met.one.port)
    third.send(met.stream)
    await met.one.left(2)
    await met.over(3)

    await met.expect(first)
    await met.expect(third)
    assert met.ends.count(End.CLIENT_GONE) == 1
    for peer in (first, third):
        peer.reset()


async def _a_client_leaves_whose_answer_is_being_made(met: Meeting) -> None:
    first, second = await met.line()
    first.reset()
    await met.one.left(1)
    await met.over(2)

    await met.expect(second)
    assert met.ends[0] is End.CLIENT_GONE
    second.reset()


async def _a_request_is_pipelined_behind_one_that_waits(met: Meeting) -> None:
    first, second = await met.line()
    second.send(met.whole + met.stream)
    for _ in range(3):
        await checkpoint()
    assert met.one.entered == 2  # it is not asked for before the one before it is answered
    await met.over(4)

    await met.expect(first)
    await met.expect(second, 3)
    kinds = [answer.headers["content-type"][:4] for answer in await answers_of(second, 3)]
    assert kinds == (["text", "appl", "text"] if met.trouble.status == 200 else ["appl"] * 3)
    for peer in (first, second):
        peer.reset()


async def _a_client_leaves_that_has_pipelined_requests(met: Meeting) -> None:
    first, second = await met.line()
    second.send(met.whole * 3)
    second.reset()
    await met.one.left(1)
    await met.over(2)

    await met.expect(first)
    assert met.ends.count(End.CLIENT_GONE) == 1
    first.reset()


async def _the_configuration_is_reloaded(met: Meeting) -> None:
    """What waits is answered as it was decided."""
    first, second = await met.line()
    met.one.service.app.use(engine({"mocks": [{"reply": "new"}]}))
    later = await Peer.connect(met.one.port)
    later.send(post(body=asking()))
    (answer,) = await answers_of(later)
    await met.over(3)

    assert b'"new"' in answer.body
    await met.expect(first)
    await met.expect(second)
    met.one.service.app.use(engine(met.trouble.config))
    for peer in (first, second, later):
        peer.reset()


async def _a_server_drains(met: Meeting) -> None:
    first, second = await met.line()
    stop = await met.one.server.begin_to_stop(drain_timeout=60.0)
    await met.over(2)
    await stop

    await met.expect(first)
    await met.expect(second)
    await second.ended.wait()
    for peer in (first, second):
        peer.reset()


async def _a_server_stops_at_once(met: Meeting) -> None:
    first, second = await met.line()
    await (await met.one.server.begin_to_stop(drain_timeout=0))

    for peer in (first, second):
        await peer.ended.wait()
        assert peer.received == b""
        peer.reset()
    assert met.time.timers == 0


@pytest.mark.parametrize("stop", [_a_server_drains, _a_server_stops_at_once])
@pytest.mark.parametrize("name", TROUBLES)
async def test_whatever_happens_while_answers_wait(
    name: str, stop: Callable[[Meeting], Awaitable[None]]
) -> None:
    async with serving(TROUBLES[name].config) as one:
        met = Meeting(TROUBLES[name], one)
        meanwhile = [
            _a_client_leaves_that_waits,
            _a_client_leaves_whose_answer_is_being_made,
            _a_request_is_pipelined_behind_one_that_waits,
            _a_client_leaves_that_has_pipelined_requests,
            _the_configuration_is_reloaded,
        ]
        for happens in (*(meanwhile if stop is _a_server_drains else ()), stop):
            one.seen.clear()
            await happens(met)
            met.nothing_is_left()


# --- what a retry gets ----------------------------------------------------------------------------

SCRIPT = {"name": "script", "sequence": ["alpha", "beta", "gamma"]}
LATE = {"name": "script", "sequence": [{"reply": "alpha", "latency": LINE}, "beta", "gamma"]}
FIRST = {"name": "script", "reply": "gamma", "first": ["alpha", "beta"]}
FULL = LINE | {"queue": 0}


def attempt(number: int = 0) -> bytes:
    """A request; from 1, the retry of the one before it."""
    return post(f"x-stainless-retry-count: {number}", body=asking())


async def said(one: Paced, request: bytes) -> str:
    """The word of an answer, or its status."""
    peer = await Peer.connect(one.port)
    peer.send(request)
    while not peer.received:
        one.time.run()
        await checkpoint()
    (answer,) = await answers_of(peer)
    peer.reset()
    found = [word for word in ("alpha", "beta", "gamma") if word.encode() in answer.body]
    return found[0] if found else str(answer.status)


async def leave(one: Paced, *before: Peer) -> None:
    """Let a client leave that waits for its answer behind others."""
    peer = await Peer.connect(one.port)
    peer.send(attempt())
    await one.left(len(before) + 1)
    peer.reset()
    await one.left(len(before))


@pytest.mark.parametrize("mock", [SCRIPT, FIRST], ids=["sequence", "first"])
async def test_a_retry_repeats_an_answer_for_which_its_client_did_not_wait(mock: Any) -> None:
    async with serving({"mocks": [mock], "latency": LINE}) as one:
        await leave(one)

        found = [
            await said(one, attempt(1)),
            await said(one, attempt()),
            await said(one, attempt()),
        ]

        assert found == ["alpha", "beta", "gamma"]


async def test_a_retry_of_an_answer_that_was_meant_to_be_late_takes_the_next() -> None:
    async with serving({"mocks": [LATE]}) as one:
        await leave(one)

        assert [await said(one, attempt(1)), await said(one, attempt())] == ["beta", "gamma"]


async def test_another_request_takes_the_next_whether_the_one_before_was_answered_or_not() -> None:
    async with serving({"mocks": [SCRIPT], "latency": LINE}) as one:
        await leave(one)

        assert [await said(one, attempt()), await said(one, attempt())] == ["beta", "gamma"]


@pytest.mark.parametrize("mock", [SCRIPT, FIRST], ids=["sequence", "first"])
async def test_a_retry_repeats_an_answer_for_which_there_was_no_place(mock: Any) -> None:
    other = {"match": {"stream": True}, "reply": TEXT}
    async with serving({"mocks": [other, mock], "latency": FULL}) as one:
        first = await one.ask(post(body=asking(stream=True)))
        peer = await Peer.connect(one.port)
        peer.send(attempt())
        (refused,) = await answers_of(peer)
        assert refused.status == 503
        one.time.run()

        assert [await said(one, attempt(1)), await said(one, attempt())] == ["alpha", "beta"]
        for each in (first, peer):
            each.reset()


@pytest.mark.parametrize("mock", [SCRIPT, FIRST], ids=["sequence", "first"])
async def test_a_request_beyond_a_limit_takes_no_entry(mock: Any) -> None:
    async with serving({"mocks": [mock], "traffic": [{"rate_limit": {"rpm": 1}}]}) as one:
        found = [await said(one, attempt(number)) for number in (0, 0, 1)]
        for now in (60.0, 120.0):
            one.time.run(now)
            found.append(await said(one, attempt(2 if now == 60.0 else 0)))

        assert found == ["alpha", "429", "429", "beta", "gamma"]


async def test_a_retry_after_a_reload_repeats_the_answer_that_waited_before() -> None:
    config = {"mocks": [SCRIPT], "latency": LINE}
    async with serving(config) as one:
        await leave(one)
        one.service.app.use(engine(config | {"latency": "instant"}))

        assert [await said(one, attempt(1)), await said(one, attempt())] == ["alpha", "beta"]
