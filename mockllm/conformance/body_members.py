"""Sets members of a request's body so that conditions on them hold."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from mockllm.conformance.examples import VALUES, find_values
from mockllm.matching.body_values import BodyHas
from mockllm.matching.json_path import Path, Step, read_path
from mockllm.prompt import NOT_STREAMED, Prompt

MAX_VALUES = 8
"""Values that are tried for one condition."""
_SEVERAL = re.compile(r"\[\s*\*\s*\]|\.\*")


def with_members(body: dict[str, Any], conditions: Sequence[BodyHas]) -> Iterator[dict[str, Any]]:
    """Yield copies of `body` in which all `conditions` are likely to hold."""
    if not conditions:
        yield body
        return
    first, *others = conditions
    for changed in _with_member(body, first):
        yield from with_members(changed, others)


def without_members(
    body: dict[str, Any], conditions: Sequence[BodyHas]
) -> Iterator[dict[str, Any]]:
    """Yield copies of `body` in which none of the `conditions` holds."""
    if not conditions:
        yield body
        return
    first, *others = conditions
    steps = _steps(first.path)
    choices = [body] if not _holds(first, body) else []
    if not choices and steps:
        choices = [changed for value in VALUES if (changed := _set(body, steps, value)) is not None]
    for changed in choices:
        if not _holds(first, changed):
            yield from without_members(changed, others)


def _with_member(body: dict[str, Any], condition: BodyHas) -> Iterator[dict[str, Any]]:
    if _holds(condition, body):
        yield body
        return
    steps = _steps(condition.path)
    if not steps:
        return
    if condition.test is None:
        yield from filter(None, [_removed(body, steps)])
        return
    for value in islice(find_values(condition.test), MAX_VALUES):
        changed = _set(body, steps, value)
        if changed is not None and _holds(condition, changed):
            yield changed


def _holds(condition: BodyHas, body: dict[str, Any]) -> bool:
    prompt = Prompt("", "", (), NOT_STREAMED, body)
    return condition.difference(prompt, {}) is None


def _steps(path: Path) -> tuple[Step, ...]:
    """Return the steps to a value that `path` selects: of several, the first; none if unknown."""
    if path.steps is not None:
        return path.steps
    try:
        return read_path(_SEVERAL.sub("[0]", path.text).replace("..", ".")).steps or ()
    except ValueError:
        return ()


def _set(body: dict[str, Any], steps: Sequence[Step], value: Any) -> dict[str, Any] | None:
    """Return a copy of `body` with `value` at a path; None if another value is in its way."""
    changed = copy.deepcopy(body)
    parent: Any = changed
    for step, following in pairwise(steps):
        empty: Any = [] if isinstance(following, int) else {}
        parent = _child(parent, step, empty)
        if parent is None:
            return None
    last = steps[-1]
    if _child(parent, last, value) is None and value is not None:
        return None
    parent[last] = value
    return changed


def _child(parent: Any, step: Step, empty: Any) -> Any:
    """Return the member or entry of `parent` at `step`, `empty` if it was missing; None if there is
    no room for one."""
    if isinstance(step, str):
        return parent.setdefault(step, empty) if isinstance(parent, dict) else None
    if not isinstance(parent, list):
        return None
    if step in (len(parent), -1) and not -len(parent) <= step < len(parent):
        parent.append(empty)
    return parent[step] if -len(parent) <= step < len(parent) else None


def _removed(body: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any] | None:
    changed = copy.deepcopy(body)
    parent: Any = changed
    for step in steps[:-1]:
        parent = parent[step]
    del parent[steps[-1]]
    return changed
