from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from mockllm.http1 import heads
from mockllm.http1.heads import MAX_CACHED_VALUE


@pytest.mark.parametrize("judge", [heads._members_of, heads._is_host])
def test_a_verdict_on_a_long_value_is_not_cached(judge: Callable[[bytes], object]) -> None:
    tracemalloc.start()
    try:
        for number in range(100):
            judge(b"%d," % number + b"a," * MAX_CACHED_VALUE * 10)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 20_000
