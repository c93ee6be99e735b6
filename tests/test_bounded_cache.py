from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.bounded_cache import PATIENCE, RARELY, BoundedCache, Patience

ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=40)


def test_an_entry_is_admitted_the_second_time_it_is_offered() -> None:
    cache = BoundedCache[str, int](10, max_seen=5)

    cache.offer("a", 1, lambda: 1)
    once = cache.get("a")
    cache.offer("a", 1, lambda: 1)

    assert (once, cache.get("a")) == (None, 1)


def test_an_entry_is_added_at_once() -> None:
    cache = BoundedCache[str, int](10)

    cache.add("a", 1, 1)

    assert cache.get("a") == 1


def test_a_key_is_new_until_it_was_offered() -> None:
    cache = BoundedCache[str, int](10, max_seen=5)

    cache.offer("a", 1, lambda: 1)

    assert [cache.is_new("a"), cache.is_new("b"), cache.is_new("b")] == [False, True, False]


def test_hashes_of_keys_that_never_repeat_are_bounded() -> None:
    cache = BoundedCache[int, int](10, max_seen=5)

    for key in range(1000):
        cache.offer(key, key, lambda: 1)

    assert len(cache) == 0
    assert len(cache._seen) <= 5


@given(ENTRIES)
def test_entries_never_exceed_the_bound(entries: list[tuple[int, int]]) -> None:
    cache = BoundedCache[int, int](20)

    for key, size in entries:
        cache.add(key, size, size)

        found = [value for each in range(10) if (value := cache.get(each)) is not None]
        assert sum(found) <= 20
        assert len(found) == len(cache)
        assert key in cache


def test_an_entry_larger_than_the_bound_is_not_admitted() -> None:
    cache = BoundedCache[str, int](10)
    cache.add("a", 1, 1)

    cache.add("b", 2, 11)

    assert ("a" in cache, "b" in cache) == (True, False)


def test_after_many_look_ups_in_vain_few_are_made() -> None:
    patience = Patience()

    rests = []
    for _ in range(PATIENCE + 1):
        rests.append(patience.rest)
        patience.note_in_vain()

    assert rests == [0] * PATIENCE + [RARELY - 1]
