"""A state machine that holds a store against `state.specification`.

Clients' attempts time out, are cancelled before they arrive, or fail, and are retried, marked or
not, and refused by limits, while sessions begin and end, mocks are reset, and the configuration is
reloaded.
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
from mockllm.state.operations import (
    BeginSession,
    Choose,
    CountPlaces,
    EndSession,
    Enter,
    InLine,
    Leave,
    Operation,
    PoolFull,
    Reset,
    Result,
    SessionEnded,
    Settle,
    Spend,
    TakeNothing,
)
from mockllm.state.rate_limits import Charge, Limit, Limited, Spent
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED
from mockllm.state.specification import History, Ledger
from tests.state.contract import PerformingStore
from tests.state.scripts import scripts

KEYS = ("a", "b", "c", "d")
BODIES = (b"x" * 16, b"y" * 16)
NOBODY = b"-" * 16  # a request that is never retried
SESSIONS = (COMMON, "s", "t")
Tables = dict[bytes, tuple[Candidate, ...]]
"""The candidates of each body."""

LIMITS = {"few": Limit(3, 6.0), "many": Limit(100, 50.0)}  # whose refills are exact as floats
PLACES = 2

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


@dataclass
class Admitted:
    """A request that was admitted to limits, and is not over."""

    lease: str | None
    charges: tuple[Charge, ...]
    at: float


class Ledgers(dict[str, Ledger]):
    """The buckets of a session, or those that all share, by name."""

    def __missing__(self, name: str) -> Ledger:
        return self.setdefault(name, Ledger())


class SessionModel:
    """What is known of one session: the attempts in it, when it was last used and ended, and its
    own buckets."""

    def __init__(self) -> None:
        self.history = History()
        self.ledgers = Ledgers()
        self.pinned_since: float | None = None
        self.ended_at: float | None = None

    def end(self, at: float) -> None:
        self.ended_at = at
        self.pinned_since = None
        self.history = History()
        self.ledgers = Ledgers()

    def end_if_unused(self, now: float) -> None:
        if self.pinned_since is not None and now - self.pinned_since >= MAX_UNUSED:
            self.end(self.pinned_since + MAX_UNUSED)

    def admits(self, now: float) -> bool:
        self.end_if_unused(now)
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
    admitted: Bundle[Admitted] = Bundle("admitted")

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).make_store()
        self.models = {session: SessionModel() for session in SESSIONS}
        self.tables: Tables = {}
        self.now = 0.0
        self.taken: set[tuple[str, str, int]] = set()
        self.requests = 0  # since the last change
        self.ledgers = Ledgers()  # of the buckets that sessions share
        self.leases: set[str] = set()
        self.leases_so_far = 0
        self.line: list[str] = []  # of a pool with a queue: the first have its places

    def perform(self, operation: Operation) -> Result:
        (result,) = self.perform_all(operation)
        return result

    def perform_all(self, *operations: Operation) -> list[Result]:
        is_request = isinstance(operations[-1], Choose | TakeNothing)
        self.requests = self.requests + 1 if is_request else 0
        return [*self.store.perform(operations, self.now)]

    def admits(self, session: str) -> bool:
        """Return True if a request is admitted to its session. Others may end by that."""
        if session != COMMON:
            for model in self.models.values():
                model.end_if_unused(self.now)
        return self.models[session].admits(self.now)

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
        result = self.perform(Choose(call.session, self.tables[call.body], attempt))
        self.check_choice(call, attempt, result)

    def check_choice(self, call: Call, attempt: Attempt, result: Result) -> None:
        model, candidates = self.models[call.session], self.tables[call.body]
        if not self.admits(call.session):
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
        if self.admits(session):
            assert result == model.history.choose(candidates, Attempt(NOBODY))
        else:
            assert result == SessionEnded(session)

    @rule(call=calls)
    def hit_by_traffic(self, call: Call) -> None:
        attempt = Attempt(call.body, call.attempts)
        call.attempts += 1
        model = self.models[call.session]
        result = self.perform(TakeNothing(call.session, attempt))
        if self.admits(call.session):
            assert result is None
            model.history.take_nothing(attempt)
        else:
            assert result == SessionEnded(call.session)

    # --- Limits ---

    @rule(
        target=admitted,
        call=calls,
        costs=st.dictionaries(
            st.sampled_from([*LIMITS]), st.sampled_from([0, 1, 1, 2, 60, 101]), min_size=1
        ),
        is_own=st.booleans(),
        takes_place=st.booleans(),
    )
    def ask_with_limits(
        self, call: Call, costs: dict[str, int], is_own: bool, takes_place: bool
    ) -> Admitted:
        """A request is charged, and takes a place, in one step with the choice of its answer."""
        session = call.session if is_own else None
        charges = tuple(Charge(name, LIMITS[name], costs[name], session) for name in costs)
        self.leases_so_far += 1
        lease = f"lease {self.leases_so_far}" if takes_place else None
        attempt = Attempt(call.body, call.attempts)
        call.attempts += 1
        enter = () if lease is None else (Enter("pool", lease, PLACES),)
        results = self.perform_all(
            *enter,
            Spend(charges, self.now),
            Choose(call.session, self.tables[call.body], attempt),
        )

        refusal = self.expected_refusal(charges, lease)
        if refusal is not None:
            assert results == [*[None] * (lease is not None), refusal][-len(results) :]
            assert len(results) == (1 if isinstance(refusal, PoolFull) else len(enter) + 1)
            if self.admits(call.session):
                self.models[call.session].history.take_nothing(attempt)
            return multiple()  # type: ignore[return-value]  # adds nothing to the bundle
        spent = Spent(tuple(self.level(each) for each in charges))
        assert results[:-1] == [*[None] * (lease is not None), spent]
        self.check_choice(call, attempt, results[-1])
        if lease is not None and isinstance(results[-1], Chosen):
            self.leases.add(lease)
        return Admitted(lease, charges, self.now)

    def ledger(self, charge: Charge) -> Ledger:
        shared = charge.session is None
        return (self.ledgers if shared else self.models[charge.session or ""].ledgers)[
            charge.bucket
        ]

    def level(self, charge: Charge) -> float:
        return self.ledger(charge).level(charge.limit, self.now)

    def expected_refusal(self, charges: tuple[Charge, ...], lease: str | None) -> Result:
        """Return the refusal of a request; None if it is admitted, which is charged then."""
        if lease is not None and len(self.leases) >= PLACES:
            return PoolFull("pool")
        levels = tuple(self.level(each) for each in charges)
        for place, (charge, level) in enumerate(zip(charges, levels, strict=True)):
            limit = charge.limit
            if level + charge.cost > limit.amount:
                missing = level + charge.cost - limit.amount
                may_ever = charge.cost <= limit.amount
                wait = missing / limit.amount * limit.window if may_ever else None
                return Limited(place, levels, wait)
        for charge in charges:
            self.ledger(charge).charge(charge.cost, self.now)
        return None

    @rule(request=consumes(admitted), costs=st.lists(st.integers(0, 3), min_size=2, max_size=2))
    def end_with_limits(self, request: Admitted, costs: list[int]) -> None:
        """The answer is over: its place is given back, and it cost less, or more, than charged."""
        leave = () if request.lease is None else (Leave(request.lease),)
        settle = [
            Settle(charge, cost, request.at, self.now)
            for charge, cost in zip(request.charges, costs, strict=False)
        ]
        assert self.perform_all(*leave, *settle) == [None] * (len(leave) + len(settle))
        self.leases.discard(request.lease or "")
        for charge, cost in zip(request.charges, costs, strict=False):
            self.ledger(charge).settle(charge.limit, charge.cost, cost, request.at, self.now)

    # --- The line of a pool ---

    def standing(self, lease: str) -> Result:
        """Return what entering again says of a lease that is in the line."""
        return None if self.line.index(lease) < PLACES else InLine(PLACES)

    @rule(queue=st.sampled_from([1, 2, 2, None]))
    def enter_line(self, queue: int | None) -> None:
        self.leases_so_far += 1
        lease = f"{self.leases_so_far}"
        result = self.perform(Enter("line", lease, PLACES, queue))
        if queue is not None and len(self.line) >= PLACES + queue:
            assert result == PoolFull("line")
            return
        self.line.append(lease)
        assert result == self.standing(lease)

    @precondition(lambda machine: machine.line)
    @rule(data=st.data())
    def enter_line_again(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.line))
        assert self.perform(Enter("line", lease, PLACES, 2)) == self.standing(lease)

    @precondition(lambda machine: machine.line)
    @rule(data=st.data())
    def leave_line(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.line))
        self.line.remove(lease)
        expected = [None, min(len(self.line), PLACES)]
        assert self.perform_all(Leave(lease), CountPlaces("line")) == expected

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 20.0]))
    def refill(self, seconds: float) -> None:
        self.now += seconds

    # --- Tests and the control API ---

    @precondition(is_change_due)
    @rule(session=st.none() | sessions, keys=st.none() | st.frozensets(st.sampled_from(KEYS)))
    def reset(self, session: str | None, keys: frozenset[str] | None) -> None:
        self.perform(Reset(session, keys))
        for name in SESSIONS if session is None else (session,):
            self.models[name].history.reset(keys)
            if keys is None:
                self.models[name].ledgers.clear()
        if keys is None and session is None:
            self.ledgers.clear()
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
        self.admits(session)
        model = self.models[session]
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
