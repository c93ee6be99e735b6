"""Changes as bytes, for other processes, which compile what they describe once more.

One record has the changes of one request, or of many, each as a list of its kind and its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mockllm.engine import changes
from mockllm.engine.added import compile_added
from mockllm.engine.changes import AddMock, Change, LeaveGate, ReachGate, SetTraffic
from mockllm.engine.engine import Engine
from mockllm.engine.traffic import compile_traffic
from mockllm.wire import jsontext

Packed = list[Any]
"""A change as JSON: the name of its kind, and its values."""

_PLAIN: Mapping[str, Callable[..., Change]] = {
    kind.__name__: kind
    for kind in (
        changes.RemoveMock,
        changes.StartTraffic,
        changes.StopTraffic,
        changes.ResetTraffic,
        changes.SetSpeed,
        changes.OpenSession,
        changes.CloseSession,
        changes.ResetMocks,
        changes.ClearCalls,
        changes.ReleaseGate,
        changes.OpenGate,
        changes.ForgetWorker,
        changes.SetGates,
    )
}
"""The kinds whose values are JSON."""


def pack(made: Iterable[Change]) -> bytes:
    """Return changes as a record."""
    return jsontext.dumps([_pack(change) for change in made])


def unpack(record: bytes) -> list[Packed]:
    """Return the changes of a record, each of which `restore` compiles."""
    packed: list[Packed] = jsontext.loads(record, max_values=None)
    return packed


def restore(packed: Packed, engine: Engine) -> Change:
    """Return a change, compiled for `engine`. What was refused for likely mistakes, or accepted in
    spite of them, was so when the change was made.

    Raises:
        ConfigError: this engine cannot have it.
    """
    kind, *values = packed
    if kind == AddMock.__name__:
        session, number, position, field, words = values
        added = compile_added(
            words,
            number,
            position=position,
            field=field,
            chunk=engine.chunk,
            pace=engine.pace,
            strict_requests=engine.strict_requests,
        )
        return AddMock(added, session)
    if kind == SetTraffic.__name__:
        (entries,) = values
        return SetTraffic(
            compile_traffic(entries, chunk=engine.chunk, require_auth=engine.require_auth)
        )
    if kind == ReachGate.__name__:
        session, name, (worker, number) = values
        return ReachGate(session, name, (worker, number))
    if kind == LeaveGate.__name__:
        ((worker, number),) = values
        return LeaveGate((worker, number))
    return _PLAIN[kind](*values)


def _pack(change: Change) -> Packed:
    kind = type(change).__name__
    match change:
        case AddMock(added, session):
            return [kind, session, added.number, added.place.position, added.field, added.words]
        case SetTraffic(traffic):
            entries = [
                each.model_dump(mode="json", by_alias=True, exclude_unset=True)
                for each in traffic.entries
            ]
            return [kind, entries]
    return [kind, *change]
