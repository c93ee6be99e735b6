"""``mockllm check --wire``: sends the response of every mock to the official clients.

For each mock a matching request is built and sent to a server in this process by the SDKs' own
clients, which validate every response against their types, whole and streamed. Their errors are
reported as warnings. Mocks that no request is known for, those that an earlier mock hides from it,
and those that look at a member of other APIs' requests, are noted. So are the errors of clients
about events that are written out: they may be what the mock is for. A mock with several answers
gives each of them once, in order, to each way of calling.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mockllm.config.models import MOCK_FIELDS, Config, Mock
from mockllm.conformance.playing import Turn, each_answer_once, play
from mockllm.conformance.probes import Probe, build
from mockllm.engine.building import build_engine
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.engine.review.unanswerable import find_reason
from mockllm.errors import Place, Problem, Severity, warning
from mockllm.limits import MAX_SPEED
from mockllm.matching.rule import Rule
from mockllm.serve.embedded.servers import AsyncServer
from mockllm.state.session_names import HEADER

_NOT_CHECKED = "not checked"
_SESSION = HEADER.decode()

_SET_BY_CLIENTS = (
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "transfer-encoding",
)
"""Headers that the official clients derive from a request."""


def check_wire(config: Config) -> list[Problem]:
    """Return the problems that the clients have with responses, in the order of the mocks.

    Raises:
        ConfigError: the configuration cannot be served.
    """
    with _only_errors_logged():
        return asyncio.run(_check(config))


@contextmanager
def _only_errors_logged() -> Iterator[None]:
    """Keep the server from logging the warnings of the configuration, which are in the report."""
    logger = logging.getLogger("mockllm")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def count_unchecked(problems: Iterable[Problem]) -> int:
    """Return the number of mocks that were not checked in some API, of the problems found."""
    places = [each.place for each in problems if each.message.startswith(_NOT_CHECKED)]
    return len({(at.file, at.field, at.position) for at in places if isinstance(at, Place)})


async def _check(config: Config) -> list[Problem]:
    from mockllm.conformance import sdk  # imports both SDKs, which takes seconds

    played = each_answer_once(config)
    engine = build_engine(played)
    server = AsyncServer(played, speed=MAX_SPEED)  # how long answers take is not checked
    async with server, sdk.Clients(server.base_url) as clients:
        return [*_without_faults(config)] + [
            problem
            for table in engine.tables
            for rule in table.index.rules
            async for problem in _check_mock(engine, clients, table, rule)
        ]


def _without_faults(config: Config) -> Iterator[Problem]:
    """Note the mocks whose faults are left out, because they are meant to break the client."""
    for field in MOCK_FIELDS:
        for index, mock in enumerate(getattr(config, field)):
            if any(each.faults for each in (mock, *(entry for _, entry in mock.entries()))):
                message = "checked without its faults, which are meant to break the client"
                yield Problem(mock.place_in(field, index), message, Severity.NOTE)


async def _check_mock(
    engine: Engine, clients: Any, table: Table, rule: Rule
) -> AsyncIterator[Problem]:
    place = table.places[rule.index]
    is_shared = isinstance(table.mocks[rule.index], Mock)
    if is_shared and _is_for_others(engine, table, rule):
        return
    where = f"in {table.api.title}" if is_shared else ""
    probes = build(table, rule, require_auth=engine.require_auth)
    found = _find_probe(engine, clients, table, rule, probes)
    if isinstance(found, str):
        yield Problem(place.at(where), f"{_NOT_CHECKED}: {found}", Severity.NOTE)
        return
    probe, forms = found
    api = table.api.name
    for how in clients.calls(api, forms):
        turns = forms[how != "whole"]
        headers = probe.headers
        if len(turns) > 1:  # each call begins with the first answer
            headers = headers | {_SESSION: f"{api}-{rule.index}-{how}"}
        for turn in turns:
            complaint = await clients.complaint(api, how, probe.body, headers, status=turn.status)
            if complaint is not None and turn.is_judged:
                at = ": ".join(filter(None, (turn.path, f"{how} {where}".strip())))
                yield _as_problem(complaint, turn, place.at(at), streamed=how != "whole")


def _as_problem(complaint: str, turn: Turn, place: Place, *, streamed: bool) -> Problem:
    if streamed and turn.has_events:
        message = f"the client fails on the events as they are written: {complaint}"
        return Problem(place, message, Severity.NOTE)
    return warning(place, complaint)


def _is_for_others(engine: Engine, table: Table, rule: Rule) -> bool:
    """True if no request to the API of `table` can meet the rule of a shared mock, while one to
    another API may."""
    return find_reason(table.api, rule.predicates) is not None and any(
        find_reason(other.api, rule.predicates) is None
        for other in engine.tables
        if other.api.respond is not None
    )


def _find_probe(
    engine: Engine, clients: Any, table: Table, rule: Rule, probes: Iterable[Probe]
) -> tuple[Probe, dict[bool, list[Turn]]] | str:
    """Return the first of `probes` that the mock of `rule` answers and the clients can send, and
    its turns streamed, whole, or both; the reason if there is none."""
    reason = "no request is known that matches"
    for probe in probes:
        played = {
            stream: play(engine, table, rule, request)
            for stream, request in probe.requests(table.api).items()
        }
        forms = {stream: turns for stream, turns in played.items() if isinstance(turns, list)}
        other = next((each for each in played.values() if isinstance(each, Rule)), None)
        if not forms and other is None:
            reason = "a request that matches is refused"
        elif not forms:
            reason = f"{other and other.label} answers a request like its match"
        elif unsendable := [*_unsendable(rule, probe)]:
            reason = f"the official clients cannot send the header {unsendable[0]}"
        elif unknown := clients.unknown(table.api.name, probe.body):
            reason = f"requests of {table.api.title} have no {unknown[0]!r}"
        else:
            return probe, forms
    return reason


def _unsendable(rule: Rule, probe: Probe) -> list[str]:
    """The headers that the rule looks at and the official clients cannot send like this."""
    names = {name.decode() for each in rule.predicates for name in each.header_names}
    return [
        name
        for name, value in probe.headers.items()
        if name in names and value and (name in _SET_BY_CLIENTS or not value.isascii())
    ]
