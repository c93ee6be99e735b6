"""Assertions of servers and sessions: that they are asked of the right calls, and fail well."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI

from mockllm import AsyncServer, ConfigError, Mock, MockHandle, Server, Session
from tests.support.http_library import httpx
from tests.support.served import (
    API_KEY,
    OPENAI_HEADERS,
    PATIENCE,
    chat_request,
    nothing_left_behind,
)

pytestmark = pytest.mark.anyio

MOCKS: dict[str, Any] = {
    "mocks": [
        {"name": "ask", "match": {"user": {"contains": "weather"}}, "reply": "Where?"},
        {"name": "tell", "match": {"user": "Paris"}, "reply": "Sunny"},
        {
            "name": "busy",
            "match": {"user": "busy"},
            "error": {"as": "overloaded", "retry_after": "1ms"},
        },
        {"match": {"user": "anonymous"}, "reply": "Hm"},
    ]
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with nothing_left_behind(), Server(MOCKS) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(server: Server) -> None:
    server.clear_calls()


def say(where: Server | Session, *texts: str, retries: int = 0) -> None:
    key = {"base_url": where.openai_base_url, "api_key": API_KEY}
    with OpenAI(**key, max_retries=retries) as client:  # type: ignore[arg-type]  # of strings
        for text in texts:
            with contextlib.suppress(APIStatusError):
                client.chat.completions.create(**chat_request(text))


def lines_of(check: Callable[[], None]) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value).splitlines()


def failure_of(check: Callable[[], None]) -> str:
    return lines_of(check)[0]


def test_mocks_are_found_by_name_or_place(server: Server) -> None:
    assert list(server.mocks) == ["ask", "tell", "busy", "mocks[3]"]
    assert isinstance(server.mocks["ask"], MockHandle)
    assert repr(server.mocks["ask"]) == "<MockHandle 'ask'>"
    assert repr(server.mocks) == "<Mocks ['ask', 'tell', 'busy', 'mocks[3]']>"
    assert "mocks[3]" in server.mocks
    with pytest.raises(KeyError, match="there is no mock 'aks'; did you mean 'ask'"):
        server.mocks["aks"]


def test_a_handle_counts_calls_and_requests(server: Server) -> None:
    busy = server.mocks["busy"]
    assert (busy.called, busy.call_count, busy.requests, busy.calls) == (False, 0, 0, [])

    say(server, "busy", "Paris", retries=2)

    assert (busy.called, busy.call_count, busy.requests) == (True, 1, 3)
    assert [call.attempt for call in busy.calls] == [1, 2, 3]


def test_assertions_that_hold_say_nothing(server: Server) -> None:
    say(server, "the weather", "Paris", "anonymous")
    say(server, "busy", retries=1)

    ask, busy = server.mocks["ask"], server.mocks["busy"]
    ask.assert_called()
    ask.assert_called_once()
    ask.assert_called(times=1)
    busy.assert_called(at_least=1, at_most=1)
    busy.assert_requested(times=2)
    busy.assert_requested()
    server.assert_order("ask", server.mocks["tell"], "busy")
    server.assert_all_called()
    server.assert_no_unmatched()
    server.wait_for_calls(4, timeout=0)


def test_assertions_that_do_not_hold_fail(server: Server) -> None:
    say(server, "Paris")
    say(server, "busy", retries=1)

    ask, tell, busy = (server.mocks[name] for name in ("ask", "tell", "busy"))
    assert [
        failure_of(check)
        for check in (
            ask.assert_called,
            tell.assert_not_called,
            lambda: tell.assert_called(times=2),
            lambda: busy.assert_requested(at_most=1),
            lambda: server.assert_order("busy", "tell"),
            server.assert_all_called,
        )
    ] == [
        "expected at least 1 call of 'ask', found no call",
        "expected no call of 'tell', found 1 call",
        "expected 2 calls of 'tell', found 1 call",
        "expected at most 1 request of 'busy', found 1 call, 2 requests",
        "expected calls in the order 'busy' -> 'tell', found 'tell' before 'busy'",
        "expected every mock to be called and used up, which 2 of 4 mocks were not:",
    ]


def test_an_unmatched_request_fails(server: Server) -> None:
    say(server, "unknown")

    assert failure_of(server.assert_no_unmatched) == "1 request was not answered by a mock:"


@pytest.mark.parametrize("strict", [False, True])
def test_an_invalid_request_fails_if_requests_are_strict(*, strict: bool) -> None:
    with Server(MOCKS, strict_requests=strict) as server, server.session("a") as session:
        httpx.post(f"{session.openai_base_url}/chat/completions", json={}, headers=OPENAI_HEADERS)

        for each in (server, session):
            if strict:
                assert failure_of(each.assert_no_unmatched).startswith("1 request was not answered")
            else:
                each.assert_no_unmatched()


def test_a_session_is_asked_of_its_own_calls(server: Server) -> None:
    with server.session("a") as a, server.session("b") as b:
        say(a, "Paris")
        say(b, "unknown", "the weather")

        a.mocks["tell"].assert_called_once()
        a.mocks["ask"].assert_not_called()
        a.assert_no_unmatched()
        b.assert_order("ask")
        assert failure_of(b.assert_no_unmatched) == "1 request was not answered by a mock:"
        assert server.mocks["tell"].call_count == 1


@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        ({"times": 1, "at_least": 1}, TypeError, "times= cannot be combined"),
        ({"times": -1}, ValueError, "expected a number of calls, found -1"),
        ({"times": 1.0}, TypeError, "expected a number of calls, found 1.0"),
        ({"at_most": True}, TypeError, "expected a number of calls, found True"),
        ({"at_least": 2, "at_most": 1}, ValueError, "no number is at least 2 and at most 1"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_an_error(
    server: Server, given: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        server.mocks["ask"].assert_called(**given)


def test_the_error_of_a_function_is_raised_again(server: Server) -> None:
    def fail(prompt: object) -> str:
        raise ZeroDivisionError("of the author")

    with server.session("a") as a:
        a.fail_on_errors()
        a.add(name="made", reply=fail)
        say(a, "made")

        text = "\n".join(lines_of(a.assert_no_unmatched))
        assert "the function raised ZeroDivisionError" in text
        assert "of the author" in text
        assert "/mockllm/serve/" not in text
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="of the author") as caught:
                a.fail_on_errors()
            assert [entry.name for entry in caught.traceback] == [
                *("test_the_error_of_a_function_is_raised_again", "fail_on_errors", "fail")
            ]
        a.mocks["made"].assert_called_once()


def test_an_exhausted_sequence_is_named(server: Server) -> None:
    with server.session("a") as a:
        a.add(name="script", user="s", sequence=["1"])
        say(a, "s", "s")

        failure = lines_of(a.assert_no_unmatched)
        assert failure[0] == "1 request was not answered by a mock:"
        assert failure[2].endswith("'script': its sequence is exhausted after 1 answer")


# --- Adding ---------------------------------------------------------------------------------------


def answer(where: Server | Session, text: str) -> str | None:
    with OpenAI(base_url=where.openai_base_url, api_key=API_KEY, max_retries=0) as client:
        return client.chat.completions.create(**chat_request(text)).choices[0].message.content


def test_an_added_mock_answers_at_once_until_it_is_removed(server: Server) -> None:
    added = server.add(name="tell", user="Paris", reply="Rain")
    assert answer(server, "Paris") == "Rain"
    added.assert_called_once()
    added.remove()
    added.remove()

    assert answer(server, "Paris") == "Sunny"
    assert (added.call_count, server.mocks["tell"].call_count) == (1, 2)
    added.assert_called_once()


def test_a_session_has_mocks_of_its_own(server: Server) -> None:
    with server.session("a") as a, server.session("b") as b:
        added = a.add(user="Paris", reply="Rain")

        assert [answer(each, "Paris") for each in (a, b, server)] == ["Rain", "Sunny", "Sunny"]
        assert added.name in a.mocks
        assert added.name not in b.mocks
        a.assert_order(added)
        a.mocks[added.name].assert_called_once()

    added.remove()
    with pytest.raises(RuntimeError, match="the session 'a' has ended"):
        a.add(reply="x")


def test_a_script_that_was_added_knows_what_is_due(server: Server) -> None:
    with server.session("a") as a:
        added = a.add(name="script", user="s", sequence=["1", {"reply": "2", "times": 2}])
        assert [answer(a, "s"), answer(a, "s")] == ["1", "2"]

        failure = lines_of(lambda: added.assert_called(times=3))
        assert failure[1] == "'script': 2 answers given, entry 2 of 2 is due"
        assert "  'script': 2 answers given, entry 2 of 2 is due" in lines_of(a.assert_all_called)

        a.reset_state()
        assert answer(a, "s") == "1"


def test_a_mistake_in_an_added_mock_is_that_of_a_file(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"add\(\): unknown key 'usr'.*did you mean 'user'"):
        server.add(usr="a", reply="x")  # type: ignore[call-arg]  # the mistake
    with pytest.raises(ConfigError, match=r"added\[\d+\] 'n': match\.user\.contain: unknown key"):
        server.add(name="n", user={"contain": "a"}, reply="x")
    with pytest.raises(TypeError, match=r"add\(\) takes keywords only; write add\(user="):
        server.add(Mock(reply="x"))  # type: ignore[arg-type]  # the mistake


def test_a_likely_mistake_in_an_added_mock_is_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    response = {"choices": [{"message": {"content": 1}}]}
    server.add(api="chat", user="odd", response=response).remove()

    assert "response.choices[0].message.content" in caplog.text


def test_a_mock_of_the_configuration_cannot_be_removed(server: Server) -> None:
    with pytest.raises(TypeError, match="'ask' was not added by this handle"):
        server.mocks["ask"].remove()


def test_adding_needs_a_server_that_is_started() -> None:
    server = Server(MOCKS)
    with pytest.raises(RuntimeError, match="the server is not started"):
        server.add(reply="x")
    with server:
        added = server.add(reply="x")
    added.remove()


def test_many_mocks_are_added_from_threads_while_requests_come() -> None:
    with Server(MOCKS) as server:

        def add(number: int) -> None:
            for place in range(50):
                server.add(user=f"{number} {place}", reply=f"{number}.{place}")

        threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert answer(server, "Paris") == "Sunny"
        for thread in threads:
            thread.join()

        assert [answer(server, f"{n} {p}") for n, p in ((0, 0), (3, 49))] == ["0.0", "3.49"]
        assert len(server.mocks) == 204


async def test_mocks_are_added_to_an_async_server() -> None:
    async with (
        AsyncServer({}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        added = server.add(reply="added")
        await client.chat.completions.create(**chat_request("Paris"))

        added.assert_called_once()


# --- Waiting --------------------------------------------------------------------------------------


def test_waiting_ends_with_the_last_call(server: Server) -> None:
    with server.session("waited-for") as a:
        thread = threading.Thread(target=say, args=(a, "Paris", "Paris"))
        thread.start()
        a.wait_for_calls(2, timeout=PATIENCE)
        thread.join()

        assert len(a.calls) == 2


def test_waiting_in_vain_fails(server: Server) -> None:
    with server.session("a") as a:
        say(a, "Paris")
        say(server, "Paris")

        failure = failure_of(lambda: a.wait_for_calls(2, timeout=0.01))
        assert failure == "expected 2 calls within 0.01 s, found 1 call"


async def test_waiting_for_an_async_server_is_awaited() -> None:
    async with (
        AsyncServer(MOCKS) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        waiting = asyncio.create_task(server.wait_for_calls(1, timeout=PATIENCE))
        await client.chat.completions.create(**chat_request("Paris"))
        await waiting

        session = server.session("a")
        with pytest.raises(AssertionError, match=r"expected 1 call within 0\.01 s, found no call"):
            await session.wait_for_calls(1, timeout=0.01)


async def test_an_async_server_can_be_waited_for_in_another_loop() -> None:
    async with (
        AsyncServer(MOCKS) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):

        def wait() -> None:
            asyncio.run(server.wait_for_calls(1, timeout=PATIENCE))

        waiting = asyncio.create_task(asyncio.to_thread(wait))
        await client.chat.completions.create(**chat_request("Paris"))
        await waiting


@pytest.mark.parametrize(
    ("count", "timeout", "error"),
    [(True, 1.0, TypeError), (1, "5s", TypeError), (-1, 1, ValueError)],
)
def test_waiting_for_what_is_no_number_is_an_error(
    server: Server, count: Any, timeout: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="expected a"):
        server.wait_for_calls(count, timeout)


def test_a_server_that_is_not_started_is_not_waited_for() -> None:
    server = Server(MOCKS)
    with pytest.raises(RuntimeError, match="the server is not started"):
        server.wait_for_calls(1)
    with pytest.raises(RuntimeError, match="the server is not started"):
        list(server.mocks)


def test_mocks_without_a_name_are_numbered_by_session() -> None:
    with Server({}) as server:
        handles = []
        for name in ("a", "b"):
            session = server.session(name)
            handles.append([session.add(user="x", reply="1"), session.add(user="y", reply="2")])
        assert [[each.name for each in both] for both in handles] == [["added[0]", "added[1]"]] * 2
        with pytest.raises(AssertionError, match=r"expected 1 call of 'added\[1\]', found no call"):
            session.mocks["added[1]"].assert_called_once()
        assert server.add(reply="x").name == "added[2]"
        with pytest.raises(ConfigError):
            server.add(replay="x")  # type: ignore[call-arg]  # what is tested
        assert server.add(reply="x").name == "added[3]"  # the mistake was none of them
