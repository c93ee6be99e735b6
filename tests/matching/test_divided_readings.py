"""Readings of a long conversation: they are those of a short one, and no piece of them is long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching import readings
from mockllm.matching.divided_readings import in_pieces, joined_in_pieces
from mockllm.matching.readings import Reading
from mockllm.matching.subjects import Subject
from mockllm.pieces import finish
from mockllm.prompt import ConversationMessage, Earlier, Prompt, ToolCall, ToolResult
from mockllm.prompt.conversation import MESSAGES_AT_ONCE
from tests.support.conversations import (
    Conversation,
    as_chat,
    as_messages,
    as_responses,
    conversations,
)
from tests.support.strategies import ask_chat

READINGS: list[Reading] = [
    readings.messages,
    readings.turns,
    readings.system,
    readings.tools,
    readings.tool_sets,
    readings.user,
    readings.last_user,
    readings.turn,
    readings.step,
    readings.spoken,
    readings.spoken_texts,
    readings.all_texts,
    readings.results,
    readings.result_texts,
    readings.all_result_texts,
    *(each for subject in Subject for each in subject.value.readings),
]
LONG = 5 * MESSAGES_AT_ONCE


class Counted(tuple[Any, ...]):
    """Counts those of its values that are looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[Any]:
        for value in super().__iter__():
            Counted.looked_at += 1
            yield value

    def __reversed__(self) -> Iterator[Any]:
        for value in super().__getitem__(slice(None, None, -1)):
            Counted.looked_at += 1
            yield value

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return Counted(found) if isinstance(at, slice) else found

    def __add__(self, other: Any) -> Any:
        raise AssertionError("a long tuple is not added up message by message")


def _plain(value: Any) -> Any:
    """A value with tuples instead of lists."""
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


@given(
    st.sampled_from([as_chat, as_messages, as_responses]), conversations(), st.sampled_from([1, 2])
)
def test_readings_that_are_made_in_pieces_are_the_same(
    ask: Callable[[Conversation], Prompt], conversation: Conversation, most: int
) -> None:
    at_once, divided = ask(conversation), ask(conversation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.prompt.conversation.MESSAGES_AT_ONCE", most)
        for read in READINGS:
            assert set(in_pieces(divided, [read])) <= {False, True}
            assert divided.has_read(read)
            assert _plain(divided.once(read)) == _plain(at_once.once(read))


@given(st.lists(st.sampled_from(["a", "", "\n"]), max_size=5), st.integers(1, 3))
def test_texts_are_joined_in_pieces_as_at_once(texts: list[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.prompt.conversation.MESSAGES_AT_ONCE", most)
        found = finish(joined_in_pieces(tuple(texts)))

    assert tuple(found) == readings.with_joined(tuple(texts))


def test_many_texts_are_joined_with_pauses() -> None:
    assert len(list(joined_in_pieces(("a",) * LONG))) >= LONG // MESSAGES_AT_ONCE - 1


def test_a_chain_that_is_not_known_is_read_in_pieces() -> None:
    prompt = ask_chat([{"role": "tool", "tool_call_id": "c", "content": "ok"}])
    prompt.earlier = Earlier(answers=2, step=1, last_user=("hi",))

    assert list(in_pieces(prompt, [readings.last_user, readings.step])) == []
    assert (prompt.once(readings.last_user), prompt.once(readings.step)) == (("hi",), 2)


USER = ConversationMessage("user", ("a",))
SILENT = ConversationMessage("user")
ANSWER = ConversationMessage("assistant", ("b",))
RESULT = ToolResult(texts=("c",), name="f")


def _with(read: Reading, value: Any) -> Prompt:
    """A prompt of which `read` gives many equal values."""
    prompt = ask_chat([{"role": "user", "content": "hi"}])
    prompt.keep(read, Counted([value] * LONG))
    return prompt


def _with_messages(message: ConversationMessage) -> Prompt:
    return _with(readings.messages, message)


def _with_turns(turn: tuple[ConversationMessage, ...]) -> Prompt:
    return _with(readings.turns, turn)


def _with_turn(message: ConversationMessage) -> Prompt:
    prompt = ask_chat([{"role": "user", "content": "hi"}])
    turns: Reading = readings.turns
    prompt.keep(turns, (Counted([message] * LONG),))
    return prompt


@pytest.mark.parametrize(
    ("read", "prompt"),
    [
        (readings.turns, _with_messages(USER)),
        (readings.turns, _with_messages(ANSWER)),
        (readings.spoken, _with_messages(USER)),
        (readings.spoken, _with_messages(ANSWER)),
        (readings.spoken, _with_messages(RESULT)),
        (readings.user, _with_turn(USER)),
        (readings.last_user, _with_turn(USER)),
        (readings.last_user, _with_turn(SILENT)),
        (readings.last_user, _with_turns((SILENT,))),
        (readings.last_user, _with_turns((RESULT,))),
        (readings.step, _with_turn(USER)),
        (readings.step, _with_turns(())),
        (readings.step, _with_turns((RESULT,))),
        (readings.results, _with_turn(RESULT)),
        (readings.result_texts, _with(readings.results, RESULT)),
        (readings.all_result_texts, _with(readings.result_texts, (RESULT, ("c",)))),
        (readings.spoken_texts, _with(readings.spoken, USER)),
        (readings.all_texts, _with(readings.spoken_texts, (USER, ("a",)))),
    ],
)
def test_no_piece_of_a_reading_looks_at_many_messages(read: Reading, prompt: Prompt) -> None:
    Counted.looked_at = 0
    at_pauses = [Counted.looked_at for _ in in_pieces(prompt, [read])]

    longest = max(after - before for before, after in pairwise([0, *at_pauses, Counted.looked_at]))
    assert 0 < longest <= 2 * MESSAGES_AT_ONCE


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_there_are_pauses_while_a_long_conversation_is_read(role: str) -> None:
    prompt = ask_chat([{"role": role, "content": "hi"}] * LONG)

    assert len(list(in_pieces(prompt, [readings.messages]))) >= LONG // MESSAGES_AT_ONCE
    assert list(in_pieces(prompt, [readings.messages])) == []


@pytest.mark.parametrize("read", [readings.all_texts, readings.all_result_texts])
def test_the_texts_of_one_message_are_read_with_pauses(read: Reading) -> None:
    """What is made in one piece is all looked at for garbage: 300,000 texts took 10 ms."""
    texts = [str(at) for at in range(LONG)]
    is_said = read is readings.all_texts
    made_of: Reading = readings.spoken_texts if is_said else readings.result_texts
    prompt = ask_chat([{"role": "user", "content": "hi"}])
    prompt.keep(made_of, [(RESULT, texts)])

    assert len(list(in_pieces(prompt, [read]))) >= LONG // MESSAGES_AT_ONCE
    assert list(prompt.once(read)) == texts


def test_the_texts_of_a_large_request_are_let_go_of_in_parts() -> None:
    parts = [{"type": "text", "text": "hi"}] * 2_000
    prompt = ask_chat([{"role": "user", "content": parts}])
    prompt.leftovers = []

    pauses = len(list(in_pieces(prompt, [readings.messages, readings.turns, readings.user])))

    said = prompt.messages()[0].texts
    assert any(each is said for each in prompt.leftovers)
    assert pauses >= 3


def test_a_short_conversation_is_read_without_a_pause() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}] * (MESSAGES_AT_ONCE - 1))

    assert list(in_pieces(prompt, READINGS)) == []


def test_messages_of_one_answer_are_merged_once_for_all() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answers = [{"role": "assistant", "content": "a", "tool_calls": [call]}] * 3
    prompt = ask_chat([*answers, {"role": "user", "content": "hi"}, answers[0]])

    assert prompt.messages()[0] == ConversationMessage(
        "assistant", ("a",) * 3, (ToolCall("c", "f"),) * 3
    )
    assert prompt.messages()[2] == ConversationMessage("assistant", ("a",), (ToolCall("c", "f"),))


def test_what_is_read_of_a_long_conversation_is_left_behind() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}] * LONG)
    prompt.leftovers = []

    list(in_pieces(prompt, [readings.messages, readings.turns]))

    assert prompt.leftovers == [prompt.messages(), prompt.turns()]
