from __future__ import annotations

from itertools import product
from typing import Any, cast

import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.serve.connections import Service
from mockllm.serve.phase import FOLLOWS, Phase
from mockllm.serve.protocol import HTTPProtocol
from tests.support.apps import LoneApp

LISTED = [(phase, after) for phase in Phase for after in Phase if after in FOLLOWS[phase]]
NOT_LISTED = [pair for pair in product(Phase, Phase) if pair not in LISTED]


def new_protocol() -> HTTPProtocol:
    return HTTPProtocol(Service(LoneApp(Engine(load(Config.from_dict({}))))))


def protocol_in(phase: Phase) -> HTTPProtocol:
    protocol = new_protocol()
    protocol.phase = phase
    return protocol


def enter(protocol: HTTPProtocol, phase: Phase) -> None:
    cast("Any", protocol)._enter(phase)


def test_every_phase_has_an_entry() -> None:
    assert set(FOLLOWS) == set(Phase)


def test_every_phase_is_reachable_from_idle() -> None:
    reached = {Phase.IDLE}
    while more := {after for phase in reached for after in FOLLOWS[phase]} - reached:
        reached |= more

    assert reached == set(Phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CLOSED])
def test_a_connection_may_be_lost_in_every_phase(phase: Phase) -> None:
    assert Phase.CLOSED in FOLLOWS[phase]


def test_a_closed_connection_is_closed_for_ever() -> None:
    assert FOLLOWS[Phase.CLOSED] == set()


def test_a_lingering_connection_only_closes() -> None:
    assert FOLLOWS[Phase.LINGERING] == {Phase.CLOSED}


def test_an_answer_is_followed_by_any_part_of_the_next_request() -> None:
    assert FOLLOWS[Phase.ANSWERING] >= {Phase.IDLE, Phase.HEAD, Phase.BODY}
    assert Phase.ANSWERING not in FOLLOWS[Phase.ANSWERING]


@pytest.mark.parametrize(("phase", "after"), LISTED)
def test_a_listed_transition_changes_the_phase(phase: Phase, after: Phase) -> None:
    protocol = protocol_in(phase)

    enter(protocol, after)

    assert protocol.phase is after


@pytest.mark.parametrize(("phase", "after"), NOT_LISTED)
def test_an_unlisted_transition_raises_and_changes_nothing(phase: Phase, after: Phase) -> None:
    protocol = protocol_in(phase)

    with pytest.raises(RuntimeError):
        enter(protocol, after)

    assert protocol.phase is phase


def test_a_new_connection_is_idle() -> None:
    assert new_protocol().phase is Phase.IDLE
