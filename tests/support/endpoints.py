"""The mocks of a server whose endpoints the official clients call."""

from __future__ import annotations

from typing import Any

from tests.support.served import (
    chat_mock,
    chat_saying,
    messages_mock,
    messages_saying,
    responses_mock,
    responses_saying,
)

MODELS = ["org/model:free", "gpt-5", "claude-5"]
"""The models that mocks name."""
LISTED = ["listed", "gpt-5"]
"""The models of the configuration."""
CONFIG: dict[str, Any] = {
    "models": LISTED,
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
    "mocks": [{"match": {"system_contains": ["never"]}, "reply": "a reply names no model"}],
}
