"""Ids of calls and of their outputs in one answer, where they are left out.

Knows which call an output belongs to. It knows neither the members that hold the ids nor the types
of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Link(NamedTuple):
    """A call, or the output of one."""

    kind: str
    """That of the call; an output has the kind of its call."""
    is_call: bool
    id: str | None
    """As written; None if it is left out."""


def missing_ids(links: Mapping[int, Link], new_id: Callable[[int], Any]) -> dict[int, Any]:
    """The ids to fill in, by the index of the item: `links` are the calls and outputs of an answer
    by their index, in order, and ``new_id(index)`` is a generated id.

    A call has the id that the output behind it names, an output that of the call before it. Those
    of one kind are paired in their order. An output without a call is left out of the result.
    """
    written = {link.id for link in links.values() if link.is_call}
    named = {link.id for link in links.values() if not link.is_call}
    without_id: dict[str, list[int]] = {}  # calls, by their kind
    unanswered: dict[str, list[int]] = {}
    ids: dict[int, Any] = {}
    for index, link in links.items():
        calls = without_id.setdefault(link.kind, [])
        if link.is_call and link.id is None:
            ids[index] = new_id(index)
            calls.append(index)
        elif not link.is_call and link.id not in written and link.id is not None and calls:
            ids[calls.pop(0)] = link.id
    for index, link in links.items():
        calls = unanswered.setdefault(link.kind, [])
        if link.is_call and ids.get(index, link.id) not in named:
            calls.append(index)
        elif not link.is_call and link.id is None and calls:
            call = calls.pop(0)
            ids[index] = ids.get(call, links[call].id)
    return ids
