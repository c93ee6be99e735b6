"""A state machine that holds a store against `state.specification`.

Clients' attempts time out, are cancelled before they arrive, or fail, and are retried, marked or
not, while sessions begin and end, mocks are reset, and the configuration is reloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED
from mockllm.state.specification import History
from mockllm.state.store import (
    BeginSession,
    Choose,
    EndSession,
    Operation,
    Reset,
    Result,
    SessionEnded,
    TakeNothing,
)
from tests.state.contract import PerformingStore
from tests.state.scripts import scripts

KEYS = ("a", "b", "c", "d")
BODIES = (b"x" * 16, b"y" * 16)
NOBODY = b"-" * 16  # a request that is never retried
SESSIONS = (COMMON, "s", "t")
Tables = dict[bytes, tuple[Candidate, ...]]
"""The candidates of each body."""

MIN_REQUESTS = 5  # between two changes, so that clients meet each other

sessions = st.sampled_from((COMMON, *SESSIONS))
bodies = st.sampled_from((BODIES[0], *BODIES))


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """Mocks, some of which match each body, up to the first without state."""
    mocks = {key: draw(st.none() | scripts()) for key in KEYS}
    found: Tables = {}
    for body in BODIES:
        candidates = []
        for key in draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True)):
            candidates.append(Candidate(key, mocks[key]))
            if mocks[key] is None:
                break
        found[body] = tuple(candidates)
    return found


@dataclass
class Call:
    """A call of an SDK, which has made attempts with the retry counts below `attempts`."""

    session: str
    body: bytes
    attempts: int = 0


class SessionModel:
    """What is known of one session: the attempts in it, and when it was last used and ended."""

    def __init__(self) -> None:
        self.history = History()
        self.pinned_since: float | None = None
        self.ended_at: float | None = None

    def end(self, at: float) -> None:
        self.ended_at = at
        self.pinned_since = None
        self.history = History()

    def admits(self, now: float) -> bool:
        if self.pinned_since is not None and now - self.pinned_since >= MAX_UNUSED:
            self.end(self.pinned_since + MAX_UNUSED)
        if self.ended_at is not None and now - self.ended_at < STAYS_ENDED:
            return False
        self.ended_at = None
        if self.pinned_since is not None:
            self.pinned_since = now
        return True


def is_change_due(machine: StoreMachine) -> bool:
    """Return True if there were enough requests since the last change."""
    return machine.requests >= MIN_REQUESTS


class StoreMachine(RuleBasedStateMachine):
    """Performs every operation on a store and on the specification, and compares the results."""

    make_store: Callable[[], PerformingStore]

    calls: Bundle[Call] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).make_store()
        self.models = {session: SessionModel() for session in SESSIONS}
        self.tables: Tables = {}
        self.now = 0.0
        self.taken: set[tuple[str, str, int]] = set()
        self.requests = 0  # since the last change

    def perform(self, operation: Operation) -> Result:
        is_request = isinstance(operation, Choose | TakeNothing)
        self.requests = self.requests + 1 if is_request else 0
        (result,) = self.store.perform((operation,), self.now)
        return result

    @initialize(configuration=tables())
    def start(self, configuration: Tables) -> None:
        self.tables = configuration

    @precondition(is_change_due)
    @rule(configuration=tables())
    def reload(self, configuration: Tables) -> None:
        """The store is not told: state goes on under the keys."""
        self.tables = configuration
        self.requests = 0

    # --- Clients ---

    def ask(self, call: Call) -> None:
        attempt = Attempt(call.body, call.attempts)
        call.attempts += 1
        model, candidates = self.models[call.session], self.tables[call.body]
        result = self.perform(Choose(call.session, candidates, attempt))
        if not model.admits(self.now):
            assert result == SessionEnded(call.session)
            return
        assert result == model.history.choose(candidates, attempt)
        if isinstance(result, Chosen) and result.number and not result.repeated:
            place = (call.session, candidates[result.candidate].key, result.number)
            assert place not in self.taken, "a place was given twice"
            self.taken.add(place)

    @rule(target=calls, session=sessions, body=bodies)
    def begin_call(self, session: str, body: bytes) -> Call:
        return self.first_attempt(session, body)

    def first_attempt(self, session: str, body: bytes) -> Call:
        call = Call(session, body)
        self.ask(call)
        return call

    @rule(target=calls, session=sessions, body=bodies)
    def cancel_the_first_attempt(self, session: str, body: bytes) -> Call:
        """It never arrives."""
        return Call(session, body, attempts=1)

    @rule(target=calls, call=consumes(calls))
    def retry(self, call: Call) -> Call:
        """The attempt failed, or the client did not wait for it: the SDK asks again."""
        self.ask(call)
        return call

    @rule(target=calls, call=calls)
    def retry_unmarked(self, call: Call) -> Call:
        """A loop around the SDK asks again: a new call."""
        return self.first_attempt(call.session, call.body)

    @rule(call=calls)
    def cancel_a_retry(self, call: Call) -> None:
        call.attempts += 1

    @rule(target=calls, call=consumes(calls))
    def finish(self, call: Call) -> Call:
        return multiple()  # type: ignore[return-value]  # adds nothing to the bundle

    @rule(session=sessions, body=bodies)
    def ask_without_an_attempt(self, session: str, body: bytes) -> None:
        candidates = self.tables[body]
        result = self.perform(Choose(session, candidates))
        model = self.models[session]
        if model.admits(self.now):
            assert result == model.history.choose(candidates, Attempt(NOBODY))
        else:
            assert result == SessionEnded(session)

    @rule(call=calls)
    def hit_by_traffic(self, call: Call) -> None:
        attempt = Attempt(call.body, call.attempts)
        call.attempts += 1
        model = self.models[call.session]
        result = self.perform(TakeNothing(call.session, attempt))
        if model.admits(self.now):
            assert result is None
            model.history.take_nothing(attempt)
        else:
            assert result == SessionEnded(call.session)

    # --- Tests and the control API ---

    @precondition(is_change_due)
    @rule(session=st.none() | sessions, keys=st.none() | st.frozensets(st.sampled_from(KEYS)))
    def reset(self, session: str | None, keys: frozenset[str] | None) -> None:
        self.perform(Reset(session, keys))
        for name in SESSIONS if session is None else (session,):
            self.models[name].history.reset(keys)
        self.taken = {
            place
            for place in self.taken
            if (session is not None and place[0] != session)
            or (keys is not None and place[1] not in keys)
        }

    @precondition(is_change_due)
    @rule(session=sessions.filter(bool))
    def begin_session(self, session: str) -> None:
        self.perform(BeginSession(session))
        model = self.models[session]
        model.admits(self.now)
        model.ended_at = None
        model.pinned_since = self.now

    @precondition(is_change_due)
    @rule(session=sessions)
    def end_session(self, session: str) -> None:
        self.perform(EndSession(session))
        if session != COMMON:
            self.models[session].end(self.now)
            self.forget_places(session)

    @precondition(is_change_due)
    @rule(seconds=st.sampled_from([1.0, STAYS_ENDED, MAX_UNUSED, 2 * MAX_UNUSED]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.requests = 0
        for name, model in self.models.items():
            if model.pinned_since is not None and self.now - model.pinned_since >= MAX_UNUSED:
                self.forget_places(name)

    def forget_places(self, session: str) -> None:
        self.taken = {place for place in self.taken if place[0] != session}


def make_store_machine(factory: Callable[[], PerformingStore]) -> type[StoreMachine]:
    """Return the state machine of the stores that `factory` returns."""
    return type("StoreMachine", (StoreMachine,), {"make_store": staticmethod(factory)})
