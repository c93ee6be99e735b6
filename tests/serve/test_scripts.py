"""Scripts of several answers, as the official clients go through them: with their retries, in
sessions of their own, while the configuration is reloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import Config
from mockllm.app import App
from mockllm.engine.decision import Decision, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.listening import running

pytestmark = pytest.mark.anyio

SOON = {"as": "overloaded", "retry_after": "1ms"}
APIS = ("chat", "responses", "messages")
OTHER: dict[str, Any] = {"name": "other", "match": {"user": "other"}, "reply": "other"}


def script(*entries: Any, **words: Any) -> dict[str, Any]:
    return {"name": "script", "match": {"user": "go on"}, "sequence": [*entries], **words}


def engine(*mocks: dict[str, Any]) -> Engine:
    return Engine(load(Config.from_dict({"mocks": list(mocks)})))


class ReloadingApp(App):
    """An app that uses `next_engine` as soon as it has answered with an error: before the client
    can retry."""

    next_engine: Engine | None = None

    @property
    def is_reloaded(self) -> bool:
        return self.next_engine is None

    def decide(self, request: Request) -> Decision | Question:
        decided = super().decide(request)
        if isinstance(decided, Decision) and decided.reply.status >= 500 and self.next_engine:
            asyncio.get_running_loop().call_soon(self.use, self.next_engine)
            self.next_engine = None
        return decided


class Speaker:
    """The official clients of one session of a server, which retry twice."""

    def __init__(self, url: str) -> None:
        self._openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=2)
        self._anthropic = AsyncAnthropic(base_url=url, api_key="any", max_retries=2)

    async def say(self, api: str, text: str = "go on") -> str:
        if api == "chat":
            chat = await self._openai.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}]
            )
            return chat.choices[0].message.content or ""
        if api == "responses":
            return (await self._openai.responses.create(model="m", input=text)).output_text
        message = await self._anthropic.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": text}]
        )
        return "".join(block.text for block in message.content if block.type == "text")

    async def close(self) -> None:
        await self._openai.close()
        await self._anthropic.close()


@asynccontextmanager
async def speaking(app: App, *sessions: str) -> AsyncIterator[list[Speaker]]:
    async with running(app) as found:
        url = f"http://127.0.0.1:{found.port}"
        speakers = [Speaker(f"{url}/session/{name}" if name else url) for name in sessions]
        try:
            yield speakers
        finally:
            for speaker in speakers:
                await speaker.close()


ENTRIES = ["one", {"error": SOON, "times": 2}, "two", {"reply": "three", "times": 2}, "four"]
TEXTS = ["one", "two", "three", "three", "four"]


@pytest.mark.parametrize("seed", range(3))
async def test_each_session_goes_through_the_script_whatever_is_reloaded(seed: int) -> None:
    random = Random(seed)  # noqa: S311  # it is no secret
    same = [
        engine(script(*ENTRIES, at_end="restart")),
        engine(OTHER, script(*ENTRIES, at_end="restart")),
        engine(script(*ENTRIES, at_end="restart"), OTHER),
    ]
    names = ("", "a", "b")
    places = dict.fromkeys(names, 0)
    app = ReloadingApp(same[0])

    async with speaking(app, *names) as speakers:
        for _ in range(25):
            at = random.randrange(len(names))
            if random.random() < 0.3:
                app.use(random.choice(same))
            if random.random() < 0.3:
                app.next_engine = random.choice(same)
            expected = TEXTS[places[names[at]] % len(TEXTS)]
            places[names[at]] += 1

            assert await speakers[at].say(random.choice(APIS)) == expected


@pytest.mark.parametrize("api", APIS)
async def test_a_retry_after_a_reload_gets_the_entry_behind_the_error(api: str) -> None:
    entries = ["one", {"error": SOON, "times": 2}, "two"]
    app = ReloadingApp(engine(script(*entries)))
    app.next_engine = engine(OTHER, script(*entries))

    async with speaking(app, "", "a") as (common, own):
        assert [await common.say(api) for _ in range(2)] == ["one", "two"]
        assert app.is_reloaded
        assert [await own.say(api) for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "expected"), [("", ["uno", "dos", "tres"]), ("a", ["tres"])])
async def test_a_script_that_is_changed_begins_anew_unless_it_has_its_name(
    api: str, name: str, expected: list[str]
) -> None:
    app = ReloadingApp(engine(script("one", "two", "three", name=name)))

    async with speaking(app, "", "s") as (common, own):
        assert [await common.say(api) for _ in range(2)] == ["one", "two"]
        app.use(engine(script("uno", "dos", "tres", name=name)))
        assert [await common.say(api) for _ in expected] == expected
        assert await own.say(api) == "uno"


async def test_a_script_that_is_over_stays_over_after_a_reload() -> None:
    app = ReloadingApp(engine(script("one")))

    async with speaking(app, "", "a") as (common, own):
        assert await common.say("chat") == "one"
        app.use(engine(OTHER, script("one")))
        with pytest.raises(openai_sdk.NotFoundError, match="is exhausted after 1 answer"):
            await common.say("responses")
        assert await own.say("messages") == "one"
        app.use(engine(OTHER))
        app.use(engine(script("one")))
        assert await common.say("chat") == "one"


async def test_an_error_for_ever_is_the_end_of_all_retries_in_each_session() -> None:
    mock = script("one", {"error": SOON, "times": 3}, "two")
    app = ReloadingApp(engine(mock))

    async with speaking(app, "", "a") as (common, own):
        assert await common.say("chat") == "one"
        app.next_engine = engine(OTHER, mock)
        with pytest.raises(openai_sdk.InternalServerError):
            await common.say("chat")  # three attempts, the first before the reload
        assert [await own.say("chat") for _ in range(1)] == ["one"]
        assert await common.say("messages") == "two"
