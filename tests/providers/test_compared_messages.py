"""The messages of a request that rules compare."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import Message
from mockllm.providers import compared_messages
from mockllm.wire import jsontext
from tests.providers.test_normalise import Json

SYSTEM: Json = {"role": "system", "content": "rules"}


NOTE: Json = {"role": "developer", "content": "note"}


USER: Json = {"role": "user", "content": "hi"}


ANSWER: Json = {"role": "assistant", "content": "ho"}


@pytest.mark.parametrize(
    ("messages", "compared"),
    [
        ([USER], [USER]),
        ([SYSTEM, ANSWER, USER], [USER]),
        ([USER, ANSWER], [ANSWER]),
        ([USER, NOTE], [NOTE, USER]),
        ([ANSWER, USER, SYSTEM, NOTE], [NOTE, USER]),
        ([SYSTEM], [SYSTEM]),
        ([SYSTEM, NOTE], [NOTE]),
        ([7, NOTE], [NOTE, 7]),
        ([USER, 7], [7]),
    ],
)
def test_rules_compare_the_last_message_and_the_turn_before_notes(
    messages: list[Any], compared: list[Any]
) -> None:
    def read(message: Any) -> Message:
        return Message("", (), (), (message,), jsontext.canonical)

    found = compared_messages.last_and_turn(messages, read)

    assert [message.items for message in found] == [(message,) for message in compared]


@pytest.mark.parametrize("message", [USER, ANSWER, {}, {"role": ["system"]}, "system", None, 7])
def test_turns_and_strange_values_are_no_system_notes(message: Any) -> None:
    assert compared_messages.is_system_note(SYSTEM)
    assert compared_messages.is_system_note(NOTE)
    assert not compared_messages.is_system_note(message)
