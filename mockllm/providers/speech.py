"""Finds the words of a model in the events of a stream, and the event that completes each token.

It divides the tokens that `usage` counts among the events, in proportion to their characters: a
delta is complete with its last token, whatever its size. It does not know the form of any event,
nor how long a token takes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mockllm.exchange import Step, with_pauses
from mockllm.pieces import AT_ONCE, Pieces, finish
from mockllm.prompt import ResponseOptions
from mockllm.providers.completed import CompletedResponse
from mockllm.providers.counts import count
from mockllm.wire.chunking import Chunk
from mockllm.wire.tokens import BYTES_PER_TOKEN

UNCUT = sys.maxsize
"""The size of chunks by which no text is cut."""

_PLAIN = ResponseOptions(stream=True, include_obfuscation=False)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Speaker:
    """How an API's answers say the output of a model."""

    complete: Callable[[Object], Object]
    """A configured response, with its missing members filled in."""

    events: Callable[[Object, ResponseOptions, Chunk], Iterator[Object]]
    """The events of the stream of a completed response."""

    frame: Callable[[Object], bytes | Iterator[bytes]]
    """An event as bytes, a large one in pieces."""

    characters: Callable[[Object], int]
    """The number of characters of the model's output in an event."""

    is_thought: Callable[[Object], bool]
    """True if an event with output says the model's reasoning."""

    output: str
    """The member of `usage` that counts the output, whose details are in a member called after
    it."""

    reasoning: str
    """The detail that counts the reasoning."""

    opening: int = 0
    """The number of events that the service sends before the model's first token."""

    closing: tuple[bytes, ...] = ()
    """What follows the events."""

    complete_in_pieces: Callable[[Object], Pieces[CompletedResponse]] | None = None
    """`complete` with pauses, whose result `complete` returns as it is; None if no answer has many
    parts."""


class Speech(NamedTuple):
    """The output of one answer: `tokens` in all, of which `hidden` ones come first, because the
    model reasons without showing it; the others have so many `characters`."""

    tokens: int
    hidden: int
    characters: int


def count_tokens(speaker: Speaker, response: Object, speech: Speech | None = None) -> int:
    """Return the number of output tokens of a configured response: those of its `usage`, or of its
    `speech` if that was measured."""
    if speech is None:
        speech = finish(measure_response(speaker, speaker.complete(response)))
    return speech.tokens


def speak(
    speaker: Speaker,
    response: Object,
    options: ResponseOptions,
    chunk: Chunk,
    speech: Speech | None = None,
) -> Iterator[Step]:
    """Yield the steps of the stream of a configured response, each with the tokens that are
    complete with it. Its `speech` is measured unless it is given."""
    completed = speaker.complete(response)
    events = speaker.events(completed, options, chunk)
    if speech is None:
        speech = finish(measure_response(speaker, completed))
    yield from meter(speaker, events, speech)
    for data in speaker.closing:
        yield Step((data,))


def speak_events(
    speaker: Speaker, events: Sequence[Any], speech: Speech | None = None
) -> Iterator[Step]:
    """Yield the steps of a stream whose events are written, each with the tokens that are complete
    with it, which are estimated. An event that is not an object is the closing. Its `speech` is
    measured unless it is given."""
    objects = [event for event in events if isinstance(event, dict)]
    if speech is None:
        speech = measure(speaker, objects)
    yield from meter(speaker, objects, speech)
    if len(objects) < len(events):
        yield from (Step((data,)) for data in speaker.closing)


def measure(
    speaker: Speaker,
    events: Iterable[Object],
    tokens: int | None = None,
    reasoning: int | None = None,
) -> Speech:
    """Return the speech in `events`, whose texts need not be cut. `tokens` and the part of them
    that is `reasoning` are those that are counted; None is estimated."""
    return finish(measure_in_pieces(speaker, events, tokens, reasoning))


def measure_in_pieces(
    speaker: Speaker,
    events: Iterable[Any],
    tokens: int | None = None,
    reasoning: int | None = None,
) -> Pieces[Speech]:
    """Do what `measure` does, with pauses if there are many events; one that is not an object says
    nothing."""
    said = thought = 0
    for number, event in enumerate(events, 1):
        if number % AT_ONCE == 0:
            yield False
        if not isinstance(event, dict):
            continue
        characters = speaker.characters(event)
        said += characters
        if characters and speaker.is_thought(event):
            thought += characters
    if tokens is None:
        tokens = -(-said // BYTES_PER_TOKEN)
    hidden = max((reasoning or 0) - -(-thought // BYTES_PER_TOKEN), 0)
    return Speech(tokens, min(hidden, tokens), said)


def measure_response(speaker: Speaker, completed: Object) -> Pieces[Speech]:
    """Return the speech of a completed response, with pauses if it has many events."""
    usage = completed.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    details = counts.get(f"{speaker.output}_details")
    reasoning = details.get(speaker.reasoning) if isinstance(details, dict) else None
    events = speaker.events(completed, _PLAIN, UNCUT)
    tokens = count(counts.get(speaker.output))
    return (yield from measure_in_pieces(speaker, events, tokens, count(reasoning)))


def meter(speaker: Speaker, events: Iterable[Object], speech: Speech) -> Iterator[Step]:
    """Yield the steps of `events`, each with the tokens that are complete with it.

    The first event with output is complete with at least one token. What comes before it and is not
    part of the opening comes together with it: load tools take the first event for the first token.
    After each piece of a large event, there is a `PAUSE`, unless the opening has no event and it
    would be the first step.
    """
    said = complete = 0
    is_begun = False
    held: list[tuple[bytes, ...]] = []
    for number, event in enumerate(events):
        data, characters = speaker.frame(event), speaker.characters(event)
        if isinstance(data, bytes):
            pieces: tuple[bytes, ...] = (data,)
        elif is_begun or number < speaker.opening:
            pieces = yield from with_pauses(data)
        else:
            pieces = tuple(data)
        said += characters
        if number < speaker.opening or (said and not characters):
            yield Step(pieces)
            is_begun = True
            continue
        held.append(pieces)
        if characters:
            before, complete = complete, max(_tokens_until(said, speech), 1)
            yield from _together(held, complete - before)
            held, is_begun = [], True
    yield from _together(held, max(speech.tokens, 1))


def _tokens_until(said: int, speech: Speech) -> int:
    """Return the number of tokens that are complete after so many characters, to the nearest."""
    shown = speech.tokens - speech.hidden
    rounded = (2 * shown * said + speech.characters) // (2 * max(speech.characters, 1))
    return speech.hidden + min(rounded, shown)


def _together(frames: Iterable[tuple[bytes, ...]], tokens: int) -> Iterator[Step]:
    """Yield `frames` as steps that are complete with the same token."""
    for pieces in frames:
        yield Step(pieces, tokens=tokens)
        tokens = 0
