"""Connections in any order of events: parts of requests, resets, half-closes, pipelines, reading.

Whatever peers do, the server answers what was asked, once and in order, logs nothing worth a
warning, serves others afterwards, and keeps nothing of peers that are gone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockllm import AsyncServer
from tests.support.http.answers import Answer, read_answers
from tests.support.http.messages import (
    BODY,
    END,
    HELLO,
    asking,
    chunked,
    chunks,
    configuration,
    framed,
    get,
    post,
)
from tests.support.http.peer import Peer

BOUND = 60.0  # seconds; only a hang takes so long
LARGE_WORDS = 12_000  # long enough that neither the text nor its stream goes out in one write


# --- Messages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """A message: its bytes, the status it is answered with, a text of that answer, and whether the
    connection ends with it."""

    data: bytes
    status: int
    says: bytes
    ends: bool = False


def _ask(text: str, *fields: str, status: int = 200, stream: bool = False, model: str) -> Sent:
    body = asking(text, stream=stream) if stream else asking(text)
    body = body.replace(b'"model":"m"', b'"model":"%b"' % model.encode())
    says = b'"model":"%b"' % model.encode() if status == 200 else b"'%b'" % text.encode()
    return Sent(post(*fields, body=body), status, says)


def _messages(number: int) -> dict[str, Sent]:
    """Every kind of message; `number` stands in the answer wherever it can, so that an answer that
    comes out of order is noticed."""
    model = f"model-{number}."
    nobody = f"nobody-{number}."
    named = asking("Hello").replace(b'"m"', b'"%b"' % model.encode())
    says = b'"model":"%b"' % model.encode()
    return {
        "whole": _ask("Hello", model=model),
        "stream": _ask("Hello", model=model, stream=True),
        "large": _ask("large", model=model),
        "large stream": _ask("large", model=model, stream=True),
        "nobody": _ask(nobody, status=404, model=model),
        "chunked": Sent(chunked(chunks(named), END), 200, says),
        "trailers": Sent(chunked(chunks(named, 7, b";a"), b"0\r\nX-A: b\r\n\r\n"), 200, says),
        "lines before": Sent(b"\r\n\r\n" + post(body=named), 200, says),
        "health": Sent(get(), 200, b"healthy"),
        "no JSON": Sent(post(body=b"[" * number), 400, b"JSON"),
        "wrong method": Sent(get(target="/v1/messages"), 405, b"GET"),
        "last": Sent(post("Connection: close", body=named), 200, says, ends=True),
        "old": Sent(get(version="1.0"), 200, b"healthy", ends=True),
        "nonsense": Sent(b"nonsense\r\n\r\n", 400, b"error", ends=True),
        "no Host": Sent(b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n", 400, b"error", ends=True),
        "bad length": Sent(framed("Content-Length: -5"), 400, b"error", ends=True),
        "bad chunk": Sent(chunked(BODY, b"x\r\n\r\n"), 400, b"error", ends=True),
        "too large": Sent(
            framed("Content-Length: 999999999", body=HELLO), 413, b"error", ends=True
        ),
    }


KINDS = sorted(_messages(0))


# --- Actions --------------------------------------------------------------------------------------

# Each action is a peer and what it does: send so many bytes of what it still has to send, take what
# comes, stop taking it, let the loop turn so often, or end.
_ACTIONS = st.tuples(
    st.integers(min_value=0, max_value=2),
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([1, 2, 7, 40, 150, 400, 5_000])),
        st.tuples(st.just("turn"), st.integers(min_value=1, max_value=20)),
        st.tuples(
            st.sampled_from(["read", "stop reading", "go on reading", "half-close", "reset"]),
            st.just(0),
        ),
    ),
)
_PEERS = st.lists(st.lists(st.sampled_from(KINDS), max_size=6), min_size=1, max_size=3)


@dataclass
class Player:
    """A peer with what it wants to say."""

    peer: Peer
    messages: list[Sent]
    sent: int = 0
    is_over: bool = False  # sends no more
    was_reset: bool = False
    data: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.data = b"".join(message.data for message in self.messages)

    async def act(self, action: str, count: int) -> None:
        """Do one thing; what is over does nothing."""
        if action == "turn":
            for _ in range(count):
                await asyncio.sleep(0)
        if self.was_reset:
            return
        match action:
            case "send" if not self.is_over:
                self.peer.send(self.data[self.sent : self.sent + count])
                self.sent = min(self.sent + count, len(self.data))
            case "read":
                await self._read_one()
            case "stop reading":
                self.peer.stop_reading()
            case "go on reading":
                self.peer.go_on_reading()
            case "half-close" if not self.is_over:
                self.is_over = True
                self.peer.half_close()
            case "reset":
                self.is_over = self.was_reset = True
                self.peer.reset()

    async def _read_one(self) -> None:
        """Wait for the head of the next answer, if one is owed."""
        came = self.peer.received.count(b"HTTP/1.1 ")
        if came < len(self.owed()):
            self.peer.go_on_reading()
            await self.peer.read_until(b"HTTP/1.1 ", came + 1)

    async def end(self) -> None:
        """Half-close, and read to the end."""
        if self.was_reset:
            return
        self.peer.go_on_reading()
        if not self.is_over:
            self.peer.half_close()
        await self.peer.read_all()
        self.peer.close()

    def owed(self) -> list[Sent]:
        """The messages that were sent whole and must be answered."""
        owed = []
        place = 0
        for message in self.messages:
            place += len(message.data)
            if place > self.sent:
                break
            owed.append(message)
            if message.ends:
                break
        return owed

    def check(self) -> None:
        """Hold the answers against what was sent."""
        answers = read_answers(bytes(self.peer.received))
        owed = self.owed()
        if self.was_reset:  # the rest was lost; what came is what was owed
            answers = answers[: len(owed)]
            whole = [answer for answer in answers if answer.whole]
            assert _seen(whole) == _wanted(owed, whole)
            return
        extra = answers[len(owed) :]
        answers = answers[: len(owed)]
        assert all(answer.whole for answer in answers)
        assert _seen(answers) == [message.status for message in owed]
        assert _wanted(owed, answers) == [message.status for message in owed]
        unfinished = not any(message.ends for message in owed)
        assert [answer.status for answer in extra] in ([], [400], [413])[: 3 if unfinished else 1]
        ends = [message.ends for message in owed] + [True] * len(extra)
        announced = [answer.closes for answer in (*answers, *extra)]
        assert all(told for told, end in zip(announced, ends, strict=True) if end)


def _seen(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def _wanted(owed: list[Sent], answers: list[Answer]) -> list[int]:
    """The status of each answer that says what its message wants; -1 of any other."""
    return [
        message.status if message.says in answer.body else -1
        for message, answer in zip(owed, answers, strict=False)
    ]


# --- The machine ----------------------------------------------------------------------------------


class _Log(logging.Handler):
    """Warnings and errors of any logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class Stage:
    """A loop with a server in it, and the log."""

    def __init__(self, runner: asyncio.Runner, server: AsyncServer, log: _Log) -> None:
        self._runner = runner
        self._server = server
        self._log = log
        self._port = int(server.base_url.rpartition(":")[2])

    def play(self, said: list[list[str]], actions: list[tuple[int, tuple[str, int]]]) -> None:
        """Let peers say what is in `said` by `actions`, and check what must hold."""
        self._log.texts.clear()
        self._runner.run(self._play(said, actions))
        assert self._log.texts == []

    async def _play(
        self, said: list[list[str]], actions: list[tuple[int, tuple[str, int]]]
    ) -> None:
        before = asyncio.all_tasks()
        with anyio.fail_after(BOUND):
            players: list[Player] = []
            for kinds in said:
                messages = [
                    _messages(100 * (len(players) + 1) + place)[kind]
                    for place, kind in enumerate(kinds)
                ]
                players.append(Player(await Peer.connect(self._port), messages))
            for number, (action, count) in actions:
                await players[number % len(players)].act(action, count)
            for player in players:
                await player.end()
            for player in players:
                player.check()
            await self._check_health()
            await self._check_nothing_is_left(before)

    async def _check_health(self) -> None:
        peer = await Peer.connect(self._port)
        peer.send(get("Connection: close"))
        (answer,) = read_answers(await peer.read_all())
        assert (answer.status, b"healthy" in answer.body) == (200, True)

    async def _check_nothing_is_left(self, before: set[asyncio.Task[Any]]) -> None:
        listening = self._server._listening
        assert listening is not None
        service = listening.listener._service
        await service.all_closed.wait()
        assert not service.connections
        assert asyncio.all_tasks() == before


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    log = _Log()
    logging.getLogger().addHandler(log)
    with asyncio.Runner() as runner:
        server = AsyncServer(configuration(LARGE_WORDS))
        runner.run(server.start())
        yield Stage(runner, server, log)
        runner.run(server.stop())
    logging.getLogger().removeHandler(log)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=_PEERS, actions=st.lists(_ACTIONS, max_size=40))
def test_connections_survive_any_order_of_events(
    stage: Stage, said: list[list[str]], actions: list[tuple[int, tuple[str, int]]]
) -> None:
    stage.play(said, actions)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_answered_once_behind_another(stage: Stage, kind: str) -> None:
    """The plain path, so that the machine's own expectations are known to hold."""
    stage.play([["whole", kind, "health"]], [(0, ("send", 100_000))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", ["half-close", "reset"])
def test_a_peer_may_end_at_any_byte(stage: Stage, kind: str, action: str) -> None:
    data = _messages(100)[kind].data
    heads = re.search(rb"\r\n\r\n", data)
    places = {1, 2, len(data) // 3, len(data) - 2, len(data) - 1, len(data)}
    places |= {heads.end() - 1, heads.end()} if heads else set()
    for place, turns in product(sorted(places), (0, 3)):
        stage.play([[kind]], [(0, ("send", place)), (0, ("turn", turns)), (0, (action, 0))])
