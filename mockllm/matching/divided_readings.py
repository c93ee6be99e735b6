"""Reads long conversations in pieces, so that no request holds up others.

A reading that takes long has a function here that returns the same with pauses. Those of a short
conversation are made at once: a generator takes longer than most of them.

What a reading of 300,000 messages has made takes 20 ms to free, so it is also given to the prompt's
`leftovers`: whoever has let go of the prompt takes it apart. It is a list that grew with the
reading, not a tuple, because the collection of young garbage looks at all values of a new tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from mockllm.matching import readings
from mockllm.matching.readings import Reading, Texts, with_joined
from mockllm.pieces import Pieces
from mockllm.prompt import ConversationMessage, Prompt, ToolResult, conversation
from mockllm.prompt.conversation import TurnDivider, bodies_in_slices, slices
from mockllm.prompt.prompt import messages_of_turns, read_messages_in_pieces

_S = TypeVar("_S")
_T = TypeVar("_T")

Divided = Callable[[Prompt], Pieces[Any]]
"""Makes a reading with pauses."""


def in_pieces(prompt: Prompt, wanted: Iterable[Reading]) -> Pieces[None]:
    """Make the readings `wanted` of a prompt, so that `Prompt.once` has them, with pauses."""
    for read in wanted:
        if prompt.has_read(read):
            continue
        divided = _DIVIDED.get(read)
        if divided is None:
            prompt.once(read)
            continue
        made = yield from divided(prompt)
        prompt.keep(read, made)
        prompt.let_go_later((made,))
        if prompt.leftovers is not None:
            yield False


def divide(read: Reading, divided: Divided) -> None:
    """Let `in_pieces` make the reading `read` by `divided`, which returns the same."""
    _DIVIDED[read] = divided


def joined_in_pieces(texts: Texts) -> Pieces[Texts]:
    """Return what `with_joined` does, with pauses."""
    if len(texts) <= conversation.MESSAGES_AT_ONCE:
        return with_joined(texts)
    joined: list[str] = []
    for some in slices(texts):
        joined += some
        yield False
    joined.append((yield from join_in_pieces(texts)))
    return joined


def join_in_pieces(texts: Texts) -> Pieces[str]:
    """Return `texts`, joined by a newline, with pauses."""
    parts = yield from read_slices(texts, lambda each: ("\n".join(each),))
    if len(parts) > 1:
        yield True  # 10 MB take 7 ms
    return "\n".join(parts)


def read_slices(
    values: Sequence[_S], read: Callable[[Sequence[_S]], Iterable[_T]]
) -> Pieces[list[_T]]:
    """Return what `read` gives of one slice of `values` after the other, with pauses between."""
    found: list[_T] = []
    for number, some in enumerate(slices(values)):
        if number:
            yield False
        found += read(some)
    return found


def _turns(prompt: Prompt) -> Pieces[Sequence[Sequence[ConversationMessage]]]:
    turns = TurnDivider()
    for number, some in enumerate(slices(messages_of_turns(prompt))):
        if number:
            yield False
        turns.add(some)
    return turns.result()


def _words(turn: Sequence[ConversationMessage]) -> Pieces[Texts]:
    found: list[str] = []
    for number, some in enumerate(slices(turn)):
        if number:
            yield False
        for message in some:
            if message.role != "user":
                continue
            for place, texts in enumerate(slices(message.texts)):
                if place:
                    yield False
                found += texts
    return found


def _user(prompt: Prompt) -> Pieces[Texts]:
    turn = prompt.last_turn()
    if (yield from _has_result(turn)):
        return ()
    return (yield from _words(turn))


def _last_user(prompt: Prompt) -> Pieces[Texts | None]:
    for back, turn in enumerate(reversed(prompt.turns()), 1):
        found = yield from _words(turn)
        if found:
            return found
        if not back % conversation.MESSAGES_AT_ONCE:
            yield False
    return readings.earlier_words(prompt)


def _step(prompt: Prompt) -> Pieces[int | None]:
    for back, turn in enumerate(reversed(prompt.turns()), 1):
        if turn and not (yield from _has_result(turn)):
            return back
        if not back % conversation.MESSAGES_AT_ONCE:
            yield False
    return readings.steps_since_earlier_words(prompt)


def _has_result(turn: Sequence[ConversationMessage]) -> Pieces[bool]:
    for number, some in enumerate(slices(turn)):
        if number:
            yield False
        if readings.has_result(some):
            return True
    return False


def _system(prompt: Prompt) -> Pieces[Texts]:
    found: list[str] = []
    for number, body in enumerate(bodies_in_slices(prompt.body, prompt.readers.conversation)):
        if number:
            yield False
        found += yield from _drain(prompt.readers.system(body))
    return found


def _tools(prompt: Prompt) -> Pieces[Texts]:
    return (yield from _drain(prompt.readers.tools(prompt.body)))


def _tool_sets(prompt: Prompt) -> Pieces[Sequence[Collection[str]]]:
    return (yield from read_slices(prompt.once(readings.tools), readings.sets_of_names))


def _drain(values: Iterable[_T]) -> Pieces[list[_T]]:
    """Return a list of the values, which are read one by one, with pauses."""
    found: list[_T] = []
    for value in values:
        found.append(value)
        if not len(found) % conversation.MESSAGES_AT_ONCE:
            yield False
    return found


def _spoken(prompt: Prompt) -> Pieces[Sequence[ConversationMessage]]:
    joining = readings.Spoken()
    for number, some in enumerate(slices(prompt.messages())):
        if number:
            yield False
        joining.add(some)
    spoken = joining.result()
    prompt.let_go_later((spoken[-1].texts,) if spoken else ())
    return spoken


def _spoken_texts(prompt: Prompt) -> Pieces[Sequence[tuple[ConversationMessage, Texts]]]:
    return (yield from _with_tested(prompt.once(readings.spoken)))


def _result_texts(prompt: Prompt) -> Pieces[Sequence[tuple[ToolResult, Texts]]]:
    return (yield from _with_tested(prompt.once(readings.results)))


_M = TypeVar("_M", bound=ConversationMessage)


def _with_tested(messages: Sequence[_M]) -> Pieces[Sequence[tuple[_M, Texts]]]:
    found: list[tuple[_M, Texts]] = []
    for message in messages:
        found.append((message, (yield from joined_in_pieces(message.texts))))
        if not len(found) % conversation.MESSAGES_AT_ONCE:
            yield False
    return found


def _all_texts(prompt: Prompt) -> Pieces[Texts]:
    return (yield from _tested(prompt.once(readings.spoken_texts)))


def _all_result_texts(prompt: Prompt) -> Pieces[Texts]:
    return (yield from _tested(prompt.once(readings.result_texts)))


def _tested(messages: Sequence[tuple[ConversationMessage, Texts]]) -> Pieces[list[str]]:
    """Return what `readings.tested` does, with pauses, also within the texts of one message."""
    found: list[str] = []
    for number, (_, texts) in enumerate(messages, 1):
        if len(texts) <= conversation.MESSAGES_AT_ONCE:
            found += texts
        else:
            for some in slices(texts):
                found += some
                yield False
        if not number % conversation.MESSAGES_AT_ONCE:
            yield False
    return found


def _results(prompt: Prompt) -> Pieces[Sequence[ToolResult]]:
    return (yield from read_slices(prompt.last_turn(), readings.results_among))


def _parts(prompt: Prompt) -> Pieces[None]:
    for message in prompt.last_messages:
        yield from message.make_parts(prompt.let_go_later)


_DIVIDED: dict[Reading, Divided] = {
    readings.messages: read_messages_in_pieces,
    readings.turns: _turns,
    readings.system: _system,
    readings.tools: _tools,
    readings.tool_sets: _tool_sets,
    readings.user: _user,
    readings.last_user: _last_user,
    readings.step: _step,
    readings.spoken: _spoken,
    readings.spoken_texts: _spoken_texts,
    readings.all_texts: _all_texts,
    readings.results: _results,
    readings.parts: _parts,
    readings.result_texts: _result_texts,
    readings.all_result_texts: _all_result_texts,
}
