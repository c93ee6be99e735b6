"""`Control`: drives a server that runs in another process, on another machine or in a container."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio import to_thread

from mockllm.client.transport import TIMEOUT, Transport
from mockllm.client.words import RemoteGate, RemoteWords
from mockllm.observers.timing import Timing
from mockllm.serve.embedded.checks import WAIT
from mockllm.serve.embedded.session import checked_name
from mockllm.state.session_names import PREFIX


class Control(RemoteWords):
    """A server in another process, which answers its control API at `url`.

        with Control("http://127.0.0.1:8000", token=TOKEN) as server:
            weather = server.add(user={"contains": "weather"}, reply="Sunny")
            ...
            weather.assert_called_once()

    The words are those of `Server`. `token` is that of the server, or of a session, whose mocks and
    calls are then meant; a server with ``--control=open`` on this machine needs none. With `uds` it
    is reached through the Unix socket at that path, and `ssl_context` verifies the certificate of
    one with TLS. `timeout` is that of each request, in seconds.

    The `url` of a session, ``http://HOST:PORT/session/NAME``, means that session. Nothing is sent
    before the first word is used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        uds: str | Path | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        path = None if uds is None else Path(uds)
        root, found, name = url.rstrip("/").partition(PREFIX)
        super().__init__(
            Transport(root, token, uds=path, context=ssl_context, timeout=timeout),
            checked_name(name) if found else None,
        )

    @property
    def base_url(self) -> str:
        """The URL of the server, or of the session that is meant, without a trailing slash."""
        within = "" if self._session is None else f"{PREFIX}{self._session}"
        return f"{self._transport.url}{within}"

    def session(
        self, name: str | None = None, *, credential: str | bytes | None = None
    ) -> RemoteSession:
        """Begin a session and return it; without a name the server chooses one. A session that has
        ended begins anew; one that is open keeps its state.

        With `credential` it is the session of the requests with this API key, whichever URL they
        are sent to, if the configuration has ``"session": "credential"``.

        Raises:
            RemoteError: 100,000 sessions are open, or the server refuses it.
            TypeError, ValueError: the name is invalid, or the credential is empty or no text.
        """
        if name is not None and credential is not None:
            raise TypeError("session() takes the name of a session, or credential=")
        if credential is not None:
            key = credential if isinstance(credential, str) else credential.decode()
            if not key:
                raise ValueError("credential: expected an API key, found an empty text")
            begun = self._transport.ask("POST", "sessions", body={"credential": key})
        elif name is None:
            begun = self._transport.ask("POST", "sessions", body={})
        else:
            begun = self._transport.ask("PUT", "sessions", checked_name(name), body={})
        return RemoteSession(self._transport, begun["name"], begun["token"])

    def use_session(self, name: str | None) -> None:
        """Begin a session, and make it the one of all requests that name none. None is the common
        session again.

        Raises:
            RemoteError, TypeError, ValueError: as `session` does.
        """
        current = None if name is None else checked_name(name)
        self._transport.ask("PUT", "sessions", body={"current": current})

    @property
    def speed(self) -> float:
        """How much faster than real time latencies and traffic are. It may be set: open answers
        follow at once."""
        found: float = self._transport.ask("GET", "speed")["speed"]
        return found

    @speed.setter
    def speed(self, speed: float) -> None:
        self._transport.ask("PUT", "speed", body={"speed": speed})

    @property
    def timing(self) -> Timing:
        """How the times of paced answers were kept, since the start of the server, in all of its
        processes: whether it was the bottleneck of a load test."""
        return Timing(**self._transport.ask("GET", "timing"))

    @property
    def traffic(self) -> Mapping[str, RemoteTraffic]:
        """The entries of `traffic` that have a name, to start and stop them."""
        return RemoteEntries(self._transport)

    def set_traffic(self, entries: list[Any]) -> None:
        """Replace all traffic by `entries`, each written as in a file.

        Raises:
            ConfigError: they have mistakes; the error has all of them.
        """
        self._transport.ask("PUT", "traffic", body={"traffic": entries})

    def close(self) -> None:
        """Close the connections to the server. Sessions that were begun stay open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"


class RemoteSession(RemoteWords):
    """A session of a server in another process: the words of a `Session`. At the end of a ``with``
    block it ends."""

    def __init__(self, transport: Transport, name: str, token: str) -> None:
        super().__init__(transport, name)
        self.name = name
        """The name in the URL, and the value of ``x-mockllm-session``."""
        self.control_token = token
        """A token by which another `Control` sees and changes this session alone."""

    @property
    def base_url(self) -> str:
        """The URL of the server with the session: ``http://HOST:PORT/session/NAME``."""
        return f"{self._transport.url}{PREFIX}{self.name}"

    @property
    def traffic(self) -> Mapping[str, RemoteTraffic]:
        """The entries of `traffic` that have a name, to start and stop them. They are those of the
        server: what is started holds in all sessions."""
        return RemoteEntries(self._transport)

    def end(self) -> None:
        """End the session and drop its state. For ten minutes its requests get a 404, unless a test
        begins it again."""
        self._transport.ask("DELETE", "sessions", self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class AwaitedSession(RemoteSession):
    """A session of a server in another process for tests in an event loop: what waits is awaited,
    as it is of an `AsyncSession`. Each other word is a short request."""

    async def wait_for_calls(self, count: int, timeout: float = WAIT) -> None:  # type: ignore[override]  # noqa: ASYNC109  # the same word, awaited
        """Wait until there have been `count` calls, and fail after `timeout` seconds."""
        __tracebackhide__ = True
        await to_thread.run_sync(super().wait_for_calls, count, timeout, abandon_on_cancel=True)

    def gate(self, name: str) -> AwaitedGate:
        """Return the gate of this name."""
        return AwaitedGate(name, self)


class AwaitedGate(RemoteGate):
    """A gate of an `AwaitedSession`: `reached` is awaited."""

    async def reached(self, n: int = 1, timeout: float = WAIT) -> None:  # type: ignore[override]  # noqa: ASYNC109  # the same word, awaited
        """Wait until so many answers have come to the gate, and fail after `timeout` seconds."""
        __tracebackhide__ = True
        await to_thread.run_sync(super().reached, n, timeout, abandon_on_cancel=True)


class RemoteTraffic:
    """The entries of traffic with one name, as a test starts and stops them."""

    def __init__(self, name: str, transport: Transport) -> None:
        self.name = name
        """The name in the configuration."""
        self._transport = transport

    def __repr__(self) -> str:
        return f"<RemoteTraffic {self.name!r}>"

    def start(self) -> None:
        """Begin now: `from` and `to` are counted from this moment, whether it has begun before or
        not."""
        self._transport.ask("POST", "traffic", self.name, "start")

    def stop(self) -> None:
        """End now, until it is started or reset."""
        self._transport.ask("POST", "traffic", self.name, "stop")

    def reset(self) -> None:
        """Let it be as if it had never been started or stopped."""
        self._transport.ask("POST", "traffic", self.name, "reset")

    @property
    def holds(self) -> bool:
        """True if it holds at this moment."""
        found = self._transport.ask("GET", "traffic", self.name)["traffic"]
        return any(each["holds"] for each in found)


class RemoteEntries(Mapping[str, RemoteTraffic]):
    """The entries of traffic by name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __getitem__(self, name: str) -> RemoteTraffic:
        if name in self._names():
            return RemoteTraffic(name, self._transport)
        raise KeyError(f"there is no traffic {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"<RemoteEntries {list(self)}>"

    def _names(self) -> dict[str, None]:
        known = self._transport.ask("GET", "traffic")["traffic"]
        return dict.fromkeys(each["name"] for each in known if each["name"])
