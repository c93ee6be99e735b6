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


def test_beyond_a_number_the_oldest_goes() -> None:
    store = KeptResponses()
    for number in range(kept.MOST + 1):
        store.append(*answers(b"%d" % number))

    assert len(store) == kept.MOST
    assert [entry.body for entry in store][-1] == b"1"


def test_beyond_a_size_the_oldest_goes() -> None:
    body = bytes(kept.MOST_BYTES // 2)
    store = KeptResponses()
    for entry in answers(body + b"1", body[2000:] + b"2", bytes(2000) + b"3"):
        store.append(entry)

    assert [entry.body[-1:] for entry in store] == [b"3", b"2"]


def test_what_is_larger_than_all_is_not_kept() -> None:
    store = KeptResponses()
    store.append(*answers(bytes(kept.MOST_BYTES)))

    assert len(store) == 0


def test_what_is_removed_takes_no_room() -> None:
    (large,) = answers(bytes(kept.MOST_BYTES - kept.PER_ENTRY))
    store = KeptResponses()
    for _ in range(2):
        store.append(large)
        store.remove(large)
    store.append(large)

    assert list(store) == [large]
