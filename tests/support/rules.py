"""Rules and messages in few words."""

from __future__ import annotations

from typing import Any

from mockllm.matching.predicate import Headers, Predicate
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt


def rule(provider: Any, value: Any, contains: bool = False, *headers: Predicate) -> Rule:
    return Rule(0, "mock", (provider.compile_match(value, contains), *headers))


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def check_covers(predicates: list[Predicate], prompt: Prompt, headers: Headers) -> None:
    """A request that a covered predicate accepts is accepted by the one that covers it."""
    accepting = [each for each in predicates if each.difference(prompt, headers) is None]
    for earlier in predicates:
        if any(earlier.covers(later) for later in accepting):
            assert earlier in accepting
