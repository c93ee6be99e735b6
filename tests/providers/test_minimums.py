"""Counts below the minimum of the service, in all APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mockllm.errors import RequestError
from mockllm.prompt import Prompt
from tests.support.strategies import ask_chat, ask_messages, ask_responses

USER = {"role": "user", "content": "hi"}
BELOW: list[tuple[Callable[..., Prompt], Any, dict[str, Any], str, int]] = [
    (ask_chat, [USER], {"n": 0}, "n", 1),
    (ask_chat, [USER], {"max_tokens": 0}, "max_tokens", 1),
    (ask_chat, [USER], {"max_completion_tokens": -1}, "max_completion_tokens", 1),
    (ask_chat, [USER], {"top_logprobs": -1}, "top_logprobs", 0),
    (ask_responses, "hi", {"max_output_tokens": 15}, "max_output_tokens", 16),
    (ask_responses, "hi", {"top_logprobs": -1}, "top_logprobs", 0),
    (ask_responses, "hi", {"max_tool_calls": 0}, "max_tool_calls", 1),
    (ask_messages, [USER], {"max_tokens": -1}, "max_tokens", 0),
    (ask_messages, [USER], {"top_k": -1}, "top_k", 0),
    (
        ask_messages,
        [USER],
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "thinking.budget_tokens",
        1024,
    ),
]


@pytest.mark.parametrize(("ask", "said", "members", "path", "minimum"), BELOW)
def test_a_count_below_the_minimum_of_the_service_is_refused(
    ask: Callable[..., Prompt], said: Any, members: dict[str, Any], path: str, minimum: int
) -> None:
    with pytest.raises(RequestError) as caught:
        ask(said, **members)

    error = caught.value
    assert (error.status, error.param, error.code) == (400, path, "integer_below_min_value")
    assert f"{path}: Input should be greater than or equal to {minimum}." in error.message
