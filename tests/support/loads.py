"""Chat Completions mocks, loaded."""

from __future__ import annotations

from typing import Any

from mockllm import Config
from mockllm.engine.loading import Loaded, load

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
}


def mock(content: Any, name: str = "", **match: Any) -> dict[str, Any]:
    wanted = {"message": {"role": "user", "content": content}, **match}
    return {"name": name, "match": wanted, "response": ANSWER}


def loaded(*mocks: dict[str, Any], strict_config: bool = False) -> Loaded:
    return load(Config.from_dict({"openai": list(mocks)}), strict_config=strict_config)
