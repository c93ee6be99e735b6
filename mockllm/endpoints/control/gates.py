"""``/gates``: let answers go on that are held there."""

from __future__ import annotations

from mockllm.config.fault import GATE_NAMES, is_gate_name
from mockllm.endpoints.control.answers import answer, no_content
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import ControlError
from mockllm.endpoints.control.request import ControlRequest
from mockllm.endpoints.control.running import NoMembers
from mockllm.engine.changes import OpenGate, ReleaseGate
from mockllm.engine.decision import Decision, Question


def list_gates(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the number of answers that are held now, by the names of the gates.

    Raises:
        ControlError: 400, 403.
    """
    return answer({"held": dict(sorted(desk.gates.held(asked.scope()).items()))})


def release_gate(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let one answer go on: the one that has been held longest, or else the next one that comes.

    Raises:
        ControlError: 400, 403, 404.
    """
    return _change(desk, asked, ReleaseGate)


def open_gate(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let all answers go on, those that come later too.

    Raises:
        ControlError: 400, 403, 404.
    """
    return _change(desk, asked, OpenGate)


def checked_gate(name: str) -> str:
    """Return the valid name of a gate.

    Raises:
        ValueError: it is none.
    """
    if not is_gate_name(name):
        raise ValueError(f"expected the name of a gate, {GATE_NAMES}")
    return name


def _change(
    desk: Desk, asked: ControlRequest, make: type[ReleaseGate] | type[OpenGate]
) -> Decision | Question:
    """Change the gate in the path, of a session or of all."""
    asked.read(NoMembers)
    session = asked.scope()
    try:
        name = checked_gate(asked.values["name"])
    except ValueError as exc:
        raise ControlError(400, "invalid_gate", f"Invalid name: {exc}") from exc
    return desk.changes.commit(lambda: [make(session, name)], lambda changes: no_content())
