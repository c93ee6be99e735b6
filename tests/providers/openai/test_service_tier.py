"""Service tiers: the answer names the one that was used."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.providers.openai.service_tier import used
from tests.support.apps import LoneApp
from tests.support.served import Json, chat_mock, chat_saying

TIERS: list[tuple[Json, str]] = [
    ({}, "default"),
    ({"service_tier": None}, "default"),
    ({"service_tier": "auto"}, "default"),
    ({"service_tier": "fast"}, "priority"),
    ({"service_tier": "flex"}, "flex"),
]


def answer(response: Json, **members: Any) -> bytes:
    engine = Engine(load(Config.from_dict({"openai": [chat_mock("hi", response)]})))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    lines = ((b"authorization", b"Bearer any"),)
    request = Request.of("POST", "/v1/chat/completions", lines, orjson.dumps(body))
    return LoneApp(engine).decide(request).reply.body


@pytest.mark.parametrize(("members", "tier"), TIERS)
def test_a_chat_completion_names_the_tier_used(members: Json, tier: str) -> None:
    assert b'"service_tier":"%b"' % tier.encode() in answer(chat_saying("ho"), **members)


@pytest.mark.parametrize(("members", "tier"), TIERS)
def test_each_chunk_names_the_tier_used(members: Json, tier: str) -> None:
    body = answer(chat_saying("ho"), stream=True, **members)

    chunks = body.count(b'"object":"chat.completion.chunk"')
    assert body.count(b'"service_tier":"%b"' % tier.encode()) == chunks == 3


def test_the_tier_of_the_mock_wins() -> None:
    body = answer(chat_saying("ho") | {"service_tier": "scale"}, service_tier="flex")

    assert b'"service_tier":"scale"' in body


@pytest.mark.parametrize("value", [1, None, ["auto"]])
def test_any_other_value_stays(value: Any) -> None:
    assert used(value) == value
