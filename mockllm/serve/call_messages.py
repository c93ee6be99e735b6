"""Calls as messages between worker processes: entries of a journal as JSON.

What an entry shares with others is sent once in a message: the answers of mocks. A rule is sent by
its place, for its name alone: it matches nothing where it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from traceback import format_exception
from typing import Any

from mockllm.engine.decision import Answer, Delivery, End, Outcome, Summary, Trouble
from mockllm.errors import Place
from mockllm.matching.explain import NearMiss
from mockllm.matching.rule import Rule
from mockllm.observers.entries import JournalEntry, Kept, ToldError
from mockllm.serve.peer_messages import pack_request, unpack_request
from mockllm.wire import jsontext


def pack_calls(kept: Iterable[Kept]) -> Any:
    """Return entries as a JSON value."""
    answers: list[Any] = []
    places: dict[int, int] = {}
    packed = []
    for entry, cost, number in kept:
        answer = entry.answer
        place = None
        if answer is not None:
            place = places.get(id(answer.response))
            if place is None:
                place = places[id(answer.response)] = len(answers)
                response = jsontext.dumps(answer.response).decode()
                answers.append([response, answer.chunk, answer.number])
        packed.append([number, cost, place, *_pack_entry(entry)])
    return [answers, packed]


def unpack_calls(packed: Any) -> Iterator[Kept]:
    """Yield the entries that `pack_calls` packed."""
    texts, entries = packed
    answers = [
        Answer(jsontext.loads(response.encode(), max_values=None), chunk, number=number)
        for response, chunk, number in texts
    ]
    rules: dict[Any, Rule] = {}
    for number, cost, place, *rest in entries:
        answer = None if place is None else answers[place]
        yield Kept(_unpack_entry(rest, answer, rules), cost, number)


def _pack_entry(entry: JournalEntry) -> list[Any]:
    near_miss, trouble, delivery = entry.near_miss, entry.trouble, entry.delivery
    return [
        pack_request(entry.request),
        entry.size,
        entry.session,
        entry.status,
        entry.outcome.name,
        _pack_rule(entry.rule),
        None if entry.summary is None else [*entry.summary],
        None if near_miss is None else [_pack_rule(near_miss.rule), *near_miss[1:]],
        [*delivery[:3], delivery.end.name, *delivery[4:]],
        None if trouble is None else [trouble.place, trouble.reason, _traceback(trouble)],
        [*map(_pack_label, entry.traffic)],
        entry.asked_for,
    ]


def _unpack_entry(packed: Any, answer: Answer | None, rules: dict[Any, Rule]) -> JournalEntry:
    request, size, session, status, outcome, rule, summary, near_miss, *rest = packed
    delivery, trouble, traffic, asked_for = rest
    decided, first_byte, ended, end, started, gate, sent = delivery
    return JournalEntry(
        request=unpack_request(request),
        size=size,
        session=session,
        status=status,
        outcome=Outcome[outcome],
        rule=_unpack_rule(rule, rules),
        summary=None if summary is None else Summary(*summary),
        answer=answer,
        near_miss=None if near_miss is None else _unpack_near_miss(near_miss, rules),
        delivery=Delivery(decided, first_byte, ended, End[end], started, gate, sent),
        trouble=None if trouble is None else _unpack_trouble(*trouble),
        traffic=tuple(map(_unpack_label, traffic)),
        asked_for=tuple(asked_for),
    )


def _pack_rule(rule: Rule | None) -> Any:
    return None if rule is None else [rule.index, _pack_label(rule.label)]


def _unpack_rule(packed: Any, rules: dict[Any, Rule]) -> Rule | None:
    if packed is None:
        return None
    index, label = packed
    key = (index, label if isinstance(label, str) else tuple(label))
    if key not in rules:
        rules[key] = Rule(index, _unpack_label(label))
    return rules[key]


def _unpack_near_miss(packed: Any, rules: dict[Any, Rule]) -> NearMiss:
    rule = _unpack_rule(packed[0], rules)
    assert rule is not None
    return NearMiss(rule, packed[1], packed[2])


def _pack_label(label: str) -> Any:
    if not isinstance(label, Place):
        return label
    return [label.file, label.field, label.position, label.name, label.path]


def _unpack_label(packed: Any) -> str:
    if isinstance(packed, str):
        return packed
    file, field, position, name, path = packed
    return Place(file=file, field=field, position=position, name=name, path=path)


def _traceback(trouble: Trouble) -> str | None:
    if trouble.error is None:
        return None
    return "".join(format_exception(trouble.error)).rstrip()


def _unpack_trouble(place: str, reason: str, traceback: str | None) -> Trouble:
    return Trouble(place, reason, None if traceback is None else ToldError(traceback))
