"""What is changed at run time holds for all workers of several servers that share a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.serve import test_changes_across_workers as across_workers
from tests.serve.test_changes_across_workers import CONFIG, NUMBERS, add
from tests.support.processes import needs_proc, posix, write
from tests.support.redis_servers import RedisServer, needs_redis, new_prefix, shared_server
from tests.support.workers import Client, Workers, serving

pytestmark = [posix, needs_proc, needs_redis, pytest.mark.anyio]


class Commands:
    """The commands of several servers, as one."""

    def __init__(self, servers: list[Workers]) -> None:
        self._servers = servers

    def workers(self) -> list[int]:
        return [pid for each in self._servers for pid in each.command.workers()]


class Servers:
    """Several servers, as if their workers were those of one."""

    def __init__(self, servers: list[Workers]) -> None:
        self.servers = servers
        self.command = Commands(servers)

    def clients(self) -> dict[int, Client]:
        """A new connection to each worker, by its process id; those of both servers in turn."""
        first, second = [[*each.clients().items()] for each in self.servers]
        return dict(pair for both in zip(first, second, strict=True) for pair in both)

    def client(self) -> Client:
        return self.servers[0].client()

    def close(self) -> None:
        for each in self.servers:
            each.close()


def state(server: RedisServer, prefix: str) -> str:
    return f"--state={server.url}?prefix={prefix}"


@contextmanager
def two_servers(config: Path, redis: RedisServer, *options: str) -> Iterator[Servers]:
    where = state(redis, new_prefix().strip(":"))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        commands = [serving(patch, config, where, *options, workers=2) for _ in range(2)]
        yield Servers([stack.enter_context(each) for each in commands])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("config") / "mocks.json", CONFIG)


@pytest.fixture(scope="module")
def commands(config: Path) -> Iterator[Servers]:
    """The servers of all tests, none of which needs what another one has changed."""
    with two_servers(config, shared_server()) as servers:
        yield servers


@pytest.fixture
def workers(commands: Servers) -> Iterator[Servers]:
    yield commands
    commands.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"n{next(NUMBERS)}"


class TestAsWorkers:
    """What holds for the workers of one server."""

    test_stopped = staticmethod(
        across_workers.test_a_stopped_worker_makes_the_changes_when_it_goes_on
    )
    test_open = staticmethod(across_workers.test_open_answers_of_other_workers_follow)
    test_release = staticmethod(
        across_workers.test_each_release_lets_one_answer_go_over_all_workers
    )
    test_killed = staticmethod(
        across_workers.test_a_killed_worker_holds_nothing_and_its_successor_knows_everything
    )
    test_order = staticmethod(across_workers.test_changes_at_the_same_time_have_one_order)
    test_names = staticmethod(across_workers.test_mocks_without_a_name_have_names_of_their_own)
    test_whole = staticmethod(across_workers.test_a_change_of_a_killed_worker_is_whole_or_not_there)


def test_a_server_replaces_a_mock_that_another_one_has_added(workers: Servers, name: str) -> None:
    one, other = [*workers.clients().values()][:2]
    add(one, name, "x", name=name)
    changed = other.ask("PUT", f"mocks/{name}", {"user": name, "reply": "y"})

    assert changed.status == 200
    assert [one.say(name), other.say(name)] == ["y", "y"]
