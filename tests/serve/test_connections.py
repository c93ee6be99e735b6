"""Connections to an engine with a bug, and their observers."""

from __future__ import annotations

import logging

import openai as openai_sdk
import pytest

from mockllm import Config
from mockllm.engine.decision import Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
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
