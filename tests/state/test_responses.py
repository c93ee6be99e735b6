from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.state import responses
from mockllm.state.responses import (
    StoredResponse,
    StoredResponses,
    make_unique_id,
    slot_of,
)
from mockllm.wire import jsontext
from mockllm.wire.placeholders import fill_fresh, fresh_id, id_tail
from tests.support.goldens import FRESH

NUMBERS = count()


def answers(*bodies: bytes, **response: str) -> list[StoredResponse]:
    ids = (make_unique_id(next(NUMBERS), 0) for _ in bodies)
    return [
        StoredResponse(body, response, "word", None, FRESH._replace(unique_id=unique_id))
        for body, unique_id in zip(bodies, ids, strict=True)
    ]


def generated_id(stored: StoredResponse) -> str:
    return generated(stored.fresh.unique_id)


def generated(unique_id: bytes) -> str:
    return f"resp_{unique_id.decode()}{id_tail(48, 'response')}"


def test_a_response_is_found_by_its_generated_id() -> None:
    one, two = answers(b"1", b"2")
    store = StoredResponses()
    store.append(one)
    store.append(two)

    assert [store.find(generated_id(each)) for each in (one, two)] == [one, two]
    assert store.find(generated(b"f" * 20)) is None


def test_of_two_with_one_configured_id_the_newer_is_found() -> None:
    one, two = answers(b"1", b"2", id="resp_mine")
    store = StoredResponses()
    store.append(one)
    store.append(two)

    assert store.find("resp_mine") == two
    assert len(store) == 1


@given(st.integers(0, 2**80 - 1), st.integers(0, 2**12 - 1))
def test_a_generated_id_names_the_slot_of_its_worker(number: int, slot: int) -> None:
    unique_id = make_unique_id(number, slot)

    assert len(unique_id) == 20
    assert slot_of(generated(unique_id)) == slot


RECORDED = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"


@pytest.mark.parametrize("other", [RECORDED, "resp_mine", "", "resp_", "msg_" + "0" * 48])
def test_any_other_id_names_no_slot(other: str) -> None:
    assert slot_of(other) is None


def test_the_oldest_is_dropped_beyond_a_number() -> None:
    store = StoredResponses()
    for number in range(responses.MAX_RESPONSES + 1):
        store.append(*answers(b"%d" % number))

    assert len(store) == responses.MAX_RESPONSES
    assert store.all()[0].body == b"1"


def test_the_oldest_is_dropped_beyond_a_size() -> None:
    body = bytes(responses.MAX_BYTES // 2)
    store = StoredResponses()
    for entry in answers(body + b"1", body[2000:] + b"2", bytes(2000) + b"3"):
        store.append(entry)

    assert [entry.body[-1:] for entry in store.all()] == [b"2", b"3"]


def test_answers_that_no_other_response_shares_count() -> None:
    store = StoredResponses()
    for entry in answers(b"1", b"2", b"3"):
        store.append(entry._replace(answer_size=responses.MAX_BYTES // 2 - responses.PER_ENTRY - 1))

    assert [entry.body for entry in store.all()] == [b"2", b"3"]


def test_a_response_larger_than_the_bound_is_not_stored() -> None:
    store = StoredResponses()
    store.append(*answers(bytes(responses.MAX_BYTES)))

    assert len(store) == 0


def test_removed_responses_take_no_space() -> None:
    (large,) = answers(bytes(responses.MAX_BYTES - responses.PER_ENTRY))
    store = StoredResponses()
    for _ in range(2):
        store.append(large)
        store.remove(large.key)
    store.append(large)

    assert store.all() == (large,)


def test_a_response_is_found_in_its_own_session_only() -> None:
    responses = StoredResponses()
    one = StoredResponse(b"1", {"id": "resp_1"}, "word", None, FRESH, session="a")
    other = one._replace(body=b"2", session="b")
    common = one._replace(body=b"3", session="")
    for each in (one, other, common):
        responses.append(each)

    found = [responses.find("resp_1", session) for session in ("a", "b", "", "c")]

    assert found == [one, other, common, None]


def test_a_generated_id_is_found_in_its_own_session_only() -> None:
    responses = StoredResponses()
    stored = StoredResponse(b"", {}, "word", None, FRESH, session="a")
    responses.append(stored)
    written = jsontext.dumps(fresh_id("resp_", 48, "response"))
    response_id = fill_fresh(written, FRESH).decode().strip('"')

    assert responses.find(response_id, "a") is stored
    assert responses.find(response_id) is None


def test_the_responses_of_a_session_are_dropped_together() -> None:
    responses = StoredResponses()
    kept = StoredResponse(b"", {"id": "resp_1"}, "word", None, FRESH, session="b")
    responses.append(kept)
    kept_size = responses._size
    for number in range(3):
        answer = {"id": f"resp_{number}"}
        responses.append(StoredResponse(b"x", answer, "word", None, FRESH, session="a"))

    responses.drop("a")
    responses.drop("a")

    assert responses.all() == (kept,)
    assert responses._size == kept_size
    assert list(responses._keys) == ["b"]
