"""Finds out in pieces, before a large answer is rendered, what takes long to find out about it."""

from __future__ import annotations

from mockllm.engine.decision import Answer, Beforehand
from mockllm.pieces import Pieces
from mockllm.providers.api import API
from mockllm.providers.completed import CompletedResponse
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
