"""Calls of several servers: one order, nothing twice, and what is missing is told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mockllm.serve import untold_calls
from mockllm.serve.distant import calls as distant_calls
from mockllm.serve.distant import redis_calls
from mockllm.serve.distant.calls import BUSY, DEAD, LOST, NOT_REACHED
from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.state.store import Condition, StateUnavailableError
from tests.serve.distant.test_changes import Servers, Worker, _beat_often
from tests.support.processes import until
from tests.support.redis_servers import (
    RedisServer,
    needs_redis,
    shared_client,
    shared_server,
)

pytestmark = [pytest.mark.anyio, needs_redis]

beat_often = _beat_often
"""A fixture for these tests too."""


@pytest.fixture(autouse=True)
def _be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_BUSY", "MAX_WAIT"):
        monkeypatch.setattr(distant_calls, name, 20.0)  # the machine may be slow


@pytest.fixture
async def servers(prefix: str) -> AsyncIterator[Servers]:
    servers = Servers(RedisAddress("127.0.0.1", shared_server().port, prefix=prefix))
    yield servers
    await servers.stop()


async def texts(worker: Worker, query: str = "") -> list[str]:
    """The words of the users of all calls."""
    return [each["text"] for each in (await page(worker, query))["calls"]]


async def page(worker: Worker, query: str = "") -> Any:
    status, value = await worker.ask("GET", "calls", query=query)
    assert status == 200
    return value


async def say_all(workers: list[Worker], words: str, session: str | None = None) -> None:
    """Ask one server after the other, a word each."""
    for number, word in enumerate(words.split()):
        await workers[number % len(workers)].say(word, session)


async def die(worker: Worker, prefix: str, patch: pytest.MonkeyPatch) -> None:
    """Let a worker be as one that was killed, and that another one has replaced."""

    async def answer() -> None:
        """Answer nothing."""

    patch.setattr(worker.calls.untold, "answer", answer)
    patch.setattr(worker.store, "_stopped", True)
    assert worker.store._beating is not None
    worker.store._beating.cancel()
    await asyncio.wait([worker.store._beating])  # the last heartbeat is over
    shared_client().zrem(f"{prefix}:owners", worker.store.name)


def without_times(found: Any) -> Any:
    """What does not depend on how well servers know each other's time."""
    calls = [{**each, "started": 0, "ended": 0} for each in found["calls"]]
    return {**found, "calls": calls}


# --- One order ------------------------------------------------------------------------------------


async def test_whoever_is_asked_has_the_calls_of_all_in_one_order(servers: Servers) -> None:
    workers = await servers.start(3)
    await say_all(workers, "a b c d")
    found = [without_times(await page(each)) for each in workers]

    assert sorted(each["text"] for each in found[0]["calls"]) == ["a", "b", "c", "d"]
    assert found == [found[0]] * 3
    await say_all(workers, "e f")
    after = found[0]["next"]
    assert sorted(await texts(workers[2], f"after={after}")) == ["e", "f"]
    assert (await page(workers[0]))["missing"] is None


async def test_a_call_is_found_by_whoever_asks_after_its_answer(servers: Servers) -> None:
    workers = await servers.start(2)

    async def ask_and_read(number: int) -> None:
        await workers[number % 2].say(f"word-{number}")
        assert f"word-{number}" in await texts(workers[(number + 1) % 2])

    await asyncio.gather(*map(ask_and_read, range(20)))
    numbers = [each["number"] for each in (await page(workers[0]))["calls"]]
    assert numbers == [*range(1, 21)]


async def test_the_time_of_a_call_is_that_of_its_server(servers: Servers) -> None:
    one, two = await servers.start(2)
    await one.say("a")
    await two.say("b")
    seen = [{each["text"]: each["started"] for each in (await page(one))["calls"]}]
    seen.append({each["text"]: each["started"] for each in (await page(two))["calls"]})

    assert seen[0]["a"] < seen[0]["b"]
    assert seen[1] == pytest.approx(seen[0], abs=0.5)


async def test_many_calls_are_told_in_batches(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold_calls, "CALLS_AT_ONCE", 3)
    one, two = await servers.start(2)
    await say_all([one], "a b c d e f g h")

    assert await texts(two) == ["a", "b", "c", "d", "e", "f", "g", "h"]


async def test_waiting_ends_with_a_call_of_another_server(servers: Servers) -> None:
    one, two = await servers.start(2)
    waiting = asyncio.create_task(one.calls.wait(None, 2, 20))
    await say_all([two], "a b")

    assert await waiting
    assert not await one.calls.wait(None, 3, 0)


# --- Dropping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [False, True])
async def test_what_one_server_drops_is_dropped_by_all(servers: Servers, *, told: bool) -> None:
    workers = one, two, three = await servers.start(3)
    await one.ask("PUT", "sessions/s", {})
    for worker in workers:
        await worker.say("configured")
        await worker.say("unknown")
        await worker.say("unknown", "s")
    if told:
        assert len(await texts(one)) == 9

    assert (await two.ask("DELETE", "calls", query="unmatched=true&session="))[0] == 204
    assert sorted(await texts(three)) == ["configured"] * 3 + ["unknown"] * 3
    await three.say("unknown")
    assert (await two.ask("DELETE", "calls", query="session=s"))[0] == 204
    assert sorted(await texts(one)) == ["configured"] * 3 + ["unknown"]
    (new,) = await servers.start()
    assert sorted(await texts(new)) == ["configured"] * 3 + ["unknown"]
    assert (await three.ask("DELETE", "calls"))[0] == 204
    assert [await texts(each) for each in (*workers, new)] == [[]] * 4
    assert (await page(one))["lost"] == 0


async def test_everything_expires(servers: Servers, prefix: str) -> None:
    one, two = await servers.start(2)
    await say_all([one, two], "a b")
    assert len(await texts(one)) == 2
    await one.ask("DELETE", "calls", query="unmatched=true")
    await one.say("c")

    redis = shared_client()
    keys = [each for each in redis.scan_iter(f"{prefix}:*") if redis.ttl(each) == -1]
    assert keys == []


async def test_a_session_that_begins_again_has_no_calls(servers: Servers) -> None:
    one, two = await servers.start(2)
    await one.ask("PUT", "sessions/s", {})
    await say_all([one, two], "a b", "s")
    assert sorted(await texts(one, "session=s")) == ["a", "b"]
    await two.say("c", "s")
    await one.ask("DELETE", "sessions/s")
    assert sorted(await texts(two, "session=s")) == ["a", "b", "c"]

    assert (await one.ask("PUT", "sessions/s", {}))[0] == 201
    assert [await texts(each, "session=s") for each in (one, two)] == [[], []]


async def test_what_is_told_while_others_drop_it_is_dropped(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    await one.say("before")
    tell = one.calls._log.tell

    async def late(*arguments: Any, **named: Any) -> bool:
        monkeypatch.undo()
        assert (await two.ask("DELETE", "calls"))[0] == 204
        return await tell(*arguments, **named)

    monkeypatch.setattr(one.calls._log, "tell", late)
    await one.calls.untold.tell()
    await one.say("after")

    assert await texts(two) == ["after"]


# --- What is missing ------------------------------------------------------------------------------


async def test_a_batch_whose_answer_was_lost_is_there_once(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    await say_all([one], "a b")
    tell = one.calls._log.tell

    async def lost(*arguments: Any, **named: Any) -> bool:
        monkeypatch.undo()
        await tell(*arguments, **named)
        raise StateUnavailableError("state_lost", "no answer")

    monkeypatch.setattr(one.calls._log, "tell", lost)
    with pytest.raises(StateUnavailableError):
        await one.calls.untold.tell()
    await one.say("c")

    assert await texts(two) == ["a", "b", "c"]


async def test_what_dies_with_a_worker_is_missing_until_a_session_begins(
    servers: Servers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    await say_all([one, two], "a b")
    await die(two, prefix, monkeypatch)

    found = await page(one)
    assert ([each["text"] for each in found["calls"]], found["missing"]) == (["a"], DEAD)
    await one.ask("PUT", "sessions/new", {})
    assert (await page(one, "session=new"))["missing"] is None
    assert (await page(one))["missing"] == DEAD
    await one.ask("DELETE", "calls")
    assert (await page(one))["missing"] is None


async def test_a_worker_that_has_told_everything_takes_nothing_with_it(
    servers: Servers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    await say_all([two], "a b")
    assert await texts(one) == ["a", "b"]
    await die(two, prefix, monkeypatch)

    found = await page(one)
    assert (len(found["calls"]), found["missing"]) == (2, None)


async def test_a_worker_that_stops_tells_its_calls(servers: Servers) -> None:
    one, two = await servers.start(2)
    await say_all([two], "a b")
    await two.stop()

    found = await page(one)
    assert ([each["text"] for each in found["calls"]], found["missing"]) == (["a", "b"], None)


async def test_one_that_does_not_answer_is_waited_for_once(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await servers.start(2)
    monkeypatch.setattr(distant_calls, "MAX_BUSY", 0.2)
    monkeypatch.setattr(distant_calls, "MAX_WAIT", 0.1)
    await two.say("held back")
    async with two.calls.untold._telling:
        assert (await page(one))["missing"] == BUSY
        monkeypatch.setattr(distant_calls, "MAX_BUSY", 1000.0)
        assert (await page(one))["missing"] == BUSY
    monkeypatch.setattr(distant_calls, "MAX_WAIT", 20.0)

    await until(lambda: two.calls.untold.answered > 0)
    found = await page(one)
    assert ([each["text"] for each in found["calls"]], found["missing"]) == (["held back"], None)


async def test_without_redis_calls_are_missing_until_it_is_back(redis: RedisServer) -> None:
    servers = Servers(RedisAddress("127.0.0.1", redis.port))
    one, two = await servers.start(2, timeout=1.0)
    await say_all([one, two], "a b")
    assert sorted(await texts(one)) == ["a", "b"]
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    await two.say("c")

    found = await page(one)
    assert sorted(each["text"] for each in found["calls"]) == ["a", "b"]
    assert found["missing"] == NOT_REACHED
    status, value = await one.ask("DELETE", "calls")
    assert (status, value["error"]["code"]) == (503, "state_lost")
    redis.process.send_signal(signal.SIGCONT)
    await until(lambda: {one.store.condition, two.store.condition} == {Condition.SHARED})
    assert sorted(await texts(one)) in (["a", "b", "c"], ["c"], [])  # it may have been dropped
    await servers.stop()


async def test_calls_that_redis_forgets_are_missing(servers: Servers, prefix: str) -> None:
    one, two = await servers.start(2)
    await say_all([one, two], "a b")
    last = (await page(one))["next"]
    shared_client().delete(*shared_client().scan_iter(f"{prefix}:*"))
    await two.say("c")

    found = await page(two)
    assert ([each["text"] for each in found["calls"]], found["missing"]) == (["c"], LOST)
    await until(lambda: one.changes.known == two.changes.known)
    assert without_times(await page(one)) == without_times(found)
    assert found["next"] > last
    await one.ask("DELETE", "calls")
    assert (await page(two))["missing"] is None


# --- Bounds ---------------------------------------------------------------------------------------


async def test_the_oldest_go_when_there_are_too_many(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold_calls, "CALLS_AT_ONCE", 2)
    one, two = await servers.start(2, max_entries=4)
    await one.ask("PUT", "sessions/s", {})
    for word in "abcdefgh":
        await one.say(word, "s" if word in "ab" else None)
        await texts(two)

    for worker in (one, two):
        found = await page(worker)
        assert [each["text"] for each in found["calls"]] == ["e", "f", "g", "h"]
        assert found["lost"] == 4
        assert (await page(worker, "session=s"))["lost"] == 2
    await two.ask("DELETE", "calls", query="session=s")
    assert (await page(one, "session=s"))["lost"] == 0


async def test_what_a_worker_has_no_room_for_is_lost(servers: Servers) -> None:
    one, two = await servers.start(2, max_entries=4)
    await say_all([one], "a b c d e f")

    found = await page(two)
    assert ([each["text"] for each in found["calls"]], found["lost"]) == (["c", "d", "e", "f"], 2)


async def test_too_many_drops_are_forgotten_with_the_calls_before(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_calls, "MAX_DROPPED", 2)
    redis_calls.calls_script.cache_clear()
    one, two = await servers.start(2)
    for name in "abc":
        await one.ask("PUT", f"sessions/{name}", {})
        await one.say(name, name)
    assert len(await texts(one)) == 3
    for name in "abc":
        await two.ask("DELETE", "calls", query=f"session={name}")
    await one.say("next")

    assert (await texts(two))[-1:] == ["next"]
    assert (await texts((await servers.start())[0]))[-1:] == ["next"]
    redis_calls.calls_script.cache_clear()
