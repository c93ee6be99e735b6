"""Reads the texts of a Chat Completions message (openai 3.57.0: `ChatCompletionMessageParam`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockllm.providers.texts import OTHER, TextMembers, read_texts, read_texts_in_pieces

MEMBERS: TextMembers = {
    "text": ("text",),
    "refusal": ("refusal",),
    "file": ("file",),
    "function": ("function",),
    "custom": ("custom",),
    "thinking": ("thinking",),  # of LiteLLM, in a block, and of Mistral, in a part
    "reasoning.summary": ("summary",),  # of OpenRouter
    "": ("filename", "transcript", "function", "custom", "name", "arguments", "input", "text"),
    OTHER: ("text", "content"),
}
"""Parts and tool calls. Without a type: what is in a file, an audio, a function or a custom tool.
"""

REASONING = (
    "reasoning_content",  # of DeepSeek, vLLM and others; clients send it back
    "reasoning",  # of OpenRouter, vLLM and others
)

_OF_ASSISTANT = (
    *REASONING,
    "reasoning_details",  # of OpenRouter
    "thinking_blocks",  # of LiteLLM
    "content",
    "refusal",
    "audio",
    "function_call",
    "tool_calls",
)


def read_content(content: Any) -> Iterator[str]:
    """The texts of a content."""
    return read_texts(content, MEMBERS)


def around_content(message: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The texts of the assistant before those of the content, and those behind."""
    at = _OF_ASSISTANT.index("content")
    before = [
        text for name in _OF_ASSISTANT[:at] for text in read_texts(message.get(name), MEMBERS)
    ]
    behind = [
        text for name in _OF_ASSISTANT[at + 1 :] for text in read_texts(message.get(name), MEMBERS)
    ]
    return before, behind


def search_texts(message: Mapping[str, Any]) -> tuple[str, ...]:
    """All texts of a message. Those of the assistant are in several members."""
    if message.get("role") != "assistant":
        return tuple(read_content(message.get("content")))
    return tuple(text for name in _OF_ASSISTANT for text in read_texts(message.get(name), MEMBERS))


def search_texts_in_pieces(message: Mapping[str, Any]) -> Iterator[str | None]:
    """What `search_texts` returns, and None for each pause."""
    names = _OF_ASSISTANT if message.get("role") == "assistant" else ("content",)
    for name in names:
        yield from read_texts_in_pieces(message.get(name), MEMBERS)
