"""Conditions that no request can meet, and those that some can, which are never accused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine.asking import answer_alone
from mockllm.engine.building import build_engine
from mockllm.engine.loading import load
from mockllm.engine.review.impossible import arrive, is_plain
from mockllm.errors import HTTPError, Severity
from mockllm.exchange import Request
from mockllm.http1 import heads
from mockllm.limits import Limits
from mockllm.state.store import LocalStore
from tests.support import strategies
from tests.support.loads import ANSWER

Json = dict[str, Any]
USER = {"role": "user", "content": "hi"}
OUTPUT_TEXT = {"type": "output_text", "text": "a"}
RESPONSES: Json = {
    "openai": ANSWER,
    "openai_response": {},
    "anthropic": {},
    "openai_embeddings": {"data": [{"embedding": [0.5]}]},
}


def never(field: str, match: Json, **config: Any) -> list[str]:
    """The paths at which `check` says that the match can never match, with the reasons."""
    one = {"match": match, "response": RESPONSES[field]}
    loaded = load(Config.from_dict({field: [one], **config}))
    told = [problem for problem in loaded.warnings if "can never match" in problem.message]
    assert all(problem.severity is Severity.WARNING for problem in told)
    return [str(problem).removeprefix(f"{field}[0]: match.") for problem in told]


def with_headers(*rules: tuple[str, str, str], **more: Any) -> list[str]:
    headers = [{"name": name, "value": value, "match_type": how} for name, value, how in rules]
    return never("openai", {"message": USER, "headers": headers}, **more)


HEADER_BYTES = st.text("ab-_ 9:\t").map(str.encode)


# --- Headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "how"),
    [
        ("x a", "b", "exact"),
        ("x:a", "b", "contains"),
        ("näme", "b", "exact"),
        ("x\na", "b", "exact"),
        ("x a", "", "contains"),
        ("x-a", "a\nb", "exact"),
        ("x-a", "a\r\nx-b: c", "contains"),
        ("x-a", "a\0b", "exact"),
        ("host", "a b", "exact"),
        ("host", "http://localhost", "exact"),
        ("host", "a b", "contains"),
        ("content-length", "many", "exact"),
        ("content-length", "-1", "contains"),
        ("content-length", "0", "exact"),
        ("transfer-encoding", "gzip", "exact"),
        ("transfer-encoding", "gzip", "contains"),
        ("content-encoding", "rot13", "exact"),
        ("expect", "a miracle", "exact"),
    ],
)
def test_a_rule_on_a_header_that_no_accepted_request_has(name: str, value: str, how: str) -> None:
    (line,) = with_headers((name, value, how))

    assert line.startswith("headers[0]: can never match: ")


@pytest.mark.parametrize(
    ("name", "value", "how"),
    [
        ("X-Tenant-ID", "a", "exact"),
        ("x-a", " padded ", "exact"),
        ("x-a", "a\tb", "exact"),
        ("x-a", "日本語", "exact"),
        ("x-a", "", "exact"),
        ("x-a", "", "contains"),
        ("x a", "", "exact"),  # a header that is never there
        ("Host", "example.com:8000", "exact"),
        ("host", ":", "contains"),
        ("content-length", "1", "contains"),
        ("content-length", "250", "exact"),
        ("transfer-encoding", "chunked", "exact"),
        ("transfer-encoding", "chunk", "contains"),
        ("content-encoding", "GZIP, zstd", "exact"),
        ("expect", "100-continue", "exact"),
        ("authorization", "Bearer a", "exact"),
        ("authorization", "", "exact"),  # with an api-key
        ("authorization", "sk-", "contains"),
    ],
)
def test_a_rule_on_a_header_that_some_request_has(name: str, value: str, how: str) -> None:
    assert with_headers((name, value, how)) == []


def test_a_header_that_cannot_exist_and_must_not_has_no_effect() -> None:
    headers = [{"name": "x a", "value": ""}]
    one = {"match": {"message": USER, "headers": headers}, "response": ANSWER}

    assert [str(each) for each in load(Config.from_dict({"openai": [one]})).warnings] == [
        "openai[0]: match.headers[0]: has no effect: no header can have the name 'x a'"
    ]


@pytest.mark.parametrize(
    "rules",
    [
        [("x-a", "a", "exact"), ("X-A", "b", "exact")],
        [("x-a", "a", "exact"), ("x-a", "b", "contains")],
        [("x-a", "b", "contains"), ("x-a", "", "exact")],
    ],
)
def test_rules_that_contradict_each_other(rules: list[tuple[str, str, str]]) -> None:
    (line,) = with_headers(*rules)

    assert "can never match: contradicts match.headers[" in line


@pytest.mark.parametrize(
    "rules",
    [
        [("x-a", "ab", "exact"), ("X-A", "b", "contains")],
        [("x-a", "a", "contains"), ("x-a", "b", "contains")],
        [("x-a", "", "contains"), ("x-a", "", "exact")],
        [("x-a", "a", "exact"), ("x-a", " a ", "exact")],
    ],
)
def test_rules_that_hold_together(rules: list[tuple[str, str, str]]) -> None:
    assert with_headers(*rules) == []


def test_rules_that_leave_no_credentials() -> None:
    rules = [("authorization", "Basic a", "exact"), ("api-key", "", "exact")]

    (line,) = with_headers(*rules)

    assert line.startswith("headers: can never match: requests with these headers are refused: ")
    assert with_headers(*rules, require_auth=False) == []


def test_a_rule_against_the_version_that_messages_need() -> None:
    headers = [{"name": "anthropic-version", "value": ""}]

    (line,) = never("anthropic", {"message": USER, "headers": headers})

    assert line.endswith("are refused: anthropic-version: header is required")


def test_a_rule_that_any_version_meets() -> None:
    headers = [{"name": "anthropic-version", "value": "", "match_type": "contains"}]

    assert never("anthropic", {"message": USER, "headers": headers}) == []


def test_a_length_and_chunks_are_never_in_one_request() -> None:
    rules = [("content-length", "250", "exact"), ("transfer-encoding", "chunked", "exact")]

    assert len(with_headers(*rules)) == 1


@given(st.tuples(st.binary(max_size=9) | HEADER_BYTES, st.binary(max_size=9) | HEADER_BYTES))
def test_plain_headers_arrive(header: tuple[bytes, bytes]) -> None:
    assert not is_plain(header) or arrive(dict([header]))


NAMES = st.sampled_from(["x-a", "X-B ", "host", "content-length", "transfer-encoding", "x a", ""])
VALUES = st.sampled_from(["", "a", "ab", "a b", "é", "3", "250", "chunked", "a\nb", "a\rb", "\x01"])
RULES = st.fixed_dictionaries(
    {
        "name": NAMES.filter(bool),
        "value": VALUES,
        "match_type": st.sampled_from(["exact", "contains"]),
    }
)


@given(st.lists(RULES, min_size=1, max_size=2), st.dictionaries(NAMES, VALUES, max_size=3))
def test_no_rules_that_hold_for_an_accepted_request_are_accused(
    rules: list[Json], sent: dict[str, str]
) -> None:
    lines = {"host": "a", "authorization": "Bearer a", **sent}
    head = "".join(f"{name.strip()}: {value}\r\n" for name, value in lines.items())
    try:
        received = heads.parse(f"POST / HTTP/1.1\r\n{head}\r\n".encode(), Limits())
    except HTTPError:
        return
    if received.length is not None and received.length < 10:
        return  # no body of an API is that short
    body = orjson.dumps({"model": "m", "messages": [USER]})
    config = {"openai": [{"match": {"message": USER, "headers": rules}, "response": ANSWER}]}
    engine = build_engine(config)
    request = Request.of("POST", "/v1/chat/completions", received.headers, body)

    if (
        answer_alone(engine.decide(engine.table("openai"), request), LocalStore()).match.rule
        is not None
    ):
        assert with_headers(*((r["name"], r["value"], r["match_type"]) for r in rules)) == []


# --- The message or input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "match", "path"),
    [
        ("openai", {"message": {"role": "user"}}, "message.content"),
        ("openai", {"message": {"role": "user", "content": None}}, "message.content"),
        ("openai", {"message": {"role": "system"}}, "message.content"),
        ("openai", {"message": {"role": "tool", "content": "1"}}, "message.tool_call_id"),
        ("anthropic", {"message": {"role": "user"}}, "message.content"),
        ("openai_response", {"input": [{"role": "user"}]}, "input[0].content"),
        ("openai_embeddings", {"input": []}, "input"),
    ],
)
def test_a_message_that_every_request_is_refused_with(field: str, match: Json, path: str) -> None:
    (line,) = never(field, match)

    assert line.startswith(f"{path}: can never match: ")


@pytest.mark.parametrize(
    ("field", "match"),
    [
        ("openai", {}),
        ("openai", {"message": {"role": "user", "content": ""}}),
        ("openai", {"message": {"role": "user"}, "match_type": "contains"}),
        (
            "openai_response",
            {"input": [{"type": "message", "role": "user"}], "match_type": "contains"},
        ),
        ("openai", {"message": {"role": "tool", "content": "1"}, "match_type": "contains"}),
        ("openai", {"message": {"role": "assistant", "content": "a"}}),
        ("anthropic", {"message": {"role": "assistant", "content": "a"}}),
        ("anthropic", {"message": {"role": "user", "content": []}}),
        ("openai_response", {"input": []}),
        ("openai_response", {"input": ""}),
        (
            "openai_response",
            {
                "input": [
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "a"}],
                    }
                ]
            },
        ),
        (
            "openai_response",
            {"input": [{"type": "image_generation_call", "result": "aGk="}]},
        ),
        ("openai_embeddings", {"input": ""}),
        ("openai_embeddings", {"input": [[1, 2]]}),
    ],
)
def test_a_message_that_some_request_has(field: str, match: Json) -> None:
    assert never(field, match) == []


TEXT = {"type": "text", "text": "a"}
MESSAGES = st.fixed_dictionaries(
    {"role": strategies.roles},
    optional={
        "content": st.none()
        | strategies.texts
        | st.just([])
        | st.just([{"type": "text", "text": "a"}]),
        "tool_call_id": st.sampled_from(["c", ""]),
        "name": st.sampled_from(["n"]),
        "tool_calls": st.just([]),
    },
)


@given(MESSAGES, MESSAGES)
def test_no_message_that_matches_a_request_is_accused(wanted: Json, sent: Json) -> None:
    engine = build_engine({"openai": [{"match": {"message": wanted}, "response": ANSWER}]})
    body = orjson.dumps({"model": "m", "messages": [sent]})
    headers = ((b"authorization", b"Bearer a"),)
    request = Request.of("POST", "/v1/chat/completions", headers, body)

    if (
        answer_alone(engine.decide(engine.table("openai"), request), LocalStore()).match.rule
        is not None
    ):
        assert never("openai", {"message": wanted}) == []
