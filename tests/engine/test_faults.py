"""The faults of mocks in decisions: chosen, drawn and applied."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config, ConfigError
from mockllm.config.fault import Fault as WrittenFault
from mockllm.engine.decision import Decision, Outcome, PlannedFault
from mockllm.engine.engine import Engine
from mockllm.engine.faults import compile_faults, drawn, is_drawn
from mockllm.engine.loading import load
from mockllm.exchange import COMPLETE, Ending, EndingKind
from mockllm.providers.failures import Failure
from mockllm.replies.fault_places import START, FaultPlace
from mockllm.replies.faults import Fault
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, echo, header, told

TEXT = "Hello world, how are you?"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
PATHS = [CHAT, RESPONSES, MESSAGES]
CUT = {"end": "cut", "after": {"tokens": 3}}


def app(fault: Any, seed: int = 0, **mock: Any) -> LoneApp:
    written = {"name": "m", "reply": TEXT, "fault": fault} | mock
    config = Config.from_dict({"mocks": [written], "seed": seed})
    return LoneApp(Engine(load(config)))


def asked(one: LoneApp, path: str = CHAT, *, stream: bool = False, user: str = "hi") -> Decision:
    body: dict[str, Any] = {"model": "m", "stream": stream}
    if path == RESPONSES:
        body["input"] = user
    else:
        body |= {"messages": [{"role": "user", "content": user}], "max_tokens": 9}
    headers = ANTHROPIC if path == MESSAGES else KEY
    return ask("POST", path, headers, body, engine=one)


def sent(decision: Decision) -> bytes:
    return decision.reply.body[: decision.reply.ending.after]


# --- Compiling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"end": "reset"}, Fault(START, EndingKind.RESET)),
        ({"end": "clean", "after": "head"}, Fault(FaultPlace("head"), EndingKind.CLEAN)),
        ({"pause": "2s", "after": {"tokens": 5}}, Fault(FaultPlace("tokens", 5), pause=2.0)),
        ({"send": "é", "after": {"bytes": 5}}, Fault(FaultPlace("bytes", 5), data="é".encode())),
        ({"end": "cut", "after": {"events": 5}}, Fault(FaultPlace("events", 5), EndingKind.CUT)),
        ({"end": "cut", "after": {"time": "2s"}}, Fault(FaultPlace("time", 2.0), EndingKind.CUT)),
        (
            {"end": "hang", "after": {"event": "a", "nth": 3}, "inside": True},
            Fault(FaultPlace("event", 3, "a"), EndingKind.HANG, inside=True),
        ),
    ],
)
def test_a_fault_is_compiled(written: Any, expected: Fault) -> None:
    fault = WrittenFault.model_validate({**written, "chance": 0.5})

    assert compile_faults([fault]) == (PlannedFault(expected, chance=0.5),)


def test_an_error_is_compiled_to_its_failure() -> None:
    (planned,) = compile_faults([WrittenFault(error="overloaded", after="head")])

    assert planned == PlannedFault(Fault(FaultPlace("head")), Failure("overloaded"))


# --- Chance --------------------------------------------------------------------------------------


def test_certain_faults_are_not_drawn() -> None:
    assert not is_drawn(compile_faults([WrittenFault(end="cut")]))
    assert is_drawn(compile_faults([WrittenFault(end="cut"), WrittenFault(pause=1, chance=0.5)]))


@given(st.integers(0, 2**64 - 1))
def test_a_fault_happens_always_or_never_or_sometimes(key: int) -> None:
    faults = compile_faults([WrittenFault(end="cut", chance=chance) for chance in (1, 0, 1, 0)])

    assert drawn(faults, key) == (faults[0], faults[2])


def test_a_fault_happens_as_often_as_its_chance() -> None:
    faults = compile_faults([WrittenFault(end="cut", chance=chance) for chance in (0.1, 0.7)])

    counts = Counter(each.chance for key in range(10_000) for each in drawn(faults, key))

    assert counts[0.1] == pytest.approx(1_000, rel=0.1)
    assert counts[0.7] == pytest.approx(7_000, rel=0.05)


def test_equal_seeds_draw_alike() -> None:
    def pattern(seed: int) -> list[EndingKind]:
        one = app(CUT | {"chance": 0.5}, seed)
        return [asked(one, user=f"{n % 8}").reply.ending.kind for n in range(64)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert set(pattern(1)) == {EndingKind.CUT, EndingKind.COMPLETE}


def test_what_is_drawn_does_not_depend_on_other_requests() -> None:
    alone, beside = app(CUT | {"chance": 0.5}), app(CUT | {"chance": 0.5})

    found = []
    for _ in range(32):
        asked(beside, user="other")
        found.append(asked(alone).reply.ending == asked(beside).reply.ending)

    assert all(found)


def test_what_is_drawn_is_no_matter_of_the_cache() -> None:
    one = app(CUT | {"chance": 0.5})

    kinds = Counter(asked(one).reply.ending.kind for _ in range(64))

    assert kinds[EndingKind.CUT] == pytest.approx(32, abs=15)
    assert kinds[EndingKind.COMPLETE] == 64 - kinds[EndingKind.CUT]


# --- Applying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_mock_has_a_fault_in_every_api(path: str, stream: bool) -> None:
    one = app(CUT)

    first, second = (asked(one, path, stream=stream) for _ in range(2))

    assert first.reply.ending.kind is EndingKind.CUT
    assert first.ready is None
    assert b"world" in sent(first)
    assert b"how" not in sent(first)
    assert second.match is first.match or second.reply.ending == first.reply.ending
    assert first.match.outcome is Outcome.MOCK
    assert first.match.rule is not None


def test_a_constant_fault_is_applied_once_for_equal_requests() -> None:
    one = app(CUT)
    asked(one)

    assert asked(one).match is asked(one).match


def test_a_reply_that_depends_on_the_request_is_cut_at_its_own_bytes() -> None:
    one = app({"end": "cut", "after": {"bytes": 400}}, match={"api": "responses"})

    for model in ("m", "a-much-longer-model"):
        body = {"model": model, "input": "hi", "stream": False}
        found = ask("POST", RESPONSES, body=body, engine=one)
        assert len(sent(found)) == 400


@pytest.mark.parametrize("path", PATHS)
def test_an_error_before_the_head_is_the_answer(path: str) -> None:
    found = asked(app([{"error": "overloaded"}, {"pause": "2s"}]), path, stream=True)

    assert found.reply.status == (529 if path == MESSAGES else 503)
    assert found.reply.before_head == 2.0
    assert found.match.answer is None


@pytest.mark.parametrize("path", PATHS)
def test_an_error_in_a_whole_answer_is_the_answer(path: str) -> None:
    faults = [
        {"error": "rate_limit", "after": {"tokens": 3}},
        {"end": "reset", "after": {"tokens": 3}},
    ]

    whole, stream = (asked(app(faults), path, stream=each) for each in (False, True))

    assert (whole.reply.status, whole.reply.ending) == (429, COMPLETE)
    assert "ate limit" in told(whole)["error"]["message"]
    assert (stream.reply.status, stream.reply.ending.kind) == (200, EndingKind.RESET)
    assert b"ate limit" in sent(stream)
    assert whole.match.answer is stream.match.answer is None


def test_an_error_names_the_model_of_the_request() -> None:
    one = app({"error": "not_found", "after": "first_token"})

    assert b"The model `m` does not exist" in asked(one, stream=True).reply.body
    assert b"The requested model 'm' does not" in asked(one, RESPONSES, stream=True).reply.body


def test_an_error_of_a_mock_may_have_a_fault() -> None:
    one = app(
        [{"pause": "2s"}, {"end": "cut", "after": {"time": "5s"}}], reply=None, error="timeout"
    )
    found = asked(one)

    assert (found.reply.status, found.reply.before_head) == (408, 2.0)
    assert found.reply.ending == Ending(EndingKind.CUT, time=5.0)


def test_a_place_that_a_whole_answer_has_not_is_a_500() -> None:
    one = app({"end": "cut", "after": {"events": 3}}, match={"api": ["messages"]})

    found = asked(one, MESSAGES)

    assert found.reply.status == 500
    assert header(found, "x-should-retry") == "false"
    assert told(found)["error"]["message"] == (
        "mocks[0] 'm': fault: the answer is not a stream and has no events"
    )
    assert found.match.answer is None
    assert found.match.outcome is Outcome.FAILED
    assert found.match.trouble == (
        "mocks[0] 'm': fault",
        "the answer is not a stream and has no events",
        None,
    )
    assert asked(one, MESSAGES, stream=True).reply.ending.kind is EndingKind.CUT


def test_a_fault_is_at_the_end_of_a_stream_that_is_rendered_while_it_is_sent() -> None:
    one = app({"error": "overloaded", "after": "before_end"}, reply="word " * 20_000)

    found = asked(one, stream=True)

    assert found.reply.ending == Ending(EndingKind.CLEAN)
    assert list(found.reply.steps)[-1].data.startswith(b'data: {"error":')
    assert not found.match.reusable


def test_a_stream_with_a_fault_is_rendered_with_a_pause_after_each_step() -> None:
    """Those at the end of a long text are large: 64 of them took 14 ms."""
    one = app({"end": "cut", "after": "head"}, reply="word " * 40_000)

    found = asked(one, stream=True)

    steps = tuple(found.reply.steps)
    assert one.pauses > 2 * len(steps) > 2 * 9_000  # they are rendered, and counted


@pytest.mark.parametrize("after", [{"tokens": 2_000}, "before_finish", {"events": 9}])
def test_a_stream_that_an_author_wrote_is_broken_with_pauses(after: Any) -> None:
    envelope: dict[str, Any] = {
        "id": "i",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
    }
    deltas: list[Any] = [{"delta": {"content": "word " * 20}, "finish_reason": None}] * 1_000
    last: Any = {"delta": {}, "finish_reason": "stop"}
    events = [envelope | {"choices": [{"index": 0, **each}]} for each in [*deltas, last]]
    mock = {
        "match": {"message": {"role": "user", "content": "hi"}},
        "response": {"choices": [{"message": {"role": "assistant", "content": "ok"}}]},
        "stream": {"events": events},
        "fault": {"end": "cut", "after": after},
    }
    one = LoneApp(Engine(load(Config.from_dict({"openai": [mock]}))))

    found = asked(one, stream=True)

    assert found.reply.ending.kind is EndingKind.CUT
    assert one.pauses > 1_000


def test_the_answer_to_forced_tools_has_the_fault() -> None:
    one = app({"end": "cut", "after": "tool_arguments"}, reply={"json": {"city": "Paris"}})
    function = {"name": "look", "parameters": {"type": "object"}}
    tools = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    }
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **tools}

    found = ask("POST", CHAT, body=body, engine=one)

    assert sent(found).endswith(b'"arguments":"{\\"city\\":')


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("chunk", "begins"), [("word", False), ("token", True)])
def test_a_stream_ends_between_the_deltas_of_a_call(chunk: str, begins: bool, path: str) -> None:
    """A short one has only one, unless it is divided."""
    reply = {"tool_calls": [{"name": "look", "arguments": {"city": "Paris"}}]}
    one = app({"end": "cut", "after": "tool_arguments"}, reply=reply, stream={"chunk": chunk})

    found = sent(asked(one, path, stream=True))

    assert b"look" in found
    assert (b'ty\\":' in found) is begins
    assert b"Par" not in found


@pytest.mark.parametrize("chance", [1.0, 0.5])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_made_for_a_request_has_the_fault(chance: float, stream: bool) -> None:
    one = app(
        {"end": "cut", "after": {"tokens": 3}, "chance": chance}, reply={"generate": {"tokens": 50}}
    )

    found = [asked(one, stream=stream, user=f"{n}").reply.ending.kind for n in range(32)]

    assert set(found) == {EndingKind.CUT} | ({EndingKind.COMPLETE} if chance < 1 else set())


def test_the_first_answers_of_a_mock_may_be_broken() -> None:
    config = {"reply": TEXT, "first": [{"fault": CUT, "times": 2}, {"error": "overloaded"}]}
    one = LoneApp(Engine(load(Config.from_dict({"mocks": [config]}))))

    found = [asked(one).reply for _ in range(5)]

    assert [reply.status for reply in found] == [200, 200, 503, 200, 200]
    assert [reply.ending.kind is EndingKind.CUT for reply in found] == [True, True] + 3 * [False]


def test_an_entry_has_the_fault_of_its_mock_unless_it_has_its_own() -> None:
    entries = ["one", {"reply": "two", "fault": {"end": "reset"}}]
    config = {"sequence": entries, "fault": {"end": "hang", "after": "head"}}
    one = LoneApp(Engine(load(Config.from_dict({"mocks": [config]}))))

    found = [asked(one).reply.ending for _ in range(2)]

    assert found == [Ending(EndingKind.HANG, after=0), Ending(EndingKind.RESET, head=0.0)]


def test_a_marked_retry_of_a_broken_answer_takes_the_next() -> None:
    config = {"reply": TEXT, "first": [{"fault": CUT}]}
    one = LoneApp(Engine(load(Config.from_dict({"mocks": [config]}))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

    found = [
        ask("POST", CHAT, KEY | {"x-stainless-retry-count": count}, body, engine=one).reply.ending
        for count in "01"
    ]

    assert [each.kind for each in found] == [EndingKind.CUT, EndingKind.COMPLETE]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_tokens_are_those_that_the_answer_says_it_has(path: str, stream: bool) -> None:
    words = [f"word{number}" for number in range(10)]
    reply = {"text": " ".join(words), "usage": {"output": 5}}

    found = asked(app(CUT, reply=reply), path, stream=stream)

    assert b"word5" in sent(found)
    assert b"word6" not in sent(found)


def test_generated_words_are_a_token_each() -> None:
    fault = {"end": "cut", "after": {"tokens": 5}}
    one = app(fault, reply={"generate": {"tokens": 8}})

    found = asked(one, RESPONSES)

    text = sent(found).rpartition(b'"text":"')[2]
    assert len(text.split()) in (4, 5, 6)


def test_an_answer_has_no_more_tokens_than_it_says() -> None:
    with pytest.raises(ConfigError, match="the answer has 2 tokens"):
        app(CUT, reply={"text": TEXT, "usage": {"output": 2}})


def test_several_embeddings_have_the_fault_of_their_mock() -> None:
    written = {"response": {"data": [{"embedding": [0.5]}]}, "fault": {"end": "reset"}}
    one = LoneApp(Engine(load(Config.from_dict({"openai_embeddings": [written]}))))

    for texts in ("a", ["a", "b"]):
        found = ask("POST", "/v1/embeddings", body={"model": "m", "input": texts}, engine=one)
        assert found.reply.ending == Ending(EndingKind.RESET, head=0.0)


def test_a_mock_without_a_fault_is_answered_at_once() -> None:
    written = [{"match": {"user": "hi"}, "reply": TEXT}, {"reply": TEXT, "fault": CUT}]
    one = LoneApp(Engine(load(Config.from_dict({"mocks": written}))))

    assert asked(one).ready is not None
    assert asked(one, user="other").ready is None


# --- Asked for by a client ------------------------------------------------------------------------


def wishing(one: LoneApp, *, stream: bool = False, **wishes: str) -> Decision:
    headers = KEY | {f"x-mockllm-{name}": value for name, value in wishes.items()}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return ask("POST", CHAT, headers, body, engine=one)


def granting(**mock: Any) -> LoneApp:
    config = Config.from_dict({"mocks": [{"reply": TEXT} | mock]})
    return LoneApp(Engine(load(config), client_faults=True))


def test_a_client_gets_the_error_that_it_asks_for() -> None:
    one = granting(sequence=["one", "two"], reply=None)

    found = wishing(one, error='{"as": "rate_limit", "retry_after": "1ms"}')

    assert (found.reply.status, header(found, "retry-after-ms")) == (429, "1")
    assert found.match.outcome is Outcome.ASKED_FOR
    assert b"one" in asked(one).reply.body  # the script has not moved


def test_a_client_gets_the_fault_that_it_asks_for() -> None:
    one = granting(fault={"end": "hang", "after": "head"})

    assert wishing(one, fault="reset").reply.ending == Ending(EndingKind.RESET, head=0.0)
    assert wishing(one, fault='{"end": "cut", "after": {"bytes": 9}}').reply.ending.after == 9
    assert wishing(one, fault='{"pause": 0}').reply.ending == COMPLETE
    assert asked(one).reply.ending == Ending(EndingKind.HANG, after=0)


def test_a_wish_is_not_remembered_for_others() -> None:
    one = granting()
    kinds = [COMPLETE, Ending(EndingKind.RESET, head=0.0)]

    found = [(asked(one).reply.ending, wishing(one, fault="reset").reply.ending) for _ in range(3)]

    assert found == [tuple(kinds)] * 3


def test_a_client_may_ask_for_an_error_with_a_fault() -> None:
    found = wishing(granting(), error="overloaded", fault='{"pause": "2s"}')

    assert (found.reply.status, found.reply.before_head) == (503, 2.0)


def test_what_a_client_asks_for_may_be_drawn() -> None:
    one = granting()

    found = {
        wishing(one, fault='{"end": "cut", "chance": 0.5}').reply.ending.kind for _ in "x" * 32
    }

    assert found == {EndingKind.CUT, EndingKind.COMPLETE}


def test_a_bad_wish_is_a_400() -> None:
    found = wishing(granting(), fault="brake")

    assert found.reply.status == 400
    assert told(found)["error"]["code"] == "invalid_wish"
    assert found.match.outcome is Outcome.REFUSED


def test_a_client_that_asks_for_a_place_that_is_not_there_gets_a_400() -> None:
    found = wishing(granting(), fault='{"end": "cut", "after": {"events": 1}}')

    assert found.reply.status == 400
    assert told(found)["error"]["message"] == (
        "x-mockllm-fault: the answer is not a stream and has no events"
    )


def test_wishes_are_ignored_unless_they_are_allowed() -> None:
    one = LoneApp(Engine(load(Config.from_dict({"mocks": [{"reply": TEXT}]}))))

    assert wishing(one, error="overloaded", fault="reset").ready is not None


def test_an_echo_has_the_fault_that_a_client_asks_for() -> None:
    one = LoneApp(Engine(load(Config()), echo=echo, client_faults=True))

    found = wishing(one, fault='{"end": "cut", "after": "first_token"}', stream=True)

    assert found.reply.ending.kind is EndingKind.CUT
