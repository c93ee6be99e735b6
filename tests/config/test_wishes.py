"""What clients ask for by headers."""

from __future__ import annotations

import pytest

from mockllm import Error, Latency
from mockllm.config.fault import Fault
from mockllm.config.wishes import (
    ERROR,
    FAULT,
    LATENCY,
    NO_WISHES,
    Wishes,
    has_wishes,
    read_wishes,
)
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
        ({LATENCY: b"vllm-8b"}, Wishes(latency="vllm-8b")),
        ({LATENCY: b"ttft=350ms, tps=100"}, Wishes(latency=Latency(ttft="350ms", tps=100))),
        (
            {LATENCY: b"vllm-8b,ttft=1"},
            Wishes(latency=Latency(preset="vllm-8b", ttft=1)),
        ),
        ({LATENCY: b'{"itl": "10ms"}'}, Wishes(latency=Latency(itl="10ms"))),
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
        ({FAULT: b"clean"}, 'x-mockllm-fault: expected an object such as {"end": "cut"}, or '),
        ({FAULT: b"\xff"}, 'x-mockllm-fault: expected an object such as {"end": "cut"}, or '),
        ({FAULT: b'{"end": "cut", "after": "x"}'}, "x-mockllm-fault.after: expected 'head', "),
        ({FAULT: b'{"hold": "a/b"}'}, "x-mockllm-fault.hold: expected the name of a gate, "),
        ({ERROR: b"x", FAULT: b"y"}, "; x-mockllm-fault: expected an object"),
        ({LATENCY: b"vllm-9b"}, "x-mockllm-latency.preset: expected 'vllm-8b', "),
        ({LATENCY: b""}, "x-mockllm-latency.preset: expected 'vllm-8b', "),
        ({LATENCY: b"ttft=soon"}, "x-mockllm-latency.ttft: expected a number of seconds, "),
        ({LATENCY: b"ttft=1,ttft=2"}, "x-mockllm-latency: 'ttft' is written twice"),
        ({LATENCY: b"ttft=1,itl"}, "x-mockllm-latency: expected NAME=VALUE, found 'itl'"),
        ({LATENCY: b'{"ttft": 1, "tftt": 2}'}, "x-mockllm-latency.tftt: unknown key"),
        ({LATENCY: b"[1]"}, "x-mockllm-latency: expected a preset or an object"),
        ({LATENCY: b"\xff"}, "x-mockllm-latency.preset: expected 'vllm-8b', "),
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


def test_the_kinds_of_wishes_have_names() -> None:
    headers = {ERROR: b"timeout", LATENCY: b"vllm-8b", FAULT: b"reset"}

    assert read_wishes(headers).kinds == ("error", "latency", "fault")
    assert read_wishes({LATENCY: b"vllm-8b"}).kinds == ("latency",)
    assert NO_WISHES.kinds == ()
