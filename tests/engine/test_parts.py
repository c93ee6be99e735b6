"""Requests with several parts, which mocks with state answer: one place of each mock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine.asking import answer_at_once
from mockllm.engine.decision import Decision, Match, Outcome
from mockllm.engine.loading import load
from mockllm.engine.mocks import Table
from mockllm.engine.parts import choose_for_parts
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.state.choosing import NONE_LEFT, Choice, Chosen
from mockllm.state.operations import EndSession
from mockllm.state.sessions import COMMON
from mockllm.state.store import LocalStore

Answer = list[tuple[int, int] | None] | str
"""For each part the mock and its entry, None if none is left; or the code of an error."""


def table_of(*mocks: Any) -> Table:
    return load(Config.from_dict({"openai": list(mocks)})).tables[0]


def choose(
    table: Table,
    store: LocalStore,
    parts: Sequence[Sequence[int]],
    *,
    retry: int = 0,
    session: str = COMMON,
) -> Answer:
    """What a request gets whose parts are matched by the mocks at these places."""
    headers = ((b"x-stainless-retry-count", b"%d" % retry),)
    request = Request.of("POST", "/v1/completions", headers, repr(parts).encode())
    rules = [[table.index.rules[place] for place in part] for part in parts]
    found: list[Answer] = []

    def read(part: Sequence[int], choice: Choice) -> tuple[int, int] | None:
        if choice == NONE_LEFT:
            return None
        assert isinstance(choice, Chosen)
        return part[choice.candidate], choice.entry

    def resume(choices: Sequence[Choice] | RequestError) -> Decision:
        if isinstance(choices, RequestError):
            found.append(choices.code or "")
        else:
            found.append([read(part, choice) for part, choice in zip(parts, choices, strict=True)])
        return Decision.by(Match(Outcome.MOCK, Reply.whole(200, (), b"")))

    answer_at_once(choose_for_parts(table, rules, request, session, resume), store, 0.0)
    (answer,) = found
    return answer


TWICE = {"sequence": [{"reply": "a", "times": 2}, "b"]}
PASSING = {"sequence": ["a", "b"], "at_end": "pass"}
STATELESS = {"reply": "a"}
FAILING = {"sequence": [{"error": "overloaded", "times": 2}, "a"]}


def test_parts_that_a_mock_answers_have_one_entry_of_it() -> None:
    table, store = table_of(TWICE, STATELESS), LocalStore()

    answers = [choose(table, store, [[0], [0], [1]]) for _ in range(4)]

    assert answers == [
        [(0, 0), (0, 0), (1, 0)],
        [(0, 0), (0, 0), (1, 0)],
        [(0, 1), (0, 1), (1, 0)],
        "mock_exhausted",
    ]


def test_each_part_goes_on_to_its_own_next_mock() -> None:
    table, store = table_of(PASSING, TWICE, STATELESS), LocalStore()

    answers = [choose(table, store, [[0, 1], [0, 2], [0]]) for _ in range(3)]

    assert answers == [
        [(0, 0), (0, 0), (0, 0)],
        [(0, 1), (0, 1), (0, 1)],
        [(1, 0), (2, 0), None],
    ]


def test_a_mock_that_is_reached_from_two_mocks_gives_one_entry() -> None:
    one = {"sequence": ["a"], "at_end": "pass"}
    table, store = table_of(one, one, TWICE), LocalStore()
    choose(table, store, [[0], [1]])

    assert choose(table, store, [[0, 2], [1, 2], [2]]) == [(2, 0)] * 3
    assert choose(table, store, [[2]]) == [(2, 0)]
    assert choose(table, store, [[2]]) == [(2, 1)]


def test_a_marked_retry_repeats_every_part() -> None:
    table, store = table_of(PASSING, FAILING), LocalStore()

    answers = [choose(table, store, [[0], [1]], retry=retry) for retry in (0, 1, 2, 3)]

    assert answers == [[(0, 0), (1, 0)], [(0, 0), (1, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 1)]]


def test_a_marked_retry_repeats_that_a_mock_was_over() -> None:
    table, store = table_of({"sequence": ["a"], "at_end": "pass"}, PASSING), LocalStore()
    choose(table, store, [[0]])

    answers = [choose(table, store, [[0, 1]], retry=retry) for retry in (0, 1, 0)]

    assert answers == [[(1, 0)], [(1, 0)], [(1, 1)]]


def test_a_request_after_the_end_of_its_session_is_refused() -> None:
    table, store = table_of(TWICE), LocalStore()
    store.perform([EndSession("a")], 0.0)

    assert choose(table, store, [[0]], session="a") == "session_ended"
    assert choose(table, store, [[0]], session="b") == [(0, 0)]


MOCKS = (
    TWICE,
    PASSING,
    {"sequence": ["a", "b"], "at_end": "restart", "first": ["c"]},
    {"reply": "a", "first": ["b"]},
    {"sequence": ["a"], "at_end": "pass"},
    STATELESS,
)
TABLE = table_of(*MOCKS)


def entry_of(place: int, count: int) -> int | None:
    """The entry of a mock after `count` answers; None if it is over."""
    match place:
        case 0:
            return [0, 0, 1][count] if count < 3 else None
        case 1:
            return count if count < 2 else None
        case 2:
            return 0 if count == 0 else 1 + (count - 1) % 2
        case 3:
            return min(count, 1)
        case 4:
            return 0 if count == 0 else None
    return 0


@given(
    st.lists(
        st.lists(
            st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    )
)
def test_a_request_takes_one_answer_of_each_mock_that_answers_a_part(
    requests: list[list[list[int]]],
) -> None:
    """Against the rule gone through by hand: which parts there are does not matter to others."""
    store, counts = LocalStore(), Counter[int]()
    for parts in requests:
        answers = [next(_by_hand(part, counts)) for part in parts]
        if (0, None) in answers:
            expected: Answer = "mock_exhausted"
        else:
            expected = [None if entry is None else (mock, entry) for mock, entry in answers]
        found = choose(TABLE, store, parts)
        assert found == expected
        if expected == "mock_exhausted":
            return  # mocks that were asked for in the same step may have advanced
        counts.update({mock for mock, entry in answers if entry is not None and mock != 5})


def _by_hand(part: Sequence[int], counts: Counter[int]) -> Any:
    """Yield the mock that answers a part, and its entry; None if it fails, or if none is left."""
    for place in part:
        entry = entry_of(place, counts[place])
        if entry is not None or place == 0:
            yield place, entry
        if place == 5:
            return
    yield -1, None


def test_a_refusal_leaves_nothing_to_repeat() -> None:
    table, store = table_of({"sequence": ["a"]}, TWICE), LocalStore()
    choose(table, store, [[0]])

    assert choose(table, store, [[0], [1]]) == "mock_exhausted"
    assert choose(table, store, [[1]]) == [(1, 0)]


@pytest.mark.parametrize("parts", [[], [[1]], [[1], [1]]])
def test_parts_without_state_ask_nothing(parts: list[list[int]]) -> None:
    table = table_of(TWICE, STATELESS)
    rules = [[table.index.rules[place] for place in part] for part in parts]
    decision = Decision.by(Match(Outcome.MOCK, Reply.whole(200, (), b"")))

    request = Request.of("POST", "/v1/completions")

    assert choose_for_parts(table, rules, request, COMMON, lambda _: decision) is decision
