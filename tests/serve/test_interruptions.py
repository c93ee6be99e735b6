"""Faults at a time: waits, bytes and errors that come whatever is sent by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from anyio.lowlevel import checkpoint

from mockllm.config.fault import Fault
from mockllm.engine.faults import compile_faults, disrupt
from mockllm.exchange import PAUSE, EndingKind, Interruption, Reply, Step
from mockllm.http1.framing import Frame, frames
from mockllm.pieces import finish
from mockllm.providers.failures import Failure
from mockllm.providers.openai.chat import CHAT as API
from mockllm.serve.interruptions import Interruptions
from tests.serve.test_gates import GATE, PATHS, TEXT, request_of, serving
from tests.serve.test_paced_answers import LATENCY, STREAM, WHOLE, Paced, PacedApp, answers_of
from tests.support.http.answers import read_answers
from tests.support.http.messages import post
from tests.support.http.peer import Peer
from tests.support.listening import Edit, running
from tests.support.manual_time import ManualTime

pytestmark = pytest.mark.anyio

PING = b": ping\n\n"
FAILED = Reply.whole(503, (), b"failed")
STEPS = (Step((b"data: 1\n\n",)), Step((b"data: 2\n\n",), 4.0), Step((b"data: 3\n\n",), 4.0))
STREAMED = Reply(200, (), STEPS, streamed=True)


def timetable(reply: Reply, *, is_http11: bool = True) -> list[tuple[float, bytes]]:
    """When which bytes are sent, without tokens."""
    found: list[tuple[float, bytes]] = []
    own = frames(reply, is_http11=is_http11)
    interruptions = Interruptions(reply, own, is_http11=is_http11, close=False)
    due = 0.0
    while (taken := interruptions.take()) is not None:
        wait = taken.frame.pause if taken.rest is None else taken.rest
        if due + wait > interruptions.next_at:
            left, due = due + wait, max(interruptions.next_at, due)
            interruptions.interrupt(taken.frame, left - due)
            continue
        interruptions.passed(taken.frame)
        due += wait
        if taken.frame.data:
            found.append((due, taken.frame.data))
    return found


def interrupted(reply: Reply, *interruptions: Interruption) -> Reply:
    return replace(reply, interruptions=interruptions)


def put(time: float) -> Interruption:
    return Interruption(time, Step((PING,)))


def fail(time: float) -> Interruption:
    def steps(sent: int) -> list[Step]:
        return [Step((b"error after %d\n\n" % sent,))]

    return Interruption(time, error=steps, instead=FAILED)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD, ONE, TWO, THREE, LAST = (frame.data for frame in frames(STREAMED))


def test_without_an_interruption_in_time_nothing_changes() -> None:
    plain = [(0.0, HEAD), (0.0, ONE), (4.0, TWO), (8.0, THREE), (8.0, LAST)]

    assert timetable(STREAMED) == plain
    assert timetable(interrupted(STREAMED, put(8.0), fail(9.0))) == plain


def test_a_pause_delays_what_is_not_sent_yet() -> None:
    pause = Interruption(5.0, Step((b"",), 10.0))

    assert timetable(interrupted(STREAMED, pause)) == [
        *((0.0, HEAD), (0.0, ONE), (4.0, TWO)),
        *((18.0, THREE), (18.0, LAST)),
    ]


def test_bytes_delay_nothing() -> None:
    assert timetable(interrupted(STREAMED, put(6.0), put(1.0))) == [
        *((0.0, HEAD), (0.0, ONE), (1.0, chunk(PING)), (4.0, TWO)),
        *((6.0, chunk(PING)), (8.0, THREE), (8.0, LAST)),
    ]


@pytest.mark.parametrize("is_http11", [True, False])
def test_a_large_error_is_framed_piece_by_piece(*, is_http11: bool) -> None:
    def steps(sent: int) -> list[Step]:
        return [PAUSE, Step((b"data: ", b"large", b"\n\n")), PAUSE, Step((b"data: end\n\n",))]

    found = timetable(
        interrupted(STREAMED, Interruption(5.0, error=steps, instead=FAILED)), is_http11=is_http11
    )

    late = [data for time, data in found if time == 5.0]
    whole = [b"data: large\n\n", b"data: end\n\n"]
    assert b"".join(late) == b"".join([*map(chunk, whole), LAST] if is_http11 else whole)
    assert len(late) == (7 if is_http11 else 4)


def test_a_pause_may_be_interrupted() -> None:
    pause = Interruption(1.0, Step((b"",), 10.0))

    assert timetable(interrupted(STREAMED, pause, put(5.0), fail(12.0))) == [
        *((0.0, HEAD), (0.0, ONE), (5.0, chunk(PING))),
        *((12.0, chunk(b"error after 2\n\n")), (12.0, LAST)),
    ]


def test_an_error_ends_a_stream() -> None:
    reply = interrupted(STREAMED, fail(5.0), put(6.0))
    found = Interruptions(reply, frames(reply), is_http11=True, close=False)
    for _ in range(3):
        taken = found.take()
        assert taken is not None
        found.passed(taken.frame)
    taken = found.take()
    assert taken is not None
    found.interrupt(taken.frame, 3.0)

    assert (found.ending, found.status) == (EndingKind.CLEAN, 0)
    assert [frame.data for frame in found.dropped] == [THREE]
    assert timetable(reply)[-2:] == [(5.0, chunk(b"error after 2\n\n")), (5.0, LAST)]


def test_an_error_before_the_head_is_the_answer() -> None:
    (head,) = [frame.data for frame in frames(FAILED) if frame.data][:1]
    for reply in (STREAMED, replace(STREAMED, streamed=False)):
        late = replace(reply, before_head=5.0)

        assert timetable(interrupted(late, fail(2.0), put(3.0))) == [
            (2.0, head),
            (2.0, b"failed"),
        ]


@pytest.mark.parametrize("is_http11", [True, False])
def test_bytes_before_the_head_of_a_stream_come_after_it(is_http11: bool) -> None:
    late = interrupted(replace(STREAMED, before_head=5.0), put(2.0), put(3.0))
    head, one, *_ = (frame.data for frame in frames(STREAMED, is_http11=is_http11))
    ping = chunk(PING) if is_http11 else PING

    assert timetable(late, is_http11=is_http11)[:3] == [
        (2.0, head + ping),
        (3.0, ping),
        (5.0, one),
    ]


def test_bytes_in_a_pause_before_the_head_come_after_it_too() -> None:
    pause = Interruption(1.0, Step((b"",), 10.0))
    late = interrupted(replace(STREAMED, before_head=5.0), pause, put(2.0))

    assert timetable(late)[:2] == [(2.0, HEAD + chunk(PING)), (15.0, ONE)]


def test_bytes_of_a_whole_answer_come_before_its_head_or_not_at_all() -> None:
    whole = replace(STREAMED, streamed=False, before_head=5.0)
    head = next(frames(whole)).data

    found = timetable(interrupted(whole, put(2.0), put(6.0), fail(7.0)))

    assert found[:2] == [(2.0, PING), (5.0, head)]
    assert b"".join(data for _, data in found[2:]) == whole.body


def test_a_held_head_is_not_sent_before_its_step() -> None:
    reply = interrupted(STREAMED, put(1.0))
    found = Interruptions(reply, frames(reply), is_http11=True, close=False, holds_head=True)
    taken = found.take()
    assert taken is not None
    assert taken.frame == Frame(0.0, HEAD + ONE)
    found.interrupt(taken.frame, 2.0, awaits_token=True)

    inserted, follower = found.take(), found.take()

    assert inserted is not None
    assert inserted.frame.data == HEAD + chunk(PING)
    assert follower is not None
    assert (follower.frame.data, follower.rest, follower.awaits_token) == (ONE, 2.0, True)


# --- Over sockets ---------------------------------------------------------------------------------


def faults(*written: dict[str, Any]) -> Edit:
    """The faults, put into a reply of Chat Completions."""

    planned = compile_faults([Fault.model_validate(each) for each in written])

    def edit(reply: Reply) -> Reply:
        def render(failure: Failure) -> Reply:
            return API.vendor.render_failure(failure, API.failures, "m")

        return finish(disrupt(reply, planned, API.anatomy, render))

    return edit


@asynccontextmanager
async def paced(edit: Edit) -> AsyncIterator[Paced]:
    time, seen = ManualTime(), list[Any]()
    async with running(PacedApp(LATENCY, edit), (seen.append,), time.clock()) as server:
        yield Paced(server, time, seen)


def at(seconds: float) -> dict[str, Any]:
    return {"after": {"time": seconds}}


async def test_a_paced_stream_is_interrupted_between_its_tokens() -> None:
    edit = faults({"pause": 5.0, **at(1.005)}, {"send": PING.decode(), **at(4.0)})
    async with paced(edit) as one:
        peer = await one.ask(STREAM)
        one.time.run(1.001)
        await peer.read_until(b'"one"')
        one.time.run(5.9)
        await peer.read_until(PING)
        assert b" two" not in peer.received
        one.time.run(6.05)
        (answer,) = await answers_of(peer)

        assert answer.body.index(b'"one"') < answer.body.index(PING) < answer.body.index(b" two")
        assert one.service.clock.lateness.latest < 0.06
        peer.reset()


async def test_a_paced_stream_is_held_at_a_time() -> None:
    async with paced(faults({"hold": GATE, **at(1.005)})) as one:
        peer = await one.ask(STREAM)
        one.time.run(50.0)
        await peer.read_until(b'"one"')
        gates = one.service.gates
        assert (gates.held(None), b" two" in peer.received) == ({GATE: 1}, False)
        gates.release(None, GATE)
        one.time.run(50.1)
        await answers_of(peer)
        peer.reset()


@pytest.mark.parametrize("request_", [STREAM, WHOLE], ids=["stream", "whole"])
async def test_an_error_before_the_first_token_is_the_answer(request_: bytes) -> None:
    async with paced(faults({"error": "overloaded", **at(0.5)})) as one:
        peer = await one.ask(request_, WHOLE)
        one.time.run(0.501)
        (refusal,) = await answers_of(peer)
        assert (refusal.status, refusal.whole) == (503, True)
        (exchange,) = one.seen
        assert exchange.delivery.status == 503

        await one.left(1)  # the next request of the connection
        peer.reset()


async def test_what_comes_before_a_pause_of_the_first_token_keeps_its_order() -> None:
    edit = faults({"pause": 2.0, **at(0.5)}, {"send": PING.decode(), **at(0.7)})
    async with paced(edit) as one:
        peer = await one.ask(STREAM)
        one.time.run(0.8)
        received = await peer.read_until(PING)
        assert received.startswith(b"HTTP/1.1 200 ")
        one.time.run(2.9)
        await checkpoint()
        assert b'"one"' not in peer.received
        one.time.run(3.1)
        (answer,) = await answers_of(peer)
        assert answer.body.startswith(PING)
        peer.reset()


def comparable(body: bytes) -> list[Any]:
    """The events of a stream without what differs from one delivery to the next."""
    found = []
    for line in body.splitlines():
        data = line.removeprefix(b"data: ")
        if data != line and data != b"[DONE]":
            event = orjson.loads(data)
            found.append((event.get("type"), event.get("sequence_number"), event.get("error")))
    return found


@pytest.mark.parametrize("api", PATHS)
async def test_an_error_at_a_time_is_that_of_a_place(api: str) -> None:
    silence = {"pause": 3600.0, "after": "first_token"}
    error = {"error": {"as": "overloaded", "message": "Busy"}}
    async with serving({"mocks": [{"reply": TEXT}]}) as (server, ask):
        at_place = await ask(request_of(api, {**error, "after": "first_token"}, stream=True))
        (expected,) = await answers_of(at_place)
        peer = await ask(request_of(api, [silence, {**error, **at(0.01)}], stream=True))
        (answer,) = await answers_of(peer)

        assert (answer.status, answer.whole) == (200, True)
        assert comparable(answer.body) == comparable(expected.body)
        await server.wait_for_calls(2)
        assert [call.delivery for call in server.calls] == ["clean", "clean"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("api", PATHS)
async def test_an_error_while_a_head_is_late_is_the_answer(api: str, stream: bool) -> None:
    late = [{"pause": 3600.0}, {"error": "rate_limit", **at(0.01)}]
    async with serving({"mocks": [{"reply": TEXT}]}) as (server, ask):
        (answer,) = await answers_of(await ask(request_of(api, late, stream=stream)))

        assert answer.status == 429
        await server.wait_for_calls(1)
        (call,) = server.calls
        assert (call.status, call.delivery) == (429, "complete")


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset])
async def test_an_answer_is_held_and_ended_at_times(leave: Callable[[Peer], None]) -> None:
    hold = [{"pause": 3600.0, "after": "head"}, {"hold": GATE, **at(0.01)}]
    async with serving({"mocks": [{"reply": TEXT, "fault": hold}]}) as (server, ask):
        peer = await ask(STREAM)
        await server.gate(GATE).reached()
        leave(peer)
        await server.wait_for_calls(1)
        assert server.calls[0].held_at == GATE

        cut = [*hold, {"end": "cut", **at(0.02)}]
        server.add(user="cut", reply=TEXT, fault=cut, first=True)
        body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "cut"}]})
        received = await (await ask(post(body=body))).read_all()
        assert received.endswith(b"\r\n\r\n")
        assert not read_answers(received)[0].whole


async def test_an_answer_that_is_over_by_then_is_complete() -> None:
    late = [{"pause": 1e-3, "after": "head"}, {"error": "overloaded", **at(3600.0)}]
    async with serving({"mocks": [{"reply": TEXT, "fault": late}]}) as (server, ask):
        (answer,) = await answers_of(await ask(STREAM))

        assert answer.body.endswith(b"data: [DONE]\n\n")
        await asyncio.sleep(0)
        assert server.calls[0].status == 200
