"""Estimates token counts without a tokenizer.

A text counts one token for every four bytes of its UTF-8, rounded up: the providers' own rule of
thumb, the same on every machine, and cheap. A message costs a few tokens more than its texts. What
is not text (images, audio, files) counts only by its caption.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3  # role and delimiters, as OpenAI's cookbook counts them

_NUMBERS = frozenset({int, float})
_PROMPT_MEMBERS = frozenset(
    {"messages", "input", "prompt", "system", "instructions", "tools", "functions"}
)
_MEDIA_MEMBERS = frozenset({"data", "url", "image_url", "file_data", "file_url", "input_audio"})


def estimate(text: str) -> int:
    """Estimate the tokens of one text."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def first_tokens(text: str, count: int) -> str:
    """Return the beginning of a text, of at most `count` estimated tokens."""
    size = count * BYTES_PER_TOKEN
    return text[:size] if text.isascii() else text.encode()[:size].decode(errors="ignore")


def estimate_value(value: Any) -> int:
    """Estimate the tokens of all texts in a JSON value; numbers and keys count one each."""
    if isinstance(value, str):
        return estimate(value)
    total = 0
    todo = [value]
    while todo:
        entry = todo.pop()
        if isinstance(entry, dict):
            for key, member in entry.items():
                if key in _MEDIA_MEMBERS:
                    continue
                total += 1
                if not isinstance(member, str):
                    todo.append(member)
                elif member.isascii():  # a shortcut: a call would take longer than the rest
                    total += -(-len(member) // BYTES_PER_TOKEN)
                else:
                    total += estimate(member)
        elif isinstance(entry, list):
            if _NUMBERS.issuperset(map(type, entry)):  # ten times as fast for tokens
                total += len(entry)
            else:
                todo.extend(entry)
        elif isinstance(entry, str):
            total += estimate(entry)
        elif isinstance(entry, (int, float)):
            total += 1
    return total


def estimate_prompt(body: Mapping[str, Any]) -> int:
    """Estimate the input tokens of a request: messages or input, instructions and tools."""
    total = 0
    for name, member in body.items():
        if name in _PROMPT_MEMBERS:
            total += _estimate_objects(member) if type(member) is list else estimate_value(member)
    messages = body.get("messages", body.get("input"))
    if isinstance(messages, list) and messages and isinstance(messages[0], dict):
        total += TOKENS_PER_MESSAGE * len(messages)
    return max(total, 1)


def _estimate_objects(entries: list[Any]) -> int:
    """Estimate a list as `estimate_value` does: in half the time if it has few objects, each with
    few members, as most messages and items are."""
    if not entries or type(entries[0]) is not dict:
        return estimate_value(entries)
    total = 0
    for entry in entries:
        if type(entry) is not dict:
            total += estimate_value(entry)
            continue
        for key, member in entry.items():
            if key in _MEDIA_MEMBERS:
                continue
            if type(member) is str and member.isascii():
                total += 1 - (-len(member) // BYTES_PER_TOKEN)
            else:
                total += 1 + estimate_value(member)
    return total
