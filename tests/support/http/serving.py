"""Services without sockets: what they write and what is seen of it, with reuse and without."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, cast

from anyio.lowlevel import checkpoint

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.endpoints.metrics import MetricsPage
from mockllm.engine.added import AddedMock, compile_added
from mockllm.engine.decision import Exchange
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load
from mockllm.engine.traffic import compile_traffic
from mockllm.exchange import Request
from mockllm.observers.entries import Kept
from mockllm.observers.journal import Journal
from mockllm.observers.lateness import Lateness
from mockllm.observers.metric_cells import (
    DURATION,
    INPUT,
    OPERATIONS_AT,
    OUTPUT,
    RETRIES_AT,
    STOPPED,
    TRUNCATED,
)
from mockllm.serve.connections import Service
from mockllm.serve.metrics_board import MetricsBoard
from mockllm.serve.phase import Phase
from mockllm.serve.protocol import HTTPProtocol
from mockllm.state.operations import BeginSession
from mockllm.wire.placeholders import FreshValues
from tests.support.http.transport import Written

SEQUENCE = {"name": "script", "match": {"user": "next"}, "sequence": ["one", "two"]}
SEQUENCE_ENDS = SEQUENCE | {"at_end": "pass"}
PLAIN = {"match": {"user": "Hello"}, "reply": "plain"}
TENANT = {"match": {"headers": [{"name": "x-tenant", "value": "a"}]}, "reply": "for a"}
RARELY = {"match": {"user": "rarely"}, "reply": "x", "fault": {"end": "cut", "chance": 0.5}}
TEMPLATE = {"match": {"user": "made"}, "reply": {"template": "{{ turn }} of {{ session }}"}}
BROKEN = {"match": {"user": "broken"}, "reply": {"template": "{{ 1 / 0 }}"}}
MOCKS = [SEQUENCE_ENDS, PLAIN, TENANT, RARELY, TEMPLATE, BROKEN]
TRAFFIC = [{"name": "outage", "error": "overloaded"}]
CONFIGURATIONS = [
    load(Config.from_dict(each))
    for each in (
        {"mocks": MOCKS},
        {"mocks": [PLAIN | {"reply": "changed"}, SEQUENCE]},
        {"mocks": MOCKS, "session": {"header": "x-test"}},
        {"mocks": MOCKS, "traffic": TRAFFIC},
        {"mocks": MOCKS, "require_auth": False},
    )
]


class Numbered:
    """Gives the n-th delivery of each server the same values."""

    def __init__(self) -> None:
        self._numbers = count()

    def next(self, now: float, took: float = 0.0) -> FreshValues:
        number = next(self._numbers)
        seconds = 10**9 + number // 3
        return FreshValues(b"%020d" % number, b"%010d" % seconds, b"%029d" % seconds)


def joined(request: Request) -> Request:
    """The same request, with its header lines in one tuple."""
    return request._replace(lines=request.headers)


def seen(exchange: Exchange) -> tuple[Any, ...]:
    """All that an observer can see of an exchange but the time it took."""
    request, (match, reply, _, session, _), delivery = exchange
    label = None if match.rule is None else match.rule.label
    sent = [step.data for step in reply.steps]
    verdict = match.outcome, match.summary, label, match.near_miss, match.traffic
    return joined(request), verdict, reply.status, reply.headers, sent, session, delivery.end


def shown(kept: Kept) -> tuple[Any, ...]:
    """All that an entry of a journal has, but the time it took."""
    kept = kept._replace(entry=kept.entry._replace(request=joined(kept.entry.request)))
    (*asked, rule, summary, answer, near_miss, delivery, trouble, traffic, wishes), *rest = kept
    label = None if rule is None else rule.label
    said = None if answer is None else (answer.response, answer.number, answer.failure)
    ended = delivery.end, delivery.gate, delivery.status
    failed = None if trouble is None else trouble[:2]
    return *asked, label, summary, said, near_miss, ended, failed, traffic, wishes, *rest


class Serving:
    """A service with connections that records what they write, and what is seen of it: by
    observers of all if it is `observed`, by a journal if it is `recorded`, by metrics if it is
    `metered`."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        reuse: bool,
        observed: bool = False,
        recorded: bool = False,
        metered: bool = False,
    ) -> None:
        self.app = App(Engine(loaded, reuse=reuse))
        self.exchanges: list[tuple[Any, ...]] = []
        unmatched = (lambda exchange: self.exchanges.append(seen(exchange)),)
        self.journal = Journal(max_entries=50) if recorded else None
        self.board = MetricsBoard() if metered else None
        meter = None
        if self.board is not None:
            meter = self.board.meter(lambda: 0.0)
            self.app.show_metrics(MetricsPage(self.board.sums, Lateness), meter)
        self.service = Service(
            self.app,
            observers=unmatched if observed else (),
            unmatched_observers=unmatched,
            journal=self.journal,
            meter=meter,
        )
        self.service.fresh_values = Numbered()  # type: ignore[assignment]  # all that is called
        self.connections: list[tuple[HTTPProtocol, Written]] = []

    def connect(self) -> HTTPProtocol:
        protocol, transport = HTTPProtocol(self.service), Written()
        protocol.connection_made(cast("Any", transport))
        self.connections.append((protocol, transport))
        return protocol

    async def receive(self, place: int, data: bytes) -> None:
        """Receive bytes on a connection, a new one if the last there has ended."""
        protocol, transport = self.connections[place]
        if transport.ended:
            protocol.connection_lost(None)
            self.connections[place] = self.connections[-1]
            self.connect()
            protocol, transport = self.connections[place] = self.connections.pop()
        protocol.data_received(data)
        while protocol.phase is Phase.ANSWERING and not transport.ended:
            await checkpoint()
        await checkpoint()  # what waits is written
        assert protocol._read is None

    @property
    def written(self) -> list[bytes]:
        return [transport.data for _, transport in self.connections]

    @property
    def entries(self) -> list[tuple[Any, ...]]:
        """What the journal has."""
        return [] if self.journal is None else [*map(shown, self.journal.since(0, None))]

    @property
    def counts(self) -> tuple[Any, ...]:
        """What the metrics have counted, but times."""
        if self.board is None:
            return ()
        sums = self.board.sums()
        cells = (INPUT, OUTPUT, STOPPED, TRUNCATED, DURATION.end - 1)
        groups = [(each.api, each.model, *(each.cells[at] for at in cells)) for each in sums.groups]
        return sums.requests, groups, sums.scalars[RETRIES_AT:OPERATIONS_AT]


async def received(serving: Serving, *reads: bytes) -> bytes:
    """What one connection writes after these reads."""
    serving.connect()
    for data in reads:
        await serving.receive(-1, data)
    return serving.written[-1]


def added(**words: Any) -> AddedMock:
    return compile_added(words, 0)


CHANGES: dict[str, Callable[[App], object]] = {
    "reload": lambda app: app.use(Engine(CONFIGURATIONS[1])),
    "add": lambda app: app.add(added(user="Hello", reply="added", first=True), None),
    "traffic": lambda app: app.set_traffic(
        compile_traffic(TRAFFIC, chunk="word", require_auth=True)
    ),
    "session": lambda app: app.perform(BeginSession("s", current=True)),
}
