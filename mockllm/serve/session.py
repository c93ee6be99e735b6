"""Sessions of a server that a program has started, and the base URLs that clients take."""

from __future__ import annotations

from typing import Self, overload

from mockllm.state.session_names import (
    PREFIX,
    describe_mistake,
    is_session_name,
    session_of_credential,
)
from mockllm.state.sessions import COMMON, MAX_PINNED
from mockllm.state.store import (
    BeginSession,
    EndSession,
    Operation,
    Result,
    TooManySessions,
)


class BaseURLs:
    """The base URLs of clients, below one `base_url`."""

    @property
    def base_url(self) -> str:
        """The URL without a trailing slash."""
        raise NotImplementedError

    @property
    def openai_base_url(self) -> str:
        """The `base_url` (or OPENAI_BASE_URL) for the OpenAI SDK: with ``/v1``."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """The `base_url` (or ANTHROPIC_BASE_URL) for the Anthropic SDK: without ``/v1``."""
        return self.base_url


class Session(BaseURLs):
    """A session of a `Server` or `AsyncServer`: requests to its URLs see its state alone.

        with server.session("test-1") as session:
            client = OpenAI(base_url=session.openai_base_url, api_key="any")

    `Server.session` makes it. At the end of the context the session ends: its state is dropped, and
    what still arrives gets a 404.
    """

    def __init__(self, name: str, server: SessionServer) -> None:
        self.name = name
        """The name in the URL, and the value of ``x-mockllm-session``."""
        self._server = server

    @property
    def base_url(self) -> str:
        """The `base_url` of the server with the session: ``http://HOST:PORT/session/NAME``.

        Raises:
            RuntimeError: as the `base_url` of the server does.
        """
        return f"{self._server.base_url}{PREFIX}{self.name}"

    def end(self) -> None:
        """End the session and drop its state. For ten minutes its requests get a 404, unless a test
        begins it again. Without effect on a server that is stopped."""
        self._server._end_session(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"Session({self.name!r})"


class SessionServer(BaseURLs):
    """The part of a server that begins and ends sessions."""

    @overload
    def session(self, name: str) -> Session: ...

    @overload
    def session(self, *, credential: str | bytes) -> Session: ...

    def session(self, name: str | None = None, *, credential: str | bytes | None = None) -> Session:
        """Begin a session and return it, with its base URLs. It stays open until it is ended, or
        not used for an hour. A session that has ended begins anew; one that is open keeps its
        state.

        With `credential` it is the session of the requests with this API key, whichever URL they
        are sent to, if the configuration has ``"session": "credential"``.

        Raises:
            RuntimeError: the server is not started (see `base_url`), or 100,000 sessions are open.
            TypeError, ValueError: the name is invalid, or the configuration does not make sessions
                of credentials.
        """
        if (name is None) == (credential is None):
            raise TypeError("session() takes the name of a session, or credential=")
        if credential is None:
            name = checked_name(name)
        else:
            if not self._has_sessions_by_credential():
                expected = 'credential= needs "session": "credential" in the configuration'
                raise ValueError(f"{expected}; without it, API keys do not tell sessions apart")
            key = credential.encode() if isinstance(credential, str) else credential
            name = session_of_credential(key)
        self._begin_session(name, current=False)
        return Session(name, self)

    def use_session(self, name: str | None) -> None:
        """Begin a session, and make it the one of all requests that name none: an application that
        was started once, with one base URL, needs no change. None is the common session again.

        Raises:
            RuntimeError, TypeError, ValueError: as `session` does.
        """
        self._begin_session(COMMON if name is None else checked_name(name), current=True)

    def _begin_session(self, name: str, *, current: bool) -> None:
        self._check_serving()
        if isinstance(self._perform(BeginSession(name, current)), TooManySessions):
            raise RuntimeError(f"{MAX_PINNED:,} sessions are open; end those whose test is over")

    def _end_session(self, name: str) -> None:
        self._perform(EndSession(name))

    def _check_serving(self) -> None:
        """Raise the RuntimeError of `base_url` if there is one."""
        raise NotImplementedError

    def _perform(self, operation: Operation) -> Result | None:
        """Perform an operation on the state of the server. Without effect if it is not started."""
        raise NotImplementedError

    def _has_sessions_by_credential(self) -> bool:
        """Return True if each API key has a session of its own."""
        raise NotImplementedError


def checked_name(name: object) -> str:
    """Return `name` if it is the valid name of a session.

    Raises:
        TypeError: it is not a string.
        ValueError: it has characters that are not allowed, or too many.
    """
    if not isinstance(name, str):
        raise TypeError(f"a session's name is a string; found {name!r:.100}")
    if not is_session_name(name):
        raise ValueError(f"Invalid session name: {describe_mistake(name)}")
    return name
