"""Replies of all vendors: answers, errors, and the credentials that they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from mockllm.errors import ClientError, HTTPError, RequestError
from mockllm.exchange import COMPLETE, Request
from mockllm.providers import VENDORS, envelope
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.envelope import JSON_HEADERS
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.vendor import Vendor

EACH_VENDOR = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


def unused() -> Iterator[bytes]:
    raise AssertionError("the frames of an answer that is not streamed")


def bearer(*values: bytes) -> bool:
    headers = tuple((b"authorization", value) for value in values)
    return envelope.has_bearer(Request.of("GET", "/", headers))


# --- Answers -------------------------------------------------------------------------------------


@EACH_VENDOR
@pytest.mark.parametrize(
    ("body", "text"), [({}, b"{}"), (None, b"null"), ({"é": "\u2028"}, b'{"\xc3\xa9":"\\u2028"}')]
)
def test_an_answer_is_whole_and_makes_no_frames(vendor: Vendor, body: Any, text: bytes) -> None:
    reply = envelope.answer_reply(vendor, body, unused, stream=False)

    assert (reply.status, reply.headers, reply.body) == (200, vendor.headers, text)
    assert (reply.streamed, reply.ending, reply.before_head) == (False, COMPLETE, 0)


@EACH_VENDOR
def test_a_streamed_answer_sends_each_frame_as_a_step(vendor: Vendor) -> None:
    frames = [b"data: 1\n\n", "data: é\n\n".encode(), b"data: [DONE]\n\n"]

    response = {"id": "1"}
    reply = envelope.answer_reply(vendor, response, lambda: frames, stream=True)

    assert reply.response is response
    assert (reply.status, reply.headers) == (200, vendor.stream_headers)
    assert (reply.streamed, reply.ending, reply.before_head) == (True, COMPLETE, 0)
    assert [step.data for step in reply.steps] == frames
    assert reply.body == b"".join(frames)


def test_frames_are_made_on_demand_and_anew_for_each_reading() -> None:
    made: list[int] = []

    def frames() -> Iterator[bytes]:
        for number in range(1_000_000):
            made.append(number)
            yield b"%d" % number

    reply = envelope.answer_reply(VENDORS[0], {}, frames, stream=True)
    assert made == []

    for _ in range(2):
        assert next(iter(reply.steps)).data == b"0"
    assert made == [0, 0]


def test_a_stream_may_have_no_frames() -> None:
    reply = envelope.answer_reply(VENDORS[0], {}, list, stream=True)

    assert reply.streamed
    assert list(reply.steps) == []


def test_a_value_that_json_cannot_represent_is_not_answered() -> None:
    with pytest.raises(TypeError):
        envelope.answer_reply(VENDORS[0], {"a": object()}, unused, stream=False)
    with pytest.raises(TypeError):
        envelope.json_reply({"a": object()})


def test_an_answer_may_be_nested_more_deeply_than_orjson_encodes() -> None:
    body: Any = "é"
    for _ in range(1_000):
        body = [body]

    assert envelope.json_reply(body).body == b"[" * 1_000 + '"é"'.encode() + b"]" * 1_000


# --- Replies of the server itself ----------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, [], None, "é", 7, {"a": [1, None, True]}])
def test_an_answer_of_the_server_has_no_vendors_headers(body: Any) -> None:
    reply = envelope.json_reply(body)

    assert (reply.status, reply.headers, reply.streamed) == (200, JSON_HEADERS, False)
    assert orjson.loads(reply.body) == body
    assert envelope.json_reply(body, 503).status == 503


@pytest.mark.parametrize(
    "error",
    [ClientError(418, "é"), RequestError(418, "é", param="p", code="c"), HTTPError(418, "é")],
)
def test_a_plain_error_is_its_message_and_extra_members(error: ClientError) -> None:
    reply = envelope.plain_error(error, {"path": "/日", "hint": None})

    assert (reply.status, reply.headers) == (418, JSON_HEADERS)
    assert reply.body == '{"error":"é","path":"/日","hint":null}'.encode()


def test_a_plain_error_needs_neither_message_nor_extra_members() -> None:
    assert envelope.plain_error(ClientError(400, ""), {}).body == b'{"error":""}'


def test_the_headers_of_an_error_follow_those_of_the_envelope() -> None:
    own = ((b"allow", b"GET"), (b"allow", b"HEAD"))
    error = ClientError(405, "no", headers=own)

    reply = envelope.error_reply(error, ((b"a", b"b"),), [1])

    assert (reply.status, reply.body) == (405, b"[1]")
    assert reply.headers == ((b"a", b"b"), *own)
    assert envelope.plain_error(error, {}).headers == JSON_HEADERS + own


# --- Credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer x",
        b"bearer x",
        b"BEARER x",
        b"Bearer   x",
        b"Bearer x y",
        b"Bearer \xff\xfe",
        pytest.param(b"Bearer " + b"x" * 1_000_000, id="long"),
    ],
)
def test_any_credential_of_the_bearer_scheme_is_one(value: bytes) -> None:
    assert bearer(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer \t ",
        b"Bearerx",
        b"Bearer:x",
        b"Bearer\tx",
        b" Bearer x",
        b"Basic eA==",
        b"Token Bearer x",
        b"sk-x",
    ],
)
def test_other_values_are_no_bearer(value: bytes) -> None:
    assert not bearer(value)


def test_only_the_first_authorization_counts() -> None:
    assert bearer(b"Bearer x", b"")
    assert not bearer(b"", b"Bearer x")
    assert not bearer()


def test_a_401_has_a_challenge() -> None:
    """RFC 9110, section 11.6.1."""
    for error, challenge in (
        (OPENAI.render_error, b'Bearer realm="OpenAI API"'),
        (ANTHROPIC.render_error, b"Bearer"),
        (envelope.plain_error, b"Bearer"),
    ):
        headers = dict(error(ClientError(401, "no"), {}).headers)
        assert headers[b"www-authenticate"] == challenge
        assert b"www-authenticate" not in dict(error(ClientError(403, "no"), {}).headers)
