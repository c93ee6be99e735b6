"""Compiles mocks that are added while a server runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mockllm.config.added_words import arrange
from mockllm.config.models import AnyMock, Config, Mock
from mockllm.engine.conditions import NEVER
from mockllm.engine.latency import set_paces
from mockllm.engine.mock_review import compile_rule, review_mock
from mockllm.engine.mock_sources import source_of
from mockllm.engine.mocks import SHARED
from mockllm.engine.pace import Pace
from mockllm.engine.review.mocks import unserialisable_values
from mockllm.engine.review.replies import wrong_templates
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.errors import ConfigError, Place, Problem, Severity
from mockllm.matching.index import RuleIndex, count_look_ups
from mockllm.matching.rule import Rule
from mockllm.providers import APIS
from mockllm.wire.chunking import Chunk

LIST = "added"
"""The name of the list that added mocks are in, in messages: ``added[3] 'greet'``."""
FIRST_INDEX = 1 << 40
"""The index of the rules of the first added mock, above those of every configuration. Those of
later ones are above it or, if they come before the others, below."""


MAX_LOOK_UPS = 200
"""Alternatives of a condition, such as the texts of an ``any_of``, up to which a mock is indexed
with others: 20,000 of them take 100 ms."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An added mock in one API."""

    rule: Rule
    source: MockSource | ScriptedSource
    index: RuleIndex | None = None
    """The index of the rule alone, if that takes long to build."""


@dataclass(frozen=True, slots=True)
class AddedMock:
    """A mock that was added. `number` differs from that of all others of the server; `by_api` has
    its compiled form in each API in which it may answer."""

    number: int
    place: Place
    """Its place in messages: its position among the mocks that its session sees."""
    mock: AnyMock
    by_api: Mapping[str, Compiled]
    is_first: bool
    words: Mapping[str, object]
    """Its words, as they were given to `compile_added`, with the `field`."""
    field: str | None = None
    warnings: tuple[Problem, ...] = ()
    """Likely mistakes, which do not prevent serving it."""
    is_slow: bool = False
    """True if it takes long to prepare the search for it (`Predicate.is_slow`)."""
    names_call: bool = False
    """True if a rule prefers the result of one call (`Rule.call_id`)."""

    @property
    def name(self) -> str:
        """Its name; that of one without a name is its place."""
        return self.place.name or str(self.place)

    @property
    def id(self) -> str:
        """What tells it from all other mocks of the server, whatever their names and places."""
        return _id_of(self.number)

    @property
    def indices(self) -> frozenset[int]:
        """The indices of its rules, which no other mock has."""
        return frozenset(each.rule.index for each in self.by_api.values())

    @property
    def index(self) -> int:
        """The index of its rules, which no other mock has: that of an earlier one is lower."""
        return index_of(self.number, is_first=self.is_first)

    @property
    def is_large(self) -> bool:
        """True if it is indexed already, which takes long."""
        return any(each.index is not None for each in self.by_api.values())

    @property
    def has_state(self) -> bool:
        """True if it has several answers."""
        return any(isinstance(each.source, ScriptedSource) for each in self.by_api.values())

    def at_position(self, position: int) -> AddedMock:
        """Return the mock with another position, which others may have taken while it was
        compiled."""
        if position == self.place.position:
            return self
        place = Place(field=LIST, position=position, name=self.place.name)
        by_api = {
            api: replace(each, rule=replace(each.rule, label=place), index=None)
            for api, each in self.by_api.items()
        }
        warnings = tuple(
            replace(each, place=place.at(each.place.path))
            if isinstance(each.place, Place)
            else each
            for each in self.warnings
        )
        return replace(self, place=place, by_api=by_api, warnings=warnings)


def prepare(*, strict_requests: bool = False) -> None:
    """Derive what `compile_added` needs of the SDKs' types, which may take seconds, before requests
    are answered. With `strict_requests`, the server rejects requests that those do not allow."""
    for api in APIS:
        sdk = api.sdk()
        sdk.request_confirmer(strict=strict_requests)
        sdk.known_members()
        # wrong values, so that what explains findings is there, too
        sdk.confirm_match([None])
        sdk.confirm_response({})
        sdk.confirm_event({})


def compile_added(
    words: Mapping[str, object],
    number: int,
    *,
    position: int | None = None,
    field: str | None = None,
    chunk: Chunk = "word",
    pace: Pace | None = None,
    strict: bool = False,
    strict_requests: bool = False,
) -> AddedMock:
    """Return the mock that `words` describe (`config.added_words`), or the one that they are in the
    list `field` of a configuration, if that is given. In messages it has the `position`, by default
    its number. `chunk` and `pace` are those of the configuration; with `strict`, likely mistakes
    are mistakes; with `strict_requests`, the server rejects requests that the types of the SDKs do
    not allow.

    The answer of a mock of every API is not held against the types of the SDKs unless `strict`:
    this takes longer than everything else, and finds next to nothing in what has no vendor's form.

    Raises:
        ConfigError: the mock has mistakes.
    """
    given = field
    field, value, is_first = arrange(words) if field is None else (field, words, False)
    mock = _validated(field, value, number if position is None else position)
    place = mock.place
    index = index_of(number, is_first=is_first)
    apis = [api for api in APIS if field == api.name or (field == SHARED and api.respond)]
    problems = [*unserialisable_values(mock, place)] or [*wrong_templates(mock, place)]
    by_api: dict[str, Compiled] = {}
    for api in apis if not problems else ():
        if strict or not isinstance(mock, Mock):
            problems += review_mock(api, api.sdk(), mock, place, require_auth=False)
        api.sdk().request_confirmer(strict=strict_requests)  # here, or the next request would wait
        rule = compile_rule(api, index, mock, place, problems)
        if rule is not None and NEVER not in rule.predicates:
            key = Place(field=LIST, position=number, name=mock.name)
            source = set_paces(source_of(api, mock, chunk, _id_of(number)), mock, key, pace)
            index_alone = RuleIndex((rule,)) if count_look_ups(rule) > MAX_LOOK_UPS else None
            by_api[api.name] = Compiled(rule, source, index_alone)
    if not problems and not by_api:
        problems.append(Problem(place.at("match"), "no request to any API can meet it"))
    warnings = _warnings(problems, strict=strict)
    rules = [each.rule for each in by_api.values()]
    is_slow = any(predicate.is_slow for rule in rules for predicate in rule.predicates)
    return AddedMock(
        number,
        place,
        mock,
        by_api,
        is_first,
        words,
        given,
        warnings,
        is_slow=is_slow,
        names_call=any(rule.call_id for rule in rules),
    )


def _warnings(problems: Iterable[Problem], *, strict: bool) -> tuple[Problem, ...]:
    """Return the warnings among `problems`.

    Raises:
        ConfigError: some of them are errors or, with `strict`, warnings.
    """
    found = dict.fromkeys(each for each in problems if each.severity is not Severity.NOTE)
    if any(strict or problem.severity is Severity.ERROR for problem in found):
        raise ConfigError(tuple(found))
    return tuple(found)


def id_of(rule: Rule) -> str:
    """Return what tells the mock of a rule from all others: of one that was added, its number
    (``added[3]``), because others may have its name and its position in messages."""
    if rule.index < FIRST_INDEX // 2:
        return str(rule.label)
    is_first = rule.index < FIRST_INDEX
    return _id_of(FIRST_INDEX - 1 - rule.index if is_first else rule.index - FIRST_INDEX)


def index_of(number: int, *, is_first: bool) -> int:
    """Return the index of the rules of the mock with this number."""
    return FIRST_INDEX - 1 - number if is_first else FIRST_INDEX + number


def _id_of(number: int) -> str:
    return f"{LIST}[{number}]"


def _validated(field: str, value: Mapping[str, object], position: int) -> AnyMock:
    """Return the mock with its place, `LIST` and its position."""
    try:
        config = Config.from_dict({field: [value]})
    except ConfigError as exc:
        raise ConfigError(tuple(_placed(problem, position) for problem in exc.problems)) from None
    mock: AnyMock = getattr(config, field)[0]
    mock.read_from(Place(field=LIST, position=position, name=mock.name))
    return mock


def _placed(problem: Problem, position: int) -> Problem:
    place = problem.place
    if not isinstance(place, Place):
        return problem
    own = Place(field=LIST, position=position, name=place.name, path=place.path)
    return replace(problem, place=own)
