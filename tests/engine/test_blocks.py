"""Mocks in blocks are searched as one index of all of them is, and none is indexed often."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.app import App
from mockllm.engine import blocks
from mockllm.engine.added import FIRST_INDEX, AddedMock, compile_added
from mockllm.engine.blocks import Blocks, Part
from mockllm.engine.decision import Question
from mockllm.matching.effort import Effort
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from tests.support.goldens import delivered
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request
from tests.support.strategies import ask_chat
from tests.support.work import count_work

CHAT = "openai"
MESSAGES = [
    {"role": "user", "content": "a"},
    {"role": "user", "content": "ab"},
    {"role": "tool", "tool_call_id": "1", "content": "ok"},
    {"role": "tool", "tool_call_id": "2", "content": "ok"},
]
MATCHES: list[dict[str, Any]] = [
    {},
    {"user": "a"},
    {"user": {"contains": "a"}},
    {"user": {"regex": "^a"}},
    *[
        {
            "api": "chat",
            "message": {"role": "tool", "tool_call_id": call, "content": "ok"},
            "match_type": "contains",
        }
        for call in "12"
    ],
]
ANSWERS: list[dict[str, Any]] = [{"reply": "x"}, {"sequence": ["x", "y"], "at_end": "pass"}]


@cache
def mock(number: int, match: int, answer: int, *, is_first: bool) -> AddedMock:
    words = {"match": MATCHES[match], "first": is_first, **ANSWERS[answer]}
    if "message" in MATCHES[match]:
        words = {"match": MATCHES[match], "response": CHAT_ANSWER, "first": is_first}
    return compile_added(words, number)


CHAT_ANSWER = {"choices": [{"message": {"role": "assistant", "content": "ok"}}]}


def plain(number: int, text: str = "question") -> AddedMock:
    return compile_added({"user": f"{text} {number}", "reply": "x"}, number)


def index_of(known: Blocks) -> LayeredIndex:
    finish(known.build(CHAT))
    return LayeredIndex([part.rules for part in known.parts(CHAT)])


def rules_of(mocks: Sequence[AddedMock]) -> list[Rule]:
    in_order = sorted(mocks, key=lambda each: each.index)
    return [each.by_api[CHAT].rule for each in in_order if CHAT in each.by_api]


MOCKS = st.tuples(
    st.integers(0, 30),
    st.integers(0, len(MATCHES) - 1),
    st.integers(0, len(ANSWERS) - 1),
    st.booleans(),
)
STEPS = st.one_of(
    st.tuples(st.just("add"), MOCKS),
    st.tuples(st.just("add all"), st.lists(MOCKS, max_size=7)),
    st.tuples(st.just("remove"), st.integers(0, 10)),
    st.just(("look", None)),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=30))
def test_blocks_are_searched_as_one_index(steps: list[Any]) -> None:
    known, mocks = Blocks(), list[AddedMock]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MIN_BLOCK", 2)
        patch.setattr(blocks, "MAX_BLOCK", 6)
        for step, value in [*steps, ("look", None)]:
            if step == "add" and all(each.number != value[0] for each in mocks):
                mocks.append(mock(*value[:3], is_first=value[3]))
                known.add(mocks[-1])
            elif step == "add all":
                others = {each[0]: mock(*each[:3], is_first=each[3]) for each in value}
                taken = {each.number for each in mocks}
                added = [each for number, each in others.items() if number not in taken]
                known.add_all(added)
                mocks += added
            elif step == "remove" and value < len(mocks):
                known.remove(mocks.pop(value))
            elif step == "look":
                check(index_of(known), known, mocks)


def check(index: LayeredIndex, known: Blocks, mocks: Sequence[AddedMock]) -> None:
    rules = rules_of(mocks)
    whole = RuleIndex(rules)
    assert [*known] == sorted(mocks, key=lambda each: each.index)
    assert [each for each in mocks if each not in known.named(each.name)] == []
    assert (index.rules, index.stateful) == (tuple(rules), whole.stateful)
    for message in MESSAGES:
        prompt: Prompt = ask_chat([message])
        expected = whole.candidates(prompt, {})
        assert index.candidates(prompt, {}) == expected
        assert finish(index.search(ask_chat([message]), {}, Effort())) == expected
        if not whole.stateful:
            assert index.find(prompt, {}) == whole.find(prompt, {})
        if not expected:
            assert index.nearest_miss(prompt, {}) == whole.nearest_miss(prompt, {})


@pytest.mark.parametrize(("call", "found"), [("1", 0), ("2", 40)])
def test_the_call_decides_between_mocks_in_different_blocks(call: str, found: int) -> None:
    known = Blocks()
    for number in range(41):
        match = {0: 4, 40: 5}.get(number, 1)
        known.add(mock(number, match, 0, is_first=False))
    index = index_of(known)
    prompt = ask_chat([{"role": "tool", "tool_call_id": call, "content": "ok"}])

    assert len(known.runs()) > 1
    assert [each.index for each in index.candidates(prompt, {})] == [FIRST_INDEX + found]


def count_indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rules of all indices that are built from now on."""
    counts: list[int] = []
    build = RuleIndex.in_pieces

    def counted(rules: Sequence[Rule], effort: Effort) -> Any:
        counts.append(len(rules))
        return build(rules, effort)

    monkeypatch.setattr(RuleIndex, "in_pieces", counted)
    return counts


@pytest.mark.parametrize("is_first", [False, True])
def test_each_mock_is_indexed_a_few_times_however_many_are_added(
    is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, known = count_indexed(monkeypatch), Blocks()
    for number in range(1_500):
        known.add(mock(number, 1, 0, is_first=is_first))
        finish(known.build(CHAT))

    assert sum(counts) < 1_500 * 16
    assert len([*known.parts(CHAT)]) < 10


def test_many_that_are_added_at_once_are_indexed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, known = count_indexed(monkeypatch), Blocks()
    for number in range(1_500):
        known.add(mock(number, 1, 0, is_first=False))

    finish(known.build(CHAT))

    assert sum(counts) == 1_500


def test_blocks_do_not_remain_small_when_most_of_their_mocks_are_removed() -> None:
    known = Blocks()
    for number in range(1_500):
        known.add(mock(number, 1, 0, is_first=False))
    for number in range(1_480):
        known.remove(mock(number, 1, 0, is_first=False))

    assert len(known.runs()) == 1
    assert index_of(known).rules == tuple(rules_of([*known]))


def test_no_step_of_building_takes_long() -> None:
    known = Blocks()
    for number in range(1_000):
        known.add(plain(number))

    counts = count_work(known.build(CHAT))

    assert max(counts) < sum(counts) / 5


def test_many_that_are_added_in_order_are_in_few_blocks() -> None:
    known = Blocks()
    mocks = [mock(number, 1, 0, is_first=False) for number in range(1_500)]
    known.add_all(mocks[:1_100])
    known.add_all(mocks[1_100:])

    assert [*known] == mocks
    assert len(known.runs()) == 2
    assert index_of(known).rules == tuple(rules_of(mocks))


def test_blocks_are_taken_apart_in_small_parts() -> None:
    known = Blocks()
    known.add_all([plain(number) for number in range(1_500)])
    built = index_of(known)
    parts = known.take_apart()

    assert max(len(part) for part in parts if isinstance(part, list)) == 50
    assert sum(len(part) for part in parts if isinstance(part, list)) == 1_500
    assert sum(len(part.rules) for part in parts if isinstance(part, Part)) == len(built)
    assert (len(known), [*known], known.named("added[3]")) == (0, [], [])


def test_two_build_the_same_block_together() -> None:
    known = Blocks()
    for number in range(1_000):
        known.add(plain(number))
    one, other = known.build(CHAT), known.build(CHAT)

    for _ in zip(one, other, strict=False):
        assert not known.is_built(CHAT)
    finish(one)
    finish(other)

    assert index_of(known).rules == tuple(rules_of([*known]))


def test_a_block_that_fails_to_be_indexed_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Blocks()
    known.add(plain(0))
    with monkeypatch.context() as patch:
        patch.setattr(RuleIndex, "in_pieces", lambda rules, effort: iter([True, 1 / len(())]))
        with pytest.raises(ZeroDivisionError):
            finish(known.build(CHAT))

    assert index_of(known).rules == tuple(rules_of([*known]))


# --- In a server ----------------------------------------------------------------------------------


def test_the_next_request_has_many_mocks_indexed_in_pieces_for_its_api_alone() -> None:
    observed = Observed({"mocks": [{"reply": "configured"}]})
    for number in range(1_000):
        observed.app.add(plain(number), None)
    asked = request(PATHS["chat"], chat_request("question 999"))

    assert isinstance(App.decide(observed.app, asked), Question)
    assert b'"x"' in delivered(observed.ask(asked).reply)
    assert not isinstance(App.decide(observed.app, asked), Question)
    assert [*observed.app.views.of("").by_name] == [CHAT]


def test_mocks_of_a_session_are_indexed_for_it_alone() -> None:
    observed = Observed({"mocks": [{"reply": "configured"}]})
    for number in range(1_000):
        observed.app.add(plain(number), "s")

    asked = request(PATHS["chat"], chat_request("question 999"))
    assert not isinstance(App.decide(observed.app, asked), Question)
    asked = request(f"/session/s{PATHS['chat']}", chat_request("question 999"))
    assert isinstance(App.decide(observed.app, asked), Question)
    assert b'"x"' in delivered(observed.ask(asked).reply)


def test_the_mocks_of_a_session_that_ends_are_let_go_of_in_parts() -> None:
    observed = Observed({})
    observed.app.add_all([plain(number) for number in range(200)], "s")
    parts: list[Any] = []
    observed.app.let_go = parts.extend

    observed.app.own_store.sessions.end("s", 0.0)

    assert [len(part) for part in parts] == [50] * 4
    assert observed.app.views.count == 0


def test_a_mock_with_many_alternatives_is_indexed_when_it_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"text {number}" for number in range(300)]
    large = compile_added({"user": texts, "reply": "x"}, 20)
    mocks = [*(plain(number) for number in range(20)), large, plain(21)]
    one, other = Blocks(), Blocks()
    one.add_all(mocks)
    for each in mocks:
        other.add(each)
    counts = count_indexed(monkeypatch)

    for known in (one, other):
        index = index_of(known)
        assert index.rules == tuple(rules_of(mocks))
        asked = ask_chat([{"role": "user", "content": "text 299"}])
        assert index.find(asked, {}) is large.by_api[CHAT].rule
        assert (large,) in known.runs()
    assert sum(counts) == 2 * 21
    moved = large.at_position(7)
    assert not moved.is_large
    assert moved.by_api[CHAT].rule.label == "added[7]"
