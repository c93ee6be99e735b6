"""Functions that answer: which values are functions, and what they are given."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from mockllm import Config, ConfigError, Entry, Mock, OpenAIMock
from mockllm.config.functions import Prompt, is_function
from mockllm.exchange import Request
from mockllm.prompt import Earlier
from tests.support.strategies import ask_chat

NOTE_AND_WORDS = [{"type": "text", "text": each} for each in ("<note>", "Weather?")]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": NOTE_AND_WORDS},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "15 degrees"},
]


def answer(prompt: Prompt) -> str:
    return prompt.user


async def later(prompt: Prompt) -> str:
    return prompt.user


class Answers:
    def __call__(self, prompt: Prompt) -> str:
        return prompt.user


def prompt_of(*headers: tuple[bytes, bytes], **members: Any) -> Prompt:
    return Prompt("chat", ask_chat(MESSAGES, **members), Request.of("POST", "/", headers), "s", 2)


@pytest.mark.parametrize("value", [answer, later, Answers(), functools.partial(answer), print])
def test_what_can_be_called_is_a_function(value: Any) -> None:
    assert is_function(value)
    assert Mock(reply=value).function is value
    assert Mock(reply=value).said is None
    assert Mock(reply=value).has_answer
    assert OpenAIMock(reply=value).function is value
    assert Config.from_dict({"mocks": [{"reply": value}]}).mocks[0].function is value


@pytest.mark.parametrize("value", [Answers, str, "answer", None, 5, {}])
def test_a_class_and_other_values_are_no_functions(value: Any) -> None:
    assert not is_function(value)


def test_a_class_in_place_of_a_function_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="reply: expected a text or an object"):
        Config.from_dict({"mocks": [{"reply": Answers}]})


def test_an_entry_may_be_a_function() -> None:
    mock = Mock(sequence=[answer, Entry(reply=later), {"reply": answer, "times": 2}])

    assert [entry.function for _, entry in mock.entries()] == [answer, later, answer]


def test_a_prompt_has_what_conditions_look_at() -> None:
    prompt = prompt_of((b"X-Test".lower(), b"one"), (b"authorization", b"Bearer sk-1"), stream=True)

    assert (prompt.api, prompt.session, prompt.attempt) == ("chat", "s", 2)
    assert (prompt.user, prompt.system) == ("Weather?", "Be brief.\nBe kind.")
    assert (prompt.turn, prompt.step, prompt.stream) == (2, 2, True)
    assert prompt.model == prompt.body["model"]
    assert prompt.headers == {"x-test": "one", "authorization": "***"}
    assert [message.role for message in prompt.messages] == ["user", "assistant", "tool"]
    assert prompt.messages[0].text == "<note>\nWeather?"
    assert [(each.name, each.call_id, each.text) for each in prompt.tool_results] == [
        ("f", "c", "15 degrees")
    ]
    assert prompt.tools == ()
    assert repr(prompt) == "<Prompt of chat: 'Weather?'>"


def test_headers_are_utf_8_or_latin_1() -> None:
    prompt = prompt_of((b"x-a", "é".encode()), (b"x-b", "é".encode("latin-1")))

    assert prompt.headers == {"x-a": "é", "x-b": "é"}


def test_the_turn_of_a_conversation_that_is_not_stored_is_not_known() -> None:
    decoded = ask_chat(MESSAGES[2:])
    decoded.readers = decoded.readers._replace(continues=lambda body: True)
    prompt = Prompt("responses", decoded, Request.of("POST", "/"), "", 1)

    with pytest.raises(LookupError, match="'turn' is not known: the request continues"):
        prompt.turn  # noqa: B018  # it raises


def test_the_turn_of_a_conversation_that_is_stored_counts_its_answers() -> None:
    decoded = ask_chat(MESSAGES[2:])
    decoded.earlier = Earlier(answers=3)

    assert Prompt("responses", decoded, Request.of("POST", "/"), "", 1).turn == 5


def test_texts_and_calls_are_tuples_however_many_they_are() -> None:
    parts = [{"type": "text", "text": "x"}] * 2_000
    prompt = Prompt(
        "chat",
        ask_chat(
            [
                {"role": "user", "content": parts},
                {"role": "assistant", "content": parts, "tool_calls": [CALL] * 2_000},
                {"role": "tool", "tool_call_id": "c", "content": parts},
            ]
        ),
        Request.of("POST", "/"),
        "",
        1,
    )

    user, assistant, result = prompt.messages
    assert user.texts == assistant.texts == result.texts == ("x",) * 2_000
    assert assistant.calls == (("c", "f"),) * 2_000
    assert prompt.tool_results == (result,)
    assert len({user, assistant, result}) == 3
