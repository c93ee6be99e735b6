"""Tokens of an exchange: those of the usage that a client would read."""

from __future__ import annotations

from typing import Any
from unittest import mock

import orjson
import pytest

from mockllm.observers import usage
from mockllm.observers.usage import TokenCounts
from tests.support.goldens import delivered
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request, messages_request, responses_request

REQUESTS = {
    "chat": chat_request("hi"),
    "responses": responses_request("hi"),
    "messages": messages_request("hi"),
}
NAMES = {"chat": ("prompt_tokens", "completion_tokens")}
USAGES: list[dict[str, Any]] = [
    {},
    {"input": 70, "output": 8},
    {"input": 70, "cached": 30, "output": 8, "reasoning": 3},
]


@pytest.mark.parametrize("api", REQUESTS)
@pytest.mark.parametrize("usage", USAGES)
@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_those_of_the_answer(api: str, usage: dict[str, Any], stream: bool) -> None:
    observed = Observed({"mocks": [{"reply": {"text": "Hello there", "usage": usage}}]})
    decision = observed.ask(request(PATHS[api], REQUESTS[api]))
    told = orjson.loads(delivered(decision.reply))["usage"]
    call = observed.call(PATHS[api], {**REQUESTS[api], "stream": stream})

    prompt, answer = NAMES.get(api, ("input_tokens", "output_tokens"))
    cached = told.get("cache_read_input_tokens", 0)
    expected = TokenCounts(told[prompt] + cached, told[answer])
    assert TokenCounts(call.input_tokens, call.output_tokens) == expected
    assert call.input_tokens == usage.get("input", call.input_tokens)


@pytest.mark.parametrize("usage", [None, 3, {"completion_tokens": "many"}])
def test_an_odd_usage_counts_nothing(usage: Any) -> None:
    response = {"choices": [{"message": {"content": "ho"}}], "usage": usage}
    observed = Observed({"openai": [{"response": response}]})

    assert observed.call(PATHS["chat"], chat_request("hi")).output_tokens == 0


def test_an_answer_that_is_told_again_has_the_tokens_of_each_request() -> None:
    observed = Observed({"mocks": [{"reply": "Hello there"}]})
    for text in ("hi", "a longer question " * 20, "hi"):
        decision = observed.ask(request(PATHS["chat"], chat_request(text)))
        told = orjson.loads(delivered(decision.reply))["usage"]
        call = observed.journal.read().calls[-1]
        assert (call.input_tokens, call.output_tokens) == (
            told["prompt_tokens"],
            told["completion_tokens"],
        )


def test_many_answers_are_not_all_kept() -> None:
    observed = Observed({"mocks": [{"sequence": [f"{'a ' * n}" for n in range(1, 6)]}]})
    with mock.patch.object(usage, "MAX_PREPARED", 2), mock.patch.dict(usage._prepared, clear=True):
        for number in range(1, 6):
            call = observed.call(PATHS["chat"], chat_request("hi"))
            assert (call.output_tokens > 0, len(usage._prepared) <= 2) == (True, True), number
