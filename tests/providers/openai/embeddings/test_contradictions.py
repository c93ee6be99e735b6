"""Members of embeddings answers that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.embeddings.contradictions import find_contradictions


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            {"usage": {"prompt_tokens": 5, "total_tokens": 6}},
            "usage.total_tokens: 6, but usage.prompt_tokens is 5",
        ),
        (
            {"data": [{"index": 0}, 5, {"index": 0}]},
            "data.2.index: 0, which is also the index of data[0]",
        ),
    ],
)
def test_a_contradiction_names_both_places(response: dict[str, Any], message: str) -> None:
    assert [str(finding) for finding in find_contradictions(response)] == [message]


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"usage": 5, "data": 5},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
        {"usage": {"total_tokens": 6}, "data": [{"index": 1}, {}, {"index": 0}]},
    ],
)
def test_answers_without_a_clear_contradiction(response: dict[str, Any]) -> None:
    assert list(find_contradictions(response)) == []
