"""A server that is driven from another process, in an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from openai import APIStatusError, AsyncOpenAI

from mockllm import (
    AsyncControl,
    AsyncRemoteSession,
    Control,
    Mock,
    RemoteError,
    RemoteSession,
    Server,
)
from mockllm.client.async_control import AsyncRemoteGate, AsyncRemoteMock
from mockllm.client.words import RemoteGate, RemoteMock
from tests.support.served import PATIENCE, chat_request

pytestmark = pytest.mark.anyio


@pytest.fixture
async def remote(controlled: Server) -> AsyncIterator[AsyncControl]:
    controlled.reset_state()
    controlled.clear_calls()
    async with AsyncControl(controlled.base_url, token=controlled.control_token) as control:
        yield control


async def say(where: AsyncControl | AsyncRemoteSession, text: str) -> str | None:
    async with AsyncOpenAI(base_url=where.openai_base_url, api_key="any", max_retries=0) as client:
        try:
            answer = await client.chat.completions.create(**chat_request(text))
        except APIStatusError:
            return None
        return answer.choices[0].message.content


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_words_are_those_that_are_not_awaited() -> None:
    assert _public(Control) - _public(AsyncControl) == {"mocks", "strict_requests", "traffic"}
    assert _public(RemoteSession) - _public(AsyncRemoteSession) == {
        *("mocks", "strict_requests", "traffic"),
    }
    assert _public(RemoteMock) - _public(AsyncRemoteMock) == {"called"}
    assert _public(RemoteGate) - _public(AsyncRemoteGate) == set()


async def test_the_timing_and_sessions_of_credentials(remote: AsyncControl) -> None:
    assert (await remote.timing()).verdict == "no answer was paced"
    with pytest.raises(RemoteError, match='needs "session": "credential"'):
        await remote.session(credential="sk-a")


async def test_mocks_calls_and_assertions(remote: AsyncControl) -> None:
    with pytest.raises(TypeError, match=r"add\(\) takes keywords only"):
        await remote.add(Mock(reply="x"))  # type: ignore[arg-type]  # the mistake
    handle = await remote.add(user="new", reply="added")
    assert await say(remote, "new") == "added"

    assert [call.text for call in await remote.calls()] == ["new"]
    assert [call.text for call in await handle.calls()] == ["new"]
    assert (await handle.call_count(), await handle.requests()) == (1, 1)
    await handle.assert_called_once()
    await handle.assert_called(times=1)
    await handle.assert_requested(at_least=1)
    await (await remote.mock("ask")).assert_not_called()
    await remote.assert_no_unmatched()
    await remote.fail_on_errors()
    await remote.assert_order(handle)
    await remote.wait_for_calls(1)
    assert "1 request so far" in await remote.describe_calls()
    with pytest.raises(AssertionError, match="found 1 call"):
        await handle.assert_called(times=2)
    with pytest.raises(AssertionError, match="'ask': no call"):
        await remote.assert_all_called()
    with pytest.raises(KeyError):
        await remote.mock("none")
    await handle.remove()
    assert await say(remote, "new") is None


async def test_sessions_gates_speed_and_traffic(remote: AsyncControl) -> None:
    async with await remote.session("async") as session:
        gate = session.gate("g")
        async with anyio.create_task_group() as group:
            group.start_soon(say, session, "hold")
            with anyio.fail_after(PATIENCE):
                await gate.reached()
            assert await gate.held() == 1
            await gate.release()
        await gate.open()
        assert await say(session, "hold") == "x"
        await session.clear_calls()
        await session.reset_state()
        assert await session.calls() == []
        await session.start_traffic("busy")
        await session.stop_traffic("busy")
        await session.reset_traffic("busy")
        with pytest.raises(KeyError):
            await session.start_traffic("none")
    await remote.use_session(None)
    await remote.set_speed(2)
    assert await remote.speed() == 2.0
    await remote.set_speed(1)
    await remote.start_traffic("busy")
    await remote.stop_traffic("busy")
    await remote.reset_traffic("busy")
    assert repr(remote).startswith("AsyncControl('http://")


async def test_a_wait_that_is_cancelled_is_left_behind(remote: AsyncControl) -> None:
    with anyio.move_on_after(0.01) as scope:
        await remote.wait_for_calls(1, timeout=0.5)

    assert scope.cancelled_caught
