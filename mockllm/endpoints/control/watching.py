"""``/watch``, ``/calls/{number}`` and ``/calls/{number}/misses``: what the live page reads.

The page asks once a second, however many calls there were. So an answer has the latest of them and
the numbers of the others, and costs the server the same whatever the load.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from mockllm.endpoints.control.answers import answer
from mockllm.endpoints.control.calls import describe
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.mocks import Listed, are_many, see_mocks
from mockllm.endpoints.control.refusals import not_found
from mockllm.endpoints.control.request import ControlRequest
from mockllm.engine.added import id_of
from mockllm.engine.decision import Decision, Question
from mockllm.matching.rule import Rule
from mockllm.observers.calls import Call
from mockllm.observers.lateness import Lateness, limit_of
from mockllm.observers.reading import Reading
from mockllm.observers.timing import Timing, as_object
from mockllm.pieces import Pieces

MAX_LATEST = 200  # calls of one answer, and as many that no mock answered
LATEST = 100
CALLS_AT_ONCE = 500  # that are passed over without a pause: 1 ms
RULES_AT_ONCE = 50  # that a request is compared with: 0.2 ms
MAX_MISSES = 3  # mocks that are closest to a request
MAX_SHOWN = 160  # characters of the words of a call
LATE_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds


def watch(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the latest calls after one of them, in short, and with the state of the server:
    ``skipped`` is the number of calls that were passed over. ``next`` is the number after which the
    next look begins; while calls may be ``missing``, some calls come again.

    Raises:
        ControlError: 400, 403, 409.
    """
    last = asked.number("after", 0)
    limit = asked.number("latest", LATEST, most=MAX_LATEST)
    session = asked.scope()

    def show(reading: Reading) -> Decision | Question:
        state = {
            "lost": reading.lost,
            "missing": reading.missing or None,
            "time": desk.clock.now(),
            "total": desk.calls.last_number if session is None else None,
            "held": dict(desk.gates.held(session)),
            "timing": _timing(desk.server.timing()),
        }

        def pieces(calls: Iterable[Call]) -> Pieces[Decision]:
            shown, skipped, number = yield from _latest(calls, limit)
            if reading.known_upto is not None:
                number = min(number, reading.known_upto)
            body = {"calls": shown, "skipped": skipped, "next": max(number, last), **state}
            return answer(body)

        is_large = partial(reading.has_large, last)
        return desk.look(reading.after(last), pieces, is_large=is_large)

    return desk.read(session, show, after=last)


def _latest(calls: Iterable[Call], limit: int) -> Pieces[tuple[list[dict[str, Any]], int, int]]:
    """Return the latest calls in short, as many that no mock answered and that one did, how many
    others there are, and the number of the last, in pieces."""
    latest: deque[Call] = deque(maxlen=limit)
    unmatched: deque[Call] = deque(maxlen=limit)
    passed, number = 0, 0
    for passed, call in enumerate(calls, 1):
        (unmatched if call.is_unmatched else latest).append(call)
        number = call.number
        if passed % CALLS_AT_ONCE == 0:
            yield False
    shown: list[dict[str, Any]] = []
    for call in sorted((*latest, *unmatched), key=lambda call: call.number):
        shown.append(_brief(call))
        yield False
    return shown, passed - len(shown), number


def read_call(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with one call, and with what the whole answer of its mock says.

    Raises:
        ControlError: 400, 403, 404, 409.
    """

    def show(call: Call) -> Pieces[Decision]:
        yield False
        return answer({**describe(call), "reply": _reply(call)})

    return _with_call(desk, asked, show)


def list_misses(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the mocks that are closest to a call, and all conditions that do not hold.

    Raises:
        ControlError: 400, 403, 404, 409.
    """
    return _with_call(desk, asked, lambda call: _search(desk, asked, call), is_large=are_many(desk))


class _Miss(NamedTuple):
    closeness: int
    place: int
    rule: Rule


def _search(desk: Desk, asked: ControlRequest, call: Call) -> Pieces[Decision]:
    session = call.session if asked.scope() is None else asked.scope()
    nearest: list[_Miss] = []
    for place, (api, rule, _) in enumerate(desk.server.seen(session), 1):
        compared = call.compare(api, rule)
        if compared is not None and compared[1] is not None:
            nearest.append(_Miss(-compared[0], place, rule))
        if place % RULES_AT_ONCE == 0:
            nearest = sorted(nearest, key=lambda miss: miss[:2])[:MAX_MISSES]
            yield False
    nearest = sorted(nearest, key=lambda miss: miss[:2])[:MAX_MISSES]
    wanted = {id_of(miss.rule) for miss in nearest}
    known = {each.id: each for each in see_mocks(desk, session or None) if each.id in wanted}
    misses = [_describe_miss(call, miss.rule, known) for miss in nearest]
    return answer({"misses": misses})


def _describe_miss(call: Call, rule: Rule, known: Mapping[str, Listed]) -> dict[str, Any]:
    listed = known.get(id_of(rule))
    match = None
    if listed is not None:
        written = listed.mock.model_dump(
            mode="json", by_alias=True, exclude_unset=True, include={"match"}, fallback=str
        )
        match = written.get("match")
    name = id_of(rule) if listed is None else listed.name
    return {"mock": name, "id": id_of(rule), "match": match, "reasons": call.differs(rule)}


def _with_call(
    desk: Desk,
    asked: ControlRequest,
    show: Callable[[Call], Pieces[Decision]],
    *,
    is_large: bool = False,
) -> Decision | Question:
    """Return what `show` makes of the call with the number in the path, in pieces.

    Raises:
        ControlError: 400, 403, 404, 409.
    """
    text = asked.values["number"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

    def find(reading: Reading) -> Decision | Question:
        call = next(iter(reading.after(number - 1)), None) if number else None
        if call is None or call.number != number:
            raise not_found(f"call {text!r:.40}", ": it is no longer kept, or never was")
        size = call.body_size  # it is made again, so that who reads it lets go of it
        return desk.look(
            reading.after(number - 1),
            lambda calls: show(next(iter(calls))),
            is_large=lambda most: is_large or size > most,
        )

    return desk.read(asked.scope(), find)


def _brief(call: Call) -> dict[str, Any]:
    words = "" if call.is_body_cut else call.user or call.text
    return {
        "number": call.number,
        "session": call.session,
        "method": call.method,
        "path": call.path[:MAX_SHOWN],
        "api": call.api,
        "model": call.model,
        "stream": call.stream,
        "words": words[:MAX_SHOWN],
        "mock": call.mock,
        "status": call.status,
        "outcome": call.outcome,
        "attempt": call.attempt,
        "is_unmatched": call.is_unmatched,
        "near_miss": call.near_miss,
        "delivery": call.delivery,
        "started": call.started,
        "ended": call.ended,
        "ttft": call.ttft,
    }


def _reply(call: Call) -> dict[str, Any] | None:
    said = call.said
    if said is None:
        return None
    return {
        "texts": list(said.texts),
        "deltas": [list(deltas) for deltas in said.deltas] if call.stream else [],
        "reasoning": list(said.reasoning),
        "calls": [{"name": each.name, "arguments": each.arguments} for each in said.calls],
        "vectors": said.vectors,
        "is_cut": said.is_cut,
    }


def _timing(lateness: Lateness) -> dict[str, Any]:
    """Return how late steps were, with the numbers of those that were late by at most so much."""
    counts: list[int] = []
    bounds, steps = iter(LATE_BOUNDS), 0
    bound = next(bounds)
    for bucket, count in enumerate(lateness.counts):
        while limit_of(bucket) > bound * 1.0001 and len(counts) < len(LATE_BOUNDS):
            counts.append(steps)
            bound = next(bounds, bound)
        steps += count
    milliseconds = [round(bound * 1000, 3) for bound in LATE_BOUNDS]
    return {**as_object(Timing.of(lateness)), "late_up_to_ms": milliseconds, "late_counts": counts}
