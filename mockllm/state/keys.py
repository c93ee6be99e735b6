"""Keys of the state of mocks, by which it survives a reload of the configuration.

A mock with a name keeps its state whatever else changes; one without a name keeps it as long as its
match and entries are the same, wherever it stands in its list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

_HASH = 10  # bytes; 2**40 mocks until two of them are likely to be taken for one


class Identity(NamedTuple):
    """What tells one mock with state from another: the list it stands in (``openai``, ``mocks``),
    its name (empty if it has none), and its match and entries as JSON values."""

    list_name: str
    name: str
    match: Any
    entries: Any


def state_keys(mocks: Iterable[Identity]) -> tuple[str, ...]:
    """Return the key of each mock, in order. The keys differ: of several mocks that are the same,
    all but the first are numbered (``mocks 'ask' (2)``)."""
    seen = Counter[str]()
    keys = []
    for mock in mocks:
        key = f"{mock.list_name} {repr(mock.name) if mock.name else _hash_of(mock)}"
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key} ({seen[key]})")
    return tuple(keys)


class Reloaded(NamedTuple):
    """What a reload means for the state of mocks, by their keys, in the order of the configuration:
    `kept` go on where they were, `begun` begin with their first entry, `gone` are no longer there.

    The store need not know of a reload, but if a mock that is `gone` shall begin anew when it comes
    back, its state must be reset: ``Reset(keys=frozenset(gone))``.
    """

    kept: tuple[str, ...]
    begun: tuple[str, ...]
    gone: tuple[str, ...]


def compare(before: Iterable[str], after: Iterable[str]) -> Reloaded:
    """Return which state survives a reload, from the keys before and after it."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    return Reloaded(
        tuple(key for key in new if key in old),
        tuple(key for key in new if key not in old),
        tuple(key for key in old if key not in new),
    )


def _hash_of(mock: Identity) -> str:
    written = orjson.dumps([mock.match, mock.entries], option=orjson.OPT_SORT_KEYS)
    return blake2b(written, digest_size=_HASH).hexdigest()
