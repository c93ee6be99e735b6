"""Reviews one mock in one API, and compiles its rule."""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.config.answers import WrittenAnswer
from mockllm.config.models import AnyMock, Mock
from mockllm.engine import calls
from mockllm.engine.conditions import NEVER, compile_match
from mockllm.engine.review.empty_conditions import empty_conditions
from mockllm.engine.review.faults import review_faults
from mockllm.engine.review.impossible import impossible_headers
from mockllm.engine.review.mocks import (
    compares_exactly,
    confirm_events,
    confirm_match,
    confirm_no_error,
    confirm_response,
    contradictions,
    doubtful_error,
    empty_answer,
    impossible_count,
)
from mockllm.engine.review.replies import confirm_reply, unusable_arguments
from mockllm.engine.review.surprises import find_surprises
from mockllm.errors import Place, Problem, Severity
from mockllm.matching.request_predicates import HasInputs
from mockllm.matching.rule import Rule
from mockllm.providers.api import API, SDK


def review_mock(
    api: API, sdk: SDK, mock: AnyMock, place: Place, *, require_auth: bool
) -> Iterator[Problem]:
    """Yield the problems of a mock in one API."""
    yield from review_faults(api, mock, place)
    if isinstance(mock, Mock):
        for path, written in mock.written():
            yield from _review_neutral(api, sdk, written, place.at(path))
        return
    yield from confirm_match(api, sdk, mock, place)
    yield from empty_conditions(mock.match, place)
    yield from find_surprises(mock, place)
    yield from impossible_headers(api, mock, place, require_auth=require_auth)
    for path, written in mock.written():
        at = place.at(path)
        if written.answer is not None:
            yield from _review_response(api, sdk, mock, written, at)
        yield from _review_neutral(api, sdk, written, at)
        yield from unusable_arguments(written, at, [api])
        if written.failure is None:
            yield from confirm_events(api, sdk, written, at)


def _review_neutral(api: API, sdk: SDK, written: WrittenAnswer, place: Place) -> Iterator[Problem]:
    """Yield the problems of an answer in the words of no API, as it is sent by this one."""
    if written.said is not None:
        yield from confirm_reply(api, sdk, written.said, place)
    yield from doubtful_error(api, written, place)


def _review_response(
    api: API, sdk: SDK, mock: AnyMock, written: WrittenAnswer, place: Place
) -> Iterator[Problem]:
    """Yield the problems of a response of `mock`."""
    errors = [*confirm_no_error(api, written, place)]
    yield from errors or confirm_response(api, sdk, written, place)
    yield from contradictions(api, written, place)
    yield from impossible_count(api, mock, written, place)
    yield from () if errors else empty_answer(api, written, place)
    yield from calls.mistakes_in_answer(written, place)


def compile_rule(
    api: API, index: int, mock: AnyMock, place: Place, problems: list[Problem]
) -> Rule | None:
    """Return the rule of a mock; None if it has mistakes, or why it never matches is reported. The
    mistakes are added to `problems`."""
    predicates, found = compile_match(api, mock.match, place)
    problems += found
    if any(problem.severity is Severity.ERROR for problem in found):
        return None
    if NEVER in predicates and found:
        return None
    on_inputs = (HasInputs(answers),) if (answers := _answers(api, mock)) > 1 else ()
    return Rule(index, place, (*predicates, *on_inputs), mock.has_state, mock.passes)


def _answers(api: API, mock: AnyMock) -> int:
    """Return the number of inputs that every answer of `mock` is for; 1 if any number."""
    # What is compared exactly belongs to its response, whatever the number: check warns.
    if api.batch is None or compares_exactly(api, mock):
        return 1
    responses = [written.answer for _, written in mock.written() if written.answer is not None]
    counts = set(map(api.batch.answers, responses))
    return counts.pop() if len(counts) == 1 else 1
