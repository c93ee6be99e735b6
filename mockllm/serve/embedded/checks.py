"""Checks of what a test says, and the failure of what it expects."""

from __future__ import annotations

WAIT = 5.0  # seconds that waiting takes at most, unless a test says otherwise


def check_waiting(count: int, timeout: float, expected: str) -> None:
    """Check the arguments of a wait; `expected` describes the count.

    Raises:
        TypeError, ValueError: one of them is not a number, or is less than 0.
    """
    check_number(count, int, expected)
    check_number(timeout, (int, float), "a time-out in seconds")


def check_number(given: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Check a number that is 0 or more. Raises like `check_waiting`."""
    if not isinstance(given, kind) or isinstance(given, bool):
        raise TypeError(f"expected {expected}, found {given!r:.100}")
    if not given >= 0:  # type: ignore[operator]  # it is a number
        raise ValueError(f"expected {expected}, found {given}")


def fail(text: str | None) -> None:
    """Raise an AssertionError if there is a failure."""
    __tracebackhide__ = True
    if text is not None:
        raise AssertionError(text)
