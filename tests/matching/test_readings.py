"""Readings of a conversation that no other test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching import readings
from mockllm.prompt import ConversationMessage
from tests.support.strategies import ask_chat, ask_messages

IMAGE = {"type": "image_url", "image_url": {"url": "https://x"}}


def test_texts_of_a_message_are_its_parts_and_all_of_them_joined() -> None:
    assert readings.with_joined(()) == ("",)
    assert readings.with_joined(("a",)) == ("a",)
    assert readings.with_joined(("a", "b")) == ("a", "b", "a\nb")


def test_an_image_alone_is_a_turn_without_words() -> None:
    answer = {"role": "assistant", "content": "ok"}
    question = {"role": "user", "content": "hi"}
    prompt = ask_chat([question, answer, {"role": "user", "content": [IMAGE]}])

    assert readings.user(prompt) == ()
    assert readings.last_user(prompt) == ("hi",)
    assert readings.step(prompt) == 1


def test_messages_of_the_user_in_one_turn_are_one_message() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
    blocks = [{"type": "text", "text": "a"}, result, {"type": "text", "text": "b"}]

    spoken = readings.spoken(ask_messages([{"role": "user", "content": blocks}]))

    assert spoken[1:] == (ConversationMessage("user", ("a", "b")),)


def test_a_reading_is_made_once() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}])

    assert prompt.once(readings.spoken) is prompt.once(readings.spoken)


def test_a_text_is_folded_once() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}])

    folded = readings.fold_of(prompt)("HI")

    assert folded == "hi"
    assert readings.fold_of(prompt)("hI".upper()) is folded


SAID = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "developer"]),
        "content": st.sampled_from(["", "a", "b"]),
    }
)


@given(st.lists(SAID, max_size=6))
def test_the_words_of_a_plain_conversation_are_those_of_any_other(said: list[Any]) -> None:
    plain = ask_chat([*said, {"role": "user", "content": "hi"}])
    other = replace(plain, is_plain=False)

    assert plain.is_plain
    assert readings.user(plain) == readings.user(other)
    assert readings.last_user(plain) == readings.last_user(other)
