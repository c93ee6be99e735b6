"""Compiles the conditions of a mock's `match` to predicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import orjson
from pydantic import ValidationError

from mockllm.config import conditions as words
from mockllm.config import foreign_words, mistakes
from mockllm.config.conditions import Conditions, HeaderMatch, MatchType
from mockllm.config.values import without_own_keys
from mockllm.errors import Place, Problem, closest, did_you_mean, warning
from mockllm.matching.body_values import (
    AllValues,
    AnyValue,
    BodyHas,
    Canonical,
    ValueEquals,
    ValueTest,
    ValueText,
)
from mockllm.matching.expressions import Matches
from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.matching.json_path import read_path
from mockllm.matching.logic import AllOf, AnyOf, Not
from mockllm.matching.predicate import Predicate
from mockllm.matching.request_predicates import (
    Counter,
    CountIs,
    NoTools,
    OffersAnyTool,
    OffersTool,
    Streams,
    SystemContains,
)
from mockllm.matching.subjects import Subject
from mockllm.matching.text_predicates import MessageIs, ResultIs, TextIs
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Contains,
    EndsWith,
    Equals,
    StartsWith,
    TextTest,
)
from mockllm.providers.api import API, CannotMatch
from mockllm.wire import json_encoding, jsontext

HIDDEN = "…"
"""Stands for the value of a header."""
NEVER = AnyOf(())
"""The condition that holds for no request."""
_OF_MESSAGE = frozenset({"message", "input", "match_type"})
"""The fields of a match that are not words of every API."""


def compile_match(
    api: API, match: Conditions, place: Place
) -> tuple[tuple[Predicate, ...], list[Problem]]:
    """Return the predicates of `match`, that of the mock at `place`, for requests to `api`, and
    what is wrong with it. The predicates contain `NEVER` if no request to this API can match."""
    compiler = _Compiler(api, place, [])
    return tuple(compiler.predicates(match, "match")), compiler.problems


@dataclass(frozen=True, slots=True)
class _Compiler:
    api: API
    place: Place
    problems: list[Problem]

    def predicates(self, match: Conditions, path: str) -> Iterator[Predicate]:
        """The predicates of one match, which is at `path` in its mock. Those on the last turn come
        first: they tell which rule is the nearest."""
        message = getattr(match, self.api.match_field, None)
        if message is not None:
            contains = getattr(match, "match_type", None) is MatchType.CONTAINS
            compile_message = self.api.compile_match
            field = self.api.match_field
            yield from self._checked(
                lambda each: [compile_message(each, contains)], message, path, field
            )
        if match.model_fields_set <= _OF_MESSAGE:  # as in most mocks
            return
        for word, compile_word in _WORDS.items():
            value = getattr(match, word)
            if value is not None:
                yield from self._checked(compile_word, value, path, word.rstrip("_"))
        yield from map(SystemContains, getattr(match, "system_contains", ()))
        yield from map(OffersTool, getattr(match, "tool_names", ()))
        yield from self._body(match.body or {}, path)
        yield from map(_header, match.headers)
        if match.api is not None and self.api.word not in match.api:
            yield NEVER
        for index, inner in enumerate(match.all_of or ()):
            yield from self.predicates(inner, f"{path}.all_of[{index}]")
        if match.any_of is not None:
            yield AnyOf(
                tuple(
                    _as_one(self.predicates(inner, f"{path}.any_of[{index}]"))
                    for index, inner in enumerate(match.any_of)
                )
            )
        if match.not_ is not None:
            unwanted = self.predicates(match.not_, f"{path}.not")
            yield Not(_as_one(unwanted), _shown(match.not_))

    def _body(self, values: dict[str, Any], path: str) -> Iterator[Predicate]:
        for key, value in values.items():
            if key.startswith("_"):  # the author's own, but $ begins a path
                continue
            unusual = next(jsontext.find_unserialisable(value), None)
            if unusual is not None:
                self.problems.append(Problem(self._at(path, "body", key), unusual[1]))
                continue
            yield from self._checked(partial(_body_has, key), value, path, "body", key)

    def _checked(
        self, compile_word: Callable[[Any], Iterable[Predicate]], value: Any, *path: str
    ) -> list[Predicate]:
        try:
            return list(compile_word(value))
        except CannotMatch as exc:
            self.problems.append(warning(self._at(*path), str(exc)))
            return [NEVER]
        except ValueError as exc:
            self.problems.append(Problem(self._at(*path), str(exc)))
            return []

    def _at(self, *path: str) -> Place:
        """Return a place in the mock. It is made only of what is wrong: it takes 2 µs."""
        return reduce(Place.at, path, self.place)


def _shown(match: Conditions) -> str:
    """Return `match` as written, without the values of headers: they are logged, and some are
    secret."""
    written = match.model_dump(mode="json", exclude_unset=True)
    todo: list[Any] = [written]
    while todo:
        each = todo.pop()
        for header in each.get("headers", ()):
            header["value"] = HIDDEN
        inner = (*(each.get("all_of") or ()), *(each.get("any_of") or ()), each.get("not"))
        todo += [conditions for conditions in inner if conditions]
    return orjson.dumps(written).decode()


def _as_one(predicates: Iterable[Predicate]) -> Predicate:
    found = tuple(predicates)
    return found[0] if len(found) == 1 else AllOf(found)


# --- texts ---------------------------------------------------------------------------------------


def _text_test(value: Any) -> TextTest:
    """Compile a `config.conditions.Text`.

    Raises:
        ValueError: an expression is not one of RE2, or google-re2 is missing.
    """
    if isinstance(value, str):
        return Equals(value)
    if not isinstance(value, words.TextMatch):
        tests = tuple(map(_text_test, value))
        return tests[0] if len(tests) == 1 else AnyTest(tests)
    tests = tuple(
        make(given, value.ignore_case)
        for word, make in _TESTS.items()
        if (given := getattr(value, word)) is not None
    )
    return tests[0] if len(tests) == 1 else AllTests(tests)


_TESTS: dict[str, Callable[[str, bool], TextTest]] = {
    "exact": Equals,
    "starts_with": StartsWith,
    "ends_with": EndsWith,
    "contains": Contains,
    "regex": Matches,
}


def _optional_test(value: Any) -> TextTest | None:
    return None if value is None else _text_test(value)


def _text_is(subject: Subject) -> Callable[[Any], Iterable[Predicate]]:
    return lambda value: [TextIs(subject, _text_test(value))]


# --- the words -----------------------------------------------------------------------------------


def _result_is(value: Any) -> Iterable[Predicate]:
    if not isinstance(value, words.ToolResultMatch):
        return [ResultIs(_text_test(value))]
    text, name, call_id = map(_optional_test, (value.text, value.name, value.call_id))
    return [ResultIs(text, name, call_id, value.error)]


def _message_is(value: Any) -> Iterable[Predicate]:
    if not isinstance(value, words.MessageMatch):
        return [MessageIs(_text_test(value))]
    return [MessageIs(_optional_test(value.text), value.role)]


def _tools(value: Any) -> Iterable[Predicate]:
    if isinstance(value, words.AnyTool):
        return [OffersAnyTool(frozenset(value.any))]
    return map(OffersTool, value) if value else [NoTools()]


def _count_is(counter: Counter) -> Callable[[Any], Iterable[Predicate]]:
    def compile_count(value: Any) -> Iterable[Predicate]:
        if isinstance(value, words.CountRange):
            if value.at_most is not None and value.at_most < value.at_least:
                raise ValueError(f"at_most {value.at_most} is less than at_least {value.at_least}")
            return [CountIs(counter, value.at_least, value.at_most)]
        return [CountIs(counter, value, value)]

    return compile_count


_WORDS: dict[str, Callable[[Any], Iterable[Predicate]]] = {
    "user": _text_is(Subject.USER),
    "tool_result": _result_is,
    "last_user": _text_is(Subject.LAST_USER),
    "any_message": _message_is,
    "system": _text_is(Subject.SYSTEM),
    "model": _text_is(Subject.MODEL),
    "tools": _tools,
    "schema_": _text_is(Subject.SCHEMA),
    "turn": _count_is(Counter.TURN),
    "step": _count_is(Counter.STEP),
    "stream": lambda value: [Streams(value)],
}
"""The words of `Conditions` that are compiled alike in every API, by their fields."""


def _header(header: HeaderMatch) -> Predicate:
    kind = HeaderContains if header.match_type is MatchType.CONTAINS else HeaderEquals
    name, value = compared_parts(header)
    return kind(name, title=header.name, value=value)


def compared_parts(header: HeaderMatch) -> tuple[bytes, bytes]:
    """Return the name and the value of a header as they are compared with a request's."""
    return header.name.strip().lower().encode(), header.value.strip().encode()


# --- values of the body --------------------------------------------------------------------------


CANONICAL = Canonical(jsontext.canonical, json_encoding.canonical_in_pieces)


def _body_has(path: str, value: Any) -> Iterable[Predicate]:
    read = read_path(path)
    value = without_own_keys(value)
    if isinstance(value, dict) and value.get("exists") is False:
        if len(value) > 1:
            raise ValueError("'exists': false stands alone")
        return [BodyHas(read, None, CANONICAL)]
    return [BodyHas(read, _value_test(value), CANONICAL)]


def _value_test(value: Any) -> ValueTest:
    """Compile a value to compare with, or an object of operators.

    Raises:
        ValueError: an operator is unknown or wrong.
    """
    if isinstance(value, words.TextMatch):
        return ValueText(_text_test(value))
    value = without_own_keys(value)
    if not isinstance(value, dict):
        return ValueEquals.of(value, CANONICAL)
    tests: list[ValueTest] = []
    text_words = {key: given for key, given in value.items() if key not in words.VALUE_WORDS}
    if "equals" in value:
        tests.append(ValueEquals.of(value["equals"], CANONICAL))
    if "any" in value:
        tests.append(_any_value(value["any"]))
    exists = value.get("exists", True)
    if exists is False:
        raise ValueError(
            "'exists': false stands alone, not in 'any'; write two matches into 'any_of', one of "
            "them with it"
        )
    if exists is not True:
        raise ValueError(f"exists: expected true or false, found {jsontext.describe(exists)}")
    if text_words:
        tests.append(ValueText(_text_test(_text_match(text_words))))
    elif not value:
        raise ValueError('an object is a test; write {"equals": {}} to compare with one')
    return tests[0] if len(tests) == 1 else AllValues(tuple(tests))


def _any_value(values: Any) -> ValueTest:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"any: expected a list of values, found {jsontext.describe(values)}")
    if not values:
        raise ValueError("any: expected a list that is not empty, found an empty one")
    return AnyValue(tuple(map(_value_test, values)))


def _text_match(given: dict[str, Any]) -> words.TextMatch:
    unknown = [key for key in given if key not in words.TextMatch.model_fields]
    if unknown:
        known = (*words.VALUE_WORDS, *words.TextMatch.model_fields)
        foreign = foreign_words.find(words.TextMatch, unknown[0])
        meant = foreign.meant if foreign else closest(unknown[0], known)
        raise ValueError(
            f"unknown test {unknown[0]!r}, expected one of {', '.join(known)}; "
            f'write {{"equals": {{...}}}} to compare with an object{did_you_mean(meant)}'
        )
    try:
        return words.TextMatch.model_validate(given)
    except ValidationError as exc:
        raise ValueError(str(mistakes.problems(exc, words.TextMatch, given, "")[0])) from exc
