"""Vectors of texts that no mock answers, through the official client."""

from __future__ import annotations

from typing import Any

import openai as openai_sdk
import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.served import API_KEY

pytestmark = pytest.mark.anyio


async def vectors(openai: AsyncOpenAI, texts: Any, **more: Any) -> list[list[float]]:
    answer = await openai.embeddings.create(
        model="m", input=texts, **{"encoding_format": "float", **more}
    )
    return [entry.embedding for entry in answer.data]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_each_text_has_its_own_vector(openai: AsyncOpenAI) -> None:
    one, other, again = await vectors(openai, ["a", "b", "a"])

    assert len(one) == 1536
    assert one == again
    assert dot(one, one) == pytest.approx(1)
    assert abs(dot(one, other)) < 0.2


async def test_a_vector_has_the_requested_dimensions(openai: AsyncOpenAI) -> None:
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
