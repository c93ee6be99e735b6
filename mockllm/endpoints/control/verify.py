"""``POST /verify``: the assertions of tests, made where the calls are.

    {"assert": "called", "mock": "ask", "times": 1}      {"assert": "requested", "at_least": 2, ...}
    {"assert": "order", "mocks": ["ask", "tell"]}        {"assert": "no_unmatched"}
    {"assert": "all_called"}                             {"assert": "credential", "call": 3, ...}
    {"assert": "calls", "count": 2, "timeout": 5}        {"assert": "gate", "gate": "g", "count": 1}

The last two wait for what is asserted.

What holds is a 200, what does not is a 409 whose message is the text of the failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from mockllm.config.mistakes import contradiction
from mockllm.endpoints.control.answers import answer, plain_text
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.gates import checked_gate
from mockllm.endpoints.control.mocks import are_many, find_mock, hint
from mockllm.endpoints.control.refusals import ControlError, not_found
from mockllm.endpoints.control.request import ControlBody, ControlRequest
from mockllm.endpoints.control.state import count_answers, not_open
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.engine.sources import ScriptedSource
from mockllm.observers import verification
from mockllm.observers.journal import Record
from mockllm.observers.selection import is_id, mock_id, number_of
from mockllm.observers.subjects import Answered, subject_of, subjects_of
from mockllm.observers.verification import Subject, Times
from mockllm.state.operations import IsOpen

MAX_WAIT = 60.0  # seconds; who wants to wait longer asks again

Number = Annotated[StrictInt, Field(ge=0)]
GateName = Annotated[str, AfterValidator(checked_gate)]


class Assertion(ControlBody):
    """The body of ``POST /verify``."""

    assert_: Annotated[
        Literal[
            "called",
            "requested",
            "order",
            "no_unmatched",
            "all_called",
            "calls",
            "gate",
            "credential",
        ],
        Field(validation_alias="assert", serialization_alias="assert"),
    ]
    """What is asserted."""
    mock: str | None = None
    """Of ``called`` and ``requested``: the name or the id of a mock."""
    times: Number | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    mocks: Annotated[Sequence[str], Field(min_length=1)] | None = None
    """Of ``order``: the names or ids of mocks."""
    strict_requests: StrictBool = False
    """Of ``no_unmatched``: whether invalid requests count."""
    count: Number | None = None
    """Of ``calls``: how many there are, whose retries do not count. Of ``gate``: how many answers
    have reached it, by default one."""
    timeout: Annotated[StrictFloat, Field(ge=0, le=MAX_WAIT)] = 5.0
    """Of ``calls`` and ``gate``: seconds that are waited for them."""
    gate: GateName | None = None
    """Of ``gate``: its name."""
    call: Number | None = None
    """Of ``credential``: the number of a call."""
    credential: str | None = None
    """Of ``credential``: what was sent with it."""

    @model_validator(mode="after")
    def _has_its_members(self) -> Self:
        kind = self.assert_
        given = self.model_fields_set - {"assert_"}
        needed, allowed = _MEMBERS[kind]
        for name in sorted(given - needed - allowed):
            raise contradiction(f"does not belong to {kind!r}", name)
        for name in sorted(needed - given):
            raise contradiction(f"{kind!r} needs {name!r}")
        if self.times is not None and (self.at_least, self.at_most) != (None, None):
            raise contradiction("cannot be combined with 'at_least' or 'at_most'", "times")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise contradiction("no number is at least 'at_least' and at most 'at_most'")
        return self


_TIMES = frozenset({"times", "at_least", "at_most"})
_NOTHING: frozenset[str] = frozenset()
_MEMBERS = {
    "called": (frozenset({"mock"}), _TIMES),
    "requested": (frozenset({"mock"}), _TIMES),
    "order": (frozenset({"mocks"}), _NOTHING),
    "no_unmatched": (_NOTHING, frozenset({"strict_requests"})),
    "all_called": (_NOTHING, _NOTHING),
    "calls": (frozenset({"count"}), frozenset({"timeout"})),
    "gate": (frozenset({"gate"}), frozenset({"count", "timeout"})),
    "credential": (frozenset({"call", "credential"}), _NOTHING),
}
"""The members that each assertion needs, and those that it may have."""


def verify(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer whether an assertion holds.

    Raises:
        ControlError: 400, 403, 404; 409, it does not hold, or there is no journal.
    """
    session = asked.scope(common=True)
    wanted = asked.read(Assertion)
    if wanted.assert_ == "gate":
        return _wait_for_gate(desk, wanted, session)
    if wanted.assert_ == "calls":
        return _wait_for_calls(desk, wanted, session)

    _ = desk.calls  # or nothing can be told
    if wanted.assert_ in ("no_unmatched", "credential"):
        return desk.verify(session, lambda record: _judge(record, wanted, []))
    seen, again = desk.server.seen(session), desk.server.seen(session)

    def find_sources() -> Sequence[ScriptedSource]:
        return [each.source for each in seen if isinstance(each.source, ScriptedSource)]

    def compare(answered: Answered) -> Decision | Question:
        def find() -> Sequence[Subject]:
            return _subjects(desk, wanted, session, subjects_of(again, answered))

        def verify(subjects: Sequence[Subject]) -> Decision | Question:
            return desk.verify(
                session, lambda record: _judge(record, wanted, subjects), mocks=len(subjects)
            )

        return desk.work(asked, find, verify, is_large=are_many(desk))

    return desk.work(
        asked,
        find_sources,
        lambda sources: count_answers(sources, session, compare),
        is_large=are_many(desk),
    )


def _subjects(
    desk: Desk, wanted: Assertion, session: str | None, known: Mapping[str, Subject]
) -> Sequence[Subject]:
    """Return the mocks that an assertion is about. `known` are all of them by their names.

    Raises:
        ControlError: 404.
    """
    if wanted.assert_ == "all_called":
        return [*known.values()]
    names = wanted.mocks if wanted.assert_ == "order" else [wanted.mock or ""]
    return [_subject(desk, name, session, known) for name in names or ()]


def _judge(record: Record, wanted: Assertion, subjects: Sequence[Subject]) -> Decision:
    """Answer whether an assertion about calls holds."""
    match wanted.assert_:
        case "called" | "requested":
            return _count(record, subjects[0], wanted)
        case "order":
            failure = verification.wrong_order(record, subjects)
        case "no_unmatched":
            failure = verification.unmatched(record, strict=wanted.strict_requests)
        case "all_called":
            failure = verification.not_called(record, subjects)
        case _:
            failure = _wrong_credential(record, wanted)
    return _answer(failure)


def _count(record: Record, subject: Subject, wanted: Assertion) -> Decision:
    """Answer whether a mock was called as often as expected, and how often it was."""
    requests = wanted.assert_ == "requested"
    counts = verification.count_answered(record, subject)
    failure = verification.wrong_number(
        record, subject, _times(wanted), requests=requests, counts=counts
    )
    if failure is not None:
        return _answer(failure)
    return answer({"holds": True, **counts._asdict()})


def report(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the list of the calls, a line each, as the texts of failures have it.

    Raises:
        ControlError: 400, 403, 409.
    """
    return desk.verify(
        asked.scope(common=True),
        lambda record: plain_text(f"{verification.report(record)}\n"),
    )


def _wait_for_calls(desk: Desk, wanted: Assertion, session: str | None) -> Question:
    count, timeout = wanted.count or 0, wanted.timeout

    def resume(results: Sequence[Any]) -> Decision | Question:
        (in_time,) = results
        if in_time:
            return _answer(None)
        is_stopped = desk.gates.is_stopped

        def fail(record: Record) -> Decision:
            return _answer(verification.too_few(record, count, timeout, is_stopped=is_stopped))

        return desk.verify(session, fail)

    _ = desk.calls  # or there is nothing to wait for
    return Question((Wait(lambda: desk.waiting.calls(session, count, timeout)),), resume)


def _wait_for_gate(desk: Desk, wanted: Assertion, session: str | None) -> Question:
    name, timeout = wanted.gate or "", wanted.timeout
    count = 1 if wanted.count is None else wanted.count

    def fail(record: Record | None) -> Decision:
        found = desk.gates.reached(session, name)
        failure = verification.not_reached(
            record, name, count, timeout, found, is_stopped=desk.gates.is_stopped
        )
        return _answer(failure)

    def resume(results: Sequence[Any]) -> Decision | Question:
        (in_time,) = results
        if in_time:
            return _answer(None)
        return fail(None) if desk.journal is None else desk.verify(session, fail)

    waiting = Question((Wait(lambda: desk.waiting.gate(session, name, count, timeout)),), resume)
    return waiting if session is None else _once_open(session, waiting)


def _once_open(session: str, waiting: Question) -> Question:
    """Return the question whether a session is open, and what is asked then.

    Raises:
        ControlError: 404, it is not.
    """

    def wait(results: Sequence[Any]) -> Question:
        (is_open,) = results
        if not is_open:
            raise not_open(session)
        return waiting

    return Question((IsOpen(session),), wait)


def _answer(failure: str | None) -> Decision:
    if failure is not None:
        raise ControlError(409, "assertion_failed", failure)
    return answer({"holds": True})


def _times(wanted: Assertion) -> Times:
    if wanted.times is None and wanted.at_least is None and wanted.at_most is None:
        return Times(at_least=1)
    return Times(wanted.times, wanted.at_least, wanted.at_most)


def _wrong_credential(record: Record, wanted: Assertion) -> str | None:
    call = next((each for each in record.calls if each.number == wanted.call), None)
    if call is None:
        raise not_found(f"call {wanted.call}")
    if call.sent_credential(wanted.credential or ""):
        return None
    return f"call {wanted.call} was not sent with this credential"


def _subject(desk: Desk, name: str, session: str | None, known: Mapping[str, Subject]) -> Subject:
    """Return the mock with an id or a name, for verification. One that was removed is still known
    by its id.

    Raises:
        ControlError: 404.
    """
    owner = desk.server.views.find(number_of(name)) if is_id(name) else None
    if owner is not None and (session is None or owner[0] in (None, session)):
        added = find_mock(desk, name, session).added
        assert added is not None  # or it would have no such id
        subject = subject_of(added)
        same = known.get(subject.name)
        return subject if same is None else subject._replace(progress=same.progress)
    is_removed = is_id(name) and owner is None and number_of(name) <= desk.server.views.highest
    if name not in known and is_removed:
        return Subject(name, lambda call: mock_id(call) == name)
    if name not in known:
        raise not_found(f"mock {name!r:.100}", hint(name, [*known]))
    return known[name]
