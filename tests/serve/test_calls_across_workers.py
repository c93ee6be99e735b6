"""The calls of real worker processes: one is replaced, one is stopped, one dies."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockllm import Control, RemoteError
from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.http_library import httpx
from tests.support.processes import Command, is_accepted, posix, running, until, write
from tests.support.served import OPENAI_HEADERS, PATIENCE, chat_request

pytestmark = [
    pytest.mark.anyio,
    posix,
    pytest.mark.skipif(
        not is_accepted("--control", "--workers=3"), reason="--control is for one process"
    ),
]

TOKEN = "token-of-the-server"
CONFIG = {
    "mocks": [
        {"name": "ask", "match": {"user": "weather"}, "reply": "Where?"},
        {"name": "slow", "match": {"user": "slow"}, "reply": "x", "latency": {"ttft": "0.5s"}},
    ]
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    file = write(tmp_path / "mocks.json", CONFIG)
    options = ("--port=0", "--control", "--workers=3", "--worker-timeout=60")
    with running(file, *options) as command:
        yield command


def say(command: Command, text: str, times: int = 1) -> None:
    """Ask so often, each time on another connection, and so in any worker."""
    for _ in range(times):
        with httpx.Client(timeout=PATIENCE) as http:
            url = f"{command.url}/v1/chat/completions"
            assert http.post(url, json=chat_request(text), headers=OPENAI_HEADERS).is_success


def asking(command: Command) -> Control:
    """A client with a connection of its own."""
    return Control(command.url, token=TOKEN)


def test_a_call_is_there_for_who_has_read_its_answer(command: Command) -> None:
    for number in range(1, 16):
        say(command, "weather")
        with asking(command) as control:
            assert len(control.calls) == number
            control.mocks["ask"].assert_called(times=number)
            control.wait_for_calls(number, timeout=0)


async def test_no_call_is_missed_while_workers_are_replaced(command: Command) -> None:
    say(command, "weather", 6)
    speaker = threading.Thread(target=say, args=(command, "slow"))
    speaker.start()
    old = set(command.workers())
    command.signal(signal.SIGHUP)
    said = 6
    while old & set(command.workers()):
        say(command, "weather")
        said += 1
        with asking(command) as control:
            control.mocks["ask"].assert_called(times=said)
    speaker.join()

    for _ in range(4):
        with asking(command) as control:
            control.mocks["ask"].assert_called(times=said)
            control.mocks["slow"].assert_called_once()
            assert control.calls[0].text == "weather"


async def test_calls_of_a_stopped_worker_are_told_later(command: Command) -> None:
    say(command, "weather", 9)
    stopped = command.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        with reaching_another(command) as control:
            with pytest.raises(AssertionError, match="cannot be told: a worker process is stopped"):
                control.mocks["slow"].assert_not_called()
            control.mocks["ask"].assert_called(at_least=0)
    finally:
        os.kill(stopped, signal.SIGCONT)

    with asking(command) as control:
        control.mocks["slow"].assert_not_called()
        control.mocks["ask"].assert_called(times=9)


def reaching_another(command: Command) -> Control:
    """A client that is connected to a worker which answers."""
    while True:
        control = Control(command.url, token=TOKEN, timeout=3.0)
        try:
            assert control.speed == 1.0
        except RemoteError:
            control.close()
        else:
            return control


async def test_calls_die_with_a_worker_that_is_killed(command: Command) -> None:
    say(command, "weather", 12)
    killed = command.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: len(command.workers()) == 3 and not set(killed) & set(command.workers()))

    with asking(command) as control:
        with pytest.raises(AssertionError, match="12 requests died with a worker process"):
            control.mocks["slow"].assert_not_called()
        with control.session() as session:
            session.assert_no_unmatched()
        control.clear_calls()
        control.mocks["slow"].assert_not_called()
        say(command, "weather")
        control.mocks["ask"].assert_called_once()


# --- what the live page reads ---------------------------------------------------------------------


def watch(command: Command, path: str, patience: float = PATIENCE) -> Any:
    """What a worker tells the live page, asked on a connection of its own."""
    with httpx.Client(timeout=patience) as http:
        headers = {"authorization": f"Bearer {TOKEN}"}
        answer = http.get(f"{command.url}/__mockllm/{path}", headers=headers)
        assert answer.is_success, answer.text
        return answer.json()


def test_the_page_of_any_worker_shows_the_calls_of_all(command: Command) -> None:
    say(command, "weather", 12)
    for _ in range(6):
        seen = watch(command, "watch?latest=5")

        assert [call["number"] for call in seen["calls"]] == [8, 9, 10, 11, 12]
        assert {call["mock"] for call in seen["calls"]} == {"ask"}
        assert (seen["skipped"], seen["next"], seen["total"]) == (7, 12, 12)
        assert watch(command, "watch?after=12")["calls"] == []


def test_a_page_that_looks_on_misses_and_repeats_no_call(command: Command) -> None:
    shown: list[int] = []
    after = 0
    for _ in range(10):
        say(command, "weather", 3)
        seen = watch(command, f"watch?after={after}")
        shown += [call["number"] for call in seen["calls"]]
        after = seen["next"]

    assert shown == list(range(1, 31))


def test_the_page_of_any_worker_explains_a_call(command: Command) -> None:
    with httpx.Client(timeout=PATIENCE) as http:
        url = f"{command.url}/v1/chat/completions"
        assert http.post(url, json=chat_request("wether"), headers=OPENAI_HEADERS).is_error
    for _ in range(6):
        (call,) = watch(command, "watch")["calls"]
        assert (call["words"], call["is_unmatched"]) == ("wether", True)
        assert watch(command, "calls/1")["messages"][0]["texts"] == ["wether"]
        assert watch(command, "calls/1/misses")["misses"]


def test_the_page_is_told_that_calls_of_a_stopped_worker_are_missing(command: Command) -> None:
    say(command, "weather", 30)
    stopped = command.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        seen = watch_another(command)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert "stopped" in seen["missing"]

    later = watch(command, f"watch?after={seen['next']}")
    assert later["missing"] is None
    shown = {call["number"] for call in (*seen["calls"], *later["calls"])}
    assert shown == set(range(1, 31))


def watch_another(command: Command) -> Any:
    """What a worker that answers tells the live page."""
    while True:
        with contextlib.suppress(httpx.TimeoutException):
            return watch(command, "watch", patience=3.0)
