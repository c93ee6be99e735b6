"""The neighbours through the official clients, which hold each answer against their types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic as anthropic_sdk
import httpx2
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.served import (
    API_KEY,
    chat_mock,
    chat_saying,
    messages_mock,
    messages_saying,
    responses_mock,
    responses_request,
    responses_saying,
)

pytestmark = pytest.mark.anyio

MODELS = ["org/model:free", "gpt-5", "claude-5"]
CONFIG: dict[str, Any] = {
    "stream": {"chunk": 4},
    "openai": [
        chat_mock("hi", chat_saying("one two") | {"model": MODELS[0]}),
        chat_mock("ho", chat_saying("three")),
    ],
    "openai_response": [
        responses_mock("hi", responses_saying("hello") | {"model": MODELS[1]}),
        responses_mock("fixed", responses_saying("hello") | {"id": "resp_fixed"}),
        responses_mock("same model", responses_saying("hello") | {"model": MODELS[1]}),
        responses_mock("all", responses_saying("hello"), match_type="contains"),
    ],
    "anthropic": [messages_mock("hi", messages_saying("hello") | {"model": MODELS[2]})],
}


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
async def openai(server: AsyncServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=server.openai_base_url,
        api_key=API_KEY,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture(scope="module")
async def anthropic(server: AsyncServer) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        base_url=server.anthropic_base_url,
        api_key=API_KEY,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


# --- Web pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cors", "origin"), [(True, "*"), (False, None)])
async def test_a_server_lets_web_pages_read_or_not(cors: bool, origin: str | None) -> None:
    async with (
        AsyncServer(CONFIG, cors=cors) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        raw = await client.responses.with_raw_response.create(model="m", input="hi")

    assert raw.headers.get("access-control-allow-origin") == origin


async def test_a_preflight_has_no_length(server: AsyncServer) -> None:
    """RFC 9110, section 8.6: no Content-Length in a response with status 204."""
    async with httpx2.AsyncClient(base_url=server.base_url) as http:
        answer = await http.options("/v1/models")

    assert answer.status_code == 204
    assert "content-length" not in answer.headers


# --- Models --------------------------------------------------------------------------------------


async def test_both_clients_list_the_models_that_mocks_name(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    assert [model.id async for model in openai.models.list()] == MODELS
    assert [model.id async for model in anthropic.models.list()] == MODELS


@pytest.mark.parametrize("name", MODELS)
async def test_both_clients_find_a_model(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic, name: str
) -> None:
    assert (await openai.models.retrieve(name)).id == name
    assert (await anthropic.models.retrieve(name)).display_name == name


async def test_an_unknown_model_is_told_as_each_vendor_does(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="The model `x` does not exist") as one:
        await openai.models.retrieve("x")
    with pytest.raises(anthropic_sdk.NotFoundError, match="model: x") as other:
        await anthropic.models.retrieve("x")

    assert (one.value.code, other.value.type) == ("model_not_found", "not_found_error")


# --- Counting ------------------------------------------------------------------------------------


async def test_counting_agrees_with_the_usage_of_an_answer(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    user: Any = {"role": "user", "content": "hi"}
    counted = await anthropic.messages.count_tokens(model="m", messages=[user])
    answer = await anthropic.messages.create(model="m", messages=[user], max_tokens=9)
    assert counted.input_tokens == answer.usage.input_tokens

    tokens = await openai.responses.input_tokens.count(model="m", input="hi")
    response = await openai.responses.create(model="m", input="hi")
    assert response.usage is not None
    assert tokens.input_tokens == response.usage.input_tokens


async def test_counting_needs_no_input_where_the_api_does_not(openai: AsyncOpenAI) -> None:
    assert (await openai.responses.input_tokens.count()).input_tokens == 1


async def test_counting_refuses_what_the_api_refuses(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    nobody: Any = {"content": "hi"}
    with pytest.raises(anthropic_sdk.BadRequestError, match=r"messages\.0\.role"):
        await anthropic.messages.count_tokens(model="m", messages=[nobody])
    with pytest.raises(openai_sdk.BadRequestError, match="instructions: expected a string"):
        await openai.responses.input_tokens.count(instructions=3)  # type: ignore[arg-type]  # the mistake


# --- Responses that were given -------------------------------------------------------------------


async def test_a_response_is_given_again(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi"))

    again = await openai.responses.with_raw_response.retrieve(given.id)

    assert again.parse() == given
    assert again.headers["x-request-id"]


async def test_a_streamed_response_is_given_again(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(**responses_request("hi")) as stream:
        given = await stream.get_final_response()

    again = await openai.responses.retrieve(given.id)

    assert again.to_dict() == {**given.to_dict(), "output": again.to_dict()["output"]}
    assert again.output_text == "hello"


async def test_of_a_configured_id_the_last_response_is_given(openai: AsyncOpenAI) -> None:
    for model in ("one", "two"):
        await openai.responses.create(**responses_request("fixed", model=model))

    assert (await openai.responses.retrieve("resp_fixed")).model == "two"


async def test_a_deleted_response_is_gone(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi"))

    await openai.responses.delete(given.id)

    with pytest.raises(openai_sdk.NotFoundError, match=f"Response with id '{given.id}' not found"):
        await openai.responses.retrieve(given.id)


async def test_what_is_not_to_be_stored_is_not(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi", store=False))

    with pytest.raises(openai_sdk.NotFoundError):
        await openai.responses.retrieve(given.id)


async def test_what_was_made_in_the_background_can_be_cancelled(openai: AsyncOpenAI) -> None:
    given = await openai.responses.create(**responses_request("hi", background=True))

    cancelled = await openai.responses.cancel(given.id)

    assert (cancelled.id, cancelled.status) == (given.id, "cancelled")
    assert await openai.responses.retrieve(given.id) == cancelled


async def test_what_was_not_made_in_the_background_is_over(openai: AsyncOpenAI) -> None:
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


async def test_an_echoed_turn_is_an_input_item(openai: AsyncOpenAI) -> None:
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


# --- Completions and moderations -----------------------------------------------------------------


async def test_a_chat_mock_answers_a_prompt(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="m", prompt=["hi", "ho"])

    told = [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices]
    assert told == [(0, "one two", "stop"), (1, "three", "stop")]
    assert answer.model == MODELS[0]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)


async def test_a_prompt_is_answered_in_pieces(server: AsyncServer) -> None:
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as lenient:
        stream = await lenient.completions.create(
            model="m", prompt="hi", stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]

    told = [(chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks]
    assert told == [("one ", None), ("two", None), ("", "stop")]
    assert len({chunk.id for chunk in (*chunks, last)}) == 1
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 3


async def test_a_prompt_that_no_mock_matches_is_404(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="Closest mock"):
        await openai.completions.create(model="m", prompt=["hi", "hu"])


@pytest.mark.parametrize("prompt", [[1, 2], [], 3, None])
async def test_a_prompt_is_text(openai: AsyncOpenAI, prompt: Any) -> None:
    with pytest.raises(openai_sdk.BadRequestError, match="prompt"):
        await openai.completions.create(model="m", prompt=prompt)


async def test_nothing_is_flagged(openai: AsyncOpenAI) -> None:
    one = await openai.moderations.create(input="a")
    two = await openai.moderations.create(input=["a", "b"], model="some")
    part: Any = {"type": "text", "text": "a"}
    parts = await openai.moderations.create(input=[part])

    assert [len(each.results) for each in (one, two, parts)] == [1, 2, 1]
    assert not any(result.flagged for result in two.results)
    assert two.model == "some"


# --- Embeddings without mocks --------------------------------------------------------------------


async def vectors(openai: AsyncOpenAI, texts: Any, **more: Any) -> list[list[float]]:
    answer = await openai.embeddings.create(
        model="m", input=texts, **{"encoding_format": "float", **more}
    )
    return [entry.embedding for entry in answer.data]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_any_text_has_a_vector_of_its_own(openai: AsyncOpenAI) -> None:
    one, other, again = await vectors(openai, ["a", "b", "a"])

    assert len(one) == 1536
    assert one == again
    assert dot(one, one) == pytest.approx(1)
    assert abs(dot(one, other)) < 0.2


async def test_a_vector_has_the_dimensions_that_are_wanted(openai: AsyncOpenAI) -> None:
    assert [len(each) for each in await vectors(openai, "a", dimensions=7)] == [7]
    with pytest.raises(openai_sdk.BadRequestError, match="dimensions: expected at most 4096"):
        await vectors(openai, "a", dimensions=10**9)


async def test_tokens_are_one_text(openai: AsyncOpenAI) -> None:
    assert len(await vectors(openai, [1, 2, 3])) == 1
    assert len(await vectors(openai, [[1, 2], [3]])) == 2


async def test_a_vector_in_base64_is_the_same(server: AsyncServer, openai: AsyncOpenAI) -> None:
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as lenient:
        packed = await lenient.embeddings.create(model="m", input="a")

    assert [packed.data[0].embedding] == await vectors(openai, "a")
