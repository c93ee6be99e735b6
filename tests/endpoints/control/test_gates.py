"""Gates that are released and opened over the control API."""

from __future__ import annotations

import pytest

from mockllm.engine.changes import OpenGate, ReleaseGate
from tests.support.control import Begin, Controlled


@pytest.fixture
def controlled(begin: Begin) -> Controlled:
    controlled = begin()
    controlled.ask("PUT", "sessions/a", {})
    return controlled


def test_gates_are_let_go_of_a_session_or_of_all(controlled: Controlled) -> None:
    token = controlled.access.token_of("a")

    assert controlled.ask("POST", "gates/g/release").status == 204
    assert controlled.ask("POST", "gates/g/open?session=a", {}).status == 204
    assert controlled.ask("POST", "gates/g/release", token=token).status == 204
    assert controlled.gates.done == [
        ReleaseGate(None, "g"),
        OpenGate("a", "g"),
        ReleaseGate("a", "g"),
    ]


def test_held_answers_are_counted(controlled: Controlled) -> None:
    controlled.gates.counts.update({"b": 2, "a": 1})

    assert controlled.ask("GET", "gates").value == {"held": {"a": 1, "b": 2}}
    assert controlled.ask("GET", "report").value == "answers that are held: 1 at 'a', 2 at 'b'\n"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("gates/a%20b/open", {}, 400),
        ("gates/../open", {}, 400),
        ("gates/g/open", {"x": 1}, 400),
        ("gates/g/open?session=none", {}, 404),
        ("gates/g/close", {}, 404),
    ],
)
def test_a_wrong_gate_is_refused(
    controlled: Controlled, path: str, body: object, status: int
) -> None:
    assert controlled.ask("POST", path, body).status == status
    assert controlled.gates.done == []


def test_a_token_of_a_session_lets_go_its_own_gates_alone(controlled: Controlled) -> None:
    token = controlled.access.token_of("a")
    controlled.ask("PUT", "sessions/b", {})

    assert controlled.ask("POST", "gates/g/open?session=b", token=token).status == 403
    assert controlled.ask("GET", "gates?session=b", token=token).status == 403
