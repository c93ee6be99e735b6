"""Finds out in pieces, before a large answer is rendered, what takes long to find out about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.engine.decision import Answer, Beforehand
from mockllm.pieces import Pieces
from mockllm.providers.api import API
from mockllm.providers.completed import CompletedResponse, long_lists
from mockllm.providers.speech import Speech, measure_in_pieces, measure_response
from mockllm.wire.tokens import BYTES_PER_TOKEN, estimate_value_in_pieces


def look_at(api: API, answer: Answer) -> Pieces[Beforehand]:
    """Return what rendering and observing `answer` would find out at once, with pauses."""
    speaker, response = api.speaker, answer.response
    completed: CompletedResponse | None = None
    speech: Speech | None = None
    if speaker is not None and speaker.complete_in_pieces is not None:
        completed = yield from speaker.complete_in_pieces(response)
        if answer.pace is not None and answer.events is not None:
            speech = yield from measure_in_pieces(speaker, answer.events)
        elif answer.pace is not None:
            speech = yield from measure_response(speaker, completed)
    size = answer.size or 0
    if answer.number is None and answer.size is None:
        size = BYTES_PER_TOKEN * (yield from estimate_value_in_pieces(response))
    return Beforehand(completed, speech, size)


def parts_of(answer: Answer | None) -> Iterator[list[Any]]:
    """Yield the parts of a large answer that was made for one request, in lists that nothing else
    refers to: to let go of 100,000 parts at once takes 15 ms."""
    if answer is None or answer.beforehand is None or answer.number is not None:
        return
    for response in (answer.response, answer.beforehand.completed):
        for parts in long_lists(response):
            yield [*parts]
