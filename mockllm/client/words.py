"""The words that a server in another process and each of its sessions have in common: calls, mocks,
assertions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Never, NoReturn, Unpack

from mockllm.client.calls import RemoteCall
from mockllm.client.transport import Transport
from mockllm.config.added_words import PLACE, MockWords, expect_keywords
from mockllm.config.fault import checked_gate_name
from mockllm.config.objects import ConfigObject
from mockllm.endpoints.control.verify import MAX_WAIT
from mockllm.errors import ConfigError, Problem, RemoteError, closest, did_you_mean
from mockllm.observers.selection import is_id
from mockllm.observers.verification import Times
from mockllm.serve.embedded.checks import WAIT, check_waiting
from mockllm.serve.embedded.mock_assertions import MockAssertions
from mockllm.serve.embedded.session import BaseURLs

NOT_OPEN = "session_not_open"
"""The code of the error that a session must be open for what is asked."""


class RemoteWords(BaseURLs):
    """A server in another process, or one of its sessions. Every method may be called from any
    thread, and raises a RemoteError if the server cannot be reached or refuses it."""

    strict_requests = False
    """True if invalid requests fail `assert_no_unmatched`."""

    def __init__(self, transport: Transport, session: str | None) -> None:
        self._transport = transport
        self._session = session

    @property
    def calls(self) -> list[RemoteCall]:
        """The requests so far, in the order in which they began."""
        return self._calls()

    @property
    def mocks(self) -> Mapping[str, RemoteMock]:
        """The mocks by their names; those without a name by their places (``openai[3]``)."""
        return RemoteMocks(self)

    def add(self, *unnamed: Never, **words: Unpack[MockWords]) -> RemoteMock:
        """Add a mock, in the words of `Server.add`, and return its handle. Functions cannot be
        sent, and templates need ``--control-templates``.

        Raises:
            ConfigError: the mock has mistakes; the error has all of them.
            RuntimeError: the session has ended.
            TypeError: a value has no form in JSON.
        """
        __tracebackhide__ = True
        expect_keywords(unnamed)
        body = {name: plain(value) for name, value in words.items()}
        try:
            added = self._ask("POST", "mocks", body=body)
        except ConfigError as exc:
            raise ConfigError(tuple(map(_placed, exc.problems))) from None
        return RemoteMock(added["name"], self, added["id"])

    def add_lists(self, lists: Mapping[str, Any]) -> None:
        """Add the mocks of all `lists` (``{"mocks": [...], "openai": [...]}``), in the form of a
        file, or none of them. Raises like `add`."""
        self._ask("POST", "mocks", body=lists)

    def gate(self, name: str) -> RemoteGate:
        """Return the gate of this name."""
        return RemoteGate(name, self)

    def clear_calls(self) -> None:
        """Drop all `calls` so far."""
        self._ask("DELETE", "calls")

    def reset_state(self) -> None:
        """Let all mocks with several answers begin with the first one again."""
        self._ask("POST", "reset")

    def assert_no_unmatched(self) -> None:
        """Fail if a request was not answered by a mock although it should; with `strict_requests`
        also if it was invalid."""
        __tracebackhide__ = True
        self._verify("no_unmatched", strict_requests=self.strict_requests)

    def fail_on_errors(self) -> None:
        """Fail with the traceback of the first exception of a function that should have made an
        answer."""
        __tracebackhide__ = True
        for call in self._calls(unmatched="true"):
            if call.traceback:
                raise AssertionError(call.traceback)

    def _why_unanswered(self) -> str | None:
        """Do what `fail_on_errors` does, and return the text with which `assert_no_unmatched` would
        fail."""
        __tracebackhide__ = True
        self.fail_on_errors()
        try:
            self.assert_no_unmatched()
        except AssertionError as exc:
            return str(exc)
        return None

    def assert_all_called(self) -> None:
        """Fail if a mock was never called, or has answers that were not used."""
        __tracebackhide__ = True
        self._verify("all_called")

    def assert_order(self, *mocks: RemoteMock | str) -> None:
        """Fail unless the mocks, handles or names, were called in this order: of a mock named once
        its first call counts, of one named again its next. Others may be called in between."""
        __tracebackhide__ = True
        if mocks:
            names = [each if isinstance(each, str) else each.id for each in mocks]
            self._verify("order", mocks=names)

    def describe_calls(self) -> str:
        """Return a list of the `calls`, a line each, as the texts of failures have it."""
        report: str = self._ask("GET", "report")
        return report.removesuffix("\n")

    def wait_for_calls(self, count: int, timeout: float = WAIT) -> None:
        """Wait until there have been `count` calls, whose retries do not count, and fail after
        `timeout` seconds."""
        __tracebackhide__ = True
        check_waiting(count, timeout, "a number of calls")
        self._wait("calls", timeout, count=count)

    def _calls(self, **filters: str) -> list[RemoteCall]:
        found = [RemoteCall(each, self._transport) for each in self._list("calls", filters)]
        return sorted(found, key=lambda call: call.started)

    def _list(self, what: str, filters: Mapping[str, str]) -> Iterator[Any]:
        """Yield all that the server lists, page by page."""
        after, more = 0, True
        while more:
            page = self._ask("GET", what, query={**filters, "after": after})
            yield from page[what]
            after, more = page["next"], page["more"]

    def _verify(self, what: str, **members: Any) -> Any:
        __tracebackhide__ = True
        failure: str
        try:
            return self._ask("POST", "verify", body={"assert": what, **members})
        except AssertionError as exc:
            failure = str(exc)
        raise AssertionError(failure)

    def _wait(self, what: str, timeout: float, **members: Any) -> None:
        """Have the server wait. It does so for a minute at most, so longer waits are divided."""
        __tracebackhide__ = True
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > MAX_WAIT:
            body = {"assert": what, **members, "timeout": MAX_WAIT}
            try:
                self._ask("POST", "verify", body=body, patience=MAX_WAIT)
            except AssertionError:
                continue
            return
        self._verify_waiting(what, max(left, 0.0), timeout, members)

    def _verify_waiting(
        self, what: str, left: float, timeout: float, members: Mapping[str, Any]
    ) -> None:
        __tracebackhide__ = True
        body = {"assert": what, **members, "timeout": left}
        failure: str
        try:
            self._ask("POST", "verify", body=body, patience=left)
        except AssertionError as exc:
            failure = str(exc).replace(f" within {left:g} s", f" within {timeout:g} s", 1)
        else:
            return
        raise AssertionError(failure)

    def _ask(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str | int | None] | None = None,
        body: Any = None,
        patience: float = 0.0,
    ) -> Any:
        """Return the answer to a request about this session, or about all.

        Raises:
            RuntimeError: the session has ended, and is needed for what is asked.
        """
        __tracebackhide__ = True
        scoped = {**(query or {}), "session": self._session}
        try:
            return self._transport.ask(method, *path, query=scoped, body=body, patience=patience)
        except RemoteError as exc:
            if exc.code != NOT_OPEN:
                raise
            raise RuntimeError(f"the session {self._session!r} has ended") from exc


class RemoteMock(MockAssertions):
    """One mock of a server in another process, as a test asks about it, in the words of a
    `MockHandle`. In a session, only the requests of that session count."""

    def __init__(self, name: str, owner: RemoteWords, mock_id: str) -> None:
        self.name = name
        """The name of the mock; of one without a name its place."""
        self.id = mock_id
        """What tells it from others of its name."""
        self._owner = owner

    def __repr__(self) -> str:
        return f"<RemoteMock {self.name!r}>"

    def remove(self) -> None:
        """Remove a mock that was added: it answers no further request. Its calls stay. Without
        effect if it was removed before, or its session has ended.

        Raises:
            RemoteError: the mock is the configuration's.
        """
        try:
            self._owner._ask("DELETE", "mocks", self.id)
        except RemoteError as exc:
            if exc.status != 404:
                raise

    @property
    def calls(self) -> list[RemoteCall]:
        """The requests that the mock answered, retries included."""
        return self._owner._calls(mock=self.id)

    @property
    def requests(self) -> int:
        """The number of requests that the mock answered, retries included."""
        return self._count("requests")

    @property
    def call_count(self) -> int:
        """The number of calls that the mock answered: the retries of a call do not count."""
        return self._count("calls")

    @property
    def called(self) -> bool:
        """True if the mock answered a request."""
        return self.requests > 0

    def _assert_number(self, times: Times, *, requests: bool) -> None:
        __tracebackhide__ = True
        exactly, least, most = times
        numbers = {"times": exactly, "at_least": least, "at_most": most}
        given = {name: number for name, number in numbers.items() if number is not None}
        self._owner._verify("requested" if requests else "called", mock=self.id, **given)

    def _count(self, what: str) -> int:
        found: int = self._owner._verify("called", mock=self.id, at_least=0)[what]
        return found


class RemoteMocks(Mapping[str, RemoteMock]):
    """The handles of mocks by name."""

    def __init__(self, owner: RemoteWords) -> None:
        self._owner = owner

    def __getitem__(self, name: str) -> RemoteMock:
        __tracebackhide__ = True
        known = self._known()
        if name in known:
            return RemoteMock(name, self._owner, known[name] if is_id(name) else name)
        hint = did_you_mean(closest(name, known))
        raise KeyError(f"there is no mock {name!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return f"<RemoteMocks {list(self)}>"

    def _known(self) -> dict[str, str]:
        """The ids of the mocks by their names."""
        return {each["name"]: each["id"] for each in self._owner._list("mocks", {})}


class RemoteGate:
    """A gate of a server in another process, or of one of its sessions: the words of a `Gate`."""

    def __init__(self, name: str, owner: RemoteWords) -> None:
        self.name = checked_gate_name(name)
        """The name, as ``hold`` of a fault has it."""
        self._owner = owner

    def __repr__(self) -> str:
        return f"<RemoteGate {self.name!r}>"

    def release(self) -> None:
        """Let one answer go on: the one that has been held longest, or, if none is, the next one
        that comes.

        Raises:
            RuntimeError: the session has ended.
        """
        self._owner._ask("POST", "gates", self.name, "release")

    def open(self) -> None:
        """Let all answers go on, those that come later too. Raises like `release`."""
        self._owner._ask("POST", "gates", self.name, "open")

    @property
    def held(self) -> int:
        """The number of answers that are held now."""
        found: int = self._owner._ask("GET", "gates")["held"].get(self.name, 0)
        return found

    def reached(self, n: int = 1, timeout: float = WAIT) -> None:
        """Wait until so many answers have come to the gate, held or not, since its session began.
        Fail after `timeout` seconds. Raises like `release`."""
        __tracebackhide__ = True
        check_waiting(n, timeout, "a number of answers")
        self._owner._wait("gate", timeout, gate=self.name, count=n)


def _placed(problem: Problem) -> Problem:
    """Return a mistake in an added mock with its place, as `Server.add` has it."""
    return problem if problem.place else replace(problem, place=PLACE)


def plain(value: Any) -> Any:
    """Return a value of Python in the form that a file has.

    Raises:
        TypeError: it has none, such as a function.
    """
    match value:
        case ConfigObject():
            return value.model_dump(
                mode="json", by_alias=True, exclude_unset=True, fallback=_refuse
            )
        case Mapping():
            return {name: plain(member) for name, member in value.items()}
        case list() | tuple():
            return [plain(member) for member in value]
        case str() | int() | float() | None:
            return value
        case _:
            return _refuse(value)


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{value!r:.100} cannot be sent to another process")
