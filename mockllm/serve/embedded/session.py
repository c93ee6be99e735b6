"""Sessions of a server that a program has started, and the base URLs that clients take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Self, TypeVar, overload

from mockllm.engine.added import AddedMock
from mockllm.observers.journal import Record
from mockllm.observers.verification import Subject
from mockllm.serve.embedded.traffic import TrafficHandle
from mockllm.serve.embedded.verifiable import AsyncVerifiable, SyncVerifiable, Verifiable
from mockllm.serve.gates import Gates
from mockllm.state.operations import (
    BeginSession,
    EndSession,
    Operation,
    Reset,
    Result,
    TooManySessions,
)
from mockllm.state.session_names import (
    PREFIX,
    describe_mistake,
    is_session_name,
    session_of_credential,
)
from mockllm.state.sessions import COMMON, MAX_PINNED

T = TypeVar("T")


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


class AnySession(BaseURLs, Verifiable):
    """A session of a server: requests to its URLs see its state alone."""

    def __init__(self, name: str, server: SessionServer[Any]) -> None:
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

    @property
    def control_token(self) -> str:
        """A token by which a `Control` in another process sees and changes this session alone:
        ``Control(session.base_url, token=session.control_token)``.

        Raises:
            RuntimeError: the server is not started, or has no control API (`control` of it).
        """
        return self._server._token_of(self.name)

    @property
    def traffic(self) -> Mapping[str, TrafficHandle]:
        """The entries of `traffic` that have a name, to start and stop them. They are those of the
        server: what is started holds in all sessions.

        Raises:
            RuntimeError: as `base_url` does, when one of them is looked up.
        """
        return self._server._entries_of_traffic()

    def end(self) -> None:
        """End the session and drop its state. For ten minutes its requests get a 404, unless a test
        begins it again. Without effect on a server that is stopped."""
        self._server._end_session(self.name)

    def _end_current(self) -> Mapping[str, int]:
        """End the session, and make the common one current again. Returns the number of answers
        that were held at each gate."""
        return self._server._end_current(self.name)

    def clear_calls(self) -> None:
        """Drop the `calls` of the session so far."""
        self._server._clear_journal(self.name)

    def reset_state(self) -> None:
        """Let all mocks with several answers begin with the first one again, in this session, and
        fill its own rate limits."""
        self._server._perform(Reset(self.name))

    def _read(self) -> Record:
        return self._server._read_journal(self.name)

    def _read_if_kept(self) -> Record | None:
        return self._read() if self._server._keeps_journal() else None

    def _on_gates(self, act: Callable[[Gates, str | None], T]) -> T:
        return self._server._on_gates_of(self.name, act)

    def _subjects(self) -> dict[str, Subject]:
        return self._server._subjects_of(self.name)

    def _has_stopped(self) -> bool:
        return self._server._has_stopped()

    def _is_strict(self) -> bool:
        return self._server._is_strict()

    def _add(self, words: Mapping[str, object]) -> AddedMock:
        return self._server._add_to(self.name, words)

    def _remove(self, added: AddedMock) -> None:
        self._server._remove(added)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Session(AnySession, SyncVerifiable):
    """A session of a `Server`: requests to its URLs see its state alone.

        with server.session("test-1") as session:
            client = OpenAI(base_url=session.openai_base_url, api_key="any")

    `Server.session` makes it. At the end of the context the session ends: its state is dropped, and
    what still arrives gets a 404. Its `calls` can be read until it begins anew.
    """

    def _wait(self, count: int, timeout: float) -> bool:
        return self._server._wait_for_calls(self.name, count, timeout)

    def _wait_for_gate(self, name: str, count: int, timeout: float) -> int:
        return self._server._wait_for_gate_of(self.name, name, count, timeout)


class AsyncSession(AnySession, AsyncVerifiable):
    """A session of an `AsyncServer`: like `Session`, but what waits is awaited. Its context may be
    that of `with` or of `async with`; to begin and to end it waits for nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    async def _wait(self, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # it is the caller's
        return await self._server._await_calls(self.name, count, timeout)

    async def _await_gate(self, name: str, count: int, timeout: float) -> int:  # noqa: ASYNC109  # it is the caller's
        return await self._server._await_gate_of(self.name, name, count, timeout)


S = TypeVar("S", bound=AnySession)


class SessionServer(BaseURLs, Verifiable, Generic[S]):
    """The part of a server that begins and ends sessions, and reads what happened in them."""

    _session_type: type[S]

    @overload
    def session(self, name: str) -> S: ...

    @overload
    def session(self, *, credential: str | bytes) -> S: ...

    def session(self, name: str | None = None, *, credential: str | bytes | None = None) -> S:
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
        return self._session_type(name, self)

    def use_session(self, name: str | None) -> None:
        """Begin a session, and make it the one of all requests that name none: an application that
        was started once, with one base URL, needs no change. None is the common session again.

        Raises:
            RuntimeError, TypeError, ValueError: as `session` does.
        """
        self._begin_session(COMMON if name is None else checked_name(name), current=True)

    def clear_calls(self) -> None:
        """Drop all `calls` so far, those of sessions included."""
        self._clear_journal(None)

    def reset_state(self) -> None:
        """Let all mocks with several answers begin with the first one again, in all sessions, and
        fill all rate limits."""
        self._perform(Reset())

    def _read(self) -> Record:
        return self._read_journal(None)

    def _read_if_kept(self) -> Record | None:
        return self._read() if self._keeps_journal() else None

    def _on_gates(self, act: Callable[[Gates, str | None], T]) -> T:
        return self._on_gates_of(None, act)

    def _subjects(self) -> dict[str, Subject]:
        return self._subjects_of(None)

    def _add(self, words: Mapping[str, object]) -> AddedMock:
        return self._add_to(None, words)

    def _begin_session(self, name: str, *, current: bool) -> None:
        self._check_serving()
        if isinstance(self._begin(BeginSession(name, current)), TooManySessions):
            raise RuntimeError(f"{MAX_PINNED:,} sessions are open; end those whose test is over")

    def _end_session(self, name: str) -> None:
        self._perform(EndSession(name))

    def _entries_of_traffic(self) -> Mapping[str, TrafficHandle]:
        """Return the handles of the entries of traffic by name."""
        raise NotImplementedError

    def _token_of(self, session: str) -> str:
        """Return the token of a session. Raises like `control_token`."""
        raise NotImplementedError

    def _check_serving(self) -> None:
        """Raise the RuntimeError of `base_url` if there is one."""
        raise NotImplementedError

    def _perform(self, operation: Operation) -> Result | None:
        """Perform an operation on the state of the server. Without effect if it is not started."""
        raise NotImplementedError

    def _read_journal(self, session: str | None) -> Record:
        """Return what the journal has of a session, or of all.

        Raises:
            RuntimeError: the server was never started, or keeps no journal.
        """
        raise NotImplementedError

    def _clear_journal(self, session: str | None) -> None:
        """Drop what the journal has of a session, or all. Raises like `_read_journal`."""
        raise NotImplementedError

    def _end_current(self, session: str) -> Mapping[str, int]:
        """Do what `AnySession._end_current` does."""
        raise NotImplementedError

    def _subjects_of(self, session: str | None) -> dict[str, Subject]:
        """Return the mocks by name, with their progress in a session.

        Raises:
            RuntimeError: the server was never started.
        """
        raise NotImplementedError

    def _add_to(self, session: str | None, words: Mapping[str, object]) -> AddedMock:
        """Add a mock to a session, or to all. Raises like `add`."""
        raise NotImplementedError

    async def _await_calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # it is the caller's
        """Wait until there are `count` calls in a session, or in all. Returns False if there were
        not after `timeout` seconds, or when the server stopped. Raises like `base_url`."""
        raise NotImplementedError

    def _wait_for_calls(self, session: str | None, count: int, timeout: float) -> bool:
        """Do what `_await_calls` does, from another thread than that of the server's loop."""
        raise NotImplementedError

    def _keeps_journal(self) -> bool:
        """Return True if requests are recorded."""
        raise NotImplementedError

    def _on_gates_of(self, session: str | None, act: Callable[[Gates, str | None], T]) -> T:
        """Return the result of `act`, called in the loop of the server with its gates and the
        session. Raises like `_on_gates`."""
        raise NotImplementedError

    async def _await_gate_of(
        self,
        session: str | None,
        name: str,
        count: int,
        timeout: float,  # noqa: ASYNC109  # it is the caller's
    ) -> int:
        """Wait until `count` answers have come to a gate of a session, or of all. Returns how many
        have: fewer after `timeout` seconds, or when the server stopped. Raises like `_on_gates`."""
        raise NotImplementedError

    def _wait_for_gate_of(self, session: str | None, name: str, count: int, timeout: float) -> int:
        """Do what `_await_gate_of` does, from another thread than that of the server's loop."""
        raise NotImplementedError

    def _begin(self, operation: BeginSession) -> Result | None:
        """Begin a session, and drop what the journal has of it unless it is open."""
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
