"""The words of a `match` as functions, for mocks that are written in Python.

    Match(user=any_of("hello", contains("weather", ignore_case=True)))
    {"match": all_of({"user": contains("weather")}, not_({"model": starts_with("gpt-4")}))}

They return what may stand in a match, with a check of what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from mockllm.config.conditions import OPERATORS, Conditions, TextMatch

_Match = TypeVar("_Match", bound=Conditions)
AnyText = str | TextMatch
AnyMatch = Mapping[str, object]


# --- texts ---------------------------------------------------------------------------------------


def contains(text: str, *, ignore_case: bool = False) -> TextMatch:
    """Return the test that a text has `text` in it."""
    return _test("contains", text, ignore_case)


def starts_with(text: str, *, ignore_case: bool = False) -> TextMatch:
    """Return the test that a text begins with `text`."""
    return _test("starts_with", text, ignore_case)


def ends_with(text: str, *, ignore_case: bool = False) -> TextMatch:
    """Return the test that a text ends with `text`."""
    return _test("ends_with", text, ignore_case)


def exact(text: str, *, ignore_case: bool = False) -> TextMatch:
    """Return the test that a text is `text`."""
    return _test("exact", text, ignore_case)


def regex(pattern: str, *, ignore_case: bool = False) -> TextMatch:
    """Return the test that a part of a text matches the regular expression `pattern` of RE2."""
    return _test("regex", pattern, ignore_case)


def _test(operator: str, text: str, ignore_case: bool) -> TextMatch:  # as given
    if not isinstance(text, str):
        raise TypeError(f"{operator}: expected a text, found {text!r:.100}")
    if operator == "regex" and not text:
        raise ValueError("regex: expected a non-empty pattern, found an empty one")
    if not isinstance(ignore_case, bool):
        raise TypeError(f"{operator}: ignore_case: expected True or False, found {ignore_case!r}")
    return TextMatch.model_validate({operator: text, "ignore_case": ignore_case})


# --- texts and matches ---------------------------------------------------------------------------


@overload
def any_of(*texts: AnyText) -> list[AnyText]: ...
@overload
def any_of(*matches: _Match) -> _Match: ...
@overload
def any_of(*matches: AnyMatch) -> dict[str, object]: ...
def any_of(*given: Any) -> Any:
    """Return the condition that one of the texts, or one of the matches, is so."""
    if _are_texts("any_of", given):
        return [*given]
    return _join("any_of", given)


@overload
def all_of(*texts: TextMatch) -> TextMatch: ...
@overload
def all_of(*matches: _Match) -> _Match: ...
@overload
def all_of(*matches: AnyMatch) -> dict[str, object]: ...
def all_of(*given: Any) -> Any:
    """Return the condition that all of the tests of a text, or all of the matches, are so."""
    if _are_texts("all_of", given):
        return _merge(given)
    return _join("all_of", given)


@overload
def not_(match: _Match) -> _Match: ...
@overload
def not_(match: AnyMatch) -> dict[str, object]: ...
def not_(match: Any) -> Any:
    """Return the match of all requests that `match` does not hold for."""
    if isinstance(match, (str, TextMatch)):
        message = 'not_: expected a match, such as {"user": contains("...")}, found a text'
        raise TypeError(message)
    _are_texts("not_", (match,))
    return type(match)(not_=match) if isinstance(match, Conditions) else {"not": match}


def _are_texts(word: str, given: tuple[Any, ...]) -> bool:
    """Return True for texts, False for matches; a TypeError for a mixture, nothing, or others."""
    if not given:
        raise TypeError(f"{word}: expected texts or matches, found nothing")
    for each in given:
        if not isinstance(each, (str, TextMatch, Conditions, Mapping)):
            expected = 'texts, or matches such as {"user": contains("...")}'
            raise TypeError(f"{word}: expected {expected}, found {each!r:.100}")
    texts = [isinstance(each, (str, TextMatch)) for each in given]
    if any(texts) and not all(texts):
        raise TypeError(f"{word}: expected either texts or matches, found both")
    return all(texts)


def _join(word: str, matches: tuple[Any, ...]) -> Any:
    """Return the match that has `matches` under `word`, of the class of the first that has one."""
    for each in matches:
        if isinstance(each, Conditions):
            return type(each).model_validate({word: [*matches]})
    return {word: [*matches]}


def _merge(texts: tuple[Any, ...]) -> TextMatch:
    """Return one object with all tests of `texts`."""
    merged: dict[str, Any] = {}
    for each in texts:
        tests = {"exact": each} if isinstance(each, str) else each.model_dump(exclude_unset=True)
        case = {"ignore_case": tests.pop("ignore_case", False)}
        repeated = [*merged.keys() & tests.keys()]
        if repeated or merged.get("ignore_case", case["ignore_case"]) != case["ignore_case"]:
            what = f"{repeated[0]!r} twice" if repeated else "different values of ignore_case"
            message = (
                f"all_of: a text has each of {', '.join(OPERATORS)} once, found {what}; "
                'write all_of({"user": contains("a")}, {"user": contains("b")})'
            )
            raise ValueError(message)
        merged |= tests | case
    return TextMatch(**merged)
