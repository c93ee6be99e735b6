"""The words that a server and each of its sessions have in common: calls, handles of mocks,
assertions.

A failure is an AssertionError with a text that explains itself, so pytest shows no frame of this
module below the line of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Never, Self, TypeVar, Unpack

from mockllm.config.added_words import MockWords, expect_keywords
from mockllm.engine.added import AddedMock
from mockllm.errors import ConfigError, closest, did_you_mean
from mockllm.observers import verification
from mockllm.observers.calls import Call
from mockllm.observers.journal import Record
from mockllm.observers.subjects import subject_of
from mockllm.observers.verification import Subject, Times
from mockllm.serve.embedded.checks import WAIT, check_waiting, fail
from mockllm.serve.embedded.gate_handles import AsyncGate, Gate
from mockllm.serve.embedded.mock_assertions import MockAssertions
from mockllm.serve.functions import frames_below
from mockllm.serve.gates import Gates

T = TypeVar("T")


class Verifiable:
    """A server or a session. Every method may be called from any thread."""

    @property
    def calls(self) -> list[Call]:
        """The requests so far, in the order in which they began, with what became of them. It is
        bounded: the latest are kept (`journal` of the server).

        A call is there before its client can have read the last byte of the answer. One that is
        still being answered is not.
        """
        return self._read().calls

    @property
    def mocks(self) -> Mapping[str, MockHandle]:
        """The mocks by their names; those without a name by their places (``openai[3]``)."""
        return Mocks(self)

    def add(self, *unnamed: Never, **words: Unpack[MockWords]) -> MockHandle:
        """Add a mock and return its handle. It answers the requests that begin from now on.

            weather = server.add(user={"contains": "weather"}, reply="Sunny")

        The keywords are the keys of a mock and of its `match`, as in a file; `match` may be given
        whole instead, and ``not`` is `not_`. `headers` as a list and `stream` as true or false are
        conditions. Without `response`, `message`, `input` or `events` the mock answers every API,
        else `api` names the one whose form they have.

        Mocks of a session answer before those of the server, which answer before those of the
        configuration; of each, the one that was added first, unless a later one has ``first=True``.
        Those of a session end with it.

        Raises:
            ConfigError: the mock has mistakes; the error has all of them.
            RuntimeError: the server is not started, or the session has ended.
        """
        __tracebackhide__ = True
        expect_keywords(unnamed)
        try:
            return MockHandle.of(self._add(words), self)
        except ConfigError as exc:
            raise exc.with_traceback(None) from None

    def clear_calls(self) -> None:
        """Drop all `calls` so far."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Let all mocks with several answers begin with the first one again."""
        raise NotImplementedError

    def assert_no_unmatched(self) -> None:
        """Fail if a request was not answered by a mock although it should: no mock held, a sequence
        was over, the server failed, or its session had ended; with `strict_requests` of the server
        also if it was invalid."""
        __tracebackhide__ = True
        fail(verification.unmatched(self._read(), strict=self._is_strict()))

    def fail_on_errors(self) -> None:
        """Raise the first exception of a function that should have made an answer, with its own
        traceback."""
        __tracebackhide__ = True
        error = _first_error(self._read())
        if error is not None:
            raise error

    def assert_all_called(self) -> None:
        """Fail if a mock was never called, or has answers that were not used."""
        __tracebackhide__ = True
        record, subjects = self._read(), self._subjects()
        fail(verification.not_called(record, list(subjects.values())))

    def assert_order(self, *mocks: MockHandle | str) -> None:
        """Fail unless the mocks, handles or names, were called in this order: of a mock named once
        its first call counts, of one named again its next. Others may be called in between."""
        __tracebackhide__ = True
        handles = [self.mocks[each] if isinstance(each, str) else each for each in mocks]
        record, known = self._read(), self._subjects()
        fail(verification.wrong_order(record, [handle._subject(known) for handle in handles]))

    def describe_calls(self) -> str:
        """Return a list of the `calls`, a line each, as the texts of failures have it."""
        return verification.report(self._read())

    def _why_unanswered(self) -> str | None:
        """Do what `fail_on_errors` does, and return the text with which `assert_no_unmatched` would
        fail: both with one reading of the calls."""
        __tracebackhide__ = True
        record = self._read()
        error = _first_error(record)
        if error is not None:
            raise error
        return verification.unmatched(record, strict=self._is_strict())

    def _read(self) -> Record:
        """Return what the journal has of the server or the session."""
        raise NotImplementedError

    def _read_if_kept(self) -> Record | None:
        """Return what `_read` does; None if no journal is kept."""
        raise NotImplementedError

    def _has_stopped(self) -> bool:
        """Return True if the server does not run."""
        raise NotImplementedError

    def _on_gates(self, act: Callable[[Gates, str | None], T]) -> T:
        """Return the result of `act`, called in the loop of the server with its gates and the name
        of the session, None for all.

        Raises:
            RuntimeError: the server is not started, or the session has ended.
        """
        raise NotImplementedError

    def _subjects(self) -> dict[str, Subject]:
        """Return the mocks of the server and the session by name."""
        raise NotImplementedError

    def _is_strict(self) -> bool:
        """Return True if invalid requests fail a test."""
        raise NotImplementedError

    def _add(self, words: Mapping[str, object]) -> AddedMock:
        """Add a mock; see `add`."""
        raise NotImplementedError

    def _remove(self, added: AddedMock) -> None:
        """Remove a mock that was added. Without effect on a server that is stopped."""
        raise NotImplementedError


class SyncVerifiable(Verifiable):
    """A server or a session for synchronous tests."""

    def wait_for_calls(self, count: int, timeout: float = WAIT) -> None:
        """Wait until there have been `count` calls, whose retries do not count, and fail after
        `timeout` seconds."""
        __tracebackhide__ = True
        check_waiting(count, timeout, "a number of calls")
        if not self._wait(count, timeout):
            is_stopped = self._has_stopped()
            fail(verification.too_few(self._read(), count, timeout, is_stopped=is_stopped))

    def gate(self, name: str) -> Gate:
        """Return the gate with this name, at which mocks hold their answers
        (``"fault": {"hold": "gate-1"}``).

        Raises:
            TypeError, ValueError: the name is invalid.
        """
        return Gate(name, self)

    def _wait(self, count: int, timeout: float) -> bool:
        """Return False if there were not `count` calls after `timeout` seconds, or when the server
        stopped."""
        raise NotImplementedError

    def _wait_for_gate(self, name: str, count: int, timeout: float) -> int:
        """Return how many answers have come to a gate: fewer than `count` after `timeout` seconds,
        or when the server stopped."""
        raise NotImplementedError


class AsyncVerifiable(Verifiable):
    """A server or a session for tests in an event loop."""

    async def wait_for_calls(self, count: int, timeout: float = WAIT) -> None:  # noqa: ASYNC109  # a word of `SyncVerifiable`
        """Wait until there have been `count` calls, whose retries do not count, and fail after
        `timeout` seconds."""
        __tracebackhide__ = True
        check_waiting(count, timeout, "a number of calls")
        if not await self._wait(count, timeout):
            is_stopped = self._has_stopped()
            fail(verification.too_few(self._read(), count, timeout, is_stopped=is_stopped))

    def gate(self, name: str) -> AsyncGate:
        """Return the gate with this name, like `SyncVerifiable.gate`."""
        return AsyncGate(name, self)

    async def _wait(self, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # a word of `SyncVerifiable`
        """Return False if there were not `count` calls after `timeout` seconds, or when the server
        stopped."""
        raise NotImplementedError

    async def _await_gate(self, name: str, count: int, timeout: float) -> int:  # noqa: ASYNC109  # a word of `SyncVerifiable`
        """Do what `SyncVerifiable._wait_for_gate` does."""
        raise NotImplementedError


class MockHandle(MockAssertions):
    """One mock, as a test asks about it: in a session, only the requests of that session count.

    A call and the retries of it that an SDK makes are one call, and several requests.
    """

    def __init__(self, name: str, owner: Verifiable, subject: Subject | None = None) -> None:
        self.name = name
        """The name of the mock; of one without a name its place."""
        self._owner = owner
        self._added: AddedMock | None = None
        self._own = subject

    @classmethod
    def of(cls, added: AddedMock, owner: Verifiable) -> Self:
        """Return the handle of a mock that was added."""
        subject = subject_of(added)
        handle = cls(subject.name, owner, subject)
        handle._added = added
        return handle

    def __repr__(self) -> str:
        return f"<MockHandle {self.name!r}>"

    def remove(self) -> None:
        """Remove a mock that was added: it answers no further request. Its calls stay. Without
        effect if it was removed before, or its session has ended.

        Raises:
            TypeError: the mock is the configuration's.
        """
        if self._added is None:
            raise TypeError(f"{self.name!r} was not added by this handle, so it cannot be removed")
        self._owner._remove(self._added)

    @property
    def calls(self) -> list[Call]:
        """The requests that the mock answered, retries included."""
        subject = self._subject()
        return [call for call in self._owner.calls if subject.answered(call)]

    @property
    def requests(self) -> int:
        """The number of requests that the mock answered, retries included."""
        return len(self.calls)

    @property
    def call_count(self) -> int:
        """The number of calls that the mock answered: the retries of a call do not count."""
        subject = self._subject()
        return len(verification.calls_among(self._owner.calls, subject.answered))

    @property
    def called(self) -> bool:
        """True if the mock answered a request."""
        return bool(self.calls)

    def _assert_number(self, times: Times, *, requests: bool) -> None:
        __tracebackhide__ = True
        record, subject = self._owner._read(), self._subject()
        fail(verification.wrong_number(record, subject, times, requests=requests))

    def _subject(self, known: Mapping[str, Subject] | None = None) -> Subject:
        """Return the mock for verification; `known` are the mocks of its owner, if it has asked."""
        subjects = self._owner._subjects() if known is None else known
        if self._own is None:
            return subjects[self.name]
        same = subjects.get(self.name)  # it is gone if the mock was removed
        return self._own if same is None else self._own._replace(progress=same.progress)


class Mocks(Mapping[str, MockHandle]):
    """The handles of mocks by name."""

    def __init__(self, owner: Verifiable) -> None:
        self._owner = owner

    def __getitem__(self, name: str) -> MockHandle:
        __tracebackhide__ = True
        known = self._owner._subjects()
        if name in known:
            return MockHandle(name, self._owner)
        hint = did_you_mean(closest(name, known))
        raise KeyError(f"there is no mock {name!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner._subjects())

    def __len__(self) -> int:
        return len(self._owner._subjects())

    def __repr__(self) -> str:
        return f"<Mocks {list(self)}>"


def _first_error(record: Record) -> BaseException | None:
    """Return the first exception of a function that should have made an answer, with its own
    traceback."""
    for call in record.calls:
        if call.error is not None:
            # which has further ones if it was raised from here before
            return call.error.with_traceback(frames_below(call.error.__traceback__, __name__))
    return None
