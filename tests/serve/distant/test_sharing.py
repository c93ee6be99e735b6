"""Commands that share state in a Redis, as their clients and their operators see it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockllm.serve.distant.redis_address import PASSWORD_VARIABLE, RedisAddress
from mockllm.serve.distant.sharing import Sharing, make_server_name
from tests.support.http_library import httpx
from tests.support.processes import Command, failing, posix, running, until, write
from tests.support.redis_servers import RedisServer, needs_redis
from tests.support.served import ANTHROPIC_HEADERS, OPENAI_HEADERS

pytestmark = [pytest.mark.anyio, needs_redis, posix]

MOCKS = {
    "mocks": [
        {"name": "places", "match": {"user": "next"}, "sequence": list("123456789")},
        {"match": {"user": "hello"}, "reply": "hi"},
        {"match": {"user": "limited"}, "reply": "ok"},
    ],
    "traffic": [
        {"match": {"user": "limited"}, "rate_limit": {"rpm": 2}},
    ],
}
SECRET = "not-to-be-seen"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server with a password, which the test may stop."""
    with contextlib.closing(RedisServer("--requirepass", SECRET)) as server:
        yield server


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)


def chat(command: Command, text: str = "next", session: str = "") -> Any:
    path = f"/session/{session}/v1" if session else "/v1"
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    url = f"http://127.0.0.1:{command.port}{path}/chat/completions"
    return httpx.post(url, json=body, headers=OPENAI_HEADERS)


def message(command: Command, text: str = "next") -> Any:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    url = f"http://127.0.0.1:{command.port}/v1/messages"
    return httpx.post(url, json=body, headers=ANTHROPIC_HEADERS)


def ready(command: Command) -> tuple[int, Any]:
    answer = httpx.get(f"http://127.0.0.1:{command.port}/ready")
    return answer.status_code, answer.json()


def text_of(answer: Any) -> str:
    body = answer.json()
    found = body["choices"][0]["message"]["content"] if "choices" in body else body
    return str(found)


@contextlib.contextmanager
def serving(redis: RedisServer, file: Path, *options: str) -> Iterator[Command]:
    with running(file, "--port=0", f"--state={redis.url}", *options) as command:
        yield command


def arguments_of(command: Command) -> str:
    """What ``ps`` shows of its processes."""
    return Path(f"/proc/{command.pid}/cmdline").read_text()


SHARED = (200, {"status": "ready", "state": "shared"})
LOST = (200, {"status": "ready", "state": "lost"})


async def test_servers_of_workers_share_sequences_sessions_and_limits(
    redis: RedisServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    with serving(redis, file, "--workers=2") as first, serving(redis, file) as second:
        await until(lambda: ready(first) == ready(second) == SHARED)
        commands = [first, second] * 3

        assert [text_of(chat(each)) for each in commands] == list("123456")
        assert [text_of(chat(each, session="s")) for each in commands] == list("123456")
        statuses = [chat(each, "limited").status_code for each in commands]
        assert sorted(statuses) == [200] * 2 + [429] * 4

        for command in (first, second):
            assert SECRET not in arguments_of(command) + "".join(command.lines)
            command.signal(signal.SIGTERM)
            assert command.ended() == 0
            assert not [line for line in command.lines if "ERROR" in line]


async def test_a_server_lives_without_its_redis_and_finds_it_again(
    redis: RedisServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    with serving(redis, file, "--state-timeout=0.5") as command:
        await until(lambda: ready(command) == SHARED)
        assert text_of(chat(command)) == "1"

        redis.kill()
        await until(lambda: ready(command) == LOST)

        for answer in (chat(command), chat(command, "limited")):
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "state_lost"
        refused = message(command)
        assert refused.status_code == 503
        assert refused.json()["type"] == "error"
        assert text_of(chat(command, "hello")) == "hi"
        assert text_of(chat(command, "hello", session="s")) == "hi"

        redis.start()
        await until(lambda: ready(command) == SHARED)
        assert text_of(chat(command)) == "1"
        told = [line for line in command.lines if "state in redis" in line]
        assert ["cannot be reached" in told[0], len(told)] == [True, 3]
        assert SECRET not in "".join(command.lines)


async def test_limits_may_admit_all_while_redis_is_gone(redis: RedisServer, tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    redis.kill()
    with serving(redis, file, "--state-lost=allow") as command:
        await until(lambda: ready(command) == LOST)

        assert [chat(command, "limited").status_code for _ in range(3)] == [200] * 3
        assert chat(command).status_code == 503


async def test_a_server_with_another_configuration_is_not_ready_until_it_has_the_same(
    redis: RedisServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    other = write(tmp_path / "other.json", {**MOCKS, "models": ["m"]})
    with serving(redis, file) as first:
        await until(lambda: ready(first) == SHARED)
        with serving(redis, other) as second:
            await until(lambda: ready(second)[1] == {"status": "refused", "state": "refused"})
            assert ready(second)[0] == 503
            refused = chat(second)
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "state_refused"
            assert text_of(chat(second, "hello")) == "hi"

            write(other, MOCKS)
            second.signal(signal.SIGHUP)
            await until(lambda: ready(second) == SHARED)
            assert [text_of(chat(each)) for each in (first, second)] == ["1", "2"]
        with serving(redis, other, "--state-any-config") as third:
            await until(lambda: ready(third) == SHARED)


def test_without_redis_py_the_extra_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")

    status, output, errors = failing("--port=0", "--state=redis://127.0.0.1:1")

    assert (status, output) == (1, "")
    assert errors.splitlines()[-1] == (
        "mockllm: servers that share state need an extra: pip install 'mockllm-server[redis]'"
    )


def test_a_server_has_a_name_of_its_own_and_does_not_show_its_password() -> None:
    assert make_server_name() != make_server_name()
    assert " " not in make_server_name()
    assert SECRET not in repr(Sharing(address=RedisAddress("host"), password=SECRET))
