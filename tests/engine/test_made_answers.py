"""Answers that are made for each request, in every API: whole, streamed, by a mock with state."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, DividedWork, Outcome, Question
from mockllm.engine.loading import load
from mockllm.errors import MissingExtraError
from mockllm.exchange import PAUSE, LazySteps, Request
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.replies.generated import SLICE
from mockllm.wire import json_encoding, sse
from mockllm.wire.placeholders import fill_fresh
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, header, told
from tests.support.goldens import FRESH, delivered
from tests.support.neutral import Said, read
from tests.support.served import chat_request, events, messages_request, responses_request

REQUESTS: dict[str, Any] = {
    CHAT.name: chat_request,
    RESPONSES.name: responses_request,
    MESSAGES.name: messages_request,
}
LIMITS = {
    CHAT.name: "max_completion_tokens",
    RESPONSES.name: "max_output_tokens",
    MESSAGES.name: "max_tokens",
}
apis = pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES], ids=lambda api: api.name)


def serving(reply: Any, **others: Any) -> LoneApp:
    """An app that answers with `reply`; with one of the `others` to the word that is its name."""
    named = [{"match": {"user": word}, "reply": other} for word, other in others.items()]
    return LoneApp(build_engine({"mocks": [*named, {"reply": reply}]}))


def decide(app: LoneApp, api: API, text: str = "Hi", **members: Any) -> Decision:
    headers = ANTHROPIC if api is MESSAGES else KEY
    body = REQUESTS[api.name](text, **members)
    return ask("POST", api.routes[0], headers, body, engine=app)


def say(app: LoneApp, api: API, text: str = "Hi", **members: Any) -> Said:
    return read(api, told(decide(app, api, text, **members)))


def output_tokens(answer: dict[str, Any]) -> int:
    usage = answer["usage"]
    count: int = usage.get("completion_tokens", usage.get("output_tokens"))
    return count


@apis
def test_generated_words_are_counted_as_the_tokens_asked_for(api: API) -> None:
    app = serving({"generate": {"tokens": 300}})

    answer = told(decide(app, api, max_tokens=500))

    assert len(read(api, answer).text.split()) == 300
    assert read(api, answer).finish == "stop"
    assert output_tokens(answer) == 300


@apis
def test_the_limit_of_the_request_cuts_them(api: API) -> None:
    app = serving({"reasoning": {"generate": {"tokens": 10}}, "text": {"generate": {"tokens": 90}}})

    members: dict[str, Any] = {LIMITS[api.name]: 20}
    answer = told(decide(app, api, **members))

    said = read(api, answer)
    assert (len(said.reasoning.split()), len(said.text.split()), said.finish) == (10, 10, "length")
    assert output_tokens(answer) == 20


@apis
def test_an_echo_is_made_for_each_request(api: API) -> None:
    app = serving({"generate": "echo"})

    said = [say(app, api, text).text for text in ("one", "two", "one", "one", "Ünö 👍")]

    assert said == ["one", "two", "one", "one", "Ünö 👍"]


@apis
def test_a_made_answer_is_streamed_like_a_written_one(api: API) -> None:
    text = "one two Ünö"
    made = decide(serving({"generate": "echo"}), api, text, stream=True)
    written = decide(serving(text), api, text, stream=True)

    assert delivered(made.reply) == delivered(written.reply)


@apis
def test_a_made_answer_is_never_in_the_match_cache(api: API) -> None:
    engine = build_engine({"mocks": [{"reply": {"generate": "echo"}}]})
    app = LoneApp(engine)

    for _ in range(3):
        assert not decide(app, api).match.reusable

    assert engine.match_cache is not None
    assert (len(engine.match_cache), engine.match_cache.hits) == (0, 0)


@apis
def test_a_long_answer_is_made_in_pieces_and_streamed_while_it_is_sent(api: API) -> None:
    engine = build_engine({"mocks": [{"reply": {"generate": {"tokens": 3 * SLICE}}}]})
    members = {"max_tokens": 10**6} if api is MESSAGES else {}
    headers = ANTHROPIC if api is MESSAGES else KEY
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    body = orjson.dumps(REQUESTS[api.name]("Hi", stream=True, **members))
    request = Request.of("POST", api.routes[0], lines, body)

    question = engine.decide(engine.table(api.name), request)

    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    pauses = []
    try:
        while True:
            pauses.append(next(work.pieces))
    except StopIteration as end:
        decision = question.resume([end.value])
    assert pauses == [False, True]  # after the first slice
    assert isinstance(decision, Decision)
    assert isinstance(decision.reply.steps, LazySteps)
    assert decision.reply.status == 200


@apis
@pytest.mark.parametrize("others", [{}, {"latency": {"ttft": 1}}, {"fault": {"pause": 1}}])
def test_a_large_answer_is_encoded_in_pieces(api: API, others: dict[str, Any]) -> None:
    reply = {"generate": "echo"}
    mocks = [
        {"match": {"user": {"contains": "brief"}}, "reply": "ok", **others},
        {"reply": reply, **others},
    ]
    app = LoneApp(build_engine({"mocks": mocks}))
    members = {"max_tokens": 10**6} if api is MESSAGES else {}
    texts = ["brief" + "word " * 200_000, "longer" + "word " * 200_000]

    decisions: list[Decision] = []
    pauses: list[int] = []
    for text in texts:
        decisions.append(decide(app, api, text, **members))
        pauses.append(app.pauses - sum(pauses))

    assert pauses[1] - pauses[0] > len(texts[1]) // json_encoding.MAX_TEXT
    assert [read(api, told(decision)).text for decision in decisions] == ["ok", texts[1]]
    assert decisions[1].reply.has_length


@pytest.mark.parametrize("latency", [{}, {"latency": {"ttft": "1ms"}}], ids=["", "paced"])
@pytest.mark.parametrize("fault", [{}, {"fault": {"pause": 1}}], ids=["", "fault"])
def test_the_large_events_of_a_stream_are_encoded_in_pieces(
    fault: dict[str, Any], latency: dict[str, Any]
) -> None:
    others = fault | latency
    app = LoneApp(build_engine({"mocks": [{"reply": {"generate": "echo"}, **others}]}))
    text = "word " * 200_000

    decision = decide(app, RESPONSES, text, stream=True)

    steps = list(decision.reply.steps)
    sent = [step for step in steps if step.size]
    large = [step for step in sent if step.size > len(text)]
    response = orjson.loads(sse.data_of(fill_fresh(sent[-1].data, FRESH)))["response"]
    assert response["output"][0]["content"][0]["text"] == text
    assert [step.data[:7] for step in large] == [b"event: "] * 4  # one step each
    pauses = steps.count(PAUSE)
    assert pauses == 0 if fault else pauses > len(large) * len(text) // json_encoding.MAX_TEXT


@apis
def test_an_answer_may_repeat_a_header_and_the_last_message(api: API) -> None:
    app = serving({"template": "{{ user }} for {{ headers['x-test'] }}"})
    headers = (ANTHROPIC if api is MESSAGES else KEY) | {"x-test": "Käthe"}

    answers = [
        told(ask("POST", api.routes[0], headers, REQUESTS[api.name](text), engine=app))
        for text in ("one", "two", "one", "one")
    ]

    said = [read(api, each).text for each in answers]
    assert said == [f"{each} for Käthe" for each in ("one", "two", "one", "one")]


@pytest.mark.parametrize("size", [1, 200_000])
def test_a_value_that_a_request_does_not_have_is_named_whatever_its_size(size: int) -> None:
    mock = {"reply": {"template": "{{ body.metadata.tenant }}"}}
    app = LoneApp(build_engine({"mocks": [mock]}))

    error = told(decide(app, CHAT, "a" * size))["error"]
    _, _, reason = error["message"].partition(": ")  # behind the mock

    assert reason == (
        "reply: the template failed: there is no 'metadata'; what may be missing needs a "
        "default: | default('')"
    )


@apis
def test_a_template_that_fails_is_a_500_with_its_place(api: API) -> None:
    name = {"name": "broken", "reply": {"reasoning": {"template": "{{ body.missing.more }}"}}}
    app = LoneApp(build_engine({"mocks": [name]}))

    decision = decide(app, api)

    error = told(decision)["error"]
    place = "mocks[0] 'broken': reply.reasoning"
    assert error["message"].startswith(f"{place}: the template failed: ")
    assert decision.reply.status == 500
    assert header(decision, "x-should-retry") == "false"
    assert decision.match.outcome is Outcome.FAILED
    assert decision.match.trouble is not None
    assert (decision.match.trouble.place, decision.match.trouble.error) == (place, None)
    assert error.keys() >= {"type"}


@apis
def test_a_template_may_tell_how_often_its_mock_has_answered(api: API) -> None:
    mocks = [
        {"match": {"user": "other"}, "reply": {"template": "other {{ call }}"}},
        {"reply": {"template": "{% if call == 1 %}once{% else %}{{ call }} times{% endif %}"}},
    ]
    app = LoneApp(build_engine({"mocks": mocks}))

    said = [say(app, api, text).text for text in ("a", "b", "other", "a", "a")]

    assert said == ["once", "2 times", "other 1", "3 times", "4 times"]


def test_a_marked_retry_has_the_call_of_the_attempt_before_it() -> None:
    app = serving({"template": "{{ call }}"})

    def said(retries: int) -> str:
        headers = KEY | {"x-stainless-retry-count": str(retries)}
        body = chat_request("Hi")
        return read(CHAT, told(ask("POST", CHAT.routes[0], headers, body, engine=app))).text

    assert [said(retries) for retries in (0, 1, 2, 0, 1)] == ["1", "1", "1", "2", "2"]


def test_the_calls_of_a_sequence_are_those_of_its_mock() -> None:
    mock = {"sequence": [{"template": "a{{ call }}"}, "b", {"template": "c{{ call }}"}]}
    app = LoneApp(build_engine({"mocks": [mock]}))

    assert [say(app, CHAT).text for _ in range(3)] == ["a1", "b", "c3"]


def test_braces_in_a_template_do_not_hide_the_call() -> None:
    app = serving({"template": "{{ {'a': '}'}.a ~ call }}"})

    assert [say(app, CHAT).text for _ in range(2)] == ["}1", "}2"]


def test_legacy_completions_have_calls() -> None:
    app = serving({"template": "{{ call }}"})
    body = {"model": "m", "prompt": ["a", "b"]}

    answers = [told(ask("POST", "/v1/completions", body=body, engine=app)) for _ in range(2)]

    assert [[each["text"] for each in answer["choices"]] for answer in answers] == [
        ["1", "1"],
        ["2", "2"],
    ]


@apis
def test_an_entry_of_a_sequence_may_be_made(api: API) -> None:
    entries = [
        {"template": "{{ user }} 1"},
        {"reply": {"generate": "echo"}},
        {"generate": {"tokens": 2}},
        {"reply": {"text": {"template": "{{ 1 / 0 }}"}}},
    ]
    app = LoneApp(build_engine({"mocks": [{"sequence": entries}]}))

    decisions = [decide(app, api) for _ in entries]

    texts = [read(api, told(each)).text for each in decisions[:3]]
    assert texts[:2] == ["Hi 1", "Hi"]
    assert len(texts[2].split()) == 2
    assert decisions[3].reply.status == 500
    assert decisions[3].match.trouble is not None
    assert decisions[3].match.trouble.place == "mocks[0]: sequence[3].reply.text"


def test_an_entry_without_an_answer_makes_the_mocks_own() -> None:
    mock = {
        "reply": {"template": "{{ user }}"},
        "first": [{"headers": {"x-first": "1"}}, "written"],
    }
    app = LoneApp(build_engine({"mocks": [mock]}))

    decisions = [decide(app, CHAT, text) for text in "abc"]

    assert [read(CHAT, told(each)).text for each in decisions] == ["a", "written", "c"]
    assert [header(each, "x-first") for each in decisions] == ["1", None, None]


def test_a_template_of_an_entry_that_is_wrong_is_a_mistake_with_its_place() -> None:
    mock = {"reply": "a", "first": ["b", {"reply": {"template": "{{ usr }}"}}]}

    with pytest.raises(ConfigError, match=r"first\[1\].reply: 'usr' is not known"):
        load(Config.from_dict({"mocks": [mock]}))


@pytest.mark.parametrize("field", ["mocks", "openai"])
def test_a_wrong_template_hides_no_mistake_in_the_match(field: str) -> None:
    mock = {"match": {"user": {"regex": "a("}}, "reply": {"template": "{{ usr }}"}}

    with pytest.raises(ConfigError) as failed:
        load(Config.from_dict({field: [mock]}))

    places = sorted(str(each.place) for each in failed.value.problems)
    assert places == [f"{field}[0]: match.user", f"{field}[0]: reply"]


def test_a_template_that_fails_for_a_legacy_completion_is_a_500_too() -> None:
    app = serving({"template": "{{ 1 / 0 }}"})
    body = {"model": "m", "prompt": "a"}

    decision = ask("POST", "/v1/completions", body=body, engine=app)

    assert (decision.reply.status, decision.match.outcome) == (500, Outcome.FAILED)
    assert decision.match.trouble is not None


def test_the_time_of_a_template_is_counted_by_the_clock_of_the_app() -> None:
    readings = iter(range(10**9))
    engine = build_engine({"mocks": [{"reply": {"template": LOOP}}]})
    app = LoneApp(engine, work_clock=lambda: next(readings) / 1_000_000)

    assert "take more than 50 ms" in told(decide(app, CHAT))["error"]["message"]


LOOP = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            {"template": "{% if %}"},
            "mocks[0]: reply: not a template of Jinja2: ",
        ),
        (
            {"reasoning": {"template": "{{ usr }}"}, "text": "a"},
            "mocks[0]: reply.reasoning: 'usr' is not known to templates, expected one of ",
        ),
        (
            {"tool_calls": [{"name": "f", "arguments": {"a": [{"template": "{{"}]}}]},
            "mocks[0]: reply.tool_calls[0].arguments.a[0]: not a template of Jinja2: ",
        ),
    ],
)
def test_a_template_that_is_wrong_is_a_mistake_with_its_place(reply: Any, expected: str) -> None:
    for field in ("mocks", "openai"):
        with pytest.raises(ConfigError) as failed:
            load(Config.from_dict({field: [{"reply": reply}]}))

        (problem,) = failed.value.problems
        assert str(problem).startswith(expected.replace("mocks", field))


def test_a_file_with_templates_asks_for_jinja2_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(source: str) -> Any:
        raise MissingExtraError("templates", "templates")

    monkeypatch.setattr("mockllm.engine.review.replies.compile_source", missing)
    mock = {"reply": {"text": {"template": "a"}, "reasoning": {"template": "b"}}}

    with pytest.raises(ConfigError) as failed:
        load(Config.from_dict({"mocks": [mock, mock], "openai": [mock]}))

    (problem,) = failed.value.problems
    assert "templates need an extra: pip install 'mockllm-server[templates]'" in str(problem)


def test_a_mock_of_one_api_may_have_a_made_reply_and_its_own_events() -> None:
    mock = {"reply": {"generate": "echo"}, "stream": {"events": [{"a": 1}]}}
    app = LoneApp(build_engine({"openai": [mock]}))

    assert say(app, CHAT, "one").text == "one"
    assert events(delivered(decide(app, CHAT, "one", stream=True).reply)) == [{"a": 1}]


def test_an_echo_says_the_users_last_words_of_a_stored_conversation() -> None:
    app = serving({"generate": "echo"})
    first = responses_request("the question")
    decision = decide(app, RESPONSES, "the question")
    path = RESPONSES.routes[0]
    app.responses.store(Request.of("POST", path, (), orjson.dumps(first)), decision, FRESH)

    result = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    later = responses_request("") | {"input": [result]}
    known = ask(
        "POST", path, KEY, later | {"previous_response_id": told(decision)["id"]}, engine=app
    )
    unknown = ask("POST", path, KEY, later | {"previous_response_id": "resp_0"}, engine=app)

    assert read(RESPONSES, told(known)).text == "the question"
    assert read(RESPONSES, told(unknown)).text == ""


@pytest.mark.parametrize(
    "reply",
    [
        {"generate": {"tokens": 3}},
        {"generate": "echo"},
        {"template": "{{ user }}"},
        {"tool_calls": [{"name": "f", "arguments": {"template": "{}"}}]},
        {"refusal": {"template": "{{ user }}"}},
    ],
)
def test_replies_that_are_made_have_no_mistakes(reply: Any) -> None:
    assert load(Config.from_dict({"mocks": [{"reply": reply}]})).warnings == ()


def test_legacy_completions_are_made_for_each_prompt() -> None:
    app = serving({"generate": "echo"}, words={"generate": {"tokens": 30}})
    body = {"model": "m", "prompt": ["one two", "words"], "max_tokens": 12}

    answer = told(ask("POST", "/v1/completions", body=body, engine=app))

    first, second = answer["choices"]
    assert (first["text"], first["finish_reason"]) == ("one two", "stop")
    assert (len(second["text"].split()), second["finish_reason"]) == (12, "length")
