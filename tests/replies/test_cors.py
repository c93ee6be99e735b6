from __future__ import annotations

from mockllm.exchange import Headers, Reply
from mockllm.replies.cors import CORS

HEADERS: Headers = ((b"content-type", b"text/plain"), (b"date", b"now"), (b"x-request-id", b"1"))
SHARED = Reply(
    200,
    (
        *HEADERS[:2],
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"*"),
        *HEADERS[2:],
    ),
    (),
)


def test_a_shared_reply_has_its_headers_behind_the_date() -> None:
    assert CORS(allowed=True).share(Reply(200, HEADERS, ())) == SHARED


def test_a_reply_without_a_date_is_shared_too() -> None:
    shared = CORS(allowed=True).share(Reply(200, HEADERS[:1], ()))

    assert shared.headers == (*HEADERS[:1], *SHARED.headers[2:4])


def test_sharing_twice_changes_nothing() -> None:
    assert CORS(allowed=True).share(SHARED) == SHARED


def test_a_reply_with_an_origin_of_its_own_is_not_shared() -> None:
    own = Reply(200, (*HEADERS, (b"access-control-allow-origin", b"https://a.example")), ())

    assert CORS(allowed=True).share(own) == own


def test_without_cors_nothing_is_added() -> None:
    reply = Reply(200, HEADERS, ())

    assert CORS(allowed=False).share(reply) is reply
    assert CORS(allowed=False).preflight_headers(b"GET", b"authorization") == ()
