"""Rate limits in the decisions of an engine: who is admitted, and what is said of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, Mock, RateLimit, Traffic
from mockllm.engine import limiting
from mockllm.engine.decision import Decision, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter, Sent
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.http1 import framing
from mockllm.state.operations import BeginSession, EndSession, Reset
from mockllm.state.sessions import COMMON
from mockllm.wire.placeholders import fill_fresh
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, header, told
from tests.support.goldens import FRESH

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
THREE = {"rate_limit": {"rpm": 3}}
ONE_TEXT = [{"reply": "one two three four five"}]


class Timed(LoneApp):
    """An app whose server has been running for `now` seconds."""

    now = 0.0
    speed = 1.0


def app(*entries: Any, reuse: bool = True, **config: Any) -> Timed:
    one = Timed(
        engine(*entries, reuse=reuse, **config),
        elapsed=lambda: one.now,
        limiter=Limiter(
            now=lambda: one.now,
            speed=lambda: one.speed,
            wall_clock=lambda: 1_740_429_471.5 + one.now / one.speed,
        ),
    )
    return one


def engine(*entries: Any, reuse: bool = True, **config: Any) -> Engine:
    written = {"mocks": ONE_TEXT, "traffic": entries} | config
    return Engine(load(Config.from_dict(written)), reuse=reuse, client_faults=True)


def asked(
    one: LoneApp,
    path: str = CHAT,
    *,
    user: str = "hi",
    model: str = "m",
    key: str | None = None,
    retry: int = 0,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Decision:
    body: dict[str, Any] = {"model": model}
    *_, api = path.rpartition("/v1")
    if f"/v1{api}" in (RESPONSES, EMBEDDINGS):
        body["input"] = user
    else:
        body |= {"messages": [{"role": "user", "content": user}], "max_tokens": 20}
    lines = (ANTHROPIC if api == "/messages" else KEY) | (headers or {})
    if key is not None:
        lines |= {"authorization": f"Bearer {key}"}
    if retry:
        lines |= {"x-stainless-retry-count": f"{retry}"}
    return ask("POST", path, lines, body | members, engine=one)


def statuses(*decisions: Decision) -> list[int]:
    return [decision.reply.status for decision in decisions]


def over(one: LoneApp, decision: Decision, share: float = 1.0) -> None:
    """End the delivery of a decision of which this share was sent."""
    assert decision.admission is not None
    one.end_admission(decision.admission, decision.match.answer, Sent(share))


def limits_of(decision: Decision) -> dict[str, str]:
    """The headers about limits, by the rest of their names."""
    return {
        name.decode().partition("ratelimit-")[2]: value.decode()
        for name, value in decision.reply.headers
        if b"ratelimit-" in name
    }


# --- admitted, refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS])
@pytest.mark.parametrize("reuse", [True, False])
def test_what_is_beyond_a_limit_is_refused_until_it_is_refilled(path: str, reuse: bool) -> None:
    one = app(THREE | {"name": "tier"}, reuse=reuse)

    assert statuses(*[asked(one, path) for _ in range(5)]) == [200] * 3 + [429] * 2
    one.now = 20.0
    again = [asked(one, path) for _ in range(2)]
    assert statuses(*again) == [200, 429]
    refused = again[1]
    assert refused.match.outcome is Outcome.LIMITED
    assert refused.match.rule is None
    assert refused.match.traffic == ("traffic[0] 'tier'",)
    assert refused.match.summary is not None
    assert refused.match.summary.model == "m"
    assert refused.ready is not None
    assert header(refused, "retry-after") == "20"


def test_the_match_cache_serves_requests_with_limits() -> None:
    one = app(THREE)
    for _ in range(5):
        asked(one)

    cache = one.engine.match_cache
    assert cache is not None
    assert cache.hits == 3  # the first two fill it


def test_requests_that_rarely_repeat_are_rarely_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockllm.bounded_cache.PATIENCE", 2)
    one = app({"rate_limit": {"rpm": 1000}})
    texts = [*map(str, range(20)), *["the same"] * 60]

    found = [asked(one, user=text) for text in texts]

    assert statuses(*found) == [200] * 80
    remaining = [limits_of(decision)["remaining-requests"] for decision in found]
    assert remaining == [f"{999 - number}" for number in range(80)]
    cache, exposures = one.engine.match_cache, one.engine._exposures
    assert cache is not None
    assert cache.hits > 10
    assert exposures.rest == 0


def test_requests_and_tokens_are_limited_together() -> None:
    one = app({"rate_limit": {"rpm": 100, "tpm": 60}})

    found = [asked(one) for _ in range(3)]  # of 1 + 1 + 1 tokens, and 20 of output

    assert statuses(*found) == [200, 200, 429]
    assert told(found[2])["error"]["type"] == "tokens"
    assert limits_of(found[1])["remaining-requests"] == "98"
    assert limits_of(found[1])["remaining-tokens"] == "14"


def test_a_request_above_the_whole_limit_is_never_admitted() -> None:
    one = app({"rate_limit": {"tpm": 10}})

    refused = asked(one, headers={"x-other": "1"})

    assert refused.reply.status == 429
    assert told(refused)["error"]["message"].startswith("Request too large for m in organization")
    assert header(refused, "retry-after") is None


def test_requests_that_nothing_limits_have_the_usual_headers() -> None:
    one = app({"match": {"model": "limited"}} | THREE)

    assert limits_of(asked(one))["limit-requests"] == "10000"
    assert limits_of(asked(one, model="limited"))["limit-requests"] == "3"
    assert limits_of(asked(one))["limit-requests"] == "10000"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_headers_are_in_ready_bytes_as_they_are_in_the_reply(path: str, stream: bool) -> None:
    one = app({"rate_limit": {"rpm": 5, "tpm": 9000, "itpm": 9000, "otpm": 9000}})
    for _ in range(4):
        decision = asked(one, path, stream=stream)

        assert decision.ready is not None
        framed = b"".join(frame.data for frame in framing.frames(decision.reply))
        assert decision.ready.finish(FRESH) == fill_fresh(framed, FRESH)
        assert decision.ready.finish(FRESH._replace(elapsed_ms=b"1")) != b""
    assert limits_of(decision)["requests-limit" if path == MESSAGES else "limit-requests"] == "5"


def test_the_headers_of_a_mock_come_before_those_of_limits() -> None:
    mocks = [{"reply": "hi", "headers": {"x-ratelimit-remaining-requests": "7"}}]
    decision = asked(app(THREE, mocks=mocks))

    assert limits_of(decision)["limit-requests"] == "3"
    assert limits_of(decision)["remaining-requests"] == "7"
    assert decision.ready is not None
    assert b"x-ratelimit-remaining-requests: 7\r\n" in decision.ready.finish(FRESH)


def test_openai_tells_resets_as_durations_and_anthropic_as_times() -> None:
    one = app({"rate_limit": {"rpm": 4}})

    assert limits_of(asked(one)) == {
        "limit-requests": "4",
        "limit-tokens": "30000000",
        "remaining-requests": "3",
        "remaining-tokens": "29999000",
        "reset-requests": "15s",
        "reset-tokens": "2ms",
    }
    found = limits_of(asked(one, MESSAGES))
    assert found["requests-limit"] == "4"
    assert found["requests-remaining"] == "2"
    assert found["requests-reset"] == "2025-02-24T20:38:21Z"
    assert found["input-tokens-limit"] == "4000000"


def test_a_refusal_of_anthropic_has_the_headers_and_names_the_limit() -> None:
    one = app({"rate_limit": {"rpm": 50, "otpm": 30}})
    asked(one, MESSAGES)

    refused = asked(one, MESSAGES)

    assert refused.reply.status == 429
    assert told(refused)["error"]["type"] == "rate_limit_error"
    assert "of 30 output tokens per minute" in told(refused)["error"]["message"]
    assert header(refused, "retry-after") == "20"  # (20 + 20 - 30) / 30 of a minute
    assert header(refused, "x-should-retry") == "true"
    found = limits_of(refused)
    assert (found["requests-limit"], found["requests-remaining"]) == ("50", "49")
    assert (found["output-tokens-limit"], found["output-tokens-remaining"]) == ("30", "10")
    assert found["input-tokens-limit"] == "4000000"


def test_a_refusal_of_openai_has_no_headers_about_limits() -> None:
    one = app({"rate_limit": {"rpm": 1}})
    asked(one)

    assert limits_of(asked(one)) == {}


# --- whose limit ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per", "admitted"),
    [
        (None, 8),
        (["key", "model"], 8),
        (["key"], 4),
        (["model"], 4),
        ([], 2),
        (["session"], 4),
        (["key", "model", "session"], 16),
    ],
)
def test_each_credential_model_or_session_has_a_limit_of_its_own(
    per: list[str] | None, admitted: int
) -> None:
    own = {} if per is None else {"per": per}
    one = app({"rate_limit": {"rpm": 2} | own})

    found = [
        asked(one, f"{session}{CHAT}", key=key, model=model)
        for session in ("", "/session/s")
        for key in ("sk-a", "sk-b")
        for model in ("m", "n")
        for _ in range(5)
    ]

    assert statuses(*found).count(200) == admitted


def test_a_key_is_the_same_in_whichever_header_it_comes() -> None:
    one = app({"rate_limit": {"rpm": 1}})
    first = asked(one, headers={"authorization": "", "api-key": "sk-a"})

    assert statuses(first, asked(one, key="sk-a")) == [200, 429]


@pytest.mark.parametrize(("path", "own"), [(CHAT, "a"), (MESSAGES, "b")])
def test_of_several_keys_that_in_the_vendors_own_header_is_limited(path: str, own: str) -> None:
    one = app({"rate_limit": {"rpm": 1}})
    keys = {"a": {"authorization": "Bearer sk-a"}, "b": {"x-api-key": "sk-b"}}
    other = asked(one, path, headers=keys["a"] | {"x-api-key": "sk-c"})
    both = asked(one, path, headers=keys["a"] | keys["b"])
    lone = asked(one, path, headers={"x-api-key": "", "authorization": ""} | keys[own])

    assert statuses(other, both, lone) == [200, 200 if own == "b" else 429, 429]


def test_all_apis_share_the_limit_of_an_entry() -> None:
    one = app(THREE)

    found = [asked(one, path) for path in (CHAT, RESPONSES, EMBEDDINGS, CHAT)]

    assert statuses(*found) == [200, 200, 200, 429]


def test_legacy_completions_have_the_limits_of_chat() -> None:
    one = app({"match": {"api": "chat"}, "rate_limit": {"rpm": 2, "tpm": 1000}})
    body = {"model": "m", "prompt": ["eight ch", "four"], "max_tokens": 100}

    found = [ask("POST", "/v1/completions", KEY, body, engine=one) for _ in range(2)]
    found.append(asked(one))

    assert statuses(*found) == [200, 200, 429]
    assert limits_of(found[0])["remaining-requests"] == "1"
    assert limits_of(found[0])["remaining-tokens"] == "794"


def test_no_credential_can_be_read_from_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    one = app({"rate_limit": {"rpm": 3, "concurrent": 3}})
    asked(one, key="sk-secret", model="x" * 1000)

    buckets, leases = one.own_store._buckets._buckets, one.own_store.leases
    names = repr([buckets.items(session) for session in buckets.groups()])
    names += repr([leases._pools.items(pool) for pool in leases._pools.groups()])
    names += repr(leases._pools.groups())

    assert "sk-secret" not in names
    assert "x" * (limiting.MAX_SHOWN_MODEL + 1) not in names
    assert "credential-" in names


# --- with everything else -------------------------------------------------------------------------


def test_a_limited_request_does_not_advance_a_sequence() -> None:
    one = app({"rate_limit": {"rpm": 1}}, mocks=[{"sequence": ["one", "two", "three"]}])

    found = []
    for second in (0, 1, 60, 61, 120):
        one.now = float(second)
        found.append(asked(one))

    assert statuses(*found) == [200, 429, 200, 429, 200]
    texts = [told(found[place])["choices"][0]["message"]["content"] for place in (0, 2, 4)]
    assert texts == ["one", "two", "three"]


def test_a_limited_attempt_leaves_nothing_for_its_retry_to_repeat() -> None:
    one = app({"rate_limit": {"rpm": 1}}, mocks=[{"sequence": ["one", "two", "three"]}])
    asked(one)
    refused = asked(one)
    one.now = 60.0

    retried = asked(one, retry=1)

    assert statuses(refused, retried) == [429, 200]
    assert told(retried)["choices"][0]["message"]["content"] == "two"
    one.now = 120.0
    repeated = asked(one, retry=2)
    assert told(repeated)["choices"][0]["message"]["content"] == "two"


PARTS = "/v1/completions"


@pytest.mark.parametrize(
    "hit",
    [{"rate_limit": {"rpm": 1}}, {"name": "hit", "error": "overloaded", "from": 30, "to": 50}],
)
@pytest.mark.parametrize("hits", [1, 3])
def test_marked_retries_that_are_hit_leave_what_parts_took_before(
    hit: dict[str, Any], hits: int
) -> None:
    mocks = [{"match": {"user": "a"}, "sequence": ["a1", "a2", "a3"]}, {"sequence": ["b1", "b2"]}]
    one = app(hit, mocks=mocks)

    def texts(retry: int = 0) -> list[str] | int:
        decision = asked(one, PARTS, retry=retry, prompt=["a", "b", "a"], max_tokens=1)
        if decision.reply.status != 200:
            return decision.reply.status
        return [choice["text"] for choice in told(decision)["choices"]]

    assert texts() == ["a1", "b1", "a1"]
    one.now = 40.0
    assert all(texts(retry) in (429, 503) for retry in range(1, hits + 1))
    one.now = 100.0
    assert texts(hits + 1) == ["a1", "b1", "a1"]
    one.now = 200.0
    assert texts() == ["a2", "b2", "a2"]


@pytest.mark.parametrize(
    "hit",
    [{"rate_limit": {"rpm": 1}}, {"name": "hit", "error": "overloaded", "from": 30, "to": 50}],
)
def test_the_retry_of_parts_whose_first_attempt_was_hit_repeats_no_other_request(
    hit: dict[str, Any],
) -> None:
    one = app(hit, mocks=[{"sequence": ["one", "two", "three"]}])

    def texts(retry: int = 0) -> list[str] | int:
        decision = asked(one, PARTS, retry=retry, prompt=["hi", "ho"], max_tokens=1)
        if decision.reply.status != 200:
            return decision.reply.status
        return [choice["text"] for choice in told(decision)["choices"]]

    assert texts() == ["one", "one"]
    one.now = 40.0
    assert texts() in (429, 503)
    one.now = 100.0
    assert texts(retry=1) == ["two", "two"]
    one.now = 200.0
    assert texts(retry=2) == ["two", "two"]


@pytest.mark.parametrize("inputs", ["hi", ["hi", "ho"]])
def test_a_hit_of_a_marked_retry_leaves_what_inputs_took_before(inputs: str | list[str]) -> None:
    entries = [{"response": {"data": [{"embedding": [float(n)]}]}} for n in range(3)]
    mocks = [{"match": {}, "sequence": entries}]
    one = app({"rate_limit": {"rpm": 1}}, openai_embeddings=mocks)

    def value(retry: int = 0) -> float | int:
        decision = asked(one, EMBEDDINGS, retry=retry, input=inputs)
        if decision.reply.status != 200:
            return decision.reply.status
        (found,) = {each["embedding"][0] for each in told(decision)["data"]}
        return float(found)

    assert [value(), value(retry=1)] == [0.0, 429]
    one.now = 60.0
    assert value(retry=2) == 0.0
    one.now = 120.0
    assert [value(), value()] == [1.0, 429]
    one.now = 180.0
    assert value(retry=1) == 2.0


def test_a_large_limited_attempt_leaves_nothing_to_repeat_either() -> None:
    one = app({"rate_limit": {"rpm": 1}}, mocks=[{"sequence": ["one", "two", "three"]}])
    large = "x" * 2_000_000  # matched in pieces
    found = [asked(one, user=large), asked(one, user=large)]
    one.now = 60.0
    found.append(asked(one, user=large, retry=1))

    assert statuses(*found) == [200, 429, 200]
    assert told(found[2])["choices"][0]["message"]["content"] == "two"


def test_an_error_of_traffic_comes_first_and_costs_nothing() -> None:
    outage = {"to": "10s", "error": "overloaded"}
    one = app(outage, {"rate_limit": {"rpm": 1}})
    found = [asked(one) for _ in range(3)]
    one.now = 11.0

    found += [asked(one), asked(one)]

    assert statuses(*found) == [503, 503, 503, 200, 429]


def test_an_error_that_the_client_asks_for_costs_nothing() -> None:
    one = app({"rate_limit": {"rpm": 1}})
    wished = asked(one, headers={"x-mockllm-error": "overloaded"})

    assert statuses(wished, asked(one)) == [503, 200]


def test_an_invalid_request_costs_nothing() -> None:
    one = app({"rate_limit": {"rpm": 1}})

    assert statuses(asked(one, messages=[]), asked(one)) == [400, 200]


def test_an_unmatched_request_is_counted_and_a_limited_one_is_not_unmatched() -> None:
    one = app({"rate_limit": {"rpm": 1}}, mocks=[{"match": {"user": "known"}, "reply": "hi"}])

    found = [asked(one), asked(one)]

    assert statuses(*found) == [404, 429]
    assert [each.match.outcome for each in found] == [Outcome.UNMATCHED, Outcome.LIMITED]


def test_the_error_of_a_mock_is_counted() -> None:
    one = app({"rate_limit": {"rpm": 1}}, mocks=[{"error": "overloaded"}])

    found = [asked(one), asked(one)]

    assert statuses(*found) == [503, 429]
    assert limits_of(found[0]) == {}


def test_the_first_entry_that_holds_limits() -> None:
    strict = {"name": "strict", "from": "1m", "to": "2m", "rate_limit": {"rpm": 1}}
    one = app(strict, {"rate_limit": {"rpm": 4}})

    found = []
    for second in (0, 61, 62, 121):
        one.now = float(second)
        found.append(asked(one))

    assert statuses(*found) == [200, 200, 429, 200]
    assert [limits_of(found[place])["limit-requests"] for place in (0, 1, 3)] == ["4", "1", "4"]


def test_an_entry_without_a_limit_of_the_vendor_leaves_it_to_the_next() -> None:
    one = app({"rate_limit": {"tpm": 1000}}, {"rate_limit": {"rpm": 1, "itpm": 900}})

    found = [asked(one, MESSAGES) for _ in range(2)]

    assert statuses(*found) == [200, 429]
    assert statuses(*[asked(one) for _ in range(2)]) == [200, 200]


def test_a_latency_and_a_fault_are_those_of_admitted_requests() -> None:
    one = app({"latency": {"ttft": 1}, "fault": {"pause": 3}, "rate_limit": {"rpm": 1}})

    admitted, refused = asked(one), asked(one)

    assert admitted.reply.pacing is not None
    assert admitted.reply.before_head == 3.0
    assert limits_of(admitted)["limit-requests"] == "1"
    assert refused.reply.pacing is None
    assert refused.reply.before_head == 0.0


def test_a_share_of_the_requests_may_be_limited() -> None:
    one = app({"chance": 0.5, "rate_limit": {"rpm": 1}}, seed=7)

    found = [asked(one, user=f"hi {number}") for number in range(40)]

    assert 5 < statuses(*found).count(200) < 35


def test_a_function_is_not_called_for_a_limited_request() -> None:
    calls: list[str] = []

    def reply(prompt: Any) -> str:
        calls.append(prompt.user)
        return "made"

    limit = Traffic(rate_limit=RateLimit(rpm=1, concurrent=1))
    config = Config(mocks=[Mock(reply=reply)], traffic=[limit])
    one = LoneApp(Engine(load(config)))
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    request = Request.of("POST", CHAT, ((b"authorization", b"Bearer a"),), body)

    first = super(LoneApp, one).decide(request)
    second = super(LoneApp, one).decide(request)

    assert isinstance(first, Question)
    assert first.admission is not None
    assert isinstance(second, Decision)
    assert second.reply.status == 429
    assert calls == []


# --- settled --------------------------------------------------------------------------------------


def test_output_is_charged_first_and_settled_at_the_end() -> None:
    one = app({"rate_limit": {"otpm": 40}})
    first, second = asked(one, MESSAGES), asked(one, MESSAGES)
    assert limits_of(second)["output-tokens-remaining"] == "0"
    assert asked(one, MESSAGES).reply.status == 429

    over(one, first)
    over(one, second, share=0.5)
    over(one, second)  # without effect

    words = told(first)["usage"]["output_tokens"]
    left = 40 - words - -(-words // 2)
    assert limits_of(asked(one, MESSAGES))["output-tokens-remaining"] == f"{left - 20}"


def test_what_was_read_from_the_cache_is_given_back() -> None:
    usage = {"input": 5, "output": 1, "cached": 4}
    one = app({"rate_limit": {"itpm": 100}}, mocks=[{"reply": {"text": "hi", "usage": usage}}])
    first = asked(one, MESSAGES)
    charged = 100 - int(limits_of(first)["input-tokens-remaining"])
    over(one, first)

    remaining = int(limits_of(asked(one, MESSAGES))["input-tokens-remaining"])

    assert remaining == 100 - told(first)["usage"]["input_tokens"] - charged


def test_each_answer_of_a_mock_is_settled_at_its_own_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "MAX_USAGES", 2)
    replies = [{"text": "hi", "usage": {"output": number}} for number in (1, 2, 3, 4)]
    entries = [{"reply": reply, "times": 2} for reply in replies]
    one = app({"rate_limit": {"otpm": 999}}, mocks=[{"sequence": entries}])
    used = 0
    for number in (1, 1, 2, 2, 3, 3, 4, 4):
        decision = asked(one, MESSAGES)
        assert limits_of(decision)["output-tokens-remaining"] == f"{999 - used - 20}"
        over(one, decision)
        used += number


def test_an_error_has_no_output() -> None:
    one = app({"rate_limit": {"otpm": 40}}, mocks=[{"error": "overloaded"}])
    for _ in range(4):
        decision = asked(one, MESSAGES)
        assert decision.reply.status == 529
        over(one, decision)


def test_openai_settles_nothing() -> None:
    one = app({"rate_limit": {"tpm": 60}})
    admitted = [asked(one) for _ in range(2)]

    assert [each.admission for each in admitted] == [None, None]
    assert asked(one).reply.status == 429


# --- concurrent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_place_is_taken_until_the_end_of_the_delivery(path: str) -> None:
    one = app({"rate_limit": {"rpm": 100, "concurrent": 2}})
    first, second, refused = (asked(one, path) for _ in range(3))

    assert statuses(first, second, refused) == [200, 200, 429]
    over(one, first)
    third, also_refused = asked(one, path), asked(one, path)
    assert statuses(third, also_refused) == [200, 429]
    if path == MESSAGES:
        assert "Number of concurrent connections" in told(refused)["error"]["message"]
        # what was refused was not charged
        assert limits_of(also_refused)["requests-remaining"] == "97"
    else:
        assert "on concurrent requests: Limit 2, Used 2" in told(refused)["error"]["message"]


def test_a_refused_request_takes_no_place() -> None:
    one = app({"rate_limit": {"rpm": 1, "concurrent": 2}})
    asked(one)

    assert [asked(one).reply.status for _ in range(3)] == [429] * 3
    assert len(one.own_store.leases) == 1


def test_a_place_is_given_back_if_a_decision_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    one = app({"rate_limit": {"concurrent": 1}}, mocks=[{"sequence": ["one"] * 9}])
    monkeypatch.setattr(one.engine.renderer, "reply_to", _fail)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            asked(one)

    assert len(one.own_store.leases) == 0


def _fail(*args: Any) -> Any:
    raise ZeroDivisionError


def test_what_is_exhausted_is_counted_and_takes_no_place() -> None:
    one = app({"rate_limit": {"rpm": 9, "concurrent": 1}}, mocks=[{"sequence": ["one"]}])
    over(one, asked(one))
    exhausted = asked(one)
    over(one, exhausted)

    assert exhausted.reply.status == 404
    assert told(exhausted)["error"]["code"] == "mock_exhausted"
    assert len(one.own_store.leases) == 0


# --- time, reload, reset --------------------------------------------------------------------------


def test_the_speed_shortens_windows_and_what_headers_say() -> None:
    one = app({"rate_limit": {"rpm": 3}})
    one.speed = 10.0

    found = [asked(one) for _ in range(4)]

    assert limits_of(found[0])["reset-requests"] == "2s"
    assert header(found[3], "retry-after") == "2"
    one.now = 20.0  # two real seconds
    assert asked(one).reply.status == 200
    one.speed = 100.0
    refused = asked(one)
    assert header(refused, "retry-after-ms") == "200"
    assert header(refused, "retry-after") == "1"


def test_a_reload_keeps_what_is_used() -> None:
    one = app({"name": "a", "rate_limit": {"rpm": 2}}, {"match": {"model": "x"}} | THREE)
    asked(one)
    asked(one, model="y")

    one.use(engine({"match": {"model": "x"}} | THREE, {"name": "a", "rate_limit": {"rpm": 3}}))

    found = [asked(one) for _ in range(3)]
    assert statuses(*found) == [200, 200, 429]
    assert limits_of(found[0])["remaining-requests"] == "1"


def test_an_answer_that_began_before_a_reload_ends_after_it() -> None:
    one = app({"name": "a", "rate_limit": {"concurrent": 1}})
    first = asked(one)
    one.use(engine({"name": "a", "rate_limit": {"concurrent": 1}}))
    assert asked(one).reply.status == 429

    over(one, first)

    assert asked(one).reply.status == 200


def test_a_reset_fills_the_buckets() -> None:
    one = app({"rate_limit": {"rpm": 1}})
    asked(one)
    one.perform(Reset())

    assert statuses(asked(one), asked(one)) == [200, 429]


def test_the_limits_of_a_session_end_with_it() -> None:
    one = app({"rate_limit": {"rpm": 1, "per": ["session"]}})
    one.perform(BeginSession("s"))
    path = f"/session/s{CHAT}"
    assert statuses(asked(one, path), asked(one, path), asked(one)) == [200, 429, 200]

    one.perform(EndSession("s"))
    assert asked(one, path).reply.status == 404  # is not charged
    one.perform(BeginSession("s"))

    assert statuses(asked(one, path), asked(one)) == [200, 429]
    assert asked(one).session == COMMON


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"match": {"api": "messages"}, "rate_limit": {"rpm": 5, "tpm": 5}},
            (
                "traffic[0]: rate_limit.tpm: no limit of messages, for whose requests this "
                "entry is: write 'rpm', 'itpm', 'otpm'"
            ),
        ),
        (
            {"match": {"api": ["chat", "responses"]}, "rate_limit": {"otpm": 5}},
            (
                "traffic[0]: rate_limit.otpm: no limit of chat, responses, for whose requests this "
                "entry is: write 'rpm', 'rpd', 'tpm', 'tpd'"
            ),
        ),
    ],
)
def test_limits_that_the_vendor_does_not_have_are_mistakes(entry: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict({"traffic": [entry]}))

    assert [str(problem) for problem in caught.value.problems] == [expected]


def test_an_entry_for_several_apis_may_have_the_limits_of_each() -> None:
    words = {"rpm": 1, "rpd": 1, "tpm": 1, "tpd": 1, "itpm": 1, "otpm": 1}

    assert load(Config.from_dict({"traffic": [{"rate_limit": words}]})).warnings == ()


def test_a_limit_of_another_vendor_hides_nothing() -> None:
    messages = {"match": {"api": "messages"}, "rate_limit": {"itpm": 5}}
    loaded = load(Config.from_dict({"traffic": [{"rate_limit": {"tpm": 5}}, messages]}))

    assert [str(problem) for problem in loaded.warnings] == []
    hidden = load(Config.from_dict({"traffic": [{"rate_limit": {"itpm": 5}}, messages]}))
    (warning,) = hidden.warnings
    assert "traffic[1]: rate_limit: never happens" in str(warning)
