"""Conversations whose answers come from several workers, which are apps in one loop here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.app import App
from mockllm.endpoints import stored_responses
from mockllm.endpoints.earlier import Elsewhere
from mockllm.engine.asking import without_pauses
from mockllm.engine.decision import Decision, FindElsewhere, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load
from mockllm.exchange import Request
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Earlier, ToolCall, conversation
from mockllm.prompt.conversation import KeptTexts
from mockllm.serve import earlier_elsewhere, peers
from mockllm.serve.fresh_values import FreshValueSource
from mockllm.serve.own_responses import OwnResponses
from mockllm.serve.peers import Peers, Switchboard, WorkerPlace
from mockllm.serve.turns import Turns
from mockllm.wire.placeholders import fill, fill_fresh
from tests.support import peers as support
from tests.support.processes import posix
from tests.support.work import count_pauses

pytestmark = [pytest.mark.anyio, posix]

KEY = (b"authorization", b"Bearer any")
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}
CONFIG: dict[str, Any] = {
    "mocks": [
        {"match": {"tool_result": {"name": "get_weather"}, "step": 2}, "reply": "It is sunny"},
        {"match": {"user": "weather?"}, "reply": {"tool_calls": [CALL]}},
        *({"match": {"turn": turn}, "reply": f"turn {turn}"} for turn in range(1, 40)),
    ]
}
LOADED: Loaded = load(Config.from_dict(CONFIG))


class Worker:
    """One worker: its app, its peers, and the questions that its requests became."""

    def __init__(
        self, board: Switchboard, slot: int, loaded: Loaded = LOADED, *, successor: bool = False
    ) -> None:
        self.app = App(Engine(loaded))
        self.peers = Peers(self.app, WorkerPlace(board, slot, successor), turns=Turns())
        self.asked: list[FindElsewhere] = []
        self._fresh = FreshValueSource(slot)

    async def say(
        self, value: Any, after: str | None = None, *, session: str | None = None
    ) -> dict[str, Any]:
        """The answer to a request that continues a response."""
        more = {} if after is None else {"previous_response_id": after}
        body = orjson.dumps({"model": "m", "input": value, **more})
        path = "/v1/responses" if session is None else f"/session/{session}/v1/responses"
        request = Request.of("POST", path, (KEY,), body)
        decided = without_pauses(self.app.decide(request))
        while isinstance(decided, Question):
            (operation,) = decided.operations
            assert isinstance(operation, FindElsewhere)
            self.asked.append(operation)
            found = await self.peers.perform(decided.operations)
            decided = without_pauses(decided.resume(found))
        assert isinstance(decided, Decision)
        fresh = self._fresh.next(0.0)
        self.app.responses.store(request, decided, fresh)
        answer: dict[str, Any] = orjson.loads(
            fill_fresh(fill(decided.reply, model="m", input_tokens=1).body, fresh)
        )
        return answer

    async def close(self) -> None:
        """End the process."""
        self.peers.close()
        await asyncio.sleep(0)  # so that connections are closed in this loop


def words(answer: dict[str, Any]) -> str:
    """The words of an answer, or the name of the tool that it calls."""
    (item,) = answer["output"]
    return str(item["content"][0]["text"] if item["type"] == "message" else item["name"])


def result(answer: dict[str, Any]) -> list[Any]:
    (call,) = answer["output"]
    return [{"type": "function_call_output", "call_id": call["call_id"], "output": "15"}]


def working(*loaded: Loaded) -> AbstractAsyncContextManager[list[Worker]]:
    """Workers, each with the mocks that it has loaded."""
    return support.working(*(partial(Worker, loaded=each) for each in loaded))


@pytest.fixture(autouse=True, params=["at once", "in pieces"])
def _reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored requests are read again at once, as small ones are, or in pieces, as large ones."""
    if request.param == "in pieces":
        monkeypatch.setattr(stored_responses, "MAX_UNDIVIDED", 0)


@pytest.fixture
async def workers() -> AsyncIterator[list[Worker]]:
    async with working(LOADED, LOADED, LOADED) as made:
        yield made


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_WAIT", 20.0)  # the machine may be slow


async def test_turns_steps_and_names_of_tools_are_known_in_any_worker(
    workers: list[Worker],
) -> None:
    first, second, third = workers
    asked = await first.say("weather?")
    assert words(asked) == "get_weather"
    told = await second.say(result(asked), asked["id"])
    assert words(told) == "It is sunny"
    assert words(await third.say("thanks", told["id"])) == "turn 3"
    assert words(await first.say("thanks", told["id"])) == "turn 3"


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
@settings(max_examples=20)
def test_any_way_through_the_workers_is_one_conversation(way: list[int]) -> None:
    asyncio.run(_follow(way))


async def _follow(way: list[int]) -> None:
    async with working(LOADED, LOADED, LOADED) as workers:
        last: str | None = None
        for turn, place in enumerate(way, 1):
            answer = await workers[place].say("hi", last)
            assert words(answer) == f"turn {turn}"
            last = answer["id"]


async def test_a_conversation_that_nobody_has_looked_at_is_followed_back() -> None:
    others = load(Config.from_dict({"mocks": [{"reply": "x"}]}))
    async with working(LOADED, others, others) as workers:
        last: str | None = None
        for number in range(10):
            last = (await workers[1 + number % 2].say("hi", last))["id"]
        assert [worker.asked for worker in workers] == [[], [], []]

        assert words(await workers[0].say("hi", last)) == "turn 11"
        assert len(workers[0].asked) == 1


async def test_nobody_is_asked_about_what_is_stored_here(workers: list[Worker]) -> None:
    first = await workers[0].say("hi")
    assert words(await workers[0].say("hi", first["id"])) == "turn 2"
    assert words(await workers[0].say("hi")) == "turn 1"

    assert workers[0].asked == []


async def test_a_response_of_another_session_is_not_known(workers: list[Worker]) -> None:
    first = await workers[0].say("hi", session="a")
    assert words(await workers[1].say("hi", first["id"], session="a")) == "turn 2"
    for session in ("b", None):
        refused = await workers[1].say("hi", first["id"], session=session)
        assert refused["error"]["code"] == "mock_not_found"


async def test_a_response_that_is_deleted_is_not_known(workers: list[Worker]) -> None:
    first = await workers[0].say("hi")
    second = await workers[1].say("hi", first["id"])
    assert words(await workers[2].say("hi", second["id"])) == "turn 3"
    request = Request.of("DELETE", f"/v1/responses/{second['id']}", (KEY,))
    assert isinstance(without_pauses(workers[1].app.decide(request)), Decision)

    refused = await workers[2].say("hi", second["id"])
    assert refused["error"]["code"] == "mock_not_found"


@pytest.mark.parametrize("unknown", ["resp_nobody", "ü\u2028", "x" * 10_000])
async def test_what_nobody_knows_is_told(workers: list[Worker], unknown: str) -> None:
    refused = await workers[1].say("hi", unknown)
    assert refused["error"]["code"] == "mock_not_found"


async def test_a_worker_that_does_not_answer_is_a_503(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MAX_WAIT", 0.01)
    first = await workers[0].say("hi")
    workers[0].peers.stop()

    refused = await workers[1].say("hi", first["id"])

    assert "Retry the request" in refused["error"]["message"]


async def test_a_configured_id_is_looked_for_in_all_workers() -> None:
    answers = [
        {"match": {"turn": turn}, "response": {"id": f"resp_{turn}", "output": []}}
        for turn in range(1, 6)
    ]
    loaded = load(Config.from_dict({"openai_response": answers}))
    async with working(loaded, loaded, loaded) as workers:
        last = None
        for turn in range(1, 6):
            last = (await workers[turn % 3].say("hi", last))["id"]
            assert last == f"resp_{turn}"


async def test_a_conversation_that_refers_to_itself_is_not_known(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnResponses(workers[0].app, Turns())
    asked: list[Any] = []

    async def ask(slot: int, message: Any) -> Any:
        asked.append(message["earlier"])
        return {"a": "b", "b": "a"}[message["earlier"]]

    circle = earlier_elsewhere.EarlierElsewhere(own, [1], ask, Turns())
    assert await circle.find("a", "") is None
    assert asked == ["a", "b"]

    async def ask_on(slot: int, message: Any) -> Any:
        return f"{message['earlier']}x"

    monkeypatch.setattr(earlier_elsewhere, "MAX_LINKS", 5)
    endless = earlier_elsewhere.EarlierElsewhere(own, [1], ask_on, Turns())
    assert await endless.find("a", "") is None


texts = st.lists(st.text(max_size=3), max_size=8)
calls = st.lists(st.builds(ToolCall, st.text(max_size=3), st.text(max_size=3)), max_size=8)


@given(texts, calls, st.integers(1, 4), st.booleans())
def test_a_conversation_arrives_as_it_was_sent(
    words: list[str], called: list[ToolCall], most: int, kept: bool
) -> None:
    def known() -> Pieces[Earlier]:
        last_user = (yield from KeptTexts.of(words)) if kept else tuple(words)
        return Earlier(3, 2, last_user, tuple(called))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversation, "MESSAGES_AT_ONCE", most)
        packed, pauses = count_pauses(earlier_elsewhere.pack(finish(known())))
        arrived, more = count_pauses(earlier_elsewhere.unpack(orjson.loads(orjson.dumps(packed))))

    assert isinstance(arrived, Earlier)
    assert arrived._replace(last_user=[*arrived.last_user]) == (3, 2, words, tuple(called))
    assert isinstance(arrived.last_user, tuple) is (len(words) <= most)
    assert min(pauses, more) >= (len(words) > most) * len(words) // most + len(called) // most


@pytest.mark.parametrize("found", [None, Elsewhere("resp_1")])
def test_what_is_no_conversation_arrives_as_it_was_sent(found: Elsewhere | None) -> None:
    assert finish(earlier_elsewhere.unpack(finish(earlier_elsewhere.pack(found)))) == found
