from __future__ import annotations

import re

import pytest

from mockllm.serve.fresh_values import FreshValueSource
from mockllm.state.responses import make_unique_id


def test_tokens_are_unique() -> None:
    stamper = FreshValueSource()

    tokens = {stamper.next().unique_id for _ in range(10_000)}

    assert len(tokens) == 10_000
    assert {len(token) for token in tokens} == {20}


@pytest.mark.parametrize("slot", [0, 1, 0xABC, 0xFFF])
def test_an_id_encodes_the_slot_and_a_number(slot: int) -> None:
    source = FreshValueSource(slot)

    for _ in range(1_000):
        unique_id = source.next().unique_id

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
    assert FreshValueSource().next(took).elapsed_ms == told
