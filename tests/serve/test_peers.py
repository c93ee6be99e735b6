"""Workers that ask one another, as apps in one loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.endpoints import stored_responses
from mockllm.engine.asking import without_pauses
from mockllm.engine.decision import Decision, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.serve.fresh_values import FreshValueSource
from mockllm.serve.peers import Peers, Switchboard, WorkerPlace
from mockllm.serve.turns import Turns
from mockllm.wire.placeholders import fill, fill_fresh
from tests.support.served import responses_mock, responses_saying

pytestmark = pytest.mark.anyio

RECORDED = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"
KEY = ((b"authorization", b"Bearer any"),)
MOCKS = [
    responses_mock("hi", responses_saying("hö \u2028")),
    responses_mock("named", responses_saying("ho") | {"id": "resp_mine"}),
    responses_mock("recorded", responses_saying("hu") | {"id": RECORDED}),
]


class Worker:
    """One worker: its app, its peers, and the ids that it gives."""

    def __init__(self, board: Switchboard, slot: int, *, successor: bool = False) -> None:
        self.app = App(Engine(load(Config.from_dict({"openai_response": MOCKS}))))
        self.peers = Peers(self.app, WorkerPlace(board, slot, successor), turns=Turns())
        self._fresh = FreshValueSource(slot)

    def give(self, text: str, **members: Any) -> str:
        """Answer a request, and return the id of the response."""
        body = orjson.dumps({"model": "m", "input": text, **members})
        request = Request.of("POST", "/v1/responses", KEY, body)
        decision = self.app.decide(request)
        assert isinstance(decision, Decision)
        fresh = self._fresh.next(0.0)
        self.app.responses.store(request, decision, fresh)
        data = fill_fresh(fill(decision.reply, model="m", input_tokens=1).body, fresh)
        return str(orjson.loads(data)["id"])

    async def ask(self, response_id: str, *, method: str = "GET", query: str = "") -> Decision:
        """The decision on a request about a response, whoever gave it."""
        path = f"/v1/responses/{response_id}"
        decided = without_pauses(self.app.decide(Request.of(method, path, KEY, query=query)))
        if isinstance(decided, Question):
            found = await self.peers.perform(decided.operations)
            decided = without_pauses(decided.resume(found))
        assert isinstance(decided, Decision)
        return decided


@pytest.fixture(autouse=True, params=["at once", "in pieces"])
def _reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored requests are read again at once, as small ones are, or in pieces, as large ones."""
    if request.param == "in pieces":
        monkeypatch.setattr(stored_responses, "MAX_UNDIVIDED", 0)


@pytest.fixture
def board() -> Iterator[Switchboard]:
    made = Switchboard(3)
    yield made
    made.close()


@pytest.fixture
async def workers(board: Switchboard) -> Any:
    made = [Worker(board, slot) for slot in range(3)]
    for worker in made:
        await worker.peers.start()
    yield made
    for worker in made:
        worker.peers.stop()


async def test_a_response_is_found_whichever_worker_gave_it(workers: list[Worker]) -> None:
    given = workers[1].give("hi")

    found = [await worker.ask(given) for worker in workers]

    assert [decision.reply.status for decision in found] == [200, 200, 200]
    assert len({decision.reply.body for decision in found}) == 1
    assert orjson.loads(found[0].reply.body)["id"] == given


async def test_a_configured_id_is_looked_for_in_all_workers(workers: list[Worker]) -> None:
    for text, configured in (("named", "resp_mine"), ("recorded", RECORDED)):
        assert workers[2].give(text) == configured
        assert (await workers[0].ask(configured)).reply.status == 200


async def test_what_no_worker_gave_is_a_404(workers: list[Worker]) -> None:
    for unknown in ("resp_nobody", workers[0].give("hi", store=False)):
        decision = await workers[1].ask(unknown)
        assert decision.reply.status == 404
        assert unknown.encode() in decision.reply.body


async def test_a_refusal_of_the_worker_that_gave_it_is_the_answer(workers: list[Worker]) -> None:
    decision = await workers[0].ask(workers[1].give("hi"), query="stream=true")

    assert decision.reply.status == 400


async def test_a_stream_comes_event_by_event(workers: list[Worker]) -> None:
    decision = await workers[0].ask(workers[1].give("hi", background=True), query="stream=true")

    assert decision.reply.streamed
    assert len(list(decision.reply.steps)) == decision.reply.body.count(b"event: ")


async def test_another_worker_deletes_it_too(workers: list[Worker]) -> None:
    given = workers[1].give("hi")

    assert (await workers[0].ask(given, method="DELETE")).reply.status == 200
    assert (await workers[1].ask(given)).reply.status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_worker_that_does_not_answer_in_time_is_a_503(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("mockllm.serve.peers.MAX_WAIT", 0.01)
    workers[1].peers.stop()

    decision = await workers[0].ask(workers[1].give("hi"), method=method)

    assert decision.reply.status == 503
    assert b"Retry the request" in decision.reply.body


async def test_a_worker_that_is_gone_is_a_404(workers: list[Worker], board: Switchboard) -> None:
    given = workers[1].give("hi")
    board.paths[1].unlink()

    assert (await workers[0].ask(given)).reply.status == 404


async def test_a_configured_id_is_deleted_in_all_workers(workers: list[Worker]) -> None:
    for worker in workers:
        worker.give("named")

    assert (await workers[0].ask("resp_mine", method="DELETE")).reply.status == 200
    assert [(await worker.ask("resp_mine")).reply.status for worker in workers] == [404] * 3


async def test_a_malformed_message_is_logged_and_gets_no_answer(
    workers: list[Worker], board: Switchboard, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_unix_connection(board.paths[1])
    writer.write(b"\x00\x00\x00\x01!")

    assert await reader.read() == b""
    writer.close()
    assert [entry.getMessage() for entry in caplog.records] == [
        "internal error answering another worker"
    ]


async def test_a_successor_knows_what_was_given_in_its_slot(
    workers: list[Worker], board: Switchboard
) -> None:
    old = workers[1]
    before = old.give("hi", background=True)
    successor = Worker(board, 1, successor=True)
    await successor.peers.start()
    meanwhile = old.give("hi")
    await old.peers.hand_over()
    draining = old.give("hi")
    await old.peers.hand_over()

    statuses = [(await workers[0].ask(each)).reply.status for each in (before, meanwhile, draining)]

    assert statuses == [200, 200, 200]
    assert len(successor.app.responses.stored) == 3
    successor.peers.stop()


@pytest.mark.parametrize("exported_first", [False, True])
async def test_a_successor_knows_what_was_deleted_and_cancelled(
    workers: list[Worker], board: Switchboard, exported_first: bool
) -> None:
    old = workers[1]
    deleted, cancelled = old.give("hi"), old.give("hi", background=True)
    successor = Worker(board, 1, successor=True)
    if exported_first:
        await successor.peers.start()
    await old.ask(deleted, method="DELETE")
    path = f"/v1/responses/{cancelled}/cancel"
    assert isinstance(without_pauses(old.app.decide(Request.of("POST", path, KEY))), Decision)
    if not exported_first:
        await successor.peers.start()
    await old.peers.hand_over()

    assert (await workers[0].ask(deleted)).reply.status == 404
    found = await workers[0].ask(cancelled)
    assert orjson.loads(found.reply.body)["status"] == "cancelled"
    successor.peers.stop()


async def test_responses_of_one_mock_are_handed_over_with_one_answer(
    workers: list[Worker], board: Switchboard
) -> None:
    old = workers[1]
    for _ in range(100):
        old.give("hi")
    successor = Worker(board, 1, successor=True)
    await successor.peers.start()

    answers = {id(stored.response) for stored in successor.app.responses.stored.all()}

    assert len(successor.app.responses.stored) == 100
    assert len(answers) == 1
    successor.peers.stop()


async def test_a_failed_handover_is_logged(
    workers: list[Worker], board: Switchboard, caplog: pytest.LogCaptureFixture
) -> None:
    workers[1].give("hi")
    board.paths[1].unlink()

    await workers[1].peers.hand_over()

    assert [entry.getMessage() for entry in caplog.records] == [
        "worker 1 could not hand over 1 responses"
    ]


async def test_workers_without_sockets_know_their_own_responses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr("mockllm.serve.peers.SHORT_TEMPORARY_DIRECTORY", str(tmp_path / "too"))
    worker = Worker(Switchboard(2), 0)

    await worker.peers.start()
    given = worker.give("hi")
    await worker.peers.hand_over()
    worker.peers.stop()

    assert (await worker.ask(given)).reply.status == 200
    assert (await worker.ask("resp_unknown")).reply.status == 404
    (entry,) = caplog.records
    assert str(tmp_path) in entry.getMessage()


def test_a_long_temporary_directory_is_replaced_and_left_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("d" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    board = Switchboard(2)

    assert len(board.sockets) == 2
    assert not list(long.iterdir())
    board.close()


def test_nobody_else_may_enter_the_switchboard(board: Switchboard) -> None:
    folder = board.paths[0].parent

    assert folder.stat().st_mode & 0o077 == 0


def test_a_closed_switchboard_leaves_no_file() -> None:
    board = Switchboard(2)
    folder: Path = board.paths[0].parent

    board.close()

    assert not folder.exists()
