"""What a function of the author returns: which values are answers, and what is said of others."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Error, Mock, Reply, ToolCall
from mockllm.engine.returned import read_returned

EXPECTED = "expected a text, a Reply, a dict in the form of a 'reply', or an Error"
IS_AN_ERROR = "a dict with an error, which is an answer of its own"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hi",
        Reply(text="hi"),
        {"text": "hi", "finish": "length"},
        {"generate": "echo"},
        {"text": {"template": "{{ user }}"}},
        Reply(tool_calls=[ToolCall(name="f")]),
    ],
)
def test_what_a_reply_may_be_is_an_answer(value: Any) -> None:
    assert read_returned(value).said == Mock(reply=value).said


def test_an_error_is_an_answer() -> None:
    assert read_returned(Error(word="rate_limit")).failure == Error(word="rate_limit")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, f"None, {EXPECTED}"),
        (print, "a function, <built-in function print>"),
        (5, "what is not an answer: reply: expected a text or an object, found 5; write"),
        (["a"], "what is not an answer: reply: expected a text or an object, found a list"),
        ({"txt": "a"}, "what is not an answer: reply.txt: unknown key, expected one of finish"),
        ({"error": "overloaded"}, f'{IS_AN_ERROR}; write return Error(word="overloaded")'),
        ({"error": "rate_limit_error"}, f'{IS_AN_ERROR}; write return Error(word="rate_limit")'),
        ({"error": {"as": "billing"}}, f'{IS_AN_ERROR}; write return Error(word="billing")'),
        (
            {"error": {"type": "overloaded_error", "message": "a"}},
            f'{IS_AN_ERROR}; write return Error(word="overloaded")',
        ),
        ({"error": {"status": 502}}, f"{IS_AN_ERROR}; write return Error(status=502)"),
        ({"status": 502}, f"{IS_AN_ERROR}; write return Error(status=502)"),
        ({"text": "a", "error": "none"}, f'{IS_AN_ERROR}; write return Error(word="...")'),
        ({"error": {"as": ["billing"]}}, f'{IS_AN_ERROR}; write return Error(word="...")'),
        ({"error": None}, f'{IS_AN_ERROR}; write return Error(word="...")'),
        ({}, "what is not an answer: reply: expected at least one of"),
        (b"a", "what is not an answer: reply: expected a text or an object"),
        ({"json": float("nan")}, "json: expected a finite number, found nan"),
        ({"template": "{{"}, "a reply: not a template of Jinja2"),
    ],
)
def test_anything_else_is_named(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r".*") as failed:
        read_returned(value)

    assert str(failed.value).startswith(reason)
