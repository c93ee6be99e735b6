"""Fills in the members that a configured response leaves out.

Knows where an absent member goes among the written ones. Which members a response has, and what
they are by default, is known where each API's answers are completed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def fill_in(
    written: Mapping[str, Any], defaults: Mapping[str, Any], *, then: Collection[str] | None = None
) -> dict[str, Any]:
    """`written`, with the members of `defaults` that it lacks.

    Written members keep their values (null included) and their order. An absent one follows its
    predecessor in `defaults`, which is in the order of the service:

        fill_in({"b": 1, "x": 2}, {"a": 0, "b": 0, "c": 0}) == {"a": 0, "b": 1, "c": 0, "x": 2}

    `then` names the members that the service writes after those of `defaults` (None: all others).
    Any other member stays with the one that it was written behind:

        fill_in({"b": 1, "x": 2}, {"b": 0, "c": 0}, then=()) == {"b": 1, "x": 2, "c": 0}
    """
    names = list(written)
    place = _skip_extras(names, 0, defaults, then)
    for name in defaults:
        if name in written:
            place = _skip_extras(names, names.index(name) + 1, defaults, then)
        else:
            names.insert(place, name)
            place += 1
    return {name: written[name] if name in written else defaults[name] for name in names}


def _skip_extras(
    names: list[str], place: int, defaults: Collection[str], then: Collection[str] | None
) -> int:
    """The first place from `place` on without a member that the service does not know."""
    if then is not None:
        while place < len(names) and names[place] not in defaults and names[place] not in then:
            place += 1
    return place
