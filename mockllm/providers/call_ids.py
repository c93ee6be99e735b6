"""Ids of calls and of their outputs in one answer, where they are left out.

Knows which call an output belongs to. It knows neither the members that hold the ids nor the types
of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mockllm.pieces import AT_ONCE, Pieces


class Link(NamedTuple):
    """A call, or the output of one."""

    kind: str
    """That of the call; an output has the kind of its call."""
    is_call: bool
    id: str | None
    """As written; None if it is left out."""


def missing_ids(links: Mapping[int, Link], new_id: Callable[[int], Any]) -> Pieces[dict[int, Any]]:
    """The ids to fill in, by the index of the item, with pauses if there are many: `links` are the
    calls and outputs of an answer by their index, in order, and ``new_id(index)`` is a generated
    id.

    A call has the id that the output behind it names, an output that of the call before it. Those
    of one kind are paired in their order. An output without a call is left out of the result.
    """
    written: set[str | None] = set()
    named: set[str | None] = set()
    for number, link in enumerate(links.values(), 1):
        (written if link.is_call else named).add(link.id)
        if number % AT_ONCE == 0:
            yield False
    without_id: dict[str, deque[int]] = {}  # calls, by their kind
    unanswered: dict[str, deque[int]] = {}
    ids: dict[int, Any] = {}
    for number, (index, link) in enumerate(links.items(), 1):
        calls = without_id.setdefault(link.kind, deque())
        if link.is_call and link.id is None:
            ids[index] = new_id(index)
            calls.append(index)
        elif not link.is_call and link.id not in written and link.id is not None and calls:
            ids[calls.popleft()] = link.id
        if number % AT_ONCE == 0:
            yield False
    for number, (index, link) in enumerate(links.items(), 1):
        calls = unanswered.setdefault(link.kind, deque())
        if link.is_call and ids.get(index, link.id) not in named:
            calls.append(index)
        elif not link.is_call and link.id is None and calls:
            call = calls.popleft()
            ids[index] = ids.get(call, links[call].id)
        if number % AT_ONCE == 0:
            yield False
    return ids
