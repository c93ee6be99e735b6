"""Failures that mocks answer with, in the words of no vendor.

Each vendor has a status, a body and headers for each word, as recorded from the services. It does
not know when a service fails: that is the author's to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from mockllm.exchange import BODILESS, WITHOUT_CONTENT, Headers, Reply
from mockllm.replies.headers import set_headers
from mockllm.wire import placeholders

MODEL = "{model}"
"""In the message of a `Case`: the model of the request."""

OF_ANY_CALL = frozenset(
    {"bad_request", "bad_key", "permission", "not_found", "too_large", "unprocessable"}
)
"""The failures that a service reports whatever it is asked to do, also if it only counts tokens."""

_RETRIED = frozenset({408, 409, 429})
"""The statuses below 500 that the official SDKs retry (openai 3.54.0 and anthropic 2.12.0,
``_base_client``)."""
_AT_ONCE = ((b"retry-after-ms", b"1"),)

_STATUSES = frozenset(status.value for status in HTTPStatus)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure to answer with.

    `word` is a word of the configuration (``rate_limit``). Without it, the failure is that of the
    vendor's word with this `status` or, with a `body`, sent as written with its `content_type`.
    `message` replaces the service's own. `retry_after` is in seconds. `headers`, whose names are in
    lower case, are added or replaced.
    """

    word: str = ""
    status: int = 500
    message: str | None = None
    body: bytes | None = None
    content_type: bytes = b""
    retry_after: float | None = None
    headers: Headers = ()

    @property
    def is_of_any_call(self) -> bool:
        """True if every endpoint of the API reports it (see `OF_ANY_CALL`)."""
        return self.word in OF_ANY_CALL


@dataclass(frozen=True, slots=True)
class Case:
    """The form of one failure: its `status`, the `kind` and the `code` in its body, the `param` at
    fault, and its `message`, which may contain `MODEL`."""

    status: int
    kind: str
    message: str
    code: str | None = None
    param: str | None = None


Cases = Mapping[str, Case]
"""The failures of a vendor or an API by their words."""


def word_of(failure: Failure, cases: Cases) -> str:
    """Return the word of `failure`: its own, else the first with its status; empty if there is
    none."""
    if failure.word:
        return failure.word
    return next((word for word, case in cases.items() if case.status == failure.status), "")


def other_case(status: int, kind: str) -> Case:
    """Return the form of a failure whose `status` no word has."""
    phrase = HTTPStatus(status).phrase if status in _STATUSES else f"Status {status}"
    return Case(status, kind, phrase)


def message_of(failure: Failure, usual: str, model: str) -> str:
    """Return the message of a failure to a request for `model`; the `usual` one may contain
    `MODEL`."""
    return usual.replace(MODEL, model) if failure.message is None else failure.message


def written_reply(failure: Failure, headers: Headers) -> Reply | None:
    """Return the reply to a failure whose body the author wrote, or whose status allows none; None
    if its body is the vendor's. JSON has the vendor's `headers`; a text is that of a proxy, which
    knows none of them."""
    if failure.body is None and failure.status in WITHOUT_CONTENT and not failure.word:
        others = tuple(each for each in headers if each[0] != b"content-type")
        if failure.status in BODILESS:
            return Reply(failure.status, others, ())
        return Reply.whole(failure.status, others, b"")
    if failure.body is None:
        return None
    if failure.content_type == b"application/json":
        return Reply.whole(failure.status, headers, failure.body)
    headers = ((b"content-type", failure.content_type), (b"date", placeholders.DATE))
    return Reply.whole(failure.status, headers, failure.body)


def finish(reply: Reply, failure: Failure, extra: Headers, challenge: bytes) -> Reply:
    """Return `reply` with the `extra` headers of its vendor, then those that the author set. A 401
    has the `challenge` of RFC 9110, section 11.6.1."""
    if reply.status == 401:
        extra = ((b"www-authenticate", challenge), *extra)
    return set_headers(replace(reply, headers=reply.headers + extra), failure.headers)


def retry_headers(seconds: float | None, *, in_milliseconds: bool) -> Headers:
    """Return the headers that tell a client when to try again: whole seconds, rounded up (RFC 9110,
    section 10.2.3). Fractions are in ``retry-after-ms``, which the SDKs of both vendors prefer
    (openai 3.54.0, anthropic 2.12.0); with `in_milliseconds` whole seconds are too."""
    if seconds is None:
        return ()
    if not math.isfinite(seconds):
        return ((b"retry-after", f"{seconds}".encode()),)
    whole = (b"retry-after", b"%d" % math.ceil(seconds))
    if seconds == math.ceil(seconds) and not in_milliseconds:
        return (whole,)
    return (whole, (b"retry-after-ms", f"{seconds * 1000:.12g}".encode()))


def hurry(reply: Reply, failure: Failure) -> Reply:
    """Return `reply`, which has `failure`, with a header that lets the official SDKs retry after a
    millisecond instead of half a second or more. Unchanged if they do not retry it, or if the
    author has said when they shall."""
    said = failure.retry_after is not None or any(
        name in {b"retry-after", b"retry-after-ms", b"x-should-retry"}
        for name, _ in failure.headers
    )
    if said or not (reply.status in _RETRIED or reply.status >= 500):
        return reply
    return set_headers(reply, _AT_ONCE)
