"""Many clients that ask for much at once: the loop has time for others in between."""

from __future__ import annotations

import gc
import gzip
from time import sleep
from typing import Any, cast

import orjson
import pytest
from anyio import fail_after, sleep_forever
from anyio.lowlevel import checkpoint

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Decision, End, Exchange, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.serve import protocol as protocol_module
from mockllm.serve import reading as reading_module
from mockllm.serve import turns as turns_module
from mockllm.serve.connections import Service
from mockllm.serve.phase import Phase
from mockllm.serve.protocol import MIN_LARGE_READ, MIN_TIMED, HTTPProtocol
from mockllm.serve.reading import MAX_READING
from mockllm.serve.turns import MAX_SMALL
from tests.support.apps import LoneApp
from tests.support.engines import echo
from tests.support.http.messages import END, asking, chunked, chunks, framed, get, post
from tests.support.http.transport import Written
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio

LARGE = "lorem " * (MAX_SMALL // 6 + 1)


class Counted(LoneApp):
    """Counts the decisions on requests with a body."""

    decided = 0

    def decide(self, request: Request) -> Decision:
        self.decided += bool(request.body)
        return super().decide(request)


class Pipe(Written):
    """A transport that knows whether it is read, and may be that of TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.tls: object = None

    def get_extra_info(self, name: str) -> object:
        return self.tls if name == "sslcontext" else None

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


def echoing() -> Counted:
    return Counted(Engine(load(Config.from_dict({})), echo=echo))


def connect(service: Service) -> tuple[HTTPProtocol, Pipe]:
    protocol, pipe = HTTPProtocol(service), Pipe()
    protocol.connection_made(cast("Any", pipe))
    return protocol, pipe


async def no_turn(size: int = 0) -> None:
    """Wait for a turn that never comes."""
    await sleep_forever()


async def all_answered(protocols: list[HTTPProtocol]) -> None:
    with fail_after(PATIENCE):
        while any(protocol.phase is Phase.ANSWERING for protocol in protocols):
            await checkpoint()


@pytest.mark.parametrize("stream", [False, True])
async def test_no_two_large_requests_are_decided_in_one_iteration(stream: bool) -> None:
    app = echoing()
    service = Service(app)
    connections = [connect(service) for _ in range(5)]
    for protocol, _ in connections:
        protocol.data_received(post(body=asking(LARGE, stream=stream)))

    assert app.decided == 0
    while app.decided < len(connections):
        before = app.decided
        await checkpoint()
        assert app.decided <= before + 1
    await all_answered([protocol for protocol, _ in connections])

    for _, pipe in connections:
        assert pipe.data.startswith(b"HTTP/1.1 200 ")
        assert pipe.data.count(b"lorem") >= LARGE.count("lorem")


async def test_a_small_request_waits_while_the_time_is_spent_but_not_a_probe() -> None:
    app = echoing()
    service = Service(app)
    (asks, answer), (probes, health) = connect(service), connect(service)
    service.turns.spend(1.0)

    asks.data_received(post(body=asking("hi")))
    probes.data_received(get(target="/health"))
    at_first = answer.data, health.data[:13]
    await all_answered([asks])

    assert at_first == (b"", b"HTTP/1.1 200 ")
    assert answer.data.startswith(b"HTTP/1.1 200 ")


async def test_a_slow_decision_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockllm.serve.answering.MIN_CHARGED", 0.0)
    monkeypatch.setattr(turns_module, "MAX_TURN", 0.0)
    app = echoing()
    service = Service(app)
    first, second = connect(service), connect(service)
    for protocol, _ in (first, second):
        protocol.data_received(post(body=asking("hi")))

    assert app.decided == 1
    await all_answered([second[0]])
    assert app.decided == 2


async def test_requests_behind_one_that_waits_are_answered_in_order() -> None:
    service = Service(echoing())
    protocol, pipe = connect(service)
    protocol.data_received(
        post(body=asking(LARGE)) + post(body=asking("second")) + post(body=asking("third"))
    )
    await all_answered([protocol])

    assert pipe.data.count(b"HTTP/1.1 200 ") == 3
    assert pipe.data.find(b"lorem") < pipe.data.find(b"<second>") < pipe.data.find(b"<third>")


async def test_a_client_that_disconnects_while_its_request_waits_is_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Exchange] = []
    service = Service(echoing(), observers=(seen.append,))
    protocol, pipe = connect(service)
    monkeypatch.setattr(service.turns, "wait", no_turn)
    protocol.data_received(post(body=asking(LARGE)))
    await checkpoint()
    protocol.connection_lost(None)
    await checkpoint()

    (exchange,) = seen
    assert exchange.decision.match.outcome is Outcome.UNDECIDED
    assert exchange.delivery.end is End.CLIENT_GONE
    assert pipe.data == b""


async def test_reading_stops_for_the_rest_of_the_iteration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mockllm.serve.protocol.SECONDS_PER_BYTE", MAX_READING / MIN_LARGE_READ)
    service = Service(echoing())
    (uploads, upload), (_, other), (answers, answered) = (connect(service) for _ in range(3))
    monkeypatch.setattr(service.turns, "wait", no_turn)
    answers.data_received(post(body=asking(LARGE)))
    await checkpoint()  # reading begins again
    body = post(body=asking(LARGE))

    before = upload.is_read, other.is_read
    uploads.data_received(body[:MIN_LARGE_READ])
    stopped = upload.is_read, other.is_read, answered.is_read
    await checkpoint()
    then = upload.is_read, other.is_read
    await checkpoint()
    after = upload.is_read, other.is_read

    assert before == after == (True, True)
    assert stopped == (False, False, True)  # that one waits for its turn
    assert then == (False, True)


async def test_the_time_of_an_answer_is_not_that_of_receiving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading_module, "MAX_READING", 0.5)
    service = Service(echoing())
    (asks, asked), (_, upload) = connect(service), connect(service)

    def think(request: Request) -> Decision | Question:
        sleep(0.6)
        return decide(request)

    decide, service.decide = service.app.decide, think
    asks.data_received(post(body=asking("lorem " * (MIN_LARGE_READ // 6))))

    assert asked.data.startswith(b"HTTP/1.1 200 ")
    assert upload.is_read


@pytest.mark.parametrize("tls", [None, object()])
async def test_bytes_that_are_decrypted_cost_more(
    tls: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockllm.serve.protocol.SECONDS_PER_BYTE", 0.0)
    monkeypatch.setattr("mockllm.serve.protocol.SECONDS_PER_TLS_BYTE", MAX_READING)
    monkeypatch.setattr(reading_module, "MAX_READING", 1.0)
    uploads, upload = connect(Service(echoing()))
    upload.tls = tls

    uploads.data_received(post(body=asking(LARGE))[:MIN_LARGE_READ])

    assert upload.is_read is (tls is None)


async def test_a_request_is_let_go_when_its_client_disconnects() -> None:
    service = Service(echoing())
    protocol, _ = connect(service)
    protocol.data_received(post(body=asking(LARGE, stream=True)))
    while protocol._player is None:
        await checkpoint()
    player, gone = protocol._player, []

    gc.disable()
    try:
        protocol.connection_lost(None)
        for _ in range(3):
            await checkpoint()
        gone = [each for each in gc.get_referrers(player) if isinstance(each, HTTPProtocol)]
    finally:
        gc.enable()

    assert gone == []


@pytest.mark.parametrize("expected", ["HTTP/1.1 200 ", "HTTP/1.1 404 "])
async def test_a_small_request_is_answered_while_many_inputs_are_matched(
    monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    monkeypatch.setattr(turns_module, "MAX_TURN", 0.0)  # each piece is a turn
    match = {} if "200" in expected else {"input": "b"}
    mock = {"match": match, "response": {"data": [{"embedding": [1.0]}]}}
    service = Service(App(Engine(load(Config.from_dict({"openai_embeddings": [mock]})))))
    (many, answer), (probes, health) = connect(service), connect(service)
    body = orjson.dumps({"model": "m", "input": ["a"] * 1000})

    many.data_received(post(body=body, target="/v1/embeddings"))
    await checkpoint()
    probes.data_received(get(target="/health"))
    at_first = answer.data, health.data[:13]
    await all_answered([many])

    assert at_first == (b"", b"HTTP/1.1 200 ")
    assert answer.data.startswith(expected.encode())


async def test_requests_that_come_at_once_are_answered_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol_module, "MAX_TURN", 0.0)
    service = Service(echoing())
    (asks, answers), (probes, health) = connect(service), connect(service)

    asks.data_received(get() * 50)
    assert answers.data.count(b"HTTP/1.1 200 ") == 1 + MIN_TIMED
    probes.data_received(get())
    assert health.data.startswith(b"HTTP/1.1 200 ")
    await all_answered([asks])

    assert answers.data.count(b"HTTP/1.1 200 ") == 50
    assert asks.phase is Phase.IDLE


async def test_what_comes_behind_requests_that_wait_is_answered_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol_module, "MAX_TURN", 0.0)
    service = Service(echoing())
    asks, answers = connect(service)

    asks.data_received(get() * 50)
    asks.data_received(post(body=asking("the last")))
    asks.eof_received()
    await all_answered([asks])

    assert answers.data.count(b"HTTP/1.1 200 ") == 51
    assert b"the last" in answers.data.rpartition(b"HTTP/1.1 200 ")[2]
    assert answers.is_closing()


LATE = b" " * 2_000_000 + asking("hello")


@pytest.mark.parametrize(
    "request_bytes",
    [
        framed(
            f"Content-Encoding: gzip\r\nContent-Length: {len(gzip.compress(LATE))}",
            body=gzip.compress(LATE),
        ),
        chunked(chunks(LATE[-50_000:], 1), END),
    ],
)
async def test_others_are_answered_while_a_body_is_decoded(request_bytes: bytes) -> None:
    app = echoing()
    service = Service(app)
    (asks, answer), (probes, health) = connect(service), connect(service)

    asks.data_received(request_bytes)
    assert asks.phase is Phase.ANSWERING
    assert app.decided == 0
    probes.data_received(get())
    assert health.data.startswith(b"HTTP/1.1 200 ")
    await all_answered([asks])

    assert answer.data.startswith(b"HTTP/1.1 200 ")
    assert b"hello" in answer.data


async def test_a_client_may_leave_while_its_body_is_decoded() -> None:
    app = echoing()
    service = Service(app)
    asks, answer = connect(service)
    body = gzip.compress(b" " * 4_000_000 + asking("hello"))

    asks.data_received(framed(f"Content-Encoding: gzip\r\nContent-Length: {len(body)}", body=body))
    asks.connection_lost(None)
    for _ in range(20):
        await checkpoint()

    assert app.decided == 0
    assert not answer.data


async def test_an_invalid_body_is_refused_wherever_it_is_decoded() -> None:
    service = Service(echoing())
    asks, answer = connect(service)
    body = gzip.compress(b" " * 4_000_000)[:-1] + b"x"

    asks.data_received(framed(f"Content-Encoding: gzip\r\nContent-Length: {len(body)}", body=body))
    await all_answered([asks])

    assert answer.data.startswith(b"HTTP/1.1 400 ")
    assert asks.phase is Phase.LINGERING
