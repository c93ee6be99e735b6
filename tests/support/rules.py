"""Rules and messages in few words."""

from __future__ import annotations

from typing import Any

from mockllm.providers import openai_chat
from mockllm.rule import HeaderRule, Rule

CHAT = openai_chat.PROVIDER


def rule(provider: Any, value: Any, contains: bool = False, *headers: HeaderRule) -> Rule:
    return Rule(0, "mock", provider.expect(value, contains), headers)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}
