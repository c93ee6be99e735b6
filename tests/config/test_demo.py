"""The demo: a greeting and a tool call for each chat API, and an echo of all else."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.config import demo
from mockllm.engine.loading import load
from mockllm.engine.mocks import Table
from mockllm.prompt import Prompt
from tests.support.strategies import ask_chat, ask_messages, ask_responses

CHATS = ["openai", "openai_response", "anthropic"]
NAMES = ["hello", "weather"]


def said(api: str, text: str) -> Prompt:
    """A request to `api` of a user who says `text`."""
    if api == "openai_response":
        return ask_responses(text)
    ask = ask_chat if api == "openai" else ask_messages
    return ask([{"role": "user", "content": text}])


@cache
def table_of(api: str) -> Table:
    """The compiled demo mocks of `api`."""
    loaded = load(Config.from_dict(demo.config()))
    return next(table for table in loaded.tables if table.api.name == api)


def answered(api: str, text: str) -> str | None:
    """The name of the mock that answers a user who says `text`."""
    table = table_of(api)
    rule = table.index.find(said(api, text), {})
    return None if rule is None else table.mocks[rule.index].name


@pytest.mark.parametrize("api", CHATS)
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello", "hello"),
        ("Hello, who are you?", "hello"),
        ("How is the weather in Paris?", "weather"),
        ("Hello! How is the weather?", "hello"),
        ("hello", None),
        ("Weather", None),
        ("", None),
    ],
)
def test_each_api_greets_and_calls_a_tool(api: str, text: str, name: str | None) -> None:
    assert answered(api, text) == name


@pytest.mark.parametrize("api", CHATS)
def test_the_names_of_the_mocks_are_the_same_for_each_api(api: str) -> None:
    assert [mock["name"] for mock in demo.config()[api]] == NAMES


def test_the_demo_leaves_out_only_what_is_filled_in() -> None:
    """Nothing in it is unknown to the SDKs, or of another type."""
    assert load(Config.from_dict(demo.config())).warnings == ()


def test_the_demo_is_json() -> None:
    config = demo.config()
    assert orjson.loads(orjson.dumps(config)) == config


def test_each_api_calls_the_same_tool() -> None:
    config = demo.config()
    chat = config["openai"][1]["response"]["choices"][0]["message"]["tool_calls"][0]["function"]
    item = config["openai_response"][1]["response"]["output"][0]
    block = config["anthropic"][1]["response"]["content"][0]
    calls: list[tuple[str, Any]] = [
        (chat["name"], orjson.loads(chat["arguments"])),
        (item["name"], orjson.loads(item["arguments"])),
        (block["name"], block["input"]),
    ]
    assert calls == [("get_weather", {"city": "Paris"})] * 3


@pytest.mark.parametrize("api", CHATS)
def test_the_echo_repeats_the_text_of_the_user(api: str) -> None:
    assert demo.echo(said(api, "Good\nmorning é")) == "You said: Good\nmorning é"
