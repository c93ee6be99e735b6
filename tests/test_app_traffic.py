"""Traffic and what else there is: sequences, retries, sessions, reloads, added mocks, answers that
are made, large requests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.app import App
from mockllm.engine.added import compile_added
from mockllm.engine.decision import Called, CallFunction, Decision, DividedWork, Outcome, Question
from mockllm.engine.delivery_pace import refuse_for_pool
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import COMPLETE, EndingKind, LazySteps, Request
from mockllm.pieces import finish
from mockllm.state.attempts import RETRY_COUNT
from mockllm.state.operations import BeginSession, EndSession
from tests.support.apps import LoneApp
from tests.support.goldens import delivered

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
OUTAGE = {"name": "outage", "error": "overloaded"}
SCRIPT = {"name": "script", "sequence": ["one", "two", "three"]}
KEY = (b"authorization", b"Bearer any")
SESSION = b"x-mockllm-session"
TEN = "one two three four five six seven eight nine ten"


class Timed(LoneApp):
    """An app whose server has been running for `now` seconds."""

    now = 0.0


def built(*traffic: Any, quick_retries: bool = False, **config: Any) -> Engine:
    loaded = load(Config.from_dict({"traffic": traffic} | config))
    return Engine(loaded, client_faults=True, quick_retries=quick_retries)


def app(*traffic: Any, **config: Any) -> Timed:
    one = Timed(built(*traffic, **config), elapsed=lambda: one.now)
    return one


def asked(
    one: LoneApp,
    user: str = "hi",
    *headers: tuple[bytes, bytes],
    retry: int = 0,
    path: str = CHAT,
    **members: Any,
) -> Decision:
    body: dict[str, Any] = {"model": "m"} | members
    if path == CHAT:
        body["messages"] = [{"role": "user", "content": user}]
    else:
        body["input"] = user
    lines = (KEY, *headers, (RETRY_COUNT, b"%d" % retry))
    return one.decide(Request.of("POST", path, lines, orjson.dumps(body)))


def text(decision: Decision) -> str:
    """What a chat answer says, or the status of an error."""
    if decision.reply.status != 200:
        return str(decision.reply.status)
    said: str = orjson.loads(delivered(decision.reply))["choices"][0]["message"]["content"]
    return said


# --- sequences and retries ------------------------------------------------------------------------


def test_the_retry_of_a_hit_finds_the_script_where_it_stood() -> None:
    one = app(OUTAGE, mocks=[SCRIPT])

    hits = [text(asked(one, retry=retry)) for retry in range(2)]
    one.traffic.stop("outage")

    assert hits == ["503", "503"]
    assert [text(asked(one, retry=2)), text(asked(one)), text(asked(one))] == [
        "one",
        "two",
        "three",
    ]


def test_a_hit_leaves_nothing_to_repeat() -> None:
    one = app(OUTAGE, mocks=[SCRIPT])
    one.traffic.stop("outage")
    assert [text(asked(one)), text(asked(one, retry=1))] == ["one", "one"]

    one.traffic.reset("outage")
    assert text(asked(one, retry=2)) == "503"
    one.traffic.stop("outage")

    assert text(asked(one, retry=3)) == "two"


def test_a_first_entry_is_not_used_up_by_a_hit() -> None:
    first = {"reply": "ok", "first": [{"error": "rate_limit", "times": 2}]}
    one = app(OUTAGE | {"to": 10}, mocks=[first])

    found = [text(asked(one, retry=retry)) for retry in range(3)]
    one.now = 10
    found += [text(asked(one, retry=retry)) for retry in (3, 4, 5)]

    assert found == ["503", "503", "503", "429", "429", "ok"]


def test_an_entry_has_the_latency_and_the_fault_of_traffic_unless_its_own() -> None:
    own = {"reply": "own", "latency": {"ttft": 9}, "fault": {"pause": 9}}
    one = app({"latency": {"ttft": 1}, "fault": {"pause": 2}}, mocks=[{"sequence": ["plain", own]}])

    replies = [asked(one).reply for _ in range(2)]

    assert [reply.pacing and reply.pacing.ttft for reply in replies] == [1.0, 9.0]
    assert [reply.before_head for reply in replies] == [2.0, 9.0]


def test_a_mock_that_is_exhausted_is_told_without_trouble() -> None:
    one = app({"fault": {"end": "reset"}}, mocks=[{"sequence": ["one"]}])

    assert asked(one).reply.ending.kind is EndingKind.RESET
    found = asked(one)
    assert (found.reply.status, found.reply.ending) == (404, COMPLETE)
    assert b"mock_exhausted" in found.reply.body


def test_a_mock_that_is_not_met_has_no_state_that_a_hit_could_take() -> None:
    one = app(OUTAGE | {"to": 1}, mocks=[SCRIPT])

    asked(one)
    assert one.own_store.answered("script") == 0


@pytest.mark.parametrize("count", [2, 100])
def test_inputs_of_a_script_find_it_where_it_stood(count: int) -> None:
    vectors = [{"data": [{"embedding": [number]}]} for number in range(3)]
    mock = {"sequence": [{"response": each} for each in vectors]}
    one = app(OUTAGE | {"to": 10}, openai_embeddings=[mock])
    request = Request.of(
        "POST", EMBEDDINGS, (KEY,), orjson.dumps({"model": "m", "input": ["a"] * count})
    )

    assert one.decide(request).reply.status == 503
    one.now = 10
    data = orjson.loads(delivered(one.decide(request).reply))["data"]

    assert len(data) == count
    assert {tuple(each["embedding"]) for each in data} == {(0.0,)}


# --- sessions -------------------------------------------------------------------------------------


def test_sessions_share_the_times_of_traffic_and_draw_alone() -> None:
    one = app(OUTAGE | {"chance": 0.5}, mocks=[{"reply": "ok"}])
    names = [b"a", b"b", b"c"]
    found = {
        name: tuple(asked(one, str(number), (SESSION, name)).reply.status for number in range(40))
        for name in names
    }

    assert len(set(found.values())) == 3
    assert all(set(each) == {200, 503} for each in found.values())
    one.traffic.stop("outage")
    assert [asked(one, "1", (SESSION, name)).reply.status for name in names] == [200] * 3


def test_the_session_of_a_hit_is_noted_and_one_that_has_ended_is_refused() -> None:
    one = app(OUTAGE, mocks=[SCRIPT])
    one.perform(BeginSession("a"))

    assert asked(one, "hi", (SESSION, b"a")).session == "a"
    one.perform(EndSession("a"))

    found = asked(one, "hi", (SESSION, b"a"))
    assert (found.reply.status, found.match.outcome) == (404, Outcome.SESSION_ENDED)


# --- reloads and added mocks ----------------------------------------------------------------------


def test_a_reload_keeps_what_was_started_and_changes_what_is_written() -> None:
    one = app(OUTAGE | {"from": 10, "to": 20}, mocks=[SCRIPT])
    one.traffic.start("outage", 100)
    one.now = 115
    assert text(asked(one)) == "503"

    one.use(built(OUTAGE | {"from": 10, "to": 20, "error": "rate_limit"}, mocks=[SCRIPT]))
    assert text(asked(one)) == "429"
    one.use(built({"latency": "instant"}, mocks=[SCRIPT]))
    assert text(asked(one)) == "one"
    one.use(built(OUTAGE | {"from": 10, "to": 20}, mocks=[SCRIPT]))  # which begins anew

    assert text(asked(one)) == "two"
    one.now = 15
    assert text(asked(one)) == "503"


def test_what_is_added_meets_the_same_traffic() -> None:
    one = app(OUTAGE | {"to": 10}, {"fault": {"pause": 1}}, mocks=[{"reply": "old"}])
    one.add(compile_added({"user": "hi", "reply": "new"}, 0), None)

    assert text(asked(one)) == "503"
    one.now = 10
    found = asked(one)
    assert (text(found), found.reply.before_head) == ("new", 1.0)


# --- answers that are made ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        {"template": "{% for each in range(5) %}{{ user }} {% endfor %}"},
        {"generate": {"tokens": 10}},
        {"generate": {"tokens": 5_000}},
        lambda prompt: TEN,
        lambda prompt: {"template": TEN},
    ],
    ids=["template", "generated", "long", "function", "function of a template"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_made_answer_has_the_effects(reply: Any, stream: bool) -> None:
    entry = {"latency": {"ttft": 1, "itl": 1}, "fault": {"end": "cut", "after": {"tokens": 3}}}
    one = app(entry, mocks=[{"reply": reply}])

    for _ in range(3):
        found = asked_with_functions(one, stream=stream)
        assert found.reply.pacing is not None
        assert found.reply.pacing.ttft == 1.0
        assert found.reply.ending.kind is EndingKind.CUT
        assert found.match.traffic == ("traffic[0]",)


def asked_with_functions(one: LoneApp, **members: Any) -> Decision:
    """Ask an app, whose functions are called here."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | members
    decided: Decision | Question = App.decide(
        one, Request.of("POST", CHAT, (KEY,), orjson.dumps(body))
    )
    while isinstance(decided, Question):
        work = decided.operations[0]
        if isinstance(work, CallFunction):
            decided = decided.resume([Called(work.function(work.prompt))])
        else:
            assert isinstance(work, DividedWork)
            decided = decided.resume([finish(work.pieces)])
    return decided


def test_a_long_stream_is_made_while_it_is_sent_unless_it_is_broken() -> None:
    long = {"reply": {"generate": {"tokens": 5_000}}}
    slow = app({"latency": {"ttft": 1}}, mocks=[long])
    broken = app({"fault": {"end": "cut", "after": "before_finish"}}, mocks=[long])

    assert isinstance(asked(slow, stream=True).reply.steps, LazySteps)
    assert isinstance(asked(broken, stream=True).reply.steps, tuple)


# --- large requests, retries at once, places that are not there -----------------------------------


@pytest.mark.parametrize("size", [2_000, 2_000_000])
def test_a_large_request_has_the_effects_too(size: int) -> None:
    user = "word " * (size // 5)
    one = app(OUTAGE | {"to": 10}, {"fault": {"pause": 1}, "match": {"turn": 1}}, mocks=[SCRIPT])

    assert text(asked(one, user)) == "503"
    one.now = 10
    found = asked(one, user)
    assert (text(found), found.reply.before_head) == ("one", 1.0)


def test_clients_of_tests_retry_a_hit_at_once() -> None:
    one = LoneApp(built(OUTAGE, quick_retries=True, mocks=[SCRIPT]))

    assert dict(asked(one).reply.headers)[b"retry-after-ms"] == b"1"


def test_a_place_that_an_answer_does_not_have_is_told_with_the_entry() -> None:
    cut = {"name": "cut", "fault": {"end": "cut", "after": {"tokens": 50}}}
    one = app(cut, mocks=[{"match": {"user": "error"}, "error": "rate_limit"}, {"reply": "short"}])

    found = asked(one)

    assert (found.reply.status, found.match.outcome) == (500, Outcome.FAILED)
    assert b"traffic[0] 'cut': fault: " in found.reply.body
    assert found.match.trouble is not None
    assert found.match.trouble.place == "traffic[0] 'cut': fault"
    assert asked(one, "error").reply.status == 429  # an error has no tokens: it is not meant


def test_a_full_pool_of_traffic_refuses_with_its_error() -> None:
    latency = {"ttft": 1, "concurrency": 1, "queue": 0, "full": {"status": 502}}
    one = app({"latency": latency}, mocks=[{"reply": "ok"}])

    found = asked(one)
    pacing = one.paces.pacing_of(Request.of("POST", CHAT), found, seed=0)
    refused = refuse_for_pool(found, pacing)

    assert (refused.reply.status, refused.match.outcome) == (502, Outcome.POOL_FULL)
    assert [pool.concurrency for pool in one.engine.pools] == [1]


def test_conditions_that_look_back_see_what_a_request_continues() -> None:
    one = app({"match": {"turn": 2}, **OUTAGE}, mocks=[{"reply": "ok"}])
    body = {"model": "m", "input": "hi", "previous_response_id": "resp_unknown"}

    for _ in range(3):  # a chain that is not known here is no turn
        request = Request.of("POST", RESPONSES, (KEY,), orjson.dumps(body))
        assert one.decide(request).reply.status == 200


def test_two_kinds_of_chance_are_drawn_apart() -> None:
    pauses = [{"pause": 1, "chance": 0.5}, {"pause": 2, "chance": 0.5}]
    one = app({"chance": 0.5, "fault": pauses}, mocks=[{"reply": "ok"}])

    found = Counter(asked(one).reply.before_head for _ in range(400))

    assert {*found} == {0.0, 1.0, 2.0, 3.0}
    assert found[0.0] > 200


@pytest.mark.parametrize(("seed", "differs"), [(0, True), (7, False)])
def test_workers_draw_times_of_their_own_unless_there_is_a_seed(seed: int, differs: bool) -> None:
    config = {"seed": seed, "mocks": [{"reply": "hi", "latency": {"ttft": 1, "jitter": 0.5}}]}
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    request = Request.of("POST", CHAT, (KEY,), body)
    keys = []
    for slot in (0, 1, 1):
        app = LoneApp(Engine(load(Config.from_dict(config))))
        app.paces.slot = slot
        decision = app.decide(request)
        keys.append([app.paces.pacing_of(request, decision, seed).key for _ in range(3)])

    assert keys[1] == keys[2]
    assert (keys[0] != keys[1]) is differs
    assert len({*keys[0], *keys[1]}) == (6 if differs else 3)
