"""Reads YAML 1.1 as the JSON that it stands for.

The parser is PyYAML's; values are built from its events here, because its constructor accepts what
JSON cannot represent (dates, sets, keys that are numbers), keeps the last of duplicate keys, and
shares what an alias repeats, so that a kilobyte may stand for a billion values. Nothing here
recurses. Tags are refused, so that no text of a file can make an object of Python.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import yaml

from mockllm.config.source_text import MAX_REMARKS, Path, Remark, SourceError, position
from mockllm.errors import Severity

MAX_DEPTH = 1024  # levels, as in JSON
MAX_REPEATED = 1_000_000
"""Maximum number of values that aliases repeat; a text counts one more for every 64 characters. A
million take a second and 100 MB."""
MAX_BITS = 64  # of a whole number
MAX_NUMBER = 400  # characters of a number that JSON does not write so, such as 12:30:45

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if it was built
_TEXT_TAG = "tag:yaml.org,2002:str"
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ALIKE = "indent what stands beside each other alike; in a text in single quotes, write ' as ''"
_REMEDIES = (  # a part of the parser's message, and what to do
    ("did not find expected", _ALIKE),  # of libyaml
    ("but found", _ALIKE),  # of the parser in Python
    ("mapping values are not allowed", "quote a text that contains a colon and a space"),
    ("cannot start any token", "indent with spaces, not with tabs; quote a text that begins so"),
    ("invalid Unicode character escape", "write the character itself, or its \\U0001F600 form"),
    ("expected alphabetic or numeric", "quote a text that begins with * or &"),
    ("control characters are not allowed", r'write it as an escape, "\x1b", in double quotes'),
    ("special characters are not allowed", r'write it as an escape, "\x1b", in double quotes'),
)


class Built(NamedTuple):
    """The value of a text, and what is wrong with it."""

    data: Any
    remarks: list[Remark]


def load(text: str) -> Built:
    """Return the value of a YAML text of one document.

    Raises:
        SourceError: the text is not YAML, or more than one document.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.reader.ReaderError as exc:
        raise SourceError(_describe(position(text, exc.position), exc.reason)) from exc
    except yaml.MarkedYAMLError as exc:
        reason = " ".join(filter(None, (exc.problem, exc.context)))
        mark = exc.problem_mark or exc.context_mark
        raise SourceError(_describe(_where(mark), reason)) from exc
    if not builder.documents or builder.is_empty:
        raise SourceError(
            'line 1 column 1: the file is empty; expected a mapping such as "mocks: [...]"'
        )
    return Built(builder.root, builder.remarks)


def _describe(where: str, reason: str) -> str:
    remedies = (remedy for part, remedy in _REMEDIES if part in reason)
    return "; ".join((f"{where}: {reason}", *remedies))


def _where(mark: Any) -> str:
    return f"line {mark.line + 1} column {mark.column + 1}"


@dataclass(slots=True)
class _Container:
    """A list or mapping that is still open."""

    value: Any
    anchor: str | None
    mark: Any
    step: str | int | None = None
    """The index or key of the next value; None in a mapping before a key."""
    size: int = 1
    keys: dict[str, Any] = field(default_factory=dict)
    """The mark of each key so far."""
    merged: list[Any] = field(default_factory=list)
    """The values of ``<<``."""


_MERGE = "<<"


class _Anchored(NamedTuple):
    value: Any
    size: int


class _Builder:
    """Builds the value of a document from the events of the parser."""

    def __init__(self) -> None:
        self.root: Any = None
        self.documents = 0
        self.is_empty = False
        self.remarks: list[Remark] = []
        self._open: list[_Container] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None: still open
        self._repeated = 0

    def take(self, event: Any) -> None:
        """Take the next event."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    where = _where(event.start_mark)
                    raise SourceError(f"{where}: a second document (---); a file has one")
            case yaml.ScalarEvent():
                self._take_scalar(event)
            case yaml.SequenceStartEvent():
                self._start(event, [], 0)
            case yaml.MappingStartEvent():
                self._start(event, {}, None)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._take_alias(event)

    # --- values ----------------------------------------------------------------------------------

    def _take_scalar(self, event: Any) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.step is None:
            self._take_key(parent, event)
            return
        if parent is None and event.value == "" and event.implicit[0]:
            self.is_empty = True  # a document of nothing but comments
        value = self._value_of(event)
        size = 1 + len(event.value) // 64
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, size)
        self._add(value, size, event.start_mark)

    def _start(self, event: Any, value: Any, step: int | None) -> None:
        self._refuse_as_key(event)
        if len(self._open) == MAX_DEPTH:
            where = _where(event.start_mark)
            raise SourceError(f"{where}: nested deeper than {MAX_DEPTH:,} levels")
        self._check_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Container(value, event.anchor, event.start_mark, step))

    def _end(self) -> None:
        container = self._open.pop()
        if container.merged:
            inherited: dict[str, Any] = {}
            for each in reversed(container.merged):  # the first has precedence
                inherited |= each
            container.value = inherited | container.value
        if container.anchor is not None:
            self._anchors[container.anchor] = _Anchored(container.value, container.size)
        self._add(container.value, container.size, container.mark)

    def _take_alias(self, event: Any) -> None:
        self._refuse_as_key(event)
        where = _where(event.start_mark)
        if event.anchor not in self._anchors:
            raise SourceError(f"{where}: *{event.anchor} refers to no anchor before it")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise SourceError(f"{where}: *{event.anchor} refers to the value that contains it")
        self._repeated += anchored.size
        if self._repeated > MAX_REPEATED:
            raise SourceError(f"{where}: aliases repeat more than {MAX_REPEATED:,} values")
        self._add(anchored.value, anchored.size, event.start_mark)

    def _add(self, value: Any, size: int, mark: Any) -> None:
        """Add a complete value to the container that it stands in."""
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        parent.size += size
        if isinstance(parent.value, list):
            parent.value.append(value)
            parent.step = len(parent.value)
            return
        if parent.step == _MERGE and _MERGE not in parent.keys:
            self._merge(parent, value, mark)
        else:
            parent.value[parent.step] = value
        parent.step = None

    def _merge(self, parent: _Container, value: Any, mark: Any) -> None:
        """Note the mappings whose members `parent` has unless it has its own (YAML's ``<<``)."""
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in merged):
            raise SourceError(f"{_where(mark)}: << takes a mapping or a list of mappings")
        parent.merged += merged

    # --- keys ------------------------------------------------------------------------------------

    def _take_key(self, parent: _Container, event: Any) -> None:
        if event.value == _MERGE and event.implicit[0]:
            parent.step = _MERGE
            return
        key = self._value_of(event, is_key=True)
        if not isinstance(key, str):
            self._remark(
                event,
                f"a key is a text, and YAML reads {event.value or 'nothing'} as {_kind(key)}; "
                f"write '{event.value}' in quotes",
            )
            key = event.value
        first = parent.keys.get(key)
        parent.step = key
        if first is not None:
            message = f"the key {key!r} occurs twice, first in {_where(first)}; remove one"
            self._remark(event, message, self._path()[:-1])
        else:
            parent.keys[key] = event.start_mark

    def _refuse_as_key(self, event: Any) -> None:
        if self._open and self._open[-1].step is None:
            where = _where(event.start_mark)
            raise SourceError(
                f"{where}: a key is a text, found a list, a mapping or an alias; quote a text that "
                "begins with a bracket or a brace"
            )

    # --- scalars ---------------------------------------------------------------------------------

    def _value_of(self, event: Any, *, is_key: bool = False) -> Any:
        """The value of a scalar. What is no value of JSON becomes a text, with a remark."""
        text: str = event.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not self._check_tag(event) or not event.implicit[0]:
            return text
        if _JSON_NUMBER.fullmatch(text):
            return self._number(text, event)
        value = _resolved(text)
        match value:
            case None | str():
                return value
            case bool() if text.lower() in ("true", "false") or is_key:
                return value
            case float() if not math.isfinite(value):
                message = f"{text} is not a number of JSON; write a finite one or null"
                self._remark(event, message, is_of_value=True)
            case bool() if len(self._open) > 1:
                self._remark_surprise(event, text, value)
                return value
            case bool():  # a setting of the server
                return value
            case int() if value.bit_length() > MAX_BITS:
                if not is_key:
                    self._remark_range(event)
                    return 0
            case int() | float():
                if not is_key:
                    self._remark_surprise(event, text, value)
                return value
            case _:
                message = f"YAML reads {text} as {_kind(value)}; write '{text}' in quotes"
                self._remark(event, message, is_of_value=True)
        return text

    def _number(self, text: str, event: Any) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            self._remark_range(event)
            return 0

    def _remark_range(self, event: Any) -> None:
        self._remark(event, "the number is out of range", is_of_value=True)

    def _remark_surprise(self, event: Any, text: str, value: Any) -> None:
        read = str(value).lower()
        message = f"YAML reads {text} as {read}; write {read}, or '{text}' in quotes for the text"
        self._remark(event, message, severity=Severity.WARNING)

    # --- remarks ---------------------------------------------------------------------------------

    def _check_tag(self, event: Any) -> bool:
        """True if a value has no tag but that of a text; else remark on it."""
        if event.tag is None or (event.tag == _TEXT_TAG and isinstance(event, yaml.ScalarEvent)):
            return True
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        message = f"the tag {tag} is not supported; write a text, a list or a mapping"
        self._remark(event, message, is_of_value=True)
        return False

    def _path(self) -> Path:
        return tuple(each.step for each in self._open if each.step is not None)

    def _remark(
        self,
        event: Any,
        message: str,
        path: Path | None = None,
        severity: Severity = Severity.ERROR,
        *,
        is_of_value: bool = False,
    ) -> None:
        if len(self.remarks) < MAX_REMARKS:
            where = self._path() if path is None else path
            told = f"{_where(event.start_mark)}: {message}"
            self.remarks.append(Remark(where, told, severity, is_of_value))


class _Constructor(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """Reads single scalars by the rules of YAML 1.1."""

    def __init__(self) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


_CONSTRUCTOR = _Constructor()


def _resolved(text: str) -> Any:
    """The value that YAML 1.1 reads from a scalar without quotes."""
    tag: str = _CONSTRUCTOR.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # the stubs have no types
    if tag == _TEXT_TAG or tag.endswith((":value", ":merge")):
        return text
    if len(text) > MAX_NUMBER and tag.endswith((":int", ":float")):
        return 1 << MAX_BITS  # to read it takes the square of its length
    try:
        return _CONSTRUCTOR.yaml_constructors[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError):  # such as the date 2024-99-99
        return text


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case _:
            return "a date"
