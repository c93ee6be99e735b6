"""Requirements of RFC 9110 and RFC 9112, over sockets: each case of the table whole and byte by
byte; and dialogues, in which the client waits for the server before it goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import orjson
import pytest

from mockllm import AsyncServer
from mockllm.errors import HTTPError
from mockllm.http1.connection import HTTPConnection
from mockllm.http1.head_cache import HeadCache
from tests.support.http.answers import Answer, read_answers
from tests.support.http.case import Case, Fate
from tests.support.http.cases import CASES
from tests.support.http.messages import (
    BODY,
    CHAT,
    END,
    HELLO,
    HIDDEN,
    KIB,
    asking,
    chunked,
    configuration,
    framed,
    get,
    post,
)
from tests.support.http.peer import Peer

pytestmark = pytest.mark.anyio

BOUND = 20.0  # seconds; only a hang takes so long
LARGE_WORDS = 12_000  # long enough that neither the text nor its stream goes out in one write

LAST = get("Connection: close", "X-Probe: 1")
"""Sent behind a case: answered if the connection is open, and then it ends."""

ORDINARY = [
    get("Accept: */*", "User-Agent: ordinary", "Connection: keep-alive"),
    post("Accept: application/json", "Content-Type: application/json", "X-A: a", "X-B: b"),
    post("Content-Encoding: identity", "X-Folded: x", "Keep-Alive: 1", body=asking("a")),
    get("Upgrade: x", "Expect:", "TE: trailers", "X-Hidden: 1"),
]


@pytest.fixture(scope="module")
async def port(anyio_backend: str) -> AsyncIterator[int]:
    """The port of a server that has seen ordinary requests: what it remembers of them must not
    let others pass."""
    async with AsyncServer(configuration(LARGE_WORDS)) as server:
        port = int(server.base_url.rpartition(":")[2])
        for _ in range(3):
            await exchange(port, b"".join(ORDINARY))
        yield port


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log record of level WARNING, whatever a peer does."""
    yield
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


async def exchange(
    port: int, data: bytes, *, singly: bool = False, half_close: bool = False
) -> bytes:
    """The bytes of the server for `data` and, unless the client half-closes, a last request."""
    with anyio.fail_after(BOUND):
        peer = await Peer.connect(port)
        data = data if half_close else data + LAST
        if singly:
            await peer.send_singly(data)
        else:
            peer.send(data)
        if half_close:
            peer.half_close()
        received = await peer.read_all()
        peer.close()
    return received


def check(case: Case, received: bytes) -> None:
    """Hold what came against what the case expects."""
    answers = read_answers(received, heads=case.heads)
    _check_continues(case, answers)
    finals = [answer for answer in answers if answer.status >= 200]
    is_open = case.fate is Fate.OPEN
    if case.fate is Fate.EITHER:
        is_open = bool(finals) and not finals[0].closes
    if is_open:
        *finals, probe = finals
        assert (probe.status, probe.closes) == (200, True), [*finals, probe]
        assert b'"healthy"' in probe.body
    statuses = " ".join(str(answer.status) for answer in finals)
    assert re.fullmatch(case.statuses, statuses), (statuses, finals[-3:])
    for place, answer in enumerate(finals):
        _check_answer(answer, is_head=place in case.heads)
    announced = [answer.closes for answer in finals]
    last = [case.fate is not Fate.OPEN and not is_open] if announced else []
    if case.fate is not Fate.ENDED:
        assert announced == [False] * len(announced[1:]) + last
    if case.check is not None:
        case.check(finals)


def _check_continues(case: Case, answers: list[Answer]) -> None:
    """RFC 9110, section 15.2.1: only a client that expects it is told to continue, and before the
    final answer."""
    interim = [answer.status for answer in answers if answer.status < 200]
    assert interim in ([], [100])
    assert not interim or (b"Expect: 100" in case.data and answers[0].status == 100)


def _check_answer(answer: Answer, *, is_head: bool) -> None:
    """Check the invariants of a final answer."""
    assert answer.whole
    assert "date" in answer.headers  # RFC 9110, section 6.6.1
    assert not {"content-length", "transfer-encoding"} <= answer.headers.keys()
    if answer.status == 405:
        assert answer.headers["allow"]  # RFC 9110, section 15.5.6
    if answer.status >= 400 and not is_head:
        assert answer.headers["content-type"] == "application/json"
        assert orjson.loads(answer.body)["error"]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{case.name} ({case.source})" for case in cases]
    )


def test_the_table_is_large_and_its_names_differ() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@named(CASES)
async def test_a_case_in_one_piece(port: int, case: Case) -> None:
    check(case, await exchange(port, case.data, half_close=case.fate is Fate.ENDED))


@named(CASES)
async def test_a_case_byte_by_byte(port: int, case: Case) -> None:
    half_close = case.fate is Fate.ENDED
    check(case, await exchange(port, case.data, singly=True, half_close=half_close))


@named([case for case in CASES if case.fate is Fate.CLOSES and len(case.data) > 4 * KIB])
def test_a_large_case_byte_by_byte_without_sockets(case: Case) -> None:
    connection = HTTPConnection(HeadCache())
    statuses = []
    for byte in case.data:
        connection.receive_data(bytes([byte]))
        try:
            while connection.next_request() is not None:
                statuses.append("200")
        except HTTPError as exc:
            statuses.append(str(exc.status))

    assert re.fullmatch(case.statuses, " ".join(statuses))


# --- Dialogues ------------------------------------------------------------------------------------


@asynccontextmanager
async def dialogue(port: int) -> AsyncIterator[Peer]:
    """A new connection."""
    with anyio.fail_after(BOUND):
        peer = await Peer.connect(port)
        yield peer
        peer.close()


async def finish(peer: Peer) -> list[int]:
    """The statuses of all answers, a last request's included."""
    peer.send(LAST)
    return [answer.status for answer in read_answers(await peer.read_all())]


async def refusals(peer: Peer) -> list[int]:
    """The statuses of all answers of a server that ends the connection by itself."""
    answers = read_answers(await peer.read_all())
    assert all(answer.closes for answer in answers)
    return [answer.status for answer in answers]


EXPECTING = post("Expect: 100-continue")[: -len(HELLO)]


async def test_a_client_that_waits_for_100_gets_it(port: int) -> None:
    """RFC 9110, section 10.1.1."""
    async with dialogue(port) as peer:
        peer.send(EXPECTING)
        await peer.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(HELLO)

        assert await finish(peer) == [100, 200, 200]


async def test_a_client_that_waits_with_chunks_gets_its_100(port: int) -> None:
    async with dialogue(port) as peer:
        peer.send(chunked(fields=["Expect: 100-continue"]))
        await peer.read_until(b"100 Continue")
        peer.send(BODY + END)

        assert await finish(peer) == [100, 200, 200]


async def test_each_of_two_that_wait_gets_its_100(port: int) -> None:
    async with dialogue(port) as peer:
        for times in (1, 2):
            peer.send(EXPECTING)
            await peer.read_until(b"100 Continue", times)
            peer.send(HELLO)
            await peer.read_until(b"200 OK", times)

        assert await finish(peer) == [100, 200, 100, 200, 200]


async def test_a_100_does_not_overtake_the_answer_before_it(port: int) -> None:
    async with dialogue(port) as peer:
        peer.send(post(body=asking("large")) + EXPECTING)
        await peer.read_until(b"100 Continue")
        peer.send(HELLO)

        assert await finish(peer) == [200, 100, 200, 200]


@pytest.mark.parametrize(
    ("fields", "status"),
    [(("Content-Length: 67108865",), 413), (("Content-Length: 5", "Expect: x"), 417)],
)
async def test_a_request_refused_by_its_head_gets_no_100(
    port: int, fields: tuple[str, ...], status: int
) -> None:
    async with dialogue(port) as peer:
        peer.send(framed("Expect: 100-continue", *fields, body=b""))

        assert await refusals(peer) == [status]


@pytest.mark.parametrize(
    "data",
    [
        framed("Content-Length: 99999999", body=b""),
        chunked(b"5000000\r\n"),
        chunked(b"5\r\nhello\r\n", b"fffffffff\r\n"),
    ],
)
async def test_a_body_too_large_is_refused_once_its_size_is_known(port: int, data: bytes) -> None:
    async with dialogue(port) as peer:
        peer.send(data)

        assert await refusals(peer) == [413]


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"\x16", []),
        (b"\x16\x03\x01\x02\x00\x01", []),
        (b"PRI * HTTP/2.0\r\n\r\n", []),
        (b"\x00", [400]),
        (b" ", [400]),
        (chunked(b"zz\r\n"), [400]),
        (chunked(b"1\r\nab"), [400]),
    ],
)
async def test_an_irreparable_request_is_refused_at_once(
    port: int, data: bytes, statuses: list[int]
) -> None:
    async with dialogue(port) as peer:
        peer.send(data)

        assert await refusals(peer) == statuses


async def test_a_stream_goes_on_for_a_client_that_has_half_closed(port: int) -> None:
    async with dialogue(port) as peer:
        peer.send(post(body=asking("large", stream=True)))
        await peer.read_until(b"data: ")
        peer.half_close()

        (answer,) = read_answers(await peer.read_all())
        assert answer.whole
        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_refused_client_that_goes_on_is_not_answered_again(port: int) -> None:
    async with dialogue(port) as peer:
        peer.send(b"nonsense\r\n\r\n")
        await peer.read_until(b"400 Bad Request")
        peer.send(HIDDEN * 3)

        assert await refusals(peer) == [400]


async def test_a_connection_serves_many_requests_after_errors(port: int) -> None:
    asked = [post(body=b"["), get(), get(target=CHAT), post(body=asking("nobody")), post()] * 20
    async with dialogue(port) as peer:
        for number, data in enumerate(asked, 1):
            peer.send(data)
            await peer.read_until(b"HTTP/1.1 ", number)

        assert await finish(peer) == [400, 200, 405, 404, 200] * 20 + [200]


async def test_a_cached_head_does_not_admit_another(port: int) -> None:
    """A line is known by its name and its colon, never by its name alone."""
    for line in ("X-B", "X-B b", "Accept", "Connection"):
        assert read_answers(await exchange(port, get(line)))[0].status == 400
