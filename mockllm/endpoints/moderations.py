"""POST /v1/moderations: nothing is ever flagged (openai 3.54.0: `ModerationCreateResponse`)."""

from __future__ import annotations

from typing import Any

from mockllm.endpoints.bodies import json_answer, read_object
from mockllm.endpoints.route import Context
from mockllm.engine.asking import begin, pause_if_large
from mockllm.engine.decision import Decision, Question
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.pieces import Pieces
from mockllm.providers import request_body
from mockllm.providers.routes import Values
from mockllm.wire import placeholders

MAX_INPUTS = 2048  # entries of one request; each has a result of a kilobyte
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


def moderate(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with one result for each text, or one for all parts of a multi-modal input.

    Raises:
        RequestError: 400 if the body is invalid.
    """
    leftovers: list[Any] = []
    return begin(_moderate(request, leftovers), leftovers)


def _moderate(request: Request, leftovers: list[Any]) -> Pieces[Decision]:
    """Return the decision of `moderate`, made in pieces."""
    members = yield from read_object(request, leftovers)
    yield from pause_if_large(request)
    value = request_body.read_input(members)
    if members.get("model") is not None:
        request_body.read_model(members)
    if isinstance(value, list):
        _check(value)
    many = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    body = {
        "id": placeholders.fresh_id("modr-", ID_LENGTH, "moderation"),
        "model": members.get("model") or MODEL,
        "results": [_result() for _ in (value if many else [value])],
    }
    return json_answer(request, body)


def _check(entries: list[Any]) -> None:
    """Check that a list consists of 1 to `MAX_INPUTS` texts or parts.

    Raises:
        RequestError: 400 if not.
    """
    if not 1 <= len(entries) <= MAX_INPUTS:
        message = f"input: expected 1 to {MAX_INPUTS} entries, found {len(entries)}"
        raise RequestError(400, message, param="input")
    for index, entry in enumerate(entries):
        if not isinstance(entry, (str, dict)):
            raise request_body.bad(f"input.{index}", "a string or a part", entry)


def _result() -> dict[str, Any]:
    return {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.000001),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
