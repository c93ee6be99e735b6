"""Headers of an answer: which are accepted."""

from __future__ import annotations

import pytest

from mockllm import Config, Error, Mock
from tests.support.configs import MOCK, mistakes


@pytest.mark.parametrize(
    "headers", [{}, {"X-A": ""}, {"x-a": "é 世界", "x-b": "a\tb"}, {"Content-Type": "text/plain"}]
)
def test_headers_are_texts_by_name(headers: dict[str, str]) -> None:
    assert Error(word="overloaded", headers=headers).headers == headers
    assert Config(mocks=[Mock(reply="a", headers=headers)]).mocks[0].headers == headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 'headers: expected an object such as {"x-name": "..."}, found a list'),
        ({"x-a": 1}, 'headers.x-a: expected a string, found 1; write "1"'),
        ({"x a": "1"}, "headers: expected the name of a header, found 'x a'"),
        ({"": "1"}, "headers: expected the name of a header, found ''"),
        ({"é": "1"}, "headers: expected the name of a header, found 'é'"),
        (
            {"x-a": "1\r\nx-b: 2"},
            "headers: 'x-a': expected a value of one line without control characters",
        ),
        ({"x-a": " 1"}, "headers: 'x-a': expected a value without white space around it"),
        ({"x-a": "1", "X-A": "2"}, "headers: 'X-A' is the same header as 'x-a'"),
        (
            {"Content-Length": "1", "x-a": "\x7f"},
            (
                "headers: 'Content-Length' cannot be set: the server frames its messages itself; "
                "'x-a': expected a value of one line without control characters"
            ),
        ),
    ],
)
def test_an_impossible_header_is_an_error(headers: object, expected: str) -> None:
    error = {"as": "overloaded", "headers": headers}
    assert mistakes({"openai": [{"error": error}]}) == [f"a.json: openai[0]: error.{expected}"]
    assert mistakes({"openai": [MOCK | {"headers": headers}]}) == [
        f"a.json: openai[0] 'greet': {expected}"
    ]
