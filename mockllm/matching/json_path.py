"""JSONPath (RFC 9535): which values of a request's body a path selects.

A path that selects at most one value (a singular query, section 2.3.5.1) is walked here. Others
need the optional library jsonpath-rfc9535, which parses them and compares values in filters. They
may look at every value of a body several times, so they look at a limited number of values.

    >>> read_path("$.messages[*].role").select(prompt)
    ["system", "user"]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from mockllm.errors import MissingExtraError
from mockllm.matching.effort import Effort
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt

MAX_NODES = 10_000
"""Values of a body on which a path that is not singular is evaluated."""
MAX_LEVELS = 32
"""Levels of such a body."""
MAX_STEPS = 10_000
"""Values that such a path may look at, counted as often as it does: 5 to 8 ms."""
PER_STEP = 1_000  # nanoseconds
PER_SCANNED = 40  # nanoseconds to look whether a value has others in it
FILTER_CHARACTERS = 3
"""Characters of a filter that take as long for each value as a step."""

# a letter, _, or beyond ASCII, by what it is not: a class up to U+10FFFF takes 5 ms to compile
_FIRST = r"[^\x00-\x40\x5b-\x5e\x60\x7b-\x7f]"
_NAME = rf"{_FIRST}(?:{_FIRST}|[0-9])*"
_SEGMENT = re.compile(
    rf"""\s*(?:\.(?P<name>{_NAME})
    |\[\s*(?:(?P<index>0|-?[1-9][0-9]{{0,8}})
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')\s*\])""",
    re.VERBOSE,
)

Step = str | int


@dataclass(frozen=True, slots=True)
class Path:
    """A JSONPath. `steps` are those of a singular query; None if it is not one."""

    text: str
    steps: tuple[Step, ...] | None
    _find: Callable[[Any, Effort], Pieces[list[Any] | None]] | None = field(
        default=None, repr=False, compare=False
    )

    def select(self, prompt: Prompt) -> list[Any] | None:
        """Return the selected values of a body; None if there is too much to look at."""
        if self.steps is not None:
            return self._walk(prompt.body)
        return prompt.once(self)

    def prepare(self, prompt: Prompt, effort: Effort) -> Iterator[bool]:
        """Select the values, with pauses."""
        if self.steps is None and not prompt.has_read(self):
            if not prompt.has_read(_nodes):
                prompt.once(_nodes)
                yield False
            found = yield from self._select(prompt, effort)
            prompt.keep(self, found)

    def __call__(self, prompt: Prompt) -> list[Any] | None:
        """Return the values that a path which is not singular selects. It takes long: use
        `select`."""
        return finish(self._select(prompt, Effort()))

    def _select(self, prompt: Prompt, effort: Effort) -> Pieces[list[Any] | None]:
        if self._find is None or prompt.once(_nodes) is None:
            return None
        return (yield from self._find(prompt.body, effort))

    def _walk(self, value: Any) -> list[Any]:
        for step in self.steps or ():
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return []
            elif not isinstance(value, list) or not -len(value) <= step < len(value):
                return []
            value = value[step]
        return [value]


def read_path(text: str) -> Path:
    """Return the path that is written as `text`.

    Raises:
        ValueError: it is no path of RFC 9535, or takes too long: a descendant segment, wildcard or
            slice within or behind a filter, or a regular expression.
        MissingExtraError: it is not singular, and jsonpath-rfc9535 is not installed.
    """
    steps = _singular(text)
    return Path(text, steps) if steps is not None else _compiled(text)


def _singular(text: str) -> tuple[Step, ...] | None:
    if not text.startswith("$"):
        return None
    steps: list[Step] = []
    at = 1
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None:
            return None
        at = match.end()
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["name"] is not None:
            steps.append(match["name"])
        elif match["double"] is not None:
            name = _unescape(f'"{match["double"]}"')
            if name is None:
                return None
            steps.append(name)
        else:
            quoted = match["single"].replace('"', '\\"').replace("\\'", "'")
            name = _unescape(f'"{quoted}"')
            if name is None:
                return None
            steps.append(name)
    return tuple(steps)


def _unescape(quoted: str) -> str | None:
    try:
        name = orjson.loads(quoted)
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def _compiled(text: str) -> Path:
    if not text.startswith("$"):
        raise ValueError(f"a path begins with $, found {text[:60]!r}; write $.{text[:60]}")
    try:
        import jsonpath_rfc9535 as jsonpath
    except ImportError as exc:
        raise MissingExtraError("paths that select several values", "jsonpath") from exc
    try:
        compiled = jsonpath.compile(text)
    except (jsonpath.JSONPathError, RecursionError) as exc:
        raise ValueError(f"not a JSONPath (RFC 9535): {str(exc).splitlines()[0]}") from exc
    if re.search(r"\b(?:match|search)\s*\(", text):
        raise ValueError('match() and search() take too long; write {"regex": "..."} as the value')
    if _has_filter_in_depth(text):
        raise ValueError("'..', '*' and ':' within or behind a filter take too long")

    segments = tuple(map(_segment, compiled.segments))

    def find(body: Any, effort: Effort) -> Pieces[list[Any] | None]:
        return _find_all(segments, body, effort)

    return Path(text, None, find)


def _has_filter_in_depth(text: str) -> bool:
    """True if a path has, within a filter, a segment that looks at many values for each value."""
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", "''", text)
    _, filtered, behind = bare.partition("?")
    return bool(filtered) and any(each in behind for each in ("..", "*", ":", "?"))


class _Segment(NamedTuple):
    """A segment of a path: whether it also selects from all descendants, and its selectors, which
    return the selected values of a value in a body. Each has the steps that it takes for each value
    that it looks at (0: only for one)."""

    descends: bool
    selectors: tuple[tuple[Callable[[Any, Any], Iterable[Any]], int], ...]


def _segment(segment: Any) -> _Segment:
    """Return a segment of the library."""
    from jsonpath_rfc9535.segments import JSONPathRecursiveDescentSegment

    descends = isinstance(segment, JSONPathRecursiveDescentSegment)
    return _Segment(descends, tuple((_selector(each), _steps(each)) for each in segment.selectors))


def _selector(selector: Any) -> Callable[[Any, Any], Iterable[Any]]:
    """Return the function of a selector of the library, whose own take 1.5 µs for a name or an
    index."""
    from jsonpath_rfc9535.selectors import IndexSelector, NameSelector

    match selector:
        case NameSelector(name=name):
            return lambda value, _: (
                (value[name],) if isinstance(value, dict) and name in value else ()
            )
        case IndexSelector(index=index):
            return lambda value, _: (
                (value[index],)
                if isinstance(value, list) and -len(value) <= index < len(value)
                else ()
            )
        case _:
            return lambda value, body: [node.value for node in selector.resolve(_Node(value, body))]


def _steps(selector: Any) -> int:
    from jsonpath_rfc9535.selectors import FilterSelector, IndexSelector, NameSelector

    match selector:
        case NameSelector() | IndexSelector():
            return 0
        case FilterSelector():
            return 1 + len(str(selector)) // FILTER_CHARACTERS
        case _:
            return 1


class _Node(NamedTuple):
    """A value of a body as selectors of the library see it. The library's own nodes have a location
    too, which takes longer to make than all else."""

    value: Any
    root: Any

    def new_child(self, value: Any, _key: str | int, _parent: _Node) -> _Node:
        return _Node(value, self.root)


def _find_all(segments: Iterable[_Segment], body: Any, effort: Effort) -> Pieces[list[Any] | None]:
    """Return the values that `segments` select from a body, in order, with pauses; None if there
    are more than `MAX_STEPS` to look at."""
    values, left = [body], MAX_STEPS
    for descends, selectors in segments:
        found: list[Any] = []
        for value in values:
            for each in _descendants(value) if descends else (value,):
                size = len(each) if isinstance(each, (dict, list)) else 0
                for select, steps in selectors:
                    left -= 1 + steps * size
                    if left < 0:
                        return None
                    if size:
                        found += select(each, body)
                    if effort.is_much(
                        PER_STEP * (1 + steps * size) + descends * PER_SCANNED * size
                    ):
                        yield False
        values = found
    return values


def _descendants(value: Any) -> Iterator[Any]:
    """Yield a value and the objects and lists in it, each before those in it."""
    todo = [value]
    while todo:
        each = todo.pop()
        yield each
        if isinstance(each, dict):
            inner: Iterable[Any] = each.values()
        elif isinstance(each, list):
            inner = each
        else:
            continue
        todo += [part for part in inner if isinstance(part, (dict, list))][::-1]


def _nodes(prompt: Prompt) -> int | None:
    """The number of values in a body; None if there are more than `MAX_NODES` or `MAX_LEVELS`
    levels."""
    level: list[Any] = [prompt.body]
    nodes = 0
    for _ in range(MAX_LEVELS):
        nodes += len(level)
        if nodes > MAX_NODES:
            return None
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            if len(below) > MAX_NODES:
                return None
        if not below:
            return nodes
        level = below
    return None
