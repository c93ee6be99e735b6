"""Finds mocks with several answers whose order will surprise their author.

It goes by what clients do behind an answer: they repeat requests, and send the results of tools. It
does not know which requests a mock matches: that is the rule's business.
"""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.config.conditions import Conditions
from mockllm.config.models import AnyMock, OpenAIEmbeddingsMock
from mockllm.engine.calls import find_calls
from mockllm.errors import Place, Problem, Severity, warning

_OF_THE_CONVERSATION = frozenset({"turn", "step", "tool_result"})
"""Conditions by which a mock knows a repeated request again."""
NEXT_ENTRY = (
    "a request that is repeated without the mark of an SDK's retry gets the next entry; for agents "
    "that may repeat, 'turn', 'step' or 'tool_result' in 'match' tell answers apart"
)
"""The note about a mock that does not."""


def find_surprises(mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Yield what is surprising about the answers of a mock at `place`."""
    yield from _without_effect(mock, place)
    if not mock.sequence_entries or isinstance(mock, OpenAIEmbeddingsMock):
        return
    words = set(_words_in(mock.match))
    if "user" in words:
        yield from _calls_before_the_end(mock, place)
    has_trouble = any(entry.advances_retry for _, entry in mock.entries())
    if not has_trouble and not words & _OF_THE_CONVERSATION:
        yield Problem(place.at("sequence"), NEXT_ENTRY, Severity.NOTE)


def _without_effect(mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Report entries that change nothing, and an end that is never reached."""
    for path, entry in mock.entries():
        if entry.is_empty:
            message = "no effect: nothing in it differs from the mock's own answer"
            yield warning(place.at(path), message)
    if mock.at_end is not None and mock.sequence_entries[-1].limit is None:
        yield warning(place.at("at_end"), "no effect: the last entry is given for ever")


def _calls_before_the_end(mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Report calls of tools that are not in the last entry of a mock for words of the user."""
    for index, entry in enumerate(mock.sequence_entries[:-1]):
        path = next(find_calls(entry), None)
        if path is not None:
            message = (
                "the client's next request has the result of the tool, which 'user' does not "
                f"match, so it does not get sequence[{index + 1}]: write 'last_user' instead of "
                "'user', or another mock with 'tool_result'"
            )
            yield warning(place.at(f"sequence[{index}]").at(path), message)


def _words_in(match: Conditions) -> Iterator[str]:
    """Yield the words of the conditions that must hold."""
    yield from (name for name in match.model_fields_set if getattr(match, name) is not None)
    for inner in match.all_of or ():
        yield from _words_in(inner)
