"""`Server`, for programs without a loop."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from openai import OpenAI

from mockllm import ConfigError, ListenError, Server
from tests.support.served import (
    API_KEY,
    Json,
    chat_mock,
    chat_request,
    chat_saying,
    nothing_left_behind,
    occupied_port,
    port_of,
)


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def config(answer: str = "yes") -> Json:
    return {"openai": [chat_mock("hi", chat_saying(answer))]}


def asked(server: Server) -> str | None:
    with OpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as client:
        completion = client.chat.completions.create(**chat_request("hi"))
        return completion.choices[0].message.content


def test_serves_a_program_without_a_loop() -> None:
    with Server(config()) as server:
        assert server.base_url == f"http://127.0.0.1:{port_of(server.base_url)}"
        assert server.openai_base_url == f"{server.base_url}/v1"
        assert server.anthropic_base_url == server.base_url
        assert asked(server) == "yes"
        port = port_of(server.base_url)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_starts_and_stops_by_hand() -> None:
    server = Server(config())
    server.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.base_url
    for _ in range(2):
        assert server.start() == server.base_url
        with pytest.raises(RuntimeError, match="started already"):
            server.start()
        assert asked(server) == "yes"
        server.stop()
        server.stop()


def test_errors_are_raised_by_start() -> None:
    with pytest.raises(ConfigError, match="did you mean 'openai'"):
        Server({"opnai": []}).start()
    with occupied_port() as port, pytest.raises(ListenError, match="the address is in use"):
        Server(config(), port=port).start()


def test_stops_when_the_body_raises() -> None:
    def fail() -> None:
        with Server(config()):
            raise LookupError

    with pytest.raises(LookupError):
        fail()


def test_several_servers_run_side_by_side() -> None:
    with Server(config("one")) as one, Server(config("other")) as other:
        assert [asked(one), asked(other)] == ["one", "other"]


def test_a_stream_through_a_sync_client() -> None:
    with (
        Server(config("one two three")) as server,
        OpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
        client.chat.completions.stream(**chat_request("hi")) as stream,
    ):
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "one two three"
