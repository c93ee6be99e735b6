from __future__ import annotations

import pytest

from mockllm.state import values
from mockllm.state.values import MAX_VALUE, ExpiringValues


def test_a_value_is_read_until_its_time() -> None:
    stored = ExpiringValues()
    stored.put("k", b"v", until=10.0)

    assert [stored.get("k", now) for now in (0.0, 9.9, 10.0)] == [b"v", b"v", None]
    assert len(stored) == 0


def test_the_value_put_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_VALUES", 2)
    stored = ExpiringValues()
    for key in "abac":
        stored.put(key, key.encode(), until=10.0)

    assert [stored.get(key, 0.0) for key in "abc"] == [b"a", None, b"c"]


def test_values_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_BYTES", 1000)
    stored = ExpiringValues()
    for number in range(9):
        stored.put(f"key {number}", b"x" * 200, until=10.0)

    assert len(stored) == 1
    assert stored.get("key 8", 0.0) == b"x" * 200


def test_the_bytes_of_a_replaced_value_are_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_BYTES", 1200)
    stored = ExpiringValues()
    stored.put("other", b"", until=10.0)
    for _ in range(9):
        stored.put("key", b"x" * 400, until=10.0)

    assert len(stored) == 2


def test_a_value_that_is_not_small_is_not_stored() -> None:
    stored = ExpiringValues()
    stored.put("k", b"old", until=10.0)
    stored.put("k", b"x" * (MAX_VALUE + 1), until=10.0)

    assert stored.get("k", 0.0) is None
