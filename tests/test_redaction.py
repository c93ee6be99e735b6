from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import redaction
from mockllm.redaction import (
    HIDDEN,
    MAX_PATH,
    MAX_TEXT,
    is_secret,
    printable,
    redact_headers,
    redact_json,
    redact_name,
    redact_path,
    redact_target,
    redact_text,
    redact_words,
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
        *("x-passphrase", "DPoP", "x-bearer", "x-vercel-oidc", "x-pass", "x-otp", "gitlab-pat"),
    ],
)
def test_names_of_credentials_are_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["", "content-type", "x-tenant", "user-agent", "accept", "limit", "x-bypass-cache", "path"],
)
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
        ("found 'db://u:hunter2@h/x'", "found 'db://***@h/x'"),
        ("""found '{"pwd": "a b"}', expected 'c'""", """found '{"pwd": "***"}', expected 'c'"""),
        ("""found '{"pwd": "a '…, expected 'c'""", """found '{"pwd": "***'…, expected 'c'"""),
        (
            r"""found '{"a": "{\\"pwd\\": \\"a '…, expected 'c'""",
            r"""found '{"a": "{\\"pwd\\": \\"***'…, expected 'c'""",
        ),
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


# --- Whole requests -------------------------------------------------------------------------------

TOKEN = "sk-proj-abc123def456ghi789jkl0"


def test_headers_that_may_hold_a_secret_are_hidden() -> None:
    headers = [
        (b"Authorization", b"Bearer sk-a"),
        (b"x-api-key", b"sk-a"),
        (b"x-tenant", b"a"),
        (b"x-tenant", b"b"),
        (b"x-upstream", f"use {TOKEN}".encode()),
        (b"idempotency-key", b"stainless-1"),
        (b"x-mockllm-session", b"test-1"),
    ]

    assert redact_headers(headers) == {
        "authorization": HIDDEN,
        "x-api-key": HIDDEN,
        "x-tenant": "a, b",
        "x-upstream": f"use {HIDDEN}",
        "idempotency-key": "stainless-1",
        "x-mockllm-session": "test-1",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "X-Api-Key", "access_token", "client_secret", "Authorization"),
        *("password", "db_password", "aws_secret_access_key", "github_token", "refreshToken"),
        *("credentials", "cookie", "secrets", "private_key", "OPENAI_API_KEY"),
        *("openaiApiKey", "userPassword", "awsSecretAccessKey", "githubToken", "webhookSecret"),
        *("API key", "db_pass"),
    ],
)
def test_members_that_are_named_like_credentials_are_hidden(name: str) -> None:
    assert redact_json({"a": [{name: "x"}]}) == {"a": [{name: HIDDEN}]}
    assert redact_json({name: ["x", 1]}) == {name: [HIDDEN, 1]}
    assert redact_json({name: {"a": [{"b": "x"}, 1]}}) == {name: {"a": [{"b": HIDDEN}, 1]}}
    assert redact_words(f'{{"{name}": "x\\"y", "a": "b"}}') == f'{{"{name}": "{HIDDEN}", "a": "b"}}'
    assert redact_words(f'{{"{name}": "x\\"\ny\\') == f'{{"{name}": "{HIDDEN}\\'


@pytest.mark.parametrize(
    "value",
    [
        {"max_tokens": 1, "prompt_cache_key": "a", "key": "region", "tokens": ["a"], "token": "b"},
        {"properties": {"password": {"type": "string", "description": "the password"}}},
        {"$defs": {"Credentials": {"properties": {"user": {"enum": ["a"]}}, "required": ["user"]}}},
        {"maxTokens": "a", "nextPageToken": "b", "sortKey": "c"},
        {"auth": "none", "pin": "GPIO13", "pass": "first", "key": {"token": "a"}},
        {"api_key": None, "secret": "", "password": 1},
        {"id": "call_abc123def456ghi789jkl0", "text": "basic knowledge, bearer of bad news"},
        {"text": "sk-learn, hf_models and pk-1 are words"},
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        "https://example.org/?q=1&page=2",
        [],
        None,
        1.5,
    ],
)
def test_what_is_no_credential_is_left_as_it_is(value: object) -> None:
    assert redact_json(value) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"my key is {TOKEN}, keep it", f"my key is {HIDDEN}, keep it"),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {HIDDEN}"),
        ("https://u:pw@host/x", f"https://{HIDDEN}@host/x"),
        ("https://host/x?a=1&api_key=b&c=2", f"https://host/x?a=1&api_key={HIDDEN}&c=2"),
        (f"https://host/{TOKEN}/mcp?a={TOKEN}", f"https://host/{HIDDEN}/mcp?a={HIDDEN}"),
        (
            "OPENAI_API_KEY=b\nexport DB_PASSWORD='c'\nPORT=80",
            f"OPENAI_API_KEY={HIDDEN}\nexport DB_PASSWORD='{HIDDEN}'\nPORT=80",
        ),
        ("API_KEY=$OPENAI_API_KEY", "API_KEY=$OPENAI_API_KEY"),
        ("https://host/x?X-Amz-Signature=b", f"https://host/x?X-Amz-Signature={HIDDEN}"),
    ],
)
def test_credentials_in_a_text_are_hidden(text: str, shown: str) -> None:
    assert redact_words(text) == shown


def test_known_credentials_are_hidden_wherever_they_stand() -> None:
    assert redact_json({"text": "say swordfish"}, ["swordfish"]) == {"text": f"say {HIDDEN}"}


def test_the_value_itself_is_not_changed() -> None:
    value = {"password": "x", "a": [{"secret": "y"}]}
    redact_json(value)

    assert value == {"password": "x", "a": [{"secret": "y"}]}


@pytest.mark.parametrize(
    "hostile",
    [
        "?" + "key" * 100_000,
        '"a":"\\' * 50_000,
        "A" * 200_000 + "=",
        '"' * 200_000,
        "sk-" * 100_000,
        "://a" * 50_000,
        "Bearer " * 50_000,
    ],
)
def test_redacting_hostile_texts_takes_no_quadratic_time(hostile: str) -> None:
    assert isinstance(redact_words(hostile), str)  # it would take hours


def test_deep_values_are_redacted() -> None:
    value: object = {"password": "x"}
    for _ in range(5_000):
        value = [value]

    redacted = redact_json(value)

    for _ in range(5_000):
        assert isinstance(redacted, list)
        redacted = redacted[0]
    assert redacted == {"password": HIDDEN}


words = st.sampled_from(
    [
        "Bearer",
        "basic",
        "abcdefgh1",
        "sk-abcdefghij0123456789",
        "API_KEY=abc",
        "x?token=a",
        "://a:b@c",
    ]
)
spaces = st.sampled_from([" ", "  ", "\n", "\u3000", ",", '"', ""])


@given(st.lists(st.tuples(words, spaces)), st.integers(1, 30))
def test_a_long_text_is_redacted_in_pieces(parts: list[tuple[str, str]], most: int) -> None:
    text = "".join(map("".join, parts))
    whole = redact_words(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "MAX_AT_ONCE", most)
        assert redact_words(text) == whole
        assert "".join(redaction._pieces(text)) == text
