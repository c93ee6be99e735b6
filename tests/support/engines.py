"""Requests decided by an engine, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockllm import Config
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.prompt import Prompt
from tests.support.apps import LoneApp
from tests.support.goldens import delivered
from tests.support.served import MODEL, chat_mock, chat_saying, responses_mock, responses_saying

KEY = {"authorization": "Bearer any"}
ANTHROPIC = {"x-api-key": "any", "anthropic-version": "2023-06-01"}


CONFIG: dict[str, Any] = {
    "openai": [chat_mock("hi", chat_saying("ho") | {"model": MODEL})],
    "openai_response": [responses_mock("hi", responses_saying("ho"))],
}


def echo(prompt: Prompt) -> str:
    return f"<{prompt.text}>"


def ask(
    method: str,
    path: str,
    headers: Mapping[str, str] = KEY,
    body: Any = None,
    *,
    engine: LoneApp | None = None,
) -> Decision:
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    data = b"" if body is None else orjson.dumps(body)
    one = engine or LoneApp(Engine(load(Config.from_dict(CONFIG))))
    return one.decide(Request.of(method, path, lines, data))


def header(decision: Decision, name: str) -> str | None:
    found = dict(decision.reply.headers).get(name.encode())
    return None if found is None else found.decode()


def told(decision: Decision) -> Any:
    return orjson.loads(delivered(decision.reply))
