"""The mocks of a configuration file as a plain server would keep them: two collections of texts.

The servers written for comparison share it, so that they differ in how they speak HTTP only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Answers:
    """`exact` by the whole last message, `containing` by a part of it, in order."""

    exact: dict[str, dict[str, Any]]
    containing: list[tuple[str, dict[str, Any]]]

    @classmethod
    def from_file(cls, path: Path) -> Answers:
        """The chat mocks of a configuration file."""
        answers = cls({}, [])
        for mock in orjson.loads(path.read_bytes())["openai"]:
            text = mock["match"]["message"]["content"]
            if mock["match"]["match_type"] == "exact":
                answers.exact.setdefault(text, mock["response"])
            else:
                answers.containing.append((text, mock["response"]))
        return answers

    def find(self, text: str) -> dict[str, Any] | None:
        """The completion that answers `text`."""
        found = self.exact.get(text)
        if found is None:
            return next((answer for part, answer in self.containing if part in text), None)
        return found


def frames(completion: dict[str, Any]) -> Iterator[bytes]:
    """`completion` as a stream of events: the role, one for each word, the end."""
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
