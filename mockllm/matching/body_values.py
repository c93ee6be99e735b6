"""Conditions on members of a request's body, which JSONPath (RFC 9535) selects.

A path that selects at most one value (a singular query, section 2.3.5.1) is walked here and can be
looked up in an index. Others need the optional library jsonpath-rfc9535 and are evaluated on bodies
of limited size, because they may look at every value.

    >>> BodyHas(read_path("$.metadata.tenant"), ValueText(Contains("a")), canonical)
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Self

import orjson

from mockllm.errors import MissingExtraError
from mockllm.matching.closeness import ONLY_REQUEST
from mockllm.matching.predicates import DECIDE, Difference, Headers, Predicate
from mockllm.matching.text_tests import TextTest
from mockllm.matching.texts import MAX_QUOTE
from mockllm.prompt import Prompt

MAX_NODES = 10_000
"""Values of a body on which a path that is not singular is evaluated."""
MAX_LEVELS = 32
"""Levels of such a body."""

_NAME = r"[A-Za-z_\u0080-\U0010FFFF][A-Za-z0-9_\u0080-\U0010FFFF]*"
_SEGMENT = re.compile(
    rf"""\s*(?:\.(?P<name>{_NAME})
    |\[\s*(?:(?P<index>0|-?[1-9][0-9]{{0,8}})
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')\s*\])""",
    re.VERBOSE,
)

Step = str | int
Canonical = Callable[[Any], bytes]
"""Returns equal bytes for two values if and only if they are the same JSON: 1 is 1.0, not true."""


# --- paths ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Path:
    """A JSONPath. `steps` are those of a singular query; None if it is not one."""

    text: str
    steps: tuple[Step, ...] | None
    _find: Callable[[Any], Iterator[Any]] | None = field(default=None, repr=False, compare=False)

    def select(self, prompt: Prompt) -> list[Any] | None:
        """Return the selected values of a body; None if it is too large to tell."""
        if self.steps is not None:
            return self._walk(prompt.body)
        return prompt.once(self)

    def __call__(self, prompt: Prompt) -> list[Any] | None:
        """Return the values that a path which is not singular selects. It takes long: use
        `select`."""
        if self._find is None or prompt.once(_nodes) is None:
            return None
        return list(self._find(prompt.body))

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
        ValueError: it is no path of RFC 9535, or takes too long: a descendant segment within a
            filter, or a regular expression.
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
        raise ValueError("'..' and '*' within or behind a filter take too long")

    def find(body: Any) -> Iterator[Any]:
        return (node.value for node in islice(compiled.finditer(body), MAX_NODES))

    return Path(text, None, find)


def _has_filter_in_depth(text: str) -> bool:
    """True if a path has, within a filter, a segment that looks at many values for each value."""
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", "''", text)
    _, filtered, behind = bare.partition("?")
    return bool(filtered) and (".." in behind or "*" in behind or "?" in behind)


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


# --- values --------------------------------------------------------------------------------------


class ValueTest(ABC):
    """One test of a JSON value. Immutable, comparable, hashable."""

    __slots__ = ()

    @abstractmethod
    def passes(self, value: Any) -> bool:
        """Return True if `value` passes."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the values that pass."""

    @property
    def key(self) -> bytes | None:
        """The canonical form of the only value that passes; None if there are others."""
        return None


@dataclass(frozen=True, slots=True)
class ValueEquals(ValueTest):
    """The value is the one whose canonical form is `wanted`."""

    wanted: bytes
    canonical: Canonical = field(compare=False)

    @classmethod
    def of(cls, value: Any, canonical: Canonical) -> Self:
        """Return the test for `value`."""
        # the key is copied, because bytes returned by orjson occupy at least 4 KiB
        return cls(b"%b" % canonical(value), canonical)

    def passes(self, value: Any) -> bool:
        return self.canonical(value) == self.wanted

    @property
    def key(self) -> bytes | None:
        return self.wanted

    def __str__(self) -> str:
        return _shown(self.wanted)


@dataclass(frozen=True, slots=True)
class ValueText(ValueTest):
    """The value is a string that passes `test`."""

    test: TextTest

    def passes(self, value: Any) -> bool:
        return isinstance(value, str) and self.test.passes(value)

    def __str__(self) -> str:
        return str(self.test)


@dataclass(frozen=True, slots=True)
class AnyValue(ValueTest):
    """The value passes one of `tests`."""

    tests: tuple[ValueTest, ...]

    def passes(self, value: Any) -> bool:
        return any(test.passes(value) for test in self.tests)

    def __str__(self) -> str:
        return "one of: " + "; ".join(map(str, self.tests))


@dataclass(frozen=True, slots=True)
class AllValues(ValueTest):
    """The value passes all `tests`; any value passes if there are none."""

    tests: tuple[ValueTest, ...]

    def passes(self, value: Any) -> bool:
        return all(test.passes(value) for test in self.tests)

    def __str__(self) -> str:
        return " and ".join(map(str, self.tests)) if self.tests else "any value"


# --- the condition -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BodyHas(Predicate):
    """`path` selects at least one value that passes `test`; or, if `test` is None, no value."""

    path: Path
    test: ValueTest | None
    canonical: Canonical = field(compare=False)

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        values = self.path.select(prompt)
        if values is None:
            return Difference(ONLY_REQUEST, self._too_large, undecided=True)
        if self.test is None:
            return Difference(ONLY_REQUEST, partial(self._reason, values)) if values else None
        if any(map(self.test.passes, values)):
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, values))

    def _too_large(self) -> str:
        return (
            f"{self.path.text} is not looked at: the body has more than {MAX_NODES:,} values or "
            f"{MAX_LEVELS} levels"
        )

    def _reason(self, values: list[Any]) -> str:
        if self.test is None:
            return f"{self.path.text} is {_shown(self.canonical(values[0]))}, expected nothing"
        if not values:
            return f"{self.path.text} is missing, expected {self.test}"
        found = _shown(self.canonical(values[0]))
        return f"{self.path.text} is {found}, expected {self.test}"


def _shown(canonical: bytes) -> str:
    """The beginning of a value's canonical form, which is JSON."""
    text = canonical[: 4 * MAX_QUOTE].decode("utf-8", "ignore")
    return text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE]}…"
