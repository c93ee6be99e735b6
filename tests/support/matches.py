"""Matches of a configuration for property tests: few words, so that they often hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mockllm.config.models import OpenAIRequestMatch
from mockllm.engine.conditions import compile_match
from mockllm.errors import Place
from mockllm.matching.rule import Rule
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.support.conversations import NAMES

Match = dict[str, Any]

WORDS = ["hi", "HI", "", "weather?", "weat", "15", "15 degrees", "é", "hi\nhi", "m"]
EXPRESSIONS = ["h.", "wea.*", "[0-9]+", "^$", "deg|hi", "(?i)HI"]

_words = st.sampled_from(WORDS)


def _tests() -> st.SearchStrategy[Any]:
    operators = st.fixed_dictionaries(
        {},
        optional={
            "contains": _words,
            "starts_with": _words,
            "ends_with": _words,
            "exact": _words,
            "regex": st.sampled_from(EXPRESSIONS),
        },
    ).filter(bool)
    case = st.sampled_from([{}, {"ignore_case": True}, {"ignore_case": False}])
    return st.one_of(
        _words,
        st.builds(dict.__or__, operators, case),
        st.builds(lambda word: {"contains": word}, _words),
    )


texts: st.SearchStrategy[Any] = st.one_of(_tests(), st.lists(_tests(), min_size=1, max_size=3))
"""A text of a match: exact, with tests, or a list of these."""


def _counts() -> st.SearchStrategy[Any]:
    low = st.integers(1, 3)
    return st.one_of(low, low.map(lambda each: {"at_least": each}), st.just({"at_most": 2}))


def _tools() -> st.SearchStrategy[Any]:
    name = st.sampled_from(NAMES)
    some = st.lists(name, min_size=1, max_size=2)
    return st.one_of(st.lists(name, max_size=2), some.map(lambda names: {"any": names}))


_conditions: dict[str, st.SearchStrategy[Any]] = {
    "user": texts,
    "tool_result": st.one_of(
        texts,
        st.fixed_dictionaries(
            {"name": st.one_of(st.sampled_from(NAMES), texts)},
            optional={"text": texts, "error": st.booleans()},
        ),
    ),
    "last_user": texts,
    "any_message": st.one_of(
        texts,
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "tool"])}, optional={"text": texts}
        ),
    ),
    "system": texts,
    "model": texts,
    "tools": _tools(),
    "schema": texts,
    "turn": _counts(),
    "step": _counts(),
    "stream": st.booleans(),
}
"""Every word that has the same verdict in every API, with its values."""


@st.composite
def matches(draw: st.DrawFn, /, levels: int = 1, **others: st.SearchStrategy[Any]) -> Match:
    """Matches with up to three conditions, nested in `levels` of `all_of`, `any_of` and `not`.
    `others` are the values of more words that are to be among them."""
    known = _conditions | others
    if levels:
        inner = matches(levels - 1, **others)
        known = known | {
            "all_of": st.lists(inner, max_size=2),
            "any_of": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        }
    words = sorted(known)
    chosen = [draw(st.sampled_from(words)) for _ in range(draw(st.integers(0, 3)))]
    return {word: draw(known[word]) for word in dict.fromkeys(chosen)}


def bodies() -> st.SearchStrategy[Any]:
    """The word `body`, which has different verdicts in different APIs."""
    paths = st.sampled_from(
        ["$.model", "$.stream", "$.messages[0].role", "$['tools'][-1]", "$..text"]
    )
    values = st.one_of(
        texts.filter(lambda each: not isinstance(each, list)),
        st.sampled_from([True, 1, 1.0, None, {"exists": True}, {"exists": False}]),
        st.just({"any": ["m", 1]}),
    )
    return st.dictionaries(paths, values, max_size=2)


def compile_rule(api: API, match: Match, index: int = 0, *, stateful: bool = False) -> Rule:
    """The rule of a match of any API."""
    place = Place(field="mocks", position=index)
    predicates, problems = compile_match(api, OpenAIRequestMatch.model_validate(match), place)
    assert problems == []
    return Rule(index, place, predicates, stateful)


APIS = (CHAT, RESPONSES, MESSAGES)
