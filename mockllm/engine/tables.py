"""Compiles the mocks of each API into its table, and reviews them.

An API has the mocks of its own list, and behind them those of every API with a conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

from mockllm.config.models import AnyMock, Config
from mockllm.engine import calls
from mockllm.engine.conditions import NEVER, compile_match
from mockllm.engine.forms import MAX_FORMS, Form, ReviewedForms, form_of
from mockllm.engine.latency import FILE, compile_latency, set_paces
from mockllm.engine.mock_review import compile_rule, review_mock
from mockllm.engine.mock_sources import NO_SOURCE, fails, looks_back, source_of
from mockllm.engine.mocks import SHARED, Table
from mockllm.engine.pace import Pace
from mockllm.engine.review import unanswerable
from mockllm.engine.review.empty_conditions import empty_conditions
from mockllm.engine.review.impossible import compares_whole, impossible_headers, refused_value
from mockllm.engine.review.mocks import (
    costs,
    duplicate_names,
    not_compared,
    unreachable,
    unserialisable_values,
)
from mockllm.engine.review.replies import (
    Covering,
    hidden_in_apis,
    unusable_arguments,
    wrong_templates,
)
from mockllm.engine.review.surprises import find_surprises
from mockllm.engine.scripts import keys_of
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.errors import Place, Problem, Severity
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.matching.shadowing import find_shadowed
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.validation.findings import Confirm
from mockllm.wire.chunking import Chunk

_CONVERSATIONS = tuple(api for api in APIS if api.respond is not None)
"""The APIs that the mocks of `mocks` answer."""


class _Listed(NamedTuple):
    """A mock with its place, the key of its state if it has some, the mistakes that prevent
    compiling it (values in it that JSON cannot represent, wrong templates), and its form, if that
    is one of those by which mocks are reviewed (`engine.forms`)."""

    mock: AnyMock
    place: Place
    key: str
    mistakes: tuple[Problem, ...]
    form: Form | None


def _listed(mocks: Sequence[AnyMock], list_name: str) -> list[_Listed]:
    """Return the mocks of the list `list_name`."""
    keys = keys_of(list_name, mocks)
    forms: dict[Form | None, Form] = {}  # of mocks without mistakes
    listed: list[_Listed] = []
    for position, mock in enumerate(mocks):
        place = mock.place_in(list_name, position)
        form = form_of(mock)
        mistakes: tuple[Problem, ...] = ()
        if form not in forms:
            mistakes = (*unserialisable_values(mock, place),) or (*wrong_templates(mock, place),)
            if form is not None and not mistakes and len(forms) < MAX_FORMS:
                forms[form] = form
        listed.append(_Listed(mock, place, keys.get(position, ""), mistakes, forms.get(form)))
    return listed


class SharedMocks:
    """The mocks of every API with a conversation: reviewed once, compiled for each API."""

    def __init__(self, config: Config) -> None:
        self.listed = _listed(config.mocks, SHARED)
        self._hidden: list[dict[str, Covering]] = [{} for _ in config.mocks]
        self._never: list[dict[str, str]] = [{} for _ in config.mocks]
        self._require_auth = config.require_auth

    def note_hidden(self, position: int, api: API, covering: Covering) -> None:
        """Note that an earlier mock hides the one at `position` in `api`."""
        self._hidden[position][api.title] = covering

    def note_unanswerable(self, position: int, api: API, reason: str) -> None:
        """Note why the mock at `position` never answers in `api`, whatever comes before it."""
        self._never[position][api.word] = reason

    def problems(self) -> Iterator[Problem]:
        """Yield the problems that do not belong to one API, when all of them are compiled."""
        listed = zip(self.listed, self._hidden, self._never, strict=True)
        for (mock, place, _, mistakes, _), hidden, never in listed:
            answering = [each for each in _CONVERSATIONS if each.word not in never]
            yield from mistakes
            yield from empty_conditions(mock.match, place)
            yield from find_surprises(mock, place)
            for path, written in mock.written():
                yield from unusable_arguments(written, place.at(path), answering)
            yield from unanswerable.shared_problems(mock.match, {} if answering else never, place)
            yield from self._impossible_headers(mock, place, answering)
            yield from hidden_in_apis(hidden, place, apis=len(answering)) if answering else ()
        yield from duplicate_names([each.mock for each in self.listed], SHARED)

    def _impossible_headers(
        self, mock: AnyMock, place: Place, apis: Iterable[API]
    ) -> Iterator[Problem]:
        """Yield the problems that the headers of a mock have in all `apis`: each has credentials of
        its own."""
        found = [
            {*impossible_headers(api, mock, place, require_auth=self._require_auth)} for api in apis
        ]
        yield from sorted(set.intersection(*found) if found else (), key=str)


# --- one API -------------------------------------------------------------------------------------


def compile_table(
    api: API,
    config: Config,
    shared: SharedMocks,
    problems: list[Problem],
    *,
    strict_requests: bool,
) -> Table:
    """Return the mocks of one API: those of its own list, then the `shared` ones. Their problems
    are added to `problems`."""
    own = _listed(getattr(config, api.name), api.name)
    listed = [*own, *(shared.listed if api.respond is not None else ())]
    if not listed:
        return Table(api, (), RuleIndex(()), None, config.stream.chunk)
    confirm = api.sdk().request_confirmer(strict=strict_requests)
    review = _TableReview(api, listed, len(own), shared, confirm, problems)
    rules = review.compile_rules(require_auth=config.require_auth)
    problems += duplicate_names([each.mock for each in own], api.name)
    problems += _hidden(api, rules, listed, len(own), shared)
    problems += costs(rules, [each.place for each in listed])
    sound = [(each.mock, each.place, each.form) for each in own if not each.mistakes]
    problems += calls.results_without_call(api.match_field, sound)
    chunk, pace = config.stream.chunk, compile_latency(config.pace, FILE)
    sources = tuple(
        NO_SOURCE if each.mistakes else _source(api, each, chunk, pace) for each in listed
    )
    return Table(
        api,
        tuple(each.mock for each in listed),
        RuleIndex(rules),
        confirm,
        chunk,
        sources,
        any(map(fails, sources)),
        tuple(each.place for each in listed),
        shared=len(listed) - len(own),
        answers_look_back=any(map(looks_back, sources)),
        elsewhere=RuleIndex(tuple(_of_other_apis(api, listed))),
    )


class _TableReview:
    """Reviews the mocks of one API, and compiles their rules. `listed` begins with those of its own
    list, `own_count` of them. What is found is added to `problems`, or noted in `shared`."""

    def __init__(
        self,
        api: API,
        listed: Sequence[_Listed],
        own_count: int,
        shared: SharedMocks,
        confirm: Confirm,
        problems: list[Problem],
    ) -> None:
        self._api = api
        self._sdk = api.sdk()
        self._listed = listed
        self._own_count = own_count
        self._shared = shared
        self._confirm = confirm
        self._problems = problems
        self._reviewed = ReviewedForms()
        mocks = tuple(each.mock for each in listed)
        self._answered = cache(partial(calls.malformed_in_answers, mocks))  # of all mocks, once

    def compile_rules(self, *, require_auth: bool) -> list[Rule]:
        """Return the rules of the mocks that may answer."""
        rules = (self._compile(index, require_auth) for index in range(len(self._listed)))
        return [rule for rule in rules if rule is not None]

    def _compile(self, index: int, require_auth: bool) -> Rule | None:
        mock, place, _, mistakes, form = self._listed[index]
        if mistakes:
            self._problems += mistakes if index < self._own_count else ()
            if not any(unserialisable_values(mock, place)):  # further checks need valid JSON
                compile_rule(self._api, index, mock, place, self._problems)
            return None
        notes = self._reviewed.notes(form, place)
        if notes is not None:  # of this form a review finds nothing else
            self._problems += notes
            return compile_rule(self._api, index, mock, place, self._problems)
        before = len(self._problems)
        found = [*review_mock(self._api, self._sdk, mock, place, require_auth=require_auth)]
        self._problems += found
        rule = compile_rule(self._api, index, mock, place, self._problems)
        reason = None if rule is None else unanswerable.find_reason(self._api, rule.predicates)
        if reason is not None:
            self._note_unanswerable(index, reason)
        if rule is not None and NEVER in rule.predicates:
            rule = None
        if rule is not None and not any(each.severity is Severity.ERROR for each in found):
            self._review_whole(rule, mock, place)
        if reason is None:
            self._reviewed.add(form, self._problems[before:])
        return rule

    def _note_unanswerable(self, index: int, reason: str) -> None:
        """Note why a mock never answers in this API."""
        if index < self._own_count:
            self._problems.append(unanswerable.never(reason, self._listed[index].place))
        else:
            self._shared.note_unanswerable(index - self._own_count, self._api, reason)

    def _review_whole(self, rule: Rule, mock: AnyMock, place: Place) -> None:
        """Review what a mock compares with the whole of a message or an input, if it does."""
        if compares_whole(rule):
            self._problems += refused_value(self._api, self._confirm, mock, place)
            match_field = self._api.match_field
            self._problems += calls.arguments_in_match(match_field, mock, self._answered, place)


def _of_other_apis(api: API, listed: Sequence[_Listed]) -> Iterator[Rule]:
    """Yield the rules of mocks that would match requests to `api`, were they not restricted to
    other APIs: a request that only those match is explained by them. They have a condition on what
    is said last, or they would explain any request, and none on more than the request's body."""
    for index, (mock, place, _, mistakes, _) in enumerate(listed):
        if mistakes or mock.match.api is None or api.word in mock.match.api:
            continue
        match = mock.match.model_copy(update={"api": None})
        predicates, found = compile_match(api, match, place)
        is_on_more = any(each.header_names or each.looks_back for each in predicates)
        if not found and not is_on_more and any(each.on_message for each in predicates):
            yield Rule(index, place, predicates)


def _hidden(
    api: API, rules: Sequence[Rule], listed: Sequence[_Listed], own_count: int, shared: SharedMocks
) -> Iterator[Problem]:
    """Yield the problems of mocks in the API's own list that earlier ones hide; those of mocks that
    every API has are noted in `shared`. `listed` has the former, `own_count` of them, then the
    latter."""
    missed: list[Rule] = []
    for rule, covering in find_shadowed(rules, missed):
        by_script = listed[covering.index].mock.fails_at_end
        if rule.index < own_count:
            place = listed[rule.index].place
            yield unreachable(covering.label, place, by_script=by_script)
        else:
            is_default = bool(rule.predicates) and not covering.predicates
            hiding = Covering(covering.label, is_default, by_script)
            shared.note_hidden(rule.index - own_count, api, hiding)
    if api is not _CONVERSATIONS[0]:  # those that every API has are told of once
        missed = [rule for rule in missed if rule.index < own_count]
    if missed:
        yield not_compared(missed, [each.place for each in listed])


def _source(
    api: API, listed: _Listed, chunk: Chunk, pace: Pace | None
) -> MockSource | ScriptedSource:
    """Return the source of a mock's answers. `chunk` and `pace` are those of the file."""
    source = source_of(api, listed.mock, chunk, listed.key)
    return set_paces(source, listed.mock, listed.place, pace)
