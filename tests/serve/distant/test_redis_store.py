"""The store that servers share: what its members see when Redis is slow, gone, back, or empty, and
when a member dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mockllm.serve.distant import redis_store
from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.serve.distant.redis_link import MAX_CONNECTIONS
from mockllm.serve.distant.redis_scripts import MAX_SILENCE
from mockllm.serve.distant.redis_standing import MAX_FAILURES
from mockllm.serve.distant.redis_store import Member, RedisStore
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Script, ScriptEntry
from mockllm.state.draws import Draws
from mockllm.state.operations import (
    Admit,
    BeginSession,
    Choose,
    Draw,
    EndSession,
    Enter,
    InLine,
    Leave,
    Operation,
    PoolFull,
    Result,
    Settle,
    Spend,
    TakeNothing,
)
from mockllm.state.rate_limits import Charge, Limit, Limited, Spent
from mockllm.state.sessions import COMMON
from mockllm.state.store import Condition, StateUnavailableError
from tests.support.processes import until
from tests.support.redis_servers import (
    CERTIFICATE,
    RedisServer,
    needs_redis,
    new_prefix,
    shared_client,
    shared_server,
)

pytestmark = [pytest.mark.anyio, needs_redis]

NEXT = Choose(COMMON, (Candidate("a", Script((ScriptEntry(99),))),))
LIMIT = Charge("requests", Limit(2, 60.0))
TIMEOUT = 0.2  # seconds; short, because some tests wait for it
STOPPED = 2.0  # seconds


@pytest.fixture(autouse=True)
def _beat_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "BEAT", 0.01)


@pytest.fixture
def address() -> RedisAddress:
    """A prefix of its own in the shared server."""
    return RedisAddress("127.0.0.1", shared_server().port, prefix=new_prefix())


def at(redis: RedisServer) -> RedisAddress:
    return RedisAddress("127.0.0.1", redis.port)


def member(server: str = "a", worker: str = "0", config: str = "c", **rest: object) -> Member:
    return Member(server, worker, config, **rest)  # type: ignore[arg-type]  # of any kind


@asynccontextmanager
async def joined(
    address: RedisAddress,
    member: Member = member(),  # noqa: B008  # it is frozen
    *,
    timeout: float = 20.0,  # noqa: ASYNC109  # the store's
    **rest: object,
) -> AsyncIterator[RedisStore]:
    store = RedisStore(address, member, timeout=timeout, **rest)  # type: ignore[arg-type]  # of any kind
    store.start()
    try:
        yield store
    finally:
        await store.stop()


async def ask(store: RedisStore, *operations: Operation) -> Sequence[Result]:
    return await store.perform_later(operations)


async def reason(store: RedisStore, *operations: Operation) -> str:
    """The code of the error of a question that is not answered."""
    with pytest.raises(StateUnavailableError) as caught:
        await ask(store, *operations)
    assert caught.value.status == 503
    return str(caught.value.code)


# --- One state ------------------------------------------------------------------------------------


async def test_servers_share_one_state(address: RedisAddress) -> None:
    async with joined(address) as first, joined(address, member("b")) as second:
        results = [await ask(store, NEXT) for store in (first, second, first)]

    assert results == [[Chosen(0, 0, number)] for number in (1, 2, 3)]


async def test_questions_at_the_same_time_get_a_place_each(address: RedisAddress) -> None:
    async with joined(address) as first, joined(address, member("b")) as second:
        results = await asyncio.gather(*(ask((first, second)[n % 2], NEXT) for n in range(9)))

    numbers = [each.number for (each,) in results if isinstance(each, Chosen)]
    assert sorted(numbers) == list(range(1, 10))


async def test_a_session_that_ends_is_told_to_who_ended_it(address: RedisAddress) -> None:
    gone: list[str] = []
    async with joined(address, gone=gone.append) as store:
        await ask(store, BeginSession("s"), EndSession("s"))

    assert gone == ["s"]


async def test_a_redis_that_has_forgotten_the_scripts_is_sent_them_again(
    address: RedisAddress,
) -> None:
    async with joined(address) as store:
        await ask(store, NEXT)
        shared_client().script_flush()

        assert await ask(store, NEXT) == [Chosen(0, 0, 2)]


async def test_the_time_of_limits_is_that_of_the_first_server(address: RedisAddress) -> None:
    early = member("a", elapsed=lambda: 1000.0, speed=lambda: 0.0)
    late = member("b", elapsed=lambda: 5.0, speed=lambda: 0.0)
    async with joined(address, early) as first, joined(address, late) as second:
        await ask(first, Spend((LIMIT,), 1000.0))
        await ask(second, Spend((LIMIT,), 5.0))

        (result,) = await ask(second, Spend((LIMIT,), 15.0))
        assert isinstance(result, Limited)
        assert result.wait == pytest.approx(20.0)
        (result,) = await ask(first, Spend((LIMIT,), 1030.0))
        assert result == Spent((2.0,))


async def test_the_time_of_limits_is_not_ahead_by_that_of_a_heartbeat(
    address: RedisAddress,
) -> None:
    early = member("a", elapsed=lambda: 1000.0, speed=lambda: 0.0)
    sent_and_received = itertools.cycle([0.0, 20.0])
    late = member("b", elapsed=lambda: next(sent_and_received), speed=lambda: 0.0)
    async with joined(address, early) as first, joined(address, late) as second:
        await ask(first, Spend((LIMIT,), 1000.0), Spend((LIMIT,), 1000.0))

        (result,) = await ask(second, Spend((LIMIT,), 20.0))
        assert isinstance(result, Limited)
        assert result.wait == pytest.approx(20.0)  # of 30, as 20 are 1010 there


# --- A Redis that is slow, gone, or back ----------------------------------------------------------


async def test_without_redis_what_needs_state_is_refused_and_the_rest_is_answered(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.kill()
    attempt = Attempt(b"x" * 16)
    draw = Draw("s", 1, "mock", attempt)
    async with joined(at(redis)) as store:
        assert await reason(store, NEXT) == "state_lost"
        assert await reason(store, Admit("s"), NEXT) == "state_lost"
        assert await reason(store, Spend((LIMIT,), 0.0)) == "state_lost"
        assert await reason(store, Enter("pool", "lease", 1)) == "state_lost"
        assert await reason(store, BeginSession("s")) == "state_lost"
        assert await ask(store, Admit("s"), TakeNothing("s", attempt)) == [None, None]
        assert await ask(store, draw) == [Draws().next_key(1, "s", "mock", attempt)]

    (record,) = caplog.records
    assert "cannot be reached" in record.message


async def test_without_redis_limits_may_admit_all(redis: RedisServer) -> None:
    redis.kill()
    async with joined(at(redis), member(allows_lost=True)) as store:
        question = (Enter("pool", "lease", 1), Spend((LIMIT, LIMIT._replace(cost=40)), 0.0))

        assert [await ask(store, *question) for _ in range(3)] == [[None, Spent((1, 40))]] * 3
        assert await reason(store, *question, NEXT) == "state_lost"


async def test_a_redis_that_comes_back_is_found_without_a_restart(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(at(redis)) as store:
        await ask(store, NEXT)
        redis.kill()
        await until(lambda: store.condition is Condition.LOST)
        assert await reason(store, NEXT) == "state_lost"
        redis.start()
        await until(lambda: store.condition is Condition.SHARED)

        assert await ask(store, NEXT) == [Chosen(0, 0, 1)]

    told = [record.message for record in caplog.records]
    assert len(told) == 3
    assert "cannot be reached" in told[0]
    assert sum("begin anew" in line for line in told) == 1
    assert sum("can be reached again, after" in line for line in told) == 1


async def test_a_redis_that_keeps_what_it_stores_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(RedisServer(persists=True)) as redis:
        async with joined(at(redis)) as store:
            await ask(store, NEXT)
            redis.kill()
            await until(lambda: store.condition is Condition.LOST)
            redis.start()
            await until(lambda: store.condition is Condition.SHARED)

            assert await ask(store, NEXT) == [Chosen(0, 0, 2)]

    assert not [record for record in caplog.records if "anew" in record.message]


async def test_a_memory_that_is_lost_without_a_restart_is_noticed(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(at(redis)) as store:
        for _ in range(2):
            await ask(store, NEXT)
            with redis.client() as client:
                client.flushall()
            await until(lambda: bool(caplog.records))

            assert await ask(store, NEXT) == [Chosen(0, 0, 1)]
            (record,) = caplog.records
            assert "begin anew" in record.message
            caplog.clear()


async def test_a_slow_redis_is_given_up_after_a_few_questions(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(at(redis), timeout=TIMEOUT) as store:
        await ask(store, NEXT)
        assert redis.process is not None
        os.kill(redis.process.pid, signal.SIGSTOP)

        codes = [await reason(store, NEXT) for _ in range(MAX_FAILURES)]
        assert codes == ["state_lost"] * MAX_FAILURES
        assert store.condition is Condition.LOST
        os.kill(redis.process.pid, signal.SIGCONT)
        await until(lambda: store.condition is Condition.SHARED)
        await ask(store, NEXT)

    assert "no answer within 0.2 s" in caplog.text


async def test_a_process_that_was_stopped_does_not_take_redis_for_slow(
    address: RedisAddress,
) -> None:
    async with joined(address, timeout=STOPPED / 2) as store:
        await ask(store, NEXT)
        questions = [asyncio.create_task(ask(store, NEXT)) for _ in range(2 * MAX_CONNECTIONS)]
        await asyncio.sleep(0)
        time.sleep(STOPPED)  # noqa: ASYNC251  # as if the process had been stopped

        numbers = [each.number for (each,) in await asyncio.gather(*questions)]  # type: ignore[union-attr]  # it is Chosen

        assert sorted(numbers) == list(range(2, 2 + len(questions)))
        assert store.condition is Condition.SHARED


async def test_the_first_questions_wait_for_the_first_heartbeat(address: RedisAddress) -> None:
    store = RedisStore(address, member())
    question = asyncio.create_task(ask(store, NEXT))
    await asyncio.sleep(0)
    store.start()

    assert await question == [Chosen(0, 0, 1)]
    await store.stop()


async def test_an_error_of_redis_is_a_reason(redis: RedisServer) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", "1")
    async with joined(at(redis)) as store:
        assert await reason(store, NEXT) == "state_lost"
        with redis.client() as client:
            client.config_set("maxmemory", "0")
        await until(lambda: store.condition is Condition.SHARED)

        assert await ask(store, NEXT) == [Chosen(0, 0, 1)]


async def test_a_password_is_sent_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(RedisServer("--requirepass", "secret")) as redis:
        async with joined(at(redis), password="secret") as store:
            assert await ask(store, NEXT) == [Chosen(0, 0, 1)]
        for password in ("hidden", None):
            async with joined(at(redis), password=password) as store:
                assert await reason(store, NEXT) == "state_lost"

    why = "cannot be reached: no password or a wrong one, expected in MOCKLLM_STATE_PASSWORD;"
    assert caplog.text.count(why) == 2
    assert "secret" not in caplog.text
    assert "hidden" not in caplog.text


async def test_a_connection_may_be_encrypted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(RedisServer(tls=True)) as redis:
        encrypted = at(redis)._replace(host="localhost", is_tls=True)
        async with joined(encrypted) as store:
            assert await reason(store, NEXT) == "state_lost"
        assert "certificate verify failed" in caplog.text

        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        async with joined(encrypted) as store:
            assert await ask(store, NEXT) == [Chosen(0, 0, 1)]
        async with joined(encrypted._replace(host="127.1")) as store:  # which it does not name
            assert await reason(store, NEXT) == "state_lost"


async def test_what_is_asked_while_redis_does_not_answer_ends_in_time(redis: RedisServer) -> None:
    async with joined(at(redis), timeout=TIMEOUT) as store:
        await ask(store, NEXT)
        late = asyncio.Event()

        async def perform(operations: Sequence[Operation]) -> list[Result]:
            await late.wait()  # as if its timeout had been swallowed
            return []

        store._perform_all = perform  # type: ignore[method-assign]  # a failure

        assert await reason(store, NEXT) == "state_lost"
        late.set()


# --- Servers with different configurations --------------------------------------------------------


async def test_state_is_not_shared_with_another_configuration(
    address: RedisAddress, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(address) as first:
        assert await ask(first, NEXT) == [Chosen(0, 0, 1)]
        async with joined(address, member("b", config="d")) as other:
            assert await reason(other, NEXT) == "state_refused"
            assert await ask(first, NEXT) == [Chosen(0, 0, 2)]

            await first.stop()
            await until(lambda: other.condition is Condition.SHARED)
            assert await ask(other, NEXT) == [Chosen(0, 0, 3)]

    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "whose configuration differs" in told[0]
    assert "all servers agree again" in told[1]


async def test_state_may_be_shared_with_any_configuration(address: RedisAddress) -> None:
    loose = [member(name, config=name, any_config=True) for name in "ab"]
    async with joined(address, loose[0]) as first, joined(address, loose[1]) as second:
        assert await ask(first, NEXT) == [Chosen(0, 0, 1)]
        assert await ask(second, NEXT) == [Chosen(0, 0, 2)]
        async with joined(address, member("c", config="a")) as strict:
            assert await reason(strict, NEXT) == "state_refused"


async def test_workers_of_one_server_may_differ_while_it_reloads(address: RedisAddress) -> None:
    new = member(worker="1", config="d")
    async with joined(address) as first, joined(address, new) as second:
        assert await ask(first, NEXT) == [Chosen(0, 0, 1)]
        assert await ask(second, NEXT) == [Chosen(0, 0, 2)]


async def test_a_server_that_stops_is_gone_after_its_last_worker(address: RedisAddress) -> None:
    async with joined(address, member("b", config="d")) as other:
        await ask(other, NEXT)
        async with joined(address) as store:
            assert await reason(store, NEXT) == "state_refused"
    async with joined(address) as store, joined(address, member(worker="1")) as sibling:
        await ask(store, NEXT)
        await ask(sibling, NEXT)
        await store.stop()
        async with joined(address, member("b", config="d")) as other:
            assert await reason(other, NEXT) == "state_refused"


# --- Places of workers ----------------------------------------------------------------------------


async def test_leases_with_the_same_name_are_those_of_different_workers(
    address: RedisAddress,
) -> None:
    enter = Enter("pool", "1", 2)
    async with joined(address) as first, joined(address, member(worker="1")) as second:
        assert [await ask(store, enter) for store in (first, second)] == [[None]] * 2
        assert await ask(first, enter._replace(lease="2")) == [PoolFull("pool")]

        assert await ask(first, Leave("1"), enter._replace(lease="2")) == [None, None]


async def test_a_worker_that_stops_gives_its_places_back(address: RedisAddress) -> None:
    async with joined(address) as first, joined(address, member("b")) as second:
        await ask(first, Enter("pool", "1", 1))
        assert await ask(second, Enter("pool", "1", 1)) == [PoolFull("pool")]

        await first.stop()

        assert await ask(second, Enter("pool", "1", 1)) == [None]


async def test_the_places_of_a_worker_that_died_are_free(address: RedisAddress) -> None:
    client, owners = shared_client(), f"{address.prefix}:owners"
    async with joined(address, member("b")) as second:
        store = RedisStore(address, member())
        store.start()
        await ask(store, Enter("pool", "1", 1))
        store._beating.cancel()  # type: ignore[union-attr]  # it has begun
        assert await ask(second, Enter("pool", "1", 1)) == [PoolFull("pool")]

        client.zincrby(owners, -MAX_SILENCE, store._asker.name)

        assert await ask(second, Enter("pool", "1", 1)) == [None]
        await store._link.close()


async def test_a_worker_frees_the_places_of_the_one_that_it_replaces(
    address: RedisAddress,
) -> None:
    enter = Enter("pool", "1", 3)
    dead = [RedisStore(address, member(worker=name)) for name in ("0-a", "1-a")]
    dead.append(RedisStore(address, member("b", "0-a")))
    for store in dead:
        store.start()
        await ask(store, enter)
        store._beating.cancel()  # type: ignore[union-attr]  # it has begun

    async with joined(address, member(worker="0-b", replaced="0-")) as store:
        assert await ask(store, enter) == [None]
        assert await ask(store, enter._replace(lease="2")) == [PoolFull("pool")]
    for store in dead:
        await store.stop()


async def test_nobody_is_dead_when_it_was_redis_that_was_away(address: RedisAddress) -> None:
    client, owners = shared_client(), f"{address.prefix}:owners"
    stores = [RedisStore(address, member(name)) for name in "ab"]
    for store in stores:
        store.start()
        await ask(store, Enter("pool", "1", 2))
        store._beating.cancel()  # type: ignore[union-attr]  # it has begun
    for store in stores:
        client.zincrby(owners, -2 * MAX_SILENCE, store._asker.name)

    await stores[0]._beat()

    assert await ask(stores[0], Enter("pool", "2", 2)) == [PoolFull("pool")]
    for store in stores:
        await store.stop()


async def test_who_leaves_while_it_enters_has_left(address: RedisAddress) -> None:
    async with joined(address) as store:
        await ask(store, NEXT)
        for number in range(20):
            entering = asyncio.create_task(ask(store, Enter("pool", str(number), 1)))
            await asyncio.sleep(0)
            entering.cancel()
            store.post((Leave(str(number)),), 0.0)
        await until(lambda: not store._posted and store._posting is None)

        assert await ask(store, Enter("pool", "last", 1)) == [None]


async def test_who_enters_after_another_has_left_finds_the_place(address: RedisAddress) -> None:
    async with joined(address) as store:
        for number in range(50):
            assert await ask(store, Enter("pool", str(number), 1)) == [None]
            store.post((Leave(str(number)),), 0.0)


async def test_a_worker_hears_that_its_lease_has_a_place(address: RedisAddress) -> None:
    called: list[tuple[str, str]] = []
    async with joined(address) as first, joined(address, member("b")) as second:
        for store, name in ((first, "first"), (second, "second")):
            store.when_called = lambda lease, name=name: called.append((name, lease))  # type: ignore[misc]  # a default
            store.listen()
            store.listen()
        await until(lambda: len(shared_client().pubsub_channels(f"{address.prefix}:*")) == 2)
        await ask(first, Enter("pool", "1", 1, None), Enter("pool", "2", 1, None))
        assert await ask(second, Enter("pool", "1", 1, None)) == [InLine(1)]

        first.post((Leave("1"),), 0.0)
        await until(lambda: called == [("first", "2")])
        await first.stop()

        await until(lambda: called == [("first", "2"), ("second", "1")])
        assert await ask(second, Enter("pool", "1", 1, None)) == [None]


async def test_a_worker_hears_again_when_redis_can_be_reached_again(redis: RedisServer) -> None:
    called: list[str] = []
    async with joined(at(redis)) as store:
        store.when_called = called.append
        store.listen()
        await until(lambda: bool(redis.client().pubsub_channels()))
        redis.kill()
        await until(lambda: store.condition is Condition.LOST)
        redis.start()
        await until(lambda: store.condition is Condition.SHARED)
        await until(lambda: bool(redis.client().pubsub_channels()))

        await ask(store, Enter("pool", "1", 1, None), Enter("pool", "2", 1, None), Leave("1"))

        await until(lambda: called == ["2"])


async def test_a_user_who_may_not_publish_has_lines_all_the_same(redis: RedisServer) -> None:
    client = redis.client()
    rules = ("on", ">secret", "~*", "+@all", "-@pubsub")
    client.execute_command("ACL", "SETUSER", "limited", *rules)  # type: ignore[no-untyped-call]  # as redis-py has it
    address = RedisAddress("127.0.0.1", redis.port, username="limited")
    async with joined(address, password="secret") as store:
        store.listen()
        enter = Enter("pool", "2", 1, None)

        assert await ask(store, Enter("pool", "1", 1, None), enter) == [None, InLine(1)]
        assert await ask(store, Leave("1"), enter) == [None, None]


async def test_a_place_is_given_back_once_redis_can_be_reached_again() -> None:
    with contextlib.closing(RedisServer(persists=True)) as redis:
        async with joined(at(redis)) as store:
            await ask(store, Enter("pool", "1", 1), Spend((LIMIT,), 0.0))
            redis.kill()
            await until(lambda: store.condition is Condition.LOST)
            store.post((Settle(LIMIT, 0.0, 0.0, 0.0), Leave("1")), 0.0)
            redis.start()
            await until(lambda: store.condition is Condition.SHARED and not store._posted)

            await until(lambda: store._posting is None)
            assert await ask(store, Enter("pool", "2", 1)) == [None]


async def test_what_is_posted_is_performed_before_the_store_stops(address: RedisAddress) -> None:
    tokens = Charge("tokens", Limit(100, 60.0), 40)
    async with joined(address, member("b", speed=lambda: 0.0)) as other:
        async with joined(address, member(speed=lambda: 0.0)) as store:
            await ask(store, Spend((tokens,), 0.0))
            for _ in range(300):
                store.post((Leave("unknown"),), 0.0)
            store.post((Settle(tokens, 10.0, 0.0, 0.0),), 0.0)

        assert await ask(other, Spend((tokens._replace(cost=0),), 0.0)) == [Spent((10.0,))]


async def test_what_is_posted_is_bounded(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "MAX_POSTED", 3)
    redis.kill()
    async with joined(at(redis)) as store:
        assert await reason(store, NEXT) == "state_lost"
        for number in range(5):
            store.post((Leave(str(number)),), 0.0)

        assert [each.lease for each in store._posted] == ["2", "3", "4"]  # type: ignore[union-attr]  # all are leases
