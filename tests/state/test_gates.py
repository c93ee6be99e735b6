"""Gates as data: the same events in the same order mean the same, also from a dump."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mockllm.state.gates import GateStates

SESSIONS = st.sampled_from(["a", "b"])
WITHIN = st.sampled_from(["a", "b", None])
NAMES = st.sampled_from(["g", "h"])
TICKETS = st.tuples(st.integers(0, 2), st.integers(0, 99))
EVENTS = st.one_of(
    st.tuples(st.just("reach"), SESSIONS, NAMES, TICKETS),
    st.tuples(st.just("leave"), TICKETS),
    st.tuples(st.just("release"), WITHIN, NAMES),
    st.tuples(st.just("open"), WITHIN, NAMES),
    st.tuples(st.just("end_session"), SESSIONS),
    st.tuples(st.just("forget_worker"), st.integers(0, 2)),
)


def test_the_answers_of_a_worker_that_died_take_no_release() -> None:
    gates = GateStates()
    for ticket in ((0, 0), (1, 0), (0, 1)):
        gates.reach("a", "g", ticket)

    gates.forget_worker(0)

    assert (gates.held(None), gates.reached("a", "g")) == ({"g": 1}, 3)
    assert gates.workers == {1}
    assert gates.release("a", "g") == (1, 0)
    assert gates.release("a", "g") is None


def test_readings_change_nothing() -> None:
    gates = GateStates()
    gates.reach("a", "g", (0, 0))
    before = gates.dump()

    assert gates.first_held("a", "g") == gates.first_held(None, "g") == (0, 0)
    assert gates.first_held("b", "g") is None
    assert gates.reached("b", "h") == 0
    assert gates.held("a", lambda ticket: ticket[0] != 0) == {}

    assert gates.dump() == before


@given(st.lists(EVENTS, max_size=20), st.lists(EVENTS, max_size=20))
def test_gates_that_were_dumped_go_on_as_the_others(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    gates, copy = GateStates(), GateStates()
    copy.reach("forgotten", "g", (9, 9))
    seen = set[object]()
    for event, *values in before:
        if event != "reach" or values[-1] not in seen:
            getattr(gates, str(event))(*values)
            seen.add(values[-1])

    copy.load(orjson.loads(orjson.dumps(gates.dump())))

    for event, *values in after:
        if event != "reach" or values[-1] not in seen:
            seen.add(values[-1])
            assert getattr(copy, str(event))(*values) == getattr(gates, str(event))(*values)
    assert copy.dump() == gates.dump()
    assert copy.held(None) == gates.held(None)
