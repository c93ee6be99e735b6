"""Finds conditions that are written but empty, so that they change nothing, or never hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mockllm.config.conditions import Conditions
from mockllm.errors import Place, Problem, warning

_LISTS = ("headers", "system_contains", "tool_names", "all_of")
"""Lists of which all must hold. An empty one of `tools` means that none are offered, and one of
`any_of` is a mistake."""
_COMPARED = ("message", "input")


def empty_conditions(match: Conditions, place: Place, path: str = "match") -> Iterator[Problem]:
    """Yield the problems of the match at `path` of a mock, or of an entry of traffic, at `place`,
    and of the matches inside of it."""
    for name in _LISTS:
        if name in match.model_fields_set and not getattr(match, name):
            yield warning(place.at(f"{path}.{name}"), "an empty list has no effect")
    if "" in getattr(match, "system_contains", ()):
        yield warning(place.at(f"{path}.system_contains"), "an empty text is in any instruction")
    if "" in getattr(match, "tool_names", ()):
        message = "can never match: no tool has an empty name"
        yield warning(place.at(f"{path}.tool_names"), message)
    if match.body is not None and all(key.startswith("_") for key in match.body):
        yield warning(place.at(f"{path}.body"), "an empty object has no effect")
    yield from _compares_nothing(match, place.at(f"{path}.match_type"))
    yield from _empty_matches(match.all_of or (), "has no effect", place, f"{path}.all_of")
    effect = "holds for any request, so the others have no effect"
    yield from _empty_matches(match.any_of or (), effect, place, f"{path}.any_of")
    if match.not_ is not None:
        yield from empty_conditions(match.not_, place, f"{path}.not")


def _empty_matches(
    matches: Sequence[Conditions], effect: str, place: Place, path: str
) -> Iterator[Problem]:
    for index, inner in enumerate(matches):
        at = f"{path}[{index}]"
        if not inner.model_fields_set:
            yield warning(place.at(at), f"an empty match {effect}")
        yield from empty_conditions(inner, place, at)


def _compares_nothing(match: Conditions, place: Place) -> Iterator[Problem]:
    """Report how a message or an input is compared, if there is none."""
    compared = [name for name in _COMPARED if name in type(match).model_fields]
    if "match_type" not in match.model_fields_set or not compared:
        return
    if all(getattr(match, name) is None for name in compared):
        message = f"no effect: it says how {compared[0]!r} is compared, which is not there"
        yield warning(place, message)
