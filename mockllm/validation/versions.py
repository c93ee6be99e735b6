"""Compares versions of an installed distribution, and lists what a version declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version


def is_older(distribution: str, than: str) -> bool:
    """Return True if the installed `distribution` has a lower version than `than`.

    Only the release counts: ``3.54.0rc1`` is not older than ``3.54.0``.

    >>> is_older("pydantic", "2.9.10")
    False
    """
    return release(version(distribution)) < release(than)


def release(text: str) -> tuple[int, ...]:
    """Return the release of a version (PEP 440) without its trailing zeros.

    >>> release("3.54.0rc1")
    (3, 54)
    """
    match = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", text)
    numbers = [int(part) for part in match[1].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def members_by_tag(names: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the members of types by their tag, given as names with spaces between them; `type`
    itself is one of them.

    >>> sorted(members_by_tag({"text": "annotations text"})["text"])
    ['annotations', 'text', 'type']
    """
    return {tag: frozenset({"type", *members.split()}) for tag, members in names.items()}
