from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.pieces import finish
from mockllm.prompt import (
    NOT_STREAMED,
    Body,
    ConversationMessage,
    Prompt,
    Readers,
    ToolCall,
    ToolResult,
    conversation,
)
from mockllm.prompt.conversation import KeptTexts

USER = ConversationMessage("user", ("weather?",))
CALL = ConversationMessage("assistant", (), (ToolCall("call_1", "get_weather"),))
RESULT = ToolResult(texts=("15 degrees",), call_id="call_1", name="get_weather")
ANSWER = ConversationMessage("assistant", ("It is 15 degrees.",))
REASONING = ConversationMessage("assistant")


def prompt_of(*messages: ConversationMessage) -> Prompt:
    return Prompt("api", "m", (), NOT_STREAMED, {}, Readers(messages=lambda body: messages))


@given(st.lists(st.text(max_size=3)), st.integers(1, 3), st.data())
def test_kept_texts_are_the_same(texts: list[str], most: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversation, "MESSAGES_AT_ONCE", most)
        kept = finish(KeptTexts.of(texts))
    part = data.draw(st.slices(len(texts)))

    assert ([*kept], len(kept), kept[part]) == (texts, len(texts), texts[part])
    if texts:
        assert (kept[0], kept[-1]) == (texts[0], texts[-1])
    with pytest.raises(IndexError):
        kept[len(texts)]


def test_a_conversation_is_read_once_when_it_is_asked_for() -> None:
    bodies = []

    def read(body: Body) -> Iterator[ConversationMessage]:
        bodies.append(body)
        yield USER

    prompt = Prompt("api", "m", (), NOT_STREAMED, {"a": 1}, Readers(messages=read))
    assert bodies == []

    prompt.messages(), prompt.last_turn(), prompt.messages()
    assert bodies == [{"a": 1}]


def test_an_answer_in_several_pieces_is_one_message() -> None:
    prompt = prompt_of(USER, REASONING, ANSWER, CALL)

    assert prompt.messages() == (
        USER,
        ConversationMessage("assistant", ANSWER.texts, CALL.calls),
    )


def test_a_result_has_the_name_of_its_call_wherever_that_was_made() -> None:
    nameless = ToolResult(texts=RESULT.texts, call_id="call_1")
    unknown = ToolResult(texts=("?",), call_id="call_2")

    prompt = prompt_of(USER, CALL, USER, ANSWER, nameless, unknown)

    assert prompt.last_turn() == (RESULT, unknown)


@pytest.mark.parametrize(
    ("messages", "last_turn"),
    [
        ((), ()),
        ((USER,), (USER,)),
        ((USER, ANSWER, USER, USER), (USER, USER)),
        ((USER, CALL, RESULT), (RESULT,)),
        ((USER, CALL, RESULT, USER), (RESULT, USER)),
        ((USER, CALL), ()),
        ((USER, CALL, RESULT, ANSWER), (RESULT,)),
        ((USER, REASONING), ()),
        ((ANSWER,), ()),
    ],
)
def test_the_last_turn_is_everything_after_the_last_answer(
    messages: tuple[ConversationMessage, ...], last_turn: tuple[ConversationMessage, ...]
) -> None:
    assert prompt_of(*messages).last_turn() == last_turn
