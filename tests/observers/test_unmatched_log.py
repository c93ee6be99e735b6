"""The warning about a request that no mock matches."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path

import pytest

from mockllm.engine.decision import Decision, Delivery, Exchange, Match, Outcome
from mockllm.exchange import Reply, Request
from mockllm.observers import unmatched_log
from mockllm.observers.unmatched_log import MAX_PER_SECOND, Sample, log_unmatched
from tests.support.http.messages import get
from tests.support.processes import ask, posix, running, write
from tests.support.served import chat_mock, chat_request, chat_saying, http_request

SECRET = "sk-very-secret"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    mocks = {"openai": [chat_mock("hello", chat_saying("hi"))]}
    return write(tmp_path / "mocks.json", json.dumps(mocks))


def logged(file: Path, *options: str) -> list[str]:
    """The lines about a request that matches, two that do not, and an unknown path."""
    texts = ("hello", "help", SECRET)

    async def ask_all(port: int) -> None:
        for text in texts:
            path = f"/v1/chat/completions?api_key={SECRET}"
            headers = {"authorization": f"Bearer {SECRET}"}
            await ask(port, http_request(path, chat_request(text), headers))
        await ask(port, get(target="/v1/nothing"))

    with running("--config", file, "--port=0", *options) as command:
        asyncio.run(ask_all(command.port))
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert [line for line in command.lines if SECRET in line] == []
    return [line for line in command.lines if "no match" in line]


@posix
@pytest.mark.parametrize("workers", ["--workers=1", "--workers=2"])
def test_a_request_that_no_mock_matches_is_a_warning(workers: str, file: Path) -> None:
    first, second = logged(file, workers)

    _, _, line = first.partition(" WARNING POST /v1/chat/completions")
    assert line.startswith("?*** 404 no match; closest mock: ")
    assert "text differs at character 3: expected 'lo', found 'p'" in line
    assert "closest mock: " in second


@posix
def test_a_higher_log_level_turns_it_off(file: Path) -> None:
    assert logged(file, "--log-level=error") == []


@posix
def test_the_access_log_has_it_once(file: Path) -> None:
    lines = logged(file, "--access-log")

    assert [line.count("[no match]") for line in lines] == [1, 1]


def exchange(at: float) -> Exchange:
    """A request without a match, whose answer was sent at this time."""
    match = Match(Outcome.UNMATCHED, Reply.whole(404, (), b""))
    delivery = Delivery(0.0, 0.0, 0.25, started=at - 0.25)
    return Exchange(Request.of("POST", "/v1/chat/completions"), Decision.by(match), delivery)


def test_of_many_in_a_second_some_are_logged_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unmatched_log, "_sample", Sample())
    told: list[list[str]] = []
    for times in ([7.5] * (MAX_PER_SECOND + 2), [8.0], [8.1], [9.1] * (MAX_PER_SECOND + 1), [11.0]):
        caplog.clear()
        for at in times:
            log_unmatched(exchange(at))
        told.append([entry.getMessage() for entry in caplog.records])

    line = "POST /v1/chat/completions 404 no match; there are no mocks of this API"
    assert told == [
        [line] * MAX_PER_SECOND,
        [f"{line} (not logged before: 2 others)"],
        [line],
        [line] * MAX_PER_SECOND,
        [f"{line} (not logged before: 1 other)"],
    ]


def test_what_is_not_logged_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unmatched_log, "_sample", Sample())
    with caplog.at_level(logging.ERROR, "mockllm.unmatched"):
        for _ in range(MAX_PER_SECOND + 1):
            log_unmatched(exchange(7.5))
    log_unmatched(exchange(7.5))

    assert [entry.getMessage()[-8:] for entry in caplog.records] == ["this API"]
