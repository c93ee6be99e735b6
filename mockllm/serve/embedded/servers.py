"""Servers that a program starts: `AsyncServer` in a running loop, `Server` in its own thread."""

from __future__ import annotations

import atexit
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from mockllm.config.address import DEFAULT_HOST
from mockllm.config.latency import Latency
from mockllm.endpoints.control.access import Access
from mockllm.engine.building import ConfigSource
from mockllm.limits import Limits
from mockllm.observers.journal import MAX_ENTRIES
from mockllm.serve.apps import make_app
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.controlled import ControlSettings, make_token, turn_on
from mockllm.serve.embedded.arguments import (
    check_address,
    check_config,
    check_count,
    check_seconds,
    check_type,
    checked_latency,
)
from mockllm.serve.embedded.loading import MocksToLoad
from mockllm.serve.embedded.loop_thread import LoopThread
from mockllm.serve.embedded.recorded import RecordedServer
from mockllm.serve.embedded.session import AsyncSession, S, Session
from mockllm.serve.embedded.traffic import TrafficHandle, TrafficServer, check_speed
from mockllm.serve.embedded.verifiable import AsyncVerifiable, SyncVerifiable
from mockllm.serve.gates import HOLD_FOR, Gates
from mockllm.serve.listener import Listener
from mockllm.serve.listening import Listening, running_loop
from mockllm.serve.own_calls import OwnCalls
from mockllm.serve.settings import Settings
from mockllm.serve.turns import Turns

DRAIN_TIMEOUT = 0.25  # seconds; the tests that a server was started for are over when it stops

ONE_LOOP = (
    'Give the fixture of the server and its tests one loop (pytest-asyncio: loop_scope="session" '
    "for both; anyio: a fixture anyio_backend of the server's scope), or use Server, which runs in "
    "a thread of its own"
)

logger = logging.getLogger("mockllm")


class _EmbeddedServer(RecordedServer[S], TrafficServer):
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
        latency: str | Latency | Mapping[str, object] | None = None,
        speed: float = 1.0,
        limits: Limits | None = None,
        drain_timeout: float = DRAIN_TIMEOUT,
        journal: int = MAX_ENTRIES,
        quick_retries: bool = False,
        hold_for: float = HOLD_FOR,
        control: bool = False,
        control_templates: bool = False,
    ) -> None:
        check_config(config, type(self).__name__)
        check_address(port, uds, ssl_certfile, ssl_keyfile)
        check_type("limits", limits, (Limits, type(None)), "Limits")
        check_count("journal", journal)
        check_seconds("drain_timeout", drain_timeout)
        check_seconds("hold_for", hold_for, is_finite=True)
        check_speed(speed)
        if control_templates and not control:
            raise ValueError("control_templates needs control")
        # of the server
        self._strict_config = strict or strict_config
        self._strict_requests = strict or strict_requests
        self._mocks = MocksToLoad(
            config,
            strict_config=self._strict_config,
            strict_requests=self._strict_requests,
            cors=None if cors else False,  # True leaves it to the configuration
            latency=checked_latency(latency),
            quick_retries=quick_retries,
            can_grow=control,
        )
        self._settings = Settings(
            host=host,
            port=port,
            uds=_path(uds),
            ssl_certfile=_path(ssl_certfile),
            ssl_keyfile=_path(ssl_keyfile),
            limits=limits or Limits(),
            drain_timeout=drain_timeout,
            hold_for=hold_for,
            speed=speed,
        )
        self._max_entries = journal
        self._control = control
        self._control_templates = control_templates
        # while started
        self._started = False

    @property
    def base_url(self) -> str:
        """``http://HOST:PORT``, without a trailing slash. With a certificate the scheme is
        ``https``, and on a Unix socket the host is ``localhost``.

        Raises:
            RuntimeError: the server is not started, or would not answer, because its loop is
                closed, or suspended while another one runs.
        """
        return self._serving().url

    @property
    def control_token(self) -> str:
        """The token of the control API, for a `Control` in another process: that in the environment
        variable ``MOCKLLM_CONTROL_TOKEN``, or one that was made at the start.

        Raises:
            RuntimeError: the server is not started, or has no control API.
        """
        return self._control_access().token

    def _control_access(self) -> Access:
        if not self._control:
            kind = type(self).__name__
            raise RuntimeError(f"this {kind} has no control API: give it control=True")
        control = self._serving().app.control
        assert control is not None  # since the start
        return control.access

    def _entries_of_traffic(self) -> Mapping[str, TrafficHandle]:
        return self.traffic

    def _token_of(self, session: str) -> str:
        return self._control_access().token_of(session)

    def _serving(self) -> Listening:
        """Return the started server, or raise the RuntimeError of `base_url`."""
        if self._listening is None:
            raise RuntimeError("the server is not started")
        self._check_loop(self._listening)
        return self._listening

    def _check_loop(self, listening: Listening) -> None:
        """Raise a RuntimeError if the loop of the server does not answer its clients now."""

    def _describe_end(self, listening: Listening) -> str:
        """Describe how a server ends that nothing refers to any more, and the remedy."""
        raise NotImplementedError

    def __del__(self) -> None:
        listening: Listening | None = getattr(self, "_listening", None)
        if listening is None or sys.is_finalizing():
            return
        kind = type(self).__name__
        message = f"the {kind} at {listening.url} was never stopped, and nothing refers to it now"
        message = f"{message}; {self._describe_end(listening)}"
        logger.error("%s", message)  # the warning is hidden by default, also by pytest
        warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def _has_sessions_by_credential(self) -> bool:
        return self._serving().app.has_sessions_by_credential

    def _check_serving(self) -> None:
        self._serving()

    async def _open(self) -> Listening:
        if self._started:
            raise RuntimeError("the server is started already")
        self._started = True
        try:
            with ExitStack() as files:
                self._listening = await self._listen(files)
        except BaseException:
            self._started = False
            raise
        return self._listening

    async def _listen(self, files: ExitStack) -> Listening:
        engine = await self._mocks.load()
        sock, tls, url = files.enter_context(self._settings.bind())
        clock = Clock(speed=self._settings.speed)
        app = make_app(engine, clock, lambda: clock.lateness, is_tls=tls is not None)
        turns = Turns()
        journal = self._begin_recording(app, turns)
        gates = Gates(hold_for=self._settings.hold_for)
        limits = self._settings.limits
        service = Service(
            app, limits=limits, journal=journal, clock=clock, gates=gates, turns=turns
        )
        if self._control:
            self._turn_on_control(service, is_tls=tls is not None)
        listener = Listener(service, tls=tls)
        await listener.start(sock)
        drain_timeout = self._settings.drain_timeout
        return Listening(app, listener, clock, gates, url, files.pop_all(), drain_timeout)

    def _turn_on_control(self, service: Service, *, is_tls: bool) -> None:
        settings = ControlSettings(
            make_token(),
            allows_templates=self._control_templates,
            strict_config=self._strict_config,
        )
        calls = None if self._journal is None else OwnCalls(self._journal)
        turn_on(service, settings, calls=calls, host=self._settings.host, is_tls=is_tls)


class AsyncServer(_EmbeddedServer[AsyncSession], AsyncVerifiable):
    """A mock server in the running asyncio loop.

        async with AsyncServer("mocks.json") as server:
            client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

    Many can run in one loop. `port` 0 chooses a free port. Without `cors` web pages of other
    origins cannot read the responses. `strict_config` refuses to start on warnings,
    `strict_requests` rejects requests that the SDK's types do not allow, and `strict` does both.
    `limits` bounds what the server accepts from clients. `latency`, a preset or an object, replaces
    that of the configuration, and `speed` 10 makes all latencies ten times as short.

    With `uds` the server listens on a Unix socket at that path instead, and clients connect to it
    whatever host is in their base URL:

        transport = httpx2.AsyncHTTPTransport(uds=path)
        AsyncOpenAI(
            base_url=server.openai_base_url,
            api_key="any",
            http_client=httpx2.AsyncClient(transport=transport),
        )

    (`httpx` with openai 2.)

    With `ssl_certfile` (and `ssl_keyfile`, if the key is in a separate file) it serves TLS; clients
    must trust the certificate.

    It belongs to the loop in which it is started: elsewhere, its methods and URLs raise a
    RuntimeError where a client would wait in vain.

    The warnings of the configuration go to the logger ``mockllm``. `stop` gives responses in
    progress `drain_timeout` seconds (0.25 by default) to finish. Of the requests, `calls` has the
    last 10,000, or as many as `journal` says; with 0 none, and they cost nothing. With
    `quick_retries` the official clients retry after a millisecond, unless a mock says otherwise. An
    answer that a gate holds for `hold_for` seconds (60 by default) is cut.

    With `control` other processes may read what the server has had, and add mocks, with the
    `control_token`; theirs may have templates with `control_templates`.
    """

    _session_type = AsyncSession

    async def start(self) -> str:
        """Load the configuration and listen. Returns the base URL once connections are accepted.

        Raises:
            ConfigError: the configuration cannot be served.
            ListenError: the address cannot be listened on.
            RuntimeError: the server is started already, in this or another event loop, or no
                asyncio event loop is running.
        """
        if running_loop() is None:
            raise RuntimeError("AsyncServer needs a running asyncio event loop; Server needs none")
        self._check_own_loop()
        return (await self._open()).url

    async def stop(self) -> None:
        """Stop listening; responses in progress have `drain_timeout` seconds to finish. Without
        effect on a server that is not started.

        Raises:
            RuntimeError: it was started in another event loop, or in one that has been closed.
        """
        self._check_own_loop()
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stop()
            self._started = False

    async def _wait(self, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # it is the caller's
        return await self._await_calls(None, count, timeout)

    async def _await_gate(self, name: str, count: int, timeout: float) -> int:  # noqa: ASYNC109  # it is the caller's
        return await self._await_gate_of(None, name, count, timeout)

    def _check_own_loop(self) -> None:
        """Raise a RuntimeError if the server was started in another loop than the running one. If
        that loop is closed, the server counts as stopped from then on."""
        listening = self._listening
        if listening is None or listening.loop is running_loop():
            return
        if listening.loop.is_closed():
            self._listening, self._started = None, False
            listening.release()
            raise _closed(listening)
        raise _suspended(listening)

    def _check_loop(self, listening: Listening) -> None:
        if listening.loop.is_closed():
            raise _closed(listening)
        if not listening.loop.is_running() and running_loop() is not None:
            raise _suspended(listening)

    def _describe_end(self, listening: Listening) -> str:
        if listening.loop.is_closed():
            listening.release()
            end = "its event loop was closed, and the server with it"
        else:
            end = "it serves until its event loop ends"
        return f"{end}. Keep it and stop it: 'async with AsyncServer(...) as server:'"

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


class Server(_EmbeddedServer[Session], SyncVerifiable):
    """A mock server in its own thread, for programs without a loop.

        with Server("mocks.json") as server:
            client = OpenAI(base_url=server.openai_base_url, api_key="any")

    Its arguments are those of `AsyncServer`. A server that nothing refers to any more, of either
    kind, serves on, is logged as an error and is a ResourceWarning.
    """

    _session_type = Session
    _end: Callable[[], None] | None = None
    """Stops the server and its thread, while started."""

    def start(self) -> str:
        """Start the thread and the server, like `AsyncServer.start`. Returns the base URL.

        Raises:
            ConfigError, ListenError, RuntimeError: as `AsyncServer.start` does.
        """
        if self._end is not None:
            raise RuntimeError("the server is started already")
        with ExitStack() as stack:
            thread = LoopThread("mockllm-server")
            stack.callback(thread.stop)
            listening = thread.call(self._open())
            stack.pop_all()
        self._end = partial(_end, thread, listening)
        atexit.register(self._end)  # which also keeps a server alive whose object is gone
        return listening.url

    def stop(self) -> None:
        """Stop the server, like `AsyncServer.stop`, and end its thread."""
        end, self._end = self._end, None
        if end is not None:
            self._listening, self._started = None, False
            atexit.unregister(end)
            end()

    def _wait(self, count: int, timeout: float) -> bool:
        return self._wait_for_calls(None, count, timeout)

    def _wait_for_gate(self, name: str, count: int, timeout: float) -> int:
        return self._wait_for_gate_of(None, name, count, timeout)

    def _describe_end(self, listening: Listening) -> str:
        end = "it serves until the process ends"
        return f"{end}. Keep it and stop it: 'with Server(...) as server:'"

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


def _end(thread: LoopThread, listening: Listening) -> None:
    """Stop a server and its thread, unless they were left behind in the process that forked."""
    if thread.is_here:
        try:
            thread.call(listening.stop())
        finally:
            thread.stop()


def _closed(listening: Listening) -> RuntimeError:
    return RuntimeError(
        f"the event loop in which the AsyncServer at {listening.url} was started has been closed, "
        f"and the server with it. {ONE_LOOP}"
    )


def _suspended(listening: Listening) -> RuntimeError:
    return RuntimeError(
        f"the AsyncServer at {listening.url} was started in another event loop than this one, "
        f"and answers only while that one runs. {ONE_LOOP}"
    )
