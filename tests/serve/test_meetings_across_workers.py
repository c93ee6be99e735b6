"""Faults, limits, queues, retries, a reload and a stop with several workers: what a client meets is
the same, whichever worker its connection has reached."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.support.http_library import httpx
from tests.support.processes import posix, running, write
from tests.support.served import OPENAI_HEADERS, chat_request
from tests.support.workers import Client, serving

pytestmark = [pytest.mark.anyio, posix]

TEXT = "one two three"
CHAT = "/v1/chat/completions"
CONNECTIONS = 12  # with two workers it is most unlikely that all reach the same one
FIRST = {"after": "first_token"}
FAULTS: dict[str, Any] = {
    "cut": {"end": "cut"} | FIRST,
    "reset": {"end": "reset"} | FIRST,
    "clean": {"end": "clean"} | FIRST,
    "error": {"error": "overloaded"} | FIRST,
    "before": {"end": "reset"},
}


def outcome(url: str, text: str, **members: Any) -> str:
    """What a client with a connection of its own meets, as a word and what it has read."""
    read = b""
    body = chat_request(text, stream=True, **members)
    try:
        with (
            httpx.Client(verify=False, headers=OPENAI_HEADERS) as client,  # no TLS
            client.stream("POST", f"{url}{CHAT}", json=body) as answer,
        ):
            for data in answer.iter_raw():
                read += data
    except httpx.HTTPError as exc:
        return f"{type(exc).__name__} {b'one' in read} {b'[DONE]' in read}"
    return f"{answer.status_code} {b'server_is_overloaded' in read} {b'[DONE]' in read}"


EXPECTED = {
    "cut": "RemoteProtocolError True False",
    "reset": "ReadError True False",
    "clean": "200 False False",
    "error": "200 True False",
    "before": "ReadError False False",
}


def together(work: Callable[[], Any], count: int) -> list[Any]:
    """The results of `work`, done so many times at once."""
    with ThreadPoolExecutor(count) as pool:
        return [done.result() for done in [pool.submit(work) for _ in range(count)]]


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def test_faults_are_the_same_from_every_worker(tmp_path: Path) -> None:
    mocks = [
        {"match": {"user": name}, "reply": TEXT, "fault": fault} for name, fault in FAULTS.items()
    ]
    file = write(tmp_path / "mocks.json", {"mocks": mocks})
    with running("--config", file, "--port=0", "--workers=2") as command:
        url = url_of(command.port)
        found = {name: together(partial(outcome, url, name), CONNECTIONS) for name in FAULTS}

    assert found == {name: [expected] * CONNECTIONS for name, expected in EXPECTED.items()}


def test_first_faults_are_met_as_often_as_written_by_all_workers_together(tmp_path: Path) -> None:
    mock = {
        "reply": TEXT,
        "first": [{"fault": FAULTS["reset"], "times": 5}, {"error": "overloaded"}],
    }
    file = write(tmp_path / "mocks.json", {"mocks": [mock]})
    with running("--config", file, "--port=0", "--workers=2") as command:
        found = together(lambda: outcome(url_of(command.port), "hello"), CONNECTIONS)

    assert sorted(found) == ["200 False True"] * 6 + ["503 True False"] + [EXPECTED["reset"]] * 5


def test_the_chance_of_a_fault_is_that_of_a_seed_in_every_worker(tmp_path: Path) -> None:
    mock = {"reply": TEXT, "fault": FAULTS["clean"] | {"chance": 0.5}}
    file = write(tmp_path / "mocks.json", {"seed": 7, "mocks": [mock]})
    found = []
    for workers in ("--workers=1", "--workers=2"):
        with running("--config", file, "--port=0", workers) as command:
            # each request once: what is drawn depends on how often a process has received it
            found.append([outcome(url_of(command.port), f"{number}") for number in range(24)])

    assert found[0] == found[1]
    assert set(found[0]) == {EXPECTED["clean"], "200 False True"}


def test_clients_that_a_limit_refuses_get_each_entry_of_a_script_once(tmp_path: Path) -> None:
    count = 18
    config = {
        "mocks": [{"sequence": [f"{number}" for number in range(count)]}],
        "traffic": [{"rate_limit": {"rpm": 3}}],
    }
    file = write(tmp_path / "mocks.json", config)
    with running("--config", file, "--port=0", "--workers=2", "--speed=600") as command:
        url = f"{url_of(command.port)}/v1"

        def ask(text: str) -> list[int]:
            with OpenAI(base_url=url, api_key="a", max_retries=99) as client:
                answers = [client.chat.completions.create(**chat_request(text)) for _ in range(6)]
            return [int(answer.choices[0].message.content or "") for answer in answers]

        with ThreadPoolExecutor(3) as pool:
            found = [*pool.map(ask, ("one", "two", "three"))]

    assert sorted(number for numbers in found for number in numbers) == [*range(count)]
    assert all(numbers == sorted(numbers) for numbers in found)


POOL = {"pool": "line", "concurrency": 1, "shared": True}
LINE: dict[str, Any] = {
    "mocks": [
        {"match": {"user": "long"}, "reply": TEXT, "latency": {"itl": "300ms", **POOL}},
        {"match": {"user": "hello"}, "reply": "hi", "latency": {"ttft": "1ms", **POOL}},
    ],
}


async def test_what_waits_in_the_line_of_another_worker_is_answered_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "mocks.json", LINE)
    with serving(monkeypatch, config, workers=2) as workers:
        (_, first), (_, second) = workers.clients().items()
        begin_long(first)
        second.begin("hello")
        write(config, {"mocks": [{"reply": "new"}]})
        workers.command.signal(signal.SIGHUP)
        workers.command.told("mockllm: reloaded")

        assert second.text() == "hi"
        assert workers.client().say("hello") == "new"


async def test_what_waits_in_the_line_of_another_worker_is_answered_before_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "mocks.json", LINE)
    with serving(monkeypatch, config, "--drain-timeout=60", workers=2) as workers:
        (_, first), (_, second) = workers.clients().items()
        begin_long(first)
        second.begin("hello")
        workers.command.signal(signal.SIGTERM)

        assert second.text() == "hi"
        assert workers.command.ended() == 0


def begin_long(client: Client) -> None:
    """Begin a stream that has its place when this returns."""
    client.send("POST", CHAT, chat_request("long", stream=True))
    assert client._connection.getresponse().status == 200
