"""The names of sessions of tests, and the lines about requests that came too late."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from mockllm.serve.embedded.stragglers import MAX_NAME, held_lines, late_line, session_name
from mockllm.state.session_names import is_session_name


class Late(NamedTuple):
    session: str | None
    method: str = "POST"
    path: str = "/v1/responses"


@pytest.mark.parametrize("test", ["test_a", "test_b[x/y é]", "test_" + "long" * 100, "test.dot"])
def test_the_session_of_any_test_has_a_valid_name(test: str) -> None:
    assert is_session_name(session_name(test, "12"))


def test_a_session_is_named_after_its_test() -> None:
    assert session_name("test_a[x y]", "3") == "test_a-x-y-.3"
    assert session_name("t" * (MAX_NAME + 1), "3") == "t" * MAX_NAME + ".3"


def test_a_line_names_the_test_and_the_request() -> None:
    assert late_line(Late(session_name("test.dot", "3"))) == "test.dot: POST /v1/responses"


def test_each_gate_has_a_line_in_the_order_of_their_names() -> None:
    assert held_lines("test_a.1", {"b": 1, "a": 2}) == [
        "test_a: 2 held at gate 'a'",
        "test_a: 1 held at gate 'b'",
    ]
