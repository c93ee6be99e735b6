"""The short way of small requests: it decides as the long one does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine.added import AddedMock, compile_added
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.straight import MAX_COUNTS
from mockllm.exchange import Request
from mockllm.wire.placeholders import FreshValues, stand_in
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_mock, chat_saying

FRESH = FreshValues(b"0123456789abcdef0123", b"1234567890", b"Thu, 01 Jan 1970 00:00:00 GMT", b"7")
ANSWERS: dict[str, dict[str, Any]] = {
    "plain": {"reply": "one two three"},
    "counted": {"reply": {"text": "ok", "usage": {"input": 7}}},
    "calls": {"reply": {"tool_calls": [{"name": "search", "arguments": {"q": "x"}}]}},
    "failing": {"error": "overloaded"},
    "paced": {"reply": "slow", "latency": {"ttft": 0.1}},
    "broken": {"reply": "cut", "fault": {"end": "reset"}},
    "echoing": {"reply": {"generate": "echo"}},
    "headed": {"reply": "with a header", "headers": {"x-own": "1"}},
    "scripted": {
        "sequence": [
            {"reply": "one of two", "times": 2},
            {"error": "overloaded"},
            {"reply": "slowly", "latency": {"ttft": 0.1}},
            {"reply": {"generate": "echo"}},
        ],
        "at_end": "restart",
    },
    "once": {"sequence": ["first"], "at_end": "pass"},
    "exhausted": {"sequence": ["only"]},
}
CONFIG: dict[str, Any] = {
    "openai": [
        chat_mock("whole", chat_saying("all of it") | {"id": "x", "model": "m", "usage": {}}),
        chat_mock("terse", chat_saying("some of it")),
    ],
    "mocks": [
        *({"match": {"user": {"contains": word}}, **ANSWERS[word]} for word in ANSWERS),
        {"match": {"user": {"contains": "once"}}, "reply": "ever after"},
    ],
}
LOADED = load(Config.from_dict(CONFIG))
MEMBERS = st.fixed_dictionaries(
    {"model": st.sampled_from(["m", "n", "a model"])},
    optional={
        "stream": st.booleans(),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "temperature": st.sampled_from([0.5, "warm"]),
        "tools": st.just([{"type": "function", "function": {"name": "search", "parameters": {}}}]),
    },
)
TEXTS = st.sampled_from([*ANSWERS, "whole", "terse", "neither"])


def chat(text: str, number: int, members: dict[str, Any]) -> Request:
    said = [{"role": "user", "content": f"{text} {number}" if text in ANSWERS else text}]
    return request(PATHS["chat"], {**members, "messages": said, "user": str(number)})


ENOUGH: dict[str, Any] = {"rate_limit": {"rpm": 10**6, "tpm": 10**6}}


@pytest.mark.parametrize("traffic", [[], [ENOUGH]], ids=["", "limited"])
@pytest.mark.parametrize("counts_input", [False, True])
@settings(max_examples=40)
@given(asked=st.lists(st.tuples(TEXTS, MEMBERS), min_size=1, max_size=6))
def test_requests_that_never_repeat_are_decided_as_on_the_long_way(
    counts_input: bool, traffic: list[Any], asked: list[tuple[str, dict[str, Any]]]
) -> None:
    config = CONFIG | {"traffic": traffic}
    short, long = (Observed(config, reuse=reuse).app for reuse in (True, False))
    for app in (short, long):
        app.engine.responder.needs_input = (lambda api, answer: True) if counts_input else None

    for number, (text, members) in enumerate(asked * 3):
        one, other = (app.decide(chat(text, number, members)) for app in (short, long))

        assert one.reply == other.reply
        assert one.match._replace(ready=None) == other.match._replace(ready=None)
        assert one._replace(match=other.match, ready=None) == other._replace(ready=None)
        assert (one.ready is None) == (other.ready is None)
        if one.ready is not None and other.ready is not None:
            assert one.ready.finish(FRESH) == other.ready.finish(FRESH)


def test_equal_decisions_on_different_requests_are_one() -> None:
    app = Observed(CONFIG).app

    asked: list[dict[str, Any]] = [
        *({"model": "m"} for _ in range(5)),
        {"model": "m", "stream": True},
        {"model": "n"},
    ]

    decisions = [app.decide(chat("whole", number, members)) for number, members in enumerate(asked)]

    assert decisions[3] is decisions[4]
    assert len({id(each) for each in decisions[4:]}) == 3


def test_decisions_on_prompts_of_few_lengths_are_one_for_each() -> None:
    app = Observed({"mocks": [{"reply": "terse"}]}).app
    prompts = ["abcd" * size for size in range(1, 2 * MAX_COUNTS)]

    def decide_all() -> list[Decision]:
        asked = (chat(each, number, {"model": "m"}) for each in prompts for number in range(2))
        return [app.decide(each) for each in asked]

    first, second = (decide_all() for _ in range(2))

    kept = [one is other for one, other in zip(first[1::2], second[1::2], strict=True)]
    assert kept == [True] * MAX_COUNTS + [False] * (MAX_COUNTS - 1)
    bodies = [orjson.loads(stand_in(each.reply.body)) for each in second[::2]]
    inputs = [body["usage"]["prompt_tokens"] for body in bodies]
    assert inputs == list(range(inputs[0], inputs[0] + len(prompts)))


def test_a_member_that_is_repeated_is_so_where_decisions_are_kept() -> None:
    app = Observed({"mocks": [{"reply": "terse"}]}).app
    tiers = [None, None, None, "flex", "flex", None, "priority", None]
    asked = [{"model": "m"} | ({"service_tier": tier} if tier else {}) for tier in tiers]

    decisions = [app.decide(chat("terse", number, each)) for number, each in enumerate(asked)]

    bodies = [orjson.loads(stand_in(each.reply.body)) for each in decisions]
    assert [body["service_tier"] for body in bodies] == [tier or "default" for tier in tiers]


def test_a_mock_that_is_gone_answers_no_more_and_is_let_go_of() -> None:
    observed = Observed({"openai": []})
    mocks: list[AddedMock] = []
    for number in range(3):
        mock = compile_added({"reply": f"reply {number}"}, 0)  # all with the same number
        observed.app.add(mock, None)
        mocks.append(mock)
        for body in range(3):
            decided = observed.app.decide(chat("plain", body, {"model": "m"}))
            assert f"reply {number}".encode() in decided.reply.body
        observed.app.remove(mock)

    assert not observed.app.engine._straight._known


def test_equal_choices_for_different_requests_are_answered_by_one_decision() -> None:
    app = Observed(CONFIG).app

    decisions = [app.decide(chat("scripted", number, {"model": "m"})) for number in range(14)]

    assert decisions[6] is decisions[10] is decisions[11]
    assert decisions[2].reply is not decisions[0].reply
    assert not any(each.match.reusable for each in decisions)


def test_what_traffic_may_change_goes_the_long_way() -> None:
    config = {"openai": [], "traffic": [{"latency": {"ttft": 1}}]}
    table = load(Config.from_dict(config)).tables[0]

    assert table.straight_size == -1


@pytest.mark.parametrize(
    ("path", "body", "goes_straight"),
    [
        ("chat", {"messages": [{"role": "user", "content": "plain"}]}, True),
        ("chat", {"messages": [{"role": "user", "content": "plain" * 4_000}]}, False),
        (
            "chat",
            {"messages": [{"role": "user", "content": "plain"}], "stop": ["x"] * 2_500},
            False,
        ),
        ("responses", {"input": "plain"}, True),
        ("responses", {"input": "plain", "previous_response_id": "resp_1"}, False),
    ],
)
def test_what_takes_long_or_continues_another_goes_the_long_way(
    path: str, body: dict[str, Any], goes_straight: bool
) -> None:
    short, long = (Observed(CONFIG, reuse=reuse).app for reuse in (True, False))
    asked = request(PATHS[path], {"model": "m", **body})

    assert short.decide(asked).reply == long.decide(asked).reply
    assert bool(short.engine._straight._known) is goes_straight


@pytest.mark.parametrize(
    ("said", "config", "goes_straight"),
    [
        ({}, {}, True),
        ({"name": "n"}, {}, False),
        ({}, {"mocks": [{"match": {"system": "x"}, "reply": "y"}]}, False),
        ({}, {"mocks": [{"match": {"user": "x"}, "sequence": ["y"]}]}, False),
    ],
)
def test_a_long_conversation_of_texts_is_answered_as_on_the_long_way(
    said: dict[str, Any], config: dict[str, Any], goes_straight: bool
) -> None:
    configured = {"openai": CONFIG["openai"], **config}
    short, long = (Observed(configured, reuse=reuse).app for reuse in (True, False))

    for number in range(3):
        turns = [{"role": "user", "content": f"{number} {'word ' * 200}"} | said] * 40
        messages = [*turns, {"role": "user", "content": "terse"}]
        asked = request(PATHS["chat"], {"model": "m", "messages": messages})
        one, other = short.decide(asked), long.decide(asked)
        assert isinstance(one, Decision)
        assert isinstance(other, Decision)
        assert one.reply == other.reply
        assert one.match._replace(ready=None) == other.match._replace(ready=None)

    assert bool(short.engine._straight._known) is goes_straight


def test_a_client_that_varies_the_model_takes_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mockllm.engine.straight.MAX_KNOWN", 4)
    app = Observed(CONFIG).app

    for number in range(20):
        app.decide(chat("plain", number, {"model": f"m{number}"}))

    assert len(app.engine._straight._known) <= 4


def test_credentials_are_checked_with_every_new_head() -> None:
    app = Observed(CONFIG).app
    asked = chat("plain", 0, {"model": "m"})
    bare = Request.of("POST", asked.path, (), asked.body)

    statuses = [app.decide(each).reply.status for each in (asked, asked, bare, asked, bare)]

    assert statuses == [200, 200, 401, 200, 401]
    assert Engine(LOADED, reuse=False).reuses is False
