"""What is counted of requests and answers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.config.models import Config
from mockllm.engine.decision import End, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.observers import metrics
from mockllm.observers.metric_cells import (
    API_WORDS,
    DURATION,
    INPUT,
    OUTPUT,
    RETRIES_AT,
    TOKEN_BOUNDS,
    TRUNCATED,
    TTFT,
)
from mockllm.observers.metric_sums import Requests, cumulative
from mockllm.observers.metrics import MAX_LABEL
from mockllm.observers.usage import MAX_TOKENS, AnswerUsage, read_complete_counts, read_counts
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.providers.counts import count
from tests.support.metered import CHAT, CONFIG, Metered, chat
from tests.support.observed import PATHS, request
from tests.support.served import chat_request, messages_request, responses_request


def rows_used(metered: Metered) -> int:
    return len([*metered.meter.part.rows()])


def test_a_request_is_counted_by_api_status_outcome_and_mock() -> None:
    metered = Metered()
    metered.count(chat("weather"))
    metered.count(chat("busy"))
    metered.count(chat("nothing matches"))
    metered.count(request(CHAT, b"{"))
    metered.count(request("/session/test-1/v1/messages", messages_request("weather")))
    metered.count(request("/health", b"", method="GET"))

    complete = End.COMPLETE
    assert metered.sums.requests == {
        Requests("chat", "200", Outcome.MOCK, "weather", complete, False): 1,
        Requests("chat", "503", Outcome.MOCK, "busy", complete, False): 1,
        Requests("chat", "404", Outcome.UNMATCHED, "", complete, False): 1,
        Requests("chat", "400", Outcome.REFUSED, "", complete, False): 1,
        Requests("messages", "200", Outcome.MOCK, "weather", complete, False): 1,
        Requests("", "200", Outcome.PROBE, "", complete, False): 1,
    }


def test_requests_that_differ_are_counted_as_each_alone() -> None:
    """Whatever is known of those before, also after a reload."""
    asked = [
        request(path, chat_request(text) | {"model": model, "stream": stream, "user": str(number)})
        for number in range(2)
        for path in (CHAT, "/session/test-1/v1/chat/completions")
        for text in ("weather", "busy", "cut", "nothing matches", "weather " * 10)
        for model in ("m", "n")
        for stream in (False, True)
    ]
    quick, plain = Metered(), Metered()
    for _ in range(2):
        for each in asked:
            quick.count(each)
            plain.meter._count_whole(each, plain.app.decide(each).match, 0.0005)
        for metered in (quick, plain):
            metered.app.use(Engine(load(Config.from_dict(CONFIG))))
            metered.app.engine.responder.needs_input = metered.meter.needs_input

    assert quick.sums.requests == plain.sums.requests
    assert quick.sums.groups == plain.sums.groups


MADE: list[dict[str, Any]] = [
    {"match": {"user": "words"}, "reply": {"generate": {"tokens": 9}}},
    {
        "match": {"user": "pattern"},
        "reply": {"text": {"template": "{{ user }}"}, "usage": {"input": 7}},
    },
    {"match": {"user": "fails"}, "reply": {"template": "{{ body.none.more }}"}},
    {"match": {"user": "turn"}, "sequence": [{"reply": "a"}, {"reply": "b"}]},
]
ANSWERED: dict[str, Any] = {
    "mocks": [
        {**mock, "match": {"user": {"contains": mock["match"]["user"]}}}
        for mock in CONFIG["mocks"] + MADE
    ],
    "openai": [
        {
            "match": {"user": {"contains": "counted"}},
            "response": {
                "choices": [{"message": {"content": "hi"}, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
            },
        }
    ],
}
TEXTS = (
    *("weather", "long", "say", "busy", "broken", "words", "pattern", "fails", "turn", "counted"),
    *("nothing matches", ""),
)
APIS_ASKED: dict[str, tuple[str, Callable[[str], dict[str, Any]], str]] = {
    "chat": (PATHS["chat"], chat_request, "max_tokens"),
    "responses": (PATHS["responses"], responses_request, "max_output_tokens"),
    "messages": (PATHS["messages"], messages_request, "max_tokens"),
    "embeddings": (PATHS["embeddings"], lambda text: {"input": text}, "dimensions"),
}


@st.composite
def several_requests(draw: st.DrawFn) -> list[Request]:
    """Requests of few kinds, so that those of a kind come again."""
    kinds = draw(
        st.lists(
            st.tuples(st.sampled_from(TEXTS), st.sampled_from([*APIS_ASKED])),
            min_size=1,
            max_size=2,
        )
    )
    asked: list[Request] = []
    for _ in range(draw(st.integers(1, 12))):
        text, word = draw(st.sampled_from(kinds))
        path, ask, limit = APIS_ASKED[word]
        prefix = draw(st.sampled_from(["", "", "", "/session/one"]))
        headers = draw(
            st.sampled_from([{}, {}, {"x-stainless-retry-count": "1"}, {"authorization": ""}])
        )
        body = ask(text and text + " word" * draw(st.integers(0, 9) | st.just(4_500)))
        body |= {"model": draw(st.sampled_from(["m", "m", "n"]))}
        body |= {"stream": draw(st.booleans()), limit: draw(st.sampled_from([2, 100]))}
        asked.append(request(prefix + path, body, headers))
    return asked


@settings(max_examples=100)
@given(
    asked=several_requests(),
    times=st.lists(st.sampled_from([0.0, 0.0003, 0.02]), min_size=12, max_size=12),
)
def test_any_requests_are_counted_as_each_alone(asked: list[Request], times: list[float]) -> None:
    quick, plain = Metered(ANSWERED), Metered(ANSWERED)
    for number, (each, seconds) in enumerate(zip(asked, times, strict=False)):
        if number == len(asked) // 2:
            quick.app.use(Engine(load(Config.from_dict(ANSWERED))))
            quick.app.engine.responder.needs_input = quick.meter.needs_input
        match = quick.app.decide(each).match
        quick.meter.count(each, match, seconds)
        plain.meter._count_whole(each, match, seconds)

    assert quick.sums.requests == plain.sums.requests
    assert quick.sums.groups == plain.sums.groups
    assert rows_used(plain) == 0
    assert quick.sums.scalars[RETRIES_AT:] == plain.sums.scalars[RETRIES_AT:]


def test_the_buckets_of_small_numbers_of_tokens_are_those_of_the_bounds() -> None:
    assert [*metrics._SMALL] == [bisect_left(TOKEN_BOUNDS, tokens) for tokens in range(5_001)]


USAGE_NAMES = ("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens")
CACHED_NAMES = ("cache_creation_input_tokens", "cache_read_input_tokens")
VALUES = st.sampled_from([0, 3, 5_001, MAX_TOKENS, MAX_TOKENS + 1, 2**53, -1, True, 1.5, "3", None])


@given(
    usage=st.none() | st.dictionaries(st.sampled_from(USAGE_NAMES + CACHED_NAMES), VALUES),
    ending=st.sampled_from(
        [
            {},
            {"choices": []},
            {"choices": [{"finish_reason": "stop"}]},
            {"choices": [{"finish_reason": "length"}]},
            {"stop_reason": "max_tokens"},
            {"stop_reason": "end_turn", "incomplete_details": None},
            {"incomplete_details": {"reason": "max_output_tokens"}},
        ]
    ),
)
def test_the_tokens_of_a_response_are_the_first_of_its_usage_that_are_numbers(
    usage: dict[str, Any] | None, ending: dict[str, Any]
) -> None:
    written = {name: count(value) for name, value in (usage or {}).items()}
    known = {name: value for name, value in written.items() if value is not None}
    prompt, output = (
        next((known[name] for name in names if name in known), None)
        for names in (USAGE_NAMES[:2], USAGE_NAMES[2:])
    )
    cached = 0 if prompt is None else sum(known.get(name, 0) for name in CACHED_NAMES)

    assert read_complete_counts({"usage": usage, **ending}) == AnswerUsage(
        min((prompt or 0) + cached, MAX_TOKENS),
        min(output or 0, MAX_TOKENS),
        prompt is not None,
        any(word in str(ending) for word in ("length", "max_tokens", "max_output_tokens")),
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seconds", [0.0002, 0.3])
def test_repeated_requests_count_as_different_ones(stream: bool, seconds: float) -> None:
    repeated, once = Metered(), Metered()
    repeated.count(chat("weather", stream=stream), seconds, times=10)
    for number in range(10):
        once.count(chat("weather", stream=stream, user=str(number)), seconds)

    assert rows_used(repeated) == rows_used(once) == 1
    assert repeated.sums.requests == once.sums.requests
    assert repeated.sums.groups == once.sums.groups


def test_prompts_of_many_lengths_are_counted_in_few_rows() -> None:
    quick, plain = Metered(), Metered()
    for number in range(200):
        each = chat("weather", instructions="many " * number)
        quick.count(each)
        plain.meter._count_whole(each, plain.app.decide(each).match, 0.0005)

    assert rows_used(quick) == 6  # of up to 10, 20, 50, 100, 200 and 500 tokens
    assert quick.sums.groups == plain.sums.groups
    assert quick.sums.requests == plain.sums.requests


@pytest.mark.parametrize("number", [3, 40])
def test_repeats_count_as_new_requests_do(number: int) -> None:
    repeated, new = Metered(), Metered()
    for length in range(number):
        for text in ("weather", "busy", "long", "nothing matches", "say"):
            each = chat(text, instructions="many " * length)
            match = repeated.app.decide(each).match
            row = repeated.meter.prepare(each, match)
            assert row is not None
            repeated.meter.count_again(row)
            new.count(each, 0.0)

    assert repeated.sums.requests == new.sums.requests
    assert repeated.sums.groups == new.sums.groups


def test_tokens_are_estimated_only_where_the_answer_does_not_say_them() -> None:
    metered = Metered()
    estimated = [
        metered.app.decide(chat(text)).match.summary for text in ("weather", "long", "say") * 2
    ]

    assert [each is not None and each.input_tokens > 0 for each in estimated] == [
        True,
        False,
        True,
    ] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("word", "asked"),
    [
        ("chat", chat_request("say")),
        ("responses", responses_request("say")),
        ("messages", messages_request("say")),
    ],
)
def test_the_tokens_of_an_answer_that_is_made_are_those_that_were_rendered(
    word: str, asked: dict[str, Any], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered = Metered()
    match = metered.app.decide(request(PATHS[word], asked | {"stream": stream})).match
    assert match.answer is not None
    assert match.summary is not None
    (api,) = (api for api in APIS if api.word == word)
    completed = read_counts(api, match.answer.response)

    def read_anew(api: API, response: object) -> AnswerUsage:
        raise AssertionError("the response is completed anew")

    monkeypatch.setattr(metrics, "read_counts", read_anew)

    assert completed.output > 0
    assert metered.meter.counts_of(match) == completed._replace(input=match.summary.input_tokens)


def test_names_that_clients_vary_are_not_kept_if_they_are_long() -> None:
    metered = Metered()
    for number in range(3):
        metered.count(request(CHAT, chat_request("weather") | {"model": f"{number}" * MAX_LABEL}))
        metered.count(request("/" + f"{number}" * MAX_LABEL, b"", method="GET"))

    assert sum(metered.sums.requests.values()) == 6
    assert not metered.meter._known
    assert not metered.meter._last


@pytest.mark.parametrize("times", [1, 3])
def test_tokens_are_those_of_usage(times: int) -> None:
    metered = Metered()
    metered.count(chat("long"), times=times)

    assert metered.cell(INPUT) == 70 * times
    assert metered.cell(OUTPUT) == 5 * times
    assert metered.cell(TRUNCATED) == times


@pytest.mark.parametrize("vary", [False, True])
def test_counts_of_tokens_that_no_answer_has_leave_room_for_more(*, vary: bool) -> None:
    prompt = {} if vary else {"prompt_tokens": 2**53 - 1}
    usage = {"completion_tokens": 2**53 - 1, **prompt}
    response = {"choices": [{"message": {"content": "hi"}}], "usage": usage}
    metered = Metered({"openai": [{"match": {}, "response": response}]})
    metered.count(chat("hello"), times=3_000)

    assert metered.cell(OUTPUT) == 3_000 * MAX_TOKENS


def test_cached_tokens_of_messages_are_input_too() -> None:
    metered = Metered()
    metered.count(request(PATHS["messages"], messages_request("long")))

    assert metered.cell(INPUT) == 70


def test_an_error_has_no_tokens_and_no_time() -> None:
    metered = Metered()
    metered.count(chat("busy"), times=3)

    assert metered.sums.groups == []


def test_streams_have_a_time_to_first_token() -> None:
    metered = Metered()
    metered.count(chat("weather"), 0.25)
    metered.count(chat("weather", stream=True), 0.25)

    (group,) = metered.sums.groups
    assert cumulative(TTFT, group.cells)[0][-1] == 1
    assert cumulative(DURATION, group.cells)[0][-1] == 2
    assert cumulative(DURATION, group.cells)[1] == 0.5


def test_retries_are_counted_also_of_known_requests() -> None:
    metered = Metered()
    for attempt in ("0", "1", "2", "many"):
        headers = {"x-stainless-retry-count": attempt}
        metered.count(request(CHAT, chat_request("weather"), headers), times=2)

    assert metered.sums.scalars[RETRIES_AT + API_WORDS.index("chat")] == 4


def test_models_beyond_the_first_64_are_others() -> None:
    metered = Metered()
    for number in range(70):
        metered.count(request(CHAT, {**chat_request("weather"), "model": f"m{number}"}))

    models = [group.model for group in metered.sums.groups]
    assert models == [*(f"m{number}" for number in range(64)), "other"]


def test_a_model_that_looks_like_a_credential_is_hidden() -> None:
    metered = Metered()
    metered.count(request(CHAT, {**chat_request("weather"), "model": "sk-proj-abcdefgh12345678"}))

    (group,) = metered.sums.groups
    assert "abcdefgh" not in group.model


def test_a_client_that_leaves_before_the_decision_is_counted() -> None:
    metered = Metered()
    asked = chat("weather")
    undecided = metered.app.decide(asked).match._replace(outcome=Outcome.UNDECIDED)
    metered.meter.count_ended(asked, undecided, 499, End.CLIENT_GONE, 0.1)

    (requests,) = metered.sums.requests
    assert (requests.status, requests.end) == ("499", End.CLIENT_GONE)
