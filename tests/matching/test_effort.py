"""Matching in pieces: what it finds is what the index finds at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.conditions import CANONICAL
from mockllm.matching.body_values import AllValues, AnyValue, ValueEquals, ValueText
from mockllm.matching.effort import (
    MAX_EFFORT,
    MAX_TEXT_AT_ONCE,
    Effort,
    LongSearch,
    is_in_one,
    is_in_pieces,
)
from mockllm.matching.expressions import Matches
from mockllm.matching.header_predicates import HeaderContains
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.matching.message_predicates import MessageContains
from mockllm.matching.predicate import Predicate
from mockllm.matching.readings import MAX_HASHED, Folded
from mockllm.matching.request_predicates import OffersAnyTool, OffersTool
from mockllm.matching.rule import Rule
from mockllm.matching.subjects import Subject
from mockllm.matching.text_predicates import MessageIs, TextIs
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Contains,
    EndsWith,
    Equals,
    StartsWith,
    TextTest,
    one_passes,
    passes_in_pieces,
)
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.matches import compile_rule
from tests.support.strategies import ask_chat, ask_responses
from tests.support.work import count_pauses

Json = dict[str, Any]

PARTS = 20_000


def test_a_pause_is_due_when_the_effort_adds_up() -> None:
    effort = Effort()

    assert not effort.is_much(MAX_EFFORT - 1)
    assert effort.is_much(1)
    assert not effort.is_much(MAX_EFFORT - 1)


def test_work_is_finished_without_pauses() -> None:
    def work() -> Generator[bool, None, int]:
        yield False
        yield True
        return 7

    assert finish(work()) == 7


def pauses_in_search(rules: list[Rule], prompt: Prompt) -> int:
    """The number of pauses of a search and of the nearest miss behind it, which equal those of the
    index without pauses."""
    index, effort, pauses = RuleIndex(rules), Effort(), 0

    def count(work: Generator[bool, None, Any]) -> Any:
        nonlocal pauses
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value
            pauses += 1

    assert count(index.search(prompt, {}, effort)) == index.candidates(prompt, {})
    nearest = count(index.search_nearest_miss(prompt, {}, effort))
    assert nearest == index.nearest_miss(prompt, {})
    return pauses


def many_parts() -> Prompt:
    parts = [{"type": "text", "text": f"part {at}"} for at in range(PARTS)]
    return ask_chat([{"role": "user", "content": parts}])


def many_messages() -> Prompt:
    roles = ("user", "assistant")
    return ask_chat([{"role": roles[at % 2], "content": f"no {at}"} for at in range(PARTS)])


@pytest.mark.parametrize(
    ("predicate", "prompt", "least"),
    [
        (TextIs(Subject.USER, Matches("[0-9]{7}[a-z]")), many_parts, 40),
        (TextIs(Subject.USER, Contains("zzz")), many_parts, 8),
        (TextIs(Subject.USER, Contains("ZZZ", ignores_case=True)), many_parts, 8),
        (MessageIs(Matches("[0-9]{7}[a-z]"), "user"), many_messages, 20),
        (MessageContains("zzz", role="user"), many_parts, 8),
    ],
)
def test_many_texts_are_tested_in_pieces(predicate: Predicate, prompt: Any, least: int) -> None:
    """They held the loop for 50 to 150 ms."""
    assert pauses_in_search([Rule(0, "", (predicate,))], prompt()) > least


def test_texts_that_are_found_at_once_are_pauses_away_from_each_other() -> None:
    """A message of 200,000 parts has each of as many texts: that held the loop for 42 ms."""
    effort = Effort()
    searches = [list(is_in_one("a", ["a" * 100], effort)) for _ in range(20_000)]

    assert sum(map(len, searches)) > 4


def test_a_long_text_is_searched_in_pieces() -> None:
    """300 substrings, of which each begins everywhere, held the loop for a second."""
    wanted = [{"contains": "a" * size + "b"} for size in range(1, 300)]
    rules = [compile_rule(CHAT, {"user": each}, index) for index, each in enumerate(wanted)]

    assert pauses_in_search(rules, ask_chat([{"role": "user", "content": "a" * 100_000}])) > 40


@pytest.mark.parametrize(
    "match",
    [
        {"user": {"contains": "zz"}},
        {"user": {"contains": "ZZ", "ignore_case": True}},
        {"any_of": [{"user": {"contains": "zz"}}, {"user": {"contains": "yy"}}]},
        {"any_message": {"starts_with": "ZZ", "ignore_case": True}},
        {"system": {"contains": "zz"}},
        {"body": {"$.messages[*].content": {"contains": "ZZ", "ignore_case": True}}},
        {"not": {"user": {"ends_with": "ZZ", "ignore_case": True}}},
    ],
)
def test_one_long_text_is_searched_in_pieces(match: Json) -> None:
    """60 MB held the loop for 12 to 70 ms."""
    long = "word " * 600_000
    prompt = ask_chat([{"role": "system", "content": long}, {"role": "user", "content": long}])

    assert pauses_in_search([compile_rule(CHAT, match)], prompt) > 4


def test_a_long_text_is_not_looked_up_where_all_keys_are_shorter() -> None:
    """It is hashed, which took 10 ms."""

    class Unhashed(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise AssertionError

    rules = [compile_rule(CHAT, {"user": text}, at) for at, text in enumerate(("hi", "hello"))]
    prompt = ask_chat([{"role": "user", "content": Unhashed("hello!")}])
    prompt.leftovers = []

    assert finish(RuleIndex(rules).search(prompt, {}, Effort())) == ()


ENDS = st.text("aAzß\u0130🚀", max_size=4)
"""Characters that are others, or several, without case."""


class Long(NamedTuple):
    """A text that is divided within or behind what it begins or ends with."""

    start: str
    size: int
    end: str

    def text(self) -> str:
        return self.start + "." * self.size + self.end


def long_texts() -> st.SearchStrategy[Long]:
    sizes = st.sampled_from(
        [MAX_TEXT_AT_ONCE - 2, MAX_TEXT_AT_ONCE - 1, MAX_TEXT_AT_ONCE, 2 * MAX_TEXT_AT_ONCE]
    )
    return st.builds(Long, ENDS, sizes | st.just(0), ENDS)


def text_tests() -> st.SearchStrategy[TextTest]:
    kinds = st.sampled_from([Contains, Equals, StartsWith, EndsWith])
    values = ENDS | ENDS.map("..".__add__)
    one = st.builds(lambda kind, value, ignores: kind(value, ignores), kinds, values, st.booleans())
    several = st.lists(one, max_size=3).map(tuple)
    return one | several.map(AllTests) | several.map(AnyTest)


@given(ENDS | ENDS.map("..".__add__), st.lists(long_texts(), max_size=3))
def test_a_text_is_found_in_pieces_as_at_once(wanted: str, long: list[Long]) -> None:
    texts = list(map(Long.text, long))
    expected = any(wanted in text for text in texts)

    assert finish(is_in_one(wanted, texts, Effort())) == expected


def test_a_text_that_is_longer_than_a_piece_is_found() -> None:
    wanted = "a" * MAX_TEXT_AT_ONCE + "b"

    for before in ("", "-" * (MAX_TEXT_AT_ONCE - 1), "-" * (MAX_TEXT_AT_ONCE + 1)):
        assert finish(is_in_one(wanted, (f"{before}{wanted}-",), Effort()))
        assert not finish(is_in_one(wanted, (f"-{wanted[1:]}{before}",), Effort()))


REPEATED = st.builds(
    lambda parts, end: "".join(text * times for text, times in parts) + end,
    st.lists(st.tuples(st.text("ab", max_size=4), st.integers(0, 20)), max_size=3),
    st.text("abc", max_size=6),
)
"""Texts with periods, which is where a search may take long."""


@given(REPEATED, REPEATED, st.integers(2, 9), st.integers(0, 50))
def test_a_text_of_many_blocks_is_found_where_another_search_finds_it(
    wanted: str, text: str, block: int, start: int
) -> None:
    for each in (wanted + "a" * (block + 1), text[start : start + 2 * block + 1]):
        if len(each) > block:
            found = finish(LongSearch(each, text, Effort(), block).is_found())

            assert found == (each in text)
            assert finish(LongSearch(each, wanted + each + text, Effort(), block).is_found())


@pytest.mark.parametrize(
    ("wanted", "text", "most"),
    [
        ("a" * 5_000 + "b" + "a" * 4_000, "a" * 10_000, 40_000),
        ("a" * 5_000, ("a" * 4_999 + "b") * 10, 160_000),
        (("a" * 99 + "b") * 60 + "c", ("a" * 99 + "b") * 100, 60_000),
        ("word " * 1_000 + "!", "word " * 2_000, 60_000),
    ],
)
def test_a_long_text_is_compared_with_few_places(
    wanted: str, text: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a part of it is everywhere, each place was a comparison with all of it."""
    compared = 0
    common = LongSearch.common

    def counted(self: LongSearch, *args: Any) -> Any:
        nonlocal compared
        same = yield from common(self, *args)
        compared += same
        return same

    monkeypatch.setattr(LongSearch, "common", counted)

    assert not finish(LongSearch(wanted, text, Effort(), 256).is_found())
    assert compared <= most


def test_a_text_of_megabytes_is_searched_for_in_pieces() -> None:
    """To prepare the search for 5 MB took 16 ms."""
    text = " ".join(map(str, range(500_000)))

    found, pauses = count_pauses(is_in_pieces("!" + text[: len(text) // 9], text, Effort()))

    assert not found
    assert pauses >= 4


@given(text_tests(), st.lists(long_texts(), max_size=3))
def test_texts_pass_in_pieces_as_at_once(test: TextTest, long: list[Long]) -> None:
    texts = list(map(Long.text, long))
    folded = Folded(ask_chat([{"role": "user", "content": "hi"}]))
    expected = one_passes(test, texts)

    assert finish(passes_in_pieces(test, texts, folded, Effort())) == expected
    assert [folded.fold(text) for text in texts] == [text.casefold() for text in texts]


@given(text_tests(), text_tests(), long_texts())
def test_a_value_passes_in_pieces_as_at_once(one: TextTest, other: TextTest, long: Long) -> None:
    folded, text = Folded(ask_chat([{"role": "user", "content": "hi"}])), long.text()
    equal = ValueEquals.of(text, CANONICAL)
    for kind in (AnyValue, AllValues):
        for last in (ValueText(other), equal):
            test = kind((ValueText(one), last))

            assert finish(test.passes_in_pieces(text, folded, Effort())) == test.passes(text)


def test_many_expressions_are_looked_for_in_pieces() -> None:
    wanted = [{"regex": f"[a-z]{{{size}}}[0-9]x"} for size in range(1, 100)]
    rules = [compile_rule(CHAT, {"user": each}, index) for index, each in enumerate(wanted)]
    parts = [{"type": "text", "text": f"part {at}"} for at in range(100)]

    assert pauses_in_search(rules, ask_chat([{"role": "user", "content": parts}])) > 10


NUMBERS = range(3_000)


@pytest.mark.parametrize(
    ("match", "least"),
    [
        ({"user": [{"contains": f"{n}", "ends_with": "q"} for n in NUMBERS[:600]]}, 10),
        ({"user": [{"regex": f"w{n % 9}*[^w]q$"} for n in NUMBERS[:300]]}, 30),
        ({"any_of": [{"turn": {"at_least": n + 2}} for n in NUMBERS]}, 1),
        ({"not": {"any_of": [{"turn": {"at_least": n + 2}} for n in NUMBERS]}}, 1),
        ({"all_of": [{"step": {"at_most": n + 2}} for n in NUMBERS[:1_500]]}, 1),
        ({"not": {"any_of": [{"user": {"contains": f"!{n}"}} for n in NUMBERS[:1_500]]}}, 20),
    ],
)
def test_one_rule_of_many_conditions_is_decided_in_pieces(match: Json, least: int) -> None:
    """10,000 of them held the loop for 10 to 270 ms."""
    text = " ".join(f"{n} w" for n in NUMBERS)
    index = RuleIndex([compile_rule(CHAT, match)])

    assert index.takes_long(500)
    assert (
        pauses_in_search(list(index.rules), ask_chat([{"role": "user", "content": text}])) > least
    )


@given(
    st.lists(text_tests(), min_size=1, max_size=4).map(tuple).map(AnyTest),
    st.lists(st.text("aAzß ", max_size=6), min_size=1, max_size=3),
    st.sampled_from([Subject.USER, Subject.SYSTEM]),
)
def test_a_list_is_measured_in_pieces_as_at_once(
    test: AnyTest, texts: list[str], subject: Subject
) -> None:
    parts = [{"type": "text", "text": text} for text in texts]
    prompt = ask_chat([{"role": role, "content": parts} for role in ("system", "user")])
    predicate = TextIs(subject, test)
    expected = predicate.difference(prompt, {}, closer_than=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.matching.text_predicates.MAX_TESTS", 0)
        found = finish(predicate.difference_in_pieces(prompt, {}, Effort(), closer_than=0))

    assert (found is None) is (expected is None)
    if found is not None and expected is not None:
        assert (found.closeness, found.reason()) == (expected.closeness, expected.reason())


def test_the_nearest_of_many_texts_is_looked_for_in_pieces() -> None:
    """A list of 10,000 held the loop for 114 ms while the closest mock was looked for."""
    rule = compile_rule(CHAT, {"user": [{"contains": f"hi {n}"} for n in NUMBERS]})
    index, prompt = RuleIndex([rule]), ask_chat([{"role": "user", "content": "hi there"}])

    nearest, pauses = count_pauses(index.search_nearest_miss(prompt, {}, Effort()))

    assert nearest == index.nearest_miss(prompt, {})
    assert pauses >= 20


def test_last_items_of_many_numbers_are_looked_up_in_pieces() -> None:
    """700 numbers of items held the loop for 15 to 25 ms in a request of 35 kB."""
    items = [{"role": "user", "content": f"{n}"} for n in range(100)]
    rules = [Rule(n, "", (RESPONSES.compile_match(items[-n:-1], True),)) for n in range(2, 90)]

    found, pauses = count_pauses(RuleIndex(rules).search(ask_responses(items), {}, Effort()))

    assert found == ()
    assert pauses >= 5


def test_many_rules_that_do_not_match_are_checked_in_pieces() -> None:
    """10,000 held the loop for 50 ms, and with a list of as many tools for 900 ms."""
    match = {"user": {"contains": "a"}, "turn": {"at_least": 2}}

    rules = [compile_rule(CHAT, match, n) for n in range(2_000)]

    assert pauses_in_search(rules, ask_chat([{"role": "user", "content": "a" * 20_000}])) >= 2


TOOLS = 3_000


def offered(names: Iterable[str]) -> Prompt:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return ask_chat([{"role": "user", "content": "hi"}], tools=tools)


@pytest.mark.parametrize(
    ("match", "least"),
    [
        ({"tools": [f"tool {at}" for at in range(TOOLS)], "turn": 2}, 2),
        ({"tools": [*(f"tool {at}" for at in range(TOOLS)), "other"]}, 2),
        ({"tools": {"any": [f"no tool {at}" for at in range(TOOLS)]}, "turn": 1}, 0),
        ({"tools": {"any": ["other", "tool 2999"]}, "not": {"tools": ["tool 2999"]}}, 0),
    ],
)
def test_many_tools_are_looked_up_among_many(match: Json, least: int) -> None:
    """10,000 among as many held the loop for 600 ms to 1.5 s."""
    prompt = offered(f"tool {at}" for at in range(TOOLS))

    assert pauses_in_search([compile_rule(CHAT, match)], prompt) >= least


@given(st.lists(st.sampled_from("abcd"), max_size=4), st.integers(0, 30), st.integers(0, 3))
def test_a_tool_is_offered_if_one_of_any_number_has_its_name(
    names: list[str], others: int, long: int
) -> None:
    size = MAX_HASHED + 1
    prompt = offered([*names, *(f"tool {at}" for at in range(others)), *["x" * size] * long])

    for wanted in ("a", "b", "x" * size, "y" * size):
        for predicate in (OffersTool(wanted), OffersAnyTool(frozenset({wanted, "z"}))):
            expected = wanted in names or (wanted[0] == "x" and long > 0)

            assert (predicate.difference(prompt, {}) is None) is expected
            found = finish(predicate.difference_in_pieces(prompt, {}, Effort()))
            assert (found is None) is expected


def test_many_texts_are_looked_for_in_a_header_in_pieces() -> None:
    """10,000 held the loop for 400 ms in a header of 50 kB."""
    header = {"name": "x-a", "match_type": "contains"}
    rules = [
        compile_rule(CHAT, {"headers": [header | {"value": "a" * at + "b"}]}, at)
        for at in range(1, 300)
    ]
    index, prompt = RuleIndex(rules), ask_chat([{"role": "user", "content": "hi"}])
    headers = {b"x-a": b"a" * 20_000 + b"b"}

    found, pauses = count_pauses(index.search(prompt, headers, Effort()))

    assert found == index.candidates(prompt, headers) == (rules[0],)
    assert index.candidates(prompt, {b"x-a": b"aa"}) == index.candidates(prompt, {}) == ()
    assert pauses >= 4
    assert index.takes_long(100)


@given(st.lists(st.sampled_from([b"", b"a", b"ab", b"b\xff"]), min_size=1), st.binary(max_size=4))
def test_a_header_is_searched_in_pieces_as_at_once(wanted: list[bytes], value: bytes) -> None:
    rules = [Rule(at, "", (HeaderContains(b"x-a", "X-A", each),)) for at, each in enumerate(wanted)]
    index, prompt = RuleIndex(rules), ask_chat([{"role": "user", "content": "hi"}])

    for headers in ({b"x-a": value}, {}):
        expected = [rule for rule in rules if rule.difference(prompt, headers) is None][:1]

        assert list(index.candidates(prompt, headers)) == expected
        assert list(finish(index.search(prompt, headers, Effort()))) == expected


def test_a_long_text_is_compared_with_keys_that_are_as_long() -> None:
    """A text of 10 M characters with emojis is hashed in 20 ms."""

    class Unhashed(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise AssertionError

    text = "word " * (MAX_TEXT_AT_ONCE // 4)
    rules = [
        compile_rule(CHAT, {"user": each}, at)
        for at, each in enumerate((text[:-1] + "!", text, text.replace("d w", "d W", 2)))
    ]
    prompt = ask_chat([{"role": "user", "content": Unhashed(text)}])
    prompt.leftovers = []

    assert finish(RuleIndex(rules).search(prompt, {}, Effort())) == (rules[1],)


def test_many_paths_are_evaluated_in_pieces() -> None:
    """50 paths that look at 10,000 values each held the loop for 0.9 s."""
    rules = [compile_rule(CHAT, {"body": {f"$..name{at}": 1}}, at) for at in range(20)]
    prompt = ask_chat(
        [{"role": "user", "content": "hi"}], metadata=[{"a": [at]} for at in range(1_000)]
    )

    assert pauses_in_search(rules, prompt) >= 20


def test_what_was_decided_in_pieces_is_not_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = compile_rule(CHAT, {"not": {"any_of": [{"user": {"regex": "b+"}}, {"turn": 2}]}})
    prompt = ask_chat([{"role": "user", "content": "a"}])
    index = RuleIndex([rule])
    assert finish(index.search(prompt, {}, Effort())) == (rule,)

    def fail(test: Matches, text: str, fold: Any = None) -> bool:
        raise AssertionError(f"{text!r} was tested again")

    monkeypatch.setattr(Matches, "passes", fail)

    assert index.candidates(prompt, {}) == (rule,)


@pytest.mark.parametrize(
    ("match", "size", "expected"),
    [
        ({"user": {"contains": "a"}}, 1_000, False),
        ({"user": {"contains": "a"}}, 100_000, True),
        ({"user": {"regex": "a"}}, 10, True),
        ({"tool_result": {"name": {"regex": "a"}}}, 10, True),
        ({"any_message": {"role": "user", "text": ["b", {"regex": "a"}]}}, 10, True),
        ({"any_message": {"role": "user"}}, 10, False),
        ({"not": {"any_of": [{"model": {"regex": "a"}}]}}, 10, True),
        ({"all_of": [{"body": {"$..a": 1}}]}, 10, True),
        ({"body": {"$.a": {"any": [1, {"regex": "a", "contains": "a"}]}}}, 10, True),
        ({"body": {"$.a": 1}}, 10, False),
    ],
)
def test_it_is_known_what_may_take_long(match: Json, size: int, expected: bool) -> None:
    assert RuleIndex([compile_rule(CHAT, match)]).takes_long(size) is expected


A = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("match", "size", "expected"),
    [
        ({}, 60_000, False),
        ({"message": A}, 60_000, False),
        ({"message": A, "match_type": "contains"}, 60_000, False),
        ({"message": A, "headers": [{"name": "x", "value": "y"}]}, 60_000, False),
        ({"message": A}, 70_000, True),
        ({"user": {"regex": "a"}}, 10, True),
        ({"user": "a"}, 10_000, False),
        ({"user": "a"}, 60_000, False),
        ({"last_user": {"contains": "a"}}, 60_000, False),
        ({"user": ["a", "b"]}, 60_000, False),
        ({"system": {"contains": "a"}}, 10_000, False),
        ({"system": {"contains": "a"}}, 60_000, True),
        ({"turn": 1}, 60_000, True),
        ({"body": {"$.a": 1}}, 60_000, True),
    ],
)
def test_more_of_a_plain_request_is_matched_at_once_if_only_its_last_words_matter(
    match: Json, size: int, expected: bool
) -> None:
    index = RuleIndex([compile_rule(CHAT, match)])

    assert index.takes_long(size, is_plain=True) is expected
    assert LayeredIndex([RuleIndex(()), index]).takes_long(size, is_plain=True) is expected


@pytest.mark.parametrize(
    ("match", "quick"),
    [
        (lambda number: {"message": {"role": "user", "content": f"{number}"}}, 3_000),
        (lambda number: {"user": f"text {number}"}, 1_400),
        (lambda number: {"headers": [{"name": "x", "value": f"{number}"}], "user": "a"}, 16_000),
        (lambda number: {"user": {"contains": f"text {number}"}}, 100),
        (lambda number: {"user": "a", "not": {"model": f"m{number}"}}, 100),
    ],
)
def test_many_rules_take_long_if_a_request_finds_many_of_them(
    match: Callable[[int], Json], quick: int
) -> None:
    index = RuleIndex([compile_rule(CHAT, match(number), number) for number in range(5_000)])

    assert not index.takes_long(quick)
    assert index.takes_long(3 * quick if quick < 16_000 else 17_000)
