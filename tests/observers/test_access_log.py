"""The access log: a line of text or a JSON object for each request, without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, Delivery, End, Exchange, Match, Outcome, Summary
from mockllm.exchange import Reply, Request
from mockllm.observers.access_log import MAX_MODEL, access, log_access
from mockllm.redaction import redact_target
from tests.support.http.messages import get
from tests.support.processes import Command, ask, config, posix, running, write
from tests.support.served import chat_request, http_request


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


SECRET = "sk-very-secret"
KEYED = http_request(
    f"/v1/chat/completions?api_key={SECRET}&api-version=1",
    chat_request("hi"),
    {"authorization": f"Bearer {SECRET}", "x-api-key": SECRET},
)


def logged(file: Path, *options: str) -> list[str]:
    """Log lines of a request that matches, one that does not, and one that is invalid."""
    with running("--config", file, "--port=0", "--no-auth", *options) as command:
        asyncio.run(ask_all(command))
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert [line for line in command.lines if SECRET in line] == []
    return [line for line in command.lines if not line.startswith(("mockllm:", "export", "warn"))]


async def ask_all(command: Command) -> None:
    for request in (KEYED, get(target="/v1/nothing"), b"nonsense\r\n\r\n"):
        await ask(command.port, request)


@posix
def test_nothing_is_logged_unless_asked(file: Path) -> None:
    assert logged(file) == []


@posix
def test_a_line_for_each_request(file: Path) -> None:
    lines = [line.split(" INFO ")[1].rsplit(" ", 2)[::2] for line in logged(file, "--access-log")]
    assert lines == [
        [
            f"POST /v1/chat/completions?***&api-version=1 200 {file}: openai[0] 'hi' mock-model",
            "us",
        ],
        ["GET /v1/nothing 404 [not found]", "us"],
        ["- - 400 [refused]", "us"],
    ]


@posix
def test_a_json_object_for_each_request(file: Path) -> None:
    said = [json.loads(line) for line in logged(file, "--access-log", "--log-format=json")]
    lines = [line for line in said if "message" not in line]
    assert [without_times(line) for line in lines] == [
        {
            "level": "info",
            "method": "POST",
            "path": "/v1/chat/completions?***&api-version=1",
            "status": 200,
            "mock": f"{file}: openai[0] 'hi'",
            "model": "mock-model",
            "reason": "matched",
            "end": "complete",
        },
        {
            "level": "info",
            "method": "GET",
            "path": "/v1/nothing",
            "status": 404,
            "mock": None,
            "model": None,
            "reason": "not found",
            "end": "complete",
        },
        {
            "level": "info",
            "method": "-",
            "path": "-",
            "status": 400,
            "mock": None,
            "model": None,
            "reason": "refused",
            "end": "complete",
        },
    ]


def without_times(line: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(line.pop("microseconds"), int)
    assert line.pop("time").endswith("Z")
    return line


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/health", "", "/health"),
        ("", "", "-"),
        ("/a", "beta=true&after=resp_1&limit=5", "/a?beta=true&after=resp_1&limit=5"),
        ("/a", "key=secret&SECRET", "/a?***&***"),
        ("/a", "next=/x?api_key=secret", "/a?***"),
        ("/a", "stream=true;api_key=secret&%6bey=secret&bearer=secret", "/a?***&***&***"),
        ("/a", "after=%26key=secret&beta=secret=secret", "/a?***&***"),
        ("/a\n2026 INFO GET /b", "", "/a?2026?INFO?GET?/b"),
        ("/" + "a" * 5_000, "", "/" + "a" * 999 + "…"),
    ],
)
def test_the_log_redacts_and_cuts_a_target(path: str, query: str, expected: str) -> None:
    assert redact_target(path, query) == expected


def logged_line(model: str, end: End = End.COMPLETE, *, path: str = "/v1/chat/completions") -> str:
    """The line of an exchange in which a client named this model."""
    summary = Summary("openai", model, stream=True)
    decision = Decision.by(Match(Outcome.ECHO, Reply(200, (), ()), summary=summary))
    request = Request.of("POST", path)
    return record_of(request, decision, end)[0]


def record_of(
    request: Request, decision: Decision, end: End = End.COMPLETE
) -> tuple[str, dict[str, Any]]:
    """The line and the entry that are logged for a decision."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment]  # a handler in one line
    access.addHandler(handler)
    level, access.level = access.level, logging.INFO
    try:
        log_access(Exchange(request, decision, Delivery(0.001, 0.001, 0.5, end)))
    finally:
        access.removeHandler(handler)
        access.setLevel(level)
    return records[0].getMessage(), vars(records[0])["entry"]


@pytest.mark.parametrize(
    ("model", "shown"),
    [("gpt-4o", "gpt-4o"), ("a\nb c", "a?b?c"), ("m" * 999, "m" * MAX_MODEL + "…")],
)
def test_a_model_is_one_word_of_the_line(model: str, shown: str) -> None:
    assert logged_line(model) == f"POST /v1/chat/completions 200 [echo] {shown} 1000 us"


def test_traffic_that_changed_an_answer_is_noted_at_the_end() -> None:
    request = Request.of("POST", "/v1/chat/completions")
    match = Match(Outcome.TRAFFIC, Reply(503, (), ()), traffic=("traffic[0] 'a\nb'", "traffic[1]"))

    line, entry = record_of(request, Decision.by(match))

    assert line == (
        "POST /v1/chat/completions 503 [traffic] 1000 us; by traffic[0] 'a\\nb', traffic[1]"
    )
    assert entry["traffic"] == ["traffic[0] 'a\\nb'", "traffic[1]"]


def test_what_a_client_has_asked_for_is_noted_at_the_end() -> None:
    request = Request.of("POST", "/v1/chat/completions")
    match = Match(Outcome.ASKED_FOR, Reply(503, (), ()), asked_for=("error", "latency"))

    line, entry = record_of(request, Decision.by(match))

    expected = "POST /v1/chat/completions 503 [asked for] 1000 us; asked for: error, latency"
    assert (line, entry["asked_for"]) == (expected, ["error", "latency"])


def unmatched(texts: list[str], asked: str, **headers: Any) -> tuple[str, dict[str, Any]]:
    """The line and the entry of a request that none of the mocks for these texts matches."""
    mocks = [
        {"match": {"message": {"role": "user", "content": text}, **headers}, "response": {}}
        for text in texts
    ]
    app_engine = build_engine({"openai": mocks})
    table = app_engine.table("openai")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": asked}]})
    request = Request.of(
        "POST", table.api.routes[0], ((b"authorization", b"Bearer x"),), body.encode()
    )
    decision = app_engine.decide(table, request)
    assert isinstance(decision, Decision)
    return record_of(request, decision)


def test_the_closest_mock_is_logged_where_none_matches() -> None:
    line, entry = unmatched(["hello", "other"], "help")

    near_miss = "openai[0]: text differs at character 3: expected 'lo', found 'p'"
    assert line.endswith(f"404 [no match] m 1000 us; closest mock: {near_miss}")
    assert entry["near_miss"] == near_miss


def test_a_near_miss_is_one_line_without_secrets() -> None:
    tenant = [{"name": "X-Tenant", "value": "private-value"}]

    line, _ = unmatched([f"my key is {SECRET}\n2026 INFO"], f"my\n Bearer abcdef {SECRET}")
    of_header, _ = unmatched(["hi"], "hi", headers=tenant)

    assert "\n" not in line
    assert SECRET not in line
    assert "abcdef" not in line
    assert of_header.endswith("; closest mock: openai[0]: header X-Tenant is missing")


def test_nothing_is_close_where_there_are_no_mocks() -> None:
    line, entry = unmatched([], "hi")

    assert line.endswith(" us")
    assert "near_miss" not in entry


def test_an_early_end_is_logged() -> None:
    assert logged_line("m", End.CLIENT_GONE).endswith(" us (client gone)")


@pytest.mark.parametrize(
    ("path", "model", "shown"),
    [
        ("/openai/deployments/sk-secret/chat/completions", "sk-secret", "***"),
        ("/openai/deployments/sk%2Dsecret/chat/completions", "sk-secret", "***"),
        ("/openai/deployments/gpt-4o/chat/completions", "gpt-4o", "gpt-4o"),
        ("/v1/chat/completions", "sk-secret", "***"),
        ("/v1/chat/completions", "ft:gpt-4o:org::9abcDEF1", "ft:gpt-4o:org::9abcDEF1"),
        ("/v1/chat/completions", "llama4maverick17b128e", "llama4maverick17b128e"),
    ],
)
def test_a_model_is_hidden_if_it_may_be_a_credential(path: str, model: str, shown: str) -> None:
    line = logged_line(model, path=path)
    assert f" {shown} " in line
    assert "secret" not in line


def in_session(path: str, session: str) -> tuple[str, dict[str, Any]]:
    """The line and the entry of a request of a session."""
    decision = Decision.by(Match(Outcome.ECHO, Reply.whole(200, (), b"")))
    return record_of(Request.of("POST", path), decision._replace(session=session))


@pytest.mark.parametrize("prefix", ["", "/session/test-1"])
def test_the_session_is_named_beside_the_path(prefix: str) -> None:
    line, entry = in_session(f"{prefix}/v1/messages", "test-1")

    assert line == "POST /v1/messages 200 [echo] session=test-1 1000 us"
    assert (entry["path"], entry["session"]) == ("/v1/messages", "test-1")


def test_the_common_session_is_not_named() -> None:
    line, entry = in_session("/v1/messages", "")

    assert "session" not in line
    assert "session" not in entry


def test_the_name_of_a_session_may_look_random_but_not_like_a_credential() -> None:
    names = ["0123456789abcdef0123456789abcdef", "sk-abc"]

    lines = [in_session(f"/session/{name}/v1/messages", name)[0] for name in names]

    assert [line.split()[4] for line in lines] == [f"session={names[0]}", "session=***"]
    assert "sk-abc" not in lines[1]
