"""Servers that a program starts: `AsyncServer` in a running loop, `Server` in its own thread."""

from __future__ import annotations

from collections.abc import Mapping
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
from mockllm.limits import Limits
from mockllm.serve.address import (
    bind,
    tls_context,
    unix_socket,
    url_of,
)
from mockllm.serve.connections import Service
from mockllm.serve.listener import DRAIN_TIMEOUT, Listener

ConfigSource = Config | Mapping[str, Any] | str | Path
"""A configuration, a dict in the file's form, or the path of a file or a directory of files."""


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
