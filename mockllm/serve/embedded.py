"""Servers that a program starts: `AsyncServer` in a running loop, `Server` in its own thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio.from_thread import start_blocking_portal

from mockllm.app import App
from mockllm.config.address import DEFAULT_HOST
from mockllm.config.models import Config
from mockllm.engine.building import ConfigSource, build_engine
from mockllm.engine.engine import Engine
from mockllm.limits import Limits
from mockllm.serve.connections import Service
from mockllm.serve.listener import Listener
from mockllm.serve.settings import Settings

DRAIN_TIMEOUT = 0.25  # seconds; the tests that a server was started for are over when it stops
MAX_LOGGED_WARNINGS = 50  # of a configuration; the number of the others is logged

logger = logging.getLogger("mockllm")


class _EmbeddedServer:
    """The parameters, the base URLs, and the start and stop of a server in a loop."""

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
        strict_config: bool = False,
        strict_requests: bool = False,
        cors: bool = True,
        limits: Limits | None = None,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        if ssl_keyfile is not None and ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        if not isinstance(config, (Config, Mapping, str, Path)):
            raise TypeError(
                f"{type(self).__name__} takes a Config, a dict in the form of a configuration "
                f"file, or the path of a file or a directory of files; found {config!r:.100}"
            )
        # of the server
        self._config = config
        self._strict_config = strict or strict_config
        self._strict_requests = strict or strict_requests
        self._cors = cors
        self._settings = Settings(
            host=host,
            port=port,
            uds=_path(uds),
            ssl_certfile=_path(ssl_certfile),
            ssl_keyfile=_path(ssl_keyfile),
            limits=limits or Limits(),
            drain_timeout=drain_timeout,
        )
        # while started
        self._started = False
        self._listener: Listener | None = None
        self._base_url = ""
        self._files = ExitStack()

    @property
    def base_url(self) -> str:
        """``http://HOST:PORT``, without a trailing slash. With a certificate the scheme is
        ``https``, and on a Unix socket the host is ``localhost``.

        Raises:
            RuntimeError: the server is not started.
        """
        if self._listener is None:
            raise RuntimeError("the server is not started")
        return self._base_url

    @property
    def openai_base_url(self) -> str:
        """The `base_url` (or OPENAI_BASE_URL) for the OpenAI SDK: with ``/v1``."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """The `base_url` (or ANTHROPIC_BASE_URL) for the Anthropic SDK: without ``/v1``."""
        return self.base_url

    async def _open(self) -> str:
        if self._started:
            raise RuntimeError("the server is started already")
        self._started = True
        try:
            with ExitStack() as files:
                listener, url = await self._listen(files)
                self._files = files.pop_all()
        except BaseException:
            self._started = False
            raise
        self._listener, self._base_url = listener, url
        return url

    async def _listen(self, files: ExitStack) -> tuple[Listener, str]:
        engine = await self._load()
        sock, tls, url = files.enter_context(self._settings.bind())
        app = App(engine, tls=tls is not None, clock=time.monotonic)
        listener = Listener(Service(app, limits=self._settings.limits), tls=tls)
        await listener.start(sock)
        return listener, url

    async def _load(self) -> Engine:
        """Load the configuration in a thread, and log its warnings."""
        loader = ThreadPoolExecutor(1, "mockllm-load")  # the loop's own would keep its thread
        try:
            engine = await asyncio.get_running_loop().run_in_executor(loader, self._build)
            loader.shutdown()
        finally:
            loader.shutdown(wait=False)  # if it was cancelled
        for warning in engine.warnings[:MAX_LOGGED_WARNINGS]:
            logger.warning("%s", warning)
        more = len(engine.warnings) - MAX_LOGGED_WARNINGS
        if more > 0:
            logger.warning("%d more warnings; 'mockllm check' lists them all", more)
        return engine

    def _build(self) -> Engine:
        cors = None if self._cors else False  # True leaves it to the configuration
        return build_engine(
            self._config,
            cors=cors,
            strict_config=self._strict_config,
            strict_requests=self._strict_requests,
        )

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with self._files:
                await listener.stop(self._settings.drain_timeout)
            self._started = False


class AsyncServer(_EmbeddedServer):
    """A mock server in the running asyncio loop.

        async with AsyncServer("mocks.json") as server:
            client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

    Many can run in one loop. `port` 0 chooses a free port. Without `cors` web pages of other
    origins cannot read the responses. `strict_config` refuses to start on warnings,
    `strict_requests` rejects requests that the SDK's types do not allow, and `strict` does both.
    `limits` bounds what the server accepts from clients.

    With `uds` the server listens on a Unix socket at that path instead, and clients connect to it
    whatever host is in their base URL:

        transport = httpx2.AsyncHTTPTransport(uds=path)
        AsyncOpenAI(
            base_url=server.openai_base_url,
            api_key="any",
            http_client=httpx2.AsyncClient(transport=transport),
        )

    With `ssl_certfile` (and `ssl_keyfile`, if the key is in a separate file) it serves TLS; clients
    must trust the certificate.

    The warnings of the configuration go to the logger ``mockllm``. `stop` gives responses in
    progress `drain_timeout` seconds (0.25 by default) to finish.
    """

    async def start(self) -> str:
        """Load the configuration and listen. Returns the base URL once connections are accepted.

        Raises:
            ConfigError: the configuration cannot be served.
            ListenError: the address cannot be listened on.
            RuntimeError: the server is started already.
        """
        return await self._open()

    async def stop(self) -> None:
        """Stop listening; responses in progress have `drain_timeout` seconds to finish. Without
        effect on a server that is not started."""
        await self._close()

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


class Server(_EmbeddedServer):
    """A mock server in its own thread, for programs without a loop.

        with Server("mocks.json") as server:
            client = OpenAI(base_url=server.openai_base_url, api_key="any")

    Its arguments are those of `AsyncServer`.
    """

    _running: AbstractContextManager[object] | None = None
    """The thread and its loop, while started."""

    def start(self) -> str:
        """Start the thread and the server, like `AsyncServer.start`. Returns the base URL.

        Raises:
            ConfigError, ListenError, RuntimeError: as `AsyncServer.start` does.
        """
        if self._running is not None:
            raise RuntimeError("the server is started already")
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            url = portal.call(self._open)
            stack.callback(portal.call, self._close)
            self._running = stack.pop_all()
        return url

    def stop(self) -> None:
        """Stop the server, like `AsyncServer.stop`, and end its thread."""
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


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
