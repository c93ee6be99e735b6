"""Questions about state: which of the mocks that match answers, and the refusals if none does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mockllm.engine import decision
from mockllm.engine.decision import (
    CallFunction,
    Decision,
    DividedWork,
    FindElsewhere,
    FindPeer,
    ForwardRequest,
    Question,
    Wait,
)
from mockllm.engine.limiting import abandon
from mockllm.engine.match_cache import Choices, Key
from mockllm.engine.mocks import Table
from mockllm.engine.sources import ScriptedSource
from mockllm.engine.unmatched import UnmatchedError
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.explain import NearMiss
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.state.attempts import RETRY_COUNT, Attempt, attempt_at
from mockllm.state.choosing import Candidate, Exhausted
from mockllm.state.operations import Admit, Choose, Draw, Operation, SessionEnded
from mockllm.state.store import HeldState, Store

MAX_UNDIVIDED = 128 * 1024  # bytes of a request for which an endpoint does not pause

_OUTSIDE = frozenset({ForwardRequest, FindElsewhere, DividedWork, CallFunction, FindPeer, Wait})
"""The operations that are not for a store."""
_new = tuple.__new__  # half the time of the class's own constructor


def choices_of(table: Table, rules: tuple[Rule, ...], key: Key = ()) -> Choices:
    """Return the choices among the mocks of `rules`; `key` is that of the requests they match."""
    candidates = tuple([candidate_of(table, rule) for rule in rules])
    return _new(Choices, (rules, candidates, key))


def choice_among(choices: Choices, request: Request, session: str) -> Choose:
    """Return the operation that chooses the mock that answers the `request` of this `session`. Its
    path is without the session's prefix, and its body tells it from others."""
    return _new(Choose, (session, choices.candidates, attempt_of(request)))


def attempt_of(request: Request) -> Attempt:
    """Return the attempt that a request is."""
    return attempt_at(request.path, request.body, request.first_values.get(RETRY_COUNT))


def draw_for(rule: Rule | None, request: Request, session: str, seed: int) -> Draw:
    """Return the operation that draws what happens to the answer of the mock of `rule`, or to one
    that is no mock's."""
    return draws_for([rule], request, session, seed)[0]


def draws_for(
    rules: Iterable[Rule | None], request: Request, session: str, seed: int
) -> tuple[Draw, ...]:
    """Return the operations that draw what happens to a request, by each of the `rules`."""
    attempt = attempt_of(request)
    labels = ["" if rule is None else rule.label for rule in rules]
    return tuple(Draw(session, seed, label, attempt) for label in labels)


def answer_at_once(decided: Decision | Question, store: Store, now: float) -> Decision | Question:
    """Return the decision, with the operations of questions performed by `store`. A question with
    operations that it does not perform, or not at once, is returned as it is."""
    while isinstance(decided, Question):
        operations = operations_of_store(decided.operations)
        results = None if operations is None else store.perform_at_once(operations, now)
        if results is None:
            break
        try:
            decided = decided.resume(results)
        except BaseException:
            if decided.admission is not None:
                store.post(abandon(decided.admission), now)
            raise
    return decided


def operations_of_store(operations: Sequence[decision.Operation]) -> Sequence[Operation] | None:
    """Return the operations of a question, if a store performs them all; else None."""
    for each in operations:
        if type(each) in _OUTSIDE:
            return None
    return operations  # type: ignore[return-value]  # all of them are those of a store


def begin(
    pieces: Pieces[Decision | Question], leftovers: list[Any] | None = None
) -> Decision | Question:
    """Return the decision that `pieces` make, if there is only one of them; else the question that
    goes on with the others. `leftovers` are those of `DividedWork`.

    Raises:
        RequestError: the first piece does. If another does, `resume` of the question does.
    """
    try:
        next(pieces)
    except StopIteration as end:
        decided: Decision | Question = end.value
        return decided
    return Question((DividedWork(_until_error(pieces), leftovers),), _resume)


def pause_if_large(request: Request) -> Pieces[None]:
    """Pause before a piece of work that takes long and cannot be divided, if `request` is large."""
    if len(request.body) > MAX_UNDIVIDED:
        yield True


def _until_error(
    pieces: Pieces[Decision | Question],
) -> Pieces[Decision | Question | RequestError]:
    """Do `pieces`; the result may be their error."""
    try:
        return (yield from pieces)
    except RequestError as exc:
        return exc


def _resume(results: Sequence[Any]) -> Decision | Question:
    decided: Decision | Question | RequestError = results[0]
    if isinstance(decided, RequestError):
        raise decided
    return decided


def without_pauses(decided: Decision | Question) -> Decision | Question:
    """Return the decision, or the first question that is not about divided work."""
    while isinstance(decided, Question):
        work = decided.operations[0]
        if not isinstance(work, DividedWork):
            break
        decided = decided.resume([finish(work.pieces)])
    return decided


def answer_alone(decided: Decision | Question, store: Store) -> Decision:
    """Return the decision of an engine that asks nobody but `store`, without pauses."""
    while isinstance(decided, Question):
        decided = answer_at_once(without_pauses(decided), store, now=0.0)
    return decided


def in_session(
    decided: Decision | Question, session: str, received: Request
) -> Decision | Question:
    """Return the decision with its `session`. Questions forward the request as it was `received`,
    with the session in its path."""
    if isinstance(decided, Decision):
        return decided._replace(session=session)
    resume = decided.resume
    operations = tuple(
        each._replace(request=received) if isinstance(each, ForwardRequest) else each
        for each in decided.operations
    )
    return decided._replace(
        operations=operations,
        resume=lambda results: in_session(resume(results), session, received),
    )


def admit(
    session: str,
    received: Request,
    decide: Callable[[], Decision | Question],
    refuse: Callable[[RequestError], Decision],
    *,
    in_one_step: bool,
) -> Question:
    """Return the question whether the request that was `received` may be answered in its `session`,
    as `decide` does. What that asks a store first is asked `in_one_step` with it, if nothing else
    is done before. If the session has ended, `refuse` makes the decision."""
    decided = in_session(decide(), session, received) if in_one_step else None
    asked: Sequence[Operation] = ()
    if isinstance(decided, Question):
        asked = operations_of_store(decided.operations) or ()

    def admitted(results: Sequence[Any]) -> Decision | Question:
        if isinstance(results[0], SessionEnded):
            return refuse(session_ended(results[0]))._replace(session=session)
        if decided is None:
            return in_session(decide(), session, received)
        if isinstance(decided, Question) and asked:
            return decided.resume(results[1:])
        return decided

    admission = decided.admission if isinstance(decided, Question) and asked else None
    return Question((Admit(session), *asked), admitted, admission)


def holding_state(
    shared: HeldState | None, decide: Callable[[], Decision | Question]
) -> Decision | Question:
    """Return what `decide` does while no other process uses the `shared` state, or the question
    after which it does. So it may look at the state, and change it, at once."""
    if shared is None:
        return decide()
    if not shared.hold():
        return Question(
            (Wait(shared.hold_later),),
            lambda results: _decide_held(shared, decide, is_held=results[0]),
        )
    return _decide_held(shared, decide, is_held=True)


def _decide_held(
    shared: HeldState, decide: Callable[[], Decision | Question], *, is_held: bool
) -> Decision | Question:
    try:
        decided = decide()
    finally:
        if is_held:
            shared.let_go()
    if isinstance(decided, Decision):
        return decided
    resume = decided.resume
    return decided._replace(resume=lambda results: holding_state(shared, lambda: resume(results)))


def exhausted(rule: Rule, refusal: Exhausted) -> RequestError:
    """Return the 404 of a script that is over, which the official SDKs do not retry."""
    given = "1 answer" if refusal.answers == 1 else f"{refusal.answers:,} answers"
    reason = f"its sequence is exhausted after {given}"
    return UnmatchedError(
        f"The sequence of {rule.label} is exhausted after {given}. Add an entry, or set 'at_end' "
        "to 'pass', 'repeat' or 'restart'.",
        NearMiss(rule, reason, reason),
        code="mock_exhausted",
    )


def session_ended(refusal: SessionEnded) -> RequestError:
    """Return the 404 of a request that comes after the end of its session."""
    return RequestError(
        404,
        f"The session {refusal.session!r} has ended: this request came after its end. Stop "
        "the client at the end of its test, or begin another session.",
        code="session_ended",
    )


def candidate_of(table: Table, rule: Rule) -> Candidate:
    """Return the mock of `rule` as a store knows it."""
    source = table.sources[rule.index]
    if isinstance(source, ScriptedSource):
        return source.candidate
    return Candidate(str(rule.label))  # a plain string, without the parts of the place
