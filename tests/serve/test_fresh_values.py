from __future__ import annotations

import re

import pytest

from mockllm.serve.fresh_values import FreshValueSource
from mockllm.state.responses import make_unique_id


def test_tokens_are_unique() -> None:
    stamper = FreshValueSource()

    tokens = {stamper.next(0.0).unique_id for _ in range(10_000)}

    assert len(tokens) == 10_000
    assert {len(token) for token in tokens} == {20}


@pytest.mark.parametrize("slot", [0, 1, 0xABC, 0xFFF])
def test_an_id_encodes_the_slot_and_a_number(slot: int) -> None:
    source = FreshValueSource(slot)

    for _ in range(1_000):
        unique_id = source.next(0.0).unique_id

        assert re.fullmatch(rb"[0-9a-f]{20}", unique_id)
        number = int(unique_id[:8] + unique_id[11:], 16)  # without the slot
        assert unique_id == make_unique_id(number, slot)


@pytest.mark.parametrize(
    ("took", "told"),
    [
        (0.0, b"1"),
        (0.0009, b"1"),
        (0.0011, b"2"),
        (2.5, b"2500"),
        (1e9, b"999999"),
    ],
)
def test_the_time_of_deciding_is_rounded_up(took: float, told: bytes) -> None:
    assert FreshValueSource().next(0.0, took).elapsed_ms == told


def test_the_time_is_that_of_the_clock_to_the_second() -> None:
    time_of_day = iter([1_741_570_283.75, 1_741_570_284.0, 1_741_570_290.5])
    source = FreshValueSource(time_of=lambda: next(time_of_day))

    told = [source.next(now) for now in (8.0, 8.1, 8.24, 8.25, 9.24, 14.75)]

    assert [fresh.seconds[-2:] for fresh in told] == [b"83", b"83", b"83", b"84", b"84", b"90"]
    assert [fresh.date[-12:] for fresh in told[2:4]] == [b"01:31:23 GMT", b"01:31:24 GMT"]
