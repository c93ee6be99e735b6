"""Changes that several workers make: one order, nothing halfway, and what is missed is made up."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from mockllm.app import App
from mockllm.endpoints.control import changes, desk
from mockllm.endpoints.control.access import Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.making import LocalChanges
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, DividedWork, Question, Wait
from mockllm.engine.packed_changes import restore
from mockllm.exchange import Request
from mockllm.pieces import finish
from mockllm.serve import change_log, restoring, shared_changes
from mockllm.serve.change_log import ChangeBoard
from mockllm.serve.connections import Service
from mockllm.serve.gates import Gates
from mockllm.serve.shared_changes import SharedChanges
from mockllm.state.change_count import BEHIND
from mockllm.state.store import LocalStore
from tests.support.control import HOST, JSON, TOKEN
from tests.support.goldens import delivered
from tests.support.manual_time import ManualTime
from tests.support.observed import request
from tests.support.processes import posix
from tests.support.served import PATIENCE

pytestmark = [posix, pytest.mark.anyio]

CONFIG: dict[str, Any] = {
    "mocks": [{"name": "configured", "match": {"user": "configured"}, "reply": "yes"}],
    "traffic": [{"name": "busy", "match": {"user": "busy"}, "from": "1h", "error": "overloaded"}],
}


class Answer:
    """An answer that reaches a gate."""

    def __init__(self) -> None:
        self.happened = ""

    def pass_gate(self) -> None:
        self.happened += "passed"

    def cut_off(self) -> None:
        self.happened += "cut"


class Worker:
    """One worker, without a loop and sockets of its own."""

    def __init__(
        self, board: ChangeBoard, number: int, time: ManualTime, store: LocalStore
    ) -> None:
        self.app = App(build_engine(CONFIG), clock=lambda: time.now)
        self.app.store = store
        self.has_given_up = False
        self.shared = SharedChanges(board, number, self.give_up)
        self.gates = Gates(call_later=time.call_later, worker=number)
        self.clock = time.clock(started=0.0)
        service = Service(self.app, clock=self.clock, gates=self.gates)
        local = LocalChanges(self.app, self.clock, self.gates, None)
        self.shared.use(service, local)
        desk = Desk(
            self.app,
            self.shared,
            Access(TOKEN),
            None,
            self.clock,
            self.gates,
            cast("Any", None),
            lambda: "unnamed",
        )
        self.app.control = ControlAPI(desk)
        self.decide = service.decide
        self.shared.catch_up()

    def give_up(self) -> None:
        self.has_given_up = True

    def begin(
        self, method: str, path: str, body: Any = None, query: str = ""
    ) -> Decision | Question:
        """Ask the control API, up to the first question."""
        lines = {**HOST, **JSON, "authorization": f"Bearer {TOKEN}"}
        headers = tuple((name.encode(), value.encode()) for name, value in lines.items())
        data = b"" if body is None else orjson.dumps(body)
        asked = Request.of(method, f"/__mockllm/{path}", headers, data, query=query)
        decided = self.decide(asked)
        while isinstance(decided, Question) and isinstance(decided.operations[0], DividedWork):
            decided = decided.resume([finish(decided.operations[0].pieces)])
        return decided

    def ask(self, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
        """Ask the control API. Returns the status, and the value of the answer."""
        decided = self.begin(method, path, body, query)
        assert isinstance(decided, Decision)
        return read(decided)

    def say(self, text: str, session: str | None = None) -> str | None:
        """Ask a mock. Returns its words; None if no mock answers."""
        prefix = "" if session is None else f"/session/{session}"
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        decided = self.decide(request(f"{prefix}/v1/chat/completions", body))
        assert isinstance(decided, Decision)
        _, value = read(decided)
        return value["choices"][0]["message"]["content"] if "choices" in value else None

    def add(self, text: str, reply: str) -> int:
        return self.ask("POST", "mocks", {"user": text, "reply": reply})[0]

    @property
    def known(self) -> dict[str, Any]:
        """All that can be read of what was changed."""
        return {
            path: self.ask("GET", path)
            for path in ("mocks", "sessions", "traffic", "speed", "gates")
        }

    def close(self) -> None:
        self.shared.stop()
        self.shared.close()


def read(decision: Decision) -> tuple[int, Any]:
    body = delivered(decision.reply)
    return decision.reply.status, orjson.loads(body) if body else None


class Server:
    """A server with workers, of which further ones may begin."""

    def __init__(self, folder: Path) -> None:
        self.board = ChangeBoard(folder)
        self.time = ManualTime()
        self.store = LocalStore()
        self.workers: list[Worker] = []
        self._numbers = count(1)

    def start(self, workers: int = 1) -> list[Worker]:
        numbers = [next(self._numbers) for _ in range(workers)]
        started = [Worker(self.board, number, self.time, self.store) for number in numbers]
        self.workers += started
        return started


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="mockllm-test-", dir="/tmp") as folder:
        server = Server(Path(folder))
        yield server
        for worker in server.workers:
            worker.close()


def change_everything(worker: Worker) -> None:
    """Make every kind of change."""
    for words in (
        {"name": "late", "user": "x", "reply": "late"},
        {"name": "early", "user": "x", "reply": "early", "first": True},
        {"name": "earliest", "user": "x", "reply": "earliest", "first": True},
        {"name": "gone", "user": "x", "reply": "gone", "first": True},
    ):
        assert worker.ask("POST", "mocks", words)[0] == 201
    assert worker.ask("DELETE", "mocks/gone")[0] == 204
    for name in ("a", "b", "c"):
        assert worker.ask("PUT", f"sessions/{name}", {})[0] == 201
    assert worker.ask("PUT", "sessions", {"current": "b"})[0] == 200
    assert worker.ask("DELETE", "sessions/c")[0] == 204
    own = {"name": "own", "user": "y", "reply": "of a"}
    assert worker.ask("POST", "mocks", own, "session=a")[0] == 201
    entry = {"match": {"user": "t"}, "error": "overloaded"}
    assert worker.ask("PUT", "traffic/mine", entry)[0] == 200
    assert worker.ask("POST", "traffic/busy/start")[0] == 204
    assert worker.ask("POST", "traffic/mine/stop")[0] == 204
    assert worker.ask("PUT", "speed", {"speed": 4})[0] == 200
    assert worker.ask("POST", "gates/open/open")[0] == 204
    assert worker.ask("POST", "gates/released/release")[0] == 204


def test_what_is_repeated_learns_of_the_changes_of_others(server: Server) -> None:
    one, two = server.start(2)
    known = two.app.changes.latest()
    assert two.app.changes.latest() == known

    assert one.add("x", "1") == 201

    assert two.app.changes.known == known
    assert two.app.changes.latest() != known
    assert two.say("x") == "1"


def test_what_one_worker_changes_holds_for_the_next_request_to_any(server: Server) -> None:
    one, two = server.start(2)

    assert (one.add("x", "1"), two.say("x")) == (201, "1")
    assert two.ask("DELETE", "mocks/added[0]")[0] == 204
    assert one.say("x") is None
    assert one.ask("PUT", "sessions", {"current": "s"})[0] == 200
    assert two.ask("GET", "sessions")[1]["current"] == "s"
    assert two.ask("DELETE", "sessions/s")[0] == 204
    assert (one.say("configured"), two.say("configured")) == (None, None)  # it has ended
    assert one.ask("PUT", "sessions", {"current": None})[0] == 200
    assert two.say("configured") == "yes"


def test_a_new_worker_knows_everything(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = server.start()
    server.time.now = 10.0
    change_everything(first)
    server.time.now = 20.0
    expected = first.known
    (replayed,) = server.start()
    monkeypatch.setattr(change_log, "MIN_COMPACTED", 1)
    monkeypatch.setattr(change_log, "MIN_GROWTH", 0)
    first.ask("POST", "reset")  # which is followed by a snapshot
    monkeypatch.undo()
    (from_snapshot,) = server.start()

    assert replayed.known == from_snapshot.known == expected
    for worker in (replayed, from_snapshot):
        assert (worker.say("x", "a"), worker.say("y", "a")) == ("earliest", "of a")
        assert worker.clock.elapsed() == first.clock.elapsed() == 50.0
        assert worker.app.traffic.begun == first.app.traffic.begun
        assert worker.gates.states.dump() == first.gates.states.dump()
        assert worker.say("configured", "c") is None  # its session has ended
        assert worker.ask("DELETE", "mocks/added[3]")[0] == 404
    assert from_snapshot.add("y", "y") == 201
    assert first.ask("GET", "mocks/added[5]")[1]["name"] == "added[5]"


def test_changes_at_the_same_time_have_one_order(server: Server) -> None:
    workers = server.start(3)
    chance = random.Random(7)  # noqa: S311  # it need not be hard to guess
    for number in range(60):
        worker = chance.choice(workers)
        name = f"n{chance.randrange(3)}"
        if chance.random() < 0.7:
            worker.ask("PUT", f"mocks/{name}", {"user": "x", "reply": f"{number}"})
        else:
            worker.ask("DELETE", f"mocks/{name}")

    assert workers[0].known == workers[1].known == workers[2].known
    assert len({worker.say("x") for worker in workers}) == 1


def test_a_refused_change_is_made_nowhere(server: Server) -> None:
    one, two = server.start(2)
    before = two.known

    assert one.add("x", {"unknown": 1}) == 400  # type: ignore[arg-type]  # on purpose
    assert one.ask("PUT", "speed", {"speed": -1})[0] == 400
    assert one.ask("PUT", "traffic", {"traffic": [{"eror": 1}]})[0] == 400

    assert (one.known, two.known) == (before, before)


def test_a_full_disk_refuses_the_change(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = server.start(2)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(change_log, "_write", fail)
        status, value = one.ask("PUT", "speed", {"speed": 2})

    assert (status, value["error"]["code"]) == (503, "not_written")
    assert "No space left on device" in value["error"]["message"]
    assert (one.clock.speed, two.ask("GET", "speed")[1]) == (1.0, {"speed": 1.0})
    assert two.ask("PUT", "speed", {"speed": 3})[0] == 200
    assert one.ask("GET", "speed")[1] == {"speed": 3.0}


async def test_a_change_waits_for_the_lock_of_another_worker(server: Server) -> None:
    one, two = server.start(2)
    assert one.shared._log.lock()
    assert two.say("configured") == "yes"

    question = two.begin("PUT", "speed", {"speed": 2})

    assert isinstance(question, Question)
    (wait,) = question.operations
    assert isinstance(wait, Wait)
    waiting = asyncio.ensure_future(wait.begin())
    await asyncio.sleep(0)
    one.shared._log.unlock()
    decided = question.resume([await waiting])
    assert isinstance(decided, Decision)
    assert (read(decided), one.ask("GET", "speed")[1]) == ((200, {"speed": 2.0}), {"speed": 2.0})


async def test_a_lock_that_is_not_given_back_is_a_503(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_changes, "MAX_WAIT", 0.0)
    one, two = server.start(2)
    assert one.shared._log.lock()

    question = two.begin("PUT", "speed", {"speed": 2})

    assert isinstance(question, Question)
    (wait,) = question.operations
    assert isinstance(wait, Wait)
    decided = question.resume([await wait.begin()])
    assert isinstance(decided, Decision)
    status, value = read(decided)
    assert (status, value["error"]["code"]) == (503, "busy")
    one.shared._log.unlock()
    assert one.ask("GET", "speed")[1] == {"speed": 1.0}


def test_a_change_that_another_worker_cannot_make_is_told_and_passed_over(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = server.start(2)
    with monkeypatch.context() as patched:
        patched.setattr(two.app, "add", lambda *_: 1 / 0)
        one.add("x", "first")
        assert two.say("x") is None

    assert "a change cannot be made here: AddMock" in caplog.text
    assert one.add("y", "second") == 201
    assert two.say("y") == "second"


def test_a_worker_that_missed_what_is_gone_gives_up(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "MIN_COMPACTED", 1)
    monkeypatch.setattr(change_log, "MIN_GROWTH", 0)
    one, two = server.start(2)
    for number in range(change_log.KEPT_FILES + 1):
        one.add("x", f"{number}")

    two.say("configured")

    assert (one.has_given_up, two.has_given_up) == (False, True)
    assert "cannot follow the changes of others" in caplog.text


# --- changes that take long -----------------------------------------------------------------------

LARGE = "long " * 200


@pytest.fixture
def taking_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change with a long text takes long to compile, but not for the worker that makes it."""
    monkeypatch.setattr(restoring, "MAX_AT_ONCE", len(LARGE))
    for module in (changes, desk):
        monkeypatch.setattr(module, "MAX_AT_ONCE", 2 * len(LARGE))


async def resolved(decided: Decision | Question) -> tuple[int, Any]:
    """The answer after all questions."""
    while isinstance(decided, Question):
        (work,) = decided.operations
        if isinstance(work, Wait):
            decided = decided.resume([await work.begin()])
        else:
            assert isinstance(work, DividedWork)
            decided = decided.resume([finish(work.pieces)])
    return read(decided)


def say_later(worker: Worker, text: str) -> Decision | Question:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return worker.decide(request("/v1/chat/completions", body))


@pytest.mark.usefixtures("taking_long")
async def test_a_request_waits_for_a_change_that_takes_long_and_others_go_on(
    server: Server,
) -> None:
    one, two = server.start(2)
    assert [one.add("x", LARGE), one.add("x", "2"), one.add("y", LARGE)] == [201] * 3
    known = two.app.changes.known

    asked = [say_later(two, text) for text in ("x", "y", "configured")]

    assert all(isinstance(each, Question) for each in asked)
    assert two.app.changes.latest() == BEHIND
    assert two.app.changes.known == known
    health = two.decide(Request.of("GET", "/health", ((b"host", b"a"),)))
    assert isinstance(health, Decision)
    assert health.reply.status == 200
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*map(resolved, asked))
    said = [value["choices"][0]["message"]["content"] for _, value in answers]
    assert said == [LARGE, LARGE, "yes"]
    assert two.app.changes.latest() != BEHIND
    assert two.known == one.known


@pytest.mark.usefixtures("taking_long")
async def test_a_change_comes_after_one_of_another_worker_that_takes_long(server: Server) -> None:
    one, two = server.start(2)
    assert one.add("x", LARGE) == 201

    changed = resolved(two.begin("DELETE", "mocks/added[0]"))
    waiting = held(one)
    released = resolved(two.begin("POST", "gates/g/release"))
    async with asyncio.timeout(PATIENCE):
        statuses = [status for status, _ in await asyncio.gather(changed, released)]

    assert statuses == [204, 204]
    one.shared.catch_up()
    assert one.say("x") is two.say("x") is None
    assert waiting.happened == "passed"


@pytest.mark.usefixtures("taking_long")
async def test_an_answer_reaches_a_gate_after_a_change_that_takes_long(server: Server) -> None:
    one, two = server.start(2)
    assert one.add("x", LARGE) == 201
    assert one.ask("POST", "gates/g/open")[0] == 204

    coming = held(two)
    async with asyncio.timeout(PATIENCE):
        while not coming.happened:  # noqa: ASYNC110  # what happens then tells nobody
            await asyncio.sleep(0.001)

    assert coming.happened == "passed"
    assert two.say("x") == LARGE


@pytest.mark.usefixtures("taking_long")
async def test_a_change_that_takes_long_and_cannot_be_made_is_passed_over(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = server.start(2)
    assert [one.add("x", LARGE), one.add("y", "2")] == [201, 201]

    def fail(packed: Any, engine: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(restoring, "restore", fail)
    async with asyncio.timeout(PATIENCE):
        await two.shared.follow_patiently()

    assert (two.say("x"), two.say("y")) == (None, "2")
    assert "a change cannot be made here: AddMock" in caplog.text


@pytest.mark.usefixtures("taking_long")
async def test_a_change_is_compiled_for_the_configuration_that_it_meets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = server.start(2)
    assert one.add("x", LARGE) == 201
    engines: list[Any] = []

    def restored(packed: Any, engine: Any) -> Any:
        if not engines:
            two.app.use(build_engine(CONFIG))
        engines.append(engine)
        return restore(packed, engine)

    monkeypatch.setattr(restoring, "restore", restored)
    async with asyncio.timeout(PATIENCE):
        await two.shared.follow_patiently()

    assert engines[-1] is two.app.engine
    assert len(engines) == 2
    assert two.say("x") == LARGE


@pytest.mark.usefixtures("taking_long")
def test_a_new_worker_makes_what_takes_long_before_it_begins(server: Server) -> None:
    (one,) = server.start()
    assert one.add("x", LARGE) == 201
    (two,) = server.start()
    two.shared.catch_up(is_patient=True)

    assert two.say("x") == LARGE


# --- gates ----------------------------------------------------------------------------------------


def held(worker: Worker, session: str = "", name: str = "g") -> Answer:
    answer = Answer()
    assert worker.gates.arrive(session, name, answer)
    return answer


def happened(*answers: Answer) -> list[str]:
    return [each.happened for each in answers]


def test_a_release_lets_exactly_one_go_in_whichever_worker(server: Server) -> None:
    one, two, three = server.start(3)
    answers = [held(two), held(one), held(two), held(three)]
    assert three.ask("GET", "gates")[1] == {"held": {"g": 4}}

    for number in range(3):
        assert server.workers[number].ask("POST", "gates/g/release")[0] == 204
        for worker in server.workers:
            worker.shared.catch_up()
        expected = ["passed"] * (number + 1) + [""] * (3 - number)
        assert happened(*answers) == expected

    assert one.ask("POST", "gates/g/open")[0] == 204
    assert three.ask("GET", "gates")[1] == {"held": {}}
    assert happened(*answers) == ["passed"] * 4
    assert not two.gates.arrive("", "g", Answer())
    assert [worker.gates.reached(None, "g") for worker in (one, two)] == [4, 5]
    assert three.ask("GET", "gates")[0] == 200
    assert three.gates.reached(None, "g") == 5


def test_a_release_before_the_answer_comes_is_used_once(server: Server) -> None:
    one, two = server.start(2)

    assert one.ask("POST", "gates/g/release")[0] == 204

    assert not two.gates.arrive("", "g", Answer())
    assert one.gates.arrive("", "g", Answer())
    assert two.gates.arrive("", "g", Answer())


def test_the_end_of_a_session_cuts_its_answers_in_all_workers(server: Server) -> None:
    one, two = server.start(2)
    assert one.ask("PUT", "sessions/s", {})[0] == 201
    mine, other, elsewhere = held(one, "s"), held(two, "s"), held(two, "t")

    assert one.ask("DELETE", "sessions/s")[0] == 204
    two.shared.catch_up()

    assert happened(mine, other, elsewhere) == ["cut", "cut", ""]
    assert one.ask("GET", "gates")[1] == two.ask("GET", "gates")[1] == {"held": {"g": 1}}


def test_the_answers_of_a_worker_that_died_are_held_no_more(server: Server) -> None:
    one, two, three = server.start(3)
    held(two)
    survivor = held(one)
    server.workers.remove(two)
    two.close()

    assert one.ask("GET", "gates")[1] == {"held": {"g": 1}}
    assert three.ask("POST", "gates/g/release")[0] == 204
    one.shared.catch_up()

    assert happened(survivor) == ["passed"]
    assert one.gates.states.workers == frozenset()


async def test_an_answer_that_comes_while_another_worker_changes_is_held_until_then(
    server: Server,
) -> None:
    one, two = server.start(2)
    assert one.ask("POST", "gates/g/open")[0] == 204
    assert one.shared._log.lock()
    coming, leaving = held(two), held(two)
    two.gates.leave(leaving)
    assert happened(coming, leaving) == ["", ""]

    one.shared._log.unlock()
    async with asyncio.timeout(PATIENCE):
        while not coming.happened:  # noqa: ASYNC110  # what happens then tells nobody
            await asyncio.sleep(0.001)

    assert happened(coming, leaving) == ["passed", ""]
    assert one.ask("GET", "gates")[1] == {"held": {}}
    assert one.gates.reached("", "g") == 2


def test_an_evicted_session_loses_its_answers_and_no_other_worker_its_gates(
    server: Server,
) -> None:
    one, two = server.start(2)
    assert one.ask("POST", "gates/g/release")[0] == 204
    mine, other = held(one, "s", "h"), held(two, "s", "h")

    one.app.forget_session("s")

    assert happened(mine, other) == ["cut", ""]
    assert one.ask("GET", "gates")[1] == two.ask("GET", "gates")[1] == {"held": {"h": 1}}
    assert one.gates.states.dump() == two.gates.states.dump()
