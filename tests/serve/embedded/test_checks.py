"""What a test may say to a server that waits."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.serve.embedded.checks import check_waiting, fail


@pytest.mark.parametrize(
    ("count", "timeout", "error", "expected"),
    [
        (True, 1, TypeError, "expected a number of calls, found True"),
        ("1", 1, TypeError, "expected a number of calls, found '1'"),
        (-1, 1, ValueError, "expected a number of calls, found -1"),
        (1, None, TypeError, "expected a time-out in seconds, found None"),
        (1, float("nan"), ValueError, "expected a time-out in seconds, found nan"),
    ],
)
def test_what_is_no_number_is_refused(
    count: Any, timeout: Any, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        check_waiting(count, timeout, "a number of calls")


def test_only_a_text_is_a_failure() -> None:
    check_waiting(0, 0.0, "a number of calls")
    fail(None)
    with pytest.raises(AssertionError, match="too few"):
        fail("too few")
