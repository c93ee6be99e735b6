"""A store of several processes: the contract of all stores, and what several processes do to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from mockllm.serve import shared_maps, shared_state, shared_store
from mockllm.serve.shared_lock import SharedLock
from mockllm.serve.shared_maps import SharedMaps
from mockllm.serve.shared_state import SharedState
from mockllm.serve.shared_store import SharedStore
from mockllm.state.choosing import Candidate, Chosen, Exhausted, Script, ScriptEntry
from mockllm.state.operations import (
    Admit,
    BeginSession,
    Choose,
    CountAnswers,
    EndSession,
    Enter,
    Get,
    InLine,
    Leave,
    PoolFull,
    Put,
)
from mockllm.state.store import StateUnavailableError
from tests.state.contract import SessionsContract
from tests.state.equality import make_equality_machine
from tests.state.machine import make_store_machine
from tests.support.processes import until
from tests.support.shared_stores import CLIENTS, FreshStores, run_in_process

_STORES = FreshStores()


@pytest.fixture(autouse=True, scope="module")
def _removed() -> Iterator[None]:
    yield
    _STORES.remove()


class TestSharedStore(SessionsContract):
    make_store = staticmethod(_STORES.make)


TestSharedStoreMachine = make_store_machine(_STORES.make).TestCase
TestSharedStoreMachine.settings = settings(max_examples=30)

TestSharedStoreEquality = make_equality_machine(_STORES.make).TestCase
TestSharedStoreEquality.settings = settings(max_examples=60)

HOLDER = """
import os, signal, sys
from pathlib import Path
from mockllm.serve.shared_lock import SharedLock
assert SharedLock(Path(sys.argv[1]) / "lock").acquire()
print("has the lock", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""
ENTERER = """
import sys
from pathlib import Path
from mockllm.serve.shared_store import SharedStore
from mockllm.state.operations import Enter
store = SharedStore(Path(sys.argv[1]))
print(store.perform([Enter("pool", "1", 1)], 0.0), flush=True)
sys.stdin.read()
"""
LINED = """
import sys
from pathlib import Path
from mockllm.serve.shared_store import SharedStore
from mockllm.state.operations import Enter, Leave
store = SharedStore(Path(sys.argv[1]))
question = [Enter("pool", "1", 1, None), Enter("pool", "2", 1, None)]
print(store.perform(question, 0.0), flush=True)
sys.stdin.readline()
store.perform([Leave("2"), Leave("1")], 0.0)
print("left", flush=True)
sys.stdin.read()
"""
CANDIDATES = (Candidate("a", Script((ScriptEntry(), ScriptEntry(), ScriptEntry()))),)
NEXT = Choose("", CANDIDATES)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SharedStore]:
    with closing(SharedStore(tmp_path, timeout=0.05)) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path, store: SharedStore) -> Iterator[SharedLock]:
    """The lock, as another process has it."""
    assert store.perform_at_once([NEXT], 0.0) == [Chosen(0, 0, 1)]
    with closing(SharedLock(tmp_path / "lock")) as lock:
        assert lock.acquire()
        yield lock


def code_of(error: pytest.ExceptionInfo[StateUnavailableError]) -> str | None:
    return error.value.code


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    with closing(SharedStore(tmp_path)) as store:
        assert [*tmp_path.iterdir()] == []
        store.post([NEXT], 0.0)

        assert {path.name for path in tmp_path.iterdir()} >= {"state", "lock", "owners"}


def test_a_question_is_not_performed_while_another_process_has_the_lock(
    store: SharedStore, other: SharedLock
) -> None:
    assert store.perform_at_once([NEXT], 0.0) is None
    other.release()

    assert store.perform_at_once([NEXT], 0.0) == [Chosen(0, 1, 2)]


@pytest.mark.anyio
async def test_a_question_waits_for_the_lock(store: SharedStore, other: SharedLock) -> None:
    waiting = [asyncio.create_task(store.perform_later([NEXT])) for _ in range(2)]
    await asyncio.sleep(0)
    assert store.perform_at_once([NEXT], 0.0) is None
    other.release()

    assert [await each for each in waiting] == [[Chosen(0, 1, 2)], [Chosen(0, 2, 3)]]
    assert store.perform_at_once([NEXT], 0.0) == [Exhausted(0, 3)]


@pytest.mark.anyio
async def test_a_question_that_finds_the_lock_free_comes_after_those_that_wait(
    store: SharedStore, other: SharedLock
) -> None:
    waiting = [asyncio.create_task(store.perform_later([NEXT])) for _ in range(2)]
    await asyncio.sleep(0)
    other.release()

    assert store.perform_at_once([NEXT], 0.0) == [Exhausted(0, 3)]
    assert [await each for each in waiting] == [[Chosen(0, 1, 2)], [Chosen(0, 2, 3)]]


@pytest.mark.anyio
async def test_a_question_waits_too_if_those_that_wait_take_long(
    store: SharedStore, other: SharedLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.create_task(store.perform_later([NEXT]))
    await asyncio.sleep(0)
    other.release()
    with monkeypatch.context() as patched:
        patched.setattr(shared_store, "MAX_TURN", 0.0)
        assert store.perform_at_once([NEXT], 0.0) is None

    assert await waiting == [Chosen(0, 1, 2)]


@pytest.mark.anyio
async def test_a_question_that_has_waited_too_long_is_refused(
    store: SharedStore, other: SharedLock
) -> None:
    with pytest.raises(StateUnavailableError, match="too long") as refused:
        await store.perform_later([NEXT])
    assert (code_of(refused), refused.value.status) == ("state_busy", 503)
    other.release()

    assert await store.perform_later([NEXT]) == [Chosen(0, 1, 2)]


@pytest.mark.anyio
async def test_a_process_that_was_stopped_does_not_take_the_others_for_slow(
    store: SharedStore, other: SharedLock
) -> None:
    waiting = asyncio.create_task(store.perform_later([NEXT]))
    await asyncio.sleep(0)
    other.release()
    time.sleep(0.1)  # noqa: ASYNC251  # as if the process had been stopped

    assert await waiting == [Chosen(0, 1, 2)]


@pytest.mark.anyio
async def test_a_question_whose_client_has_left_is_not_performed(
    store: SharedStore, other: SharedLock
) -> None:
    leaving = asyncio.create_task(store.perform_later([NEXT]))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    other.release()

    assert await store.perform_later([NEXT]) == [Chosen(0, 1, 2)]


@pytest.mark.anyio
async def test_what_is_posted_is_performed_before_later_questions(
    store: SharedStore, other: SharedLock
) -> None:
    store.post([Enter("pool", "1", 1)], 0.0)
    store.post([Leave("1")], 0.0)
    later = asyncio.create_task(store.perform_later([Enter("pool", "2", 1)]))
    await asyncio.sleep(0)
    other.release()

    assert await later == [None]


@pytest.mark.anyio
async def test_what_is_posted_is_never_given_up(store: SharedStore, other: SharedLock) -> None:
    store.post([Enter("pool", "1", 1)], 0.0)
    with pytest.raises(StateUnavailableError):
        await store.perform_later([NEXT])
    other.release()

    assert await store.perform_later([Enter("pool", "2", 1)]) == [PoolFull("pool")]


@pytest.mark.anyio
async def test_a_process_that_is_stopped_with_the_lock_holds_no_loop(
    store: SharedStore, tmp_path: Path
) -> None:
    store.perform([NEXT], 0.0)
    holder = run_in_process(HOLDER, tmp_path)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "has the lock\n"
        os.waitpid(holder.pid, os.WUNTRACED)  # noqa: ASYNC222  # it stops at once
        refused = asyncio.create_task(store.perform_later([NEXT]))
        turns = 0
        while not refused.done():
            await asyncio.sleep(0)
            turns += 1
        with pytest.raises(StateUnavailableError):
            await refused
        assert turns > 100  # of the loop meanwhile
        holder.kill()
        holder.wait()

    assert store.perform([NEXT], 0.0) == [Chosen(0, 1, 2)]


def test_a_place_of_a_process_that_has_ended_is_free_again(
    store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_state, "BURIAL", 0.0)
    holder = run_in_process(ENTERER, tmp_path)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "[None]\n"
        assert store.perform([Enter("pool", "1", 1)], 0.0) == [PoolFull("pool")]
        holder.kill()
        holder.wait()

    assert store.perform([Enter("pool", "1", 1)], 0.0) == [None]
    assert store.perform([Enter("pool", "2", 1)], 0.0) == [PoolFull("pool")]


@pytest.mark.anyio
async def test_the_line_of_a_process_that_is_killed_goes_on_without_it(
    store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_state, "BURIAL", 0.0)
    called: list[str] = []
    store.when_called = called.append
    holder = run_in_process(LINED, tmp_path)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "[None, InLine(taken=1)]\n"
        first, second = (Enter("pool", lease, 1, None) for lease in ("1", "2"))
        assert store.perform([first, second], 0.0) == [InLine(1), InLine(1)]
        holder.kill()
        holder.wait()

    assert store.perform([second], 0.0) == [InLine(1)]
    assert (store.perform([first], 0.0), called) == ([None], ["1"])
    assert store.perform([Leave("1"), second], 0.0) == [None, None]
    assert called == ["1", "2"]


@pytest.mark.anyio
async def test_a_process_is_called_when_its_lease_has_a_place(
    store: SharedStore, tmp_path: Path
) -> None:
    called: list[str] = []
    store.when_called = called.append
    store.listen()
    store.listen()
    holder = run_in_process(LINED, tmp_path)
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder:
        holder.stdout.readline()
        store.perform([Enter("pool", "a", 1, None)], 0.0)
        print(file=holder.stdin, flush=True)
        await until(lambda: called == ["a"])

    assert store.perform([Enter("pool", "a", 1, None)], 0.0) == [None]


@pytest.mark.anyio
async def test_nobody_is_called_of_what_did_not_happen(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    store.when_called = called.append
    store.perform([Enter("pool", "1", 1, None), Enter("pool", "2", 1, None)], 0.0)

    def fail(self: SharedMaps) -> None:
        raise OSError("nothing can be written")

    with monkeypatch.context() as patch:
        patch.setattr(SharedMaps, "commit", fail)
        with pytest.raises(StateUnavailableError):
            store.perform([Leave("1")], 0.0)
    assert called == []
    store.perform([Leave("2"), Leave("1")], 0.0)

    assert called == []


@pytest.mark.anyio
async def test_a_folder_too_deep_for_sockets_has_lines_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("f" * 100)
    folder.mkdir()
    with closing(SharedStore(folder)) as store:
        store.listen()
        enter = [Enter("pool", "1", 1, None), Enter("pool", "2", 1, None)]

        assert store.perform([*enter, Leave("1"), enter[1]], 0.0) == [None, InLine(1), None, None]


def test_a_process_whose_number_comes_back_has_none_of_the_old_places(tmp_path: Path) -> None:
    with closing(SharedStore(tmp_path)) as before:
        before.perform([Enter("pool", "1", 1)], 0.0)

    with closing(SharedStore(tmp_path)) as store:
        assert store.perform([Enter("pool", "2", 1)], 0.0) == [None]


@pytest.mark.anyio
async def test_a_full_disk_is_told_and_over_when_there_is_space(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_maps, "MAX_BYTES", 40_000)
    large = [Put("k", b"v" * 60_000, 60.0)]

    assert store.perform_at_once(large, 0.0) is None
    with pytest.raises(StateUnavailableError, match="No space is left") as refused:
        await store.perform_later(large)
    assert code_of(refused) == "state_full"
    store.post(large, 0.0)
    assert await store.perform_later([NEXT]) == [Chosen(0, 0, 1)]

    (trouble, over) = [record.getMessage() for record in caplog.records]
    assert "cannot be used" in trouble
    assert "can be used again" in over


@pytest.mark.anyio
async def test_a_directory_that_is_gone_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    with closing(SharedStore(folder)) as store:
        assert store.perform_at_once([NEXT], 0.0) is None
        with pytest.raises(StateUnavailableError) as refused:
            await store.perform_later([NEXT])
        assert code_of(refused) == "state_lost"
        folder.mkdir()

        assert await store.perform_later([NEXT]) == [Chosen(0, 0, 1)]
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_sessions_that_are_gone_are_told_when_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SharedMaps) -> None:
        raise OSError("nothing can be written")

    gone: list[str] = []
    with closing(SharedStore(tmp_path, gone.append)) as store:
        store.perform([EndSession("a")], 0.0)
        monkeypatch.setattr(SharedMaps, "commit", fail)
        with pytest.raises(StateUnavailableError):
            store.perform([EndSession("b")], 0.0)

    assert gone == ["a"]


def test_an_error_of_the_server_leaves_nothing_behind(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    store.perform([NEXT], 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(SharedState, "_advance", fail)
        with pytest.raises(ZeroDivisionError):
            store.perform([Put("k", b"v", 60.0), NEXT], 0.0)

    assert store.perform([Get("k"), NEXT], 0.0) == [None, Chosen(0, 1, 2)]


def test_a_state_that_is_held_is_not_that_of_another_process(
    store: SharedStore, tmp_path: Path
) -> None:
    with closing(SharedLock(tmp_path / "lock")) as another:
        assert store.hold()
        assert store.hold()
        assert store.perform_at_once([NEXT], 0.0) == [Chosen(0, 0, 1)]
        store.let_go()
        assert not another.acquire()
        store.let_go()
        assert another.acquire()
        assert not store.hold()


@pytest.mark.anyio
async def test_a_state_is_held_when_no_other_process_holds_it(
    store: SharedStore, other: SharedLock
) -> None:
    assert not await store.hold_later()
    holding = asyncio.create_task(store.hold_later())
    await asyncio.sleep(0)
    other.release()
    assert await holding
    store.let_go()
    assert other.acquire()


@pytest.mark.anyio
async def test_while_it_is_held_nobody_waits(store: SharedStore, other: SharedLock) -> None:
    waiting = asyncio.create_task(store.perform_later([NEXT]))
    await asyncio.sleep(0)
    other.release()
    assert store.hold()
    assert store.perform_at_once([NEXT], 0.0) == [Chosen(0, 1, 2)]
    store.let_go()
    assert await waiting == [Chosen(0, 2, 3)]


def test_sessions_and_counts_are_seen(store: SharedStore) -> None:
    store.perform([NEXT, BeginSession("s"), Admit("t")], 0.0)

    assert (store.answered("a"), store.answered("a", "s")) == (1, 0)
    assert store.sessions.open == ("s", "t")
    assert store.sessions.is_open("s")
    assert not store.sessions.is_open("u")
    assert store.sessions.can_begin("u", 0.0)


def test_what_another_process_uses_is_not_seen(store: SharedStore, other: SharedLock) -> None:
    with pytest.raises(StateUnavailableError) as refused:
        store.sessions.is_open("s")

    assert code_of(refused) == "state_busy"


@pytest.mark.parametrize("seed", range(2))
def test_no_place_is_given_twice_whatever_is_killed(
    store: SharedStore, tmp_path: Path, seed: int
) -> None:
    places, kills, received = 4_000, 25, tmp_path / "received"
    received.touch()
    clients = run_in_process(CLIENTS, tmp_path, received, places, 3, kills, seed)
    assert clients.wait(60) == 0
    clients.communicate()

    by_client: dict[int, list[int]] = {}
    for line in received.read_text().splitlines():
        client, place = map(int, line.split())
        by_client.setdefault(client, []).append(place)
    got = [place for found in by_client.values() for place in found]
    assert len(got) == len(set(got)), "a place was given twice"
    assert all(found == sorted(found) for found in by_client.values())
    assert places - kills <= len(got) <= places  # what is missing is lost with a process
    assert store.perform([CountAnswers(("script",), "s")], 0.0) == [(places,)]
    assert not (tmp_path / "changes.0").exists(), "no snapshot was made meanwhile"
