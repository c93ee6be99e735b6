"""The mocks of a configuration file as two collections of texts, as a simple server has them.

The servers written for comparison share this module, so that only their HTTP code differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Answers:
    """Responses by the last message: `exact` by its whole text, `containing` by part of it."""

    exact: dict[str, dict[str, Any]]
    containing: list[tuple[str, dict[str, Any]]]

    @classmethod
    def from_file(cls, path: Path) -> Answers:
        """Read the chat mocks of a configuration file."""
        answers = cls({}, [])
        for mock in orjson.loads(path.read_bytes())["openai"]:
            text = mock["match"]["message"]["content"]
            if mock["match"]["match_type"] == "exact":
                answers.exact.setdefault(text, mock["response"])
            else:
                answers.containing.append((text, mock["response"]))
        return answers

    def find(self, text: str) -> dict[str, Any] | None:
        """The completion for a message; None if no mock matches."""
        found = self.exact.get(text)
        if found is None:
            return next((answer for part, answer in self.containing if part in text), None)
        return found


def frames(completion: dict[str, Any]) -> Iterator[bytes]:
    """Yield `completion` as a stream: the role, each word, the end."""
    words = completion["choices"][0]["message"]["content"].split(" ")
    texts = [words[0], *(f" {word}" for word in words[1:])]
    yield _frame(completion, {"role": "assistant", "content": ""}, None)
    for text in texts:
        yield _frame(completion, {"content": text}, None)
    yield _frame(completion, {}, "stop")
    yield b"data: [DONE]\n\n"


def _frame(completion: dict[str, Any], delta: dict[str, Any], finish: str | None) -> bytes:
    chunk = {
        "id": completion["id"],
        "object": "chat.completion.chunk",
        "created": completion["created"],
        "model": completion["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
