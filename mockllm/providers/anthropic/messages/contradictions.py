"""Finds members of a message that contradict each other, which are served as written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.counts import count, sum_counts
from mockllm.validation.findings import Finding, Kind


def find_contradictions(response: dict[str, Any]) -> Iterator[Finding]:
    """Findings that name both places."""
    yield from _find_in_usage(response.get("usage"))
    content = response.get("content")
    blocks = content if isinstance(content, list) else []
    calls = [index for index, block in enumerate(blocks) if _is_call(block)]
    match response.get("stop_reason"):
        case "tool_use" if isinstance(content, list) and not calls:
            message = "'tool_use', but content has no block of this type"
            yield Finding(("stop_reason",), message, Kind.WRONG)
        case "end_turn" if calls:
            message = f"'end_turn', but content[{calls[0]}] is a tool_use"
            yield Finding(("stop_reason",), message, Kind.WRONG)
        case "stop_sequence" if response.get("stop_sequence") is None:
            message = "'stop_sequence', but stop_sequence is missing or null"
            yield Finding(("stop_reason",), message, Kind.WRONG)
        case str(reason) if reason != "stop_sequence" and response.get("stop_sequence"):
            message = f"{response['stop_sequence']!r}, but stop_reason is {reason!r}"
            yield Finding(("stop_sequence",), message, Kind.WRONG)


def _is_call(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_use"


def _find_in_usage(usage: Any) -> Iterator[Finding]:
    if not isinstance(usage, dict):
        return
    created, caches = count(usage.get("cache_creation_input_tokens")), usage.get("cache_creation")
    if created is not None and isinstance(caches, dict):
        both = sum_counts(caches.values())
        if both > created or (both < created and len(caches) > 1):
            message = f"{created}, but usage.cache_creation adds up to {both}"
            yield Finding(("usage", "cache_creation_input_tokens"), message, Kind.WRONG)
    output, details = count(usage.get("output_tokens")), usage.get("output_tokens_details")
    if output is not None and isinstance(details, dict):
        thinking = count(details.get("thinking_tokens"))
        if thinking is not None and thinking > output:
            message = f"{thinking}, but usage.output_tokens is {output}"
            path = ("usage", "output_tokens_details", "thinking_tokens")
            yield Finding(path, message, Kind.WRONG)
