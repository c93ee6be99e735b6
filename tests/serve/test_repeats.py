"""Reads that were answered before: the connection with a look-up equals the one without."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mockllm import AsyncServer, bounded_cache
from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine.added import compile_added
from mockllm.engine.decision import Match, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load
from mockllm.exchange import Request
from mockllm.serve import repeats
from mockllm.serve.connections import Service
from mockllm.serve.phase import Phase
from mockllm.serve.protocol import HTTPProtocol
from mockllm.serve.repeats import MAX_HASHED, MAX_READ
from mockllm.state.operations import BeginSession, EndSession, Operation, Reset
from tests.support.http.answers import read_answers
from tests.support.http.messages import (
    CHAT,
    HELLO,
    KEY,
    RESPONSES,
    asking,
    chunked,
    chunks,
    framed,
    get,
    message,
    post,
)
from tests.support.http.serving import (
    CHANGES,
    CONFIGURATIONS,
    MOCKS,
    PLAIN,
    Serving,
    received,
)
from tests.support.http.transport import Written

LONG = "word " * 1_000

ENDING = ["Accept: */*", "X-A: a", f"Content-Length: {len(HELLO)}"]
MESSAGES = [
    post(),
    post(body=asking("Hello", stream=True)),
    post(body=asking(LONG)),
    post(body=asking("Hello", user=LONG)),
    post(body=asking("Hello", user=LONG.replace("word word", "word wort", 1))),
    post(body=asking("nobody")),
    post(body=asking("next")),
    post(body=asking("made")),
    post(body=asking("broken")),
    post(body=b"{"),
    post("X-Tenant: a", body=asking("any")),
    post("X-Tenant: b", body=asking("any")),
    post("X-Test: s"),
    post("x-mockllm-session: s"),
    post("x-mockllm-session: not a name"),
    post(target="/session/s" + CHAT),
    post(target=RESPONSES, body=b'{"model":"m","input":"Hello"}'),
    post(target="/v1/unknown"),
    post(target="/session/s/v1/unknown"),
    post(version="1.0"),
    post("Connection: close"),
    post("Expect: 100-continue"),
    message(f"POST {CHAT} HTTP/1.1", "Host: h", "Content-Length: 2", body=b"{}"),
    chunked(chunks(asking("Hello")), b"0\r\n\r\n"),
    framed("Content-Length: 5", "Transfer-Encoding: chunked"),
    get(target="/v1/models"),
    get(target="/v1/unknown"),
    get(target="/v1/unknown", method="HEAD"),
    get(target=CHAT),
    get(target="/ready"),
]
ALIKE = [
    post("X-Request-Id: <n>"),
    post("X-Request-Id: <n>", body=asking("Hello", stream=True)),
    post("X-Request-Id: <n>", body=asking(LONG)),
    post("X-Request-Id: <n>", body=asking("next")),
    post("X-Request-Id: <n>", body=asking("nobody")),
    post("X-Tenant: <ab>", body=asking("any")),
    post("X-Test: <ab>"),
    post("x-mockllm-session: <ab>"),
    post("x-stainless-retry-count: <0>"),
    post("X-Request-Id: <n>", target=RESPONSES, body=b'{"model":"m","input":"Hello"}'),
    message(f"POST {CHAT} HTTP/1.1", "Host: h", "Authorization: <bearer>", *ENDING, body=HELLO),
]
"""Of these, each has a head of its own."""
KEPT = [MESSAGES[place] for place in (0, 1, 2, 3, 4, 5, 10, 11, 12, 16, 17, 21, 23, 26)]
"""Those that are answered by their bytes alone."""


@pytest.fixture(autouse=True, scope="module")
def _no_time_passes() -> Iterator[None]:
    """The work of no request counts, so that none waits for its turn on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.serve.answering.MIN_CHARGED", math.inf)
        yield


# --- Which reads are kept -------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(MESSAGES)))
def test_what_depends_on_its_bytes_alone_is_kept_the_second_time(place: int) -> None:
    data = MESSAGES[place]

    async def kept() -> list[int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        numbers = []
        for _ in range(4):
            await received(serving, data)
            numbers.append(len(serving.service.repeats))
        return numbers

    assert asyncio.run(kept()) == ([0, 1, 1, 1] if data in KEPT else [0, 0, 0, 0])


@pytest.mark.parametrize(
    "loaded",
    [
        CONFIGURATIONS[2],  # the session is named by a header, or not
        CONFIGURATIONS[3],  # traffic begins and ends
        load(Config.from_dict({"mocks": MOCKS, "latency": {"ttft": 0.001}})),
        load(Config.from_dict({"mocks": [PLAIN | {"latency": {"ttft": 0.001, "jitter": 0.5}}]})),
    ],
)
def test_what_something_else_decides_is_not_kept(loaded: Loaded) -> None:
    async def kept() -> int:
        serving = Serving(loaded, reuse=True)
        await received(serving, *[post()] * 4)
        return len(serving.service.repeats)

    assert asyncio.run(kept()) == 0


def test_wishes_of_clients_are_not_kept() -> None:
    async def kept() -> int:
        app = App(Engine(CONFIGURATIONS[0], client_faults=True))
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        serving.service = Service(app)
        for wish in ("error: 500", "latency: 1ms", "fault: cut"):
            await received(serving, *[post(f"x-mockllm-{wish}")] * 4)
        return len(serving.service.repeats)

    assert asyncio.run(kept()) == 0


@pytest.mark.parametrize("data", KEPT)
def test_no_other_read_is_kept(data: bytes) -> None:
    """Neither a part of a request, nor more than one, nor one behind another."""

    async def kept() -> int:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        for _ in range(3):
            await received(serving, data[:20], data[20:])
            await received(serving, data + data)
            await received(serving, data + data[:20], data[20:])
        return len(serving.service.repeats)

    assert asyncio.run(kept()) == 0


def test_reads_are_kept_again_after_many_that_never_came_again() -> None:
    async def kept() -> tuple[int, int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        differing = [
            post(body=asking("Hello", user=str(n))) for n in range(bounded_cache.PATIENCE + 20)
        ]
        await received(serving, *differing)
        resting = serving.service.repeats.rest
        await received(serving, *[post()] * (3 * bounded_cache.RARELY))
        return resting, len(serving.service.repeats)

    resting, count = asyncio.run(kept())

    assert resting > 0
    assert count == 1


def test_without_reuse_nothing_is_kept() -> None:
    async def kept() -> int:
        serving = Serving(CONFIGURATIONS[0], reuse=False)
        await received(serving, *[post(), post(target="/v1/unknown")] * 4)
        return len(serving.service.repeats)

    assert asyncio.run(kept()) == 0


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MAX_BYTES", 100_000)
    large = post(body=asking("Hello", user="x" * MAX_READ))

    async def kept() -> list[int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        numbers = []
        for number in range(60):
            data = post(body=asking("Hello", user=f"{number} {LONG}"))
            await received(serving, data, data, large, large)
            numbers.append(len(serving.service.repeats))
        return numbers

    numbers = asyncio.run(kept())

    assert 0 < max(numbers) < 12


def test_long_reads_that_look_alike_are_told_apart() -> None:
    bodies = [bytearray(asking("Hello", user="a" * 5 * MAX_HASHED)) for _ in range(3)]
    for place, body in enumerate(bodies):
        body[1_001 + place] = ord("b")
    reads = [post(body=bytes(body)) for body in bodies]
    assert len({repeats.sample(data) for data in reads}) == 1

    async def both() -> list[bytes]:
        return [
            await received(Serving(CONFIGURATIONS[0], reuse=reuse, observed=True), *reads * 4)
            for reuse in (True, False)
        ]

    repeated, plain = asyncio.run(both())
    assert repeated == plain


# --- When they are dropped ------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_drops_all(change: str) -> None:
    async def answers() -> tuple[list[bytes], int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        plain = Serving(CONFIGURATIONS[0], reuse=False)
        for each in (serving, plain):
            await received(each, *[post()] * 3)
            CHANGES[change](each.app)
            await each.receive(-1, post())
        return [*serving.written, *plain.written], len(serving.service.repeats)

    (written, expected), kept = asyncio.run(answers())

    assert written == expected
    assert kept == 0


def test_a_server_that_drains_repeats_nothing() -> None:
    """Each answer says that the connection closes."""

    async def draining() -> tuple[bytes, int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[post()] * 3)
        serving.service.drain(last_call=9.0)
        await serving.receive(-1, post())
        await received(serving, post())
        await received(serving, post())
        return serving.written[0], len(serving.service.repeats)

    data, kept = asyncio.run(draining())
    *_, last = read_answers(data)
    assert last.closes
    assert kept == 0


# --- When the connection or the loop has no time --------------------------------------------------


def test_while_other_work_waits_a_repeated_request_waits_too() -> None:
    async def waiting() -> tuple[bytes, Phase]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[post()] * 3)
        before = serving.written[0]
        serving.service.turns.spend(1.0)
        protocol, transport = serving.connections[0]
        protocol.data_received(post())
        phase = protocol.phase
        while protocol.phase is Phase.ANSWERING and not transport.ended:
            await checkpoint()
        return transport.data.removeprefix(before), phase

    data, phase = asyncio.run(waiting())

    assert phase is Phase.ANSWERING
    assert data.startswith(b"HTTP/1.1 200 ")


def test_a_peer_that_does_not_read_is_answered_in_a_task() -> None:
    async def stuck() -> tuple[bytes, bytes, Phase]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[post()] * 3)
        protocol, transport = serving.connections[0]
        before, transport.data = transport.data, b""
        protocol.pause_writing()
        protocol.data_received(post())
        for _ in range(5):
            await checkpoint()
        held, phase = transport.data, protocol.phase
        protocol.resume_writing()
        while protocol.phase is Phase.ANSWERING and not transport.ended:
            await checkpoint()
        return before, held + transport.data, phase

    before, data, phase = asyncio.run(stuck())

    assert phase is Phase.ANSWERING
    assert data.count(b"HTTP/1.1 200 ") == 1
    assert len(before) % 3 == 0  # one answer as the other


def test_what_other_processes_have_changed_is_known_before_each_repeat() -> None:
    async def changing() -> tuple[list[bool], int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[post()] * 3)
        asked: list[int] = []

        def catch_up() -> bool:
            asked.append(len(asked))
            if len(asked) == 2:
                serving.app.use(Engine(CONFIGURATIONS[1]))
            return True

        serving.app.changes.follow(catch_up)
        for _ in range(3):
            await serving.receive(-1, post())
        bodies = [answer.body for answer in read_answers(serving.written[-1])]
        return [b"changed" in body for body in bodies], len(asked)

    assert asyncio.run(changing()) == ([False] * 4 + [True] * 2, 2)


def test_nothing_is_repeated_while_a_change_of_another_process_takes_long() -> None:
    serving = Serving(CONFIGURATIONS[0], reuse=True)

    async def answered() -> int:
        await received(serving, *[post()] * 3)
        serving.app.changes.follow(lambda: False)
        await received(serving, *[post()] * 3)
        return len(serving.service.repeats)

    assert asyncio.run(answered()) == 0


def test_an_answer_from_before_a_change_is_not_kept_after_it() -> None:
    """A process learns of the changes of others in the midst of an answer."""

    async def answers() -> list[bool]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, post())
        changes: list[int] = []

        def catch_up() -> bool:
            if not changes:
                changes.append(1)
                serving.app.use(Engine(CONFIGURATIONS[1]))
            return True

        serving.app.changes.follow(catch_up)
        for _ in range(3):
            await serving.receive(-1, post())
        return [b"changed" in answer.body for answer in read_answers(serving.written[-1])]

    assert asyncio.run(answers()) == [False, False, True, True]


# --- What others see of it ------------------------------------------------------------------------


def test_an_observer_sees_each_exchange() -> None:
    async def both() -> list[list[tuple[Any, ...]]]:
        found = []
        for reuse in (True, False):
            serving = Serving(CONFIGURATIONS[0], reuse=reuse, observed=True)
            await received(serving, *[post(), post(body=asking("nobody"))] * 4)
            found.append(serving.exchanges)
        return found

    repeated, plain = asyncio.run(both())

    assert repeated == plain
    assert len(plain) == 12  # those without a match have an observer of their own beside


@pytest.mark.parametrize("place", range(len(MESSAGES)))
def test_the_journal_and_the_metrics_have_each_request(place: int) -> None:
    """As full as without reuse, and beside requests that are made anew."""
    data = MESSAGES[place]

    async def both() -> list[Any]:
        found = []
        for reuse in (True, False):
            serving = Serving(CONFIGURATIONS[0], reuse=reuse, recorded=True, metered=True)
            for _ in range(5):
                await received(serving, data)
                await received(serving, post("x-stainless-retry-count: 1"))
            found.append((serving.entries, serving.counts))
        return found

    repeated, plain = asyncio.run(both())

    assert repeated == plain
    assert len(plain[0]) == 10


def test_repeated_requests_have_times_of_their_own() -> None:
    async def times() -> tuple[list[float], list[float], float]:
        serving = Serving(CONFIGURATIONS[0], reuse=True, recorded=True, metered=True)
        assert serving.journal is not None
        asked = []
        for _ in range(5):
            asked.append(time.monotonic())
            await received(serving, post())
        calls = serving.journal.read().calls
        return asked, [call.started for call in calls], time.monotonic()

    asked, started, end = asyncio.run(times())

    assert all(a <= b <= c for a, b, c in zip(asked, started, [*asked[1:], end], strict=True))


def test_the_entry_of_a_repeated_request_is_there_before_its_answer() -> None:
    async def lengths() -> list[int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True, recorded=True, metered=True)
        found: list[int] = []

        class Asking(Written):
            def write(self, data: bytes) -> None:
                found.append(len(serving.entries))

        protocol = HTTPProtocol(serving.service)
        protocol.connection_made(cast("Any", Asking()))
        for _ in range(5):
            protocol.data_received(post())
        return found

    assert asyncio.run(lengths()) == [1, 2, 3, 4, 5]


def test_metrics_count_each_request() -> None:
    counted: list[tuple[bytes, Outcome]] = []

    class Counting:
        def count(self, request: Request, match: Match, decided: float) -> None:
            counted.append((request.body, match.outcome))

        def prepare(self, request: Request, match: Match) -> None:
            """Count each anew."""

    async def send() -> int:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        serving.service = Service(serving.app, meter=cast("Any", Counting()))
        await received(serving, *[post()] * 5)
        return len(serving.service.repeats)

    assert asyncio.run(send()) == 1
    assert counted == [(HELLO, Outcome.MOCK)] * 5


def test_repeated_requests_are_calls_and_hits() -> None:
    async def exchange() -> tuple[int, bytes, int]:
        async with AsyncServer({"mocks": MOCKS}) as server:
            assert server._listening is not None
            service = server._listening.listener._service
            port = int(server.base_url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = b""
            for data in (
                *[post()] * 5,
                *[post(body=asking("nobody"))] * 5,
                get("Connection: close"),
            ):
                writer.write(data)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                answer = await reader.readexactly(length)
            writer.close()
            return len(server.calls), answer, len(service.repeats)

    calls, health, kept = asyncio.run(exchange())

    assert calls == 11
    assert b'"hits":6' in health.replace(b" ", b"")
    assert b'"misses":4' in health.replace(b" ", b"")
    assert kept == 2


def test_a_repeated_response_is_stored_under_an_id_of_its_own() -> None:
    ask = post(target=RESPONSES, body=b'{"model":"m","input":"Hello"}')

    async def stored() -> tuple[list[str], list[int]]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        answers = read_answers(await received(serving, *[ask] * 5))
        assert len(serving.service.repeats) == 1
        ids = [re.findall(r"resp_\w+", answer.body.decode())[0] for answer in answers]
        reads = [get(KEY, target=f"{RESPONSES}/{each}") for each in ids]
        found = read_answers(await received(serving, *reads))
        return ids, [answer.status for answer in found]

    ids, found = asyncio.run(stored())

    assert len(set(ids)) == 5
    assert found == [200] * 5


# --- The specification ----------------------------------------------------------------------------

OPERATIONS: list[Operation] = [
    Reset(),
    BeginSession("s", current=True),
    BeginSession("s", current=False),
    BeginSession("", current=True),
    EndSession("s"),
]
CONNECTIONS = 3


class Repeating(RuleBasedStateMachine):
    """One history, lived by a service that repeats itself and by one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.numbers = count(10)

    @initialize(
        seen_by=st.sampled_from(["nobody", "metrics", "observers", "records"]),
        few=st.lists(st.sampled_from(MESSAGES) | st.sampled_from(ALIKE), min_size=1, max_size=3),
    )
    def start(self, seen_by: str, few: list[bytes]) -> None:
        """Choose a few messages, so that a history repeats them."""
        self.few = few
        self.both = [self._serving(reuse, seen_by) for reuse in (True, False)]

    def _serving(self, reuse: bool, seen_by: str) -> Serving:
        serving = Serving(
            CONFIGURATIONS[0],
            reuse=reuse,
            observed=seen_by == "observers",
            recorded=seen_by == "records",
            metered=seen_by in ("metrics", "records"),
        )
        for _ in range(CONNECTIONS):
            serving.connect()
        return serving

    def _fill(self, which: int) -> bytes:
        """Return one of the few messages, with values of its own in the places for them."""
        number = next(self.numbers)
        data = self.few[which % len(self.few)].replace(b"<n>", b"%d" % number)
        data = data.replace(b"<bearer>", (b"Bearer %d" % number, b"Basic %d" % number)[number % 2])
        return data.replace(b"<ab>", b"ab"[number % 2 :][:1]).replace(b"<0>", b"%d" % (number % 2))

    def _send(self, place: int, *reads: bytes) -> None:
        for serving in self.both:
            for data in reads:
                self.runner.run(serving.receive(place, data))
        repeating, plain = self.both
        assert repeating.written == plain.written
        assert repeating.exchanges == plain.exchanges
        assert repeating.entries == plain.entries

    @rule(place=st.integers(0, CONNECTIONS - 1), which=st.integers(0, 2), times=st.integers(1, 7))
    def ask(self, place: int, which: int, times: int) -> None:
        """Send whole messages."""
        self._send(place, *[self._fill(which) for _ in range(times)])

    @rule(
        place=st.integers(0, CONNECTIONS - 1),
        which=st.lists(st.integers(0, 2), min_size=1, max_size=3),
        data=st.data(),
    )
    def ask_in_pieces(self, place: int, which: list[int], data: st.DataObject) -> None:
        """Send messages in reads that begin and end anywhere, also on their boundaries."""
        messages = [*map(self._fill, which)]
        stream = b"".join(messages)
        places = st.integers(0, len(stream)) | st.sampled_from(list(_boundaries(messages)))
        cuts = sorted({0, len(stream), *data.draw(st.lists(places, max_size=5))})
        self._send(place, *(stream[a:b] for a, b in pairwise(cuts)))

    @rule(loaded=st.sampled_from(CONFIGURATIONS))
    def reload(self, loaded: Loaded) -> None:
        """Load another configuration."""
        for serving, reuse in zip(self.both, (True, False), strict=True):
            serving.app.use(Engine(loaded, reuse=reuse))

    @rule(operation=st.sampled_from(OPERATIONS))
    def perform(self, operation: Operation) -> None:
        """Begin, use or end a session, or reset state."""
        for serving in self.both:
            serving.app.perform(operation)

    @rule(session=st.sampled_from([None, "s"]), reply=st.sampled_from(["a", "b"]))
    def add(self, session: str | None, reply: str) -> None:
        """Add a mock to all sessions, or to one."""
        for serving in self.both:
            mock = compile_added({"user": "Hello", "reply": reply}, next(serving.app.views.numbers))
            serving.app.add(mock, session)

    @rule()
    def remove(self) -> None:
        """Remove a mock that was added."""
        for serving in self.both:
            for mock in serving.app.views.added(None)[:1]:
                serving.app.remove(mock)

    @rule(word=st.sampled_from(["start", "stop"]))
    def control(self, word: str) -> None:
        """Begin or end the outage, if the configuration has one."""
        for serving in self.both:
            if word == "start":
                serving.app.traffic.start("outage", 0.0)
            else:
                serving.app.traffic.stop("outage")

    def teardown(self) -> None:
        """End the loop."""
        self.runner.close()
        repeating, plain = self.both
        assert repeating.counts == plain.counts


def _boundaries(messages: list[bytes]) -> Iterator[int]:
    """The places between messages, and between the heads and the bodies."""
    place = 0
    for data in messages:
        yield place
        yield place + data.find(b"\r\n\r\n") + 4
        place += len(data)


TestRepeating = Repeating.TestCase
TestRepeating.settings = settings(max_examples=60, stateful_step_count=25)
