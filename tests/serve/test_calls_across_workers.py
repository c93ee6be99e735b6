"""The calls of real worker processes: one is replaced, one is stopped, one dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

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
