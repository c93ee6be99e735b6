from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from mockllm.config.values import DONE
from mockllm.engine.decision import Answer, Outcome
from mockllm.engine.sources import FixedSource, GeneratedSource, ReplySource, render
from mockllm.exchange import PAUSE, LazySteps
from mockllm.prompt import NOT_STREAMED, STREAMED
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.reply import NeutralReply
from mockllm.wire import sse
from tests.support.goldens import delivered
from tests.support.served import events
from tests.support.strategies import ask_chat

APIS = (CHAT, RESPONSES, MESSAGES)
EVENTS = [{"type": "first"}, {"type": "second", "text": "é"}]

apis = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def asking(text: str) -> Any:
    return ask_chat([{"role": "user", "content": text}])


# --- Sources --------------------------------------------------------------------------------------


def test_a_fixed_source_gives_every_prompt_the_same_answer() -> None:
    answer = Answer({"choices": []}, "char")
    source = FixedSource(answer)

    assert source.answer(asking("a")) is answer
    assert source.answer(asking("b")) is answer
    assert (source.outcome, source.reusable) == (Outcome.MOCK, True)


def test_a_generated_source_generates_an_answer_for_each_prompt() -> None:
    source = GeneratedSource(
        lambda prompt: {"said": prompt.text}, Outcome.ECHO, reusable=True, chunk="char"
    )

    answers = [source.answer(asking(text)) for text in "ab"]

    assert answers == [Answer({"said": "a"}, "char"), Answer({"said": "b"}, "char")]
    assert [answer.number for answer in answers] == [None, None]


def test_json_is_fixed_unless_the_request_forces_a_tool() -> None:
    assert CHAT.respond is not None
    reply = NeutralReply(json='{"a":1}')
    fixed = Answer(CHAT.respond(reply, {}), "char", number=0)
    source = ReplySource(fixed, reply, CHAT)
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    messages = [{"role": "user", "content": "a"}]

    free = source.answer(ask_chat(messages, tools=[tool]))
    forced = source.answer(ask_chat(messages, tools=[tool], tool_choice="required"))

    assert free is fixed
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    message = {"content": None, "tool_calls": [call]}
    assert forced == Answer({"choices": [{"message": message}]}, "char")


# --- Rendering ------------------------------------------------------------------------------------


@apis
def test_configured_events_are_streamed_in_place_of_the_response(api: API) -> None:
    answer = Answer(api.text_response("never sent"), "word", EVENTS)

    reply = render(api, answer, STREAMED)

    assert events(delivered(reply)) == EVENTS
    assert (reply.status, reply.headers) == (200, api.vendor.stream_headers)
    assert reply.streamed


@apis
def test_the_response_is_sent_to_a_request_that_is_not_streamed(api: API) -> None:
    response = api.text_response("whole")

    with_events = delivered(render(api, Answer(response, "word", EVENTS), NOT_STREAMED))

    assert with_events == delivered(render(api, Answer(response, "word"), NOT_STREAMED))
    assert b"whole" in with_events
    assert orjson.loads(with_events)


@apis
def test_a_stream_without_configured_events_is_rendered_from_the_response(api: API) -> None:
    body = delivered(render(api, Answer(api.text_response("a b"), "char"), STREAMED))

    assert body == delivered(api.render(api.text_response("a b"), STREAMED, "char"))
    assert body != delivered(api.render(api.text_response("a b"), STREAMED, "word"))


def test_an_empty_list_of_events_is_an_empty_stream() -> None:
    assert delivered(render(CHAT, Answer({}, "word", []), STREAMED)) == b""


def test_a_configured_end_mark_is_sent_as_such() -> None:
    reply = render(CHAT, Answer({}, "word", [*EVENTS, DONE]), STREAMED)

    assert [step.data for step in reply.steps][-1] == sse.DONE


def test_configured_events_are_rendered_while_they_are_sent() -> None:
    begun = []

    class Recorded(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for event in super().__iter__():
                begun.append(event)
                yield event

    reply = render(CHAT, Answer({}, "word", Recorded(EVENTS)), STREAMED)
    before = list(begun)
    next(iter(reply.steps))

    assert isinstance(reply.steps, LazySteps)
    assert (before, begun) == ([], EVENTS[:1])


@apis
def test_a_large_written_event_is_rendered_in_pieces(api: API) -> None:
    event = {"type": "an.event", "text": "wörd \u2028" * 500_000, "last": 5}
    answer = Answer({}, events=[event, {"type": "end"}])

    steps = tuple(render(api, answer, STREAMED).steps)

    assert steps.count(PAUSE) > 10
    frames = [step.data for step in steps if step != PAUSE]
    assert frames == [api.frame(event), api.frame({"type": "end"})]
