"""The rows of what words of traffic mean: the brown-out of the documentation, each condition as a
selector, each amount of a `rate_limit` for each vendor, whom `per` limits, and the order of the
stages that a request goes through."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from mockllm import Config
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter, Sent
from mockllm.engine.loading import load
from mockllm.exchange import EndingKind
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
OVERLOADED = {"error": "overloaded"}


class Timed(LoneApp):
    """An app whose server has been running for `now` seconds."""

    now = 0.0


def app(*entries: Any, **config: Any) -> Timed:
    written = {"mocks": [{"reply": "ok"}], "traffic": entries} | config
    engine = Engine(load(Config.from_dict(written)), client_faults=True)
    one = Timed(engine, elapsed=lambda: one.now, limiter=Limiter(now=lambda: one.now))
    return one


def asked(
    one: LoneApp,
    path: str = CHAT,
    *,
    user: str = "hi",
    key: str = "any",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Decision:
    body: dict[str, Any] = {"model": "m"}
    if path in (RESPONSES, EMBEDDINGS):
        body["input"] = user
    else:
        body |= {"messages": [{"role": "user", "content": user}]}
    if path == MESSAGES:
        body["max_tokens"] = 20
    lines = (
        ANTHROPIC | {"x-api-key": key} if path == MESSAGES else {"authorization": f"Bearer {key}"}
    )
    return ask("POST", path, lines | (headers or {}), body | members, engine=one)


# --- the brown-out --------------------------------------------------------------------------------

BROWN_OUT = [
    {
        "name": "brown-out",
        "match": {"model": {"starts_with": "gpt-4o"}},
        "from": "2m",
        "to": "4m",
        "ramp": "30s",
        "chance": 0.3,
        "error": "overloaded",
    },
    {"match": {"model": "gpt-4o"}, "latency": {"preset": "vllm-70b", "ttft": "5s"}},
    {"match": {"api": "messages"}, "rate_limit": {"rpm": 50, "itpm": 30000, "otpm": 8000}},
]


def share(one: Timed, now: float, model: str, path: str = CHAT) -> float:
    """The share of 300 different requests that get a 503 or a 529."""
    one.now = now
    found = [asked(one, path, user=str(number), model=model) for number in range(300)]
    return sum(each.reply.status in (503, 529) for each in found) / 300


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("now", "expected"),
    [(0, 0), (119, 0), (135, 0.15), (150, 0.3), (180, 0.3), (210, 0.3), (225, 0.15), (240, 0)],
)
def test_a_brown_out_hits_a_share_of_the_requests_for_a_model(
    path: str, now: float, expected: float
) -> None:
    one = app(*BROWN_OUT)

    found = share(one, now, "gpt-4o-mini", path)

    assert found == (pytest.approx(expected, abs=0.08) if expected else 0)
    assert share(one, now, "gpt-4.1", path) == 0


def test_the_other_entries_of_the_example_hold_beside_it() -> None:
    one = app(*BROWN_OUT)

    slow, other = asked(one, model="gpt-4o"), asked(one, model="gpt-4o-mini")
    assert slow.reply.pacing is not None
    assert slow.reply.pacing.ttft == pytest.approx(5.0, abs=0.01)
    assert slow.reply.pacing.itl == pytest.approx(0.0186)
    assert other.reply.pacing is None
    statuses = [asked(one, MESSAGES, model="claude").reply.status for _ in range(51)]
    assert statuses == [200] * 50 + [429]


# --- selectors ------------------------------------------------------------------------------------

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALLED = [
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "15 degrees"},
]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "properties": {}}},
}
SYSTEM = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"}]

SELECTORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "user": ({"user": "stop"}, {"user": "stop"}),
    "last_user": ({"last_user": {"contains": "weather"}}, {"messages": CALLED}),
    "tool_result": ({"tool_result": {"contains": "15"}}, {"messages": CALLED}),
    "any_message": (
        {"any_message": {"role": "tool", "text": "15 degrees"}},
        {"messages": CALLED},
    ),
    "system": ({"system": "Be brief"}, {"messages": SYSTEM}),
    "model": ({"model": ["gpt-4o", "gpt-4.1"]}, {"model": "gpt-4.1"}),
    "api": ({"api": ["responses", "messages"]}, {"path": RESPONSES}),
    "tools": ({"tools": ["look"]}, {"tools": [TOOL]}),
    "schema": ({"schema": "city"}, {"response_format": SCHEMA}),
    "turn": ({"turn": 2}, {"messages": CALLED}),
    "step": ({"step": {"at_least": 2}}, {"messages": CALLED}),
    "stream": ({"stream": True}, {"stream": True}),
    "body": ({"body": {"$.temperature": 0}}, {"temperature": 0}),
    "headers": (
        {"headers": [{"name": "x-tenant", "value": "free"}]},
        {"headers": {"x-tenant": "free"}},
    ),
    "all_of": ({"all_of": [{"user": "stop"}, {"model": "m"}]}, {"user": "stop"}),
    "any_of": ({"any_of": [{"user": "stop"}, {"model": "x"}]}, {"user": "stop"}),
    "not": ({"not": {"model": "m"}}, {"model": "x"}),
}
"""Conditions, and a request for which each holds; for the usual one it does not."""


@pytest.mark.parametrize(
    "kind",
    [
        {"error": "overloaded"},
        {"latency": {"ttft": 1}},
        {"fault": {"end": "reset"}},
        {"rate_limit": {"rpm": 1}},
    ],
    ids=lambda kind: next(iter(kind)),
)
@pytest.mark.parametrize("name", SELECTORS)
def test_an_entry_is_for_the_requests_that_its_match_selects(
    name: str, kind: dict[str, Any]
) -> None:
    match, selected = SELECTORS[name]
    one = app({"match": match} | kind)

    def feels(**request: Any) -> bool:
        asked(one, **request)  # takes the one request of the limit
        decision = asked(one, **request)
        reply = decision.reply
        return (
            reply.status in (503, 429)
            or reply.pacing is not None
            or reply.ending.kind is EndingKind.RESET
        )

    assert feels(**selected)
    assert not feels()


# --- amounts of a rate limit ----------------------------------------------------------------------


class Amount(NamedTuple):
    """A word of `rate_limit`, for one API; how many of equal requests it admits at first, after how
    many seconds the next one, and the reason in the 429."""

    word: str
    amount: int
    path: str
    admitted: int
    wait: float
    reason: str


AMOUNTS = [
    Amount("rpm", 3, CHAT, 3, 20.0, "requests per min (RPM): Limit 3"),
    Amount("rpm", 3, RESPONSES, 3, 20.0, "requests per min (RPM): Limit 3"),
    Amount("rpm", 3, EMBEDDINGS, 3, 20.0, "requests per min (RPM): Limit 3"),
    Amount("rpm", 3, MESSAGES, 3, 20.0, "of 3 requests per minute"),
    Amount("rpd", 3, CHAT, 3, 28_800.0, "requests per day (RPD): Limit 3"),
    # three tokens and a maximum of 20 each
    Amount("tpm", 60, CHAT, 2, 9.0, "tokens per min (TPM): Limit 60, Used 46, Requested 23"),
    Amount("tpd", 60, CHAT, 2, 12_960.0, "tokens per day (TPD): Limit 60, Used 46, Requested 23"),
    Amount("otpm", 60, MESSAGES, 3, 20.0, "of 60 output tokens per minute"),
]


@pytest.mark.parametrize("row", AMOUNTS, ids=lambda row: f"{row.word} of {row.path}")
def test_a_limit_admits_its_amount_and_the_next_when_it_is_refilled(row: Amount) -> None:
    one = app({"rate_limit": {row.word: row.amount}})
    members: dict[str, Any] = {}
    if row.word in ("tpm", "tpd"):
        members["max_tokens"] = 20

    found = [asked(one, row.path, **members) for _ in range(row.admitted + 1)]
    assert [each.reply.status for each in found] == [200] * row.admitted + [429]
    assert row.reason in told(found[-1])["error"]["message"]
    one.now = row.wait - 0.01
    assert asked(one, row.path, **members).reply.status == 429
    one.now = row.wait + 0.001
    assert asked(one, row.path, **members).reply.status == 200
    assert asked(one, row.path, **members).reply.status == 429


def test_input_tokens_are_limited_alone() -> None:
    cost = asked(app({"rate_limit": {"itpm": 10_000}}), MESSAGES)
    assert cost.reply.status == 200
    one = app({"rate_limit": {"itpm": 30}})

    statuses = [asked(one, MESSAGES, max_tokens=20_000).reply.status for _ in range(30)]

    admitted = statuses.count(200)
    assert 1 <= admitted < 30
    assert statuses == [200] * admitted + [429] * (30 - admitted)
    refused = told(asked(one, MESSAGES))["error"]["message"]
    assert "of 30 input tokens per minute" in refused


@pytest.mark.parametrize(("path", "status"), [(CHAT, 429), (MESSAGES, 429)])
def test_answers_at_once_are_limited(path: str, status: int) -> None:
    one = app({"rate_limit": {"concurrent": 2}})

    first = [asked(one, path) for _ in range(2)]
    assert [each.reply.status for each in first] == [200, 200]
    assert asked(one, path).reply.status == status
    one.now = 1e9  # time alone frees none
    assert asked(one, path).reply.status == status
    assert first[0].admission is not None
    one.end_admission(first[0].admission, first[0].match.answer, Sent(1.0))
    assert asked(one, path).reply.status == 200


REQUESTS: dict[str, dict[str, Any]] = {
    "the same": {},
    "another key": {"key": "other"},
    "another model": {"model": "other"},
    "another session": {"headers": {"x-mockllm-session": "other"}},
    "another API": {"path": RESPONSES},
}
PER: dict[str, tuple[Any, set[str]]] = {
    "by default": (None, {"another key", "another model"}),
    "key": (["key"], {"another key"}),
    "model": (["model"], {"another model"}),
    "session": (["session"], {"another session"}),
    "key, model": (["key", "model"], {"another key", "another model"}),
    "key, session": (["key", "session"], {"another key", "another session"}),
    "everything": (
        ["key", "model", "session"],
        {"another key", "another model", "another session"},
    ),
    "nothing": ([], set()),
}


@pytest.mark.parametrize("name", PER)
def test_a_limit_is_that_of_whom_it_is_for(name: str) -> None:
    per, expected = PER[name]
    found = set()
    for other, request in REQUESTS.items():
        one = app({"rate_limit": {"rpm": 1} if per is None else {"rpm": 1, "per": per}})
        assert asked(one).reply.status == 200
        if asked(one, **request).reply.status == 200:
            found.add(other)

    assert found == expected


# --- the order of one request ---------------------------------------------------------------------


def test_the_stages_of_a_request_come_one_after_the_other() -> None:
    """A request in which everything goes wrong, and what is told once each reason is gone."""
    entry = {"error": "billing", "latency": {"ttft": 7}, "fault": {"pause": 3}}
    mocks = [{"name": "script", "sequence": [entry, "two"]}]
    traffic: list[dict[str, Any]] = [
        {"name": "outage", **OVERLOADED},
        {"name": "limit", "rate_limit": {"rpm": 1}},
        {"latency": {"ttft": 5}, "fault": {"pause": 9}},
    ]
    one = app(*traffic, mocks=mocks, latency={"ttft": 1})
    wish = {"x-mockllm-error": "permission"}

    def answer(headers: dict[str, str] = KEY, content: Any = "hi") -> Decision:
        body = {"model": "m", "messages": [{"role": "user", "content": content}]}
        return ask("POST", CHAT, headers, body, engine=one)

    found = [answer(wish, 1), answer(KEY | wish, 1), answer(KEY | wish), answer(KEY)]
    assert [each.reply.status for each in found] == [401, 400, 403, 503]
    one.traffic.stop("outage")
    first, limited = answer(), answer()
    one.now = 60.0
    second = answer()

    # none of those before took the entry, or of the limit
    assert (first.reply.status, first.match.outcome) == (429, Outcome.MOCK)
    assert told(first)["error"]["code"] == "insufficient_quota"
    assert first.reply.pacing is not None
    assert (first.reply.pacing.ttft, first.reply.before_head) == (7.0, 3.0)
    assert (limited.reply.status, limited.match.outcome) == (429, Outcome.LIMITED)
    assert (limited.reply.pacing, limited.reply.before_head) == (None, 0.0)
    assert told(second)["choices"][0]["message"]["content"] == "two"
    assert second.reply.pacing is not None
    assert (second.reply.pacing.ttft, second.reply.before_head) == (5.0, 9.0)
