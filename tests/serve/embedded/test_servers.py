"""Servers in a running loop: starts and stops, addresses, configurations."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from openai import APIConnectionError, AsyncOpenAI, BadRequestError, RateLimitError

from mockllm import AsyncServer, Config, ConfigError, ListenError, Mock, Server
from mockllm.engine.building import build_engine
from tests.support.served import (
    API_KEY,
    OPENAI_HEADERS,
    PATIENCE,
    Json,
    chat_mock,
    chat_request,
    chat_saying,
    http_request,
    nothing_left_behind,
    occupied_port,
    port_of,
    tasks,
)

pytestmark = pytest.mark.anyio

LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop"),
    ),
]


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Each test runs in asyncio's own loop and in uvloop's, which the command uses."""
    return request.param


@pytest.fixture(scope="module")
async def warm_loop(anyio_backend: Any) -> None:
    """Make the descriptors of a loop that listens for the first time."""
    async with AsyncServer({}):
        pass


@pytest.fixture(autouse=True)
async def _left_behind(warm_loop: None) -> AsyncIterator[None]:
    """Holds that no task, thread, descriptor or warning is left of a test."""
    before = tasks()
    with nothing_left_behind():
        yield
        assert tasks() == before, asyncio.all_tasks()


def config(answer: str = "yes") -> Json:
    return {"openai": [chat_mock("hi", chat_saying(answer))]}


async def asked(server: AsyncServer) -> str | None:
    """The answer of `server` to a new client."""
    async with AsyncOpenAI(
        base_url=server.openai_base_url, api_key=API_KEY, max_retries=0
    ) as client:
        completion = await client.chat.completions.create(**chat_request("hi"))
        return completion.choices[0].message.content


def connected(server: AsyncServer) -> socket.socket:
    """A client's end of a connection that the system has made and no loop has seen yet."""
    client = socket.create_connection(("127.0.0.1", port_of(server.base_url)))
    client.setblocking(False)
    return client


def assert_nobody_listens(port: int) -> None:
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


# --- Starting and stopping ------------------------------------------------------------------------


async def test_listens_when_start_returns() -> None:
    server = AsyncServer(config())
    url = await server.start()
    with connected(server):
        assert url == server.base_url
    await server.stop()


async def test_has_a_base_url_for_each_sdk() -> None:
    async with AsyncServer(config()) as server:
        assert server.base_url == f"http://127.0.0.1:{port_of(server.base_url)}"
        assert server.openai_base_url == f"{server.base_url}/v1"
        assert server.anthropic_base_url == server.base_url


async def test_has_no_url_unless_started() -> None:
    server = AsyncServer(config())
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.base_url
    await server.start()
    await server.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.openai_base_url


async def test_does_not_listen_once_stopped() -> None:
    async with AsyncServer(config()) as server:
        port = port_of(server.base_url)
    assert_nobody_listens(port)


async def test_stops_at_once_despite_idle_clients() -> None:
    server = AsyncServer(config(), drain_timeout=2 * PATIENCE)
    await server.start()
    loop = asyncio.get_running_loop()
    request = http_request("/v1/chat/completions", chat_request("hi"), OPENAI_HEADERS)
    with connected(server) as silent, connected(server) as answered:
        await loop.sock_sendall(answered, request)
        assert (await loop.sock_recv(answered, 65536)).startswith(b"HTTP/1.1 200")
        with anyio.fail_after(PATIENCE):
            await server.stop()
            assert await loop.sock_recv(answered, 1) == b""
            assert await loop.sock_recv(silent, 1) == b""


@pytest.mark.parametrize("turns", range(6))
async def test_closes_connections_made_while_it_stops(turns: int) -> None:
    server = AsyncServer(config(), drain_timeout=2 * PATIENCE)
    await server.start()
    with connected(server) as one, connected(server) as other:
        for _ in range(turns):  # of the loop: the server has accepted them, or is about to
            await asyncio.sleep(0)
        with anyio.fail_after(PATIENCE):
            await server.stop()
            assert await end_of(one) == await end_of(other) == b""


async def end_of(client: socket.socket) -> bytes:
    """The last bytes that a client reads of a closed connection: none."""
    try:
        return await asyncio.get_running_loop().sock_recv(client, 1)
    except ConnectionResetError:
        return b""


STALLED = {
    "reader": http_request("/v1/chat/completions", chat_request("long", stream=True)),
    "request": b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{",
    "head": b"POST /v1/chat/compl",
}


@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
async def test_stops_soon_by_default_although_a_client_stalls(sent: bytes) -> None:
    """The test's patience is far shorter than the ten seconds that the command gives."""
    long = chat_mock("long", chat_saying("word " * 2_000_000))
    server = AsyncServer({"openai": [long]})
    await server.start()
    with connected(server) as client:
        await asyncio.get_running_loop().sock_sendall(client, sent)
        await asyncio.sleep(0)
        with anyio.fail_after(5.0):
            await server.stop()


@pytest.mark.parametrize("kind", [AsyncServer, Server])
@pytest.mark.parametrize("config", [None, 5, b"{}", ["mocks.json"]])
async def test_names_what_it_takes(kind: Any, config: Any) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} takes a Config, a dict .* found "):
        kind(config)


@pytest.mark.parametrize("mocks", [Mock(reply="a"), [Mock(reply="a")], [{"reply": "a"}]])
async def test_mocks_alone_belong_into_a_config(mocks: Any) -> None:
    with pytest.raises(TypeError, match=r"; write Config\(mocks=\[\.\.\.\]\)$"):
        Server(mocks)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"port": "80"}, TypeError, "port: expected an integer, found '80'"),
        ({"port": True}, TypeError, "port: expected an integer, found True"),
        ({"limits": 5}, TypeError, "limits: expected Limits, found 5"),
        ({"drain_timeout": "1"}, TypeError, "drain_timeout: expected a number of seconds"),
        ({"drain_timeout": -1}, ValueError, "drain_timeout: expected 0 or more, found -1"),
        ({"latency": "vllm7b"}, ValueError, "latency: expected 'vllm-8b', 'vllm-70b'"),
        ({"latency": {"tps": "x"}}, ValueError, "latency: tps: "),
        ({"uds": "a", "port": 80}, ValueError, "uds cannot be combined with port"),
    ],
)
async def test_names_a_wrong_parameter(parameters: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        AsyncServer(config(), **parameters)


async def test_warnings_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    mocks = [chat_mock("hi", chat_saying("one")), chat_mock("hi", chat_saying("unreachable"))]
    async with AsyncServer({"openai": mocks}):
        pass
    assert "unreachable" in caplog.text
    assert {record.name for record in caplog.records} == {"mockllm"}


async def test_the_loop_runs_while_a_configuration_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, ran = asyncio.get_running_loop(), threading.Event()

    def build(*args: Any, **options: Any) -> Any:
        loop.call_soon_threadsafe(ran.set)
        assert ran.wait(PATIENCE)
        return build_engine(*args, **options)

    monkeypatch.setattr("mockllm.serve.embedded.loading.build_engine", build)
    async with AsyncServer(config()) as server:
        assert await asked(server) == "yes"


async def test_stops_twice_and_without_start() -> None:
    server = AsyncServer(config())
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()


async def test_starts_again_once_stopped() -> None:
    server = AsyncServer(config())
    for _ in range(2):
        async with server:
            assert await asked(server) == "yes"


async def test_does_not_start_twice() -> None:
    async with AsyncServer(config()) as server:
        with pytest.raises(RuntimeError, match="started already"):
            await server.start()
        assert await asked(server) == "yes"


async def test_stops_when_the_body_raises() -> None:
    port = 0

    async def fail() -> None:
        nonlocal port
        async with AsyncServer(config()) as server:
            port = port_of(server.base_url)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert_nobody_listens(port)


async def test_many_servers_run_in_one_loop() -> None:
    servers = [AsyncServer(config(f"server {number}")) for number in range(20)]
    urls = await asyncio.gather(*(server.start() for server in servers))
    answers = await asyncio.gather(*(asked(server) for server in servers))
    await asyncio.gather(*(server.stop() for server in servers))
    assert len(set(urls)) == 20
    assert answers == [f"server {number}" for number in range(20)]


# --- Addresses ------------------------------------------------------------------------------------


async def test_a_port_in_use_is_an_error() -> None:
    with occupied_port() as port:
        server = AsyncServer(config(), port=port)
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the address is in use"):
            await server.start()
    async with server:  # once it is free
        assert port_of(server.base_url) == port


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, "\0"])
async def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        await AsyncServer(config(), host=host).start()


async def test_a_port_out_of_range_is_an_error() -> None:
    server = AsyncServer(config(), port=65536)
    try:
        with pytest.raises(ListenError, match=r"cannot listen on 127\.0\.0\.1:65536"):
            await server.start()
    finally:
        await server.stop()


async def test_listens_on_loopback_alone_unless_asked() -> None:
    async with AsyncServer(config()) as server:
        with socket.socket() as other:  # every other address of the machine is free
            other.bind(("127.0.0.2", port_of(server.base_url)))


async def test_a_wildcard_address_has_a_reachable_url() -> None:
    async with AsyncServer(config(), host="0.0.0.0") as server:  # noqa: S104  # what is tested
        assert server.base_url == f"http://127.0.0.1:{port_of(server.base_url)}"
        assert await asked(server) == "yes"


async def test_listens_on_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with AsyncServer(config(), host="::1") as server:
        assert server.base_url == f"http://[::1]:{port_of(server.base_url)}"
        assert await asked(server) == "yes"


# --- Configurations -------------------------------------------------------------------------------


async def test_takes_a_config_a_dict_and_a_path(tmp_path: Path) -> None:
    file = tmp_path / "mocks.json"
    file.write_text(json.dumps(config()))
    for source in (Config.from_dict(config()), config(), file, str(file), tmp_path):
        async with AsyncServer(source) as server:
            assert await asked(server) == "yes"


async def test_takes_the_files_of_a_directory_in_order(tmp_path: Path) -> None:
    for name, answer in (("b", "second"), ("a", "first"), ("c", "third")):
        (tmp_path / f"{name}.json").write_text(json.dumps(config(answer)))
    (tmp_path / "0.txt").write_text("no configuration")
    async with AsyncServer(tmp_path) as server:
        assert await asked(server) == "first"


async def test_a_configuration_error_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as info:
        await AsyncServer(config() | {"opnai": []}).start()
    (problem,) = info.value.problems
    assert problem.place == "opnai"
    assert problem.message.endswith("did you mean 'openai'?")
    with pytest.raises(ConfigError, match=r"nowhere\.json: cannot be read"):
        await AsyncServer(tmp_path / "nowhere.json").start()


@pytest.mark.parametrize("option", ["strict", "strict_config"])
async def test_strict_refuses_to_start_on_warnings(option: str) -> None:
    odd: Json = {"openai": [chat_mock("hi", chat_saying("yes") | {"creatd": 1})]}
    options: dict[str, Any] = {option: True}
    with pytest.raises(ConfigError, match=r"openai\[0\] 'hi': response"):
        await AsyncServer(odd, **options).start()


@pytest.mark.parametrize(
    ("option", "refused"),
    [("strict", True), ("strict_requests", True), ("strict_config", False), ("cors", False)],
)
async def test_only_strict_requests_refuses_unknown_members(option: str, refused: bool) -> None:
    options: dict[str, Any] = {option: True}
    async with (
        AsyncServer(config(), **options) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY, max_retries=0) as client,
    ):
        call = client.chat.completions.create(**chat_request("hi"), extra_body={"modle": "m"})
        if refused:
            with pytest.raises(BadRequestError, match="modle"):
                await call
        else:
            assert (await call).choices[0].message.content == "yes"


async def test_a_dict_may_be_used_again() -> None:
    source = config()
    for _ in range(2):
        async with AsyncServer(source) as server:
            assert await asked(server) == "yes"
    assert source == config()


async def test_clients_may_ask_for_errors_and_faults() -> None:
    async with (
        AsyncServer({"mocks": [{"reply": "Hello"}]}) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0) as client,
    ):
        for name, wish, error in (
            ("error", "rate_limit", RateLimitError),
            ("fault", "reset", APIConnectionError),
            ("fault", "rset", BadRequestError),
        ):
            headers = {f"x-mockllm-{name}": wish}
            with pytest.raises(error):
                await client.chat.completions.create(**chat_request("hi"), extra_headers=headers)
