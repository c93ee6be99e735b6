"""Reads a JSON text slowly, to locate what a fast decoder does not: the cause of a syntax error,
and keys that occur twice.

The scanner is a pushdown automaton: a stack of open lists and objects, and one of six states, each
of which allows some kinds of tokens. `json_remedies` explains a token that is not allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from mockllm.config.source_text import Path


class Duplicate(NamedTuple):
    """A key that occurs again in the object at `path`. Positions are offsets in the text."""

    path: Path
    key: str
    offset: int
    first: int


class State(Enum):
    """The place in the grammar (RFC 8259) before the next token."""

    VALUE = "a value"
    FIRST_VALUE = "a value or ]"
    KEY = "a key"
    FIRST_KEY = "a key or }"
    COLON = "a colon"
    NEXT = "a comma or the closing bracket"
    END = "the end of the file"


_VALUE_KINDS = frozenset({"text", "other", "open"})
_ALLOWED: Mapping[State, frozenset[str]] = {
    State.VALUE: _VALUE_KINDS,
    State.FIRST_VALUE: _VALUE_KINDS | {"close"},
    State.KEY: frozenset({"text"}),
    State.FIRST_KEY: frozenset({"text", "close"}),
    State.COLON: frozenset({"colon"}),
    State.NEXT: frozenset({"comma", "close"}),
    State.END: frozenset({"end"}),
}

TEXT_START = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_SPACE = re.compile(r"[ \t\n\r]*+")
_TOKEN = re.compile(
    rf'(?P<text>{TEXT_START.pattern}")'
    r"|(?P<other>(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
    r"(?![\w.]))"
    r"|(?P<open>[{[])|(?P<close>[]}])|(?P<comma>,)|(?P<colon>:)|(?P<end>\Z)"
)


@dataclass(slots=True)
class Container:
    """A list or object that is still open."""

    offset: int
    is_object: bool
    step: str | int = 0
    """The key or index of the member that is being read."""
    keys: dict[str, int] = field(default_factory=dict)
    """The offset of each key so far."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return "object" if self.is_object else "list"

    @property
    def closing(self) -> str:
        """The bracket that closes it."""
        return "}" if self.is_object else "]"


class Unexpected(Exception):  # noqa: N818  # a signal between two modules, not an error of the package
    """A token that the grammar does not allow. `comma` is the offset of a comma right before it."""

    def __init__(
        self, offset: int, state: State, open_containers: list[Container], comma: int | None
    ) -> None:
        super().__init__(offset)
        self.offset = offset
        self.state = state
        self.open_containers = open_containers
        self.comma = comma


def scan(text: str) -> Iterator[Duplicate]:
    """Yield the duplicate keys of a JSON text, in order.

    Raises:
        Unexpected: the text is not JSON.
    """
    scanner = _Scanner()
    offset = 0
    while True:
        offset = scanner.skip_space(text, offset)
        token = _TOKEN.match(text, offset)
        kind = token.lastgroup if token else None
        if token is None or kind is None or not scanner.allows(kind, token[0]):
            raise Unexpected(offset, scanner.state, scanner.open_containers, scanner.comma)
        if kind == "end":
            return
        duplicate = scanner.take(kind, token[0], offset)
        if duplicate is not None:
            yield duplicate
        offset = token.end()


class _Scanner:
    """The state of `scan` between two tokens."""

    def __init__(self) -> None:
        self.state = State.VALUE
        self.open_containers: list[Container] = []
        self.comma: int | None = None

    @staticmethod
    def skip_space(text: str, offset: int) -> int:
        space = _SPACE.match(text, offset)
        return space.end() if space else offset

    def allows(self, kind: str, token: str) -> bool:
        if kind == "close" and self.open_containers[-1:]:
            return kind in _ALLOWED[self.state] and token == self.open_containers[-1].closing
        return kind in _ALLOWED[self.state]

    def take(self, kind: str, symbol: str, offset: int) -> Duplicate | None:
        """Move on by an allowed token, `symbol`; returns the duplicate if it is one."""
        self.comma = offset if kind == "comma" else None
        match kind:
            case "text" if self.state in (State.KEY, State.FIRST_KEY):
                self.state = State.COLON
                return self._take_key(json.loads(symbol), offset)
            case "text" | "other":
                self._end_value()
            case "open":
                self.open_containers.append(Container(offset, symbol == "{"))
                self.state = State.FIRST_KEY if symbol == "{" else State.FIRST_VALUE
            case "close":
                self.open_containers.pop()
                self._end_value()
            case "colon":
                self.state = State.VALUE
            case "comma":
                self._next_member()
        return None

    def _take_key(self, key: str, offset: int) -> Duplicate | None:
        container = self.open_containers[-1]
        container.step = key
        first = container.keys.setdefault(key, offset)
        if first == offset:
            return None
        path = tuple(each.step for each in self.open_containers[:-1])
        return Duplicate(path, key, offset, first)

    def _next_member(self) -> None:
        container = self.open_containers[-1]
        self.state = State.KEY if container.is_object else State.VALUE
        if isinstance(container.step, int):
            container.step += 1

    def _end_value(self) -> None:
        self.state = State.NEXT if self.open_containers else State.END
