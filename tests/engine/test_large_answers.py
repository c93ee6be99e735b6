"""Answers with very many parts: they are what small ones would be, and take many pauses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.engine import mock_sources
from mockllm.engine.decision import Called, CallFunction, Decision, DividedWork, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import PAUSE, Request, Step
from mockllm.pieces import AT_ONCE
from mockllm.providers import completed
from mockllm.providers.anthropic.messages import reply
from tests.support.work import count_pauses

MANY = 2 * AT_ONCE
HEADERS = (
    (b"authorization", b"Bearer any"),
    (b"x-api-key", b"any"),
    (b"anthropic-version", b"2023-06-01"),
)
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "m", "input": "Hi"},
    "/v1/messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
    },
}
CUSTOM: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
    "/v1/responses": {"tools": [{"type": "custom", "name": "f"}]},
}
CALLS = [{"name": "fg"[number % 2], "arguments": {"a": number}} for number in range(MANY)]
NUMBERS = [{"one": 1, "two": 2}] * 8_000
TEMPLATES = {"one": 1, "two": {"template": "{{ user }}"}}
LATENCY = {"ttft": 1.0, "tps": 10}
CACHED = LATENCY | {"ttft_per_token": 0.001, "cached": 0.5}
FAULT = {"after": {"tokens": 20}, "end": "cut"}
MOCKS: dict[str, dict[str, Any]] = {
    "written": {"reply": {"tool_calls": CALLS, "text": "words", "reasoning": "thoughts"}},
    "paced": {"reply": {"tool_calls": CALLS}, "latency": LATENCY},
    "cached": {
        "reply": {"tool_calls": CALLS},
        "latency": LATENCY | {"ttft_per_token": 0.001, "cached": 0.5},
    },
    "in a template": {"reply": {"tool_calls": CALLS, "text": {"template": "{{ user }}!"}}},
    "in templates": {"reply": {"tool_calls": [{"name": "f", "arguments": TEMPLATES}] * MANY}},
    "in JSON": {"reply": {"json": [TEMPLATES] * 8_000}},
    "in one call": {"reply": {"tool_calls": [{"name": "f", "arguments": {"a": NUMBERS}}]}},
    "of a function": {"reply": lambda prompt: {"tool_calls": CALLS, "text": prompt.user}},
    "in an entry": {"sequence": [{"reply": {"tool_calls": CALLS}}], "at_end": "repeat"},
    "with a fault": {
        "reply": {"tool_calls": CALLS},
        "fault": {"after": {"tokens": 20}, "end": "cut"},
    },
}

paths = pytest.mark.parametrize("path", BODIES)
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


class Asked:
    """The steps of the answers of one configuration, with their tokens but without pauses, and the
    pauses before them."""

    def __init__(self, mock: dict[str, Any]) -> None:
        self._app = App(Engine(load(Config.from_dict({"mocks": [mock]}))))

    def ask(self, path: str, **members: Any) -> tuple[list[Step], int]:
        body = orjson.dumps(BODIES[path] | members)
        decided = self._app.decide(Request.of("POST", path, HEADERS, body))
        pauses = 0
        while isinstance(decided, Question):
            (operation,) = decided.operations
            match operation:
                case DividedWork(pieces):
                    result, more = count_pauses(pieces)
                    pauses += more
                case CallFunction(function, prompt):
                    result = Called(function(prompt))
                case _:
                    result = self._app.perform(operation)  # type: ignore[arg-type]  # of a store
            decided = decided.resume([result])
        assert isinstance(decided, Decision)
        return [_joined(step) for step in decided.reply.steps if step != PAUSE], pauses


def _joined(step: Step) -> Step:
    return step._replace(pieces=(step.data,))


def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete all answers at once."""
    monkeypatch.setattr(completed, "MAX_PARTS", 1_000_000)
    monkeypatch.setattr(mock_sources, "is_large", lambda response: False)


@pytest.mark.parametrize("name", MOCKS)
@paths
@ways
def test_a_large_answer_is_that_of_a_small_one(
    name: str, path: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Asked(MOCKS[name])
    first, pauses = large.ask(path, stream=stream)
    again, _ = large.ask(path, stream=stream)

    unlimited(monkeypatch)
    plain, _ = Asked(MOCKS[name]).ask(path, stream=stream)

    assert first == again == plain
    if name != "in one call":
        assert pauses >= MANY // AT_ONCE


@pytest.mark.parametrize("path", CUSTOM)
@ways
def test_calls_of_custom_tools_are_spelled_in_pieces(
    path: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = CUSTOM[path] | {"stream": stream}
    first, pauses = Asked(MOCKS["written"]).ask(path, **members)
    others = {"tools": orjson.loads(orjson.dumps(CUSTOM[path]["tools"]).replace(b'"f"', b'"h"'))}
    unused, _ = Asked(MOCKS["written"]).ask(path, **others, stream=stream)

    unlimited(monkeypatch)
    plain = Asked(MOCKS["written"])

    assert first == plain.ask(path, **members)[0]
    assert unused == plain.ask(path, **others, stream=stream)[0]
    assert first != unused
    assert pauses >= 2 * MANY // AT_ONCE


@paths
@ways
def test_what_was_completed_of_a_mock_is_kept(path: str, stream: bool) -> None:
    asked = Asked(MOCKS["written"])
    _, first = asked.ask(path, stream=not stream)
    _, other = asked.ask(path, stream=stream)

    assert other < first


def test_a_large_call_is_not_read_again_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(MOCKS["in one call"])
    asked.ask("/v1/messages")

    def read_again(arguments: str) -> dict[str, Any]:
        raise AssertionError("the arguments are read again")

    monkeypatch.setattr(reply, "input_of", read_again)

    assert asked.ask("/v1/messages")[0]
