"""Maps in which state is kept, by name, and those in the memory of one process.

`state` is written once, on these maps; where they are, and who else sees them, is that of a store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from mockllm.state.attempts import Attempts

K = TypeVar("K")
V = TypeVar("V")
G = TypeVar("G")


class OrderedMap(Protocol[K, V]):
    """A map that goes through its keys in order: a new one is the last."""

    def get(self, key: K, /) -> V | None:
        """Return the value of `key`; None if it has none."""

    def put(self, key: K, value: V) -> None:
        """Set the value of `key`, which keeps its place."""

    def put_last(self, key: K, value: V) -> None:
        """Set the value of `key`, and move it to the end."""

    def drop(self, key: K) -> bool:
        """Remove `key`. Returns False if it is not there."""

    def first(self) -> tuple[K, V] | None:
        """Return the first key and its value; None of an empty map."""

    def clear(self) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[K]: ...


class GroupedMap(Protocol[G, K, V]):
    """Groups of keys. Groups, and the keys in each, are in order; new ones are the last. Its length
    is that of all keys."""

    def get(self, group: G, key: K) -> V | None:
        """Return the value of `key` in `group`; None if it has none."""

    def put(self, group: G, key: K, value: V) -> None:
        """Set the value of `key`, which keeps its place, as the group does."""

    def put_last(self, group: G, key: K, value: V) -> None:
        """Set the value of `key`, and move it and its group to the end."""

    def drop(self, group: G, key: K) -> None:
        """Remove `key` from `group`, and a group that has no other."""

    def drop_group(self, group: G) -> list[V]:
        """Remove a group. Returns the values of its keys."""

    def drop_first(self, group: G | None = None) -> V:
        """Remove the first key of `group`, or of the first group. Returns its value."""

    def size(self, group: G) -> int:
        """Return the number of keys in `group`."""

    def of(self, group: G) -> Mapping[K, V]:
        """Return the values of the keys of `group`, until something is changed."""

    def groups(self) -> tuple[G, ...]:
        """Return the groups in order."""

    def items(self, group: G) -> tuple[tuple[K, V], ...]:
        """Return the keys of `group` in order, with their values."""

    def values_of(self, key: K) -> list[V]:
        """Return the value of `key` in each group that has it."""

    def clear(self) -> None: ...
    def __len__(self) -> int: ...


class Maps(Protocol):
    """Makes the maps of a store: each name is that of one map."""

    facts: dict[str, Any]
    """Integers and strings by name, which change together with the maps."""

    def ordered(self, name: str) -> OrderedMap[Any, Any]:
        """Return the map with this name. Its keys are strings or bytes, its values None, numbers,
        strings, bytes, or tuples of them."""

    def grouped(self, name: str) -> GroupedMap[Any, Any, Any]:
        """Return the grouped map with this name. A group is a string, or None."""

    def attempts(self) -> Attempts:
        """Return the attempts of the store."""


class LocalMap(OrderedDict[K, V]):
    """A map in the memory of the process."""

    put = OrderedDict[K, V].__setitem__

    def put_last(self, key: K, value: V) -> None:
        """Set the value of `key`, and move it to the end."""
        self[key] = value
        self.move_to_end(key)

    def drop(self, key: K) -> bool:
        """Remove `key`. Returns False if it is not there."""
        if key not in self:
            return False
        del self[key]
        return True

    def first(self) -> tuple[K, V] | None:
        """Return the first key and its value; None of an empty map."""
        return next(iter(self.items()), None)


class LocalGroups(Generic[G, K, V]):
    """A grouped map in the memory of the process."""

    def __init__(self) -> None:
        self._groups: OrderedDict[G, OrderedDict[K, V]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def get(self, group: G, key: K) -> V | None:
        """Return the value of `key` in `group`; None if it has none."""
        members = self._groups.get(group)
        return None if members is None else members.get(key)

    def put(self, group: G, key: K, value: V) -> None:
        """Set the value of `key`, which keeps its place, as the group does."""
        members = self._groups.get(group)
        if members is None:
            members = self._groups[group] = OrderedDict()
        if key not in members:
            self._size += 1
        members[key] = value

    def put_last(self, group: G, key: K, value: V) -> None:
        """Set the value of `key`, and move it and its group to the end."""
        groups = self._groups
        members = groups.get(group)
        if members is None:
            members = groups[group] = OrderedDict()
        elif len(groups) > 1:
            groups.move_to_end(group)
        size = len(members)
        members[key] = value
        if len(members) == size:
            members.move_to_end(key)
        else:
            self._size += 1

    def drop(self, group: G, key: K) -> None:
        """Remove `key` from `group`, and a group that has no other."""
        members = self._groups.get(group)
        if members is not None and key in members:
            del members[key]
            self._size -= 1
            if not members:
                del self._groups[group]

    def drop_group(self, group: G) -> list[V]:
        """Remove a group. Returns the values of its keys."""
        members = self._groups.pop(group, None)
        if members is None:
            return []
        self._size -= len(members)
        return [*members.values()]

    def drop_first(self, group: G | None = None) -> V:
        """Remove the first key of `group`, or of the first group. Returns its value."""
        which = next(iter(self._groups)) if group is None else group
        members = self._groups[which]
        _, value = members.popitem(last=False)
        self._size -= 1
        if not members:
            del self._groups[which]
        return value

    def size(self, group: G) -> int:
        """Return the number of keys in `group`."""
        return len(self._groups.get(group, ()))

    def of(self, group: G) -> Mapping[K, V]:
        """Return the values of the keys of `group`, until something is changed."""
        return self._groups.get(group, {})

    def groups(self) -> tuple[G, ...]:
        """Return the groups in order."""
        return tuple(self._groups)

    def items(self, group: G) -> tuple[tuple[K, V], ...]:
        """Return the keys of `group` in order, with their values."""
        members = self._groups.get(group)
        return () if members is None else tuple(members.items())

    def values_of(self, key: K) -> list[V]:
        """Return the value of `key` in each group that has it."""
        return [members[key] for members in self._groups.values() if key in members]

    def clear(self) -> None:
        """Remove all groups."""
        self._groups.clear()
        self._size = 0


class LocalMaps:
    """Makes maps in the memory of the process: each is a new one."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def ordered(self, name: str) -> LocalMap[Any, Any]:
        """Return an empty map."""
        return LocalMap()

    def grouped(self, name: str) -> LocalGroups[Any, Any, Any]:
        """Return an empty grouped map."""
        return LocalGroups()

    def attempts(self) -> Attempts:
        """Return attempts of which there are none."""
        return Attempts()
