from __future__ import annotations

import re

import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.state.session_names import (
    MAX_NAME,
    NO_SETTING,
    SessionSetting,
    credential_of,
    is_session_name,
    named_session,
    session_of_credential,
    shown_path,
    split_path,
    split_request,
)

BY_HEADER = SessionSetting(header=b"x-test-id")
BY_CREDENTIAL = SessionSetting(by_credential=True)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "0", "-", "_", "...", ".a", "a" * MAX_NAME, LETTERS])
def test_a_name_has_letters_digits_dots_underscores_and_hyphens(name: str) -> None:
    assert is_session_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a" * (MAX_NAME + 1), "a b", "a/b", "é", "a\n", "%61", "a:b", "１"]
)
def test_a_name_has_nothing_else(name: str) -> None:
    assert not is_session_name(name)


# --- The URL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("/session/a/v1/chat/completions", ("a", "/v1/chat/completions")),
        ("/session/a.b-c_1/v1", ("a.b-c_1", "/v1")),
        ("/session/a/", ("a", "/")),
        ("/session/a", ("a", "/")),
        ("/session/a//v1", ("a", "//v1")),
        ("/session/a/session/b/v1", ("a", "/session/b/v1")),
        ("/v1/session/a/models", (None, "/v1/session/a/models")),
        ("/session", (None, "/session")),
        ("/sessions/a/v1", (None, "/sessions/a/v1")),
        ("/v1/models", (None, "/v1/models")),
    ],
)
def test_a_path_may_begin_with_a_session(path: str, split: tuple[str | None, str]) -> None:
    assert split_path(path) == split


@pytest.mark.parametrize("path", ["/session//v1/models", "/session/a b/v1", "/session/../v1"])
def test_an_invalid_name_in_the_url_is_refused(path: str) -> None:
    with pytest.raises(RequestError, match=r"^Invalid session name in the URL: expected 1 to 128"):
        named_session(split_path(path)[0], {})


def test_a_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(RequestError, match=r"found 'a{40}'…$") as caught:
        named_session("a" * 1000, {})

    assert (caught.value.status, caught.value.code) == (400, "invalid_session")


def test_a_credential_in_place_of_a_name_is_not_quoted() -> None:
    with pytest.raises(RequestError, match=r"found '\*\*\* d'$"):
        named_session("sk-abc d", {})

    assert shown_path("sk-abc", "/v1/models") == "/session/***/v1/models"
    assert shown_path("0123456789abcdef0", "/v1") == "/session/0123456789abcdef0/v1"
    assert shown_path(None, "/v1/sk-abc") == "/v1/***"


def test_a_request_is_split_like_its_path() -> None:
    request = Request.of("GET", "/session/a/v1/models", query="after=b")

    assert split_request(request) == ("a", request._replace(path="/v1/models"))
    assert split_request(request._replace(path="/v1"))[1].path == "/v1"


# --- What a request says --------------------------------------------------------------------------

HEADERS = {b"x-mockllm-session": b"own", b"x-test-id": b"test", b"authorization": b"Bearer sk-a"}


def without(*names: bytes) -> dict[bytes, bytes]:
    return {name: value for name, value in HEADERS.items() if name not in names}


def test_the_url_decides_before_any_header() -> None:
    assert named_session("url", HEADERS, BY_HEADER) == "url"


@pytest.mark.parametrize("setting", [NO_SETTING, BY_HEADER, BY_CREDENTIAL])
def test_the_header_of_the_server_decides_before_the_setting(setting: SessionSetting) -> None:
    assert named_session(None, HEADERS, setting) == "own"


def test_the_setting_names_a_header() -> None:
    assert named_session(None, without(b"x-mockllm-session"), BY_HEADER) == "test"


def test_the_setting_may_be_the_credential() -> None:
    named = named_session(None, without(b"x-mockllm-session"), BY_CREDENTIAL)

    assert named == session_of_credential(b"sk-a")


@pytest.mark.parametrize(
    ("headers", "setting"),
    [
        (without(b"x-mockllm-session"), NO_SETTING),
        (without(b"x-mockllm-session", b"x-test-id"), BY_HEADER),
        (without(b"x-mockllm-session", b"authorization"), BY_CREDENTIAL),
        ({}, NO_SETTING),
    ],
)
def test_a_request_that_names_no_session_belongs_to_the_current_one(
    headers: dict[bytes, bytes], setting: SessionSetting
) -> None:
    assert named_session(None, headers, setting) is None


@pytest.mark.parametrize("value", [b"", b"a b", b"tests/a.py::test", b"\xff"])
@pytest.mark.parametrize("name", [b"x-mockllm-session", b"x-test-id"])
def test_an_invalid_name_in_a_header_is_refused(name: bytes, value: bytes) -> None:
    where = f"Invalid session name in the header {name.decode()}: "
    with pytest.raises(RequestError, match=f"^{re.escape(where)}"):
        named_session(None, {name: value}, BY_HEADER)


# --- Credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({b"authorization": b"Bearer sk-a"}, b"sk-a"),
        ({b"authorization": b"bearer  sk-a"}, b"sk-a"),
        ({b"authorization": b"sk-a"}, b"sk-a"),
        ({b"x-api-key": b"sk-a"}, b"sk-a"),
        ({b"api-key": b"sk-a"}, b"sk-a"),
        ({b"x-api-key": b"", b"api-key": b"sk-a"}, b"sk-a"),
        ({b"authorization": b"Basic dTpw", b"api-key": b"sk-a"}, b"sk-a"),
        ({b"authorization": b"Bearer "}, b"Bearer "),
        ({b"x-api-key": b""}, None),
        ({}, None),
    ],
)
def test_a_key_is_the_same_credential_in_any_header(
    headers: dict[bytes, bytes], credential: bytes | None
) -> None:
    assert credential_of(headers) == credential


ALL_KEYS = {b"authorization": b"Bearer sk-a", b"x-api-key": b"sk-x", b"api-key": b"sk-z"}


@pytest.mark.parametrize(
    ("own_headers", "credential"),
    [
        ((), b"sk-x"),
        ((b"authorization",), b"sk-a"),
        ((b"api-key", b"authorization"), b"sk-z"),
        ((b"x-goog-api-key", b"authorization"), b"sk-a"),
    ],
)
def test_of_several_keys_that_in_the_vendors_own_header_counts(
    own_headers: tuple[bytes, ...], credential: bytes
) -> None:
    assert credential_of(ALL_KEYS, own_headers) == credential
    named = named_session(None, ALL_KEYS, BY_CREDENTIAL, own_headers)
    assert named == session_of_credential(credential)


def test_the_session_of_a_credential_has_a_name_that_does_not_reveal_it() -> None:
    name = session_of_credential(b"sk-a")

    assert is_session_name(name)
    assert "sk-a" not in name
    assert name != session_of_credential(b"sk-b")
