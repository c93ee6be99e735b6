"""Checks of faults: places that an answer does not have, and what was surely meant otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from mockllm.config.answers import WrittenAnswer
from mockllm.config.durations import find_suspicious
from mockllm.config.fault import Fault, Position
from mockllm.config.mistakes import json_path
from mockllm.config.models import AnyMock, Mock
from mockllm.engine.decision import PlannedFault
from mockllm.engine.failures import why_no_error
from mockllm.engine.faults import disrupt, written_tokens
from mockllm.engine.mock_sources import source_of
from mockllm.engine.sources import FixedSource, MockSource, entries_of, render
from mockllm.errors import Place, Problem, warning
from mockllm.exchange import Reply
from mockllm.pieces import finish
from mockllm.prompt import NOT_STREAMED, STREAMED
from mockllm.providers.api import API
from mockllm.providers.failures import Failure
from mockllm.replies.fault_places import NoSuchPlaceError
from mockllm.wire import placeholders

_ANY_MODEL = "any-model"


def review_faults(api: API, mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Yield the problems of the faults of a mock in one API. A place that the answer has neither
    whole nor as a stream is an error: every such answer would be a 500."""
    written = [*mock.entries(), *([("", mock)] if mock.has_answer else ())]
    if not any(each.faults for _, each in [*written, ("", mock)]):
        return
    if mock.match.api is not None and api.word not in mock.match.api:
        return
    for path, problem in _suspicious(mock, written):
        yield warning(place.at(path), problem)
    sources = entries_of(source_of(api, mock, "word"))
    for (path, each), source in zip(written, sources, strict=True):
        owner, path = (each, path) if each.faults else (mock, "")
        for (where, fault), planned in zip(_listed(owner, path), source.fixed.faults, strict=True):
            no_error = why_no_error(api, planned.failure)
            if no_error is not None:
                yield Problem(place.at(f"{where}.error"), no_error)
                continue
            several = _is_of_several_apis(mock)
            reason = impossible_place(api, fault, several=several)
            reason = reason or _missing(api, source, planned)
            if reason is not None:
                yield Problem(place.at(f"{where}.after"), reason)


def _listed(written: WrittenAnswer, path: str) -> Iterator[tuple[str, Fault]]:
    """Yield the faults beside an answer at `path`, each with its own path."""
    start = f"{path}.fault".removeprefix(".")
    for number, fault in enumerate(written.faults):
        yield (f"{start}[{number}]" if isinstance(written.fault, list) else start), fault


def _suspicious(
    mock: AnyMock, written: Sequence[tuple[str, WrittenAnswer]]
) -> Iterator[tuple[str, str]]:
    for path, each in [*(pair for pair in written if pair[0]), ("", mock)]:
        for where, fault in _listed(each, path):
            for part, message in find_suspicious(fault):
                yield json_path([where, *part]), message


def impossible_place(api: API, fault: Fault, *, several: bool) -> str | None:
    """Return why no answer of `api` has the place of a fault, if so. `several` is True if the fault
    is that of answers of several APIs."""
    position = fault.position
    if position is not None and position.is_of_one_api and several:
        name = "event" if position.event is not None else _counted(position)
        return (
            f"{name!r} is another moment in each API: write 'tokens' or a word such as "
            '"first_token", or add "api" to \'match\''
        )
    has_kinds = api.anatomy is not None and api.anatomy.has_kinds
    if position is not None and position.event is not None and not has_kinds:
        return f'the events of {api.title} have no type: write {{"events": ...}}'
    return None


def _counted(position: Position) -> str:
    return "events" if position.events is not None else "bytes"


def _is_of_several_apis(mock: AnyMock) -> bool:
    apis = mock.match.api
    return isinstance(mock, Mock) and (apis is None or len(apis) > 1)


def _missing(api: API, source: MockSource, planned: PlannedFault) -> str | None:
    """Return what an answer has instead of the place of a fault, if that is known before there is a
    request."""
    if not isinstance(source, FixedSource):
        return None
    reasons: list[str] = []
    for options in (STREAMED, NOT_STREAMED):
        answer = source.fixed
        if answer.failure is None:
            reply = render(api, answer, options)
        else:
            reply = api.vendor.render_failure(answer.failure, api.failures, _ANY_MODEL)
        reply = placeholders.fill(reply, model=_ANY_MODEL, input_tokens=1)
        try:
            tokens = written_tokens(api, answer.response)
            render_failure = partial(_rendered, api)
            finish(disrupt(reply, (planned,), api.anatomy, render_failure, tokens))
        except NoSuchPlaceError as exc:
            reasons.append(str(exc))
        else:
            return None
    return reasons[0]


def _rendered(api: API, failure: Failure) -> Reply:
    return api.vendor.render_failure(failure, api.failures, _ANY_MODEL)
