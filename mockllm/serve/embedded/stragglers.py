"""The requests of tests that were over: after the end of the session of a test, or held at a gate
then. The name of a session tells its test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

MAX_NAME = 80  # characters of a test's name in that of its session


class LateCall(Protocol):
    """The interface of a call of this process, or of another one."""

    @property
    def session(self) -> str | None: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


def session_name(test: str, suffix: str) -> str:
    """Return a name for the session of a test, which no other has if none has the `suffix`."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', test)[:MAX_NAME]}.{suffix}"


def held_lines(session: str, held: Mapping[str, int]) -> list[str]:
    """Return a line for each gate at which answers of a session were held at its end."""
    test = _test_of(session)
    return [f"{test}: {number} held at gate {gate!r}" for gate, number in sorted(held.items())]


def late_line(call: LateCall) -> str:
    """Return the line of a request that came after the end of its test."""
    return f"{_test_of(str(call.session))}: {call.method} {call.path}"


def _test_of(session: str) -> str:
    """Return the test of a session, as its name has it."""
    return session.rpartition(".")[0]
