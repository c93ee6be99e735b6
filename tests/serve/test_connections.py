"""Connections to an engine with a bug, and their observers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import openai as openai_sdk
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Exchange, Trouble
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve.connections import MAX_CHECKED, Service
from mockllm.serve.turns import Turns
from tests.support.apps import LoneApp
from tests.support.http.answers import read_answers
from tests.support.http.messages import get, post
from tests.support.http.peer import Peer
from tests.support.listening import CONFIG, BrokenApp, EditedApp, running, text_of, unchanged
from tests.support.served import chat_request

pytestmark = pytest.mark.anyio


# --- A bug in the engine --------------------------------------------------------------------------


async def test_a_bug_is_a_500_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    async with running(BrokenApp(Engine(load(Config.from_dict(CONFIG))))) as server:
        with pytest.raises(openai_sdk.InternalServerError) as info:
            await server.client.chat.completions.create(**chat_request("hi"))
        assert info.value.request_id
        assert "The mock server failed to answer: ZeroDivisionError" in str(info.value)
        assert "never shown" not in str(info.value.body)
        with pytest.raises(openai_sdk.NotFoundError):
            await server.client.responses.create(model="m", input="hi")
    (record,) = [each for each in caplog.records if each.name == "mockllm"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "POST /v1/chat/completions" in record.getMessage()


async def test_a_bug_leaves_the_connection_open() -> None:
    async with running(BrokenApp(Engine(load(Config.from_dict(CONFIG))))) as server:
        peer = await Peer.connect(server.port)
        peer.send(post() + get("Connection: close"))
        answers = read_answers(await peer.read_all())
        assert [answer.status for answer in answers] == [500, 200]
        peer.close()


# --- Observers ------------------------------------------------------------------------------------


async def test_observers_get_every_exchange() -> None:
    seen: list[Exchange] = []
    async with running(EditedApp(unchanged), (seen.append,)) as server:
        await server.client.chat.completions.create(**chat_request("hi"))
        await text_of(await server.stream())
        with pytest.raises(openai_sdk.NotFoundError):
            await server.client.chat.completions.create(**chat_request("ho"))
    paths = {exchange.request.path for exchange in seen}
    assert paths == {"/v1/chat/completions"}
    assert [each.decision.match.outcome.value for each in seen] == [
        "matched",
        "matched",
        "no match",
    ]
    assert [each.decision.reply.status for each in seen] == [200, 200, 404]
    assert all(0 <= each.delivery.decided <= each.delivery.ended for each in seen)


# --- Answers that cannot be made ------------------------------------------------------------------


async def test_a_template_that_fails_is_logged_once_and_answered_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mocks = [
        {"match": {"user": text}, "reply": {"template": "{{ body[user] }}"}} for text in ("a", "b")
    ]
    async with running(LoneApp(Engine(load(Config.from_dict({"mocks": mocks}))))) as server:
        for text in ("a", "a", "b"):
            with pytest.raises(openai_sdk.InternalServerError, match=r"reply: the tem"):
                await server.client.chat.completions.create(**chat_request(text))

    records = [each.getMessage() for each in caplog.records if each.name == "mockllm"]
    assert records == [
        (
            "mocks[0]: reply: the template failed: there is no 'a'; what may be "
            "missing needs a default: | default('')"
        ),
        (
            "mocks[1]: reply: the template failed: there is no 'b'; what may be "
            "missing needs a default: | default('')"
        ),
    ]


def test_an_exception_of_the_author_is_logged_each_time_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service(App(Engine(load(Config.from_dict(CONFIG)))))
    error = ZeroDivisionError("never hidden")

    for _ in range(2):
        service.report(Trouble("mocks[0]: reply", "the function failed", error))

    assert [each.exc_info and each.exc_info[1] for each in caplog.records] == [error, error]


# --- Checks of the time limits --------------------------------------------------------------------


class _Checked:
    """A connection that counts its checks."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.checks = 0
        self._then = then

    def check(self, now: float) -> None:
        self.checks += 1
        self._then()

    def stop_reading(self) -> bool:
        return False

    def start_reading(self) -> None: ...
    def close_after_last_call(self) -> None: ...
    def abort(self) -> None: ...


def _service(connections: Iterable[_Checked]) -> Service:
    service = Service(LoneApp(Engine(load(Config.from_dict(CONFIG)))))
    service.connections.update(connections)
    return service


async def test_a_turn_of_the_loop_checks_some_connections_and_a_round_each_once() -> None:
    connections = [_Checked() for _ in range(MAX_CHECKED * 2 + 1)]
    service = _service(connections)
    counts = []
    service.start_checking()
    for _ in range(5):
        counts.append(sum(each.checks for each in connections))
        await asyncio.sleep(0)
    service.stop_checking()

    assert counts == [MAX_CHECKED, 2 * MAX_CHECKED, *[2 * MAX_CHECKED + 1] * 3]
    assert {each.checks for each in connections} == {1}


async def test_a_connection_that_closes_before_its_turn_is_not_checked() -> None:
    connections = [_Checked() for _ in range(MAX_CHECKED + 10)]
    service = _service(connections)
    service.start_checking()
    closed = [each for each in connections if not each.checks]
    service.connections.difference_update(closed)
    await asyncio.sleep(0)
    service.stop_checking()

    assert [each.checks for each in closed] == [0] * 10


async def test_a_check_that_fails_does_not_end_the_round() -> None:
    calls = 0

    def fail_first() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError

    service = _service([_Checked(fail_first) for _ in range(MAX_CHECKED + 10)])
    with pytest.raises(ZeroDivisionError):
        service.start_checking()
    await asyncio.sleep(0)
    service.stop_checking()

    assert calls == 1 + 10


async def test_no_connection_is_checked_once_the_checks_have_stopped() -> None:
    connections = [_Checked() for _ in range(MAX_CHECKED + 1)]
    service = _service(connections)
    service.start_checking()
    service.stop_checking()
    await asyncio.sleep(0)

    assert sum(each.checks for each in connections) == MAX_CHECKED


# --- Answers with very many parts -----------------------------------------------------------------


@pytest.mark.parametrize(("text", "let_go"), [({"template": "b"}, [1_000, 1_000]), ("b", [])])
async def test_the_parts_of_an_answer_to_one_request_are_let_go_of_little_by_little(
    text: object, let_go: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []

    def note(turns: Turns, entries: list[object]) -> None:
        noted.append(len(entries))
        let_go_of_many(turns, entries)

    let_go_of_many = Turns.let_go_of_many
    monkeypatch.setattr(Turns, "let_go_of_many", note)
    reply = {"text": text, "tool_calls": [{"name": "f"}] * 1_000}
    mocks = [{"match": {"user": "a"}, "reply": reply}]

    async with running(LoneApp(Engine(load(Config.from_dict({"mocks": mocks}))))) as server:
        answer = await server.client.chat.completions.create(**chat_request("a"))

    assert len(answer.choices[0].message.tool_calls or ()) == 1_000
    assert noted == let_go
