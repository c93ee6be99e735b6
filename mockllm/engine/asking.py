"""Questions about state: which of the mocks that match answers, and the refusals if none does."""

from __future__ import annotations

from collections.abc import Sequence

from mockllm.engine.decision import Decision, ForwardRequest, Question
from mockllm.engine.mocks import Table
from mockllm.engine.sources import ScriptedSource
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.rule import Rule
from mockllm.state.attempts import RETRY_COUNT, attempt_at
from mockllm.state.choosing import Candidate, Exhausted
from mockllm.state.store import Choose, SessionEnded, Store


def choice_among(table: Table, rules: Sequence[Rule], request: Request, session: str) -> Choose:
    """Return the operation that chooses among the mocks of `rules`, which match the `request` of
    this `session`. Its path is without the session's prefix, and its body tells it from others."""
    retry_count = request.first_values.get(RETRY_COUNT)
    attempt = attempt_at(request.path, request.body, retry_count)
    return Choose(session, tuple(_candidate(table, rule) for rule in rules), attempt)


def answer_at_once(decided: Decision | Question, store: Store, now: float) -> Decision | Question:
    """Return the decision, with the operations of questions performed by `store`. A question with
    operations that it does not perform is returned as it is."""
    while isinstance(decided, Question):
        operations = [each for each in decided.operations if not isinstance(each, ForwardRequest)]
        if len(operations) < len(decided.operations):
            break
        decided = decided.resume(store.perform(operations, now))
    return decided


def exhausted(rule: Rule, refusal: Exhausted) -> RequestError:
    """Return the 404 of a script that is over, which the official SDKs do not retry."""
    given = "1 answer" if refusal.answers == 1 else f"{refusal.answers:,} answers"
    return RequestError(
        404,
        f"The sequence of {rule.label} is exhausted after {given}. Add an entry, or set 'at_end' "
        "to 'pass', 'repeat' or 'restart'.",
        code="mock_exhausted",
    )


def session_ended(refusal: SessionEnded) -> RequestError:
    """Return the 404 of a request that comes after the end of its session."""
    return RequestError(
        404,
        f"The session {refusal.session!r} has ended: this request came after its end. A test that "
        "goes on must begin a session with another name.",
        code="session_ended",
    )


def _candidate(table: Table, rule: Rule) -> Candidate:
    source = table.sources[rule.index]
    return source.candidate if isinstance(source, ScriptedSource) else Candidate(rule.label)
