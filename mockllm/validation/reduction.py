"""Finds the first error in a large value by validating parts of it.

To validate a whole value is the specification, but takes too long for others to wait: 10 MB of
small items take half a second. Parts are validated instead, a slice of a list or some members of an
object at a time, each at its place in a body that has little else. So all but the first invalid
entry of each list, and all but the first invalid member of each object, is left out; the first
error in what is left is that of the whole.

This is true of a validator that stops at the first invalid entry of a list, and whose choice among
several types for an object depends on the names that types declare, on members that are neither
lists nor objects, and on the kind of the others; that of a list on the kind of its first entry. So
are those that `schema` makes.

For example, if the third of these messages is invalid, the error in the second line is that in the
first, but for its index::

    {"model": "m", "messages": [A, B, C, D, ... 100,000 others], "tools": [... 50,000]}
    {"model": "m", "messages": [C], "tools": [T]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mockllm.pieces import Pieces
from mockllm.validation.core_schema import Schema

MAX_WEIGHT = 1_000
"""Values that are validated without a pause: 1 to 2 ms."""

MAX_DEPTH = 100
"""Levels of values that are reduced; no type of an SDK says anything of deeper ones."""

NAME_AS_VALUE = 100
"""Characters of names that take as long as a value."""

Count = Callable[[Any], int]
"""Returns the number of errors in a value."""
_Build = Callable[[Any], Any]
"""Returns a body with a value at its place."""
_Path = tuple[str | int, ...]

_CONTAINERS = frozenset({list, dict})
_Reducing = Pieces[Any]


def declared_names(schema: Schema) -> frozenset[str]:
    """Return the names of all members that a core schema and its definitions declare."""
    names: set[str] = set()
    todo: list[Any] = [schema]
    while todo:
        each = todo.pop()
        if isinstance(each, Mapping):
            if each.get("type") == "typed-dict":
                names.update(each["fields"])
            todo.extend(each.values())
        elif isinstance(each, list | tuple):
            todo.extend(each)
    return frozenset(names)


def weigh(value: Any) -> int:
    """Return the number of values in `value`, or a number above `MAX_WEIGHT` if there are more.
    Long names count as several: they are copied for each error."""
    most, total = MAX_WEIGHT, 1
    todo = [value]
    while todo and total <= most:
        each = todo.pop()
        if type(each) is dict:
            total += len(each)
            if total <= most:  # to add up all names of a large object would take 3 ms
                total += sum(map(len, each)) // NAME_AS_VALUE
            if total <= most:
                todo += [member for member in each.values() if type(member) in _CONTAINERS]
        elif type(each) is list:
            total += len(each)
            if total <= most:
                todo += [entry for entry in each if type(entry) in _CONTAINERS]
    return total


class Reduction:
    """Leaves out what does not make a difference to the first error in a value. `count` validates,
    `declared` are the names that its types declare."""

    def __init__(self, count: Count, declared: frozenset[str]) -> None:
        self._count = count
        self._declared = declared
        self._indices: dict[_Path, dict[int, int]] = {}
        """The indices that entries had, by the path of their list and their index in it."""

    def reduce(self, value: Any) -> _Reducing:
        """Return a small value whose first error is that of `value`, with pauses."""
        return self._reduce(value, (), lambda each: each)

    def original(self, path: _Path) -> _Path:
        """Return the path in the whole value of what is at `path` in the small one."""
        steps: list[str | int] = []
        for at, step in enumerate(path):
            indices = self._indices.get(path[:at], {}) if isinstance(step, int) else {}
            steps.append(indices.get(step, step) if isinstance(step, int) else step)
        return tuple(steps)

    def _reduce(self, value: Any, path: _Path, build: _Build) -> _Reducing:
        yield False
        if weigh(value) <= MAX_WEIGHT or len(path) > MAX_DEPTH:
            return value
        if isinstance(value, list):
            return (yield from self._reduce_list(value, path, build))
        return (yield from self._reduce_object(value, path, build))

    def _reduce_list(self, entries: list[Any], path: _Path, build: _Build) -> _Reducing:
        kept: list[Any] = []
        for first, group in _groups(entries):
            before = self._kind_of_list(entries, group[0])
            valid = self._count(build(before))
            if len(group) == 1:
                into = _with_entry(build, before)
                group = [(yield from self._reduce(group[0], (*path, len(before)), into))]
            if not first:
                kept = group[:1]
            if self._count(build([*before, *group])) > valid:
                wrong = self._first_wrong(group, _with_entries(build, before), valid)
                before = self._kind_of_list(entries, group[wrong])
                self._indices[path] = {len(before): first + wrong}
                return [*before, group[wrong]]
            yield False
        return kept

    def _kind_of_list(self, entries: list[Any], entry: Any) -> list[Any]:
        """Return what has to be before `entry` so that a list is taken for what `entries` are. Of
        the lists whose first entry decides, none has objects."""
        first = entries[0]
        return [] if type(first) in (type(entry), dict) else [self._outline(first)]

    def _reduce_object(self, members: dict[str, Any], path: _Path, build: _Build) -> _Reducing:
        outline = self._outline(members)
        valid = self._count(build(outline))
        found: dict[str, Any] = {}
        for name in outline:
            into = _with_member(build, outline, name)
            found[name] = yield from self._reduce(members[name], (*path, name), into)

        def with_some(some: list[tuple[str, Any]]) -> Any:
            return build({**outline, **dict(some)})

        reduced: dict[str, Any] = {}
        for _, group in _groups(members.items()):
            reduced |= {name: found[name] for name, _ in group if name in found}
            others = [each for each in group if each[0] not in found]
            if len(group) == len(others) == 1:
                name, value = others[0]
                into = _with_member(build, outline, name)
                others = [(name, (yield from self._reduce(value, (*path, name), into)))]
            if others and self._count(with_some(others)) > valid:
                name, value = others[self._first_wrong(others, with_some, valid)]
                before = [each for each, _ in group[: [each for each, _ in group].index(name)]]
                for each in reversed(group[len(before) :]):
                    reduced.pop(each[0], None)
                return {**reduced, name: value, **found}
            yield False
        return reduced

    def _first_wrong(self, group: list[Any], build: _Build, valid: int) -> int:
        """Return the index of the first entry of `group` that is invalid, of which one is; `valid`
        is the number of errors without any."""
        low, high = 0, len(group)  # the first `low` are valid, not all of the first `high`
        while high - low > 1:
            middle = (low + high) // 2
            if self._count(build(group[:middle])) > valid:
                high = middle
            else:
                low = middle
        return low

    def _outline(self, value: Any) -> Any:
        """Return a small value of the same kind, with the members that types declare."""
        if isinstance(value, list):
            return []
        if not isinstance(value, dict):
            return value
        return {
            name: _KINDS.get(type(value[name]), value[name])
            for name in (value if len(value) < len(self._declared) else self._declared)
            if name in self._declared and name in value
        }


_KINDS: Mapping[type, Any] = {list: [], dict: {}}


def _with_entry(build: _Build, before: list[Any]) -> _Build:
    return lambda entry: build([*before, entry])


def _with_entries(build: _Build, before: list[Any]) -> _Build:
    return lambda entries: build([*before, *entries])


def _with_member(build: _Build, outline: dict[str, Any], name: str) -> _Build:
    return lambda member: build({**outline, name: member})


def _groups(entries: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Yield groups of entries that are not large together, each with the index of its first; an
    entry that is large is alone."""
    group: list[Any] = []
    first, size = 0, 0
    for index, entry in enumerate(entries):
        if type(entry) is tuple:
            weight = weigh(entry[1]) + len(entry[0]) // NAME_AS_VALUE
        else:
            weight = weigh(entry)
        if group and size + weight > MAX_WEIGHT:
            yield first, group
            group, first, size = [], index, 0
        group.append(entry)
        size += weight
    if group:
        yield first, group
