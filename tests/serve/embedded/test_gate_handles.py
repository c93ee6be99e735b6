"""What a test does with gates of servers and sessions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import APIConnectionError, AsyncOpenAI, OpenAI

from mockllm import AsyncGate, AsyncServer, AsyncSession, Gate, Server, Session
from tests.support.served import API_KEY, PATIENCE, chat_request, nothing_left_behind

pytestmark = pytest.mark.anyio

HELD = {"mocks": [{"name": "slow", "reply": "Hi", "fault": {"hold": "gate-1"}}]}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with nothing_left_behind(), Server(HELD) as server:
        yield server


@contextmanager
def asked(where: Server | Session, times: int = 1) -> Iterator[list[str | None]]:
    """The texts that clients in threads get, complete at the end of the context."""
    texts: list[str | None] = []

    def ask() -> None:
        options: Any = {"base_url": where.openai_base_url, "api_key": API_KEY, "max_retries": 0}
        with OpenAI(**options) as client:
            try:
                answer = client.chat.completions.create(**chat_request("Hello"))
            except APIConnectionError:
                texts.append(None)
            else:
                texts.append(answer.choices[0].message.content)

    threads = [threading.Thread(target=ask) for _ in range(times)]
    for thread in threads:
        thread.start()
    yield texts
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def failure_of(act: Callable[[], None]) -> str:
    with pytest.raises(AssertionError) as caught:
        act()
    return str(caught.value)


def test_an_answer_is_held_until_it_is_released(server: Server) -> None:
    with server.session("one") as session, asked(session) as texts:
        gate = session.gate("gate-1")
        gate.reached()

        assert (texts, session.calls, gate.held) == ([], [], 1)
        assert session.describe_calls() == "answers that are held: 1 at 'gate-1'"
        gate.release()
        session.wait_for_calls(1)

        assert (gate.held, session.mocks["slow"].call_count) == (0, 1)
    assert texts == ["Hi"]


def test_sessions_do_not_see_the_gates_of_others(server: Server) -> None:
    with server.session("a") as a, server.session("b") as b, asked(a) as of_a, asked(b) as of_b:
        a.gate("gate-1").reached()
        b.gate("gate-1").reached()
        a.gate("gate-1").open()
        a.wait_for_calls(1)

        assert (b.gate("gate-1").held, server.gate("gate-1").held, b.calls) == (1, 1, [])
        server.gate("gate-1").release()
    assert (of_a, of_b) == (["Hi"], ["Hi"])


def test_releases_are_counted(server: Server) -> None:
    with server.session("one") as session, asked(session, 3) as texts:
        gate = session.gate("gate-1")
        gate.reached(3)
        gate.release()
        gate.release()
        session.wait_for_calls(2)
        assert gate.held == 1
        gate.release()
    assert texts == ["Hi"] * 3


def test_a_gate_that_is_not_reached_fails_with_what_is_known(server: Server) -> None:
    with server.session("one") as session, asked(session):
        session.gate("gate-1").reached()

        assert failure_of(lambda: session.gate("gate-2").reached(timeout=0)).splitlines() == [
            "expected 1 answer at gate 'gate-2' within 0 s, found no answer",
            "",
            "answers that are held: 1 at 'gate-1'",
        ]
        text = failure_of(lambda: session.gate("gate-1").reached(2, timeout=0))
        assert text.startswith("expected 2 answers at gate 'gate-1' within 0 s, found 1 answer\n")
        session.gate("gate-1").open()


def test_an_answer_that_is_held_at_the_end_of_its_session_is_cut(server: Server) -> None:
    with server.session("one") as session, asked(session) as texts:
        session.gate("gate-1").reached()
        session.end()

        assert [(call.delivery, call.held_at) for call in session.calls] == [("cut", "gate-1")]
        assert session.describe_calls().endswith("(cut while held at 'gate-1')")
        with pytest.raises(RuntimeError, match="the session 'one' has ended"):
            session.gate("gate-1").open()
        with pytest.raises(RuntimeError, match="the session 'one' has ended"):
            session.gate("gate-1").reached(timeout=0)
    assert texts == [None]


@pytest.mark.parametrize("name", ["", "a b", "..", "é", "g" * 129, "a/b"])
def test_a_name_that_no_mock_can_have_is_refused(server: Server, name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a gate, 1 to 128 of"):
        server.gate(name)


def test_what_is_no_name_or_no_number_is_refused(server: Server) -> None:
    with pytest.raises(TypeError, match="the name of a gate is a string; found 5"):
        server.gate(5)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match="expected a number of answers, found 'x'"):
        server.gate("g").reached("x")  # type: ignore[arg-type]  # what is tested


def test_a_gate_of_a_server_of_this_process_says_so(server: Server) -> None:
    assert isinstance(server.gate("g"), Gate)
    assert repr(server.gate("g")) == "<Gate 'g'>"


@pytest.mark.parametrize("hold_for", [-1, float("inf"), float("nan")])
def test_answers_are_not_held_for_ever(hold_for: float) -> None:
    with pytest.raises(ValueError, match="hold_for: expected "):
        Server(HELD, hold_for=hold_for)


def test_a_server_that_is_not_started_has_no_answers() -> None:
    gate = Server(HELD).gate("gate-1")
    for act in (gate.release, gate.open, gate.reached):
        with pytest.raises(RuntimeError, match="the server is not started"):
            act()


def test_a_server_without_a_journal_has_gates() -> None:
    with Server(HELD, journal=0) as server, asked(server) as texts:
        gate = server.gate("gate-1")
        gate.reached()
        expected = "expected 5 answers at gate 'gate-1' within 0 s, found 1 answer"
        assert failure_of(lambda: gate.reached(5, timeout=0)) == expected
        gate.release()
    assert texts == ["Hi"]


WAITS: list[Callable[[Server | Session], None]] = [
    lambda where: where.gate("gate-1").reached(3, timeout=PATIENCE),
    lambda where: where.wait_for_calls(3, timeout=PATIENCE),
]
ENDED = [
    "expected 3 answers at gate 'gate-1' before the server stopped, found 1 answer",
    "expected 3 calls before the server stopped, found 1 call",
]


@pytest.mark.parametrize("kind", ["server", "session"])
@pytest.mark.parametrize(("wait", "text"), [*zip(WAITS, ENDED, strict=True)])
def test_a_stop_ends_a_wait_in_another_thread(
    kind: str, wait: Callable[[Server | Session], None], text: str
) -> None:
    failures: list[str] = []
    with Server(HELD) as server:
        where = server if kind == "server" else server.session("one")
        with asked(where):
            where.gate("gate-1").reached()
            where.gate("gate-1").release()
        before = len(server._serving().gates.listeners)
        thread = threading.Thread(target=lambda: failures.append(failure_of(lambda: wait(where))))
        thread.start()
        while len(server._serving().gates.listeners) == before:
            thread.join(0.001)
            assert thread.is_alive()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert [failure.splitlines()[0] for failure in failures] == [text]


async def test_a_stop_ends_a_wait_in_its_loop() -> None:
    async with AsyncServer(HELD) as server:
        gate, calls = server.gate("gate-1").reached(timeout=PATIENCE), server.wait_for_calls(1)
        waits = [asyncio.create_task(gate), asyncio.create_task(calls)]
        await asyncio.sleep(0)

    found = await asyncio.gather(*waits, return_exceptions=True)
    assert [str(each).partition(",")[0] for each in found] == [
        "expected 1 answer at gate 'gate-1' before the server stopped",
        "expected 1 call before the server stopped",
    ]


@pytest.mark.parametrize("kind", ["server", "session"])
async def test_in_a_loop_a_wait_is_awaited(kind: str) -> None:
    async with AsyncServer(HELD) as server:
        where: AsyncServer | AsyncSession = server if kind == "server" else server.session("one")
        gate = where.gate("gate-1")
        assert isinstance(gate, AsyncGate)
        options: Any = {"base_url": where.openai_base_url, "api_key": API_KEY, "max_retries": 0}
        async with AsyncOpenAI(**options) as client:
            answer = asyncio.create_task(client.chat.completions.create(**chat_request("Hello")))
            await gate.reached()
            assert not answer.done()
            gate.release()
            assert (await answer).choices[0].message.content == "Hi"
        with pytest.raises(AssertionError, match="expected 2 answers at gate 'gate-1' within 0 s"):
            await gate.reached(2, timeout=0)


async def test_a_server_in_a_thread_has_gates_for_a_loop(server: Server) -> None:
    server.session("one")
    session = AsyncSession("one", server)
    with asked(Session("one", server)) as texts:
        await session.gate("gate-1").reached()
        session.gate("gate-1").release()
        await session.wait_for_calls(1)
    assert texts == ["Hi"]
    session.end()
