"""POST /v1/moderations: nothing is ever flagged (openai 3.54.0: `ModerationCreateResponse`)."""

from __future__ import annotations

from typing import Any

from mockllm import playback, reading
from mockllm.exchange import Decision, Request
from mockllm.neighbours.house import House, Values, json_answer

ID_LENGTH = 32  # characters after modr-
MODEL = "omni-moderation-latest"
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def moderate(house: House, request: Request, values: Values) -> Decision:
    """One result for each text; the parts of a multi-modal input have one together."""
    members = reading.read_object(request.body)
    value = reading.read_input(members)
    many = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    body = {
        "id": playback.fresh_id("modr-", ID_LENGTH, "moderation"),
        "model": members.get("model") or MODEL,
        "results": [_result() for _ in (value if many else [value])],
    }
    return json_answer(request, body)


def _result() -> dict[str, Any]:
    return {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.000001),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
