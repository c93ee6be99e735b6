"""Changes that several servers make: one order, nothing halfway, and what is missed is made up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, cast

import orjson
import pytest

from mockllm.app import App
from mockllm.endpoints.control.access import Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.making import LocalChanges
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, Delivery, DividedWork, Exchange, Question, Wait
from mockllm.engine.packed_changes import restore
from mockllm.exchange import Request
from mockllm.observers.journal import Journal
from mockllm.pieces import finish
from mockllm.serve import change_follower
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.distant import changes as distant_changes
from mockllm.serve.distant import redis_changes, redis_store
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.changes import DistantChanges
from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.serve.distant.redis_store import Member, RedisStore
from mockllm.serve.gates import Gates
from mockllm.state.operations import Operation
from mockllm.state.store import Condition
from tests.serve.test_shared_changes import CONFIG, Answer, read
from tests.support.control import HOST, JSON, TOKEN
from tests.support.observed import request
from tests.support.processes import until
from tests.support.redis_servers import (
    RedisServer,
    needs_redis,
    shared_client,
    shared_server,
)

pytestmark = [pytest.mark.anyio, needs_redis]

NAMES = (f"server-{number}" for number in count())


EPOCH = time.time() - time.monotonic()


class Worker:
    """The only worker of a server, without sockets of its own."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = 20.0,
        config: str = "c",
        started: float | None = None,
        max_entries: int = 1000,
    ) -> None:
        number = random.getrandbits(48)  # it need not be hard to guess
        member = Member(next(NAMES), f"0-{number:012x}", config)
        self.clock = Clock(started=started)
        self.app = App(build_engine(CONFIG), elapsed=self.clock.elapsed)
        self.store = RedisStore(address, member, timeout=timeout, gone=self.app.forget_session)
        self.app.share_state(self.store, lambda: self.store.condition)
        self.changes = DistantChanges(self.store)
        self.gates = Gates(worker=self.store.number)
        self.service = Service(self.app, clock=self.clock, gates=self.gates)
        self.own, copy = (
            Journal(
                max_entries=size, epoch=EPOCH, find_earlier=self.app.responses.find_earlier_of_call
            )
            for size in (max_entries, sys.maxsize)
        )
        self.calls = DistantCalls(self.own, copy, self.changes.call_log(max_entries))
        local = LocalChanges(self.app, self.clock, self.gates, self.calls)
        self.changes.use(self.service, local, self.calls)
        desk = Desk(
            self.app,
            self.changes,
            Access(TOKEN),
            self.calls,
            self.clock,
            self.gates,
            cast("Any", None),
            lambda: "unnamed",
        )
        self.app.control = ControlAPI(desk)

    async def start(self) -> None:
        self.store.start()
        await self.changes.start()

    async def stop(self) -> None:
        await self.changes.stop()
        await self.store.stop()

    async def decide(self, asked: Request) -> Decision:
        decided = self.service.decide(asked)
        while isinstance(decided, Question):
            (work, *_) = decided.operations
            if isinstance(work, DividedWork):
                results: Any = [finish(work.pieces)]
            elif isinstance(work, Wait):
                results = [await work.begin()]
            else:
                operations = cast("tuple[Operation, ...]", decided.operations)
                results = await self.store.perform_later(operations)
            decided = decided.resume(results)
        return decided

    async def ask(
        self, method: str, path: str, body: Any = None, query: str = "", **headers: str
    ) -> tuple[int, Any]:
        """Ask the control API. Returns the status, and the value of the answer."""
        return read(await self.control(method, path, body, query, **headers))

    async def control(
        self, method: str, path: str, body: Any = None, query: str = "", **headers: str
    ) -> Decision:
        """Ask the control API. Returns what it has decided."""
        lines = {**HOST, **JSON, "authorization": f"Bearer {TOKEN}", **headers}
        written = tuple((name.encode(), value.encode()) for name, value in lines.items())
        data = b"" if body is None else orjson.dumps(body)
        asked = Request.of(method, f"/__mockllm/{path}", written, data, query=query)
        return await self.decide(asked)

    async def version_of(self, name: str) -> str:
        """The ETag of a mock."""
        decided = await self.control("GET", f"mocks/{name}")
        return dict(decided.reply.headers)[b"etag"].decode()

    async def say(self, text: str, session: str | None = None) -> str | None:
        """Ask a mock. Returns its words; None if no mock answers."""
        prefix = "" if session is None else f"/session/{session}"
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        asked = request(f"{prefix}/v1/chat/completions", body)
        decision = await self.decide(asked)
        delivery = Delivery(0.0, 0.0, 0.0, started=time.monotonic())
        self.own.observe(Exchange(asked, decision, delivery))
        _, value = read(decision)
        return value["choices"][0]["message"]["content"] if "choices" in value else None

    async def add(self, text: str, reply: str, query: str = "", **words: Any) -> int:
        mock = {"user": text, "reply": reply, **words}
        return (await self.ask("POST", "mocks", mock, query))[0]

    async def known(self) -> list[Any]:
        """All that can be read of what was changed."""
        paths = ("mocks", "sessions", "traffic", "speed", "gates")
        return [await self.ask("GET", path) for path in paths]


class Servers:
    """Servers that share what is changed, at `address`."""

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self._stack = contextlib.AsyncExitStack()

    async def start(self, number: int = 1, **settings: Any) -> list[Worker]:
        workers = [Worker(self.address, **settings) for _ in range(number)]
        for worker in workers:
            await worker.start()
            self._stack.push_async_callback(worker.stop)
        return workers

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture(autouse=True)
def _beat_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "BEAT", 0.01)
    monkeypatch.setattr(distant_changes, "LISTENING", 0.05)


@pytest.fixture
async def servers(prefix: str) -> AsyncIterator[Servers]:
    servers = Servers(RedisAddress("127.0.0.1", shared_server().port, prefix=prefix))
    yield servers
    await servers.stop()


@pytest.fixture
async def distant(redis: RedisServer) -> AsyncIterator[Servers]:
    """Servers at a Redis that the test may stop."""
    servers = Servers(RedisAddress("127.0.0.1", redis.port))
    yield servers
    await servers.stop()


async def change_everything(worker: Worker) -> None:
    assert await worker.add("x", "first") == 201
    assert await worker.add("x", "removed", name="gone") == 201
    assert (await worker.ask("PUT", "sessions/a", {}))[0] == 201
    assert await worker.add("y", "of a", "session=a") == 201
    assert (await worker.ask("DELETE", "mocks/gone"))[0] == 204
    assert (await worker.ask("PUT", "sessions", {"current": "a"}))[0] == 200
    entry = {"match": {"user": "busy"}, "error": "rate_limit", "from": "1h"}
    assert (await worker.ask("PUT", "traffic/busy", entry))[0] in (200, 201)
    assert (await worker.ask("POST", "traffic/busy/start", {}))[0] == 204
    assert (await worker.ask("PUT", "speed", {"speed": 3}))[0] == 200
    assert (await worker.ask("POST", "gates/g/open", {}))[0] == 204
    assert (await worker.ask("POST", "gates/h/release", {}))[0] == 204


# --- One order ------------------------------------------------------------------------------------


async def test_what_one_server_changes_holds_for_the_next_request_to_any(servers: Servers) -> None:
    one, two = await servers.start(2)

    assert (await one.add("x", "1"), await two.say("x")) == (201, "1")
    assert (await two.ask("DELETE", "mocks/added[0]"))[0] == 204
    assert await one.say("x") is None
    assert (await one.ask("PUT", "sessions", {"current": "s"}))[0] == 200
    assert (await two.ask("GET", "sessions"))[1]["current"] == "s"
    assert (await two.ask("DELETE", "sessions/s"))[0] == 204
    assert (await one.say("configured"), await two.say("configured")) == (None, None)
    assert (await one.ask("PUT", "sessions", {"current": None}))[0] == 200
    assert await two.say("configured") == "yes"


async def test_a_version_is_compared_with_what_all_servers_know(servers: Servers) -> None:
    one, two = await servers.start(2)
    await one.add("x", "1", name="m")
    version = await two.version_of("m")
    changed = {"user": "x", "reply": "2"}
    headers = {"if-match": version}

    assert (await one.ask("PUT", "mocks/m", changed, **headers))[0] == 200
    assert (await two.ask("PUT", "mocks/m", changed, **headers))[0] == 412


async def test_changes_at_the_same_time_have_one_order(servers: Servers) -> None:
    workers = await servers.start(3)
    chance = random.Random(7)  # noqa: S311  # it need not be hard to guess

    async def change(number: int) -> int:
        worker, name = chance.choice(workers), f"n{chance.randrange(3)}"
        if chance.random() < 0.7:
            mock = {"user": "x", "reply": f"{number}"}
            return (await worker.ask("PUT", f"mocks/{name}", mock))[0]
        return (await worker.ask("DELETE", f"mocks/{name}"))[0]

    statuses = await asyncio.gather(*map(change, range(40)))

    assert {*statuses} <= {200, 201, 204, 404}
    first, *others = [await worker.known() for worker in workers]
    assert others == [first, first]
    assert len({await worker.say("x") for worker in workers}) == 1


async def test_many_requests_wait_for_few_readings(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    await one.add("x", "1")
    readings = 0
    read_log = two.changes.follower.log.read

    async def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal readings
        readings += 1
        return await read_log(*arguments, **named)

    monkeypatch.setattr(two.changes.follower.log, "read", counted)
    monkeypatch.setattr(distant_changes, "LISTENING", 60.0)

    assert await asyncio.gather(*(two.say("x") for _ in range(100))) == ["1"] * 100
    assert readings <= 4


async def test_what_takes_long_to_make_is_waited_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    may_go_on = asyncio.Event()

    async def restore_late(packed: Any, app: App) -> Any:
        await may_go_on.wait()
        return restore(packed, app.engine)

    monkeypatch.setattr(change_follower, "is_large", lambda packed: packed[0] == "AddMock")
    monkeypatch.setattr(change_follower, "restore_aside", restore_late)
    await one.add("x", "1")
    await until(lambda: two.changes.follower._is_making)
    monkeypatch.setattr(two.changes.follower, "_patience", 0.01)
    asking = asyncio.create_task(two.say("x"))
    await asyncio.wait({asking}, timeout=0.1)
    assert not asking.done()
    monkeypatch.setattr(two.changes.follower, "_patience", 20.0)
    may_go_on.set()

    assert await asking == "1"


async def test_probes_ask_nobody(servers: Servers) -> None:
    (one,) = await servers.start()
    for path in ("/health", "/ready", "/"):
        assert isinstance(one.service.decide(Request.of("GET", path, (), b"")), Decision)


async def test_a_refused_change_is_made_nowhere(servers: Servers) -> None:
    one, two = await servers.start(2)
    before = await two.known()

    assert (await one.ask("DELETE", "mocks/unknown"))[0] == 404
    assert (await one.ask("POST", "mocks", {"usr": "x"}))[0] == 400
    assert (await one.ask("POST", "mocks", {"user": "x", "reply": "y"}, "session=no"))[0] == 404

    assert await two.known() == before
    assert await two.add("x", "y") == 201  # nobody has kept the lock


# --- Servers that come later ----------------------------------------------------------------------


@pytest.mark.parametrize("compacts", [False, True])
async def test_a_new_server_knows_everything(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, *, compacts: bool
) -> None:
    now = asyncio.get_running_loop().time()
    (first,) = await servers.start(started=now - 1000)
    if compacts:
        monkeypatch.setattr(redis_changes, "MIN_COMPACTED", 1)
        monkeypatch.setattr(redis_changes, "MIN_GROWTH", 0)
    await change_everything(first)

    (second,) = await servers.start()

    assert await second.known() == await first.known()
    assert (await second.say("x", "a"), await second.say("y", "a")) == ("first", "of a")
    assert second.clock.elapsed() == pytest.approx(first.clock.elapsed(), abs=5)
    assert second.app.traffic.begun == first.app.traffic.begun
    assert second.gates.states.dump() == first.gates.states.dump()
    assert await second.add("z", "z") == 201
    assert (await first.ask("GET", "mocks/added[3]"))[1]["name"] == "added[3]"


async def test_a_worker_that_is_behind_what_is_kept_begins_anew(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late = await servers.start(2)
    await first.add("x", "1", name="x")
    assert await late.say("x") == "1"
    released, held = Answer(), Answer()
    assert late.gates.arrive("", "g", released)
    assert late.gates.arrive("", "g", held)
    await until(lambda: first.gates.reached(None, "g") == 2)
    monkeypatch.setattr(late.changes, "catch_up", lambda: asyncio.sleep(0))  # it is stopped
    monkeypatch.setattr(redis_changes, "MIN_COMPACTED", 1)
    monkeypatch.setattr(redis_changes, "MIN_GROWTH", 0)
    assert (await first.ask("POST", "gates/g/release", {}))[0] == 204
    for number in range(3):
        await first.ask("PUT", "mocks/x", {"user": "x", "reply": f"{number}"})
    monkeypatch.undo()

    assert await late.say("x") == "2"
    assert await late.known() == await first.known()
    assert (released.happened, held.happened) == ("passed", "")


# --- Redis that is gone, or empty -----------------------------------------------------------------


async def test_without_redis_what_is_known_is_answered_and_nothing_changed(
    distant: Servers, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mockllm")
    one, two = await distant.start(2, timeout=0.5)
    await one.add("x", "1")
    assert await two.say("x") == "1"
    redis.kill()
    await until(lambda: two.store.condition is Condition.LOST)

    assert await two.say("x") == "1"
    status, value = await two.ask("PUT", "speed", {"speed": 2})
    assert (status, value["error"]["code"]) == (503, "state_lost")

    redis.start()
    await until(lambda: {one.store.condition, two.store.condition} == {Condition.SHARED})
    assert (await two.ask("PUT", "speed", {"speed": 2}))[0] == 200
    assert (await one.ask("GET", "speed"))[1] == {"speed": 2.0}
    assert (await one.say("x"), await two.say("x")) == ("1", "1")
    assert await one.add("y", "2") == 201
    assert await two.say("y") == "2"


async def test_while_redis_is_stopped_requests_wait_no_longer_than_the_timeout(
    distant: Servers, redis: RedisServer
) -> None:
    one, two = await distant.start(2, timeout=0.2)
    await one.add("x", "1")
    assert await two.say("x") == "1"
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)

    answers = await asyncio.gather(*(two.say("x") for _ in range(20)))
    status, value = await one.ask("PUT", "speed", {"speed": 2})

    assert answers == ["1"] * 20
    assert (status, value["error"]["code"]) == (503, "state_lost")
    redis.process.send_signal(signal.SIGCONT)
    await until(lambda: {one.store.condition, two.store.condition} == {Condition.SHARED})
    assert await one.add("y", "2") == 201  # nobody has kept the lock
    assert await two.say("y") == "2"


async def test_a_process_that_was_stopped_answers_by_what_holds(servers: Servers) -> None:
    (one,), (other,) = await servers.start(), await servers.start(timeout=1.0)
    assert await one.add("x", "before", name="x") == 201
    assert await other.say("x") == "before"
    listening = other.changes._listening
    assert listening is not None
    while not listening.done():  # the client of Redis may swallow that it is cancelled
        listening.cancel()
        await asyncio.wait({listening}, timeout=0.05)
    assert (await one.ask("PUT", "mocks/x", {"user": "x", "reply": "now"}))[0] == 200

    answer = asyncio.create_task(other.say("x"))
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251  # as if the process had been stopped

    assert await answer == "now"


async def test_a_memory_that_is_lost_is_filled_again(servers: Servers, prefix: str) -> None:
    one, two = await servers.start(2)
    await change_everything(one)
    before = [each for each in await two.known() if "sessions" not in each[1]]
    keys = list(shared_client().scan_iter(f"{prefix}:*"))
    shared_client().delete(*keys)

    for worker in (one, two):
        assert [each for each in await worker.known() if "sessions" not in each[1]] == before
    assert await one.add("again", "x") == 201
    assert await two.add("again", "x") == 201
    mocks = (await one.ask("GET", "mocks"))[1]["mocks"]
    assert len({each["id"] for each in mocks}) == len(mocks)


async def test_another_configuration_follows_no_changes(servers: Servers) -> None:
    (one,) = await servers.start()
    (other,) = await servers.start(config="other")
    await until(lambda: other.store.condition is Condition.REFUSED)

    assert await one.add("x", "1") == 201
    await other.changes._wait_for_change(cast("Any", None))  # it does not ask: it could not read
    assert await other.say("x") is None
    status, value = await other.ask("PUT", "speed", {"speed": 2})
    assert (status, value["error"]["code"]) == (503, "state_refused")

    other.store.use_config("c")
    await until(lambda: other.store.condition is Condition.SHARED)
    assert await other.say("x") == "1"


async def test_a_lock_that_is_never_given_back_is_lost(servers: Servers, prefix: str) -> None:
    one, two = await servers.start(2, timeout=1.0)
    shared_client().set(f"{prefix}:changes-lock", "of one that died", px=100)

    statuses = [(await each.ask("PUT", "speed", {"speed": 2}))[0] for each in (one, two)]

    assert statuses == [200, 200]


async def test_who_has_lost_the_lock_changes_nothing(
    servers: Servers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    append = one.changes.follower.log.append

    async def late(*arguments: Any) -> Any:
        shared_client().set(f"{prefix}:changes-lock", "another")
        return await append(*arguments)

    monkeypatch.setattr(one.changes.follower.log, "append", late)
    status, value = await one.ask("PUT", "speed", {"speed": 2})

    assert (status, value["error"]["code"]) == (503, "busy")
    assert (await two.ask("GET", "speed"))[1] == {"speed": 1.0}
    assert (await one.ask("GET", "speed"))[1] == {"speed": 1.0}


async def test_a_change_that_cannot_be_made_here_is_told_and_passed_over(
    servers: Servers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)

    def fail(*arguments: Any) -> Any:
        raise ValueError("not here")

    monkeypatch.setattr(two.app, "add", fail)
    await one.add("x", "1")
    assert await two.say("x") is None
    monkeypatch.undo()
    await one.add("y", "2")

    assert await two.say("y") == "2"
    assert "a change cannot be made here: AddMock" in caplog.text


# --- Gates ----------------------------------------------------------------------------------------


async def test_a_release_lets_exactly_one_go_on_whichever_server(servers: Servers) -> None:
    workers = await servers.start(2)
    answers = [Answer() for _ in workers]
    for worker, answer in zip(workers, answers, strict=True):
        assert worker.gates.arrive("", "g", answer)
    await until(lambda: all(each.gates.reached(None, "g") == 2 for each in workers))

    assert (await workers[0].ask("GET", "gates"))[1] == {"held": {"g": 2}}
    assert (await workers[1].ask("POST", "gates/g/release", {}))[0] == 204
    await until(lambda: sorted(each.happened for each in answers) == ["", "passed"])
    assert (await workers[0].ask("GET", "gates"))[1] == {"held": {"g": 1}}
    assert (await workers[0].ask("POST", "gates/g/open", {}))[0] == 204
    await until(lambda: [each.happened for each in answers] == ["passed", "passed"])


async def test_the_answers_of_a_server_that_died_are_held_no_more(servers: Servers) -> None:
    one, dead = await servers.start(2)
    assert dead.gates.arrive("", "g", Answer())
    await until(lambda: one.gates.reached(None, "g") == 1)
    await dead.stop()

    answer = Answer()
    assert one.gates.arrive("", "g", answer)
    await until(lambda: one.gates.reached(None, "g") == 2)
    assert (await one.ask("POST", "gates/g/release", {}))[0] == 204
    await until(lambda: answer.happened == "passed")
    assert (await one.ask("GET", "gates"))[1] == {"held": {}}
