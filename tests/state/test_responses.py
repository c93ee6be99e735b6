from __future__ import annotations

from mockllm.neighbours import kept
from mockllm.neighbours.kept import Kept, KeptResponses
from tests.support.goldens import STAMPS


def answers(*bodies: bytes) -> list[Kept]:
    return [Kept(body, None, STAMPS) for body in bodies]


def test_the_newest_comes_first() -> None:
    one, two = answers(b"1", b"2")
    store = KeptResponses()
    store.append(one)
    store.append(two)

    assert list(store) == [two, one]


def test_the_oldest_is_dropped_beyond_a_number() -> None:
    store = KeptResponses()
    for number in range(kept.MOST + 1):
        store.append(*answers(b"%d" % number))

    assert len(store) == kept.MOST
    assert [entry.body for entry in store][-1] == b"1"


def test_the_oldest_is_dropped_beyond_a_size() -> None:
    body = bytes(kept.MOST_BYTES // 2)
    store = KeptResponses()
    for entry in answers(body + b"1", body[2000:] + b"2", bytes(2000) + b"3"):
        store.append(entry)

    assert [entry.body[-1:] for entry in store] == [b"3", b"2"]


def test_a_response_larger_than_the_bound_is_not_stored() -> None:
    store = KeptResponses()
    store.append(*answers(bytes(kept.MOST_BYTES)))

    assert len(store) == 0


def test_removed_responses_take_no_space() -> None:
    (large,) = answers(bytes(kept.MOST_BYTES - kept.PER_ENTRY))
    store = KeptResponses()
    for _ in range(2):
        store.append(large)
        store.remove(large)
    store.append(large)

    assert list(store) == [large]
