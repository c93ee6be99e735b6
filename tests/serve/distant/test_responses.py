"""Stored responses of several servers: each finds those of all, until they are deleted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.endpoints import stored_responses
from mockllm.engine.asking import without_pauses
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, FindElsewhere, ForwardRequest, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.pieces import finish
from mockllm.serve.distant import redis_store
from mockllm.serve.distant import responses as distant_responses
from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.serve.distant.redis_link import RedisScript
from mockllm.serve.distant.redis_store import Member, RedisStore
from mockllm.serve.distant.responses import DistantResponses
from mockllm.serve.peer_messages import pack_responses
from mockllm.serve.turns import Turns
from mockllm.state.operations import EndSession
from mockllm.state.responses import StoredResponse, make_unique_id
from mockllm.state.store import StateUnavailableError
from mockllm.wire.placeholders import FreshValues, id_tail
from tests.support.observed import request
from tests.support.processes import until
from tests.support.redis_servers import (
    RedisServer,
    needs_redis,
    shared_client,
    shared_server,
)
from tests.support.turns import CountedTurns

pytestmark = [pytest.mark.anyio, needs_redis]

CONFIG: dict[str, Any] = {
    "mocks": [
        {"match": {"turn": 3}, "reply": "third"},
        {"match": {"turn": 2}, "reply": "second"},
        {"match": {"turn": 1}, "reply": "first"},
    ]
}
NUMBERS = count()


class Worker:
    """The only worker of a server, without sockets."""

    def __init__(self, address: RedisAddress, timeout: float) -> None:
        self.app = App(build_engine(CONFIG))
        member = Member(f"server-{next(NUMBERS)}", "0-1", "c")
        self.store = RedisStore(address, member, timeout=timeout, gone=self.app.forget_session)
        self.app.share_state(self.store, lambda: self.store.condition)
        self.responses = DistantResponses(self.app, self.store, None, Turns())

    async def stop(self) -> None:
        await self.responses.stop()
        await self.store.stop()

    async def decide(self, asked: Request) -> Decision:
        decided = without_pauses(self.app.decide(asked))
        while isinstance(decided, Question):
            if isinstance(decided.operations[0], ForwardRequest | FindElsewhere):
                results = await self.responses.perform(decided.operations)
            else:
                results = await self.store.perform_later(decided.operations)  # type: ignore[arg-type]  # of state
            decided = without_pauses(decided.resume(results))
        return decided

    async def create(self, previous: str | None = None, session: str = "", **words: Any) -> str:
        """Create a response, which is delivered. Returns its id."""
        body = {"model": "m", "input": "hi", "previous_response_id": previous, **words}
        asked = request(f"{'/session/' if session else ''}{session}/v1/responses", body)
        decision = await self.decide(asked)
        assert decision.reply.status == 200
        unique = make_unique_id(next(NUMBERS), 0)
        fresh = FreshValues(unique, b"1700000000", b"Tue, 14 Nov 2023 22:13:20 GMT")
        self.app.responses.store(asked, decision, fresh)
        return f"resp_{unique.decode()}{id_tail(48, 'response')}"

    async def text_of(self, response_id: str, session: str = "") -> str | None:
        """The words of a response that is retrieved; None if there is none."""
        status, value = await self.ask("GET", response_id, session)
        assert status in (200, 404)
        return value["output"][0]["content"][0]["text"] if status == 200 else None

    async def has(self, response_id: str, session: str = "") -> bool:
        """Whether a response is found without waiting for it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distant_responses, "MAX_WAIT", 0.0)
            return await self.text_of(response_id, session) is not None

    async def ask(self, method: str, path: str, session: str = "") -> tuple[int, Any]:
        prefix = f"/session/{session}" if session else ""
        headers = ((b"authorization", b"Bearer k"), (b"host", b"h"))
        asked = Request.of(method, f"{prefix}/v1/responses/{path}", headers, b"")
        reply = (await self.decide(asked)).reply
        return reply.status, orjson.loads(b"".join(step.data for step in reply.steps))


class Peers:
    """Other workers of the same server."""

    async def perform(self, operations: Sequence[Any]) -> Sequence[Any]:
        return ["of a peer"] * len(operations)


class Servers:
    """Servers with one worker each, at `address`."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self.workers: list[Worker] = []

    def start(self, number: int, timeout: float = 20.0) -> list[Worker]:
        workers = [Worker(self._address, timeout) for _ in range(number)]
        self.workers += workers
        for worker in workers:
            worker.store.start()
        return workers

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.stop()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "BEAT", 0.01)
    monkeypatch.setattr(distant_responses, "RETRY", 0.01)
    monkeypatch.setattr(distant_responses, "MAX_WAIT", 20.0)  # the machine may be slow
    distant_responses.responses_script.cache_clear()


@pytest.fixture(params=["at once", "in pieces"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stored requests are read again at once, as small ones are, or in pieces, as large ones."""
    if request.param == "in pieces":
        monkeypatch.setattr(stored_responses, "MAX_UNDIVIDED", 0)
        monkeypatch.setattr(distant_responses, "MAX_PIECE", 7)
    yield
    distant_responses.responses_script.cache_clear()


@pytest.fixture
async def servers(prefix: str) -> AsyncIterator[Servers]:
    servers = Servers(RedisAddress("127.0.0.1", shared_server().port, prefix=prefix))
    yield servers
    await servers.stop()


# --- Finding --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("reading")
async def test_a_response_is_found_by_another_server_at_once(servers: Servers) -> None:
    one, two = servers.start(2)
    for _ in range(20):
        response_id = await one.create()
        assert await two.ask("GET", response_id) == await one.ask("GET", response_id)
        status, items = await two.ask("GET", f"{response_id}/input_items")
        assert (status, items["data"][0]["content"][0]["text"]) == (200, "hi")


@pytest.mark.usefixtures("reading")
async def test_a_conversation_is_continued_by_any_server(servers: Servers) -> None:
    one, two, three = servers.start(3)
    first = await one.create()
    second = await two.create(first)
    third = await three.create(second)

    assert [await one.text_of(each) for each in (first, second, third)] == [
        "first",
        "second",
        "third",
    ]


async def test_an_unknown_response_is_not_found(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distant_responses, "MAX_WAIT", 0.0)
    (one,) = servers.start(1)
    unknown = f"resp_{make_unique_id(1 << 40, 0).decode()}{id_tail(48, 'response')}"

    assert [await one.text_of(each) for each in (unknown, "resp_recorded", "x/y")] == [None] * 3
    assert (await one.ask("DELETE", unknown))[0] == 404
    asked = request("/v1/responses", {"model": "m", "input": "a", "previous_response_id": unknown})
    assert (await one.decide(asked)).reply.status == 404  # no turn is known


async def test_sessions_do_not_see_the_responses_of_others(servers: Servers) -> None:
    one, two = servers.start(2)
    response_id = await one.create(session="a")

    assert await two.text_of(response_id, "a") == "first"
    assert [await two.has(response_id, each) for each in ("", "b")] == [False, False]
    await two.store.perform_later([EndSession("a")])
    assert shared_client().hlen(f"{servers._address.prefix}:responses-of:a") == 0
    assert shared_client().zcard(f"{servers._address.prefix}:responses") == 0
    numbers = shared_client().hgetall(f"{servers._address.prefix}:responses-numbers")
    assert numbers[b"bytes"] == b"0"


async def test_what_is_not_to_be_stored_is_not(servers: Servers) -> None:
    one, two = servers.start(2)
    kept = await one.create(metadata={"note": '"store": false'})
    left_out = await one.create(store=False)

    assert await two.text_of(kept) == "first"
    await one.responses._write_all()
    assert not await two.has(left_out)
    assert shared_client().zcard(f"{servers._address.prefix}:responses") == 1


# --- Changing -------------------------------------------------------------------------------------


async def test_what_one_server_deletes_is_deleted_for_all(servers: Servers) -> None:
    one, two = servers.start(2)
    response_id = await one.create()
    assert await two.text_of(response_id) == "first"
    assert (await two.ask("DELETE", response_id))[0] == 200

    assert [await each.text_of(response_id) for each in (one, two)] == [None, None]
    assert (await one.ask("DELETE", response_id))[0] == 404


async def test_what_one_server_cancels_is_cancelled_for_all(servers: Servers) -> None:
    one, two = servers.start(2)
    response_id = await one.create(background=True)
    assert (await two.ask("GET", response_id))[1]["status"] == "completed"
    assert (await two.ask("POST", f"{response_id}/cancel"))[1]["status"] == "cancelled"

    assert (await one.ask("GET", response_id))[1]["status"] == "cancelled"


# --- Bounds, and Redis that is slow, gone or empty ------------------------------------------------


async def test_the_oldest_go_when_there_are_too_many(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distant_responses, "MAX_RESPONSES", 3)
    one, two = servers.start(2)
    created = [await one.create() for _ in range(5)]
    await one.responses._write_all()
    found = [await two.has(each) for each in created]
    distant_responses.responses_script.cache_clear()

    assert found == [False, False, True, True, True]


async def test_the_oldest_go_when_they_are_too_large(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distant_responses, "MAX_BYTES", 20_000)
    one, two = servers.start(2)
    created = [await one.create(input="x" * 8_000) for _ in range(3)]
    await one.create(input="x" * 30_000)  # it would take the room of all
    await one.responses._write_all()
    found = [await two.has(each) for each in created]
    distant_responses.responses_script.cache_clear()

    assert found == [False, True, True]


async def test_everything_expires(servers: Servers, prefix: str) -> None:
    one, two = servers.start(2)
    response_id = await one.create(session="a")
    assert await two.text_of(response_id, "a") == "first"

    keys = [*shared_client().scan_iter(f"{prefix}:responses*")]
    assert len(keys) == 4
    assert [each for each in keys if shared_client().ttl(each) < 0] == []


async def test_without_redis_a_server_has_its_own_and_writes_them_later(
    redis: RedisServer,
) -> None:
    servers = Servers(RedisAddress("127.0.0.1", redis.port))
    one, two = servers.start(2, timeout=1.0)
    first = await one.create()
    assert await two.text_of(first) == "first"
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    second = await one.create(first)

    assert await one.text_of(second) == "second"
    assert await two.text_of(second) is None
    redis.process.send_signal(signal.SIGCONT)
    await until(lambda: not one.responses._written)
    await until(lambda: two.store.condition.name == "SHARED")
    assert await two.text_of(second) == "second"
    await servers.stop()


async def test_a_server_has_its_own_when_redis_has_forgotten_them(
    servers: Servers, prefix: str
) -> None:
    one, two = servers.start(2)
    response_id = await one.create()
    assert await one.text_of(response_id) == "first"
    shared_client().delete(*shared_client().scan_iter(f"{prefix}:responses*"))

    assert await one.text_of(response_id) == "first"
    assert not await two.has(response_id)


async def test_a_server_that_stops_has_written_everything(servers: Servers) -> None:
    one, two = servers.start(2)
    created = [await one.create() for _ in range(120)]
    await one.responses.stop()

    assert [await two.text_of(each) for each in created[::20]] == ["first"] * 6


async def test_many_are_found_at_the_same_time(servers: Servers) -> None:
    one, two = servers.start(2)
    created = [await one.create() for _ in range(40)]

    assert await asyncio.gather(*map(two.text_of, created)) == ["first"] * 40


async def test_a_conversation_is_unknown_while_redis_is_lost(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = servers.start(1)

    async def lost(*arguments: Any) -> Any:
        raise StateUnavailableError("state_lost", "no answer")

    monkeypatch.setattr(one.store, "run", lost)
    assert await one.responses.perform([FindElsewhere("resp_x", "")]) == [None]
    monkeypatch.setattr(one.responses, "_peers", Peers())
    assert await one.responses.perform([FindElsewhere("resp_x", "")]) == ["of a peer"]
    await one.responses.find_earlier("resp_x", "")


@pytest.mark.parametrize("store", [True, False])
async def test_a_large_response_is_packed_in_pieces_soon(store: bool) -> None:
    written: list[bytes] = []

    class Runner:
        async def run(self, script: RedisScript, arguments: Sequence[bytes]) -> None:
            written.extend(arguments)

    app = App(Engine(load(Config.from_dict({"mocks": [{"reply": "ok"}]}))))
    turns = CountedTurns()
    responses = DistantResponses(app, Runner(), None, turns)
    items = [{"role": "user", "content": "hello"}] * 20_000
    members = {"model": "m", "input": items, "metadata": {"store": False}, "store": store}
    body = orjson.dumps(members)
    fresh = FreshValues(b"0" * 20, b"1" * 10, b"2" * 29)
    stored = StoredResponse(body, {"output": ["x" * 1_000_000]}, "word", None, fresh)

    responses.post(stored)
    at_once = list(written)
    await until(lambda: not responses._written)

    assert at_once == []
    assert sum(turns.pauses) > 5
    packed = [orjson.loads(each) for each in written[4:]]
    assert packed == ([finish(pack_responses([stored]))] if store else [])
