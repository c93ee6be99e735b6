"""Sessions of `Server` and `AsyncServer`, through the official clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from anthropic import Anthropic
from anthropic import NotFoundError as AnthropicNotFoundError
from openai import AsyncOpenAI, NotFoundError, OpenAI

from mockllm import AsyncServer, AsyncSession, Server, Session
from mockllm.serve.embedded import session
from mockllm.serve.embedded.session import SessionServer
from mockllm.state import sessions
from tests.support.served import API_KEY, chat_request, messages_request, nothing_left_behind

pytestmark = pytest.mark.anyio

COUNTING = {"mocks": [{"match": {"user": "hi"}, "sequence": ["0", "1", "2"]}]}


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(COUNTING) as server:
        yield server


def asked(base_url: str, key: str = API_KEY) -> str | None:
    with OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        return client.chat.completions.create(**chat_request("hi")).choices[0].message.content


def test_a_session_has_base_urls_like_its_server(server: Server) -> None:
    one = server.session("test-1")

    assert one.base_url == f"{server.base_url}/session/test-1"
    assert one.openai_base_url == f"{one.base_url}/v1"
    assert one.anthropic_base_url == one.base_url


def test_a_session_is_described_by_its_name() -> None:
    with Server(COUNTING) as server:
        one = server.session("test-1")

        assert isinstance(one, Session)
        assert repr(one) == "Session('test-1')"


def test_two_sessions_do_not_see_each_other(server: Server) -> None:
    with server.session("a") as a, server.session("b") as b:
        urls = [each.openai_base_url for each in (a, a, b)]

        assert [asked(url) for url in urls] == ["0", "1", "0"]
        assert asked(server.openai_base_url) == "0"


def test_an_ended_session_answers_with_a_404_to_either_client(server: Server) -> None:
    with server.session("a") as ended:
        asked(ended.openai_base_url)
    with pytest.raises(NotFoundError, match="has ended"):
        asked(ended.openai_base_url)
    client = Anthropic(base_url=ended.anthropic_base_url, api_key=API_KEY, max_retries=0)
    with client, pytest.raises(AnthropicNotFoundError, match="'a' has ended"):
        client.messages.create(**messages_request("hi"))

    assert asked(server.session("a").openai_base_url) == "0"


def test_an_open_session_keeps_its_state_when_it_is_begun_again(server: Server) -> None:
    asked(server.session("a").openai_base_url)

    assert asked(server.session("a").openai_base_url) == "1"


def test_the_current_session_is_that_of_clients_that_name_none(server: Server) -> None:
    server.use_session("a")
    assert [asked(server.openai_base_url) for _ in range(2)] == ["0", "1"]
    server.use_session("b")
    assert asked(server.openai_base_url) == "0"
    server.use_session(None)
    assert asked(server.openai_base_url) == "0"
    server.use_session("a")
    assert asked(server.openai_base_url) == "2"


def test_a_credential_needs_a_configuration_that_tells_credentials_apart(server: Server) -> None:
    with pytest.raises(ValueError, match='needs "session": "credential"'):
        server.session(credential="sk-a")


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("a b", ValueError, "expected 1 to 128 of A-Z a-z 0-9"),
        ("", ValueError, "found ''"),
        ("..", ValueError, "found '..'"),
        (3, TypeError, "a session's name is a string; found 3"),
    ],
)
def test_an_invalid_name_raises(
    server: Server, name: str, error: type[Exception], told: str
) -> None:
    for begin in (server.session, server.use_session):
        with pytest.raises(error, match=told):
            begin(name)


def test_a_session_has_one_name(server: Server) -> None:
    with pytest.raises(TypeError, match="takes the name of a session, or credential="):
        server.session()  # type: ignore[call-overload]  # the mistake
    with pytest.raises(TypeError, match="takes the name of a session, or credential="):
        server.session("a", credential="sk-a")  # type: ignore[call-overload]  # the mistake


@pytest.mark.parametrize("kind", [Server, AsyncServer])
def test_a_server_that_is_not_started_has_no_sessions(kind: type[SessionServer[Any]]) -> None:
    server = kind(COUNTING)  # type: ignore[call-arg]  # of the kinds
    for begin in (server.session, server.use_session):
        with pytest.raises(RuntimeError, match="the server is not started"):
            begin("a")


def test_a_session_may_end_after_its_server() -> None:
    with Server(COUNTING) as server:
        late = server.session("a")
    late.end()

    with pytest.raises(RuntimeError, match="the server is not started"):
        _ = late.base_url


def test_too_many_open_sessions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_PINNED", 1)
    monkeypatch.setattr(session, "MAX_PINNED", 1)
    with Server(COUNTING) as server:
        server.session("a")
        with pytest.raises(RuntimeError, match="1 sessions are open; end those"):
            server.session("b")


async def test_an_async_server_has_sessions() -> None:
    async with AsyncServer(COUNTING) as server:
        with server.session("a") as one:
            client = AsyncOpenAI(base_url=one.openai_base_url, api_key=API_KEY, max_retries=0)
            async with client:
                for expected in "01":
                    answer = await client.chat.completions.create(**chat_request("hi"))
                    assert answer.choices[0].message.content == expected
                server.use_session("b")
                one.end()
                with pytest.raises(NotFoundError, match="has ended"):
                    await client.chat.completions.create(**chat_request("hi"))


async def test_a_session_of_an_async_server_ends_with_either_context() -> None:
    async with AsyncServer(COUNTING) as server:
        async with server.session("a") as one:
            assert isinstance(one, AsyncSession)
            assert await anyio.to_thread.run_sync(asked, one.openai_base_url) == "0"
        with server.session("b") as other:
            assert await anyio.to_thread.run_sync(asked, other.openai_base_url) == "0"

        for ended in (one, other):
            with pytest.raises(NotFoundError, match="has ended"):
                await anyio.to_thread.run_sync(asked, ended.openai_base_url)


async def test_a_session_of_an_async_server_is_begun_from_another_thread() -> None:
    async with AsyncServer(COUNTING) as server:
        one = await anyio.to_thread.run_sync(server.session, "a")
        answer = await anyio.to_thread.run_sync(asked, one.openai_base_url)
        await anyio.to_thread.run_sync(one.end)

        assert answer == "0"


def test_a_session_is_begun_while_no_loop_runs() -> None:
    """As a fixture that is not async does, between two steps of the tests' loop."""
    with asyncio.Runner() as runner:
        server = AsyncServer(COUNTING)
        runner.run(server.start())
        one = server.session("a")
        answers: list[str | None] = []

        async def ask() -> None:
            answers.append(await asyncio.to_thread(asked, one.openai_base_url))

        runner.run(ask())
        one.end()
        runner.run(server.stop())

    assert answers == ["0"]


def test_sessions_begun_in_many_threads_are_all_open(server: Server) -> None:
    names = [f"t{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(server.session, names))

    assert [each.name for each in begun] == names
    assert [asked(each.openai_base_url) for each in begun] == ["0"] * 8


def test_a_reset_lets_the_mocks_of_one_session_or_of_all_begin_anew(server: Server) -> None:
    with server.session("a") as a, server.session("b") as b:
        urls = [each.openai_base_url for each in (server, a, b)]
        assert list(map(asked, urls)) == ["0", "0", "0"]

        a.reset_state()
        assert list(map(asked, urls)) == ["1", "0", "1"]

        server.reset_state()
        assert list(map(asked, urls)) == ["0", "0", "0"]
