"""State with several servers on one Redis: what several workers do, two servers of them do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from openai import NotFoundError

from tests.serve import test_state_across_workers as across_workers
from tests.serve import test_stored_across_workers as stored_across_workers
from tests.serve.test_state_across_workers import clients
from tests.support.processes import Command, posix, running, write
from tests.support.redis_servers import needs_redis, new_prefix, shared_server

pytestmark = [pytest.mark.anyio, needs_redis, posix]


class Cluster:
    """Two servers that clients reach in turn."""

    def __init__(self, commands: list[Command]) -> None:
        self._commands = commands
        self._turns = cycle(commands)

    @property
    def port(self) -> int:
        return next(self._turns).port

    def workers(self) -> list[int]:
        return next(self._turns).workers()


@contextmanager
def served_by_one(tmp_path: Path, config: Any, *options: str) -> Iterator[Command]:
    file = write(tmp_path / "mocks.json", config)
    state = f"--state={shared_server().url}?prefix={new_prefix().strip(':')}"
    with running("--config", file, "--workers=2", "--port=0", state, *options) as command:
        yield command


@contextmanager
def served_by_two(tmp_path: Path, config: Any, *options: str) -> Iterator[Cluster]:
    file = write(tmp_path / "mocks.json", config)
    state = f"--state={shared_server().url}?prefix={new_prefix().strip(':')}"
    with ExitStack() as stack:
        arguments = ("--workers=2", "--port=0", state, *options)
        yield Cluster([stack.enter_context(running(file, *arguments)) for _ in range(2)])


def test_a_client_has_its_place_again_after_its_answer(tmp_path: Path) -> None:
    config = {"mocks": [{"reply": "hi"}], "traffic": [{"rate_limit": {"concurrent": 1}}]}
    with served_by_one(tmp_path, config) as command, clients(command, 1) as (client,):
        assert [client.ask().status for _ in range(50)] == [200] * 50


def test_a_response_and_its_conversation_are_those_of_all_servers(tmp_path: Path) -> None:
    turns = [{"match": {"turn": turn}, "reply": f"turn {turn}"} for turn in range(1, 5)]
    with served_by_two(tmp_path, {"mocks": turns}) as cluster:
        given: list[str] = []
        for turn in range(1, 5):
            more = {"previous_response_id": given[-1]} if given else {}
            with stored_across_workers.client(cluster.port) as openai:
                answer = openai.responses.create(model="m", input="hi", extra_body=more)
            assert answer.output_text == f"turn {turn}"
            given.append(answer.id)
        texts = [stored_across_workers.retrieved(cluster.port, given[-1]) for _ in range(2)]
        assert texts == [{"turn 4"}] * 2
        with stored_across_workers.client(cluster.port) as openai:
            openai.responses.delete(given[-1])
        for _ in range(4):
            with (
                stored_across_workers.client(cluster.port) as openai,
                pytest.raises(NotFoundError),
            ):
                openai.responses.retrieve(given[-1])


@pytest.fixture
def _one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(across_workers, "served", served_by_one)


@pytest.fixture
def _two_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(across_workers, "served", served_by_two)


@pytest.mark.usefixtures("_two_servers")
class TestTwoServers:
    test_entries = staticmethod(across_workers.test_each_entry_of_a_sequence_is_given_once)
    test_retries = staticmethod(
        across_workers.test_a_marked_retry_repeats_its_entry_whichever_worker_it_reaches
    )
    test_sessions = staticmethod(across_workers.test_a_session_is_one)
    test_limits = staticmethod(across_workers.test_a_limit_is_the_whole_one_for_all)
    test_lines = staticmethod(across_workers.test_all_wait_in_the_line_of_a_shared_pool)


@pytest.mark.usefixtures("_one_server")
class TestOneServer:
    test_places = staticmethod(
        across_workers.test_a_place_is_one_for_all_and_free_when_its_worker_is_killed
    )
    test_pools = staticmethod(
        across_workers.test_a_shared_pool_is_one_and_its_places_are_free_when_workers_are_killed
    )
    test_reloads = staticmethod(
        across_workers.test_state_survives_a_reload_and_that_of_a_mock_that_was_gone_does_not
    )
