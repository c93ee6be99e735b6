from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.error_body import is_error_body


@pytest.mark.parametrize(
    "response",
    [
        {"error": {"message": "no", "type": "server_error", "param": None, "code": None}},
        {"error": {"message": "no"}, "id": "x", "model": "m"},
        {"error": "no"},
        {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
        {"type": "error", "message": "no", "choices": []},
        {"object": "error", "message": "no", "code": 400},
    ],
)
def test_an_error_is_recognised(response: dict[str, Any]) -> None:
    assert is_error_body(response, ("choices",))


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"error": None},
        {"error": {}},
        {"error": {"code": 502}, "choices": []},
        {"type": ["error"]},
    ],
)
def test_an_answer_is_no_error(response: dict[str, Any]) -> None:
    assert not is_error_body(response, ("choices",))
