"""Rules and messages in few words."""

from __future__ import annotations

from typing import Any

from mockllm.matching.predicates import Predicate
from mockllm.matching.rule import Rule


def rule(provider: Any, value: Any, contains: bool = False, *headers: Predicate) -> Rule:
    return Rule(0, "mock", (provider.compile_match(value, contains), *headers))


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}
