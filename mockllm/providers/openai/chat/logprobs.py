"""Reads the tokens of a chat completion (openai 3.54.0: `ChatCompletionTokenLogprob`)."""

from __future__ import annotations

from typing import Any


def spell(tokens: list[Any]) -> list[bytes] | None:
    """The UTF-8 bytes of each token: its `bytes`, else its `token`. None if one has neither."""
    spelled = []
    for token in tokens:
        match token:
            case {"bytes": [*numbers]} if all(map(_is_byte, numbers)):
                spelled.append(bytes(numbers))
            case {"token": str(text)}:
                spelled.append(text.encode())
            case _:
                return None
    return spelled


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 256
