from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.redaction import (
    HIDDEN,
    MAX_PATH,
    MAX_TEXT,
    is_secret,
    printable,
    redact_name,
    redact_path,
    redact_target,
    redact_text,
)

# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Proxy-Authorization",
        "x-api-key",
        "X-Amz-Security-Token",
        "x-amz-signature",
        "client_secret",
        "password",
        "passwd",
        "pwd",
        "x-credential",
        "session_id",
        "code",
        "x-jwt-assertion",
        "Set-Cookie",
    ],
)
def test_names_of_credentials_are_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["", "content-type", "x-tenant", "user-agent", "accept", "limit"])
def test_other_names_are_not_secret(name: str) -> None:
    assert not is_secret(name)


# --- Targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "logged"),
    [
        ("", "/v1"),
        ("limit=10", "/v1?limit=10"),
        ("api-version=2024-02-01&beta=true", "/v1?api-version=2024-02-01&beta=true"),
        ("limit=10&api_key=sk-1&order=asc", f"/v1?limit=10&{HIDDEN}&order=asc"),
        ("sk-1", f"/v1?{HIDDEN}"),
        ("Limit=10", f"/v1?{HIDDEN}"),
        ("limit=10;key=sk-1", f"/v1?{HIDDEN}"),
        ("limit=10%0Akey", f"/v1?{HIDDEN}"),
        ("limit=10\n", f"/v1?{HIDDEN}"),
        ("after=" + "a" * 80, "/v1?after=" + "a" * 80),
        ("after=" + "a" * 81, f"/v1?{HIDDEN}"),
        ("&", f"/v1?{HIDDEN}&{HIDDEN}"),
    ],
)
def test_a_target_is_logged_with_its_harmless_parameters_only(query: str, logged: str) -> None:
    assert redact_target("/v1", query) == logged


@given(st.text(), st.text(alphabet="abc=", min_size=1))
def test_an_unknown_parameter_is_never_logged(path: str, value: str) -> None:
    assert redact_target(path, f"unknown={value}") == redact_target(path, "unknown=sk-1")


@given(st.text(), st.text())
def test_a_target_is_one_short_printable_word(path: str, query: str) -> None:
    logged = redact_target(path, query)

    assert logged.isprintable()
    assert 0 < len(logged) <= MAX_PATH + 1
    assert len(logged.split()) == 1


def test_an_empty_target_is_a_dash() -> None:
    assert redact_target("", "") == "-"


def test_a_long_target_is_cut() -> None:
    assert redact_target("/" * (MAX_PATH + 1), "") == "/" * MAX_PATH + "…"


# --- Paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "segment",
    [
        *("sk-abc", "%73k-abc", "sk%2Dabc", "%2573k-abc", "a%2Fsk-abc", "AIzaSyAbc", "eyJhbGciOi"),
        *("api_key=abc", "v1;token=abc", "Bearer%20abc", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_segment_that_may_be_a_credential_is_hidden(segment: str) -> None:
    assert redact_path(f"/v1/{segment}/chat") == f"/v1/{HIDDEN}/chat"


def test_the_segment_after_the_name_of_a_credential_is_hidden() -> None:
    assert redact_path("/api-key/abc/v1/keys/") == f"/api-key/{HIDDEN}/v1/keys/"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/messages/count_tokens",
        "/v1/models/gpt-4o-mini-2024-07-18",
        "/v1/models/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
        "/v1/responses/resp_68a1b2c3d4e5f60718293a4b5c6d7e8f/input_items",
        "/openai/deployments/task-force/embeddings",
        "//" * 50_000,
    ],
)
def test_other_paths_are_kept(path: str) -> None:
    assert redact_path(path) == path


# --- Words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("gpt-4o", "gpt-4o"),
        ("größe😀", "größe😀"),
        ("a b", "a?b"),
        ("a\nb\x1b[0m", "a?b?[0m"),
        ("\u2028\u00a0", "??"),
        ("a" * 10, "a" * 10),
        ("a" * 11, "a" * 10 + "…"),
        (" " * 11, "?" * 10 + "…"),
        ("", ""),
    ],
)
def test_a_text_is_printed_as_one_word(text: str, word: str) -> None:
    assert printable(text, 10) == word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no text contains 'weather in Paris'", "no text contains 'weather in Paris'"),
        ("a\nb\x00\u2028", "a\\nb\\x00\\u2028"),
        ("expected 'sk-abc', found 'x'", "expected '***', found 'x'"),
        ("say Bearer abc now", "say Bearer *** now"),
        ("password: hunter2 is mine", "*** *** is mine"),
        ("token=abc&x", "***"),
        ("id 0123456789abcdefgh", "id ***"),
        ("the key of the house", "the key of the house"),
        ("x" * 600, "x" * MAX_TEXT + "\u2026"),
    ],
)
def test_a_text_is_one_line_without_credentials(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("test_agent-1", "test_agent-1"),
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("credential-0123456789abcdef", "credential-0123456789abcdef"),
        ("sk-abc", HIDDEN),
        ("test.sk-abc", HIDDEN),
    ],
)
def test_a_chosen_name_is_hidden_only_if_it_begins_as_a_credential(name: str, shown: str) -> None:
    assert redact_name(name) == shown
