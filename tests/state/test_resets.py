"""What a reset costs does not depend on the number of sessions."""

from __future__ import annotations

from collections.abc import Iterator

from mockllm.state.attempts import attempt_at
from mockllm.state.choosing import AtEnd, Candidate, Script, ScriptEntry
from mockllm.state.operations import Choose, Operation, Reset
from mockllm.state.store import LocalStore
from tests.support.work import count_work


def asked(sessions: int) -> LocalStore:
    """A store in which each of so many sessions has had an answer."""
    store = LocalStore()
    script = Script((ScriptEntry(1), ScriptEntry(1)), AtEnd.FAIL)
    for number in range(sessions):
        attempt = attempt_at("/v1", b"%d" % number, None)
        store.perform([Choose(f"s{number}", (Candidate("mock", script),), attempt)], 0.0)
    return store


def work_of(store: LocalStore, operation: Operation) -> int:
    def pieces() -> Iterator[bool]:
        yield False
        store.perform([operation], 0.0)

    return sum(count_work(pieces()))


def test_a_reset_of_all_sessions_takes_as_long_for_many_as_for_one() -> None:
    few, many = asked(1), asked(500)

    assert work_of(many, Reset()) == work_of(few, Reset())
    assert [store.answered("mock", "s0") for store in (few, many)] == [0, 0]
    assert len(many._attempts) == 0
