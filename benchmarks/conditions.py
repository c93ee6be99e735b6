"""Mocks that differ in one condition, and requests that only one of them answers.

Of COUNT mocks, those at FIRST and LAST are asked for, one pair by short requests and one by
conversations of 35 kB. As data: matches, and requests by their members and messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]

COUNT = 1_000  # mocks
FIRST, LAST = {False: 0, True: 1}, {False: COUNT - 2, True: COUNT - 1}
"""The mock that is asked for, by whether the conversation is long."""
ROUNDS = {0: 4, 1: 20, COUNT - 2: 5, COUNT - 1: 21}
"""The number of the answer that those mocks and requests are about; other mocks are about ones that
no request has."""
LONG, SHORT = 850, 10  # characters of a message

_SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. "


class Asked(NamedTuple):
    """A request: members beside the messages, and those."""

    members: Json
    messages: list[Json]


def filler(characters: int) -> str:
    """A text of this length."""
    return (_SENTENCE * (1 + characters // len(_SENTENCE)))[:characters]


def _said(role: str, text: str) -> Json:
    return {"role": role, "content": text}


def _dialogue(answers: int, characters: int) -> list[Json]:
    """Questions with as many answers, and a last question."""
    text = filler(characters)
    earlier = [_said(("user", "assistant")[place % 2], text) for place in range(2 * answers)]
    return [*earlier, _said("user", "Hello")]


def _tool_rounds(rounds: int, characters: int) -> list[Json]:
    """A question, and as many calls of a tool with their results."""
    messages = [_said("user", "Hello")]
    for number in range(rounds):
        function = {"name": "search", "arguments": '{"text":"' + filler(characters) + '"}'}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        messages += [
            {"role": "assistant", "tool_calls": [call], "content": None},
            {"role": "tool", "tool_call_id": call["id"], "content": filler(characters)},
        ]
    return messages


def _with_members(members: Callable[[int], Json]) -> Callable[[int, bool], Asked]:
    return lambda number, long: Asked(members(number), _messages(long))


def _messages(long: bool) -> list[Json]:
    return _dialogue(20 if long else 0, LONG)


def _with_system(number: int, long: bool) -> Asked:
    return Asked({}, [_said("system", f"You are agent {number:06d}."), *_messages(long)])


def _with_question(number: int, long: bool) -> Asked:
    return Asked({}, [*_messages(long)[:-1], _said("user", f"Please answer {number:06d}.")])


def _with_turns(number: int, long: bool) -> Asked:
    return Asked({}, _dialogue(ROUNDS[number] - 1, LONG if long else SHORT))


def _with_steps(number: int, long: bool) -> Asked:
    return Asked({}, _tool_rounds(ROUNDS[number] - 1, LONG if long else SHORT))


def _tool(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def _format(name: str) -> Json:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": {"type": "object"}}}


def _round(number: int) -> int:
    return ROUNDS.get(number, COUNT + number)


class Kind(NamedTuple):
    """A condition: the match of a mock, and the request that it answers, by their number."""

    match: Callable[[int], Json]
    ask: Callable[[int, bool], Asked]


KINDS: Mapping[str, Kind] = {
    "system": Kind(lambda n: {"system": {"contains": f"agent {n:06d}"}}, _with_system),
    "model": Kind(
        lambda n: {"model": f"model-{n}"}, _with_members(lambda n: {"model": f"model-{n}"})
    ),
    "tools": Kind(
        lambda n: {"tools": [f"tool_{n}"]}, _with_members(lambda n: {"tools": [_tool(f"tool_{n}")]})
    ),
    "regex": Kind(lambda n: {"user": {"regex": f"answer +{n:06d}[.]"}}, _with_question),
    "turn": Kind(lambda n: {"turn": _round(n)}, _with_turns),
    "step": Kind(lambda n: {"step": _round(n)}, _with_steps),
    "body": Kind(
        lambda n: {"body": {"$.metadata.tenant": f"t{n}"}},
        _with_members(lambda n: {"metadata": {"tenant": f"t{n}"}}),
    ),
    "schema": Kind(
        lambda n: {"schema": f"form_{n}"},
        _with_members(lambda n: {"response_format": _format(f"form_{n}")}),
    ),
}
