"""Gates: answers that are held, in every API and at every place, and let go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import orjson
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from mockllm import AsyncServer, Config
from mockllm.engine.building import build_engine
from mockllm.engine.decision import End, Exchange
from mockllm.exchange import Ending, EndingKind, Reply, Step
from mockllm.serve.gates import Gates
from mockllm.state import gates as gates_state
from tests.serve.test_paced_answers import LATENCY, STREAM, WHOLE, Paced, PacedApp, answers_of
from tests.support.http.answers import read_answers
from tests.support.http.messages import CHAT, MESSAGES, RESPONSES, asking, post
from tests.support.http.peer import Peer
from tests.support.listening import running
from tests.support.manual_time import ManualTime
from tests.support.served import PATIENCE, nothing_left_behind, port_of

pytestmark = pytest.mark.anyio

TEXT = "One two three four five six"
GATE = "gate-1"


class Waiter:
    """An answer that notes what happens to it."""

    def __init__(self, gates: Gates, session: str = "a", name: str = GATE) -> None:
        self.happened = ""
        self.is_held = gates.arrive(session, name, self)

    def pass_gate(self) -> None:
        self.happened += "passed"

    def cut_off(self) -> None:
        self.happened += "cut"

    @property
    def has_passed(self) -> bool:
        return not self.is_held or self.happened == "passed"


# --- The gates of a server ------------------------------------------------------------------------


def manual(hold_for: float = 60.0) -> tuple[Gates, ManualTime]:
    time = ManualTime()
    return Gates(hold_for=hold_for, call_later=time.call_later), time


def test_a_release_lets_the_one_go_that_is_held_longest() -> None:
    gates, time = manual()
    first, second, elsewhere = Waiter(gates), Waiter(gates), Waiter(gates, "b")
    assert gates.held("a") == {GATE: 2}
    assert gates.held(None) == {GATE: 3}

    gates.release("a", GATE)

    assert [first.happened, second.happened, elsewhere.happened] == ["passed", "", ""]
    assert time.timers == 2


def test_a_release_lets_the_next_one_go_that_comes() -> None:
    gates, _ = manual()
    gates.release("a", GATE)

    assert [Waiter(gates, "b").is_held, Waiter(gates).is_held, Waiter(gates).is_held] == [
        True,
        False,
        True,
    ]


def test_an_open_gate_holds_nothing() -> None:
    gates, time = manual()
    held = [Waiter(gates) for _ in range(2)]

    gates.open("a", GATE)

    assert [each.happened for each in held] == ["passed", "passed"]
    assert not Waiter(gates).is_held
    assert Waiter(gates, "b").is_held
    assert Waiter(gates, "a", "other").is_held
    assert time.timers == 2


def test_a_gate_of_the_server_is_that_of_all_sessions() -> None:
    gates, _ = manual()
    first, second = Waiter(gates, "a"), Waiter(gates, "b")

    gates.release(None, GATE)
    assert [first.happened, second.happened] == ["passed", ""]
    gates.open(None, GATE)
    assert second.happened == "passed"
    assert not Waiter(gates, "c").is_held
    assert (gates.reached(None, GATE), gates.reached("a", GATE)) == (3, 1)


def test_an_answer_is_cut_after_some_time() -> None:
    gates, time = manual(hold_for=5.0)
    waiter = Waiter(gates)

    time.run(4.9)
    assert waiter.happened == ""
    time.run(5.0)

    assert waiter.happened == "cut"
    assert gates.held(None) == {}


def test_an_answer_whose_client_is_gone_takes_no_release() -> None:
    gates, time = manual()
    gone, waiting = Waiter(gates), Waiter(gates)

    gates.leave(gone)
    gates.leave(gone)
    gates.release("a", GATE)

    assert [gone.happened, waiting.happened] == ["", "passed"]
    assert time.timers == 0


def test_the_end_of_a_session_is_that_of_its_gates() -> None:
    gates, _ = manual()
    gates.open("a", "open")
    held, other = Waiter(gates, "a"), Waiter(gates, "b")

    gates.end_session("a")
    gates.end_session("never begun")

    assert [held.happened, other.happened] == ["cut", ""]
    assert gates.reached("a", GATE) == 0
    assert Waiter(gates, "a", "open").is_held


def test_a_server_that_stops_holds_nothing() -> None:
    gates, time = manual()
    held, told = Waiter(gates), list[bool]()
    gates.listeners.add(lambda: told.append(gates.is_stopped))

    gates.stop()
    gates.stop()

    late = Waiter(gates)
    time.run()
    assert [held.happened, late.happened] == ["cut", "cut"]
    assert told[0]


def test_gates_that_clients_name_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates_state, "MAX_GATES", 100)
    gates, _ = manual()
    held = Waiter(gates, "kept")
    for number in range(1000):
        gates.open(None, f"g{number}")
        Waiter(gates, f"s{number}", f"g{number}")

    known = gates.states._gates
    assert len(known) <= 100 + 2
    assert set(gates.states._of_session.elements()) == {session for session, _ in known}
    assert gates.held("kept") == {GATE: 1}
    gates.release("kept", GATE)
    assert held.happened == "passed"


OPERATIONS = st.tuples(
    st.sampled_from(["arrive", "arrive", "release", "open", "leave"]),
    st.sampled_from(["a", "b"]),
    st.booleans(),
    st.sampled_from(["x", "y"]),
)


@given(st.lists(OPERATIONS, max_size=40))
def test_each_release_lets_exactly_one_go(operations: list[tuple[str, str, bool, str]]) -> None:
    gates, time = manual()
    opened: set[tuple[str | None, str]] = set()
    waiters: list[tuple[str, str, Waiter]] = []
    released = 0
    for what, session, everywhere, name in operations:
        of = None if everywhere else session
        if what == "arrive":
            waiters.append((session, name, Waiter(gates, session, name)))
        elif what == "leave" and waiters:
            gates.leave(waiters.pop(0)[2])
        elif what == "release":
            gates.release(of, name)
            released += 1
        elif what == "open":
            gates.open(of, name)
            opened.add((of, name))

    held = [each for each in waiters if not each[2].has_passed]
    for session, name, _ in held:
        assert not opened & {(session, name), (None, name)}
    assert gates.held(None).total() == len(held) == time.timers
    passed = [each for each in waiters if each[2].has_passed]
    closed = [each for each in passed if not opened & {each[:2], (None, each[1])}]
    assert len(closed) <= released


# --- Answers over sockets -------------------------------------------------------------------------

CALL = {"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"messages": [{"role": "user", "content": "Hello"}]}),
    "responses": (RESPONSES, {"input": "Hello"}),
    "messages": (MESSAGES, {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 99}),
}
PLACES: list[Any] = [
    None,
    "head",
    "first_token",
    "tool_arguments",
    "before_finish",
    "before_end",
    {"tokens": 4},
    {"bytes": 10},  # before the id, which is not divided
    {"events": 2},
]


def request_of(api: str, fault: Any, *, stream: bool) -> bytes:
    """A request whose client asks for a fault."""
    path, body = PATHS[api]
    key = "x-api-key: any" if api == "messages" else "Authorization: Bearer any"
    written = f"x-mockllm-fault: {orjson.dumps(fault).decode()}"
    lines = (key, "anthropic-version: 2023-06-01", "Content-Type: application/json", written)
    content = orjson.dumps({"model": "m", "stream": stream, **body})
    head = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(content)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + content


async def has_received(peer: Peer, size: int) -> bytes:
    """What a client got, once it is so much."""
    while len(peer.received) < size:
        await checkpoint()
    for _ in range(3):
        await checkpoint()
    return bytes(peer.received)


def body_size(received: bytes) -> int:
    """The bytes behind the head, whose times may have more digits or fewer."""
    return len(received.partition(b"\r\n\r\n")[2])


@asynccontextmanager
async def serving(config: Any, **options: Any) -> AsyncIterator[tuple[AsyncServer, Any]]:
    """A server, and a function that connects a client that has sent requests."""
    peers: list[Peer] = []
    with anyio.fail_after(PATIENCE):
        async with AsyncServer(config, **options) as server:

            async def ask(*requests: bytes) -> Peer:
                peer = await Peer.connect(port_of(server.base_url))
                peer.send(b"".join(requests))
                peers.append(peer)
                return peer

            yield server, ask
            for peer in peers:
                peer.reset()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("api", PATHS)
async def test_an_answer_is_held_where_it_would_be_cut(api: str, stream: bool) -> None:
    reply = {"text": TEXT, "tool_calls": [CALL]}
    async with serving({"mocks": [{"reply": reply}]}) as (server, ask):
        gate = server.gate(GATE)
        for number, after in enumerate(PLACES, 1):
            if after == {"events": 2} and not stream:
                continue
            place = {} if after is None else {"after": after}
            cut = await (
                await ask(request_of(api, {"end": "cut", **place}, stream=stream))
            ).read_all()
            peer = await ask(request_of(api, {"hold": GATE, **place}, stream=stream))
            await gate.reached(number)

            assert body_size(await has_received(peer, len(cut) - 9)) == body_size(cut)
            gate.release()
            (answer,) = await answers_of(peer)

            assert answer.whole
            assert b"celsius" in answer.body
    assert [call.delivery for call in server.calls] == ["cut", "complete"] * (
        len(server.calls) // 2
    )


def holding(fault: Any, **mock: Any) -> dict[str, Any]:
    return {"mocks": [{"reply": TEXT, "fault": fault, **mock}]}


async def test_a_release_and_an_opening_before_the_answer_comes_hold_nothing() -> None:
    async with serving(holding({"hold": GATE, "after": "first_token"})) as (server, ask):
        gate = server.gate(GATE)
        gate.release()
        await answers_of(await ask(STREAM))
        held = await ask(STREAM)
        await gate.reached(2)
        assert gate.held == 1
        gate.open()
        await answers_of(held)
        await answers_of(await ask(STREAM, WHOLE), 2)

        assert gate.held == 0
        await gate.reached(4)


async def test_an_answer_passes_several_gates_one_after_the_other() -> None:
    faults = [
        {"hold": "a"},
        {"hold": "b"},
        {"hold": "c", "after": "first_token"},
        {"hold": "c", "after": "first_token"},
        {"hold": "d", "after": "before_end"},
    ]
    async with serving(holding(faults)) as (server, ask):
        peer = await ask(STREAM)
        for name, count, received in (
            ("a", 1, False),
            ("b", 1, False),
            ("c", 1, True),
            ("c", 2, True),
            ("d", 1, True),
        ):
            await server.gate(name).reached(count)
            await checkpoint()
            assert bool(peer.received) == received
            assert server.gate(name).held == 1
            server.gate(name).release()
        (answer,) = await answers_of(peer)

        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_what_is_pipelined_behind_a_held_answer_waits() -> None:
    async with serving(
        {
            "mocks": [
                {"match": {"user": "hold"}, "reply": "1", "fault": {"hold": GATE}},
                {"reply": "2"},
            ]
        }
    ) as (server, ask):
        peer = await ask(post(body=asking("hold")), post(body=asking("no")))
        await server.gate(GATE).reached()
        await has_received(peer, 0)
        assert peer.received == b""

        server.gate(GATE).release()

        held, other = await answers_of(peer, 2)
        assert (b'"1"' in held.body, b'"2"' in other.body) == (True, True)


@pytest.mark.parametrize("latency", [None, {**LATENCY, "concurrency": 1}], ids=["plain", "paced"])
@pytest.mark.parametrize("after", [None, "first_token"])
@pytest.mark.parametrize("leave", [Peer.close, Peer.reset, Peer.half_close])
async def test_a_client_that_gives_up_while_held_is_seen(
    latency: Any, after: str | None, leave: Callable[[Peer], None]
) -> None:
    place = {} if after is None else {"after": after}
    config = holding({"hold": GATE, **place})
    if latency is not None:
        config["latency"] = latency
    async with serving(config, speed=1000) as (server, ask):
        peer = await ask(STREAM)
        await server.gate(GATE).reached()

        leave(peer)
        await server.wait_for_calls(1)

        assert [(call.delivery, call.held_at) for call in server.calls] == [("client_gone", GATE)]
        assert server.gate(GATE).held == 0
        server.gate(GATE).open()
        await answers_of(await ask(STREAM))  # in the place of the first


async def test_an_answer_that_is_held_too_long_is_cut() -> None:
    async with serving(holding({"hold": GATE, "after": "head"}), hold_for=0.01) as (_, ask):
        peer = await ask(STREAM)
        received = await peer.read_all()

        assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("latency", [None, LATENCY], ids=["plain", "paced"])
async def test_a_server_that_stops_holds_no_answer(latency: Any) -> None:
    with nothing_left_behind():
        await stop_while_held(latency)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def stop_while_held(latency: Any) -> None:
    config = holding([{"hold": "a"}, {"hold": "b", "after": "first_token"}])
    if latency is not None:
        config["latency"] = latency
    async with serving(config, drain_timeout=PATIENCE, speed=1000) as (server, ask):
        first, second = [await ask(STREAM) for _ in range(2)]
        await server.gate("a").reached(2)
        server.gate("a").release()
        await server.gate("b").reached()
        waiting = asyncio.create_task(server.gate("b").reached(5, timeout=PATIENCE))
        await asyncio.sleep(0)

        await server.stop()

        await first.ended.wait()
        await second.ended.wait()
        with pytest.raises((AssertionError, RuntimeError)):
            await waiting
        assert {(call.delivery, call.held_at) for call in server.calls} == {
            ("cut", "a"),
            ("cut", "b"),
        }
        assert server.describe_calls().count("(cut while held at '") == 2


async def test_the_end_of_a_session_cuts_what_it_holds() -> None:
    async with serving(holding({"hold": GATE})) as (server, ask):
        session = server.session("one")
        peer = await ask(post(body=asking(), target=f"/session/one{CHAT}"))
        other = await ask(WHOLE)
        await session.gate(GATE).reached()
        await server.gate(GATE).reached(2)

        session.end()

        assert await peer.read_all() == b""
        with pytest.raises(RuntimeError, match="the session 'one' has ended"):
            session.gate(GATE).release()
        server.gate(GATE).release()
        await answers_of(other)


async def test_a_held_answer_outlives_a_reload() -> None:
    async with serving(holding({"hold": GATE})) as (server, ask):
        peer = await ask(WHOLE)
        await server.gate(GATE).reached()
        assert server._app is not None
        server._app.use(build_engine({"mocks": [{"reply": "new"}]}))
        (new,) = await answers_of(await ask(WHOLE))

        server.gate(GATE).release()

        (old,) = await answers_of(peer)
        assert (TEXT.encode() in old.body, b"new" in new.body) == (True, True)


async def test_entries_and_retries_are_held_as_any_answer() -> None:
    config = {
        "mocks": [
            {
                "sequence": [
                    {"reply": "one", "fault": {"hold": GATE}},
                    {"reply": "two", "fault": {"hold": GATE, "after": "head"}},
                    {"error": "overloaded", "fault": {"hold": GATE}},
                ]
            }
        ]
    }
    async with serving(config) as (server, ask):
        first = await ask(post(body=asking()))
        await server.gate(GATE).reached(1)
        first.close()  # a time-out, and its marked retry
        await server.wait_for_calls(1)
        second = await ask(post("x-stainless-retry-count: 1", body=asking()))
        await server.gate(GATE).reached(2)
        third = await ask(post("x-stainless-retry-count: 2", body=asking()))
        await server.gate(GATE).reached(3)
        server.gate(GATE).open()

        (answer,), (error,) = await answers_of(second), await answers_of(third)
        assert b"two" in answer.body
        assert error.status == 503


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        ([{"hold": GATE}, {"end": "cut"}], "cut"),
        ([{"hold": GATE, "after": "head"}, {"end": "reset", "after": {"time": "1ms"}}], "reset"),
        ([{"hold": GATE, "after": "head"}, {"end": "cut", "after": "head"}], "cut"),
    ],
)
@pytest.mark.parametrize("latency", [None, "instant"])
async def test_an_end_may_follow_a_gate(fault: Any, ended: str, latency: Any) -> None:
    config = holding(fault)
    if latency is not None:
        config["latency"] = {"ttft": "1ms"}
    async with serving(config) as (server, ask):
        peer = await ask(STREAM)
        await server.gate(GATE).reached()
        if ended == "cut":
            server.gate(GATE).release()
        await peer.ended.wait()
        await server.wait_for_calls(1)

        assert [call.delivery for call in server.calls] == [ended]
        assert server.gate(GATE).held == 0


@pytest.mark.parametrize("latency", [None, LATENCY], ids=["plain", "paced"])
async def test_an_old_client_is_held_too(latency: Any) -> None:
    faults = [
        {"hold": GATE, "after": "first_token"},
        {"send": ": ping\n\n", "after": {"time": 1e-6}},
    ]
    config = holding(faults)
    if latency is not None:
        config["latency"] = latency
    async with serving(config, speed=1000) as (server, ask):
        peer = await ask(post(body=asking(stream=True), version="1.0"))
        await server.gate(GATE).reached()
        assert not peer.ended.is_set()
        server.gate(GATE).release()
        received = await peer.read_all()

        assert b": ping\n\n" in received
        assert b"transfer-encoding" not in received.lower()
        assert received.endswith(b"data: [DONE]\n\n")


async def test_traffic_is_held_too() -> None:
    traffic = [{"fault": {"hold": GATE, "after": "head"}}]
    async with serving({"mocks": [{"reply": TEXT}], "traffic": traffic}) as (server, ask):
        peer = await ask(WHOLE)
        await server.gate(GATE).reached()
        assert body_size(bytes(peer.received)) == 0
        server.gate(GATE).release()

        (answer,) = await answers_of(peer)
        assert TEXT.encode() in answer.body


async def test_a_preface_and_pauses_before_the_head_keep_their_order() -> None:
    faults = [{"send": "<"}, {"hold": "a"}, {"pause": 0.001}, {"send": ">"}, {"hold": "b"}]
    async with serving(holding(faults)) as (server, ask):
        peer = await ask(WHOLE)
        await server.gate("a").reached()
        assert await has_received(peer, 1) == b"<"
        server.gate("a").release()
        await server.gate("b").reached()
        assert await has_received(peer, 2) == b"<>"
        server.gate("b").release()
        received = await peer.read_until(TEXT.encode())

        assert received.startswith(b"<>HTTP/1.1 200 ")


# --- Paced answers, in time that passes by hand ---------------------------------------------------


def gated(*places: int) -> Callable[[Reply], Reply]:
    """Gates before these steps of a stream."""

    def edit(reply: Reply) -> Reply:
        steps: list[Step] = []
        for place, step in enumerate(reply.steps):
            steps += [Step((b"",), gate=GATE)] * (place in places)
            steps.append(step)
        return replace(reply, steps=tuple(steps))

    return edit


@asynccontextmanager
async def paced(
    edit: Callable[[Reply], Reply], **latency: Any
) -> AsyncIterator[tuple[Paced, Gates]]:
    time, seen = ManualTime(), list[Exchange]()
    app = PacedApp({**LATENCY, **latency}, edit)
    async with running(app, (seen.append,), time.clock()) as server:
        one = Paced(server, time, seen)
        yield one, one.service.gates


async def test_the_pace_goes_on_from_the_release() -> None:
    async with paced(gated(2)) as (one, gates):
        peer = await one.ask(STREAM)
        one.time.run(1.5)
        await peer.read_until(b'"one"')
        assert gates.held(None) == {GATE: 1}

        one.time.run(100.0)
        gates.release(None, GATE)
        one.time.run(100.005)
        await checkpoint()
        assert b" two" not in peer.received
        one.time.run(100.011)
        await peer.read_until(b" two")
        one.time.run(100.015)
        await checkpoint()
        assert b" three" not in peer.received
        one.time.run(100.04)
        await answers_of(peer)

        assert one.service.clock.lateness.latest < 0.006
        peer.reset()


async def test_the_time_to_the_first_token_is_counted_from_the_release() -> None:
    def edit(reply: Reply) -> Reply:
        return replace(reply, opening=(Step((b"",), gate=GATE),))

    async with paced(edit) as (one, gates):
        peer = await one.ask(WHOLE)
        one.time.run(50.0)
        gates.release(None, GATE)
        one.time.run(51.005)
        await checkpoint()
        assert peer.received == b""
        one.time.run(51.04)
        await answers_of(peer)
        peer.reset()


async def test_an_ending_at_a_time_does_not_wait_for_a_gate() -> None:
    def edit(reply: Reply) -> Reply:
        return replace(gated(2)(reply), ending=Ending(EndingKind.CUT, time=2.0))

    async with paced(edit) as (one, gates):
        peer = await one.ask(STREAM)
        one.time.run(1.9)
        assert gates.held(None) == {GATE: 1}
        one.time.run(2.0)
        await peer.ended.wait()

        assert gates.held(None) == {}
        (exchange,) = one.seen
        assert (exchange.delivery.end, exchange.delivery.gate) == (End.CUT, GATE)


async def test_a_held_answer_keeps_its_place_in_the_pool() -> None:
    async with paced(gated(2), concurrency=1) as (one, gates):
        first = await one.ask(STREAM)
        one.time.run(1.5)
        second = await one.ask(STREAM)
        one.time.run(100.0)
        assert (one.entered, bytes(second.received)) == (2, b"")

        gates.open(None, GATE)
        one.time.run(200.0)

        await answers_of(first)
        await answers_of(second)
        for peer in (first, second):
            peer.reset()


async def test_a_configuration_of_python_has_gates_too() -> None:
    config = Config.from_dict(holding({"hold": GATE}))
    async with serving(config) as (server, ask):
        peer = await ask(WHOLE)
        await server.gate(GATE).reached()
        server.gate(GATE).release()

        (answer,) = await answers_of(peer)
        assert read_answers(bytes(peer.received)) == [answer]
