"""Servers that a program starts: `AsyncServer` in a running loop, `Server` in its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import start_blocking_portal

from mockllm.app import App
from mockllm.config.address import DEFAULT_HOST
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load, load_config
from mockllm.errors import ListenError
from mockllm.limits import Limits
from mockllm.serve.address import (
    BACKLOG,
    bind,
    is_unix,
    reason_of,
    tls_context,
    unix_socket,
    url_of,
)
from mockllm.serve.protocol import HTTPProtocol, Service

DRAIN_TIMEOUT = 10.0  # seconds in which answers under way may end when a server stops
LONGEST_CLOSE = 1.0  # seconds for what has no protocol yet
TURNS_TO_BEGIN = 3  # of the loop, from accepting a connection to its protocol
TURNS_TO_READ = 3  # from there to reading what came with it

ConfigSource = Config | Mapping[str, Any] | str | Path
"""A configuration, a dict in the file's form, or the path of a file or a directory of files."""


class Listener:
    """A service that listens on one socket of the running loop."""

    def __init__(self, service: Service, *, tls: ssl.SSLContext | None = None) -> None:
        self._service = service
        self._tls = tls
        self._sock: socket.socket | None = None
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on `sock`, which is bound; it belongs to the listener from now on.

        Raises:
            ListenError: another socket listens there.
        """
        try:
            sock.listen(BACKLOG)
            self._server = await self._listen(sock)
        except OSError as exc:
            sock.close()
            raise ListenError(f"cannot listen: {reason_of(exc)}") from exc
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._service.watch()

    async def stop(
        self, drain_timeout: float, *, last_call: float = 0.0, inherited: bool = False
    ) -> None:
        """Accept no more, let answers under way end for `drain_timeout` seconds, then cut. What is
        idle may ask for `last_call` seconds still.

        Who has connected before is served, though not accepted yet; unless the socket is
        `inherited` by another process that listens on it and accepts them.
        """
        assert self._server is not None
        await self._let_accepted_begin()
        queued = [] if inherited else list(self._queued())
        self._server.close()  # at once: who comes now is refused, not forgotten in the queue
        try:
            async with asyncio.timeout(drain_timeout):
                await self._take(queued)
                self._service.drain(last_call=last_call)
                await self._service.all_closed.wait()
        except TimeoutError:
            self._service.drain()
            self._service.cut()
            await self._service.all_closed.wait()
        self._service.unwatch()
        with contextlib.suppress(TimeoutError):  # peers in the middle of a TLS handshake
            await asyncio.wait_for(self._server.wait_closed(), LONGEST_CLOSE)

    def _listen(self, sock: socket.socket) -> Coroutine[Any, Any, asyncio.Server]:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"sock": sock, "backlog": BACKLOG, "ssl": self._tls}
        if self._tls is not None:
            options["ssl_handshake_timeout"] = self._service.limits.head_time
        if not is_unix(sock):
            return loop.create_server(self._protocol, **options)
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is not the listener's
        return loop.create_unix_server(self._protocol, **options)

    def _protocol(self) -> HTTPProtocol:
        return HTTPProtocol(self._service)

    def _queued(self) -> Iterator[socket.socket]:
        """The connections that the system has made and the loop has not accepted."""
        assert self._sock is not None
        while True:
            try:
                yield self._sock.accept()[0]
            except OSError:  # BlockingIOError: that was all
                return

    async def _let_accepted_begin(self) -> None:
        """Accept no more, and let what is accepted have its protocol: asyncio makes it a few turns
        later, and forgets the connection if the server is closed by then."""
        assert self._sock is not None
        with contextlib.suppress(NotImplementedError):  # on Windows there are no readers
            asyncio.get_running_loop().remove_reader(self._sock)
        await _turns(TURNS_TO_BEGIN)

    async def _take(self, queued: list[socket.socket]) -> None:
        """Serve `queued`, and let all connections read what they were sent."""
        loop = asyncio.get_running_loop()
        try:
            while queued:
                sock = queued.pop()
                sock.setblocking(False)
                with contextlib.suppress(OSError):  # it is gone
                    await loop.connect_accepted_socket(self._protocol, sock, ssl=self._tls)
            await _turns(TURNS_TO_READ)
        finally:
            for sock in queued:
                sock.close()


async def _turns(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


class AsyncServer:
    """A mock server in the running asyncio loop.

        async with AsyncServer("mocks.json") as server:
            client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

    Many can live in one loop. `port` 0 takes a free one. Without `cors` web pages of other origins
    cannot read the answers. `limits` bounds what is taken from clients.

    With `uds` the server listens on a Unix socket of that path instead, and clients connect to it
    whatever host their base URL names:

        transport = httpx2.AsyncHTTPTransport(uds=path)
        AsyncOpenAI(
            base_url=server.openai_base_url,
            api_key="any",
            http_client=httpx2.AsyncClient(transport=transport),
        )

    With `ssl_certfile` (and `ssl_keyfile`, if the key stands in a file of its own) it serves TLS;
    clients must trust the certificate.
    """

    def __init__(
        self,
        config: ConfigSource,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        uds: str | Path | None = None,
        ssl_certfile: str | Path | None = None,
        ssl_keyfile: str | Path | None = None,
        strict: bool = False,
        cors: bool = True,
        limits: Limits | None = None,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        if ssl_keyfile is not None and ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        # as told
        self._config = config
        self._host = host
        self._port = port
        self._uds = uds
        self._ssl_certfile = ssl_certfile
        self._ssl_keyfile = ssl_keyfile
        self._strict = strict
        self._cors = cors
        self._limits = limits
        self._drain_timeout = drain_timeout
        # while started
        self._started = False
        self._listener: Listener | None = None
        self._base_url = ""
        self._files = ExitStack()

    @property
    def base_url(self) -> str:
        """``http://HOST:PORT``, without a slash at the end. With a certificate it is ``https``, and
        on a Unix socket the host is ``localhost``."""
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
        if self._started:
            raise RuntimeError("the server is started already")
        self._started = True
        try:
            with ExitStack() as files:
                listener, url = await self._start(files)
                self._files = files.pop_all()
        except BaseException:
            self._started = False
            raise
        self._listener, self._base_url = listener, url
        return url

    async def _start(self, files: ExitStack) -> tuple[Listener, str]:
        config = as_config(self._config)
        if not self._cors:
            config = config.model_copy(update={"cors": False})
        engine = Engine(load(config, strict=self._strict))
        tls = self._ssl_certfile and tls_context(self._ssl_certfile, self._ssl_keyfile)
        if self._uds is None:
            sock = bind(self._host, self._port)
        else:
            sock = files.enter_context(unix_socket(Path(self._uds)))
        url = url_of(sock, tls=bool(tls))
        listener = Listener(Service(App(engine), limits=self._limits), tls=tls or None)
        await listener.start(sock)
        return listener, url

    async def stop(self) -> None:
        """Stop listening; answers under way may end for `drain_timeout` seconds. A server that is
        not started stays so."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with self._files:
                await listener.stop(self._drain_timeout)
            self._started = False

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

    Its arguments are those of `AsyncServer`.
    """

    def __init__(
        self,
        config: ConfigSource,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        uds: str | Path | None = None,
        ssl_certfile: str | Path | None = None,
        ssl_keyfile: str | Path | None = None,
        strict: bool = False,
        cors: bool = True,
        limits: Limits | None = None,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        self._server = AsyncServer(
            config,
            host=host,
            port=port,
            uds=uds,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
            strict=strict,
            cors=cors,
            limits=limits,
            drain_timeout=drain_timeout,
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
