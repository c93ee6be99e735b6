"""Estimates token counts without a tokenizer.

A text counts one token for every four bytes of its UTF-8, rounded up: the providers' own rule of
thumb, the same on every machine, and cheap. A message costs a few tokens more than its texts. What
is not text (images, audio, files) counts only by its caption.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.limits import KIB
from mockllm.pieces import Pieces

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3  # role and delimiters, as OpenAI's cookbook counts them

_ROUNDED_UP = 2 * BYTES_PER_TOKEN - 1  # to add before rounding down: with a token for the key
_VALUES_AT_ONCE = 5_000  # whose tokens are estimated without a pause: 1 to 2 ms
_CHARACTERS_AT_ONCE = 256 * KIB  # of a text that is not ASCII: 0.3 ms
_NUMBERS = frozenset({int, float})
_PROMPT_MEMBERS = frozenset(
    {"messages", "input", "prompt", "system", "instructions", "tools", "functions"}
)
_OTHER_PROMPT_MEMBERS = _PROMPT_MEMBERS - {"messages"}  # which most requests do not have
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


class EstimatedBody(dict[str, Any]):
    """The decoded body of a request whose `input_tokens` were estimated before, and are set by who
    makes it: an `__init__` would take longer than the copy. Of a large one, `echoes` are the values
    that took long to write of those that its answer repeats (`placeholders.Echoed`)."""

    __slots__ = ("echoes", "input_tokens")

    input_tokens: int
    echoes: Mapping[str, bytes]


def estimate_in_pieces(body: Mapping[str, Any]) -> Pieces[EstimatedBody]:
    """Return `body` with its input tokens, those that `estimate_prompt` returns, with pauses."""
    total = 0
    for name, member in body.items():
        if name in _PROMPT_MEMBERS:
            total += yield from estimate_value_in_pieces(member)
    estimated = EstimatedBody(body)
    estimated.input_tokens = _with_messages(body, total)
    return estimated


def estimate_value_in_pieces(value: Any) -> Pieces[int]:
    """Return what `estimate_value` does, with pauses."""
    total, seen = 0, 0
    todo = [value]
    while todo:
        entry = todo.pop()
        seen += 1
        if seen >= _VALUES_AT_ONCE:
            seen = 0
            yield False
        if isinstance(entry, dict):
            for key, member in entry.items():
                seen += 1
                if seen >= _VALUES_AT_ONCE:
                    seen = 0
                    yield False
                if key in _MEDIA_MEMBERS:
                    continue
                total += 1
                if isinstance(member, str):
                    total += yield from _estimate_text(member)
                else:
                    todo.append(member)
        elif isinstance(entry, str):
            total += yield from _estimate_text(entry)
        elif isinstance(entry, list) and len(entry) > _VALUES_AT_ONCE:
            for start in range(0, len(entry), _VALUES_AT_ONCE):
                total += yield from estimate_value_in_pieces(entry[start : start + _VALUES_AT_ONCE])
                yield False
        elif isinstance(entry, list) and not _NUMBERS.issuperset(map(type, entry)):
            todo.extend(entry)
        else:
            seen += len(entry) if isinstance(entry, list) else 0
            total += estimate_value(entry)
    return total


def _estimate_text(text: str) -> Pieces[int]:
    if len(text) <= _CHARACTERS_AT_ONCE or text.isascii():
        return estimate(text)
    size = 0
    for start in range(0, len(text), _CHARACTERS_AT_ONCE):
        size += len(text[start : start + _CHARACTERS_AT_ONCE].encode("utf-8", "surrogatepass"))
        yield False
    return -(-size // BYTES_PER_TOKEN)


def estimate_prompt(body: Mapping[str, Any]) -> int:
    """Estimate the input tokens of a request: messages or input, instructions and tools."""
    if type(body) is EstimatedBody:
        return body.input_tokens
    messages = body.get("messages")
    if type(messages) is list and messages and _OTHER_PROMPT_MEMBERS.isdisjoint(body):
        total = _estimate_objects(messages)
        if type(messages[0]) is dict:
            total += TOKENS_PER_MESSAGE * len(messages)
        return total or 1
    total = 0
    for name, member in body.items():
        if name in _PROMPT_MEMBERS:
            total += _estimate_objects(member) if type(member) is list else estimate_value(member)
    return _with_messages(body, total)


def _with_messages(body: Mapping[str, Any], total: int) -> int:
    """Return the tokens of a request whose values have so many."""
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
                total += (len(member) + _ROUNDED_UP) // BYTES_PER_TOKEN
            else:
                total += 1 + estimate_value(member)
    return total
