"""Finds members of an embeddings answer that contradict each other, which are served as written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.counts import count, repeated_indices
from mockllm.validation.findings import Finding, Kind


def find_contradictions(response: dict[str, Any]) -> Iterator[Finding]:
    """Findings that name both places."""
    usage = response.get("usage")
    if isinstance(usage, dict):
        prompt, total = count(usage.get("prompt_tokens")), count(usage.get("total_tokens"))
        both = (prompt or 0) + (count(usage.get("completion_tokens")) or 0)
        if prompt is not None and total is not None and total != both:
            message = f"{total}, but usage.prompt_tokens is {prompt}"
            yield Finding(("usage", "total_tokens"), message, Kind.WRONG)
    data: Any = response.get("data")
    for at, first in repeated_indices(data).items():
        message = f"{data[at]['index']}, which is also the index of data[{first}]"
        yield Finding(("data", at, "index"), message, Kind.WRONG)
