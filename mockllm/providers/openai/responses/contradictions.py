"""Finds members of a response that contradict each other, which are served as written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.openai import usage
from mockllm.providers.openai.responses.answer import USAGE
from mockllm.validation.findings import Finding, Kind

_EXPLAINED_BY = {"error": "failed", "incomplete_details": "incomplete"}
"""Members that explain a status."""


def find_contradictions(response: dict[str, Any]) -> Iterator[Finding]:
    """Findings that name both places."""
    yield from usage.find_contradictions(response.get("usage"), USAGE)
    status = response.get("status")
    for name, expected in _EXPLAINED_BY.items():
        if response.get(name) and status == "completed":
            message = f"{status!r}, but there is {name}, as in a response that is {expected!r}"
            yield Finding(("status",), message, Kind.WRONG)
    output = response.get("output")
    items = output if isinstance(output, list) else []
    for index, item in enumerate(items):
        if status == "completed" and _status(item) == "in_progress":
            message = f"'in_progress', but the status of the response is {status!r}"
            yield Finding(("output", index, "status"), message, Kind.WRONG)
    text = response.get("output_text")
    if isinstance(text, str) and isinstance(output, list) and text != _text(items):
        message = "not the text of the messages in output, which is what the SDK's output_text is"
        yield Finding(("output_text",), message, Kind.WRONG)


def _status(item: Any) -> Any:
    return item.get("status") if isinstance(item, dict) else None


def _text(items: list[Any]) -> str:
    """The text of an output as the SDK joins it (openai 3.54.0: `Response.output_text`)."""
    contents = [item.get("content") for item in items if isinstance(item, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    texts = [part.get("text") for part in parts if _is_text(part)]
    return "".join(text for text in texts if isinstance(text, str))


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type", "output_text") == "output_text"
