"""Durations: how they are written."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mockllm.config.durations import AnyDuration, Duration, Seconds, find_suspicious, spell
from mockllm.config.objects import ConfigObject

_DURATION = TypeAdapter[Any](Duration)


class Pause(ConfigObject):
    after: Duration = 0.0


class Plan(ConfigObject):
    pauses: list[Pause]
    ttft: Duration | None = None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (2, 2.0),
        (0.35, 0.35),
        ("350ms", 0.35),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("2m", 120.0),
        ("2 m", 120.0),
        ("1h", 3600.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_seconds_or_a_text_with_a_unit(written: Any, seconds: float) -> None:
    found = _DURATION.validate_python(written)

    assert found == seconds
    assert found.is_bare == (not isinstance(written, str))


@pytest.mark.parametrize(
    "written",
    [
        *("", "2", "s", "-1s", "1 second", "1e3s", "1.s", "1m30s", "٣s", "1S", "inf", " 1s", "1s "),
        *("9" * 19 + "s", True, None, [], {}, -1, -0.5, math.inf, math.nan, 10**400),
        *(1e308, 10**9 + 1, "999999999999999999h"),
    ],
)
def test_anything_else_is_a_mistake(written: Any) -> None:
    with pytest.raises(ValidationError, match=r"expected a number of seconds, or a text with a"):
        _DURATION.validate_python(written)


def test_a_wait_may_be_endless_where_that_is_allowed() -> None:
    adapter = TypeAdapter[Any](AnyDuration)

    assert adapter.validate_python(math.inf) == adapter.validate_python(10**400) == math.inf
    assert math.isnan(adapter.validate_python(math.nan))
    with pytest.raises(ValidationError, match="at most 1000000000 s"):
        adapter.validate_python(1e308)


@given(st.integers(0, 10**9))
def test_milliseconds_are_thousandths_of_seconds(number: int) -> None:
    assert _DURATION.validate_python(f"{number}ms") == number / 1000


@pytest.mark.parametrize("made", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301  # our own
def test_a_copy_is_the_same_duration(made: Any) -> None:
    copied = made(Seconds(2.0, is_bare=True))

    assert (copied, copied.is_bare) == (2.0, True)


@pytest.mark.parametrize(
    ("seconds", "digits"),
    [
        (100, "100"),
        (0.35, "0.35"),
        (1e9, "1000000000"),
        (1234567.5, "1234567.5"),
        (0.00001, "0.00001"),
        (0.3 - 0.1, "0.2"),
        (math.inf, "inf"),
    ],
)
def test_what_is_told_to_be_written_can_be_read(seconds: float, digits: str) -> None:
    assert spell(seconds) == digits
    if math.isfinite(seconds):
        assert _DURATION.validate_python(f"{digits}s") == pytest.approx(seconds)


def test_a_large_number_without_a_unit_is_suspicious() -> None:
    plan = Plan(pauses=[Pause(after=350), Pause(after="350s"), Pause(after=99)], ttft=100.0)

    assert sorted(find_suspicious(plan), key=str) == [
        (
            ["pauses", 0, "after"],
            '350 seconds: write "350ms" if milliseconds are meant, else "350s"',
        ),
        (["ttft"], '100 seconds: write "100ms" if milliseconds are meant, else "100s"'),
    ]
