"""Requests whose state is not at hand: they wait for the store, and others do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm.app import App
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Exchange, Outcome
from mockllm.state.operations import EndSession, Leave
from mockllm.state.store import StateUnavailableError
from tests.support.distant_store import DistantStore
from tests.support.listening import running
from tests.support.served import API_KEY

pytestmark = pytest.mark.anyio

BUSY = StateUnavailableError("state_busy", "Other processes use the state")
MOCKS = [
    {"name": "three", "match": {"user": "next"}, "sequence": ["one", "two", "three"]},
    {"name": "stateless", "match": {"user": "hello"}, "reply": "hi"},
]
EMBEDDINGS = [
    {
        "match": {"input": "part"},
        "sequence": [{"response": {"data": [{"embedding": [0.5, 0.5]}]}}, {"error": "conflict"}],
    }
]


class Far(NamedTuple):
    """A running server whose store is distant, its clients, and what its observers saw."""

    store: DistantStore
    seen: list[Exchange]
    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    async def chat(self, text: str = "next") -> str | None:
        answer = await self.openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": text}]
        )
        return answer.choices[0].message.content

    async def message(self, text: str = "next") -> str:
        answer = await self.anthropic.messages.create(
            model="m", max_tokens=10, messages=[{"role": "user", "content": text}]
        )
        (block,) = answer.content
        assert block.type == "text"
        return block.text

    def of_session(self, name: str) -> Far:
        base_url = self.openai.base_url.copy_with(path=f"/session/{name}/v1/")
        return self._replace(openai=self.openai.with_options(base_url=base_url))


@asynccontextmanager
async def far(*traffic: Any) -> AsyncIterator[Far]:
    config = {"mocks": MOCKS, "openai_embeddings": EMBEDDINGS, "traffic": traffic}
    app, seen = App(build_engine(config)), list[Exchange]()
    app.store = store = DistantStore(app.forget_session)
    async with running(app, (seen.append,)) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with AsyncAnthropic(base_url=url, api_key=API_KEY, max_retries=0) as claude:
            yield Far(store, seen, server.client, claude)


async def test_a_request_waits_for_its_state() -> None:
    async with far() as one:
        assert [await one.chat() for _ in range(3)] == ["one", "two", "three"]
        with pytest.raises(openai.NotFoundError, match="exhausted after 3 answers"):
            await one.chat()
        assert one.store.waited == 4


async def test_concurrent_requests_get_each_place_once() -> None:
    async with far() as one:
        said = await asyncio.gather(*(one.chat() for _ in range(3)))

    assert sorted(map(str, said)) == ["one", "three", "two"]


async def test_a_request_without_state_waits_for_nothing() -> None:
    async with far() as one:
        assert [await one.chat("hello"), await one.message("hello")] == ["hi", "hi"]
        assert one.store.waited == 0


async def test_the_vendors_say_that_state_cannot_be_reached() -> None:
    async with far() as one:
        one.store.error = BUSY
        with pytest.raises(openai.InternalServerError) as refused:
            await one.chat()
        with pytest.raises(anthropic.InternalServerError) as refused_too:
            await one.message()
        assert await one.chat("hello") == "hi"

        assert (refused.value.status_code, refused_too.value.status_code) == (503, 503)
        assert refused.value.body == {
            "message": "Other processes use the state",
            "type": "server_error",
            "param": None,
            "code": "state_busy",
        }
        assert refused_too.value.body == {
            "type": "error",
            "error": {"type": "api_error", "message": "Other processes use the state"},
            "request_id": refused_too.value.request_id,
        }
        outcomes = [exchange.decision.match.outcome for exchange in one.seen]
        assert outcomes == [Outcome.NO_STATE, Outcome.NO_STATE, Outcome.MOCK]


async def test_a_request_after_one_that_was_refused_is_answered() -> None:
    async with far() as one:
        one.store.error = BUSY
        with pytest.raises(openai.InternalServerError):
            await one.chat()
        one.store.error = None

        assert await one.chat() == "one"


async def test_a_session_is_admitted_by_the_store() -> None:
    async with far() as one:
        assert await one.of_session("s").chat() == "one"
        assert await one.of_session("s").chat("hello") == "hi"
        assert await one.chat() == "one"
        one.store.perform([EndSession("s")], 0.0)
        with pytest.raises(openai.NotFoundError, match="session 's' has ended"):
            await one.of_session("s").chat("hello")
        one.store.error = BUSY
        with pytest.raises(openai.InternalServerError):
            await one.of_session("t").chat("hello")

        sessions = [exchange.decision.session for exchange in one.seen]
        assert sessions == ["s", "s", "", "s", "t"]


async def test_a_place_is_given_back_although_state_cannot_be_reached() -> None:
    async with far({"rate_limit": {"concurrent": 1}}) as one:
        assert await one.chat() == "one"
        one.store.error = BUSY
        with pytest.raises(openai.InternalServerError):
            await one.chat("hello")
        one.store.error = None
        assert await one.chat() == "two"

        assert [type(each) for each in one.store.posted] == [Leave] * 3
        assert len(one.store.leases) == 0


async def test_each_part_of_a_request_may_wait() -> None:
    async with far() as one:
        found = await one.openai.embeddings.create(
            model="m", input=["part", "part"], encoding_format="float"
        )

        assert [each.embedding for each in found.data] == [[0.5, 0.5]] * 2


async def test_a_session_and_its_mock_are_asked_for_in_one_step() -> None:
    async with far() as one:
        assert await one.of_session("s").chat() == "one"
        assert one.store.waited == 1
        one.store.perform([EndSession("s")], 0.0)
        with pytest.raises(openai.NotFoundError, match="session 's' has ended"):
            await one.of_session("s").chat()
        assert await one.of_session("t").chat() == "one"


async def test_an_endpoint_does_nothing_for_a_session_that_has_ended() -> None:
    async with far() as one:
        session = one.of_session("s").openai
        one.store.perform([EndSession("s")], 0.0)
        with pytest.raises(openai.NotFoundError, match="session 's' has ended"):
            await session.responses.delete("resp_1")
