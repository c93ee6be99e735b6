"""Makes the answers of sources that do not have them ready: in pieces, or by a function of the
author, which is a question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mockllm.engine.asked import Asked
from mockllm.engine.asking import begin
from mockllm.engine.decision import Answer, CallFunction, Decision, Question, Trouble
from mockllm.engine.faults import FINAL
from mockllm.engine.made_reply import MAX_SMALL, MadeReplyError
from mockllm.engine.sources import FunctionSource, MadeSource, ReplySource, Source
from mockllm.errors import RequestError
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces

Decide = Callable[[Answer | MadeReplyError], Pieces[Decision]]
"""Decides by an answer, or by the error if it cannot be made, in pieces."""


def make_answer(
    source: Source, asked: Asked, now: Callable[[], float], decide: Decide
) -> Decision | Question:
    """Return the decision by the answer of `source` to a request, or the question before it. `now`
    tells the time that is spent on it, in seconds."""
    if not isinstance(source, FunctionSource):
        return begin(_make(source, asked, now, decide))

    def returned(results: Sequence[Any]) -> Decision | Question:
        try:
            answering = source.returned(results[0])
        except MadeReplyError as exc:
            return begin(decide(exc))
        return make_answer(answering, asked, now, decide)

    return Question((call_of(source, asked),), returned)


def make_in_pieces(source: Source, asked: Asked, now: Callable[[], float]) -> Pieces[Answer]:
    """Return the answer of `source`, which is no function, made in pieces.

    Raises:
        MadeReplyError: it cannot be made.
    """
    if isinstance(source, MadeSource):
        return (yield from source.make(asked, now))
    if isinstance(source, ReplySource):
        answer = yield from source.answer_in_pieces(asked.prompt)
    else:
        answer = source.answer(asked.prompt)
    is_own = answer.number is None  # a function has returned it
    if is_own and (answer.is_large or answer.own_size > MAX_SMALL):
        yield True
    return answer


def call_of(source: FunctionSource, asked: Asked) -> CallFunction:
    """Return the operation of calling the function of `source`."""
    return CallFunction(source.function, asked.view(), source.source_of)


def could_not_make(rule: Rule, error: MadeReplyError) -> tuple[RequestError, Trouble]:
    """Return the 500 of an answer that could not be made, which the official SDKs do not retry, and
    what is told in the log."""
    place = f"{rule.label}: {error.path}"
    refusal = RequestError(500, f"{place}: {error.reason}", code="mock_failed", headers=FINAL)
    return refusal, Trouble(place, error.reason, error.shown)


def _make(
    source: Source, asked: Asked, now: Callable[[], float], decide: Decide
) -> Pieces[Decision]:
    made: Answer | MadeReplyError
    try:
        made = yield from make_in_pieces(source, asked, now)
    except MadeReplyError as exc:
        made = exc
    return (yield from decide(made))
