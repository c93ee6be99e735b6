"""The list of models, through the official clients."""

from __future__ import annotations

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from mockllm.config import demo
from mockllm.engine.building import build_engine
from tests.support.apps import LoneApp
from tests.support.endpoints import CONFIG, LISTED, MODELS
from tests.support.engines import ask, told

pytestmark = pytest.mark.anyio


async def test_both_clients_list_the_configured_models_then_those_that_mocks_name(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    names = ["listed", "gpt-5", "org/model:free", "claude-5"]
    assert [model.id async for model in openai.models.list()] == names
    assert [model.id async for model in anthropic.models.list()] == names


@pytest.mark.parametrize("name", [*LISTED, *MODELS])
async def test_both_clients_find_a_model(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic, name: str
) -> None:
    assert (await openai.models.retrieve(name)).id == name
    assert (await anthropic.models.retrieve(name)).display_name == name


async def test_an_unknown_model_is_a_404_of_each_vendor(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="The model `x` does not exist") as one:
        await openai.models.retrieve("x")
    with pytest.raises(anthropic_sdk.NotFoundError, match="model: x") as other:
        await anthropic.models.retrieve("x")

    assert (one.value.code, other.value.type) == ("model_not_found", "not_found_error")


async def test_the_demo_lists_its_models_to_both_clients(anyio_backend: str) -> None:
    app = LoneApp(build_engine(demo.config(), models=demo.MODELS))
    listed = [model["id"] for model in told(ask("GET", "/v1/models", engine=app))["data"]]

    assert listed == list(demo.MODELS)
    for name in listed:
        one = told(ask("GET", f"/v1/models/{name}", engine=app))
        assert (one["id"], one["object"], one["type"]) == (name, "model", "model")


async def test_models_of_the_engine_follow_those_of_the_mocks(anyio_backend: str) -> None:
    app = LoneApp(build_engine(CONFIG, models=("x", MODELS[0])))
    listed = [model["id"] for model in told(ask("GET", "/v1/models", engine=app))["data"]]

    assert listed == [*LISTED, MODELS[0], MODELS[2], "x"]


async def test_the_models_that_many_mocks_name_are_found_in_pieces(anyio_backend: str) -> None:
    entries = [{"response": {"model": f"m{number % 5}"}} for number in range(1_000)]
    mock = {"match": {"message": {"role": "user"}}, "sequence": entries}
    app = LoneApp(build_engine({"openai": [mock]}))

    listed = ask("GET", "/v1/models", engine=app)

    assert [model["id"] for model in told(listed)["data"]] == [f"m{number}" for number in range(5)]
    assert app.pauses >= 5
