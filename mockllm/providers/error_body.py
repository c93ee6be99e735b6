"""Recognises the body of an error where a mock's response is expected.

Knows the forms in which services report errors. It does not know any successful answer: the API
names the members by which its own are recognised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def is_error_body(response: Mapping[str, Any], answer_members: Collection[str]) -> bool:
    """Return True if `response` is an error instead of an answer, which has one of
    `answer_members`.

    Errors are ``{"error": {...}}`` or ``{"error": "..."}``, as OpenAI and compatible services send
    them, ``{"type": "error", ...}`` (Anthropic) and ``{"object": "error", ...}`` (older vLLM). A
    null or empty `error` is none, as in a successful Responses answer.
    """
    if response.get("type") == "error" or response.get("object") == "error":
        return True
    return bool(response.get("error")) and not any(name in response for name in answer_members)
