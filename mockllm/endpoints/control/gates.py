"""``/gates``: let answers go on that are held there."""

from __future__ import annotations

from mockllm.config.fault import GATE_NAMES, is_gate_name
from mockllm.endpoints.control.answers import ControlError, answer, no_content
from mockllm.endpoints.control.desk import Asked, Desk
from mockllm.endpoints.control.running import NoMembers
from mockllm.engine.decision import Decision


def list_gates(desk: Desk, asked: Asked) -> Decision:
    """Answer with the number of answers that are held now, by the names of the gates.

    Raises:
        ControlError: 400, 403.
    """
    return answer({"held": dict(sorted(desk.gates.held(asked.scope()).items()))})


def release_gate(desk: Desk, asked: Asked) -> Decision:
    """Let one answer go on: the one that has been held longest, or else the next one that comes.

    Raises:
        ControlError: 400, 403, 404.
    """
    desk.gates.release(*_gate(desk, asked))
    return no_content()


def open_gate(desk: Desk, asked: Asked) -> Decision:
    """Let all answers go on, those that come later too.

    Raises:
        ControlError: 400, 403, 404.
    """
    desk.gates.open(*_gate(desk, asked))
    return no_content()


def checked_gate(name: str) -> str:
    """Return the valid name of a gate.

    Raises:
        ValueError: it is none.
    """
    if not is_gate_name(name):
        raise ValueError(f"expected the name of a gate, {GATE_NAMES}")
    return name


def _gate(desk: Desk, asked: Asked) -> tuple[str | None, str]:
    """Return the session, or None for all, and the name of a gate that is let go."""
    asked.read(NoMembers)
    session = asked.scope()
    desk.check_open(session)
    try:
        return session, checked_gate(asked.values["name"])
    except ValueError as exc:
        raise ControlError(400, "invalid_gate", f"Invalid name: {exc}") from exc
