"""Responses that are stored, retrieved, cancelled and deleted."""

from __future__ import annotations

from typing import Any

import openai as openai_sdk
import orjson
import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer, Config
from mockllm.endpoints import stored_responses
from mockllm.endpoints.stored_responses import complete_input_item
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.engines import CONFIG, ask, echo, told
from tests.support.goldens import FRESH
from tests.support.served import responses_request

pytestmark = pytest.mark.anyio


def test_an_echoed_response_can_be_retrieved() -> None:
    engine = LoneApp(Engine(load(Config()), echo=echo))
    body = orjson.dumps({"model": "m", "input": "hu"})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    given = engine.decide(request)
    engine.responses.store(request, given, FRESH)

    again = ask("GET", f"/v1/responses/{told(given)['id']}", engine=engine)

    assert told(again)["output"] == told(given)["output"]


def test_an_error_is_not_stored() -> None:
    engine = LoneApp(Engine(load(Config.from_dict(CONFIG))))
    for body in (b"{", b'{"model": "m", "input": "unknown"}'):
        request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
        engine.responses.store(request, engine.decide(request), FRESH)

    assert len(engine.responses.stored) == 0


@pytest.mark.parametrize(("name", "value"), [("limit", "x"), ("limit", "-1"), ("limit", "²")])
def test_a_page_limit_must_be_a_number(name: str, value: str) -> None:
    engine = LoneApp(Engine(load(Config.from_dict(CONFIG))))
    body = orjson.dumps({"model": "m", "input": "hi"})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    given = engine.decide(request)
    engine.responses.store(request, given, FRESH)
    path = f"/v1/responses/{told(given)['id']}/input_items"

    lines = ((b"authorization", b"Bearer x"),)
    refused = engine.decide(Request.of("GET", path, lines, query=f"{name}={value}"))

    assert refused.reply.status == 400
    assert told(refused)["error"]["param"] == name


async def test_a_response_can_be_retrieved(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi"))

    again = await openai.responses.with_raw_response.retrieve(given.id)

    assert again.parse() == given
    assert again.headers["x-request-id"]


async def test_a_streamed_response_can_be_retrieved(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(**responses_request("hi")) as stream:
        given = await stream.get_final_response()

    again = await openai.responses.retrieve(given.id)

    assert again.to_dict() == {**given.to_dict(), "output": again.to_dict()["output"]}
    assert again.output_text == "hello"


async def test_a_configured_id_retrieves_the_last_response(openai: AsyncOpenAI) -> None:
    for model in ("one", "two"):
        await openai.responses.create(**responses_request("fixed", model=model))

    assert (await openai.responses.retrieve("resp_fixed")).model == "two"


async def test_a_deleted_response_is_not_found(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi"))

    await openai.responses.delete(given.id)

    with pytest.raises(openai_sdk.NotFoundError, match=f"Response with id '{given.id}' not found"):
        await openai.responses.retrieve(given.id)


async def test_a_response_with_store_false_is_not_stored(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi", store=False))

    with pytest.raises(openai_sdk.NotFoundError):
        await openai.responses.retrieve(given.id)


async def test_a_background_response_can_be_cancelled(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi", background=True))

    cancelled = await openai.responses.cancel(given.id)

    assert (cancelled.id, cancelled.status) == (given.id, "cancelled")
    assert (cancelled.created_at, cancelled.completed_at) == (given.created_at, None)
    assert (cancelled.usage, cancelled.error) == (None, None)
    assert await openai.responses.retrieve(given.id) == cancelled


async def test_a_foreground_response_can_be_neither_cancelled_nor_streamed(
    openai: AsyncOpenAI,
) -> None:
    given = await openai.responses.create(**responses_request("hi"))

    with pytest.raises(openai_sdk.BadRequestError, match="Cannot cancel a synchronous response"):
        await openai.responses.cancel(given.id)
    with pytest.raises(openai_sdk.BadRequestError, match="cannot be streamed"):
        await openai.responses.retrieve(given.id, stream=True)


async def test_a_background_response_is_streamed_from_any_event(openai: AsyncOpenAI) -> None:
    request = responses_request("hi", background=True)
    stream = await openai.responses.create(**request, stream=True)
    events = [event async for event in stream]
    assert events[0].type == "response.created"

    rest = await openai.responses.retrieve(
        events[0].response.id, stream=True, starting_after=events[2].sequence_number
    )

    assert [event async for event in rest] == events[3:]


async def test_the_large_events_of_a_background_response_are_one_each() -> None:
    request = responses_request("word " * 20_000, background=True)
    async with (
        AsyncServer({"mocks": [{"reply": {"generate": "echo"}}]}) as server,
        AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="any") as openai,
    ):
        stream = await openai.responses.create(**request, stream=True)
        events = [event async for event in stream]
        assert events[0].type == "response.created"

        rest = await openai.responses.retrieve(
            events[0].response.id, stream=True, starting_after=events[-3].sequence_number
        )

        assert [event async for event in rest] == events[-2:]


async def test_a_response_may_follow_another(openai: AsyncOpenAI) -> None:
    request = responses_request("hi", previous_response_id="resp_unknown")

    assert (await openai.responses.create(**request)).output_text == "hello"


async def test_input_items_come_in_pages_the_last_first(openai: AsyncOpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": f"all {number}"} for number in range(5)]
    given = await openai.responses.create(model="m", input=items)

    last, *_ = (await openai.responses.input_items.list(given.id)).data
    pages = openai.responses.input_items.list(given.id, order="asc", limit=2)
    found: list[Any] = [item async for item in pages]

    texts = [item.content[0].text for item in found]
    assert texts == [item["content"] for item in items]
    assert last == found[-1]
    assert len({item.id for item in found}) == 5


@pytest.mark.parametrize("after", [False, True])
async def test_only_the_items_of_a_page_are_completed(
    openai: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """200,000 items held the loop for 3.3 s."""
    items: list[Any] = [{"role": "user", "content": f"all {number}"} for number in range(50)]
    given = await openai.responses.create(model="m", input=items)
    first = (await openai.responses.input_items.list(given.id, order="asc", limit=1)).data[0]
    completed = []

    def complete(item: Any, index: int) -> Any:
        completed.append(index)
        return complete_input_item(item, index)

    monkeypatch.setattr(stored_responses, "complete_input_item", complete)
    behind: dict[str, Any] = {"after": first.id} if after else {}
    page = await openai.responses.input_items.list(given.id, order="asc", limit=3, **behind)

    assert len(page.data) == 3
    assert completed == ([1, 2, 3] if after else [0, 1, 2])


async def test_an_assistant_turn_is_an_input_item(openai: AsyncOpenAI) -> None:
    items: list[Any] = [
        {"role": "assistant", "content": "all"},
        {"role": "assistant", "type": "message", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "all"},
    ]
    given = await openai.responses.create(model="m", input=items)

    found = (await openai.responses.input_items.list(given.id, order="asc")).data

    kinds = ["message", "message", "function_call", "function_call_output"]
    assert [item.type for item in found] == kinds
