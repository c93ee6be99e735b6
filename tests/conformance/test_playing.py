"""The answers of mocks, played in order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.conformance.playing import each_answer_once, play
from mockllm.engine.building import build_engine
from mockllm.exchange import Request
from mockllm.matching.rule import Rule
from tests.support.served import chat_request

KEY = ((b"authorization", b"Bearer any"),)
PASSING = {"sequence": ["a", {"reply": "b", "times": 9}], "at_end": "pass"}


def played(index: int, *mocks: Any) -> list[tuple[str, int | None]] | str | None:
    """The path and the status of each answer in the turns of a mock; the label of the mock that
    answers instead."""
    engine = build_engine(each_answer_once(Config.from_dict({"mocks": list(mocks)})))
    table = engine.table("openai")
    body = orjson.dumps(chat_request("hi"))
    rule = next(each for each in table.index.rules if each.index == index)
    turns = play(engine, table, rule, Request.of("POST", "/v1/chat/completions", KEY, body))
    if isinstance(turns, Rule):
        return turns.label
    if turns is None:
        return None
    return [("before" if turn.written is None else turn.path, turn.status) for turn in turns]


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"reply": "a"}, [("", None)]),
        ({"error": "rate_limit"}, [("", 429)]),
        (
            {"sequence": [{"error": "conflict", "times": 3}, {"reply": "a", "times": "always"}]},
            [("sequence[0]", 409), ("sequence[1]", None)],
        ),
        ({"sequence": ["a"], "at_end": "restart"}, [("sequence[0]", None)]),
        (
            {"error": "rate_limit", "first": [{"reply": "a", "times": 2}, {"times": 2}]},
            [("first[0]", None), ("first[1]", 429), ("", 429)],
        ),
        ({"match": {"user": "ho"}, "reply": "a"}, None),
    ],
)
def test_each_answer_is_given_once_and_in_order(mock: Any, expected: Any) -> None:
    assert played(0, mock) == expected


def test_scripts_that_pass_are_played_before() -> None:
    before = [("before", None)] * 4

    assert played(2, PASSING, PASSING, {"reply": "c"}) == [*before, ("", None)]


def test_a_mock_behind_one_that_does_not_pass_is_hidden() -> None:
    fails = {"name": "plot", "sequence": ["a"]}

    assert played(1, fails, {"reply": "c"}) == "mocks[0] 'plot'"
    assert played(2, PASSING, fails, {"reply": "c"}) == "mocks[1] 'plot'"


def test_an_error_without_the_status_of_one_is_not_judged() -> None:
    config = Config.from_dict({"mocks": [{"sequence": [{"error": {"status": 202}}, "a"]}]})
    engine = build_engine(config)
    table = engine.table("openai")
    body = orjson.dumps(chat_request("hi"))

    turns = play(
        engine, table, table.index.rules[0], Request.of("POST", "/v1/chat/completions", KEY, body)
    )

    assert isinstance(turns, list)
    assert [turn.is_judged for turn in turns] == [False, True]


def test_nothing_but_the_answers_is_left_of_a_mock() -> None:
    cut = {"end": "cut", "after": "first_token"}
    mock = {"reply": "a", "fault": cut, "first": [{"fault": cut, "times": 5}, {"times": 2}]}
    config = Config.from_dict({"mocks": [mock | {"name": "plot"}]}, file="a.json")

    (once,) = each_answer_once(config).mocks

    assert [(entry.fault, entry.times) for _, entry in once.entries()] == [(None, 1)] * 2
    assert once.fault is None
    assert str(once.place) == "a.json: mocks[0] 'plot'"


def test_traffic_is_left_out() -> None:
    written = {"mocks": [{"reply": "a"}], "traffic": [{"error": "overloaded"}]}

    assert each_answer_once(Config.from_dict(written)).traffic == []
