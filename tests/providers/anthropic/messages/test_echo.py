"""The region of inference: that of the request, unless the mock says otherwise."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.served import Json, messages_mock, messages_saying


def answer(response: Json, **members: Any) -> bytes:
    engine = Engine(load(Config.from_dict({"anthropic": [messages_mock("hi", response)]})))
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": "m", "max_tokens": 9, "messages": messages, **members}
    lines = ((b"x-api-key", b"any"), (b"anthropic-version", b"2023-06-01"))
    request = Request.of("POST", "/v1/messages", lines, orjson.dumps(body))
    return LoneApp(engine).decide(request).reply.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("members", "region"),
    [({}, "global"), ({"inference_geo": None}, "global"), ({"inference_geo": "us"}, "us")],
)
def test_usage_names_the_region_of_the_request(stream: bool, members: Json, region: str) -> None:
    body = answer(messages_saying("ho"), stream=stream, **members)

    assert body.count(b'"inference_geo":"%b"' % region.encode()) == 1


def test_the_region_of_the_mock_wins() -> None:
    usage = {"usage": {"inference_geo": "eu"}}

    assert b'"inference_geo":"eu"' in answer(messages_saying("ho") | usage, inference_geo="us")
