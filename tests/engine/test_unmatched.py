"""The 404 of a request that no mock answers."""

from __future__ import annotations

from typing import Any

from mockllm import Config
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.unmatched import MAX_REQUEST_QUOTE
from tests.support.apps import LoneApp
from tests.support.engines import ask, told
from tests.support.loads import mock
from tests.support.served import chat_request


def asked(text: str, *mocks: dict[str, Any]) -> Decision:
    """The decision on a request with this text, by these mocks of Chat Completions."""
    app = LoneApp(Engine(load(Config.from_dict({"openai": list(mocks)}))))
    return ask("POST", "/v1/chat/completions", body=chat_request(text), engine=app)


def test_a_404_names_the_nearest_mock() -> None:
    decision = asked("help", mock("hello", "greet"), mock("bye"))

    error = told(decision)["error"]
    assert (decision.reply.status, decision.match.outcome.value, error["code"]) == (
        404,
        "no match",
        "mock_not_found",
    )
    assert error["message"] == (
        "No matching mock found. The request's last message: user 'help'. Closest mock: openai[0] "
        "'greet': text differs at character 3: expected 'lo', found 'p'."
    )


def test_a_long_message_is_cut_in_the_404() -> None:
    error = told(asked("x" * 9_999, mock("a")))["error"]

    assert "x" * MAX_REQUEST_QUOTE + "'…" in error["message"]
    assert len(error["message"]) < MAX_REQUEST_QUOTE + 300


def test_an_api_without_mocks_says_so_without_its_sdk() -> None:
    error = told(asked("hi"))["error"]

    assert error["message"].endswith("There are no mocks under 'openai' or 'mocks'.")
