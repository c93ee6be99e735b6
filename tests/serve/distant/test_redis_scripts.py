"""The script of a question in a real Redis: the contract of all stores, its bounds, and a property
that holds every operation against the store of one process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockllm.serve.distant.redis_scripts import LIFETIME
from mockllm.state import attempts, draws, rate_limits, sessions, values
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Script, ScriptEntry
from mockllm.state.operations import (
    Admit,
    BeginSession,
    Choose,
    CountAnswers,
    CountPlaces,
    Draw,
    EndSession,
    Enter,
    Get,
    IsOpen,
    Leave,
    ListSessions,
    Operation,
    Put,
    Reset,
    Settle,
    Spend,
    TakeNothing,
)
from mockllm.state.rate_limits import Charge, Limit
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED
from mockllm.state.store import LocalStore
from tests.state.contract import SessionsContract
from tests.state.equality import make_equality_machine
from tests.state.machine import make_store_machine
from tests.state.scripts import scripts
from tests.support.redis_servers import ScriptStore, all_keys, needs_redis, shared_client

pytestmark = needs_redis


class TestRedisScript(SessionsContract):
    make_store = staticmethod(ScriptStore)


TestRedisScriptMachine = make_store_machine(ScriptStore).TestCase
TestRedisScriptMachine.settings = settings(max_examples=30)

TestRedisScriptEquality = make_equality_machine(ScriptStore).TestCase
TestRedisScriptEquality.settings = settings(max_examples=30)

# --- Against the store of one process, with bounds that a few operations reach --------------------

SESSIONS = st.sampled_from([COMMON, COMMON, "s", "t", "ü", "\ud800"])
KEYS = st.sampled_from(["a", "b", "c"])
ATTEMPTS = st.builds(Attempt, st.sampled_from([b"x" * 16, b"\0\xff" * 8]), st.integers(0, 2))
CANDIDATES = st.lists(st.builds(Candidate, KEYS, st.none() | scripts()), min_size=1, max_size=3)
TIMES = st.sampled_from([0.0, 1e-3, 1 / 3, 1.0, 7.5])
CHARGES = st.builds(
    Charge,
    st.sampled_from(["requests", "tokens\0key"]),
    st.builds(Limit, st.integers(1, 5), st.sampled_from([1.0, 60.0])),
    st.sampled_from([0, 1, 2.5, 9]),
    st.none() | SESSIONS,
)
BYTES = st.sampled_from([b"", b"\0\xff", b"v" * 70])
POOLS, LEASES = st.sampled_from(["p", "q"]), st.sampled_from(["1", "2", "3"])
LINED = st.sampled_from(["4", "5", "6", "7"])

OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Choose, SESSIONS, CANDIDATES.map(tuple), st.none() | ATTEMPTS),
    st.builds(Choose, SESSIONS, CANDIDATES.map(tuple), ATTEMPTS),
    st.builds(TakeNothing, SESSIONS, ATTEMPTS),
    st.builds(Admit, SESSIONS),
    st.builds(IsOpen, SESSIONS),
    st.just(ListSessions()),
    st.builds(CountAnswers, st.lists(KEYS).map(tuple), st.none() | SESSIONS),
    st.builds(BeginSession, SESSIONS, st.booleans()),
    st.builds(EndSession, SESSIONS),
    st.builds(Reset, st.none() | SESSIONS, st.none() | st.frozensets(KEYS)),
    st.builds(Put, KEYS, BYTES, st.sampled_from([1.0, 1000.0])),
    st.builds(Get, KEYS),
    st.builds(Draw, SESSIONS, st.integers(0, 1), KEYS, ATTEMPTS),
    st.builds(Spend, st.lists(CHARGES, min_size=1, max_size=2).map(tuple), TIMES),
    st.builds(Settle, CHARGES, st.sampled_from([0, 1.5, 9]), TIMES, TIMES),
    st.builds(Enter, POOLS, LEASES, st.integers(1, 2)),
    st.builds(Enter, st.just("r"), LINED, st.integers(1, 2), st.sampled_from([1, None])),
    st.builds(CountPlaces, st.sampled_from(["p", "r"])),
    st.builds(Leave, LEASES | LINED),
)
WAITS = st.sampled_from([0.0, 0.0, 1 / 3, STAYS_ENDED, MAX_UNUSED / 2, MAX_UNUSED])
HISTORIES = st.lists(st.tuples(WAITS, st.lists(OPERATIONS, min_size=1, max_size=3)), max_size=30)


@pytest.fixture
def small_bounds() -> Iterator[None]:
    """Bounds that a few operations reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in {"MAX_UNPINNED": 2, "MAX_PINNED": 2, "MAX_ENDED": 2}.items():
            patch.setattr(sessions, name, bound)
        for name, bound in {"MAX_ATTEMPTS": 2, "MAX_PER_SESSION": 1, "MAX_KEPT": 3}.items():
            patch.setattr(attempts, name, bound)
        patch.setattr(rate_limits, "MAX_BUCKETS", 3)
        patch.setattr(draws, "MAX_COUNTED", 2)
        for name, bound in {"MAX_VALUES": 2, "MAX_VALUE": 60, "MAX_BYTES": 605}.items():
            patch.setattr(values, name, bound)
        yield


@given(history=HISTORIES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small_bounds")
def test_every_operation_is_that_of_the_store_of_one_process(
    history: list[tuple[float, list[Operation]]],
) -> None:
    gone: list[str] = []
    store, local, now = ScriptStore(), LocalStore(gone.append), 0.0
    for wait, operations in history:
        now += wait

        assert store.perform(operations, now) == local.perform(operations, now)
        assert store.gone == gone
    for name, number in {
        "number-of-attempts": len(local._attempts),
        "number-of-buckets": len(local._buckets),
        "bytes-of-values": local._values.size,
    }.items():
        assert int(shared_client().get(store.prefix + name) or 0) == number


# --- What it leaves in Redis ----------------------------------------------------------------------

SCRIPT = (Candidate("a", Script((ScriptEntry(9),))),)


def everything(session: str) -> tuple[Operation, ...]:
    """A question with all operations that write."""
    charge = Charge("requests", Limit(9, 60.0))
    attempt = Attempt(b"x" * 16)
    return (
        BeginSession(session, current=True),
        Choose(session, SCRIPT, attempt),
        Choose(f"{session} unpinned", SCRIPT, attempt),
        Put("k", b"v", 60.0),
        Draw(session, 0, "a", attempt),
        Spend((charge, charge._replace(session=session)), 0.0),
        Enter("pool", "lease", 1),
        Enter("pool", "waits", 1, None),
        EndSession(f"{session} ended"),
    )


def test_every_key_has_the_prefix_and_expires() -> None:
    client = shared_client()
    store = ScriptStore()
    before = all_keys()

    store.perform(everything("s"), 0.0)

    written = all_keys() - before
    assert len(written) > 20
    assert all(key.startswith(store.prefix) for key in written)
    assert {client.ttl(key) for key in written} <= {LIFETIME, LIFETIME - 1}


def test_a_key_is_not_kept_anew_each_time_it_is_written() -> None:
    client, store = shared_client(), ScriptStore()
    store.perform(everything("s"), 0.0)
    key = f"{store.prefix}answers:s"

    for left, kept in ((LIFETIME // 2 + 60, LIFETIME // 2 + 60), (LIFETIME // 2 - 60, LIFETIME)):
        client.expire(key, left)
        store.perform([Choose("s", SCRIPT)], 0.0)

        assert kept - 1 <= client.ttl(key) <= kept


def test_a_session_that_ends_leaves_nothing_but_its_end() -> None:
    store = ScriptStore()
    store.perform(everything("s"), 0.0)

    store.perform([EndSession("s")], 0.0)

    left = [key for key in all_keys() if key.startswith(store.prefix) and key.endswith(":s")]
    assert left == []


def test_without_a_time_of_the_test_it_is_that_of_redis() -> None:
    store = ScriptStore()
    store.perform([Put("k", b"v", 1000.0)], None)

    assert store.perform([Get("k")], None) == [b"v"]
    assert store.perform([Get("k")], shared_client().time()[0] + 1002.0) == [None]


def test_prefixes_share_nothing() -> None:
    first, second = ScriptStore(), ScriptStore()
    question = [Choose(COMMON, SCRIPT)]

    assert first.perform(question, 0.0) == second.perform(question, 0.0) == [Chosen(0, 0, 1)]
