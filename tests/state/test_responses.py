from __future__ import annotations

from mockllm.state import responses
from mockllm.state.responses import StoredResponse, StoredResponses
from tests.support.goldens import FRESH


def answers(*bodies: bytes) -> list[StoredResponse]:
    return [StoredResponse(body, None, FRESH) for body in bodies]


def test_the_newest_comes_first() -> None:
    one, two = answers(b"1", b"2")
    store = StoredResponses()
    store.append(one)
    store.append(two)

    assert list(store) == [two, one]


def test_the_oldest_is_dropped_beyond_a_number() -> None:
    store = StoredResponses()
    for number in range(responses.MAX_RESPONSES + 1):
        store.append(*answers(b"%d" % number))

    assert len(store) == responses.MAX_RESPONSES
    assert [entry.body for entry in store][-1] == b"1"


def test_the_oldest_is_dropped_beyond_a_size() -> None:
    body = bytes(responses.MAX_BYTES // 2)
    store = StoredResponses()
    for entry in answers(body + b"1", body[2000:] + b"2", bytes(2000) + b"3"):
        store.append(entry)

    assert [entry.body[-1:] for entry in store] == [b"3", b"2"]


def test_a_response_larger_than_the_bound_is_not_stored() -> None:
    store = StoredResponses()
    store.append(*answers(bytes(responses.MAX_BYTES)))

    assert len(store) == 0


def test_removed_responses_take_no_space() -> None:
    (large,) = answers(bytes(responses.MAX_BYTES - responses.PER_ENTRY))
    store = StoredResponses()
    for _ in range(2):
        store.append(large)
        store.remove(large)
    store.append(large)

    assert list(store) == [large]
