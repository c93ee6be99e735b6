"""What every store does, whatever it stores state in.

`SessionsContract` has the tests of single behaviours; `make_store_machine` returns a state machine
that holds a store against `state.specification`, `make_equality_machine` one that holds it equal to
`LocalStore`. A test module of a store does

    class TestMyStore(SessionsContract):
        make_store = staticmethod(make_my_store)

    TestMyStoreMachine = make_store_machine(make_my_store).TestCase
    TestMyStoreEquality = make_equality_machine(make_my_store).TestCase

where `make_my_store` returns an empty store that is asked at a given time (`PerformingStore`). The
bounds of what is kept are constants of the modules in `state`, which tests make small: a store
reads them when it performs an operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from mockllm.state import attempts, rate_limits, sessions, values
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import (
    NONE_LEFT,
    AtEnd,
    Candidate,
    Chosen,
    Exhausted,
    Script,
    ScriptEntry,
)
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
    InLine,
    IsOpen,
    Leave,
    ListSessions,
    Operation,
    PoolFull,
    Put,
    Reset,
    Result,
    SessionEnded,
    Settle,
    Spend,
    TakeNothing,
    TooManySessions,
)
from mockllm.state.rate_limits import Charge, Limit, Limited, Spent
from mockllm.state.sessions import COMMON, MAX_UNUSED, STAYS_ENDED

BODY, OTHER_BODY = b"a" * 16, b"b" * 16
FAILING = ScriptEntry(advances_retry=True)


def mock(
    key: str = "a", *entries: ScriptEntry, at_end: AtEnd = AtEnd.FAIL, restart_at: int = 0
) -> Candidate:
    """A candidate with a script of two entries, unless others are given."""
    return Candidate(key, Script(entries or (ScriptEntry(), ScriptEntry()), at_end, restart_at))


FALLBACK = Candidate("fallback")

REQUESTS = Charge("requests", Limit(3, 60.0))
TOKENS = Charge("tokens", Limit(100, 60.0), 40)


class PerformingStore(Protocol):
    """A store that can be asked at a given time, and be waited for."""

    def perform(self, operations: Sequence[Operation], now: float) -> Sequence[Result]:
        """Return the results of `operations` at the time `now`."""


class StoreContract:
    """The behaviour of a store that `make_store` returns."""

    make_store: Callable[[], PerformingStore]

    @pytest.fixture(autouse=True)
    def _fresh_store(self) -> None:
        self.store = type(self).make_store()

    def perform(self, *operations: Operation, now: float = 0.0) -> list[Result]:
        return list(self.store.perform(operations, now))

    def choose(
        self,
        *candidates: Candidate,
        retry: int = 0,
        body: bytes = BODY,
        session: str = COMMON,
        now: float = 0.0,
    ) -> Result:
        """The result of one request; with `retry`, of a marked retry."""
        choice = Choose(session, candidates or (mock(),), Attempt(body, retry))
        (result,) = self.perform(choice, now=now)
        return result

    # --- Sequences ---

    def test_a_sequence_gives_its_entries_in_order_and_then_fails(self) -> None:
        assert [self.choose() for _ in range(4)] == [
            Chosen(0, 0, 1),
            Chosen(0, 1, 2),
            Exhausted(0, 2),
            Exhausted(0, 2),
        ]

    def test_the_next_candidate_answers_after_one_that_passes(self) -> None:
        candidates = (mock("a", ScriptEntry(2), at_end=AtEnd.PASS), mock("b", ScriptEntry()))

        assert [self.choose(*candidates) for _ in range(4)] == [
            Chosen(0, 0, 1),
            Chosen(0, 0, 2),
            Chosen(1, 0, 1),
            Exhausted(1, 1),
        ]

    def test_a_mock_without_state_answers_for_ever(self) -> None:
        candidates = (mock("a", ScriptEntry(), at_end=AtEnd.PASS), FALLBACK)

        results = [self.choose(*candidates) for _ in range(3)]

        assert results == [Chosen(0, 0, 1), Chosen(1), Chosen(1)]

    def test_nothing_is_left_when_every_candidate_passes(self) -> None:
        candidates = (
            mock("a", ScriptEntry(), at_end=AtEnd.PASS),
            mock("b", ScriptEntry(), at_end=AtEnd.PASS),
        )

        results = [self.choose(*candidates) for _ in range(3)]

        assert results == [Chosen(0, 0, 1), Chosen(1, 0, 1), NONE_LEFT]

    def test_a_sequence_repeats_its_last_entry(self) -> None:
        repeating = mock("a", ScriptEntry(), ScriptEntry(), at_end=AtEnd.REPEAT)

        results = [self.choose(repeating) for _ in range(4)]

        assert results == [Chosen(0, entry, 1 + n) for n, entry in enumerate([0, 1, 1, 1])]

    def test_a_sequence_restarts(self) -> None:
        restarting = mock("a", ScriptEntry(), ScriptEntry(2), at_end=AtEnd.RESTART)

        results = [self.choose(restarting) for _ in range(6)]

        assert results == [Chosen(0, entry, 1 + n) for n, entry in enumerate([0, 1, 1, 0, 1, 1])]

    def test_entries_that_come_first_are_left_out_of_a_restart(self) -> None:
        restarting = mock(
            "a", ScriptEntry(), ScriptEntry(), ScriptEntry(), at_end=AtEnd.RESTART, restart_at=1
        )

        results = [self.choose(restarting) for _ in range(5)]

        assert results == [Chosen(0, entry, 1 + n) for n, entry in enumerate([0, 1, 2, 1, 2])]

    def test_an_entry_given_always_never_ends(self) -> None:
        first = mock("a", ScriptEntry(2), ScriptEntry(None))

        results = [self.choose(first) for _ in range(4)]

        assert results == [Chosen(0, entry, 1 + n) for n, entry in enumerate([0, 0, 1, 1])]

    def test_mocks_advance_apart(self) -> None:
        assert self.choose(mock("a")) == Chosen(0, 0, 1)
        assert self.choose(mock("b")) == Chosen(0, 0, 1)
        assert self.choose(mock("a")) == Chosen(0, 1, 2)

    def test_a_request_without_an_attempt_advances(self) -> None:
        results = [self.perform(Choose(COMMON, (mock(),))) for _ in range(2)]

        assert results == [[Chosen(0, 0, 1)], [Chosen(0, 1, 2)]]

    # --- Marked retries ---

    def test_a_marked_retry_repeats_and_moves_nothing(self) -> None:
        self.choose()

        assert [self.choose(retry=1), self.choose(retry=2)] == [Chosen(0, 0, 1, repeated=True)] * 2
        assert self.choose() == Chosen(0, 1, 2)

    def test_a_marked_retry_of_an_entry_that_advances_takes_the_next(self) -> None:
        failing = mock("a", ScriptEntry(2, advances_retry=True), ScriptEntry())

        results = [self.choose(failing, retry=retry) for retry in (0, 1, 2, 3)]

        assert results == [
            Chosen(0, 0, 1),
            Chosen(0, 0, 2),
            Chosen(0, 1, 3),
            Chosen(0, 1, 3, repeated=True),
        ]

    def test_a_marked_retry_may_go_on_to_another_mock_and_repeats_that(self) -> None:
        candidates = (mock("a", FAILING, at_end=AtEnd.PASS), FALLBACK)

        results = [self.choose(*candidates, retry=retry) for retry in (0, 1, 2)]

        assert results == [Chosen(0, 0, 1), Chosen(1), Chosen(1, repeated=True)]

    def test_a_marked_retry_of_another_body_is_a_new_request(self) -> None:
        self.choose(body=BODY)

        assert self.choose(body=OTHER_BODY, retry=1) == Chosen(0, 1, 2)

    def test_a_marked_retry_in_another_session_is_a_new_request(self) -> None:
        self.choose(session="a")

        assert self.choose(session="b", retry=1) == Chosen(0, 0, 1)

    def test_a_marked_retry_of_an_unknown_attempt_takes_the_next(self) -> None:
        assert self.choose(retry=1) == Chosen(0, 0, 1)
        assert self.choose(retry=2) == Chosen(0, 0, 1, repeated=True)

    def test_the_same_request_again_is_repeated_from_its_latest_attempt(self) -> None:
        self.choose()
        self.choose()

        assert self.choose(retry=1) == Chosen(0, 1, 2, repeated=True)

    def test_equal_requests_that_are_retried_together_get_each_place_once_more(self) -> None:
        places = mock("a", *[ScriptEntry()] * 9)
        for _ in range(3):
            self.choose(places)

        assert [self.choose(places, retry=1) for _ in range(3)] == [
            Chosen(0, entry, entry + 1, repeated=True) for entry in (2, 1, 0)
        ]
        assert self.choose(places, retry=2) == Chosen(0, 0, 1, repeated=True)
        assert self.choose(places) == Chosen(0, 3, 4)

    def test_retries_of_different_counts_repeat_their_own_attempts(self) -> None:
        places = mock("a", *[ScriptEntry()] * 9)
        self.choose(places)
        self.choose(places, retry=1)  # of the first client
        self.choose(places)  # the second one's first attempt

        assert self.choose(places, retry=2) == Chosen(0, 0, 1, repeated=True)
        assert self.choose(places, retry=1) == Chosen(0, 1, 2, repeated=True)

    def test_a_retry_count_that_skips_one_repeats_the_latest_attempt(self) -> None:
        self.choose()

        assert self.choose(retry=3) == Chosen(0, 0, 1, repeated=True)
        assert self.choose(retry=3) == Chosen(0, 0, 1, repeated=True)

    def test_an_exhausted_attempt_leaves_nothing_to_repeat(self) -> None:
        once = mock("a", ScriptEntry())
        self.choose(once)
        self.choose(once)

        assert self.choose(once, retry=1) == Exhausted(0, 1)

    def test_an_attempt_that_took_nothing_leaves_nothing_to_repeat(self) -> None:
        self.choose()
        self.perform(TakeNothing(COMMON, Attempt(BODY)))

        assert self.choose(retry=1) == Chosen(0, 1, 2)

    def test_an_attempt_that_took_nothing_does_not_hide_one_of_another_client(self) -> None:
        places = mock("a", *[ScriptEntry()] * 9)
        self.choose(places)
        self.perform(TakeNothing(COMMON, Attempt(BODY)))

        assert self.choose(places, retry=1) == Chosen(0, 1, 2)
        assert self.choose(places, retry=1) == Chosen(0, 0, 1, repeated=True)

    def test_a_retry_that_took_nothing_leaves_nothing_to_repeat(self) -> None:
        self.choose()
        self.perform(TakeNothing(COMMON, Attempt(BODY, 1)))

        assert self.choose(retry=2) == Chosen(0, 1, 2)
        assert self.choose(retry=1) == Chosen(0, 1, 2, repeated=True)  # the first was followed

    def test_an_operation_that_refuses_leaves_the_attempts_behind_it_nothing(self) -> None:
        self.choose(body=BODY)
        once = mock("once", ScriptEntry(), at_end=AtEnd.PASS)
        self.perform(Choose(COMMON, (once,)))

        question = (Choose(COMMON, (once,)), Choose(COMMON, (mock(),), Attempt(BODY)))

        assert self.perform(*question) == [NONE_LEFT]
        assert self.choose(body=BODY, retry=1) == Chosen(0, 1, 2)

    def test_a_mock_that_is_no_candidate_any_more_is_not_repeated(self) -> None:
        self.choose(mock("a"), FALLBACK)

        assert self.choose(mock("b"), FALLBACK, retry=1) == Chosen(0, 0, 1)

    def test_a_mock_keeps_its_place_when_its_entries_change(self) -> None:
        for _ in range(2):
            self.choose(mock("a", ScriptEntry(), ScriptEntry(), ScriptEntry()))

        assert self.choose(mock("a", ScriptEntry(5)), retry=1) == Chosen(0, 0, 2, repeated=True)
        assert self.choose(mock("a", ScriptEntry(5))) == Chosen(0, 0, 3)

    def test_a_place_that_a_mock_has_no_more_is_not_repeated(self) -> None:
        for _ in range(3):
            self.choose(mock("a", ScriptEntry(3)))

        assert self.choose(mock("a", ScriptEntry()), retry=1) == Exhausted(0, 3)

    def test_a_mock_that_had_no_state_is_not_repeated_with_one(self) -> None:
        passes = mock("a", ScriptEntry(), at_end=AtEnd.PASS)
        self.choose(passes, Candidate("b"))
        assert self.choose(passes, Candidate("b")) == Chosen(1)

        assert self.choose(passes, mock("b"), retry=1) == Chosen(1, 0, 1)

    # --- Sessions and resets ---

    def test_sessions_do_not_see_each_other(self) -> None:
        assert [self.choose(session=name) for name in ("a", "b", COMMON, "a")] == [
            Chosen(0, 0, 1),
            Chosen(0, 0, 1),
            Chosen(0, 0, 1),
            Chosen(0, 1, 2),
        ]

    def test_an_ended_session_refuses_for_ten_minutes_and_then_begins_anew(self) -> None:
        self.choose(session="a")
        self.perform(EndSession("a"), now=10.0)

        assert self.choose(session="a", now=9.9 + STAYS_ENDED) == SessionEnded("a")
        assert self.choose(session="a", now=10.0 + STAYS_ENDED) == Chosen(0, 0, 1)

    def test_an_ended_session_that_a_test_begins_again_begins_anew(self) -> None:
        self.choose(session="a")
        self.perform(EndSession("a"), BeginSession("a"))

        assert self.choose(session="a", retry=1) == Chosen(0, 0, 1)

    def test_a_pinned_session_ends_after_an_hour_unused(self) -> None:
        self.perform(BeginSession("a"))
        self.choose(session="a", now=10.0)

        assert self.choose(session="a", now=9.9 + MAX_UNUSED) == Chosen(0, 1, 2)
        assert self.choose(session="a", now=10.0 + 2 * MAX_UNUSED) == SessionEnded("a")

    def test_a_session_that_is_pinned_later_keeps_its_state(self) -> None:
        self.choose(session="a")
        self.perform(BeginSession("a"))

        assert self.choose(session="a") == Chosen(0, 1, 2)

    def test_what_comes_after_an_ended_session_is_not_performed(self) -> None:
        self.perform(EndSession("a"))

        question = (Choose("a", (mock(),)), Put("k", b"v", 60.0), Choose(COMMON, (mock(),)))

        assert self.perform(*question) == [SessionEnded("a")]
        assert self.perform(Get("k")) == [None]
        assert self.choose() == Chosen(0, 0, 1)

    def test_an_attempt_in_an_ended_session_is_refused(self) -> None:
        self.perform(EndSession("a"))

        assert self.perform(TakeNothing("a", Attempt(BODY))) == [SessionEnded("a")]

    def test_a_reset_of_one_session_leaves_the_others(self) -> None:
        self.choose(session="a")
        self.choose(session="b")

        assert self.perform(Reset("a")) == [None]
        assert self.choose(session="a", retry=1) == Chosen(0, 0, 1)
        assert self.choose(session="b", retry=1) == Chosen(0, 0, 1, repeated=True)

    def test_a_reset_of_all_sessions_lets_each_begin_anew(self) -> None:
        self.choose()
        self.choose(session="b")

        self.perform(Reset())

        assert self.choose(retry=1) == Chosen(0, 0, 1)
        assert self.choose(session="b", retry=1) == Chosen(0, 0, 1)

    def test_a_reset_of_one_mock_leaves_the_others(self) -> None:
        self.choose(mock("a"), body=BODY)
        self.choose(mock("b"), body=OTHER_BODY)

        self.perform(Reset(keys=frozenset({"a", "unknown"})))

        assert self.choose(mock("a"), body=BODY, retry=1) == Chosen(0, 0, 1)
        assert self.choose(mock("b"), body=OTHER_BODY, retry=1) == Chosen(0, 0, 1, repeated=True)

    # --- Bounds ---

    def test_an_evicted_session_loses_its_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
        self.choose(session="a")
        self.choose(session="b")

        assert self.choose(session="a", retry=1) == Chosen(0, 0, 1)

    def test_a_pinned_session_keeps_its_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sessions, "MAX_UNPINNED", 1)
        self.perform(BeginSession("a"))
        for session in "abc":
            self.choose(session=session)

        assert self.choose(session="a", retry=1) == Chosen(0, 0, 1, repeated=True)

    def test_of_too_many_equal_attempts_the_first_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "MAX_ATTEMPTS", 2)
        places = mock("a", ScriptEntry(9))
        for _ in range(3):
            self.choose(places)

        assert [self.choose(places, retry=1) for _ in range(2)] == [
            Chosen(0, 0, 3, repeated=True),
            Chosen(0, 0, 2, repeated=True),
        ]
        assert self.choose(places, retry=9) == Chosen(0, 0, 2, repeated=True)

    def test_of_too_many_requests_of_a_session_the_one_longest_unused_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "MAX_PER_SESSION", 2)
        places, bodies = mock("a", ScriptEntry(9)), [name * 16 for name in (b"a", b"b", b"a", b"c")]
        for body in bodies:
            self.choose(places, body=body)

        assert self.choose(places, body=b"a" * 16, retry=1) == Chosen(0, 0, 3, repeated=True)
        assert self.choose(places, body=b"c" * 16, retry=1) == Chosen(0, 0, 4, repeated=True)
        assert self.choose(places, body=b"b" * 16, retry=1) == Chosen(0, 0, 5)

    def test_of_too_many_attempts_those_of_the_session_longest_unused_are_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "MAX_KEPT", 3)
        places = mock("a", ScriptEntry(9))
        for session in ("s", "t", "s", "t"):
            self.choose(places, session=session)

        assert self.choose(places, session="t", retry=1) == Chosen(0, 0, 2, repeated=True)
        assert self.choose(places, session="s", retry=1) == Chosen(0, 0, 3)

    def test_of_too_many_buckets_the_one_longest_unused_is_full(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 2)
        buckets = [REQUESTS._replace(bucket=name) for name in "abac"]

        assert [self.spend(each) for each in buckets] == [
            Spent((1.0,)),
            Spent((1.0,)),
            Spent((2.0,)),
            Spent((1.0,)),
        ]
        assert self.spend(buckets[0]) == Spent((3.0,))
        assert self.spend(buckets[1]) == Spent((1.0,))

    def test_of_too_many_values_the_one_put_first_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(values, "MAX_VALUES", 2)
        self.perform(*(Put(key, b"v", 60.0) for key in "abac"))

        assert self.perform(*map(Get, "abc")) == [b"v", None, b"v"]

    def test_of_too_many_bytes_of_values_the_first_are_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(values, "MAX_BYTES", 1_200)
        self.perform(*(Put(key, b"v" * 250, 60.0) for key in "abaca"))

        assert self.perform(*map(Get, "abc")) == [b"v" * 250, None, b"v" * 250]

    def test_a_value_that_is_not_small_removes_the_one_before_it(self) -> None:
        self.perform(Put("k", b"v", 60.0), Put("k", b"v" * (values.MAX_VALUE + 1), 60.0))

        assert self.perform(Get("k")) == [None]

    # --- Rate limits ---

    def spend(self, *charges: Charge, now: float = 0.0) -> Result:
        (result,) = self.perform(Spend(charges, now))
        return result

    def test_a_limit_refuses_what_is_beyond_it_until_enough_is_refilled(self) -> None:
        results = [self.spend(REQUESTS, now=now) for now in (0.0, 0.0, 0.0, 0.0, 20.0, 20.0)]

        assert results == [
            Spent((1.0,)),
            Spent((2.0,)),
            Spent((3.0,)),
            Limited(0, (3.0,), 20.0),
            Spent((3.0,)),
            Limited(0, (3.0,), 20.0),
        ]

    def test_a_request_that_one_limit_refuses_is_charged_nowhere(self) -> None:
        for _ in range(2):
            self.spend(REQUESTS, TOKENS)

        assert self.spend(REQUESTS, TOKENS) == Limited(1, (2.0, 80.0), 12.0)
        assert self.spend(REQUESTS) == Spent((3.0,))

    def test_a_limited_request_takes_no_answer_and_leaves_nothing_to_repeat(self) -> None:
        for _ in range(3):
            self.spend(REQUESTS)
        self.choose()

        question = (Spend((REQUESTS,), 0.0), Choose(COMMON, (mock(),), Attempt(BODY)))

        assert self.perform(*question) == [Limited(0, (3.0,), 20.0)]
        assert self.choose(retry=1) == Chosen(0, 1, 2)

    def test_an_answer_is_settled_at_what_it_cost(self) -> None:
        self.spend(TOKENS)
        self.perform(Settle(TOKENS, cost=10, since=0.0, at=0.0))

        assert self.spend(TOKENS) == Spent((50.0,))

    def test_the_buckets_of_a_session_are_its_own(self) -> None:
        a, b = REQUESTS._replace(session="a"), REQUESTS._replace(session="b")
        for _ in range(3):
            self.spend(a)

        assert self.spend(a) == Limited(0, (3.0,), 20.0)
        assert self.spend(b) == self.spend(REQUESTS) == Spent((1.0,))

    def test_the_buckets_of_a_session_end_with_it(self) -> None:
        own = REQUESTS._replace(session="a")
        self.perform(BeginSession("a"))
        self.spend(own)
        self.perform(EndSession("a"), BeginSession("a"))

        assert self.spend(own) == Spent((1.0,))

    def test_a_reset_fills_the_buckets(self) -> None:
        own = REQUESTS._replace(session="a")
        self.spend(REQUESTS, own)
        self.perform(Reset("a"))
        assert self.spend(REQUESTS, own) == Spent((2.0, 1.0))

        self.perform(Reset(keys=frozenset("a")))
        assert self.spend(REQUESTS, own) == Spent((3.0, 2.0))

        self.perform(Reset())
        assert self.spend(REQUESTS, own) == Spent((1.0, 1.0))

    def test_a_pool_has_a_place_again_when_one_is_given_back(self) -> None:
        enter = [Enter("pool", lease, 2) for lease in "abc"]

        assert self.perform(*enter) == [None, None, PoolFull("pool")]
        # the refusal has given the others of its question back
        assert [self.perform(each) for each in enter] == [[None], [None], [PoolFull("pool")]]
        assert self.perform(Leave("a"), Leave("a"), Leave("unknown"), enter[2]) == [None] * 4
        assert self.perform(enter[0]) == [PoolFull("pool")]

    def test_a_limited_request_takes_no_place(self) -> None:
        for _ in range(3):
            self.spend(REQUESTS)

        assert self.perform(Enter("pool", "a", 1), Spend((REQUESTS,), 0.0)) == [
            None,
            Limited(0, (3.0,), 20.0),
        ]
        assert self.perform(Enter("pool", "b", 1)) == [None]

    def test_a_request_without_a_place_is_not_charged(self) -> None:
        self.perform(Enter("pool", "a", 1))

        assert self.perform(Enter("pool", "b", 1), Spend((REQUESTS,), 0.0)) == [PoolFull("pool")]
        assert self.spend(REQUESTS) == Spent((1.0,))

    def enter(self, lease: str, *, places: int = 1, queue: int | None = None) -> Result:
        """The result of a lease that enters a pool with a line."""
        (result,) = self.perform(Enter("pool", lease, places, queue))
        return result

    def test_leases_wait_in_a_line_and_have_places_in_its_order(self) -> None:
        entered = [self.enter(lease, places=2) for lease in "abcde"]
        assert entered == [None, None, InLine(2), InLine(2), InLine(2)]

        self.perform(Leave("b"))
        assert [self.enter(lease, places=2) for lease in "acde"] == [
            None,
            None,
            InLine(2),
            InLine(2),
        ]
        self.perform(Leave("a"), Leave("c"), Leave("d"))
        assert [self.enter(lease, places=2) for lease in "ef"] == [None, None]

    def test_a_lease_that_leaves_the_line_gives_its_turn_to_the_next(self) -> None:
        for lease in "abc":
            self.enter(lease)

        self.perform(Leave("b"), Leave("unknown"), Leave("b"))
        assert (self.enter("a"), self.enter("c")) == (None, InLine(1))
        self.perform(Leave("a"))

        assert self.enter("c") is None
        assert self.perform(CountPlaces("pool")) == [1]

    def test_a_line_has_an_end(self) -> None:
        results = [self.enter(lease, queue=1) for lease in "abc"]

        assert results == [None, InLine(1), PoolFull("pool")]
        assert self.enter("b", queue=1) == InLine(1)
        self.perform(Leave("a"))
        assert [self.enter(lease, queue=1) for lease in "bcd"] == [
            None,
            InLine(1),
            PoolFull("pool"),
        ]

    def test_who_had_no_room_in_a_line_has_no_turn(self) -> None:
        for lease in "ab":
            self.enter(lease, queue=0)
        self.perform(Leave("a"))

        assert self.perform(CountPlaces("pool")) == [0]

    def test_pools_have_lines_of_their_own(self) -> None:
        for pool in ("pool", "other"):
            for lease in "ab":
                self.perform(Enter(pool, f"{lease} of {pool}", 1, None))

        self.perform(Leave("a of pool"))

        assert self.perform(
            Enter("pool", "b of pool", 1, None), Enter("other", "b of other", 1, None)
        ) == [None, InLine(1)]
        assert self.perform(*map(CountPlaces, ("pool", "other", "unknown"))) == [1, 1, 0]

    def test_a_place_that_is_taken_back_is_that_of_the_next(self) -> None:
        self.spend(REQUESTS._replace(cost=3.0))
        self.enter("a")

        question = (Enter("pool", "b", 1, None), Spend((REQUESTS,), 0.0))

        assert self.perform(*question) == [InLine(1), Limited(0, (3.0,), 20.0)]
        self.enter("c")
        self.perform(Leave("a"))
        assert self.enter("c") is None

    def test_a_reset_leaves_places_to_those_who_have_them(self) -> None:
        self.perform(Enter("pool", "a", 1), Reset())

        assert self.perform(Enter("pool", "b", 1)) == [PoolFull("pool")]

    # --- Values ---

    def test_what_is_drawn_depends_on_the_attempt_and_how_often_it_came(self) -> None:
        first, other = Attempt(BODY), Attempt(OTHER_BODY)

        drawn = [self.perform(Draw("s", 0, "mock", each)) for each in (first, other, first)]

        assert all(isinstance(key, int) for (key,) in drawn)
        assert len({key for (key,) in drawn}) == 3

    def test_a_value_lives_as_long_as_it_was_put_for(self) -> None:
        self.perform(Put("k", b"v", 60.0), now=10.0)

        assert self.perform(Get("k"), now=69.9) == [b"v"]
        assert self.perform(Get("k"), now=70.0) == [None]

    def test_a_value_replaces_an_earlier_one_and_its_lifetime(self) -> None:
        self.perform(Put("k", b"1", 60.0), Put("k", b"2", 10.0))

        assert self.perform(Get("k"), now=9.9) == [b"2"]
        assert self.perform(Get("k"), now=10.0) == [None]

    def test_a_reset_leaves_values(self) -> None:
        self.perform(Put("k", b"v", 60.0), Reset())

        assert self.perform(Get("k")) == [b"v"]

    def test_operations_have_their_results_in_order(self) -> None:
        question = (Get("k"), Put("k", b"v", 60.0), Get("k"), Choose(COMMON, (mock(),)))

        assert self.perform(*question) == [None, None, b"v", Chosen(0, 0, 1)]


class SessionsContract(StoreContract):
    """The behaviour of a store that is asked about sessions beside choosing in them."""

    def test_a_request_that_asks_nothing_is_admitted_to_its_session(self) -> None:
        self.perform(EndSession("ended"))

        assert self.perform(Admit(COMMON), Admit("a"), Admit("ended")) == [
            None,
            None,
            SessionEnded("ended"),
        ]
        assert self.perform(ListSessions()) == [("a",)]

    def test_an_admitted_request_is_a_use_of_its_session(self) -> None:
        self.perform(BeginSession("a"))
        self.perform(Admit("a"), now=10.0)

        assert self.perform(Admit("a"), now=9.9 + MAX_UNUSED) == [None]

    def test_open_sessions_are_listed_in_order_of_their_use_pinned_ones_first(self) -> None:
        self.perform(*map(Admit, "abc"), BeginSession("e"), BeginSession("d"), BeginSession("b"))
        self.perform(Admit("a"), Admit("d"), EndSession("x"))

        assert self.perform(ListSessions()) == [("e", "b", "d", "c", "a")]

    def test_a_session_is_open_until_it_ends(self) -> None:
        self.perform(Admit("a"), BeginSession("b"))
        assert self.perform(*map(IsOpen, ("a", "b", "c", COMMON))) == [True, True, False, True]

        self.perform(EndSession("a"), EndSession("b"), EndSession(COMMON))
        assert self.perform(*map(IsOpen, ("a", "b", COMMON))) == [False, False, True]

    def test_the_current_session_does_not_end_by_being_unused(self) -> None:
        self.perform(BeginSession("a", current=True), BeginSession("b"))

        self.perform(BeginSession("c"), now=MAX_UNUSED)

        assert self.perform(*map(IsOpen, "abc"), now=MAX_UNUSED) == [True, False, True]

    def test_another_current_session_lets_the_one_before_it_end(self) -> None:
        self.perform(BeginSession("a", current=True), BeginSession(COMMON, current=True))

        assert self.perform(BeginSession("b"), IsOpen("a"), now=MAX_UNUSED) == [None, False]

    def test_answers_are_counted_in_a_session_or_where_most_were_given(self) -> None:
        for session in ("", "s", "s"):
            self.choose(mock("a", ScriptEntry(9)), session=session)
        self.choose(mock("a", ScriptEntry(9)), session="s", retry=1)
        self.choose(mock("b"))

        keys = ("a", "b", "unknown")

        assert self.perform(
            CountAnswers(keys), CountAnswers(keys, "s"), CountAnswers(keys, COMMON)
        ) == [(2, 1, 0), (2, 0, 0), (1, 1, 0)]

    def test_a_session_that_no_room_is_left_for_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "MAX_PINNED", 1)

        assert self.perform(*map(BeginSession, "abc")) == [None, TooManySessions()]
        assert self.perform(ListSessions()) == [("a",)]

    def test_of_too_many_ended_sessions_the_first_may_begin_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "MAX_ENDED", 2)
        self.perform(*map(EndSession, "abc"))

        assert [self.perform(Admit(each)) for each in "abc"] == [
            [None],
            [SessionEnded("b")],
            [SessionEnded("c")],
        ]
