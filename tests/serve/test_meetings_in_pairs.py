"""Two things that happen to one answer, or to two answers at once: what sequences, limits, queues,
faults, gates, sessions, retries and a stop leave behind of each other.

Over sockets, most of them in time that passes by hand.
"""

from __future__ import annotations

from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from mockllm import AsyncServer
from tests.serve.test_gates import GATE
from tests.serve.test_gates import serving as served
from tests.serve.test_meetings import LINE, attempt, said, serving
from tests.serve.test_paced_answers import STREAM, TEXT, Paced, answers_of
from tests.support.http.answers import read_answers
from tests.support.http.messages import CHAT, asking, post
from tests.support.http.peer import Peer

pytestmark = pytest.mark.anyio

WORDS = ("alpha", "beta", "gamma")
SCRIPT = {"name": "script", "sequence": [*WORDS]}


def words_in(data: bytes) -> list[str]:
    """The words of the script in what a client got, in order."""
    found = sorted((data.find(word.encode()), word) for word in WORDS if word.encode() in data)
    return [word for _, word in found]


async def until_ended(one: Paced, peer: Peer) -> bytes:
    """What a client got until its connection ended, while time passes."""
    while not peer.ended.is_set():
        one.time.run()
        await checkpoint()
    return bytes(peer.received)


async def in_line(server: AsyncServer, count: int) -> None:
    """Return when so many answers are in the only pool, those included that wait."""
    assert server._listening is not None
    while sum(p.running + p.waiting for p in server._listening.clock._pools.values()) < count:
        await checkpoint()


# --- a queue and a fault --------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset", "clean", "hang"])
async def test_an_answer_that_ends_early_makes_room_for_the_next(end: str) -> None:
    breaks = {"match": {"stream": True}, "fault": {"end": end, "after": "first_token"}}
    mocks = [{"reply": TEXT} | breaks, {"reply": "alpha"}]
    async with serving({"mocks": mocks, "latency": LINE}) as one:
        first = await one.ask(STREAM)
        second = await Peer.connect(one.port)
        second.send(attempt())
        await one.left(2)
        one.time.run(1.0)  # the first token
        await one.left(1)
        assert second.received == b""
        one.time.run()

        (answer,) = await answers_of(second)
        assert words_in(answer.body) == ["alpha"]
        for peer in (first, second):
            peer.reset()


# --- a queue and retries --------------------------------------------------------------------------


async def test_a_retry_beside_the_attempt_that_still_waits_gets_the_same() -> None:
    async with serving({"mocks": [SCRIPT], "latency": LINE}) as one:
        first, second = await Peer.connect(one.port), await Peer.connect(one.port)
        first.send(attempt())
        await one.left(1)
        second.send(attempt(1))
        await one.left(2)
        while not (first.received and second.received):
            one.time.run()
            await checkpoint()

        found = [words_in(bytes(peer.received)) for peer in (first, second)]
        assert found == [["alpha"], ["alpha"]]
        assert await said(one, attempt()) == "beta"
        for peer in (first, second):
            peer.reset()


async def test_a_request_without_a_place_takes_no_entry_and_leaves_nothing_to_repeat() -> None:
    limit = {"traffic": [{"rate_limit": {"concurrent": 1}}]}
    async with serving({"mocks": [SCRIPT], "latency": LINE} | limit) as one:
        first = await Peer.connect(one.port)
        first.send(attempt())
        await one.left(1)
        refused = []
        for number in (0, 1):
            peer = await Peer.connect(one.port)
            peer.send(attempt(number))
            (answer,) = await answers_of(peer)
            refused.append(answer.status)
            peer.reset()
        while not first.received:
            one.time.run()
            await checkpoint()

        assert words_in(bytes(first.received)) == ["alpha"]
        assert refused == [429, 429]
        assert [await said(one, attempt(2)), await said(one, attempt())] == ["beta", "gamma"]
        first.reset()


# --- pipelining -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_what_is_pipelined_behind_a_broken_answer_takes_nothing(end: str) -> None:
    broken = {"reply": "alpha", "fault": {"end": end, "after": "first_token"}}
    mock = {"sequence": [broken, "beta", "gamma"]}
    limit = {"traffic": [{"rate_limit": {"rpm": 3}}]}
    async with serving({"mocks": [mock]} | limit) as one:
        peer = await Peer.connect(one.port)
        peer.send(attempt() * 3)
        await until_ended(one, peer)

        found = [await said(one, attempt()) for _ in range(3)]
        assert found == ["beta", "gamma", "429"]


async def test_a_stop_lets_a_client_know_before_it_leaves_pipelined_requests() -> None:
    async with serving({"mocks": [SCRIPT], "latency": LINE}) as one:
        peer = await one.ask(attempt(), attempt(), attempt())
        stop = await one.server.begin_to_stop(drain_timeout=60.0)
        data = await until_ended(one, peer)
        await stop

        answers = read_answers(data)
        assert words_in(data) == ["alpha", "beta"]
        assert [answer.headers.get("connection") for answer in answers] == [None, "close"]
        assert len(one.seen) == 2  # the last took nothing


async def test_a_pipelined_request_behind_a_held_answer_has_no_place() -> None:
    held = {"match": {"stream": True}, "reply": TEXT, "fault": {"hold": GATE}}
    config = {"mocks": [held, SCRIPT], "traffic": [{"rate_limit": {"concurrent": 1}}]}
    async with served(config) as (server, ask):
        peer = await ask(STREAM, attempt())
        await server.gate(GATE).reached()
        (refused,) = await answers_of(await ask(attempt()))
        server.gate(GATE).release()
        answers = await answers_of(peer, 2)

        assert [refused.status, *(answer.status for answer in answers)] == [429, 200, 200]
        assert words_in(answers[1].body) == ["alpha"]


# --- a queue and a gate ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"hold": GATE}, {"pause": "10m"}])
async def test_a_pool_without_times_bounds_what_is_answered_at_once(fault: Any) -> None:
    late = {"match": {"stream": True}, "reply": TEXT, "fault": fault | {"after": "first_token"}}
    pool = {"concurrency": 1, "queue": 0}
    async with served({"mocks": [late, SCRIPT], "latency": pool}) as (server, ask):
        peer = await ask(STREAM)
        await peer.read_until(b"one")
        (refused,) = await answers_of(await ask(attempt()))
        peer.reset()
        await server.wait_for_calls(2)
        (answer,) = await answers_of(await ask(attempt(1)))

        assert refused.status == 503
        assert words_in(answer.body) == ["alpha"]


# --- sessions and resets --------------------------------------------------------------------------


async def test_the_end_of_a_session_leaves_what_waits_in_a_queue() -> None:
    held = {"match": {"stream": True}, "reply": TEXT, "fault": {"hold": GATE}}
    config = {"mocks": [held, SCRIPT], "latency": {"pool": "line", "concurrency": 1}}
    async with served(config) as (server, ask):
        await ask(STREAM)
        await server.gate(GATE).reached()
        session = server.session("one")
        waiting = await ask(post(body=asking(), target=f"/session/one{CHAT}"))
        await in_line(server, 2)
        session.end()
        server.gate(GATE).release()
        (answer,) = await answers_of(waiting)
        (late,) = await answers_of(await ask(post(body=asking(), target=f"/session/one{CHAT}")))

        assert words_in(answer.body) == ["alpha"]
        assert late.status == 404


async def test_a_reset_leaves_the_places_of_answers_that_are_being_sent() -> None:
    held = {"match": {"stream": True}, "reply": TEXT, "fault": {"hold": GATE}}
    config = {"mocks": [held, SCRIPT], "traffic": [{"rate_limit": {"concurrent": 1}}]}
    async with served(config) as (server, ask):
        peer = await ask(STREAM)
        await server.gate(GATE).reached()
        server.reset_state()
        (refused,) = await answers_of(await ask(attempt()))
        server.gate(GATE).release()
        await answers_of(peer)
        (answer,) = await answers_of(await ask(attempt()))

        assert refused.status == 429
        assert words_in(answer.body) == ["alpha"]
