from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI

from mockllm import Config
from mockllm.engine.asking import MAX_UNDIVIDED
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp

pytestmark = pytest.mark.anyio

KEY = ((b"authorization", b"Bearer any"),)


def status(**body: Any) -> int:
    request = Request.of("POST", "/v1/moderations", KEY, orjson.dumps(body))
    return LoneApp(Engine(load(Config()))).decide(request).reply.status


@pytest.mark.parametrize("value", ["a", ["a"] * 2048, [{"type": "text", "text": "a"}]])
def test_texts_and_parts_are_moderated(value: Any) -> None:
    assert status(input=value) == 200


@pytest.mark.parametrize("value", [5, [], ["a"] * 2049, ["a", 1], [None]])
def test_neither_text_nor_parts_is_refused(value: Any) -> None:
    assert status(input=value) == 400


def test_a_model_is_a_text() -> None:
    assert status(input="a", model=5) == 400


async def test_nothing_is_flagged(openai: AsyncOpenAI) -> None:
    one = await openai.moderations.create(input="a")
    two = await openai.moderations.create(input=["a", "b"], model="some")
    part: Any = {"type": "text", "text": "a"}
    parts = await openai.moderations.create(input=[part])

    assert [len(each.results) for each in (one, two, parts)] == [1, 2, 1]
    assert not any(result.flagged for result in two.results)
    assert two.model == "some"


@pytest.mark.parametrize(("text", "pauses"), [("a", False), ("a" * MAX_UNDIVIDED, True)])
@pytest.mark.parametrize(
    ("path", "member"), [("/v1/moderations", "input"), ("/v1/completions", "prompt")]
)
def test_a_large_body_is_decoded_with_pauses(
    path: str, member: str, text: str, pauses: bool
) -> None:
    """10 MB of small texts held the loop for 80 ms."""
    app = LoneApp(Engine(load(Config.from_dict({"mocks": [{"reply": "ok"}]}))))
    request = Request.of("POST", path, KEY, orjson.dumps({"model": "m", member: text}))

    assert app.decide(request).reply.status == 200
    assert (app.pauses > 0) is pauses


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/completions"])
def test_a_large_body_that_is_invalid_is_refused(path: str) -> None:
    app = LoneApp(Engine(load(Config.from_dict({"mocks": [{"reply": "ok"}]}))))
    for body in (b'{"input": "' + b"a" * MAX_UNDIVIDED, b"[" + b"1," * MAX_UNDIVIDED + b"1]"):
        assert app.decide(Request.of("POST", path, KEY, body)).reply.status == 400
