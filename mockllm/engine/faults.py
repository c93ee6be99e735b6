"""Compiles the faults of a mock, draws which of them happen, and applies them to its replies.

Errors need the engine: before the head and in an answer that is no stream, an error is the answer;
in a stream it is an event whose content the vendor's error has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from mockllm.config import fault as words
from mockllm.engine.decision import (
    Match,
    Planned,
    PlannedFault,
)
from mockllm.engine.failures import compile_error
from mockllm.exchange import EndingKind, Reply
from mockllm.pieces import Pieces
from mockllm.providers.api import API
from mockllm.providers.counts import count
from mockllm.providers.failures import Failure
from mockllm.replies.anatomy import Anatomy, KnownEvents
from mockllm.replies.fault_places import START, FaultPlace
from mockllm.replies.faults import Fault, apply_faults, apply_in_pieces
from mockllm.replies.prepared import Filled
from mockllm.wire import jsontext, placeholders

Render = Callable[[Failure], Reply]
"""Renders a failure for one request."""

FINAL = ((b"x-should-retry", b"false"),)
"""The header that keeps official clients from trying again."""

_ENDS = {
    "cut": EndingKind.CUT,
    "reset": EndingKind.RESET,
    "clean": EndingKind.CLEAN,
    "hang": EndingKind.HANG,
}
_WHOLE_ANSWER = frozenset({"start", "time"})
"""Places that an error has which is the answer in place of a whole one."""


def compile_faults(faults: Sequence[words.Fault]) -> Planned:
    """Return the faults of a mock."""
    return tuple(map(_compile, faults))


def _compile(fault: words.Fault) -> PlannedFault:
    compiled = Fault(
        _place(fault),
        None if fault.end is None else _ENDS[fault.end],
        fault.seconds or 0.0,
        fault.sent,
        inside=fault.inside,
        gate=fault.hold or "",
    )
    failure = None if fault.failure is None else compile_error(fault.failure)
    return PlannedFault(compiled, failure, fault.chance)


def _place(fault: words.Fault) -> FaultPlace:
    position = fault.position
    match position:
        case None:
            return START if fault.after is None else FaultPlace(str(fault.after))
        case words.Position(event=str(kind)):
            return FaultPlace("event", position.nth, kind)
        case words.Position(time=float(seconds)):
            return FaultPlace("time", seconds)
    counted = {"tokens": position.tokens, "bytes": position.bytes_, "events": position.events}
    return next(FaultPlace(name, count) for name, count in counted.items() if count is not None)


def in_whole_answer(planned: Planned) -> Planned:
    """Return the faults that an error can have, which is an answer in place of another."""
    return tuple(each for each in planned if each.fault.place.word in _WHOLE_ANSWER)


def is_drawn(planned: Planned) -> bool:
    """Return True if it depends on chance which of the faults happen."""
    return any(each.chance < 1 for each in planned)


def drawn(planned: Planned, key: int) -> Planned:
    """Return the faults that happen in the delivery with this `key`."""
    return tuple(each for number, each in enumerate(planned) if _draw(key, number) < each.chance)


def _draw(key: int, number: int) -> float:
    """A number from 0 to 1, below 1."""
    digest = blake2b(b"%d %d" % (key, number), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56)


def replace_reply(match: Match, filled: Filled, faults: Planned) -> Match:
    """Return `match` with the reply that its `faults` have made of its own. An answer that became
    an error cannot be retrieved."""
    reply, ready = filled
    is_error = reply.status != match.reply.status or any(each.failure for each in faults)
    answer = None if is_error else match.answer
    return match._replace(reply=reply, ready=ready, answer=answer, is_broken=True)


def written_tokens(api: API, response: Mapping[str, Any]) -> int:
    """Return the number of tokens that a response says it has; 0 if it does not."""
    usage = response.get("usage")
    if api.speaker is None or not isinstance(usage, Mapping):
        return 0
    return count(usage.get(api.speaker.output)) or 0


def disrupt(
    reply: Reply,
    planned: Planned,
    anatomy: Anatomy | None,
    render: Render,
    tokens: int = 0,
    *,
    known: KnownEvents | None = None,
) -> Pieces[Reply]:
    """Return `reply` with the faults of its mock, with pauses. It says that it has so many
    `tokens`; 0 if it does not. `known` are the events of streams that were read before.

    Raises:
        NoSuchPlaceError: the reply does not have the place of a fault.
    """
    for each in planned:
        at_start, at_time = each.fault.place == START, each.fault.place.word == "time"
        is_answer = at_start or (not at_time and (not reply.streamed or anatomy is None))
        if each.failure is not None and is_answer:
            return _failed(render(each.failure), planned)
    faults = [_with_total(_with_error(each, render), tokens) for each in planned]
    return (yield from apply_in_pieces(reply, faults, anatomy, known=known))


def _failed(reply: Reply, planned: Planned) -> Reply:
    """Return the error that is the answer, with the faults that are in no place of another."""
    faults = [each.fault for each in planned if each.failure is None]
    return apply_faults(reply, [each for each in faults if each.place.word in _WHOLE_ANSWER], None)


def _with_total(fault: Fault, tokens: int) -> Fault:
    if not tokens or fault.place.word != "tokens":
        return fault
    return fault._replace(place=fault.place._replace(total=tokens))


def _with_error(planned: PlannedFault, render: Render) -> Fault:
    if planned.failure is None:
        return planned.fault
    instead = render(planned.failure)
    body = jsontext.loads(placeholders.stand_in(instead.body))
    return planned.fault._replace(
        error=body, instead=instead if planned.fault.place.word == "time" else None
    )
