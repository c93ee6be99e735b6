"""The assertions of a test about one mock, of a server in this process or in another one."""

from __future__ import annotations

from mockllm.observers.verification import Times
from mockllm.serve.embedded.checks import check_number


class MockAssertions:
    """The assertions about how often a mock answered."""

    def assert_called(
        self,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> None:
        """Fail unless the mock was called, `times` times, or within the bounds if there are any."""
        __tracebackhide__ = True
        self._assert_number(_expected_times(times, at_least, at_most), requests=False)

    def assert_called_once(self) -> None:
        """Fail unless the mock was called exactly once; retries do not count."""
        __tracebackhide__ = True
        self._assert_number(Times(exactly=1), requests=False)

    def assert_not_called(self) -> None:
        """Fail if the mock was called."""
        __tracebackhide__ = True
        self._assert_number(Times(exactly=0), requests=False)

    def assert_requested(
        self,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> None:
        """Fail unless the mock answered requests, like `assert_called`, but retries count too."""
        __tracebackhide__ = True
        self._assert_number(_expected_times(times, at_least, at_most), requests=True)

    def _assert_number(self, times: Times, *, requests: bool) -> None:
        """Fail unless the mock was called as often as `times` says; with `requests`, unless it
        answered so many requests, retries included."""
        raise NotImplementedError


def _expected_times(times: int | None, at_least: int | None, at_most: int | None) -> Times:
    """Return the expectation of a test; without any, that it is at least once.

    Raises:
        TypeError: `times` is combined with a bound, or one of them is not a number.
        ValueError: the bounds exclude every number.
    """
    for given in (times, at_least, at_most):
        if given is not None:
            check_number(given, int, "a number of calls")
    if times is None and at_least is None and at_most is None:
        return Times(at_least=1)
    if times is not None and (at_least is not None or at_most is not None):
        raise TypeError("times= cannot be combined with at_least= or at_most=")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"no number is at least {at_least} and at most {at_most}")
    return Times(times, at_least, at_most)
