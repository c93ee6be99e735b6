"""Members of responses that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses.answer import text_response
from mockllm.providers.openai.responses.contradictions import find_contradictions

ERROR = {"code": "server_error", "message": "no"}


def found(response: dict[str, Any]) -> list[str]:
    """The contradictions as they are shown."""
    return [str(finding) for finding in find_contradictions(response)]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            {"usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 99}},
            "usage.total_tokens: 99, but input_tokens + output_tokens is 12",
        ),
        (
            {"status": "completed", "error": ERROR},
            "status: 'completed', but there is error, as in a response that is 'failed'",
        ),
        (
            {"status": "completed", "incomplete_details": {"reason": "max_output_tokens"}},
            (
                "status: 'completed', but there is incomplete_details, as in a response that is "
                "'incomplete'"
            ),
        ),
        (
            {"status": "completed", "output": [{}, {"status": "in_progress"}]},
            "output.1.status: 'in_progress', but the status of the response is 'completed'",
        ),
        (
            text_response("Hello") | {"output_text": "Goodbye"},
            (
                "output_text: not the text of the messages in output, which is what the SDK's "
                "output_text is"
            ),
        ),
    ],
)
def test_a_contradiction_names_both_places(response: dict[str, Any], message: str) -> None:
    assert found(response) == [message]


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"status": ["odd"], "output": [5, {"content": 5}], "usage": 5},
        {"status": "failed", "error": ERROR},
        {"status": "completed", "error": None, "incomplete_details": {}},
        text_response("Hello") | {"output_text": "Hello"},
        {"output_text": "Hello"},
    ],
)
def test_answers_without_a_clear_contradiction(response: dict[str, Any]) -> None:
    assert found(response) == []
