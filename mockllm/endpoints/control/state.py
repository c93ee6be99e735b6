"""The operations of changes on the state of mocks and sessions, which a store performs once, in
whichever process: what they mean for the changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mockllm.endpoints.control.refusals import ControlError
from mockllm.engine.changes import (
    AddMock,
    Change,
    CloseSession,
    OpenGate,
    OpenSession,
    ReleaseGate,
    RemoveMock,
    ResetMocks,
)
from mockllm.engine.decision import Decision, Question
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.state.operations import (
    BeginSession,
    CountAnswers,
    EndSession,
    IsOpen,
    Operation,
    Reset,
    TooManySessions,
)
from mockllm.state.sessions import MAX_PINNED


def operations_of(changes: Iterable[Change]) -> list[Operation]:
    """Return the operations that a store performs for changes, before these are made."""
    found: dict[Operation, None] = {}  # each once: many mocks may be added to one session
    for change, *_ in _alike(changes):
        found.update(dict.fromkeys(_operations(change)))
    return [*found]


def settle(changes: Sequence[Change], results: Sequence[Any]) -> list[Change]:
    """Return the changes as the results of their operations have them.

    Raises:
        ControlError: 404, a session is not open; 409, too many are.
    """
    operations = operations_of(changes)
    if not operations:
        return [*changes]
    known = dict(zip(operations, results, strict=False))  # less, if one refuses
    settled: list[Change] = []
    for change, *others in _alike(changes):
        settled.append(_settle(change, [known.get(each) for each in _operations(change)]))
        settled += others
    return settled


def _alike(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes, each by itself, but mocks that are added to one session together: their
    operations are the same, and settle none of them differently."""
    alike: list[Change] = []
    for change in changes:
        if not (alike and isinstance(change, AddMock) and _goes_with(change, alike[0])):
            if alike:
                yield alike
            alike = []
        alike.append(change)
    if alike:
        yield alike


def _goes_with(change: AddMock, other: Change) -> bool:
    return isinstance(other, AddMock) and other.session == change.session


def _operations(change: Change) -> tuple[Operation, ...]:
    match change:
        case OpenSession():
            session = change.session
            return (IsOpen(session), BeginSession(session, change.current))
        case CloseSession(session):
            return (EndSession(session),)
        case ResetMocks(within):
            return (Reset(within),)
        case RemoveMock(_, key) if key:
            return (Reset(keys=frozenset({key})),)
        case AddMock(_, str() as session):
            return (IsOpen(session),)
        case ReleaseGate(str() as session, _) | OpenGate(str() as session, _):
            return (IsOpen(session),)
    return ()


def _settle(change: Change, results: Sequence[Any]) -> Change:
    match change, results:
        case OpenSession(), [was_open, refusal]:
            if isinstance(refusal, TooManySessions):
                message = f"{MAX_PINNED:,} sessions are open; end those whose test is over"
                raise ControlError(409, "too_many_sessions", message)
            return change._replace(is_new=not was_open)
        case ((AddMock() | ReleaseGate() | OpenGate()), [False]):
            raise not_open(change.session or "")
    return change


def not_open(session: str) -> ControlError:
    """Return a 404: of a session that is not open, nothing would remain."""
    message = f"The session {session!r} is not open: begin it with PUT /sessions/{session}"
    return ControlError(404, "session_not_open", message)


def count_answers(
    sources: Iterable[MockSource | ScriptedSource],
    session: str | None,
    go_on: Callable[[Callable[[str], int]], Decision | Question],
) -> Decision | Question:
    """Return what `go_on` makes of a function that tells how many answers the mock with a key has
    given in a session, or in that in which it has given most; or the question before it."""
    scripts = [each for each in sources if isinstance(each, ScriptedSource)]
    keys = tuple(dict.fromkeys(each.candidate.key for each in scripts))
    if not keys:
        return go_on(lambda key: 0)

    def resume(results: Sequence[Any]) -> Decision | Question:
        given = dict(zip(keys, results[0], strict=True))
        return go_on(lambda key: given[key])

    return Question((CountAnswers(keys, session),), resume)
