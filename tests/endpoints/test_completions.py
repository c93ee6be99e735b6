"""Legacy completions, answered by mocks of Chat Completions."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import openai as openai_sdk
import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer, Config
from mockllm.endpoints.completion_request import MAX_PROMPTS_AT_ONCE
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Ending, EndingKind, LazySteps, Reply
from mockllm.state.choosing import AtEnd, ScriptEntry
from mockllm.wire import json_encoding
from tests.support.apps import LoneApp
from tests.support.endpoints import MODELS
from tests.support.engines import KEY, ask, echo, told
from tests.support.goldens import delivered
from tests.support.sequences import engine, sequence
from tests.support.served import API_KEY, chat_mock, chat_saying, events

pytestmark = pytest.mark.anyio


def test_a_demo_echoes_a_prompt_too() -> None:
    engine = LoneApp(Engine(load(Config()), echo=echo))

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": "hu"}, engine=engine)

    assert told(decision)["choices"][0]["text"] == "<hu>"


@pytest.mark.parametrize("size", [10, 100_000])
def test_other_words_are_generated_for_each_prompt(size: int) -> None:
    mocks = [{"reply": {"generate": {"tokens": 5}}}]
    engine = LoneApp(Engine(load(Config.from_dict({"mocks": mocks}))))
    body = {"model": "m", "prompt": ["a" * size, "b" * size]}

    choices = told(ask("POST", "/v1/completions", body=body, engine=engine))["choices"]

    assert choices[0]["text"] != choices[1]["text"]


async def test_a_chat_mock_answers_a_prompt(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="m", prompt=["hi", "ho"])

    told = [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices]
    assert told == [(0, "one two", "stop"), (1, "three", "stop")]
    assert answer.model == MODELS[0]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
        ({"total_tokens": 9}, {"total_tokens": 9, "prompt_tokens": 7, "completion_tokens": 2}),
        (None, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    ],
)
def test_the_usage_of_a_mock_is_completed(written: Any, expected: dict[str, int]) -> None:
    response = {"choices": [{"message": {"content": "one two"}}], "usage": written}
    engine = LoneApp(Engine(load(Config.from_dict({"openai": [{"response": response}]}))))
    body = {"model": "m", "prompt": "hi"}

    assert told(ask("POST", "/v1/completions", body=body, engine=engine))["usage"] == expected


@pytest.mark.parametrize(
    ("prompt", "texts", "counted"),
    [
        ([1, 2, 3], ["any"], 3),
        ([[1, 2, 3]], ["any"], 3),
        ([[1, 2], [3]], ["any", "any"], 3),
        (["hi", "ho"], ["greeting", "any"], 2),
    ],
)
def test_each_prompt_of_tokens_is_answered_like_an_empty_text(
    prompt: Any, texts: list[str], counted: int
) -> None:
    mocks = [chat_mock("hi", chat_saying("greeting")), {"response": chat_saying("any")}]
    engine = LoneApp(Engine(load(Config.from_dict({"openai": mocks}))))
    body = {"model": "m", "prompt": prompt}

    answer = told(ask("POST", "/v1/completions", body=body, engine=engine))

    assert [(each["index"], each["text"]) for each in answer["choices"]] == [*enumerate(texts)]
    assert answer["usage"]["prompt_tokens"] == counted


async def test_a_prompt_is_answered_in_pieces(server: AsyncServer) -> None:
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as lenient:
        stream = await lenient.completions.create(
            model="m", prompt="hi", stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]

    told = [(chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks]
    assert told == [("one ", None), ("two", None), ("", "stop")]
    assert len({chunk.id for chunk in (*chunks, last)}) == 1
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 3


@pytest.mark.parametrize("prompt", ["word " * 1_000, ["word"] * 100])
def test_a_long_stream_is_generated_while_it_is_sent(prompt: Any) -> None:
    """Twenty requests with 128 long prompts each kept everybody else waiting for 20 seconds."""
    engine = LoneApp(Engine(load(Config()), echo=echo))
    body = {"model": "m", "prompt": prompt, "stream": True}

    decision = ask("POST", "/v1/completions", body=body, engine=engine)

    assert isinstance(decision.reply.steps, LazySteps)
    choices = [event["choices"][0] for event in events(delivered(decision.reply))]
    prompts = [prompt] if isinstance(prompt, str) else prompt
    assert "".join(choice["text"] for choice in choices) == "".join(f"<{each}>" for each in prompts)
    assert [each["index"] for each in choices if each["finish_reason"]] == [*range(len(prompts))]


def test_a_short_stream_is_sent_at_once() -> None:
    engine = LoneApp(Engine(load(Config()), echo=echo))
    body = {"model": "m", "prompt": "hu", "stream": True}

    assert ask("POST", "/v1/completions", body=body, engine=engine).ready is not None


async def test_a_prompt_that_no_mock_matches_is_404(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.NotFoundError, match="Closest mock"):
        await openai.completions.create(model="m", prompt=["hi", "hu"])


@pytest.mark.parametrize(
    ("members", "minimum"),
    [({"max_tokens": -1}, 0), ({"n": 0}, 1), ({"best_of": -1}, 0), ({"logprobs": -1}, 0)],
)
async def test_counts_have_the_minimums_of_the_service(
    openai: AsyncOpenAI, members: Any, minimum: int
) -> None:
    (name,) = members

    with pytest.raises(openai_sdk.BadRequestError, match=rf"{name}: .* >= {minimum}, but got") as e:
        await openai.completions.create(model="m", prompt="hi", **members)

    assert (e.value.param, e.value.code) == (name, "integer_below_min_value")


@pytest.mark.parametrize("prompt", [[1, "a"], ["a", [1]], [[]], [True], [], 3, None])
async def test_a_prompt_is_text_or_tokens(openai: AsyncOpenAI, prompt: Any) -> None:
    with pytest.raises(openai_sdk.BadRequestError, match="prompt"):
        await openai.completions.create(model="m", prompt=prompt)


# --- Mocks with state -----------------------------------------------------------------------------


def said_by(app: LoneApp, *prompts: str, retry: int = 0) -> Any:
    """The texts of the choices, or the code of the error."""
    headers = KEY | {"x-stainless-retry-count": str(retry)}
    body = {"model": "m", "prompt": prompts}
    answer = told(ask("POST", "/v1/completions", headers, body, engine=app))
    if "error" in answer:
        return answer["error"]["code"]
    return [choice["text"] for choice in answer["choices"]]


def test_the_prompts_of_a_request_are_answered_by_one_entry() -> None:
    app = LoneApp(engine(["hi", "ho"], {"hi": sequence(ScriptEntry(), ScriptEntry(2))}))

    answers = [said_by(app, "hi", "ho", "hi"), said_by(app, "hi"), said_by(app, "ho", "hi")]

    assert answers == [["0", "ho", "0"], ["1"], ["ho", "1"]]
    assert said_by(app, "hi") == "mock_exhausted"


def test_a_marked_retry_repeats_the_answer_to_each_prompt() -> None:
    app = LoneApp(engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry(), ScriptEntry())}))

    answers = [said_by(app, "hi", "hi", retry=retry) for retry in (0, 1)]

    assert answers == [["0", "0"], ["0", "0"]]
    assert said_by(app, "hi") == ["1"]


def test_a_prompt_goes_on_to_the_next_mock_when_one_passes() -> None:
    app = LoneApp(engine(["hi", "hi"], {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}))

    assert [said_by(app, "hi"), said_by(app, "hi")] == [["0"], ["hi"]]


def test_a_prompt_that_no_mock_matches_moves_nothing() -> None:
    app = LoneApp(engine(["hi"], {"hi": sequence(ScriptEntry())}))

    assert said_by(app, "hi", "unknown") == "mock_not_found"
    assert said_by(app, "hi") == ["0"]


# --- Many prompts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "pauses"), [(1, 0), (MAX_PROMPTS_AT_ONCE - 1, 0), (4 * MAX_PROMPTS_AT_ONCE, 8)]
)
def test_many_prompts_are_matched_and_rendered_with_pauses(count: int, pauses: int) -> None:
    app = LoneApp(Engine(load(Config.from_dict({})), echo=echo))
    prompts = [f"p{place}" for place in range(count)]

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": prompts}, engine=app)

    texts = [choice["text"] for choice in told(decision)["choices"]]
    assert texts == [f"<{prompt}>" for prompt in prompts]
    assert app.pauses == pauses


def test_a_large_completion_is_encoded_in_pieces() -> None:
    text = "word " * 200_000
    app = LoneApp(Engine(load(Config.from_dict({"openai": [chat_mock("hi", chat_saying(text))]}))))

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": "hi"}, engine=app)

    assert told(decision)["choices"][0]["text"] == text
    assert decision.reply.has_length
    assert app.pauses > len(text) // json_encoding.MAX_TEXT


def test_a_404_to_one_of_many_prompts_comes_after_pauses() -> None:
    mocks = [chat_mock(f"p{place}", chat_saying("ho")) for place in range(MAX_PROMPTS_AT_ONCE)]
    app = LoneApp(Engine(load(Config.from_dict({"openai": mocks}))))
    prompts = [f"p{place}" for place in range(2 * MAX_PROMPTS_AT_ONCE)]

    decision = ask("POST", "/v1/completions", body={"model": "m", "prompt": prompts}, engine=app)

    assert decision.reply.status == 404
    assert f"'p{MAX_PROMPTS_AT_ONCE}'" in told(decision)["error"]["message"]
    assert app.pauses == 1


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_completion_has_the_fault_of_its_mock(stream: bool) -> None:
    fault = {"end": "cut", "after": {"tokens": 3}}
    app = faulty(fault)

    found = asked_for(app, stream=stream)

    body = found.reply.body[: found.reply.ending.after]
    assert found.reply.ending.kind is EndingKind.CUT
    assert b"world" in body
    assert b"how" not in body


def test_the_faults_of_a_completion_are_drawn() -> None:
    app = faulty({"error": "overloaded", "chance": 0.5})

    assert {asked_for(app).reply.status for _ in range(32)} == {200, 503}


def test_an_error_of_a_completion_may_have_a_fault() -> None:
    app = faulty([{"end": "reset", "after": "head"}], reply=None, error="overloaded")

    assert asked_for(app).reply.ending == Ending(EndingKind.RESET, after=0)


def faulty(fault: Any, **answer: Any) -> LoneApp:
    mock = {"reply": "Hello world, how are you?", "fault": fault} | answer
    return LoneApp(Engine(load(Config.from_dict({"mocks": [mock]}))))


def asked_for(app: LoneApp, *, stream: bool = False) -> Decision:
    body = {"model": "m", "prompt": "hi", "stream": stream}
    return ask("POST", "/v1/completions", body=body, engine=app)


PLACES = (
    *(None, "head", "first_token", {"tokens": 3}, "before_finish", "before_end", {"time": "2s"}),
)
HAPPENINGS: tuple[dict[str, Any], ...] = (
    *({"end": "cut"}, {"end": "hang"}, {"pause": 1}, {"send": "data: x\n\n"}, {"hold": "gate"}),
    {"error": "overloaded"},
)
SAID = re.compile(rb'"(?:text|content)":"([^"]*)"')


def in_both(fault: dict[str, Any], *, stream: bool, text: str) -> tuple[Reply, Reply]:
    """The replies of legacy completions and of chat with the fault of one mock."""
    app = faulty(fault, reply=text)
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    other = ask("POST", "/v1/chat/completions", KEY, chat, engine=app)
    return asked_for(app, stream=stream).reply, other.reply


def course_of(reply: Reply) -> list[tuple[bytes, float, str, bool]]:
    """What happens in a stream up to its ending: texts, pauses, gates and errors."""
    course = []
    left = reply.ending.after
    for step in reply.steps:
        if left is not None and left <= 0:
            break
        left = None if left is None else left - step.size
        text = b"".join(SAID.findall(step.data))
        is_error = b'"error"' in step.data
        if text or step.pause or step.gate or is_error:
            course.append((text, step.pause, step.gate, is_error))
    return course


def place_in_text(reply: Reply) -> int | None:
    """The place in the text of a whole answer at which it ends; None if it does elsewhere."""
    begins = reply.body.find(b"Hello")
    place = -1 if reply.ending.after is None else reply.ending.after - begins
    return place if 0 < place < len("Hello world, how are you?") else None


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_is_at_the_same_place_of_the_text_as_in_chat(place: Any) -> None:
    for happens, stream in product(HAPPENINGS, (True, False)):
        fault = happens if place is None else {**happens, "after": place}

        both = in_both(fault, stream=stream, text="Hello world, how are you?")

        seen = [
            (
                reply.status,
                reply.ending.kind,
                len(reply.opening),
                [each.time for each in reply.interruptions],
                course_of(reply) if stream else place_in_text(reply),
            )
            for reply in both
        ]
        assert seen[0] == seen[1], (fault, stream)


def test_a_fault_may_be_at_the_end_of_a_stream_that_is_made_while_it_is_sent() -> None:
    text = " ".join(["word"] * 2_000)

    both = in_both({"end": "cut", "after": "before_end"}, stream=True, text=text)

    assert course_of(both[0]) == course_of(both[1])
    assert b"".join(part for part, *_ in course_of(both[0])) == text.encode()


def test_a_fault_counts_the_tokens_that_a_mock_writes() -> None:
    written = {
        "choices": [{"message": {"content": "abcdefgh"}}],
        "usage": {"completion_tokens": 8},
    }
    mock = {"response": written, "fault": {"end": "cut", "after": {"tokens": 4}}}
    app = LoneApp(Engine(load(Config.from_dict({"openai": [mock]}))))

    found = asked_for(app).reply

    body = found.body[: found.ending.after]
    assert b"abcd" in body
    assert b"abcde" not in body


# --- What a client asks for -----------------------------------------------------------------------


def wishing(app: LoneApp, *prompts: str, stream: bool = False, **wishes: str) -> Decision:
    headers = KEY | {f"x-mockllm-{kind}": wish for kind, wish in wishes.items()}
    body = {"model": "m", "prompt": [*prompts] or "hi", "stream": stream}
    return ask("POST", "/v1/completions", headers, body, engine=app)


def granting(**config: Any) -> LoneApp:
    written = {"mocks": [{"sequence": ["one", "two"]}]} | config
    return LoneApp(Engine(load(Config.from_dict(written)), client_faults=True))


def test_a_client_gets_the_error_that_it_asks_for() -> None:
    outage = {"name": "outage", "match": {"user": "hi"}, "error": "overloaded"}
    for traffic in ([], [outage]):
        app = granting(traffic=traffic)

        found = wishing(app, error='{"as": "rate_limit", "retry_after": "1ms"}')

        assert (found.reply.status, found.match.outcome) == (429, Outcome.ASKED_FOR)
        assert dict(found.reply.headers)[b"retry-after-ms"] == b"1"
        assert (found.match.asked_for, found.match.traffic) == (("error",), ())
        assert b"one" in wishing(app, "ho").reply.body  # the script has not moved


def test_an_error_that_is_asked_for_costs_nothing_of_a_limit() -> None:
    app = granting(traffic=[{"rate_limit": {"rpm": 1}}])

    found = [wishing(app, error="overloaded").reply.status for _ in range(3)]

    assert found == [503] * 3
    assert wishing(app).reply.status == 200


def test_a_client_gets_the_latency_that_it_asks_for() -> None:
    app = granting(latency={"ttft": 5}, traffic=[{"latency": {"ttft": 7}}])

    found = wishing(app, latency="ttft=1s,itl=10ms")

    assert found.reply.pacing is not None
    assert (found.reply.pacing.ttft, found.reply.pacing.itl) == (1.0, 0.01)
    assert (found.match.asked_for, found.match.traffic) == (("latency",), ())
    assert wishing(app, latency="instant").reply.pacing is None


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_gets_the_fault_that_it_asks_for(stream: bool) -> None:
    app = granting(mocks=[{"reply": "one two three", "fault": {"pause": 1}}])

    found = wishing(app, stream=stream, fault='{"end": "cut", "after": "first_token"}')

    assert found.reply.ending.kind is EndingKind.CUT
    assert found.reply.before_head == 0.0
    assert b"on" in found.reply.body[: found.reply.ending.after]
    assert b"three" not in found.reply.body[: found.reply.ending.after]
    assert found.match.asked_for == ("fault",)


def test_a_fault_that_is_asked_for_may_be_drawn() -> None:
    app = granting(mocks=[{"reply": "one"}])
    drawn = '{"end": "reset", "chance": 0.5}'

    assert {wishing(app, fault=drawn).reply.ending.kind for _ in "x" * 32} == {
        *(EndingKind.RESET, EndingKind.COMPLETE),
    }


def test_an_error_and_a_fault_may_be_asked_for_together() -> None:
    found = wishing(granting(), error="overloaded", fault='{"pause": "2s"}', latency="ttft=3s")

    assert (found.reply.status, found.reply.before_head) == (503, 2.0)
    assert found.reply.pacing is not None
    assert found.match.asked_for == ("error", "latency", "fault")


@pytest.mark.parametrize(
    ("kind", "wish", "message"),
    [
        ("fault", "brake", "x-mockllm-fault: "),
        ("error", "overtired", "x-mockllm-error: "),
        ("latency", "ttft=soon", "x-mockllm-latency.ttft: "),
        ("fault", '{"end": "cut", "after": {"events": 1}}', "x-mockllm-fault: the answer is not"),
    ],
)
def test_a_wish_that_no_mock_could_have_is_a_400(kind: str, wish: str, message: str) -> None:
    wishes: dict[str, Any] = {kind: wish}

    found = wishing(granting(mocks=[{"reply": "one"}]), **wishes)

    assert found.reply.status == 400
    assert told(found)["error"]["code"] == "invalid_wish"
    assert told(found)["error"]["message"].startswith(message)
    assert found.match.outcome is Outcome.REFUSED


def test_wishes_are_ignored_unless_they_are_allowed() -> None:
    app = LoneApp(Engine(load(Config.from_dict({"mocks": [{"reply": "one"}]}))))

    found = wishing(app, error="overloaded", fault="reset", latency="ttft=1s")

    assert (found.reply.status, found.reply.ending, found.reply.pacing) == (200, Ending(), None)
    assert found.match.asked_for == ()


# --- Latency --------------------------------------------------------------------------------------


def completed(latency: Any, mock: dict[str, Any], **members: Any) -> Decision:
    config = {"openai": [mock], "latency": latency}
    app = LoneApp(Engine(load(Config.from_dict(config))))
    body = {"model": "m", "prompt": "hi", **members}
    return ask("POST", "/v1/completions", body=body, engine=app)


@pytest.mark.parametrize(
    "members", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
)
@pytest.mark.parametrize("prompt", ["hi", ["hi", "ho"]])
def test_a_completion_takes_the_time_of_its_mock(members: dict[str, Any], prompt: Any) -> None:
    mock = {"reply": "one two three four five"}

    paced = completed({"ttft": "1s", "itl": "10ms"}, mock, prompt=prompt, **members)
    plain = completed("instant", mock, prompt=prompt, **members)

    assert paced.reply.pacing is not None
    assert (paced.reply.pacing.ttft, paced.ready) == (1.0, None)
    assert paced.reply.body == plain.reply.body
    assert plain.reply.pacing is None
    count = 1 if prompt == "hi" else 2
    assert sum(step.tokens for step in paced.reply.steps) == 6 * count


def test_the_tokens_of_a_completion_are_those_of_its_usage() -> None:
    mock = {"reply": {"text": "one two", "usage": {"output": 40}}}

    for stream in (False, True):
        decision = completed({"ttft": 1}, mock, stream=stream)
        assert sum(step.tokens for step in decision.reply.steps) == 40


def test_a_failed_completion_takes_the_time_of_its_own_latency_only() -> None:
    failing = {"error": "overloaded"}

    assert completed({"ttft": 1}, failing).reply.pacing is None
    slow = completed({"ttft": 1}, failing | {"latency": {"ttft": 5}}).reply
    assert slow.pacing is not None
    assert (slow.pacing.ttft, sum(step.tokens for step in slow.steps)) == (5.0, 1)


# --- Traffic --------------------------------------------------------------------------------------


def in_traffic(*entries: Any, **config: Any) -> LoneApp:
    written = {"mocks": [{"reply": "one two three"}], "traffic": entries} | config
    return LoneApp(Engine(load(Config.from_dict(written))))


def asked(one: LoneApp, **members: Any) -> Decision:
    body = {"model": "m", "prompt": "hi"} | members
    return ask("POST", "/v1/completions", body=body, engine=one)


@pytest.mark.parametrize("prompt", ["hi", ["hi", "ho"], [1, 2]])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_traffic_is_that_of_chat(prompt: Any, stream: bool) -> None:
    one = in_traffic({"name": "outage", "match": {"api": "chat"}, "error": "overloaded"})

    found = asked(one, prompt=prompt, stream=stream)

    assert (found.reply.status, found.match.outcome) == (503, Outcome.TRAFFIC)
    assert found.match.traffic == ("traffic[0] 'outage'",)


def test_the_retry_of_a_hit_finds_the_script_of_its_prompt_where_it_stood() -> None:
    outage = {"name": "outage", "error": "overloaded"}
    one = in_traffic(outage, mocks=[{"sequence": ["one", "two"]}])

    assert asked(one).reply.status == 503
    one.traffic.stop("outage")

    assert told(asked(one))["choices"][0]["text"] == "one"


def test_a_latency_and_a_fault_of_traffic_apply_to_completions() -> None:
    fault = {"fault": [{"pause": 2}, {"end": "reset", "after": "head", "chance": 0.5}]}
    one = in_traffic({"latency": {"ttft": 3}}, fault, {"match": {"api": "messages"}} | fault)

    found = [asked(one) for _ in range(32)]

    assert {each.reply.pacing and each.reply.pacing.ttft for each in found} == {3.0}
    assert {each.reply.before_head for each in found} == {2.0}
    assert len({each.reply.ending for each in found}) == 2
    assert {each.match.traffic for each in found} == {("traffic[0]", "traffic[1]")}


def test_what_a_chat_mock_has_itself_comes_before_traffic() -> None:
    mocks = [
        {"match": {"user": "error"}, "error": "rate_limit"},
        {"reply": "a", "latency": "instant", "fault": {"pause": 1}},
    ]
    cut = [{"pause": 3}, {"end": "cut", "after": {"tokens": 1}}]
    one = in_traffic({"latency": {"ttft": 3}, "fault": cut}, mocks=mocks)

    own, error = asked(one), asked(one, prompt="error")

    assert (own.reply.pacing, own.reply.before_head, own.match.traffic) == (None, 1.0, ())
    assert (error.reply.status, error.reply.pacing, error.reply.before_head) == (429, None, 3.0)


def test_an_echo_meets_traffic_too() -> None:
    engine = Engine(
        load(Config.from_dict({"traffic": [{"fault": {"end": "reset"}}]})),
        echo=lambda prompt: prompt.text,
    )

    assert asked(LoneApp(engine)).reply.ending.head == 0.0
