"""Azure's routes, through the official clients: the same mocks answer, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import openai as sdk
import orjson
import pytest
from anyio import to_thread
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI

from mockllm import AsyncServer, Config
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.goldens import FRESH, delivered
from tests.support.served import (
    API_KEY,
    chat_mock,
    chat_request,
    chat_saying,
    embeddings_mock,
    responses_mock,
    responses_request,
    responses_saying,
)
from tests.support.strict import STRICT

pytestmark = pytest.mark.anyio

VERSION = "2025-04-01-preview"
ODD_NAME = "gpt 4o/süd:100%"
USER: Any = {"role": "user", "content": "hi"}
CONFIG: dict[str, Any] = {
    "openai": [chat_mock("hi", chat_saying("ho"))],
    "openai_response": [responses_mock("hi", responses_saying("ho"))],
    "openai_embeddings": [embeddings_mock("hi", [0.5, -0.25])],
}
KEY = {"api-key": API_KEY}
CHAT_OF = "/openai/deployments/{}/chat/completions"


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[AsyncServer]:
    async with AsyncServer(CONFIG) as server:
        yield server


@pytest.fixture(scope="module", params=["api_key", "azure_ad_token"])
async def azure(
    server: AsyncServer, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncAzureOpenAI]:
    credential: dict[str, Any] = {request.param: API_KEY}
    async with AsyncAzureOpenAI(
        azure_endpoint=server.base_url,
        api_version=VERSION,
        **STRICT,
        **credential,
    ) as client:
        yield client


@pytest.fixture(scope="module")
def sync_azure(server: AsyncServer) -> Iterator[AzureOpenAI]:
    """A client to use in another thread, because the server runs in the test's event loop."""
    with AzureOpenAI(
        azure_endpoint=server.base_url, api_version=VERSION, api_key=API_KEY, max_retries=0
    ) as client:
        yield client


# --- Clients -------------------------------------------------------------------------------------


async def test_a_chat_mock_answers(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.create(model="gpt-4o", messages=[USER])

    assert (answer.model, answer.choices[0].message.content) == ("gpt-4o", "ho")


async def test_a_chat_mock_is_streamed(azure: AsyncAzureOpenAI) -> None:
    stream = await azure.chat.completions.create(model="gpt-4o", messages=[USER], stream=True)

    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "ho"
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}


async def test_a_responses_mock_answers_and_is_retrieved(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.responses.create(model="gpt-4o", input="hi")

    assert (answer.model, answer.output_text) == ("gpt-4o", "ho")
    assert await azure.responses.retrieve(answer.id) == answer


async def test_a_responses_mock_is_streamed(azure: AsyncAzureOpenAI) -> None:
    async with azure.responses.stream(model="gpt-4o", input="hi") as stream:
        answer = await stream.get_final_response()

    assert answer.output_text == "ho"


async def test_an_embeddings_mock_answers(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.embeddings.create(model="ada", input="hi", encoding_format="float")

    assert (answer.model, answer.data[0].embedding) == ("ada", [0.5, -0.25])


async def test_a_synchronous_client_is_answered(sync_azure: AzureOpenAI) -> None:
    def ask() -> list[str | None]:
        whole = sync_azure.chat.completions.create(model="m", messages=[USER])
        stream = sync_azure.chat.completions.create(model="m", messages=[USER], stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        response = sync_azure.responses.create(model="m", input="hi")
        vector = sync_azure.embeddings.create(model="m", input="hi")
        assert vector.data[0].embedding == [0.5, -0.25]
        return [whole.choices[0].message.content, "".join(pieces), response.output_text]

    assert await to_thread.run_sync(ask) == ["ho", "ho", "ho"]


async def test_a_client_of_one_deployment_is_answered(server: AsyncServer) -> None:
    async with AsyncAzureOpenAI(
        azure_endpoint=server.base_url,
        azure_deployment="mine",
        api_version=VERSION,
        api_key=API_KEY,
    ) as client:
        chat = await client.chat.completions.create(model="other", messages=[USER])
        response = await client.responses.create(model="other", input="hi")

    assert (chat.model, response.model) == ("other", "other")


async def test_a_deployment_may_have_any_name(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.create(model=ODD_NAME, messages=[USER])

    assert answer.model == ODD_NAME


async def test_openais_client_is_answered_under_azures_v1(server: AsyncServer) -> None:
    async with AsyncOpenAI(base_url=f"{server.base_url}/openai/v1", api_key=API_KEY) as client:
        chat = await client.chat.completions.create(model="m", messages=[USER])
        response = await client.responses.create(model="m", input="hi")
        again = await client.responses.retrieve(response.id)
        vector = await client.embeddings.create(model="m", input="hi")
        legacy = await client.completions.create(model="m", prompt="hi")
        counted = await client.responses.input_tokens.count(model="m", input="hi")
        checked = await client.moderations.create(input="hi")
        models = await client.models.list()

    assert chat.choices[0].message.content == again.output_text == legacy.choices[0].text == "ho"
    assert vector.data[0].embedding == [0.5, -0.25]
    assert counted.input_tokens > 0
    assert (len(checked.results), models.data) == (1, [])


async def test_a_request_that_no_mock_matches_is_404(azure: AsyncAzureOpenAI) -> None:
    other: Any = {"role": "user", "content": "hu"}

    with pytest.raises(sdk.NotFoundError, match="Closest mock"):
        await azure.chat.completions.create(model="m", messages=[other])


# --- Credentials and models ----------------------------------------------------------------------


def app() -> LoneApp:
    return LoneApp(Engine(load(Config.from_dict(CONFIG))))


def ask(
    path: str,
    body: Any = None,
    headers: Mapping[str, str] = KEY,
    *,
    method: str = "POST",
    to: LoneApp | None = None,
) -> Decision:
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    request = Request.of(method, path, lines, orjson.dumps(body), query=f"api-version={VERSION}")
    return (to or app()).decide(request)


def told(decision: Decision) -> Any:
    return orjson.loads(delivered(decision.reply))


@pytest.mark.parametrize("path", ["/v1/chat/completions", CHAT_OF.format("m")])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"api-key": "any"}, 200),
        ({"authorization": "Bearer any"}, 200),
        ({"api-key": ""}, 401),
        ({}, 401),
    ],
)
def test_a_key_in_either_header_is_a_credential(
    path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(path, chat_request("hi"), headers).reply.status == status


def test_an_endpoint_accepts_an_api_key() -> None:
    assert ask("/v1/models", method="GET").reply.status == 200
    assert ask("/openai/v1/models", method="GET", headers={}).reply.status == 401


@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_without_a_model_the_deployment_is_the_model(model: dict[str, None]) -> None:
    body = {"messages": [USER], **model}

    decision = ask(CHAT_OF.format("gpt%204o%2Fs%C3%BCd"), body)

    assert told(decision)["model"] == "gpt 4o/süd"


def test_the_model_of_the_body_comes_first() -> None:
    decision = ask(CHAT_OF.format("path"), chat_request("hi", model="body"))

    assert told(decision)["model"] == "body"


def test_requests_to_two_deployments_are_distinguished() -> None:
    to = app()
    body = {"messages": [USER]}

    models = [told(ask(CHAT_OF.format(name), body, to=to))["model"] for name in "ababab"]

    assert models == ["a", "b", "a", "b", "a", "b"]


def test_a_response_of_a_deployment_needs_no_model() -> None:
    decision = ask("/openai/deployments/m/responses", {"input": "hi"})

    assert (decision.reply.status, told(decision)["model"]) == (200, "m")


def test_a_response_is_retrieved_at_another_route() -> None:
    to = app()
    body = orjson.dumps(responses_request("hi"))
    request = Request.of("POST", "/openai/responses", ((b"api-key", b"any"),), body)
    given = to.decide(request)
    assert request.path in to.responses.paths
    to.responses.store(request, given, FRESH)

    again = ask(f"/v1/responses/{told(given)['id']}", method="GET", to=to)

    assert told(again) == told(given)


# --- Other methods and paths ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", CHAT_OF.format("m"), 405, "POST"),
        ("HEAD", "/openai/responses", 405, "POST"),
        ("PUT", "/openai/v1/responses/resp_1", 405, "DELETE, GET, HEAD"),
        ("OPTIONS", CHAT_OF.format("m"), 204, "POST"),
        ("HEAD", "/openai/v1/models", 200, None),
    ],
)
def test_methods_are_answered_as_under_v1(
    method: str, path: str, status: int, allowed: str | None
) -> None:
    reply = ask(path, method=method).reply

    found = dict(reply.headers).get(b"allow")
    assert (reply.status, found and found.decode()) == (status, allowed)


@pytest.mark.parametrize(
    "path", ["/openai/v1/nope", "/openai/deployments/m/nope", "/openai/deployments//responses"]
)
def test_an_unknown_path_is_refused_in_openais_envelope(path: str) -> None:
    body = told(ask(path, {"input": "hi"}))

    assert body["error"]["message"] == f"Invalid URL (POST {path})"
    assert body["hint"].endswith("and, for Azure, /openai/deployments/{model}")


def test_a_websocket_is_refused_as_under_v1() -> None:
    decision = ask("/openai/v1/responses", headers={"upgrade": "websocket"}, method="GET")

    assert decision.reply.status == 426
