"""Answers of one iteration of the loop are written together, each once and in order."""

from __future__ import annotations

import pytest
from anyio.lowlevel import checkpoint

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve.connections import Service
from mockllm.serve.outbox import MAX_LATE, Outbox
from mockllm.serve.protocol import HTTPProtocol
from tests.support.http.messages import BODY, END, chunked, configuration, get, post
from tests.support.http.transport import Written

pytestmark = pytest.mark.anyio
patience = pytest.mark.usefixtures("patient")


class Client:
    """A connection that has received what it is sent, and what its peer got, in order."""

    def __init__(self, written: list[str], name: str) -> None:
        self._written = written
        self._name = name
        self._kept = b""

    def write_now(self, data: bytes) -> None:
        self._written.append(f"{self._name} {data.decode()}")

    def write_later(self, data: bytes) -> None:
        self._kept = data

    def write_kept(self) -> None:
        self.write_now(self._kept)


async def test_the_first_answer_is_written_at_once_and_the_others_at_the_end() -> None:
    outbox, written = Outbox(), list[str]()
    a, b, c = (Client(written, name) for name in "abc")

    outbox.send(a, b"1", 10.0)
    outbox.send(b, b"2", 10.0)
    outbox.send(c, b"3", 10.0 + MAX_LATE * 0.9)
    at_once = [*written]
    await checkpoint()
    at_the_end = [*written]
    outbox.send(b, b"4", 10.1)

    assert at_once == ["a 1"]
    assert at_the_end == ["a 1", "b 2", "c 3"]
    assert written[3:] == ["b 4"]


async def test_no_answer_waits_for_many_others() -> None:
    outbox, written = Outbox(), list[str]()
    clients = [Client(written, f"{number}") for number in range(6)]
    found = []
    for client, at in zip(clients, (0.0, 0.1, 0.9, 1.1, 1.9, 2.2), strict=True):
        outbox.send(client, b"x", at * MAX_LATE)
        found.append(len(written))

    assert found == [1, 1, 1, 4, 4, 6]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, an answer is made at once, and waits if it can."""
    monkeypatch.setattr("mockllm.serve.outbox.MAX_LATE", 60.0)
    monkeypatch.setattr("mockllm.serve.turns.MAX_TURN", 60.0)


def connect(service: Service) -> tuple[HTTPProtocol, Written]:
    protocol, transport = HTTPProtocol(service), Written()
    protocol.connection_made(transport)  # type: ignore[arg-type]  # all that is called
    return protocol, transport


async def waiting() -> tuple[Service, HTTPProtocol, Written]:
    """A service, and a connection whose answer waits."""
    service = Service(App(Engine(load(Config.from_dict(configuration())))))
    first, _ = connect(service)
    for number in "12":  # what the first one takes would leave no time for others
        await checkpoint()
        first.data_received(post(f"X-Id: {number}"))
    protocol, transport = connect(service)
    protocol.data_received(post("X-Id: 3"))
    assert transport.data == b""
    return service, protocol, transport


@patience
async def test_an_answer_that_waits_is_written_at_the_end_of_the_iteration() -> None:
    _, _, transport = await waiting()

    await checkpoint()

    assert transport.data.count(b"HTTP/1.1 200") == 1


@patience
@pytest.mark.parametrize("data", [post(), b"nonsense\r\n\r\n", get("Connection: close"), b"GET "])
async def test_what_a_connection_receives_next_comes_after_the_answer_that_waits(
    data: bytes,
) -> None:
    _, protocol, transport = await waiting()

    protocol.data_received(data)
    before = transport.data
    await checkpoint()

    assert before.startswith(b"HTTP/1.1 200")
    assert transport.data.startswith(before)
    assert transport.data.count(b"HTTP/1.1 ") == (1 if data == b"GET " else 2)


@patience
async def test_a_peer_that_has_finished_gets_the_answer_that_waits() -> None:
    _, protocol, transport = await waiting()

    protocol.eof_received()

    assert transport.data.count(b"HTTP/1.1 200") == 1
    assert transport.ends == ["close"]


@patience
async def test_a_server_that_stops_writes_the_answers_that_wait() -> None:
    service, _, transport = await waiting()

    service.drain()

    assert transport.data.count(b"HTTP/1.1 200") == 1
    assert transport.ends == ["close"]


@patience
async def test_nothing_is_written_to_a_connection_that_is_lost() -> None:
    _, protocol, transport = await waiting()

    transport.abort()
    protocol.connection_lost(None)
    await checkpoint()

    assert transport.data == b""


@patience
async def test_of_what_is_received_together_the_last_answer_alone_waits() -> None:
    service, _, _ = await waiting()
    protocol, transport = connect(service)

    protocol.data_received(post() + chunked(BODY, END) + get(target="/ready") + post())
    at_once = transport.data.count(b"HTTP/1.1 ")
    await checkpoint()

    assert (at_once, transport.data.count(b"HTTP/1.1 ")) == (3, 4)
