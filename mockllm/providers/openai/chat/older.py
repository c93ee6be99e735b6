"""Members that openai 3.54.0 declares in Chat Completions and older SDKs do not.

``testdata/types`` has examples of all that openai 3.54.0 declares.
"""

from __future__ import annotations

from mockllm.validation.versions import members_by_tag

WIDENED: frozenset[str] = frozenset({"ChatCompletionAudioParam.voice"})
"""Members that openai 3.54.0 declares with more types than older SDKs, or no longer requires."""

MEMBERS = members_by_tag(
    {
        "file": "file prompt_cache_breakpoint",
        "image_url": "image_url prompt_cache_breakpoint",
        "input_audio": "input_audio prompt_cache_breakpoint",
        "refusal": "refusal",
        "text": "prompt_cache_breakpoint text",
    }
)
"""The members of each content part that openai 3.54.0 declares, by its `type`."""
