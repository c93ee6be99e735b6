"""Servers that a program starts: `AsyncServer` in a running loop, `Server` in its own thread."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import start_blocking_portal

from mockllm.config import DEFAULT_HOST, Config
from mockllm.engine import Engine
from mockllm.errors import ListenError
from mockllm.loading import load, load_config
from mockllm.serve.protocol import HTTPProtocol, Service

DRAIN_TIMEOUT = 10.0  # seconds in which answers under way may end when a server stops
BACKLOG = 4096  # connections that wait to be accepted; the system may allow fewer

ConfigSource = Config | Mapping[str, Any] | str | Path
"""A configuration, a dict in the file's form, or the path of a file or a directory of files."""


class Listener:
    """A service that listens on one socket of the running loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on `sock`, which is bound; it belongs to the listener from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HTTPProtocol(self._service), sock=sock, backlog=BACKLOG
        )
        self._service.watch()

    async def stop(self, drain_timeout: float) -> None:
        """Accept no more, let answers under way end for `drain_timeout` seconds, then cut."""
        assert self._server is not None
        self._server.close()
        self._service.drain()
        try:
            await asyncio.wait_for(self._service.all_closed.wait(), drain_timeout)
        except TimeoutError:
            self._service.cut()
            await self._service.all_closed.wait()
        self._service.unwatch()
        await self._server.wait_closed()


class AsyncServer:
    """A mock server in the running asyncio loop.

        async with AsyncServer("mocks.json") as server:
            client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

    Many can live in one loop. `port` 0 takes a free one. Without `cors` web pages of other origins
    cannot read the answers.
    """

    def __init__(
        self,
        config: ConfigSource,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        strict: bool = False,
        cors: bool = True,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        self._config = config
        self._host = host
        self._port = port
        self._strict = strict
        self._cors = cors
        self._drain_timeout = drain_timeout
        self._listener: Listener | None = None
        self._base_url = ""

    @property
    def base_url(self) -> str:
        """``http://HOST:PORT``, without a slash at the end."""
        if self._listener is None:
            raise RuntimeError("the server is not started")
        return self._base_url

    @property
    def openai_base_url(self) -> str:
        """What the OpenAI SDK takes as `base_url` (or OPENAI_BASE_URL): with ``/v1``."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """What the Anthropic SDK takes as `base_url` (or ANTHROPIC_BASE_URL): without ``/v1``."""
        return self.base_url

    async def start(self) -> str:
        """Load the configuration and listen. Returns the base URL when connections are taken.

        Raises:
            ConfigError: the configuration cannot be served.
            ListenError: the address cannot be listened on.
            RuntimeError: the server is started already.
        """
        if self._listener is not None:
            raise RuntimeError("the server is started already")
        config = as_config(self._config)
        if not self._cors:
            config = config.model_copy(update={"cors": False})
        engine = Engine(load(config, strict=self._strict))
        sock = bind(self._host, self._port)
        listener = Listener(Service(engine))
        await listener.start(sock)
        self._base_url = url_of(sock)
        self._listener = listener
        return self._base_url

    async def stop(self) -> None:
        """Stop listening; answers under way may end for `drain_timeout` seconds. A server that is
        not started stays so."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop(self._drain_timeout)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


class Server:
    """A mock server in a thread of its own, for programs without a loop.

    with Server("mocks.json") as server:
        client = OpenAI(base_url=server.openai_base_url, api_key="any")
    """

    def __init__(
        self,
        config: ConfigSource,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        strict: bool = False,
        cors: bool = True,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        self._server = AsyncServer(
            config, host=host, port=port, strict=strict, cors=cors, drain_timeout=drain_timeout
        )
        self._running: AbstractContextManager[object] | None = None

    @property
    def base_url(self) -> str:
        """As `AsyncServer.base_url`."""
        return self._server.base_url

    @property
    def openai_base_url(self) -> str:
        """As `AsyncServer.openai_base_url`."""
        return self._server.openai_base_url

    @property
    def anthropic_base_url(self) -> str:
        """As `AsyncServer.anthropic_base_url`."""
        return self._server.anthropic_base_url

    def start(self) -> str:
        """As `AsyncServer.start`."""
        if self._running is not None:
            raise RuntimeError("the server is started already")
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            url = portal.call(self._server.start)
            stack.callback(portal.call, self._server.stop)
            self._running = stack.pop_all()
        return url

    def stop(self) -> None:
        """As `AsyncServer.stop`; the thread ends."""
        running, self._running = self._running, None
        if running is not None:
            running.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def as_config(source: ConfigSource) -> Config:
    """The configuration that `source` stands for.

    Raises:
        ConfigError: with every mistake in it.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, Mapping):
        return Config.from_dict(dict(source))
    return load_config(source)


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A TCP socket bound to the first address of `host`, an IPv4 one if there is any. With
    `shared` other sockets may be bound to the same port (SO_REUSEPORT).

    Raises:
        ListenError: there is no such address, or it is in use.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0])
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            if os.name == "posix":  # elsewhere it would let two servers share a port by accident
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
    except (OSError, OverflowError, UnicodeError) as exc:
        raise ListenError(f"cannot listen on {host}:{port}: {_reason(exc)}") from exc
    return sock


def url_of(sock: socket.socket) -> str:
    """The base URL under which a bound socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared only)
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the address is in use; choose another port, or 0 for a free one"
    return getattr(error, "strerror", None) or str(error)
