"""Explains how two messages in canonical form differ: the first member that is not the same."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import orjson

from mockllm.matching.folding import explain_difference
from mockllm.matching.parts import is_same
from mockllm.matching.texts import MAX_QUOTE, quote

ABSENT: Any = object()
_CONTENTS = frozenset({"content", "output"})
_ONLY_TEXTS = frozenset({("content",), ("output",)})
"""Members of a message that are called the text."""
_KINDS = ("role", "type")
"""Members that decide which others there are: compared before them, as words."""

Path = tuple[str | int, ...]


class _Difference(NamedTuple):
    path: Path
    expected: Any
    found: Any


def explain_json(expected: bytes, found: bytes, root: str = "") -> str | None:
    """Return a sentence that names the first member in which two JSON values differ. `root` is the
    name of the values. None if they do not differ or are nested too deeply."""
    try:
        one, other = orjson.loads(expected), orjson.loads(found)
        if root and all(isinstance(value, list) and len(value) == 1 for value in (one, other)):
            (one,), (other,) = one, other
        difference = _first(one, other, ())
    except (ValueError, RecursionError):
        return None
    return None if difference is None else _explain(difference, root)


def _first(expected: Any, found: Any, path: Path) -> _Difference | None:
    if path and path[-1] in _CONTENTS and isinstance(expected, list) != isinstance(found, list):
        expected, found = _as_parts(expected), _as_parts(found)
    if isinstance(expected, dict) and isinstance(found, dict):
        kinds = (name for name in _KINDS if name in expected and name in found)
        for name in (*kinds, *expected, *(name for name in found if name not in expected)):
            inner = _first(expected.get(name, ABSENT), found.get(name, ABSENT), (*path, name))
            if inner is not None:
                return inner
        return None
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        inners = (_first(one, other, (*path, at)) for at, (one, other) in pairs)
        return next((inner for inner in inners if inner is not None), None)
    return None if is_same(expected, found) else _Difference(path, expected, found)


def _as_parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _explain(difference: _Difference, root: str) -> str:
    path, expected, found = difference
    is_text = isinstance(expected, str) and isinstance(found, str)
    where = "text" if is_text and not root and path in _ONLY_TEXTS else _name(path, root)
    if expected is ABSENT:
        return f"{where} is {_show(found)}, expected none"
    if found is ABSENT:
        return f"{where} is missing, expected {_show(expected)}"
    if is_text and not (path and path[-1] in _KINDS):
        return f"{where} {explain_difference(expected, found)}"
    if isinstance(expected, list) and isinstance(found, list):
        entries = "entry" if len(found) == 1 else "entries"
        return f"{where} has {len(found)} {entries}, expected {len(expected)}"
    return f"{where} is {_show(found)}, expected {_show(expected)}"


def _show(value: Any) -> str:
    return quote(value) if isinstance(value, str) else quote_json(value)


def quote_json(value: Any) -> str:
    """Return a value as JSON, cut like a quoted text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE]}…"


def _name(path: Path, root: str) -> str:
    """Return a path as it is written."""
    name = root
    for at, step in enumerate(path):
        if step == "json" and at and path[at - 1] == "arguments":
            continue  # the value of arguments that are JSON, see `normalise.arguments`
        name += f"[{step}]" if isinstance(step, int) else f".{step}"
    return name.removeprefix(".") or "message"
