"""Fills in the members that a configured response leaves out.

Knows the position of a missing member among the written ones. It does not know the members of any
response: names and defaults come from the module that completes the answers of an API.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def fill_in(
    written: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    followed_by: Collection[str] | None = None,
) -> dict[str, Any]:
    """`written`, with the members of `defaults` that it lacks.

    Written members keep their values (null included) and their order. A missing one follows its
    predecessor in `defaults`, which are in the order of the service:

        fill_in({"b": 1, "x": 2}, {"a": 0, "b": 0, "c": 0}) == {"a": 0, "b": 1, "c": 0, "x": 2}

    `followed_by` names the members that the service writes after those of `defaults` (None: all
    others). Any other member stays after its predecessor in `written`:

        fill_in({"b": 1, "x": 2}, {"b": 0, "c": 0}, followed_by=()) == {"b": 1, "x": 2, "c": 0}
    """
    names = list(written)
    place = _skip_extras(names, 0, defaults, followed_by)
    for name in defaults:
        if name in written:
            place = _skip_extras(names, names.index(name) + 1, defaults, followed_by)
        else:
            names.insert(place, name)
            place += 1
    return {name: written[name] if name in written else defaults[name] for name in names}


def _skip_extras(
    names: list[str], place: int, defaults: Collection[str], followed_by: Collection[str] | None
) -> int:
    """The first position, from `place` on, that is not a member unknown to the service."""
    if followed_by is not None:
        while (
            place < len(names) and names[place] not in defaults and names[place] not in followed_by
        ):
            place += 1
    return place
