"""Traffic in the decisions of an engine: what happens to requests, whoever answers them."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import COMPLETE, Ending, EndingKind, PoolRule
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, echo

TEXT = "one two three four five"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
OVERLOADED = {CHAT: 503, RESPONSES: 503, MESSAGES: 529, EMBEDDINGS: 503}
OUTAGE = {"error": "overloaded"}
RESET = Ending(EndingKind.RESET, head=0.0)


class Timed(LoneApp):
    """An app whose server has been running for `now` seconds."""

    now = 0.0


def app(*entries: Any, echoes: bool = False, reuse: bool = True, **config: Any) -> Timed:
    written = {"mocks": [{"reply": TEXT}], "traffic": entries} | config
    engine = Engine(
        load(Config.from_dict(written)),
        echo=echo if echoes else None,
        reuse=reuse,
        client_faults=True,
    )
    one = Timed(engine, elapsed=lambda: one.now)
    return one


def asked(
    one: LoneApp,
    path: str = CHAT,
    *,
    user: str = "hi",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Decision:
    body: dict[str, Any] = {"model": "m"} | members
    if path in (RESPONSES, EMBEDDINGS):
        body["input"] = user
    else:
        body |= {"messages": [{"role": "user", "content": user}], "max_tokens": 9}
    lines = (ANTHROPIC if path == MESSAGES else KEY) | (headers or {})
    return ask("POST", path, lines, body, engine=one)


# --- each kind ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OVERLOADED)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_the_answer_of_every_api(path: str, stream: bool) -> None:
    one = app(OUTAGE | {"name": "outage"})

    for _ in range(3):  # the third is from the cache
        found = asked(one, path, stream=stream) if path != EMBEDDINGS else asked(one, path)

        assert found.reply.status == OVERLOADED[path]
        assert found.match.outcome is Outcome.TRAFFIC
        assert found.match.traffic == ("traffic[0] 'outage'",)
        assert found.match.rule is None
        assert found.ready is not None
    cache = one.engine.match_cache
    assert cache is not None
    assert cache.hits == 1


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_a_latency_is_that_of_answers_without_one(path: str, stream: bool) -> None:
    slow = {"latency": {"ttft": "2s", "itl": "10ms"}}
    latencies = [app(slow), app(slow, latency="vllm-8b"), app(latency=slow["latency"])]

    found = [asked(one, path, stream=stream).reply for one in latencies]

    for reply in found[:2]:
        assert reply.pacing is not None
        assert reply.pacing.pool == PoolRule("traffic[0]")
        assert (reply.pacing.ttft, reply.pacing.itl, reply.pacing.cv) == (2.0, 0.01, 0.0)
        assert [step.tokens for step in reply.steps] == [step.tokens for step in found[2].steps]
    assert found[0].body == asked(app(), path, stream=stream).reply.body


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS])
def test_a_fault_is_that_of_answers_without_one(path: str) -> None:
    embeddings = [{"response": {"data": [{"embedding": [0.5]}]}}]
    one = app({"fault": {"end": "reset"}}, openai_embeddings=embeddings)

    assert [asked(one, path).reply.ending for _ in range(3)] == [RESET] * 3
    assert asked(one, path).match.traffic == ("traffic[0]",)


def test_the_echo_and_embeddings_without_mocks_are_affected_too() -> None:
    entries = [{"latency": {"ttft": 1}}, {"fault": {"pause": 3}}]
    one = app(*entries, mocks=[], echoes=True)

    for path in (CHAT, EMBEDDINGS):
        reply = asked(one, path).reply
        assert reply.pacing is not None
        assert (reply.pacing.ttft, reply.before_head) == (1.0, 3.0)


def test_what_a_mock_has_itself_comes_before() -> None:
    own = [
        {"match": {"user": "fast"}, "reply": TEXT, "latency": "instant"},
        {"match": {"user": "slow"}, "reply": TEXT, "latency": {"ttft": 9}},
        {"match": {"user": "cut"}, "reply": TEXT, "fault": {"end": "cut", "after": "head"}},
        {"match": {"user": "entry"}, "sequence": [{"reply": TEXT, "latency": "instant"}, TEXT]},
        {"reply": TEXT},
    ]
    one = app({"latency": {"ttft": 1}, "fault": {"end": "reset"}}, mocks=own)

    def found(user: str) -> tuple[float | None, EndingKind]:
        reply = asked(one, user=user).reply
        return reply.pacing and reply.pacing.ttft, reply.ending.kind

    assert found("fast") == (None, EndingKind.RESET)
    assert found("slow") == (9.0, EndingKind.RESET)
    assert found("cut") == (1.0, EndingKind.CUT)
    assert [found("entry"), found("entry")] == [
        (None, EndingKind.RESET),
        (1.0, EndingKind.RESET),
    ]
    assert found("other") == (1.0, EndingKind.RESET)


def test_an_error_takes_no_time_but_that_of_its_own_entry() -> None:
    mocks = [{"match": {"user": "own"}, "error": "rate_limit"}, {"reply": TEXT}]
    late = app({"match": {"user": "hi"}, "latency": {"ttft": 5}} | OUTAGE, {"latency": {"ttft": 2}})
    paces = [asked(late).reply.pacing, asked(late, user="x").reply.pacing]
    error = asked(app({"latency": {"ttft": 5}}, mocks=mocks), user="own")

    assert [pace and pace.ttft for pace in paces] == [5.0, 2.0]
    assert (error.reply.status, error.reply.pacing) == (429, None)
    assert error.match.traffic == ()


def test_an_error_may_have_a_fault_of_its_own_entry() -> None:
    fault = [{"pause": "2s"}, {"end": "cut", "after": {"tokens": 5}}]
    found = asked(app(OUTAGE | {"fault": fault}, {"fault": {"end": "reset"}}))

    assert (found.reply.status, found.reply.before_head) == (503, 2.0)
    assert found.reply.ending == COMPLETE  # of an answer that it is not
    assert found.match.traffic == ("traffic[0]",)


def ends(one: LoneApp) -> set[tuple[EndingKind, tuple[str, ...]]]:
    """How the answers to many requests end, each with the traffic that has changed it."""
    found = (asked(one) for _ in "x" * 64)
    return {(each.reply.ending.kind, each.match.traffic) for each in found}


def test_what_has_no_effect_is_not_named() -> None:
    cut = {"fault": [{"end": "cut", "after": "head", "chance": 0.5}], "latency": {"ttft": 1}}
    mocks = [
        {"match": {"user": "error"}, "error": "rate_limit"},
        {"match": {"user": "own"}, "reply": TEXT, "fault": {"pause": 1}, "latency": "instant"},
        {"reply": TEXT},
    ]
    one = app(cut, mocks=mocks)

    assert asked(one, user="error").match.traffic == ()
    assert asked(one, user="own").match.traffic == ()
    wishing = {"x-mockllm-fault": '{"pause": 3}'}
    assert asked(one, headers=wishing).match.traffic == ("traffic[0]",)  # for its latency
    named = {
        (each.reply.ending.kind, each.match.traffic) for each in (asked(one) for _ in "x" * 32)
    }
    assert named == {
        (EndingKind.CUT, ("traffic[0]",)),
        (EndingKind.COMPLETE, ("traffic[0]",)),
    }
    one = app(cut | {"latency": "instant", "chance": 0.5}, mocks=mocks)
    named = {
        (each.reply.ending.kind, each.match.traffic) for each in (asked(one) for _ in "x" * 64)
    }
    assert named == {
        (EndingKind.CUT, ("traffic[0]",)),
        (EndingKind.COMPLETE, ("traffic[0]",)),
        (EndingKind.COMPLETE, ()),
    }


def test_of_each_kind_the_first_entry_counts() -> None:
    one = app(
        {"match": {"user": "a"}, "latency": {"ttft": 1}},
        {"latency": {"ttft": 2}, "fault": {"pause": 1}},
        {"fault": {"pause": 2}},
        {"match": {"user": "b"}, **OUTAGE},
        {"error": {"status": 502}, "match": {"user": ["b", "c"]}},
    )

    first, other = asked(one, user="a"), asked(one, user="z")
    assert [each.reply.pacing and each.reply.pacing.ttft for each in (first, other)] == [1.0, 2.0]
    assert (first.reply.before_head, other.reply.before_head) == (1.0, 1.0)
    assert first.match.traffic == ("traffic[0]", "traffic[1]")
    assert [asked(one, user=user).reply.status for user in "bc"] == [503, 502]


# --- the order of one request ---------------------------------------------------------------------


def test_credentials_and_validation_come_first() -> None:
    one = app(OUTAGE)

    assert ask("POST", CHAT, {}, {}, engine=one).reply.status == 401
    assert ask("POST", CHAT, KEY, {}, engine=one).reply.status == 400


def test_what_the_client_wishes_comes_first() -> None:
    one = app(OUTAGE, {"fault": {"end": "reset"}})

    assert asked(one, headers={"x-mockllm-error": "rate_limit"}).reply.status == 429
    one = app({"fault": {"end": "reset"}})
    hung = asked(one, headers={"x-mockllm-fault": "hang"}).reply.ending
    assert hung.kind is EndingKind.HANG
    assert asked(one).reply.ending == RESET


def test_a_latency_that_the_client_wishes_comes_before_all_others() -> None:
    own = {"match": {"user": "own"}, "reply": TEXT, "latency": {"ttft": 9}}
    failing = {"match": {"user": "error"}, "error": "rate_limit"}
    one = app({"latency": {"ttft": 5}}, mocks=[own, failing, {"reply": TEXT}])
    wish = {"x-mockllm-latency": "ttft=2,itl=10ms"}

    found = [asked(one, user=user, headers=wish) for user in ("hi", "own", "error", "hi")]

    assert [each.reply.pacing and each.reply.pacing.ttft for each in found] == [2.0] * 4
    assert {each.match.asked_for for each in found} == {("latency",)}
    assert {each.match.traffic for each in found} == {()}
    assert sum(step.tokens for step in found[0].reply.steps) > 1
    instant = asked(one, user="own", headers={"x-mockllm-latency": "instant"})
    assert (instant.reply.pacing, instant.ready is not None) == (None, True)
    pacing = asked(one, user="own").reply.pacing
    assert pacing is not None
    assert pacing.ttft == 9.0


def test_an_error_that_the_client_wishes_may_be_late_and_break() -> None:
    wishes = {
        "x-mockllm-error": "overloaded",
        "x-mockllm-latency": '{"ttft": "5s"}',
        "x-mockllm-fault": '{"pause": 3}',
    }

    found = asked(app({"latency": {"ttft": 1}}, OUTAGE), headers=wishes)

    assert (found.reply.status, found.reply.before_head) == (503, 3.0)
    assert found.reply.pacing is not None
    assert found.reply.pacing.ttft == 5.0
    assert found.match.asked_for == ("error", "latency", "fault")
    plain = asked(app({"latency": {"ttft": 1}}), headers={"x-mockllm-error": "overloaded"})
    assert plain.reply.pacing is None


def test_an_error_of_traffic_has_the_latency_that_the_client_wishes() -> None:
    found = asked(app(OUTAGE), headers={"x-mockllm-latency": "ttft=2"})

    assert found.reply.pacing is not None
    assert found.match.traffic == ("traffic[0]",)


def test_a_request_without_a_mock_is_not_broken() -> None:
    mocks = [{"match": {"user": "other"}, "reply": TEXT}]
    found = asked(app({"fault": {"end": "reset"}, "latency": {"ttft": 1}}, mocks=mocks))

    assert (found.reply.status, found.reply.ending, found.reply.pacing) == (404, COMPLETE, None)
    assert found.match.outcome is Outcome.UNMATCHED


# --- time -----------------------------------------------------------------------------------------


def test_an_entry_holds_from_and_to() -> None:
    one = app(OUTAGE | {"from": "2m", "to": "4m"})
    found = {}

    for one.now in (0, 119.9, 120, 180, 239.9, 240, 1e9):
        found[one.now] = asked(one).reply.status

    assert list(found.values()) == [200, 200, 503, 503, 503, 200, 200]


def test_times_count_from_the_moment_an_entry_is_started() -> None:
    one = app(OUTAGE | {"name": "outage", "from": 10, "to": 20})

    def at(now: float) -> int:
        one.now = now
        return asked(one).reply.status

    assert [at(5), at(15), at(25)] == [200, 503, 200]
    one.traffic.start("outage", 100)
    assert [at(105), at(115), at(125)] == [200, 503, 200]
    one.traffic.start("outage", 200)
    one.traffic.stop("outage")
    assert at(215) == 200
    one.traffic.reset("outage")
    assert at(15) == 503


def test_a_latency_rises_from_that_which_would_hold_otherwise() -> None:
    slow = {"latency": {"ttft": 10, "itl": 1}, "from": 100, "to": 200, "ramp": 40}
    one = app(slow, latency={"ttft": 2})
    found = []

    for one.now in (0, 100, 110, 120, 140, 150, 160, 180, 190, 200):
        pacing = asked(one).reply.pacing
        assert pacing is not None
        found.append((pacing.ttft, pacing.itl))

    falling = [(10, 1), (6, 0.5), (4, 0.25), (2, 0)]
    assert found == [(2, 0), (2, 0), *reversed(falling[1:3]), (10, 1), (10, 1), *falling]


def test_a_chance_rises_and_falls() -> None:
    one = app(OUTAGE | {"from": 100, "to": 200, "ramp": 50})
    counts = []

    for one.now in (110, 125, 150, 175, 190):
        statuses = [asked(one, user=str(number)).reply.status for number in range(200)]
        counts.append(statuses.count(503))

    expected = [40, 100, 200, 100, 40]
    for count, mean in zip(counts, expected, strict=True):
        assert abs(count - mean) <= (0 if mean == 200 else 25)


# --- chance ---------------------------------------------------------------------------------------


def test_a_share_of_the_requests_is_hit_the_same_in_every_run() -> None:
    entry = OUTAGE | {"chance": 0.3}

    def run(seed: int, reuse: bool = True) -> list[int]:
        one = app(entry, seed=seed, reuse=reuse)
        users = [str(number % 50) for number in range(200)]
        return [asked(one, user=user).reply.status for user in users]

    assert run(1) == run(1) == run(1, reuse=False) != run(2)
    assert 40 <= run(1).count(503) <= 80


def test_what_is_drawn_does_not_depend_on_the_order_of_others() -> None:
    entry = OUTAGE | {"chance": 0.5}
    users = [str(number) for number in range(30)]
    forwards, backwards = app(entry), app(entry)

    found = {user: asked(forwards, user=user).reply.status for user in users}

    assert {user: asked(backwards, user=user).reply.status for user in reversed(users)} == found
    assert len({*found.values()}) == 2


def test_all_kinds_of_an_entry_happen_together() -> None:
    one = app({"chance": 0.5, "latency": {"ttft": 1}, "fault": {"pause": 2}})

    replies = [asked(one).reply for _ in range(64)]

    found = {(reply.pacing and reply.pacing.ttft, reply.before_head) for reply in replies}
    assert found == {(1.0, 2.0), (None, 0.0)}


def test_what_never_happens_costs_nothing_of_others() -> None:
    one = app(OUTAGE | {"chance": 0.0}, {"chance": 1, "latency": {"ttft": 1}})

    pacing = asked(one).reply.pacing
    assert pacing is not None
    assert pacing.ttft == 1.0
