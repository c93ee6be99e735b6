"""The parts of chat completions that faults refer to (openai 3.54.0: `ChatCompletionChunk`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.providers.openai.chat.stream import frame
from mockllm.providers.openai.chat.texts import REASONING
from mockllm.replies.anatomy import NO_EVENT, Anatomy, Event, SaidMember, entries_of, texts_of

_TEXTS = (*REASONING, "content", "refusal")
_TEXT_OF_COMPLETION = ("text",)  # a choice of legacy completions has it instead of a message
_ARGUMENTS = ("arguments", "input")
_DONE = Event(is_end=True)


def _read_event(value: Any) -> Event:
    if value == "[DONE]":
        return _DONE
    choices = entries_of(value, "choices")
    text, call = "", None
    for choice in choices:
        delta = choice.get("delta")
        text += texts_of(choice, _TEXT_OF_COMPLETION) + texts_of(delta, _TEXTS)
        for index, function in _calls(delta):
            text += texts_of(function, _ARGUMENTS)
            call = index if call is None else call
    is_finish = any(choice.get("finish_reason") is not None for choice in choices)
    return Event(text=text, call=call, is_finish=is_finish) if choices else NO_EVENT


def _read_answer(answer: dict[str, Any]) -> Iterator[SaidMember]:
    for choice in entries_of(answer, "choices"):
        for name in _TEXT_OF_COMPLETION:
            if isinstance(choice.get(name), str):
                yield SaidMember(name, choice[name])
        message = choice.get("message")
        if not isinstance(message, dict):
            continue
        for name in _TEXTS:
            if isinstance(message.get(name), str):
                yield SaidMember(name, message[name])
        for _, function in _calls(message):
            for member in _ARGUMENTS:
                if isinstance(function.get(member), str):
                    yield SaidMember(member, function[member], is_argument=True)


def _calls(message: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each call in a message or a delta, with what has its arguments."""
    for position, call in enumerate(entries_of(message, "tool_calls")):
        for kind in ("function", "custom"):
            if isinstance(call.get(kind), dict):
                yield call.get("index", position), call[kind]
    if isinstance(message, dict) and isinstance(message.get("function_call"), dict):
        yield 0, message["function_call"]


def _error_events(body: dict[str, Any], first: Any, sent: int) -> Iterator[dict[str, Any]]:
    """One event with the error, behind which the service sends nothing."""
    yield {"error": body.get("error")}


ANATOMY = Anatomy(_read_event, _read_answer, _error_events, frame, has_kinds=False)
