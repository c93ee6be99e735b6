from __future__ import annotations

import pytest

from mockllm.serve.fresh_values import FreshValueSource


def test_tokens_are_unique() -> None:
    stamper = FreshValueSource()

    tokens = {stamper.next().unique_id for _ in range(10_000)}

    assert len(tokens) == 10_000
    assert {len(token) for token in tokens} == {20}


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
