"""State with several workers, as clients see it: whichever worker a connection has reached."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from mockllm.serve.shared_lock import SharedLock
from tests.support.processes import Command, posix, running, until, write
from tests.support.served import PATIENCE

pytestmark = [pytest.mark.anyio, posix]

CHAT = "/v1/chat/completions"
CONNECTIONS = 12  # with three workers it is most unlikely that all reach the same one


class Told(NamedTuple):
    """An answer: its status, what it says or the code of its error, and headers."""

    status: int
    text: str
    headers: dict[str, str]


class Client:
    """A client with a connection of its own, which is to one worker."""

    def __init__(self, command: Command) -> None:
        self._connection = HTTPConnection("127.0.0.1", command.port, timeout=PATIENCE)

    def ask(
        self, text: str = "next", *, retry: int | None = None, session: str | None = None
    ) -> Told:
        """What the server says to `text`."""
        headers = {"authorization": "Bearer any"}
        if retry is not None:
            headers["x-stainless-retry-count"] = str(retry)
        if session is not None:
            headers["x-mockllm-session"] = session
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        self._connection.request("POST", CHAT, orjson.dumps(body), headers)
        response = self._connection.getresponse()
        answer = orjson.loads(response.read())
        if "error" in answer:
            said = answer["error"]["code"]
        else:
            said = answer["choices"][0]["message"]["content"]
        return Told(response.status, said, dict(response.headers))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def clients(command: Command, count: int = CONNECTIONS) -> Iterator[list[Client]]:
    found = [Client(command) for _ in range(count)]
    try:
        yield found
    finally:
        for client in found:
            client.close()


@contextmanager
def served(tmp_path: Path, config: Any, *options: str) -> Iterator[Command]:
    """A server of three workers, whose state is in a directory of the test."""
    file = write(tmp_path / "mocks.json", config)
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    arguments = ("--workers=3", f"--state-dir={folder}", "--port=0", *options)
    with running("--config", file, *arguments) as command:
        yield command


def counting(entries: int, **words: Any) -> dict[str, Any]:
    """A mock that counts, and one without state."""
    counter = {"name": "counter", "match": {"user": "next"}, **words}
    counter["sequence"] = [str(number) for number in range(1, entries + 1)]
    return {"mocks": [counter, {"match": {"user": "hello"}, "reply": "hi"}]}


def together(work: Callable[[Client], Any], each: list[Client]) -> list[Any]:
    """The results of `work` for all clients at the same time."""
    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(work, each))


def test_each_entry_of_a_sequence_is_given_once(tmp_path: Path) -> None:
    def ask_until_exhausted(client: Client) -> list[int]:
        found = []
        while (told := client.ask()).status == 200:
            found.append(int(told.text))
        assert (told.status, told.text) == (404, "mock_exhausted")
        return found

    with served(tmp_path, counting(300)) as command, clients(command) as all_clients:
        received = together(ask_until_exhausted, all_clients)

    assert sorted(number for found in received for number in found) == [*range(1, 301)]
    assert all(found == sorted(found) for found in received)


def test_a_marked_retry_repeats_its_entry_whichever_worker_it_reaches(tmp_path: Path) -> None:
    with served(tmp_path, counting(9)) as command, clients(command) as all_clients:
        first = all_clients[0].ask(retry=0)
        told = [client.ask(retry=number + 1) for number, client in enumerate(all_clients)]

        assert {each.text for each in (first, *told)} == {"1"}
        assert all_clients[0].ask(retry=0).text == "2"


def test_a_session_is_one(tmp_path: Path) -> None:
    with served(tmp_path, counting(CONNECTIONS)) as command, clients(command) as all_clients:
        said = [client.ask(session="s").text for client in all_clients]
        said_in_another = [client.ask(session="t").text for client in all_clients]

    assert said == said_in_another == [str(number + 1) for number in range(CONNECTIONS)]


def test_a_limit_is_the_whole_one_for_all(tmp_path: Path) -> None:
    config = counting(1) | {"traffic": [{"rate_limit": {"rpm": 5}}]}
    with served(tmp_path, config) as command, clients(command) as all_clients:
        told = together(lambda client: client.ask("hello"), all_clients)

        assert sorted(each.status for each in told) == [200] * 5 + [429] * (CONNECTIONS - 5)
        passed = [each.headers for each in told if each.status == 200]
        assert {each["x-ratelimit-limit-requests"] for each in passed} == {"5"}
        left = sorted(each["x-ratelimit-remaining-requests"] for each in passed)
        assert left == ["0", "1", "2", "3", "4"]


async def test_a_place_is_one_for_all_and_free_when_its_worker_is_killed(tmp_path: Path) -> None:
    config = {
        "mocks": [
            {"match": {"user": "slow"}, "reply": "at last", "latency": {"ttft": "1h"}},
            {"match": {"user": "hello"}, "reply": "hi"},
        ],
        "traffic": [{"rate_limit": {"concurrent": 1}}],
    }

    with served(tmp_path, config) as command, clients(command, 3) as (slow, other, last):

        def ask_slow() -> None:
            while slow.ask("slow").status == 429:  # the place of the other is not free yet
                pass

        def ask_until_it_is_killed() -> None:
            with pytest.raises((OSError, HTTPException)):
                ask_slow()

        waiting = threading.Thread(target=ask_until_it_is_killed, name="asyncio_slow")
        waiting.start()
        # refused in a row: the first may have been so by its own place before
        await until(lambda: all(other.ask("hello").status == 429 for _ in range(20)))
        for worker in command.workers():
            os.kill(worker, signal.SIGKILL)
        waiting.join(PATIENCE)

        await until(lambda: admitted(last))


def pooled(**words: Any) -> dict[str, Any]:
    """Mocks in one pool that is shared, one of which takes hours, and another one none."""
    pool = {"pool": "gpu", "shared": True, **words}
    return {
        "mocks": [
            {"match": {"user": "slow"}, "reply": "at last", "latency": {"ttft": "1h", **pool}},
            {"match": {"user": "hello"}, "reply": "hi", "latency": {"ttft": "20ms", **pool}},
            {"reply": "without latency"},
        ],
    }


async def test_a_shared_pool_is_one_and_its_places_are_free_when_workers_are_killed(
    tmp_path: Path,
) -> None:
    config = pooled(concurrency=2, queue=0, full="rate_limit")
    with served(tmp_path, config) as command, clients(command, 4) as (*slow, other, last):

        def ask_slow(client: Client) -> None:
            while client.ask("slow").status == 429:  # another has the place
                pass

        def ask_until_it_is_killed(client: Client) -> None:
            with pytest.raises((OSError, HTTPException)):
                ask_slow(client)

        threads = [
            threading.Thread(target=ask_until_it_is_killed, args=[each], name="asyncio_slow")
            for each in slow
        ]
        for thread in threads:
            thread.start()
        # refused in a row: the first may have been so by its own place before
        await until(lambda: all(other.ask("hello").status == 429 for _ in range(20)))
        assert other.ask("else").status == 200
        for worker in command.workers():
            os.kill(worker, signal.SIGKILL)
        for thread in threads:
            thread.join(PATIENCE)

        await until(lambda: admitted(last))


def test_all_wait_in_the_line_of_a_shared_pool(tmp_path: Path) -> None:
    """Of three workers, each would have a place of its own otherwise."""
    with served(tmp_path, pooled(concurrency=1)) as command, clients(command) as all_clients:
        for client in all_clients:
            client.ask("else")
        began = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            answers = [*pool.map(lambda client: client.ask("hello").text, all_clients)]
        spent = time.monotonic() - began

    assert answers == ["hi"] * CONNECTIONS
    assert spent >= CONNECTIONS * 0.02


def admitted(client: Client) -> bool:
    """Return True if a request passes. The workers may not listen yet."""
    try:
        return client.ask("hello").status == 200
    except (OSError, HTTPException):
        client.close()
        return False


async def test_no_entry_is_given_twice_while_workers_are_killed(tmp_path: Path) -> None:
    entries, kills = 1_500, 6
    over = threading.Event()

    def ask_until_exhausted(client: Client) -> list[int]:
        found: list[int] = []
        while True:
            try:
                told = client.ask()
            except (OSError, HTTPException):
                client.close()
                continue
            if told.status == 404:
                over.set()
                return found
            assert told.status == 200
            found.append(int(told.text))

    with served(tmp_path, counting(entries)) as command, clients(command, 6) as all_clients:

        def kill_some() -> None:
            for _ in range(kills):
                if over.wait(0.05):
                    return
                os.kill(command.workers()[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_some, name="asyncio_killer")
        killer.start()
        received = together(ask_until_exhausted, all_clients)
        killer.join(PATIENCE)

    got = [number for found in received for number in found]
    assert len(got) == len(set(got))
    assert all(found == sorted(found) for found in received)
    assert entries - kills * len(all_clients) <= len(got) <= entries


def test_state_that_another_process_uses_delays_nobody_else(tmp_path: Path) -> None:
    options = ("--state-timeout=0.2",)
    with served(tmp_path, counting(9), *options) as command, clients(command) as all_clients:
        assert all_clients[0].ask().text == "1"
        (folder,) = (tmp_path / "state").iterdir()
        with closing(SharedLock(folder / "lock")) as held:
            while not held.acquire():
                pass
            told = together(lambda client: client.ask(), all_clients)
            assert {each[:2] for each in told} == {(503, "state_busy")}
            assert {client.ask("hello").text for client in all_clients} == {"hi"}
        assert all_clients[1].ask().text == "2"


async def test_state_survives_a_reload_and_that_of_a_mock_that_was_gone_does_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mocks.json"
    with served(tmp_path, counting(9)) as command:

        async def reload(config: Any) -> None:
            write(file, config)
            old, told = set(command.workers()), len(command.told("mockllm:"))
            command.signal(signal.SIGHUP)
            command.told("mockllm:", told + 1)
            await until(lambda: not old & set(command.workers()))

        with clients(command) as before:
            assert [client.ask().text for client in before[:3]] == ["1", "2", "3"]
        await reload(counting(5))
        with clients(command) as after:
            assert [client.ask().text for client in after[:3]] == ["4", "5", "mock_exhausted"]
        await reload({"mocks": [{"match": {"user": "hello"}, "reply": "hi"}]})
        await reload(counting(9))
        with clients(command) as again:
            assert [client.ask().text for client in again[:2]] == ["1", "2"]


async def test_mocks_that_begin_anew_after_a_reload_are_told_once(tmp_path: Path) -> None:
    with served(tmp_path, {"mocks": [{"name": "old", "sequence": ["1", "2"]}]}) as command:
        write(tmp_path / "mocks.json", {"mocks": [{"name": "new", "sequence": ["1", "2"]}]})
        command.signal(signal.SIGHUP)
        (line,) = command.told("so these mocks begin with their first answer")

    assert "mocks[0] 'new'" in line


def test_mocks_without_state_open_nothing_and_nothing_is_left(tmp_path: Path) -> None:
    stateless = {"mocks": [{"match": {"user": "hello"}, "reply": "hi"}]}
    with served(tmp_path, stateless) as command, clients(command) as all_clients:
        assert {client.ask("hello").text for client in all_clients} == {"hi"}
        (folder,) = (tmp_path / "state").iterdir()
        assert [path.name for path in folder.iterdir()] == ["server"]
        command.signal(signal.SIGTERM)
        assert command.ended() == 0

    assert [*(tmp_path / "state").iterdir()] == []


async def test_workers_remove_the_state_of_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with served(tmp_path, counting(9)) as command:
        with clients(command, 1) as (client,):
            assert client.ask().text == "1"
        os.kill(command.pid, signal.SIGKILL)

        await until(lambda: not [*(tmp_path / "state").iterdir()])


def test_a_directory_for_state_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", counting(1))
    missing = tmp_path / "missing"
    command = Command(file, "--workers=2", "--port=0", f"--state-dir={missing}")
    try:
        assert command.ended() == 1
        assert "".join(command.lines) == (
            f"mockllm: no directory for the state that workers share: {missing}: "
            "No such file or directory. Choose one with --state-dir"
        )
    finally:
        command.close()


def test_a_mock_without_state_answers_after_one_that_passes(tmp_path: Path) -> None:
    config = counting(2, at_end="pass")
    config["mocks"].append({"match": {"user": "next"}, "reply": "no more"})
    with served(tmp_path, config) as command, clients(command) as all_clients:
        said = [client.ask(retry=0).text for client in all_clients]

        assert said == ["1", "2", *["no more"] * (CONNECTIONS - 2)]
        assert all_clients[0].ask(retry=1).text == "no more"


def test_what_a_server_left_behind_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    for _ in range(2):
        with served(tmp_path, counting(9)) as command, clients(command, 1) as (client,):
            assert client.ask().text == "1"
            assert len([*folder.iterdir()]) == 1
            command.signal_group(signal.SIGKILL)
            command.ended()
