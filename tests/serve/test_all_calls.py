"""The calls of several processes, which are apps in one loop here: whichever is asked tells all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.engine.decision import Delivery, Exchange
from mockllm.exchange import Request
from mockllm.observers import verification
from mockllm.observers.journal import Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.observers.subjects import subjects_of
from mockllm.observers.verification import Times
from mockllm.serve import all_calls, process_calls, rounds
from mockllm.serve.all_calls import BUSY, AllCalls
from mockllm.serve.call_board import CallBoard
from mockllm.serve.fresh_values import FreshValueSource
from mockllm.serve.peers import Peers, Switchboard, WorkerPlace
from mockllm.serve.process_calls import ProcessCalls
from mockllm.serve.turns import Turns
from mockllm.wire.placeholders import fill, fill_fresh
from tests.support.observed import PATHS, SAME_REPLY, Observed, request
from tests.support.peers import working
from tests.support.processes import posix
from tests.support.served import PATIENCE, chat_request

pytestmark = [pytest.mark.anyio, posix]

CHAT = PATHS["chat"]


class Worker:
    """One process: it answers requests, has a journal of them, and is asked for all calls."""

    seconds = count(1)

    def __init__(
        self,
        board: Switchboard,
        slot: int,
        *,
        number: int | None = None,
        max_entries: int = 1_000,
    ) -> None:
        self.number = slot if number is None else number
        self.numbers: CallBoard = board.calls  # type: ignore[assignment]  # there are sockets
        journal = Journal(max_entries=max_entries, next_number=self.numbers.numbers(self.number))
        self.observed = Observed(SAME_REPLY, journal=journal)
        turns = Turns()
        self.own = ProcessCalls(journal, self.numbers, self.number, turns)
        place = WorkerPlace(board, slot, number is not None, self.number)
        app = self.observed.app
        self.peers = Peers(app, place, self.own, turns=turns)
        copy = Journal(max_entries=max_entries, find_earlier=app.responses.find_earlier_of_call)
        self.calls = AllCalls(self.own, copy, board.folder, self.peers.find_earlier)

    def say(self, text: str, *, session: str | None = None, attempt: int = 1) -> None:
        """Answer a request, a second after the one before, whoever answered that."""
        path = CHAT if session is None else f"/session/{session}{CHAT}"
        retried = {"x-stainless-retry-count": f"{attempt - 1}"}
        asked: Request = request(path, chat_request(text), retried)
        decision = self.observed.app.decide(asked)
        delivery = Delivery(0.1, 0.2, 0.3, started=next(self.seconds))
        self.observed.journal.observe(Exchange(asked, decision, delivery))

    async def read(self, session: str | None = None) -> Reading:
        return await self.calls.gather(session)

    async def texts(self, session: str | None = None) -> list[str]:
        return texts(await self.read(session))

    async def fail(self, times: Times) -> str | None:
        """The failure of an expectation how often the mock `weather` was called."""
        record = (found := await self.read()).record(found.snapshot(), {})
        subjects = subjects_of(self.observed.app.seen(), lambda key: 0)
        return verification.wrong_number(record, subjects["weather"], times)

    def hang(self) -> Callable[[], None]:
        """Answer no other process, as one that is stopped. Returns how to go on."""
        answer = self.own.answer
        goes_on = asyncio.Event()

        async def late(message: Any) -> Any:
            await goes_on.wait()
            found = answer(message)
            return await found if asyncio.iscoroutine(found) else found

        self.own.answer = late  # type: ignore[method-assign]  # what is tested

        def go_on() -> None:
            self.own.answer = answer  # type: ignore[method-assign]  # as before
            goes_on.set()

        return go_on

    async def close(self) -> None:
        """End the process."""
        self.peers.close()
        self.calls.close()
        await asyncio.sleep(0)  # so that connections are closed in this loop
        await asyncio.sleep(0)


def texts(reading: Reading) -> list[str]:
    return [call.text for call in reading.record(reading.snapshot(), {}).calls]


@pytest.fixture
async def workers() -> AsyncIterator[list[Worker]]:
    async with working(Worker, Worker, Worker) as made:
        yield made


async def successor_of(worker: Worker, **settings: int) -> Worker:
    board, slot, *_ = worker.peers._place
    successor = Worker(board, slot, number=worker.number + 10, **settings)
    await successor.peers.start()
    return successor


# --- Reading --------------------------------------------------------------------------------------


async def test_whichever_is_asked_tells_all_in_one_order(workers: list[Worker]) -> None:
    for number in range(9):
        workers[number * 2 % 3].say(f"{number}")

    for worker in workers:
        assert await worker.texts() == [f"{number}" for number in range(9)]
    workers[1].say("later")
    for worker in workers:
        reading = await worker.read()
        assert texts(reading)[-1] == "later"
        assert [call.number for call in reading.after(8)] == [9, 10]
        assert (reading.lost, reading.missing, reading.known_upto) == (0, "", None)


async def test_a_session_has_its_own(workers: list[Worker]) -> None:
    for place, session in enumerate(("a", "b", "a", None)):
        workers[place % 3].say(f"{place}", session=session)

    assert await workers[2].texts("a") == ["0", "2"]
    assert await workers[1].texts("") == ["3"]
    assert await workers[0].texts("c") == []


async def test_a_retry_in_another_process_is_no_call_of_its_own(workers: list[Worker]) -> None:
    workers[0].say("the weather")
    workers[1].say("the weather", attempt=2)

    assert await workers[2].fail(Times(exactly=1)) is None
    assert (await workers[2].read()).count_by_mock() == {"mocks[0] 'weather'": 2}
    assert await workers[2].calls.wait(None, 2, timeout=0) is False


async def test_many_calls_are_told_page_by_page(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_calls, "CALLS_AT_ONCE", 2)
    monkeypatch.setattr(all_calls, "MAX_ADDED", 3)
    for number in range(11):
        workers[number % 2].say(f"{number}")

    assert await workers[2].texts() == [f"{number}" for number in range(11)]
    monkeypatch.setattr(process_calls, "BYTES_AT_ONCE", 1)
    assert await workers[0].texts() == [f"{number}" for number in range(11)]


async def test_the_last_calls_of_all_are_kept() -> None:
    async with working(*[partial(Worker, max_entries=3)] * 2) as workers:
        for number, session in enumerate("aabab"):
            workers[number % 2].say(f"{number}", session=session)

        for _ in range(2):
            for worker in workers:
                reading = await worker.read()
                assert (texts(reading), reading.lost) == (["2", "3", "4"], 2)
                assert [(await worker.read(name)).lost for name in "abc"] == [2, 0, 0]
        for number in range(5, 10):
            workers[0].say(f"{number}", session="b")
        assert [(await workers[1].read(name)).lost for name in (None, "a", "b")] == [7, 3, 4]
        assert [(await workers[0].read(name)).lost for name in (None, "a", "b")] == [7, 3, 4]


async def test_a_copy_that_is_not_used_is_dropped(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers[1].say("x")
    assert await workers[0].texts() == ["x"]
    monkeypatch.setattr(rounds, "MAX_UNUSED", 0.001)
    assert await workers[0].texts() == ["x"]
    copy = workers[0].own.copies[0]
    while len(copy):  # noqa: ASYNC110  # until it is dropped
        await asyncio.sleep(0.001)

    workers[2].say("y")
    monkeypatch.undo()
    assert await workers[0].texts() == ["x", "y"]
    reading = await workers[0].read()
    assert (reading.lost, reading.missing) == (0, "")


async def test_a_copy_is_dropped_after_a_reading_that_took_longer_than_it_is_kept(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MAX_UNUSED", 0.001)
    workers[1].say("x")
    go_on = workers[1].hang()
    async with asyncio.timeout(PATIENCE):
        reading = asyncio.create_task(workers[0].texts())
        await asyncio.sleep(0.01)  # the loop has passed the time of any timer of this reading
        assert not reading.done()
        go_on()

        assert await reading == ["x"]
        while len(workers[0].own.copies[0]):  # noqa: ASYNC110  # until it is dropped
            await asyncio.sleep(0.001)


async def test_readings_at_the_same_time_share_their_questions(workers: list[Worker]) -> None:
    asked: list[Any] = []
    answer = workers[1].own.answer

    def note(message: Any) -> Any:
        asked.append(message)
        return answer(message)

    workers[1].own.answer = note  # type: ignore[method-assign]  # what is tested
    workers[1].say("x", session="a")

    found = await asyncio.gather(*(workers[0].texts("a" if n % 2 else None) for n in range(20)))

    assert found == [["x"]] * 20
    assert len(asked) <= 2


SAY = st.tuples(st.just("say"), st.sampled_from(["weather", "x"]), st.sampled_from(["", "a"]))
READ = st.tuples(st.just("read"), st.sampled_from([None, "", "a"]), st.none())
REPLACE = st.tuples(st.just("replace"), st.none(), st.none())
CLEAR = st.tuples(st.just("clear"), st.sampled_from([None, "", "a"]), st.sampled_from([None, True]))


def histories(*actions: Any) -> Any:
    """What happens in three processes."""
    return st.lists(st.tuples(st.integers(0, 2), st.one_of(*actions)), max_size=25)


@given(histories(SAY, READ, CLEAR, REPLACE))
@settings(max_examples=20)
def test_several_journals_are_as_one(history: list[Any]) -> None:
    asyncio.run(_compare(history, 1_000))


@given(histories(SAY, READ, REPLACE), st.integers(2, 6))
@settings(max_examples=20)
def test_several_journals_are_bounded_as_one(history: list[Any], max_entries: int) -> None:
    asyncio.run(_compare(history, max_entries))


async def _compare(history: list[Any], max_entries: int) -> None:
    async with working(*[partial(Worker, max_entries=max_entries)] * 3) as workers:
        numbers = count(1)
        one = Observed(journal=Journal(max_entries=max_entries, next_number=numbers.__next__))
        for place, (action, first, second) in history:
            worker = workers[place]
            match action:
                case "say":
                    worker.say(first, session=second or None)
                    path = f"/session/{second}{CHAT}" if second else CHAT
                    one.ask(request(path, chat_request(first)))
                case "clear":
                    await worker.calls.clear(CallSelection(first, unmatched=second))
                    assert [*CallSelection(first, unmatched=second).drop_from(one.journal)] == []
                case "replace":
                    workers[place] = await successor_of(worker, max_entries=max_entries)
                    await worker.peers.hand_over()
                    await worker.peers.hand_on_calls()
                    await worker.close()
                case _:
                    found, expected = await worker.read(first), Reading.of(one.journal, first)
                    assert [each.number for each in found.after(0)] == [
                        each.number for each in expected.after(0)
                    ]
                    assert found.missing == ""
                    assert found.count_by_mock() == expected.count_by_mock()
                    assert found.lost == expected.lost


async def test_turns_are_known_of_conversations_of_other_processes(workers: list[Worker]) -> None:
    last: str | None = None
    for turn, worker in enumerate(workers, 1):
        body = {"model": "m", "input": "weather", "previous_response_id": last}
        asked = request(PATHS["responses"], body)
        decision = worker.observed.ask(asked)
        fresh = FreshValueSource(worker.number).next(0.0)
        worker.observed.app.responses.store(asked, decision, fresh)
        reply = fill(decision.reply, model="m", input_tokens=1)
        last = orjson.loads(fill_fresh(reply.body, fresh))["id"]
        assert turn == len(await worker.texts())

    for worker in workers:
        reading = await worker.calls.gather(None, after=0)
        assert [call.turn for call in reading.after(0)] == [1, 2, 3]


# --- Dropping -------------------------------------------------------------------------------------


async def test_calls_are_dropped_everywhere(workers: list[Worker]) -> None:
    for worker in workers:
        for session in ("a", "b"):
            worker.say("the weather", session=session)
            worker.say("nobody", session=session)
    assert len(await workers[0].texts()) == 12

    await workers[1].calls.clear(CallSelection("a"))
    assert [len(await worker.texts()) for worker in workers] == [6] * 3
    await workers[2].calls.clear(CallSelection(unmatched=True))
    assert [await worker.texts() for worker in workers] == [["the weather"] * 3] * 3
    await workers[0].calls.clear(CallSelection(mock="weather", api="chat"))
    assert [await worker.texts() for worker in workers] == [[]] * 3


async def test_a_session_that_begins_anew_has_no_calls(workers: list[Worker]) -> None:
    workers[0].say("old", session="a")
    assert await workers[1].texts("a") == ["old"]
    last = workers[1].calls.last_number
    workers[2].say("new", session="a")

    for worker in workers:  # each makes the change, sooner or later
        worker.calls.forget("a", last)
        assert (await worker.texts("a"))[-1] == "new"
    assert [await worker.texts("a") for worker in workers] == [["new"]] * 3


# --- Processes that do not answer -----------------------------------------------------------------


async def test_a_process_that_is_stopped_is_told_of(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_calls, "MAX_WAIT", 0.2)  # in which the others answer
    monkeypatch.setattr(all_calls, "is_stopped", lambda pid: True)
    workers[1].say("the weather")
    assert await workers[0].texts() == ["the weather"]
    go_on = workers[1].hang()
    workers[1].say("the weather, late")
    workers[2].say("the weather again")

    reading = await workers[0].read()
    assert texts(reading) == ["the weather", "the weather again"]
    assert (reading.missing, reading.known_upto) == (BUSY, 1)
    assert await workers[0].fail(Times(exactly=2)) == f"cannot be told: {BUSY}"
    assert await workers[0].fail(Times(at_least=2)) is None
    failure = await workers[0].fail(Times(at_least=3)) or ""
    assert failure.splitlines()[-1] == f"there may be others: {BUSY}"

    go_on()
    monkeypatch.setattr(all_calls, "is_stopped", lambda pid: False)
    reading = await workers[0].read()
    assert texts(reading) == ["the weather", "the weather, late", "the weather again"]
    assert [call.number for call in reading.after(1)] == [2, 3]
    assert (reading.missing, reading.known_upto) == ("", None)
    assert await workers[0].fail(Times(exactly=3)) is None


async def test_a_process_that_is_busy_gets_more_time(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_calls, "MAX_WAIT", 0.001)
    workers[1].say("x")
    go_on = workers[1].hang()
    looks = count()

    def is_stopped(pid: int) -> bool:
        assert pid == os.getpid()
        if next(looks) == 2:
            go_on()
        return False

    monkeypatch.setattr(all_calls, "is_stopped", is_stopped)
    reading = await workers[0].read()

    assert (texts(reading), reading.missing) == (["x"], "")
    assert next(looks) >= 3


async def test_a_process_that_hangs_is_told_of(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_calls, "MAX_WAIT", 0.001)
    monkeypatch.setattr(all_calls, "MAX_BUSY", 0.01)
    go_on = workers[1].hang()

    assert (await workers[0].read()).missing == BUSY
    go_on()


async def test_what_was_dropped_meanwhile_does_not_come_back(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_calls, "MAX_WAIT", 0.02)
    monkeypatch.setattr(all_calls, "is_stopped", lambda pid: True)
    workers[1].say("nobody", session="a")
    workers[1].say("the weather")
    go_on = workers[1].hang()

    await workers[0].calls.clear(CallSelection("a"))
    await workers[0].calls.clear(CallSelection(unmatched=False))
    workers[1].say("nobody", session="a")
    workers[1].say("the weather")
    go_on()
    monkeypatch.undo()  # a slow machine is not a process that is stopped

    for worker in workers:
        assert await worker.texts() == ["nobody", "the weather"]


async def test_calls_that_died_with_a_process_are_told_of(workers: list[Worker]) -> None:
    board = workers[0].peers._place.switchboard
    workers[0].say("the weather")
    workers[1].say("the weather")
    workers[1].say("x", session="a")
    workers[1].peers.close()

    reading = await workers[0].read()
    assert (texts(reading), reading.missing) == (["the weather"], all_calls.DEAD)
    assert board.bury(1, os.getpid()) == 2

    reading = await workers[0].read()
    assert reading.missing == "2 requests died with a worker process"
    assert "cannot be told: 2 requests" in (await workers[2].fail(Times(exactly=1)) or "")
    assert await workers[2].fail(Times(at_least=1)) is None
    workers[2].calls.forget("later", workers[2].calls.last_number)
    assert (await workers[0].read("later")).missing == ""
    assert (await workers[0].read("a")).missing != ""
    await workers[2].calls.clear(CallSelection("a"))
    assert (await workers[0].read("a")).missing == ""
    assert (await workers[0].read()).missing != ""
    await workers[0].calls.clear(CallSelection())
    assert (await workers[2].read()).missing == ""
    assert await workers[2].fail(Times(exactly=0)) is None


async def test_calls_that_were_dropped_do_not_die(workers: list[Worker]) -> None:
    workers[1].say("x", session="a")
    workers[1].say("x")
    await workers[0].calls.clear(CallSelection("a"))
    assert workers[0].peers._place.switchboard.bury(1, os.getpid()) == 1


# --- Processes that are replaced ------------------------------------------------------------------


async def test_calls_are_handed_on(workers: list[Worker]) -> None:
    old = workers[1]
    old.say("before", session="a")
    assert await workers[0].texts() == ["before"]
    successor = await successor_of(old)
    await old.peers.hand_over()
    old.say("draining")
    successor.say("new")

    assert await workers[0].texts() == ["before", "draining", "new"]
    assert await old.texts() == ["before", "draining", "new"]
    await old.peers.hand_on_calls()
    await old.close()

    for worker in (workers[0], workers[2], successor):
        reading = await worker.read()
        assert texts(reading) == ["before", "draining", "new"]
        assert (reading.lost, reading.missing) == (0, "")
    board = workers[0].peers._place.switchboard
    assert [board.bury(1, os.getpid()), (board.folder / old.own.name).exists()] == [0, False]
    last = await successor_of(successor)
    await successor.peers.hand_over()
    await successor.peers.hand_on_calls()
    await successor.close()
    assert await last.texts() == ["before", "draining", "new"]
    assert board.bury(last.number, os.getpid()) == 3
    await last.close()


async def test_a_reading_while_calls_are_handed_on_has_each_once(workers: list[Worker]) -> None:
    old = workers[1]
    for number in range(20):
        old.say(f"{number}", session="ab"[number % 2])
    successor = await successor_of(old)
    await old.peers.hand_over()
    handing = asyncio.create_task(old.peers.hand_on_calls())

    while not handing.done():
        reading = await workers[0].read()
        assert texts(reading) == [f"{number}" for number in range(20)]
        assert (reading.lost, reading.missing) == (0, "")
    await successor.close()


async def test_what_cannot_be_handed_on_is_lost(
    workers: list[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    workers[1].say("x")
    board = workers[1].peers._place.switchboard
    await workers[1].peers.hand_over()
    board.paths[1].unlink()

    await workers[1].peers.hand_on_calls()

    assert [entry.getMessage() for entry in caplog.records] == [
        "worker 1 could not hand on its calls"
    ]
    assert board.bury(1, os.getpid()) == 1


async def test_calls_that_there_was_no_room_for_are_handed_on() -> None:
    board = Switchboard(1)
    old = Worker(board, 0, max_entries=2)
    await old.peers.start()
    for number in range(5):
        old.say(f"{number}", session="a")
    new = Worker(board, 0, number=10, max_entries=2)
    await new.peers.start()
    await old.peers.hand_over()
    await old.peers.hand_on_calls()
    await old.close()

    for session in (None, "a"):
        reading = await new.read(session)
        assert (texts(reading), reading.lost) == (["3", "4"], 3)
    await new.close()
    board.close()


# --- Waiting --------------------------------------------------------------------------------------


async def test_calls_of_other_processes_end_a_wait(workers: list[Worker]) -> None:
    waiting = asyncio.create_task(workers[0].calls.wait("a", 3, PATIENCE))
    for worker in workers:
        while not worker.own.journal.listeners:  # noqa: ASYNC110  # until it is watched
            await asyncio.sleep(0.001)
        worker.say("x", session="b")
        worker.say("x", session="a")
        worker.say("x", session="a", attempt=2)

    assert await waiting is True
    assert workers[0].own.journal.listeners == set()


async def test_a_wait_ends_in_time(workers: list[Worker]) -> None:
    workers[1].say("x")
    assert await workers[0].calls.wait(None, 1, 0) is True
    assert await workers[0].calls.wait(None, 2, 0.01) is False
    assert await workers[0].calls.wait("a", 0, 0) is True


async def test_a_wait_that_is_given_up_leaves_nothing(workers: list[Worker]) -> None:
    waiting = asyncio.create_task(workers[0].calls.wait(None, 1, PATIENCE))
    while not workers[1].own.journal.listeners:  # noqa: ASYNC110  # until it is watched
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert workers[0].own.journal.listeners == set()


def test_without_sockets_there_are_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr("mockllm.serve.peers.SHORT_TEMPORARY_DIRECTORY", str(tmp_path / "too"))
    board = Switchboard(2)

    assert (board.calls, board.bury(0, os.getpid())) == (None, 0)
    with pytest.raises(ValueError, match="no sockets"):
        _ = board.folder
