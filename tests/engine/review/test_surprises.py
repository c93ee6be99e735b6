"""Mocks with several answers whose order surprises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm.engine.loading import review

CALL: dict[str, Any] = {"reply": {"tool_calls": [{"name": "f"}]}}
REPEATED = (
    "note: mocks[0]: sequence: a request that is repeated without the mark of an SDK's retry gets "
    "the next entry; for agents that may repeat, 'turn', 'step' or 'tool_result' in 'match' tell "
    "answers apart"
)


def reviewed(tmp_path: Path, mock: dict[str, Any], field: str = "mocks") -> list[str]:
    file = tmp_path / "a.json"
    file.write_bytes(orjson.dumps({field: [mock]}))
    found = [problem for problem in review(file).problems if "filled in" not in problem.message]
    return [f"{each.severity}: {each}".replace(f"{file}: ", "") for each in found]


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic", "mocks"])
def test_a_sequence_without_errors_is_moved_by_repeated_requests(
    tmp_path: Path, field: str
) -> None:
    mock = {"sequence": ["a", "b"], "first": ["c"]}

    assert reviewed(tmp_path, mock, field) == [REPEATED.replace("mocks", field)]


@pytest.mark.parametrize(
    "mock",
    [
        {"sequence": [{"error": "overloaded"}, "b"]},
        {"sequence": ["a", "b"], "first": [{"error": "overloaded"}]},
        {"sequence": [{"reply": "a", "fault": {"end": "cut", "after": "first_token"}}, "b"]},
        {"sequence": ["a", "b"], "match": {"turn": 1}},
        {"sequence": ["a", "b"], "match": {"all_of": [{"step": {"at_least": 2}}]}},
        {"sequence": ["a", CALL], "match": {"tool_result": "15"}},
        {"reply": "a", "first": ["b"]},
    ],
)
def test_nothing_is_said_where_repetitions_are_meant_or_known(tmp_path: Path, mock: Any) -> None:
    assert reviewed(tmp_path, mock) == []


def test_nothing_is_said_of_a_sequence_of_embeddings(tmp_path: Path) -> None:
    mock: dict[str, Any] = {"sequence": [{"response": {}}, {"response": {}}]}

    assert reviewed(tmp_path, mock, "openai_embeddings") == []


@pytest.mark.parametrize(
    "match", [{"user": "hi"}, {"user": {"contains": "hi"}}, {"all_of": [{"user": "hi"}]}]
)
def test_a_call_before_the_end_of_a_sequence_for_words_of_the_user_is_a_warning(
    tmp_path: Path, match: Any
) -> None:
    mock = {"match": match, "sequence": ["a", CALL, {"error": "overloaded"}, CALL]}

    assert reviewed(tmp_path, mock) == [
        (
            "warning: mocks[0]: sequence[1].reply.tool_calls[0]: the client's next request has the "
            "result of the tool, which 'user' does not match, so it does not get sequence[2]: "
            "write 'last_user' instead of 'user', or another mock with 'tool_result'"
        )
    ]


@pytest.mark.parametrize(
    ("field", "response", "path"),
    [
        (
            "openai",
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "f"}}]}}]},
            "choices[0].message.tool_calls[0]",
        ),
        (
            "openai_response",
            {"output": [{"type": "function_call", "name": "f", "call_id": "c"}]},
            "output[0]",
        ),
        (
            "anthropic",
            {"content": [{"type": "tool_use", "name": "f", "id": "c", "input": {}}]},
            "content[0]",
        ),
    ],
)
def test_a_call_in_a_response_is_found_too(
    tmp_path: Path, field: str, response: Any, path: str
) -> None:
    mock = {"match": {"user": "hi"}, "sequence": [{"response": response}, {"error": "overloaded"}]}

    found = [each.partition(": the client's")[0] for each in reviewed(tmp_path, mock, field)]

    assert f"warning: {field}[0]: sequence[0].response.{path}" in found


@pytest.mark.parametrize(
    "mock",
    [
        {"match": {"user": "hi"}, "sequence": [{"error": "overloaded"}, CALL]},
        {"match": {"last_user": "hi"}, "sequence": [CALL, {"error": "overloaded"}]},
        {"match": {"any_of": [{"user": "hi"}]}, "sequence": [CALL, {"error": "overloaded"}]},
        {"match": {"user": "hi"}, "reply": "a", "first": [CALL]},
    ],
)
def test_calls_elsewhere_are_no_surprise(tmp_path: Path, mock: Any) -> None:
    assert reviewed(tmp_path, mock) == []


@pytest.mark.parametrize("entry", [{}, {"times": 3}, {"times": 2, "retry": "next"}])
def test_an_entry_that_changes_nothing_is_a_warning(tmp_path: Path, entry: Any) -> None:
    mock = {"reply": "a", "first": ["b", entry, {"stream": {"chunk": 1}}]}

    assert reviewed(tmp_path, mock) == [
        "warning: mocks[0]: first[1]: no effect: nothing in it differs from the mock's own answer"
    ]


def test_an_end_behind_an_entry_for_ever_is_a_warning(tmp_path: Path) -> None:
    last = {"reply": "b", "times": "always"}
    mock = {"sequence": [{"error": "overloaded"}, last], "at_end": "pass"}

    assert reviewed(tmp_path, mock) == [
        "warning: mocks[0]: at_end: no effect: the last entry is given for ever"
    ]
