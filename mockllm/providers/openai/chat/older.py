"""Members that openai 3.54.0 declares in Chat Completions and older SDKs do not.

``testdata/types`` has examples of all that openai 3.54.0 declares.
"""

from __future__ import annotations

from collections.abc import Mapping

WIDENED: frozenset[str] = frozenset({"ChatCompletionAudioParam.voice"})
"""Members that openai 3.54.0 declares with more types than older SDKs, or no longer requires."""

_MEMBERS: Mapping[str, str] = {
    "file": "file prompt_cache_breakpoint",
    "image_url": "image_url prompt_cache_breakpoint",
    "input_audio": "input_audio prompt_cache_breakpoint",
    "refusal": "refusal",
    "text": "prompt_cache_breakpoint text",
}

MEMBERS: Mapping[str, frozenset[str]] = {
    tag: frozenset({"type", *names.split()}) for tag, names in _MEMBERS.items()
}
"""The members of each content part that openai 3.54.0 declares, by its `type`."""
