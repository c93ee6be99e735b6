"""Traffic of servers: started and stopped by name, met by the official clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError, OpenAI
from openai.types.chat import ChatCompletion

from mockllm import AsyncServer, Server
from tests.support.served import API_KEY, nothing_left_behind

pytestmark = pytest.mark.anyio

OUTAGE = {"name": "outage", "to": "1h", "error": "overloaded"}


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def config(*traffic: Any, **members: Any) -> dict[str, Any]:
    return {"mocks": [{"reply": "Hello"}], "traffic": traffic} | members


def ask(client: OpenAI, user: str = "hi") -> ChatCompletion:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": user}])


def statuses(server: Server | AsyncServer) -> list[int]:
    return [call.status for call in server.calls]


def holds(server: Server) -> bool:
    return server.traffic["outage"].holds


def client_of(server: Server) -> OpenAI:
    return OpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0)


def test_an_entry_is_stopped_started_and_reset_by_its_name() -> None:
    with Server(config(OUTAGE)) as server, client_of(server) as client:
        outage = server.traffic["outage"]
        assert holds(server)

        outage.stop()
        assert not holds(server)
        assert ask(client).choices[0].message.content == "Hello"

        for begin in (outage.start, outage.reset):
            outage.stop()
            begin()
            assert holds(server)
            with pytest.raises(InternalServerError, match="503"):
                ask(client)
        assert statuses(server) == [200, 503, 503]


async def test_an_asynchronous_server_has_the_same_words() -> None:
    async with AsyncServer(config(OUTAGE)) as server:
        async with AsyncOpenAI(
            base_url=server.openai_base_url, api_key=API_KEY, max_retries=0
        ) as client:
            server.traffic["outage"].stop()
            message: Any = {"role": "user", "content": "hi"}
            await client.chat.completions.create(model="m", messages=[message])
        assert statuses(server) == [200]


def test_a_session_starts_and_stops_the_entries_of_its_server() -> None:
    with Server(config(OUTAGE)) as server, server.session("a") as session:
        assert {*session.traffic} == {"outage"}
        session.traffic["outage"].stop()
        assert not holds(server)
        server.traffic["outage"].start()
        assert session.traffic["outage"].holds
        with pytest.raises(KeyError, match="did you mean 'outage'"):
            session.traffic["outrage"]
    with pytest.raises(RuntimeError):
        session.traffic["outage"]


async def test_so_does_a_session_of_an_asynchronous_server() -> None:
    async with AsyncServer(config(OUTAGE)) as server:
        server.session("a").traffic["outage"].stop()
        assert not server.traffic["outage"].holds


def test_names_are_looked_up_and_listed() -> None:
    with Server(config(OUTAGE, {"latency": "instant"}, OUTAGE | {"name": "slow"})) as server:
        assert {*server.traffic} == {"outage", "slow"}
        assert len(server.traffic) == 2
        assert repr(server.traffic["outage"]) == "<TrafficHandle 'outage'>"
        with pytest.raises(KeyError, match="there is no traffic 'outrage'; did you mean 'outage'"):
            server.traffic["outrage"]


def test_a_server_that_is_not_started_has_no_traffic_to_start() -> None:
    server = Server(config(OUTAGE))

    with pytest.raises(RuntimeError, match="not started"):
        server.traffic["outage"]
    with server:
        outage = server.traffic["outage"]
    with pytest.raises(RuntimeError, match="not started"):
        outage.start()


def test_the_speed_may_change_while_the_server_runs() -> None:
    late = {"name": "late", "from": "30m", "error": "overloaded"}
    with Server(config(late)) as server, client_of(server) as client:
        assert server.speed == 1.0
        ask(client)

        server.speed = 1e6  # 30 minutes are 2 ms
        while not server.traffic["late"].holds:
            pass

        assert server.speed == 1e6
        with pytest.raises(InternalServerError, match="503"):
            ask(client)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), 1e9, 1e-300])
def test_a_wrong_speed_is_refused(speed: float) -> None:
    server = Server({})

    with pytest.raises(ValueError, match="speed: expected at least 1e-06"):
        server.speed = speed
    server.speed = 5
    assert server.speed == 5


def test_a_server_begins_anew_when_it_is_started_again() -> None:
    server = Server(config(OUTAGE))
    with server:
        server.traffic["outage"].stop()
    with server:
        assert holds(server)


def test_what_a_client_asks_for_is_in_its_call() -> None:
    with Server(config()) as server, client_of(server) as client:
        wishes = {"x-mockllm-latency": "ttft=1ms", "x-mockllm-fault": '{"pause": "1ms"}'}
        client.with_options(default_headers=wishes).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
        ask(client)

        assert [call.asked_for for call in server.calls] == [("latency", "fault"), ()]
