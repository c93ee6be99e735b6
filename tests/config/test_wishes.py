"""What clients ask for by headers."""

from __future__ import annotations

import pytest

from mockllm import Error
from mockllm.config.fault import Fault
from mockllm.config.wishes import ERROR, FAULT, NO_WISHES, Wishes, has_wishes, read_wishes
from mockllm.errors import RequestError


def test_a_request_without_the_headers_asks_for_nothing() -> None:
    headers = {b"host": b"a", b"x-mockllm-session": b"b"}

    assert not has_wishes(headers)
    assert read_wishes(headers) is NO_WISHES


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({ERROR: b"overloaded"}, Wishes(error="overloaded")),
        (
            {ERROR: b'{"as": "rate_limit", "retry_after": "1ms"}'},
            Wishes(error=Error(word="rate_limit", retry_after="1ms")),
        ),
        ({FAULT: b"reset"}, Wishes(fault=Fault(end="reset"))),
        (
            {FAULT: b'[{"pause": "2s"}, {"end": "cut", "after": {"bytes": 5}}]'},
            Wishes(fault=[Fault(pause="2s"), Fault(end="cut", after={"bytes": 5})]),
        ),
        (
            {ERROR: b"timeout", FAULT: b'{"pause": "2s"}'},
            Wishes(error="timeout", fault=Fault(pause="2s")),
        ),
    ],
)
def test_wishes_are_words_or_json(headers: dict[bytes, bytes], expected: Wishes) -> None:
    assert has_wishes(headers)
    assert read_wishes(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({ERROR: b"overload"}, "x-mockllm-error: expected 'bad_request', "),
        ({ERROR: b"overload"}, "found 'overload'; did you mean 'overloaded'?"),
        ({ERROR: b""}, "x-mockllm-error: expected 'bad_request', "),
        ({ERROR: b"{"}, "x-mockllm-error: expected a word or JSON, found "),
        ({ERROR: b"[]"}, "x-mockllm-error: expected a word or an object, found a list"),
        ({FAULT: b"clean"}, "x-mockllm-fault: expected an object or a list of objects, found "),
        ({FAULT: b"\xff"}, "x-mockllm-fault: expected an object or a list of objects, found "),
        ({FAULT: b'{"end": "cut", "after": "x"}'}, "x-mockllm-fault.after: expected 'head', "),
        ({FAULT: b'{"hold": "a/b"}'}, "x-mockllm-fault.hold: expected the name of a gate, "),
        ({ERROR: b"x", FAULT: b"y"}, "; x-mockllm-fault: expected an object"),
    ],
)
def test_a_wish_that_no_mock_could_have_is_a_400(
    headers: dict[bytes, bytes], expected: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read_wishes(headers)

    assert caught.value.status == 400
    assert caught.value.code == "invalid_wish"
    assert expected in caught.value.message
