"""Finds members of a chat completion that contradict each other, which are served as written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.counts import repeated_indices
from mockllm.providers.openai import usage
from mockllm.providers.openai.chat.answer import USAGE
from mockllm.validation.findings import Finding, Kind

_CALLS = {"tool_calls": "tool_calls", "function_call": "function_call"}
"""Reasons to finish, and the member of the message that they announce."""


def find_contradictions(response: dict[str, Any]) -> Iterator[Finding]:
    """Findings that name both places. Gemini's total includes thoughts that it counts nowhere
    else."""
    model = response.get("model")
    if not isinstance(model, str) or "gemini" not in model.lower():
        yield from usage.find_contradictions(response.get("usage"), USAGE)
    choices = response.get("choices")
    repeated = repeated_indices(choices)
    for at, choice in enumerate(choices if isinstance(choices, list) else ()):
        if not isinstance(choice, dict):
            continue
        if at in repeated:
            message = f"{choice['index']}, which is also the index of choices[{repeated[at]}]"
            yield Finding(("choices", at, "index"), message, Kind.WRONG)
        reason, message_ = choice.get("finish_reason"), choice.get("message")
        called = _CALLS.get(reason) if isinstance(reason, str) else None
        if called is not None and isinstance(message_, dict) and not message_.get(called):
            message = f"{reason!r}, but choices[{at}].message has no {called}"
            yield Finding(("choices", at, "finish_reason"), message, Kind.WRONG)
