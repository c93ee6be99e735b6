"""Connections to an engine with a bug, and their observers."""

from __future__ import annotations

import logging

import openai as openai_sdk
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Exchange, Trouble
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve.connections import Service
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
            with pytest.raises(openai_sdk.InternalServerError, match=r"reply\.text: the tem"):
                await server.client.chat.completions.create(**chat_request(text))

    records = [each.getMessage() for each in caplog.records if each.name == "mockllm"]
    assert records == [
        "mocks[0]: reply.text: the template failed: 'dict object' has no attribute 'a'",
        "mocks[1]: reply.text: the template failed: 'dict object' has no attribute 'b'",
    ]


def test_an_exception_of_the_author_is_logged_each_time_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service(App(Engine(load(Config.from_dict(CONFIG)))))
    error = ZeroDivisionError("never hidden")

    for _ in range(2):
        service.report(Trouble("mocks[0]: reply", "the function failed", error))

    assert [each.exc_info and each.exc_info[1] for each in caplog.records] == [error, error]
