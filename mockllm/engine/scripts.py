"""Compiles the answers of mocks with state to scripts, and finds the keys of their state.

It knows in which order a mock gives its answers. It does not know what they are: that is
`engine.mock_sources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mockllm.config.answers import Answers
from mockllm.config.models import AnyMock
from mockllm.config.objects import ConfigObject
from mockllm.state.choosing import AtEnd, Script, ScriptEntry
from mockllm.state.keys import Identity, state_keys
from mockllm.wire import jsontext


def script_of(mock: Answers) -> Script:
    """Return the script of a mock with state: the entries of `first`, then those of `sequence` or,
    for ever, the mock's own answer. What restarts begins behind `first`."""
    breaks = mock.fault is not None  # also the entries that have no fault of their own
    fails = breaks or mock.failure is not None
    entries = []
    for _, entry in mock.entries():
        meant_to_fail = breaks if entry.has_answer else fails
        advances = entry.advances_retry or (entry.retry is None and meant_to_fail)
        entries.append(ScriptEntry(entry.limit, advances))
    if not mock.sequence_entries:
        return Script((*entries, ScriptEntry(None, fails)))
    at_end = AtEnd(mock.at_end or AtEnd.FAIL)
    return Script(tuple(entries), at_end, restart_at=len(mock.first_entries))


def keys_of(list_name: str, mocks: Sequence[AnyMock]) -> Mapping[int, str]:
    """Return the keys of the mocks with state in a list of the configuration, by their positions.
    All APIs that have a mock of the list share its state."""
    stateful = [position for position, mock in enumerate(mocks) if mock.has_state]
    keys = state_keys(_identity(list_name, mocks[position]) for position in stateful)
    return dict(zip(stateful, keys, strict=True))


def _identity(list_name: str, mock: AnyMock) -> Identity:
    if mock.name:
        return Identity(list_name, mock.name, None, None)
    own = as_json(mock, include={"response", "reply", "error", "fault", "headers", "stream"})
    entries = [as_json(entry) for _, entry in mock.entries()]
    return Identity(list_name, "", as_json(mock.match), [own, *entries])


def as_json(written: ConfigObject, include: set[str] | None = None) -> Any:
    """Return what was written as a JSON value; None if it has none, which is reported elsewhere."""
    try:
        value = written.model_dump(mode="json", by_alias=True, exclude_unset=True, include=include)
    except ValueError:
        return None
    return None if any(jsontext.find_unserialisable(value)) else value
