"""The servers that a run of tests starts in its own process, for the pytest plugin."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from mockllm.engine.building import ConfigSource
from mockllm.serve.embedded.servers import Server
from mockllm.serve.embedded.session import AnySession
from mockllm.serve.embedded.stragglers import held_lines, late_line, session_name

MAX_SERVERS = 8  # of tests with a configuration of their own, kept for the next one with the same


class RunServers:
    """The servers of the run: one for each configuration and strictness that a test asks for. A
    line for each request of a test that was over is added to `stragglers`."""

    def __init__(self, default: ConfigSource, stragglers: list[str]) -> None:
        self._default = default
        self._stragglers = stragglers
        self._started: dict[tuple[str, bool, bool], Server] = {}
        self._numbers = count(1)

    def get(
        self,
        config: ConfigSource | None = None,
        *,
        strict_requests: bool = False,
        control: bool = False,
    ) -> Server:
        """Return the server for a test, started; without a `config` of its own, that of the run.

        Raises:
            ConfigError: the configuration cannot be served.
        """
        source = self._default if config is None else config
        key = (_key_of(source), strict_requests, control)
        server = self._started.get(key)
        if server is None:
            server = Server(
                source, strict_requests=strict_requests, quick_retries=True, control=control
            )
            server.start()
            self._started[key] = server
            self._stop_some()
        return server

    def name_session(self, test: str) -> str:
        """Return a name for the session of a test that no other has."""
        return session_name(test, str(next(self._numbers)))

    def end(self, session: AnySession) -> None:
        """End the session of a test, and note the gates at which answers of it are still held."""
        self._stragglers += held_lines(session.name, session._end_current())

    def stop(self) -> None:
        """Stop all servers."""
        while self._started:
            self._stop(self._started.popitem()[1])

    def _stop_some(self) -> None:
        """Stop the oldest servers beyond `MAX_SERVERS`, but not that of the run."""
        own = [key for key in self._started if key != (_key_of(self._default), False, False)]
        for key in own[:-MAX_SERVERS]:
            self._stop(self._started.pop(key))

    def _stop(self, server: Server) -> None:
        """Stop a server, and note the requests of tests that had ended."""
        server.stop()
        self._stragglers += [late_line(call) for call in server.calls if call.is_late]


def _key_of(source: ConfigSource) -> str:
    """Return what tells one configuration from others."""
    if isinstance(source, (str, Path)):
        return str(Path(source).resolve())
    return repr(source)
