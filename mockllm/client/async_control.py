"""`AsyncControl`: a `Control` whose words are awaited, for programs in an event loop.

The requests are those of `Control`, sent in threads, so that the loop goes on: by asyncio or trio.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Never, Self, TypeVar, Unpack

from anyio import to_thread

from mockllm.client.calls import RemoteCall
from mockllm.client.control import Control, RemoteSession
from mockllm.client.transport import TIMEOUT
from mockllm.client.words import RemoteGate, RemoteMock, RemoteWords
from mockllm.config.added_words import MockWords, expect_keywords
from mockllm.observers.timing import Timing
from mockllm.serve.embedded.checks import WAIT
from mockllm.serve.embedded.session import BaseURLs

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Return the result of `function`, called in a thread. One that is cancelled is left behind."""
    __tracebackhide__ = True
    return await to_thread.run_sync(partial(function, *args, **options), abandon_on_cancel=True)


class AsyncRemoteWords(BaseURLs):
    """A server in another process, or one of its sessions. What `RemoteWords` has as properties are
    methods here, and everything is awaited."""

    _words: RemoteWords

    @property
    def base_url(self) -> str:
        """The URL that clients take, without a trailing slash."""
        return self._words.base_url

    async def calls(self) -> list[RemoteCall]:
        """Return the requests so far, in the order in which they began."""
        return await in_thread(lambda: self._words.calls)

    async def mock(self, name: str) -> AsyncRemoteMock:
        """Return the handle of the mock with this name.

        Raises:
            KeyError: there is none.
        """
        return AsyncRemoteMock(await in_thread(lambda: self._words.mocks[name]))

    async def add(self, *unnamed: Never, **words: Unpack[MockWords]) -> AsyncRemoteMock:
        """Add a mock and return its handle. Raises like `Control.add`."""
        __tracebackhide__ = True
        expect_keywords(unnamed)
        return AsyncRemoteMock(await in_thread(self._words.add, **words))

    async def add_lists(self, lists: Mapping[str, Any]) -> None:
        """Add the mocks of all `lists`, in the form of a file, or none of them."""
        await in_thread(self._words.add_lists, lists)

    def gate(self, name: str) -> AsyncRemoteGate:
        """Return the gate of this name."""
        return AsyncRemoteGate(self._words.gate(name))

    async def clear_calls(self) -> None:
        """Drop all calls so far."""
        await in_thread(self._words.clear_calls)

    async def reset_state(self) -> None:
        """Let all mocks with several answers begin with the first one again."""
        await in_thread(self._words.reset_state)

    async def assert_no_unmatched(self) -> None:
        """Fail if a request was not answered by a mock although it should."""
        __tracebackhide__ = True
        await in_thread(self._words.assert_no_unmatched)

    async def fail_on_errors(self) -> None:
        """Fail with the traceback of the first exception of a function that should have made an
        answer."""
        __tracebackhide__ = True
        await in_thread(self._words.fail_on_errors)

    async def assert_all_called(self) -> None:
        """Fail if a mock was never called, or has answers that were not used."""
        __tracebackhide__ = True
        await in_thread(self._words.assert_all_called)

    async def assert_order(self, *mocks: AsyncRemoteMock | str) -> None:
        """Fail unless the mocks, handles or names, were called in this order: of a mock named once
        its first call counts, of one named again its next. Others may be called in between."""
        __tracebackhide__ = True
        named = [each if isinstance(each, str) else each._mock for each in mocks]
        await in_thread(self._words.assert_order, *named)

    async def describe_calls(self) -> str:
        """Return a list of the calls, a line each, as the texts of failures have it."""
        return await in_thread(self._words.describe_calls)

    async def wait_for_calls(self, count: int, timeout: float = WAIT) -> None:  # noqa: ASYNC109  # a word of `Control`
        """Wait until there have been `count` calls, whose retries do not count, and fail after
        `timeout` seconds."""
        __tracebackhide__ = True
        await in_thread(self._words.wait_for_calls, count, timeout)


class AsyncControl(AsyncRemoteWords):
    """A server in another process, for programs in an event loop: a `Control` whose words are
    awaited. Its arguments are those of `Control`.

        async with AsyncControl("http://127.0.0.1:8000", token=TOKEN) as server:
            weather = await server.add(user={"contains": "weather"}, reply="Sunny")
            ...
            await weather.assert_called_once()
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
        self._control = Control(url, token=token, uds=uds, ssl_context=ssl_context, timeout=timeout)
        self._words = self._control

    async def session(
        self, name: str | None = None, *, credential: str | bytes | None = None
    ) -> AsyncRemoteSession:
        """Begin a session and return it: that of the name or of the API key; without either the
        server chooses a name. Raises like `Control.session`."""
        return AsyncRemoteSession(
            await in_thread(self._control.session, name, credential=credential)
        )

    async def timing(self) -> Timing:
        """Return how the times of paced answers were kept, since the start of the server."""
        return await in_thread(lambda: self._control.timing)

    async def use_session(self, name: str | None) -> None:
        """Begin a session, and make it the one of all requests that name none. None is the common
        session again."""
        await in_thread(self._control.use_session, name)

    async def speed(self) -> float:
        """Return how much faster than real time latencies and traffic are."""
        return await in_thread(lambda: self._control.speed)

    async def set_speed(self, speed: float) -> None:
        """Set the speed: open answers follow at once."""
        await in_thread(setattr, self._control, "speed", speed)

    async def start_traffic(self, name: str) -> None:
        """Let the entries of traffic with this name begin now."""
        await in_thread(lambda: self._control.traffic[name].start())

    async def stop_traffic(self, name: str) -> None:
        """Let the entries of traffic with this name end now."""
        await in_thread(lambda: self._control.traffic[name].stop())

    async def reset_traffic(self, name: str) -> None:
        """Let the entries of traffic be as if they had never been started or stopped."""
        await in_thread(lambda: self._control.traffic[name].reset())

    async def set_traffic(self, entries: list[Any]) -> None:
        """Replace all traffic by `entries`. Raises like `Control.set_traffic`."""
        await in_thread(self._control.set_traffic, entries)

    async def close(self) -> None:
        """Close the connections to the server."""
        await in_thread(self._control.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._control.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"


class AsyncRemoteSession(AsyncRemoteWords):
    """A session of a server in another process, whose words are awaited."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self._words = session
        self.name = session.name
        """The name in the URL, and the value of ``x-mockllm-session``."""
        self.control_token = session.control_token
        """A token by which another `Control` sees and changes this session alone."""

    async def start_traffic(self, name: str) -> None:
        """Let the entries of the server's traffic with this name begin now, in all sessions."""
        await in_thread(lambda: self._session.traffic[name].start())

    async def stop_traffic(self, name: str) -> None:
        """Let the entries of the server's traffic with this name end now, in all sessions."""
        await in_thread(lambda: self._session.traffic[name].stop())

    async def reset_traffic(self, name: str) -> None:
        """Let the entries of the server's traffic be as if they had never been started or
        stopped."""
        await in_thread(lambda: self._session.traffic[name].reset())

    async def end(self) -> None:
        """End the session and drop its state."""
        await in_thread(self._session.end)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class AsyncRemoteMock:
    """One mock of a server in another process: a `RemoteMock` whose words are awaited."""

    def __init__(self, mock: RemoteMock) -> None:
        self._mock = mock
        self.name = mock.name
        """The name of the mock; of one without a name its place."""

    def __repr__(self) -> str:
        return f"<AsyncRemoteMock {self.name!r}>"

    async def remove(self) -> None:
        """Remove a mock that was added. Raises like `RemoteMock.remove`."""
        await in_thread(self._mock.remove)

    async def calls(self) -> list[RemoteCall]:
        """Return the requests that the mock answered, retries included."""
        return await in_thread(lambda: self._mock.calls)

    async def requests(self) -> int:
        """Return the number of requests that the mock answered, retries included."""
        return await in_thread(lambda: self._mock.requests)

    async def call_count(self) -> int:
        """Return the number of calls that the mock answered: retries do not count."""
        return await in_thread(lambda: self._mock.call_count)

    async def assert_called(
        self,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> None:
        """Fail unless the mock was called, `times` times, or within the bounds if there are any."""
        __tracebackhide__ = True
        await in_thread(self._mock.assert_called, times=times, at_least=at_least, at_most=at_most)

    async def assert_called_once(self) -> None:
        """Fail unless the mock was called exactly once; retries do not count."""
        __tracebackhide__ = True
        await in_thread(self._mock.assert_called_once)

    async def assert_not_called(self) -> None:
        """Fail if the mock was called."""
        __tracebackhide__ = True
        await in_thread(self._mock.assert_not_called)

    async def assert_requested(
        self,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> None:
        """Fail unless the mock answered requests, like `assert_called`, but retries count too."""
        __tracebackhide__ = True
        await in_thread(
            self._mock.assert_requested, times=times, at_least=at_least, at_most=at_most
        )


class AsyncRemoteGate:
    """A gate of a server in another process: a `RemoteGate` whose words are awaited."""

    def __init__(self, gate: RemoteGate) -> None:
        self._gate = gate
        self.name = gate.name
        """The name, as ``hold`` of a fault has it."""

    async def release(self) -> None:
        """Let one answer go on, or the next one that comes."""
        await in_thread(self._gate.release)

    async def open(self) -> None:
        """Let all answers go on, those that come later too."""
        await in_thread(self._gate.open)

    async def held(self) -> int:
        """Return the number of answers that are held now."""
        return await in_thread(lambda: self._gate.held)

    async def reached(self, n: int = 1, timeout: float = WAIT) -> None:  # noqa: ASYNC109  # a word of `Gate`
        """Wait until so many answers have come to the gate, held or not. Fail after `timeout`
        seconds."""
        __tracebackhide__ = True
        await in_thread(self._gate.reached, n, timeout)
