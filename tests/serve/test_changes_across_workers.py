"""What is changed at run time holds for all workers: busy, stopped, new, killed, and reloaded."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import needs_proc, posix, until, write
from tests.support.workers import Client, Workers, serving

pytestmark = [posix, needs_proc, pytest.mark.anyio]

NUMBERS = count()
SLOW = {"ttft": "1h", "itl": 0}
CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "configured", "match": {"user": "configured"}, "reply": "yes"},
        {"name": "slow", "match": {"user": "slow"}, "reply": "slow", "latency": SLOW},
    ],
    "traffic": [{"name": "busy", "match": {"user": "busy"}, "from": "1h", "error": "overloaded"}],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("config") / "mocks.json", CONFIG)


@pytest.fixture(scope="module")
def command(config: Path) -> Iterator[Workers]:
    """The workers of all tests, none of which needs what another one has changed."""
    with pytest.MonkeyPatch.context() as patch, serving(patch, config) as workers:
        yield workers


@pytest.fixture
def workers(command: Workers) -> Iterator[Workers]:
    yield command
    command.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"n{next(NUMBERS)}"


def add(client: Client, text: str, reply: str, **words: Any) -> None:
    assert client.ask("POST", "mocks", {"user": text, "reply": reply, **words}).status == 201


def wait_at(client: Client, gate: str, answers: int) -> None:
    """Wait until so many answers have reached a gate."""
    wait = {"assert": "gate", "gate": gate, "count": answers, "timeout": 30}
    assert client.ask("POST", "verify", wait).status == 200


def known(client: Client) -> list[Any]:
    """All that can be read of what was changed."""
    paths = ("mocks", "sessions", "traffic", "speed", "gates")
    read = [client.ask("GET", path) for path in paths]
    for mock in read[0].value["mocks"]:
        del mock["requests"]  # those of a killed worker are lost
    for session in read[1].value["sessions"]:
        for member in ("base_url", "openai_base_url", "anthropic_base_url"):
            session[member] = session[member].split("/", 3)[3]  # each server has its own port
    return read


def test_a_stopped_worker_makes_the_changes_when_it_goes_on(workers: Workers, name: str) -> None:
    clients = workers.clients()
    stopped, other = [*clients][:2]
    for _ in range(5):  # so that the answer is known by the bytes of the request
        assert clients[stopped].say(name) is None
    os.kill(stopped, signal.SIGSTOP)
    try:
        for number in range(20):
            words = {"user": name, "reply": f"{number}"}
            assert clients[other].ask("PUT", f"mocks/{name}", words).status in (200, 201)
        assert clients[other].ask("PUT", f"sessions/{name}", {}).status == 201
        assert clients[other].ask("PUT", "traffic", {"traffic": []}).status == 200
        assert clients[other].ask("PUT", "speed", {"speed": 5}).status == 200
        clients[stopped].begin(name)
    finally:
        os.kill(stopped, signal.SIGCONT)

    assert clients[stopped].text() == "19"
    assert known(clients[stopped]) == known(clients[other])


def test_open_answers_of_other_workers_follow(workers: Workers, name: str) -> None:
    one, slow, held, other = workers.clients().values()
    add(one, name, "held", fault={"hold": name})
    assert one.ask("PUT", "speed", {"speed": 1}).status == 200
    slow.begin("slow")
    held.begin(name)
    wait_at(one, name, 1)
    assert other.ask("GET", "gates").value == {"held": {name: 1}}

    assert one.ask("PUT", "speed", {"speed": 1_000_000}).status == 200
    assert other.ask("POST", f"gates/{name}/release").status == 204

    assert (slow.text(), held.text()) == ("slow", "held")
    assert slow.ask("GET", "gates").value == {"held": {}}


def test_the_end_of_a_session_is_in_its_calls_at_once(workers: Workers, name: str) -> None:
    clients = workers.clients()
    slow, other = [*clients][:2]
    reader = clients[other]
    assert reader.ask("PUT", f"sessions/{name}", {}).status == 201
    mock = {"reply": "held", "fault": {"hold": name}}
    assert reader.ask("POST", f"mocks?session={name}", mock).status == 201
    clients[slow].begin("x", session=name)
    wait_at(reader, name, 1)
    os.kill(slow, signal.SIGSTOP)
    try:
        assert reader.ask("DELETE", f"sessions/{name}").status == 204
        reader.send("GET", f"/__mockllm/calls?session={name}")
        assert select.select([reader], [], [], 0.01) == ([], [], []), "it has asked nobody"
    finally:
        os.kill(slow, signal.SIGCONT)

    found = reader.read().value
    while found["missing"]:  # the machine is so slow that the other was taken for stopped
        found = reader.ask("GET", f"calls?session={name}").value
    (call,) = found["calls"]
    assert (call["delivery"], call["held_at"]) == ("cut", name)


def test_each_release_lets_one_answer_go_over_all_workers(workers: Workers, name: str) -> None:
    waiting = [*workers.clients().values(), *workers.clients().values()]
    test = workers.client()
    add(test, name, "held", fault={"hold": name})
    passed: list[str | None] = []
    done = threading.Semaphore(0)

    def hold(client: Client) -> None:
        passed.append(client.say(name))
        done.release()

    threads = [threading.Thread(target=hold, args=(client,)) for client in waiting]
    for thread in threads:
        thread.start()
    wait_at(test, name, 8)
    for number in range(3):
        assert test.ask("GET", "gates").value == {"held": {name: 8 - number}}
        assert test.ask("POST", f"gates/{name}/release").status == 204
        assert done.acquire(timeout=30)
    assert len(passed) == 3
    assert test.ask("POST", f"gates/{name}/open").status == 204
    for thread in threads:
        thread.join()
    assert passed == ["held"] * 8


async def test_a_killed_worker_holds_nothing_and_its_successor_knows_everything(
    workers: Workers, name: str
) -> None:
    clients = workers.clients()
    killed, other = [*clients][:2]
    for client in clients.values():
        add(client, name, "x")
    add(client, f"{name} hold", "held", fault={"hold": name})
    clients[killed].begin(f"{name} hold")
    wait_at(clients[other], name, 1)

    os.kill(killed, signal.SIGKILL)

    await until(lambda: clients[other].ask("GET", "gates").value == {"held": {}})
    await until(lambda: len({*workers.command.workers()} - {killed}) == 4)
    after = workers.clients()
    assert [client.say(name) for client in after.values()] == ["x"] * 4
    expected = known(clients[other])
    assert [known(client) for client in after.values()] == [expected] * 4


async def test_what_was_changed_outlives_a_reload(
    workers: Workers, config: Path, name: str
) -> None:
    first, second = [*workers.clients().values()][:2]
    add(first, name, "x")
    add(first, f"{name} hold", "held", fault={"hold": name})
    assert first.ask("PUT", f"sessions/{name}", {}).status == 201
    assert first.ask("DELETE", f"sessions/{name}").status == 204
    assert first.ask("PUT", "speed", {"speed": 3}).status == 200
    limit = {"match": {"user": "busy"}, "error": "rate_limit"}
    assert first.ask("PUT", "traffic/busy", limit).status == 200
    assert first.ask("POST", f"gates/{name}/open").status == 204
    old = set(workers.command.workers())

    new = {"match": {"user": "new"}, "reply": "new"}
    write(config, {**CONFIG, "mocks": [*CONFIG["mocks"], new]})
    workers.command.signal(signal.SIGHUP)
    workers.command.told("mockllm: reloaded")
    add(second, f"{name} later", "y")
    await until(lambda: len({*workers.command.workers()} - old) == 4)
    await until(lambda: not old & set(workers.command.workers()))

    for client in workers.clients().values():
        assert client.say(name) == "x"
        said = [client.say(text) for text in (name, f"{name} later", "new", f"{name} hold")]
        assert said == ["x", "y", "new", "held"]
        assert client.say("configured", name) is None
        assert client.ask("GET", "speed").value == {"speed": 3.0}
        (entry,) = client.ask("GET", "traffic/busy").value["traffic"]
        assert entry["entry"]["error"] == {"as": "rate_limit"}


def test_changes_at_the_same_time_have_one_order(workers: Workers, name: str) -> None:
    clients = [*workers.clients().values()]

    def change(number: int, client: Client) -> list[str]:
        ids = []
        for step in range(15):
            words = {"user": name, "reply": f"{number}.{step}"}
            assert client.ask("PUT", f"mocks/{name}", words).status in (200, 201)
            other = {"user": f"{name} {number}", "reply": "x"}
            ids.append(client.ask("POST", "mocks", other).value["id"])
        return ids

    with ThreadPoolExecutor(len(clients)) as pool:
        ids = [each for found in pool.map(change, range(4), clients) for each in found]

    assert len(set(ids)) == 60
    expected = known(clients[0])
    assert [known(client) for client in clients] == [expected] * 4
    assert len({client.say(name) for client in clients}) == 1


def test_mocks_without_a_name_have_names_of_their_own(workers: Workers, name: str) -> None:
    clients = [*workers.clients().values()]
    assert clients[0].ask("PUT", f"sessions/{name}").status == 201
    mock = {"user": "never", "reply": "x"}
    first = clients[0].ask("POST", f"mocks?session={name}", mock).value["name"]
    start = int(first.removeprefix("added[")[:-1])  # behind those of all sessions

    def add_some(client: Client) -> list[str]:
        names = []
        for _ in range(15):
            assert client.ask("POST", f"mocks?session={name}", {"usr": "x"}).status == 400
            names.append(client.ask("POST", f"mocks?session={name}", mock).value["name"])
        return names

    with ThreadPoolExecutor(len(clients)) as pool:
        names = [each for found in pool.map(add_some, clients) for each in found]

    expected = [f"added[{number}]" for number in range(start, start + 61)]
    assert sorted([first, *names]) == sorted(expected)
    listed = [client.ask("GET", f"mocks?session={name}").value["mocks"] for client in clients]
    own = [[each["name"] for each in mocks if each["session"] == name] for mocks in listed]
    assert sorted(own[0]) == sorted(expected)  # those of one moment are in the order they began in
    assert own == [own[0]] * len(clients)


async def test_a_change_of_a_killed_worker_is_whole_or_not_there(
    workers: Workers, name: str
) -> None:
    mock = {"name": name, "match": {"user": "never"}, "reply": "x"}
    for _ in range(4):
        clients = workers.clients()
        killed, other = [*clients][:2]
        clients[killed].send("POST", "/__mockllm/mocks", {"mocks": [mock, mock]})
        os.kill(killed, signal.SIGKILL)
        await until(lambda pid=killed: pid not in workers.command.workers())  # type: ignore[misc]  # mypy knows no defaults of lambdas

        found = clients[other].ask("GET", "mocks").value["mocks"]
        assert len([each for each in found if each["name"] == name]) % 2 == 0
        assert clients[other].ask("PUT", "speed", {"speed": 1}).status == 200
        await until(lambda: len(workers.command.workers()) == 4)
