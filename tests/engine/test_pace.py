"""Pacings of replies, and what they depend on."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest

from mockllm import Config
from mockllm.engine.added import compile_added
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.delivery_pace import refuse_for_pool
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.pace import Pace, pace_reply, with_tokens
from mockllm.engine.sources import entries_of
from mockllm.exchange import LazySteps, Pacing, PoolRule, Reply, Request
from mockllm.providers.failures import Failure
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, echo, told
from tests.support.served import chat_request, messages_request, responses_request

LATENCY = {"ttft": "1s", "itl": "10ms"}
TEXT = "one two three four five"
PATHS = {
    "/v1/chat/completions": (KEY, chat_request),
    "/v1/responses": (KEY, responses_request),
    "/v1/messages": (ANTHROPIC, messages_request),
}


def app(echoes: bool = False, **config: Any) -> LoneApp:
    engine = Engine(load(Config.from_dict(config)), echo=echo if echoes else None)
    return LoneApp(engine)


def asked(one: LoneApp, path: str = "/v1/chat/completions", **members: Any) -> Decision:
    headers, request = PATHS[path]
    return ask("POST", path, headers, request("Hello", **members), engine=one)


def pacing_of(decision: Decision) -> Pacing:
    assert decision.reply.pacing is not None
    assert decision.ready is None
    return decision.reply.pacing


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_has_the_latency_of_the_file(path: str, stream: bool) -> None:
    one = app(mocks=[{"reply": TEXT}], latency=LATENCY)

    decisions = [asked(one, path, stream=stream) for _ in range(3)]

    plain = asked(app(mocks=[{"reply": TEXT}]), path, stream=stream).reply
    for decision in decisions:
        assert pacing_of(decision) == Pacing(PoolRule("latency"), 1.0, 0.01)
        assert decision.reply.body == plain.body
        assert sum(step.tokens for step in decision.reply.steps) == 6


@pytest.mark.parametrize("path", PATHS)
def test_the_opening_of_a_stream_comes_with_its_first_text_except_what_services_send_before(
    path: str,
) -> None:
    reply = asked(app(mocks=[{"reply": TEXT}], latency=LATENCY), path, stream=True).reply

    steps = [*reply.steps]
    before = next(place for place, step in enumerate(steps) if step.tokens)
    assert before == {"/v1/responses": 2, "/v1/messages": 1}.get(path, 0)
    done = [*accumulate(step.tokens for step in steps)]
    texts = [place for place, step in enumerate(steps) if b"one" in step.data]
    assert done[texts[0]] == done[before]


def test_a_mock_has_its_own_latency() -> None:
    one = app(
        openai=[
            {"match": {"stream": True}, "reply": TEXT, "latency": "instant"},
            {"reply": TEXT, "latency": {"ttft": 5}},
        ],
        latency=LATENCY,
    )

    assert asked(one, stream=True).reply.pacing is None
    assert asked(one, stream=True).ready is not None
    assert pacing_of(asked(one)) == Pacing(PoolRule("openai[1]"), 5.0, 0.0)


def test_a_mock_of_every_api_has_one_pool() -> None:
    one = app(mocks=[{"name": "a", "reply": TEXT, "latency": {"ttft": 5}}])

    pools = {pacing_of(asked(one, path)).pool for path in PATHS}

    assert pools == {PoolRule("mocks[0] 'a'")}


def test_errors_have_their_own_latency_only() -> None:
    slow = {"match": {"stream": True}, "error": "overloaded", "latency": {"ttft": 5}}
    one = app(openai=[slow, {"error": "overloaded"}], latency=LATENCY)

    decision = asked(one, stream=True)

    assert pacing_of(decision).ttft == 5.0
    assert sum(step.tokens for step in decision.reply.steps) == 1
    assert decision.reply.status == 503
    assert asked(one).reply.pacing is None


def test_refusals_and_what_no_mock_matches_take_no_time() -> None:
    one = app(openai=[{"match": {"user": "x"}, "reply": TEXT}], latency=LATENCY)

    assert asked(one).match.outcome is Outcome.UNMATCHED
    assert asked(one).reply.pacing is None
    assert ask("POST", "/v1/chat/completions", KEY, {}, engine=one).reply.pacing is None
    assert ask("GET", "/v1/models", engine=one).reply.pacing is None


def test_an_echo_has_the_latency_of_the_file() -> None:
    decision = asked(app(echoes=True, latency=LATENCY), stream=True)

    assert pacing_of(decision).ttft == 1.0
    assert sum(step.tokens for step in decision.reply.steps) == 2


def test_embeddings_wait_for_one_token() -> None:
    one = app(openai_embeddings=[{"response": {"data": [{"embedding": [0.5]}]}}], latency=LATENCY)
    body = {"model": "m", "input": ["a", "b"]}

    decision = ask("POST", "/v1/embeddings", KEY, body, engine=one)

    assert pacing_of(decision).ttft == 1.0
    assert sum(step.tokens for step in decision.reply.steps) == 1


def test_generated_embeddings_have_the_latency_of_the_file() -> None:
    body = {"model": "m", "input": "a"}

    assert pacing_of(ask("POST", "/v1/embeddings", KEY, body, engine=app(latency=LATENCY)))


def test_each_token_of_the_prompt_adds_its_time() -> None:
    one = app(mocks=[{"reply": TEXT}], latency={"ttft": "1s", "ttft_per_token": "10ms"})

    for path in PATHS:
        decision = asked(one, path)
        usage = told(decision)["usage"]
        size = usage.get("prompt_tokens", usage.get("input_tokens"))
        assert pacing_of(decision).ttft == pytest.approx(1 + 0.01 * size)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 100}, 100),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60}}, 40),
        ({"input_tokens": 7}, 7),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}, 0),
        ({"prompt_tokens": "many"}, 6),
        (None, 6),
    ],
)
def test_tokens_of_the_prompt_are_those_of_the_usage_that_are_not_cached(
    usage: Any, counted: int
) -> None:
    pace = Pace(Pacing(PoolRule(), 0.0, 0.0), per_token=1.0)
    body = {"messages": [{"role": "user", "content": ""}]}
    reply = Reply.whole(200, (), b"a")

    paced = pace_reply(reply, pace, {"usage": usage}, body, lambda failure: reply)

    assert paced.pacing is not None
    assert paced.pacing.ttft == counted


def test_the_reply_to_a_full_pool_is_that_of_the_api() -> None:
    latency = {
        "ttft": 1,
        "concurrency": 1,
        "queue": 0,
        "full": {"as": "rate_limit", "message": "No"},
    }
    one = app(mocks=[{"reply": TEXT}], latency=latency)

    for path in PATHS:
        decision = asked(one, path)
        refused = refuse_for_pool(decision, pacing_of(decision))
        assert refused.reply.status == 429
        assert refused.ready is not None
        assert refused.match.outcome is Outcome.POOL_FULL
        assert told(refused)["error"]["message"] == "No"


def test_a_reply_without_a_body_takes_no_time() -> None:
    pace = Pace(Pacing(PoolRule(), 1.0, 0.0))
    reply = Reply(204, (), ())

    assert pace_reply(reply, pace, {}, {}, lambda failure: reply) is reply


def test_a_whole_reply_is_complete_with_its_last_token() -> None:
    whole = Reply.whole(200, (), b"a")
    lazy = Reply.lazy_whole(200, (), lambda: [b"a", b"b"])

    assert [step.tokens for step in with_tokens(whole, 5).steps] == [5]
    assert [step.tokens for step in with_tokens(whole, 0).steps] == [1]
    tokens = with_tokens(lazy, 5)
    assert isinstance(tokens.steps, LazySteps)
    assert [[step.tokens for step in tokens.steps] for _ in range(2)] == [[5, 0], [5, 0]]


def test_written_events_have_estimated_tokens() -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"content": "abcdefgh"}}]},
        {"choices": [{"index": 0, "delta": {"content": "abcdefgh"}}]},
        "[DONE]",
    ]
    mock = {"response": {"choices": []}, "stream": {"events": events}}
    paced = asked(app(openai=[mock], latency=LATENCY), stream=True).reply
    plain = asked(app(openai=[mock]), stream=True).reply

    assert paced.body == plain.body
    assert [step.tokens for step in paced.steps] == [2, 2, 0]


def test_jitter_is_drawn_for_each_delivery_of_a_cached_match() -> None:
    one = app(mocks=[{"reply": TEXT}], latency=LATENCY | {"jitter": 0.5}, seed=3)
    other = app(mocks=[{"reply": TEXT}], latency=LATENCY | {"jitter": 0.5}, seed=4)
    request = Request.of("POST", "/v1/chat/completions")

    def keys(which: LoneApp) -> list[int]:
        decisions = [asked(which, stream=True) for _ in range(4)]
        paces, seed = which.paces, which.engine.seed
        return [paces.pacing_of(request, each, seed).key for each in decisions]

    again = app(mocks=[{"reply": TEXT}], latency=LATENCY | {"jitter": 0.5}, seed=3)
    found = keys(one)
    assert len(set(found)) == 4
    assert found == keys(again)
    assert not set(found) & set(keys(other))


def test_without_jitter_nothing_is_drawn() -> None:
    one = app(mocks=[{"reply": TEXT}], latency=LATENCY)
    decision = asked(one)

    assert one.paces.pacing_of(Request.of("POST", "/"), decision, seed=0) is decision.reply.pacing


def test_a_failure_that_is_rendered_for_a_full_pool_is_that_of_the_latency() -> None:
    rendered: list[Failure] = []

    def render(failure: Failure) -> Reply:
        rendered.append(failure)
        return Reply.whole(503, (), b"")

    pace = Pace(Pacing(PoolRule("p", 1, 0), 1.0, 0.0), full=Failure("overloaded"))
    paced = pace_reply(Reply.whole(200, (), b"a"), pace, {}, {}, render)

    assert paced.pacing is not None
    assert paced.pacing.full == Reply.whole(503, (), b"")
    assert rendered == [Failure("overloaded")]


# --- Several answers ------------------------------------------------------------------------------


def test_each_entry_may_have_its_own_latency() -> None:
    one = app(
        openai=[
            {
                "reply": TEXT,
                "latency": {"ttft": 2},
                "first": [
                    {"reply": "a", "latency": {"ttft": 5}},
                    {"reply": "b"},
                    {"latency": {"ttft": 7}},
                    {"error": "overloaded"},
                    {"error": "overloaded", "latency": {"ttft": 9}},
                    {"reply": "c", "latency": "instant"},
                ],
            }
        ],
        latency=LATENCY,
    )

    paces = [asked(one).reply.pacing for _ in range(7)]

    assert [None if pacing is None else pacing.ttft for pacing in paces] == [
        *(5.0, 2.0, 7.0, None, 9.0, None),
        2.0,
    ]
    assert paces[0] is not None
    assert paces[0].pool.name == "openai[0]: first[0]"


def test_a_marked_retry_of_an_answer_that_was_meant_to_be_late_takes_the_next() -> None:
    one = app(openai=[{"sequence": [{"reply": "a", "latency": {"ttft": 5}}, "b"]}])
    headers = KEY | {"x-stainless-retry-count": "1"}

    first = asked(one)
    again = ask("POST", "/v1/chat/completions", headers, chat_request("Hello"), engine=one)

    assert first.reply.pacing is not None
    assert told(again)["choices"][0]["message"]["content"] == "b"


def test_the_latency_of_a_mock_with_an_error_is_that_of_the_error() -> None:
    one = app(openai=[{"error": "overloaded", "latency": {"ttft": 5}, "first": ["a"]}])

    assert [pacing_of(asked(one)).ttft for _ in range(2)] == [5.0, 5.0]


def test_a_fault_keeps_the_time_of_what_comes_before_it() -> None:
    fault = {"end": "cut", "after": {"tokens": 3}}
    one = app(mocks=[{"reply": TEXT, "fault": fault}], latency=LATENCY)

    for path in PATHS:
        streamed, whole = (asked(one, path, stream=stream) for stream in (True, False))
        assert pacing_of(streamed).ttft == 1.0
        assert sum(step.tokens for step in streamed.reply.steps) == 6
        assert pacing_of(whole).ttft == 1.0
        assert sum(step.tokens for step in whole.reply.steps) == 6


def test_a_mock_that_is_added_has_the_latency_of_the_file_or_its_own() -> None:
    pace = Pace(Pacing(PoolRule("latency"), 1.0, 0.01))

    for words, expected in (({}, 1.0), ({"latency": {"ttft": 5}}, 5.0)):
        added = compile_added({"reply": TEXT, **words}, 1, pace=pace)
        for compiled in added.by_api.values():
            (source,) = entries_of(compiled.source)
            assert source.fixed.pace is not None
            assert source.fixed.pace.pacing.ttft == expected
