"""Streams that pause, and streams that are cut or reset."""

from __future__ import annotations

import logging

import openai as openai_sdk
import pytest

from mockllm.exchange import Ending, How
from tests.support.http.peer import Peer
from tests.support.listening import (
    FOREVER,
    SHORT,
    STREAM_REQUEST,
    TEXT,
    EditedApp,
    ended,
    endless,
    paced,
    running,
    text_of,
)
from tests.support.served import chat_request

pytestmark = pytest.mark.anyio


# --- Pauses ---------------------------------------------------------------------------------------


async def test_a_stream_with_pauses_arrives_whole() -> None:
    async with running(EditedApp(paced(then=SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_paused_stream_does_not_delay_others() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        slow = await server.stream()
        assert (await anext(slow)).choices[0].delta.role == "assistant"
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
        await slow.close()
        await (await server.begin_to_stop(drain_timeout=0))


async def test_an_answer_may_wait_before_its_first_byte() -> None:
    async with running(EditedApp(paced(SHORT))) as server:
        assert await text_of(await server.stream()) == TEXT


async def test_a_client_that_disconnects_ends_its_answer() -> None:
    async with running(EditedApp(endless)) as server:
        stream = await server.stream()
        await anext(stream)
        await stream.close()
        # `running` finds that the answer ends, though there are hours of it.


async def test_a_client_that_resets_ends_its_answer_in_a_pause() -> None:
    async with running(EditedApp(paced(0.0, then=FOREVER))) as server:
        peer = await Peer.connect(server.port)
        peer.send(STREAM_REQUEST)
        await peer.read_until(b"data: ")
        peer.reset()


# --- Endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending(How.CUT), Ending(How.RESET)])
async def test_a_stream_may_be_cut_or_reset(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(EditedApp(ended(ending, after=5))) as server:
        with pytest.raises(openai_sdk.APIConnectionError):
            await text_of(await server.stream())
        completion = await server.client.chat.completions.create(**chat_request("hi"))
        assert completion.choices[0].message.content == TEXT
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
