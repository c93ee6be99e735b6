"""The connections of a server, and the objects that they share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mockllm.app import App
from mockllm.engine.asking import operations_of_store
from mockllm.engine.decision import (
    Decision,
    Delivery,
    End,
    Exchange,
    Operation,
    Outcome,
    Question,
    Trouble,
)
from mockllm.exchange import Request
from mockllm.http1.head_cache import HeadCache
from mockllm.http1.shared_frames import SharedFrames
from mockllm.limits import Limits
from mockllm.observers.journal import Journal
from mockllm.observers.metrics import Meter
from mockllm.redaction import redact_target
from mockllm.serve.alike import Alike
from mockllm.serve.clock import Clock
from mockllm.serve.fresh_values import FreshValueSource
from mockllm.serve.functions import Functions
from mockllm.serve.gates import Gates
from mockllm.serve.outbox import Outbox
from mockllm.serve.reading import Readable, Reading
from mockllm.serve.repeats import Repeats
from mockllm.serve.shared_pools import SharedPools
from mockllm.serve.turns import Turns
from mockllm.wire.placeholders import body_template

logger = logging.getLogger("mockllm")

CHECK_INTERVAL = 1.0  # seconds between two checks of the time limits
MAX_CHECKED = 500  # connections in one iteration of the loop, about a millisecond
MAX_REPORTED = 1_000  # places whose trouble is logged once

_new = tuple.__new__  # half the time of the class's own constructor

Observer = Callable[[Exchange], None]
"""Records a completed exchange."""


class Connection(Readable, Protocol):
    """The interface of `serve.protocol.HTTPProtocol` for its service."""

    def check(self, now: float) -> None: ...
    def close_after_last_call(self) -> None: ...
    def abort(self) -> None: ...


class Performer(Protocol):
    """Performs the operations of questions."""

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return the results of `operations`, in the same order."""


class NoPeers:
    """The performer of a process without other workers."""

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return None for each operation."""
        return [None] * len(operations)


class Service:
    """The state shared by all connections of a server."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits | None = None,
        observers: tuple[Observer, ...] = (),
        unmatched_observers: tuple[Observer, ...] = (),
        journal: Journal | None = None,
        performer: Performer | None = None,
        slot: int = 0,
        clock: Clock | None = None,
        gates: Gates | None = None,
        meter: Meter | None = None,
        turns: Turns | None = None,
    ) -> None:
        # of the server
        self.app = app
        self.decide: Callable[[Request], Decision | Question] = app.decide
        """Decides on a request, once the app knows what other processes have changed."""
        self.limits = limits or Limits()
        self.observers = observers
        self.unmatched_observers = unmatched_observers
        self.has_observers = bool(observers or unmatched_observers)
        """False if there are no observers of any exchange, beside the journal."""
        self.journal = journal
        """Has the latest exchanges; None if there is none."""
        self.meter = meter
        """Counts requests for metrics; None if there are none."""
        self.is_observed = self.has_observers or journal is not None or meter is not None
        """False if nothing is made of exchanges that are over."""
        self.fresh_values = FreshValueSource(slot)
        self.heads = HeadCache(self.limits, reuse=app.reuses)
        self.frames = SharedFrames(make_template=body_template)
        self.repeats = Repeats(app, journal, meter)
        self.alike = Alike(app, self.heads, self.observes, meter)
        self.performer = performer or NoPeers()
        self.turns = turns or Turns()
        self.functions = Functions(self.turns.beside)
        self._reported: set[str] = set()  # places of troubles
        self.clock = clock or Clock()
        self.gates = gates or Gates()
        self.shared_pools: SharedPools | None = None
        """The pools that this process shares with others; None if it is alone."""
        app.when_session_ends = self.gates.end_session
        app.let_go = self.turns.let_go_of_each
        # of the connections
        self.connections: set[Connection] = set()
        self.lingering: dict[Connection, None] = {}
        """Those of `connections` whose last answer is written, the longest lingering first."""
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self._checker: asyncio.TimerHandle | None = None
        self._unchecked: list[Connection] = []
        self._next_check: asyncio.Handle | None = None
        self.reading = Reading(self.connections)
        self.outbox = Outbox()
        # of a server that stops
        self.draining = False
        self.last_call = 0.0
        """Seconds in which idle connections may still send a request."""

    async def perform(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Return the results of the operations of a question, in the same order.

        Raises:
            StateUnavailableError: they are about state, which cannot be reached in time.
        """
        about_state = operations_of_store(operations)
        if about_state is None:
            return await self.performer.perform(operations)
        return await self.app.store.perform_later(about_state)

    def has_observer(self, outcome: Outcome) -> bool:
        """Return True if there is an observer of exchanges with this outcome, beside the
        journal."""
        if self.observers:
            return True
        return outcome is Outcome.UNMATCHED and bool(self.unmatched_observers)

    def observes(self, outcome: Outcome) -> bool:
        """Return True if exchanges with this outcome are observed."""
        return self.journal is not None or self.has_observer(outcome)

    def observe(self, request: Request, decision: Decision, delivery: Delivery) -> None:
        """Pass an exchange to the journal and to the observers. Their errors are logged, and the
        client never sees them."""
        exchange = _new(Exchange, (request, decision, delivery))
        journal, outcome = self.journal, decision.match.outcome
        if journal is not None:
            self._pass_on(exchange, journal.observe)
        if self.has_observer(outcome):
            for observe in self.observers:
                self._pass_on(exchange, observe)
            if outcome is Outcome.UNMATCHED:
                for observe in self.unmatched_observers:
                    self._pass_on(exchange, observe)

    def _pass_on(self, exchange: Exchange, observe: Observer) -> None:
        try:
            observe(exchange)
        except Exception as exc:
            self.log_not_observed(exchange.request, exc)

    def log_not_observed(self, request: Request, error: Exception) -> None:
        """Log the error of an observer, or of the journal."""
        where = redact_target(request.path, "")
        logger.error("internal error observing %s", where, exc_info=error)

    def report(self, trouble: Trouble) -> None:
        """Log why an answer failed: of each place once, or with its traceback each time."""
        if trouble.error is None:
            if trouble.place in self._reported:
                return
            if len(self._reported) < MAX_REPORTED:
                self._reported.add(trouble.place)
        logger.error("%s: %s", trouble.place, trouble.reason, exc_info=trouble.error)

    def observe_disconnect(self, request: Request, started: float) -> None:
        """Pass on a request, complete at the time `started`, whose peer disconnected before it was
        decided."""
        undecided = self.app.give_up(request)
        spent = time.monotonic() - started
        delivery = Delivery(spent, spent, spent, End.CLIENT_GONE, started)
        if self.meter is not None:
            status = undecided.reply.status
            self.meter.count_ended(request, undecided.match, status, End.CLIENT_GONE, spent)
        self.observe(request, undecided, delivery)

    def start_checking(self) -> None:
        """Check the time limits of all connections now and every second until `stop_checking`."""
        loop = asyncio.get_running_loop()
        # scheduled first, so that an exception below does not end the checks
        self._checker = loop.call_later(CHECK_INTERVAL, self.start_checking)
        if not self._unchecked:
            self._unchecked = [*self.connections]
            self._check_next()

    def _check_next(self) -> None:
        """Check some connections, and the others in the next iterations of the loop: thousands at
        once would make what is due meanwhile late."""
        loop = asyncio.get_running_loop()
        checked, self._unchecked = self._unchecked[:MAX_CHECKED], self._unchecked[MAX_CHECKED:]
        self._next_check = loop.call_soon(self._check_next) if self._unchecked else None
        now = loop.time()
        for connection in checked:
            if connection in self.connections:  # it may have been closed meanwhile
                connection.check(now)

    def stop_checking(self) -> None:
        """Stop checking the time limits."""
        for handle in (self._checker, self._next_check):
            if handle is not None:
                handle.cancel()
        self._unchecked = []
        self._checker = self._next_check = None

    def drain(self, *, last_call: float = 0.0) -> None:
        """Close every connection after its current answer, and idle ones in `last_call` seconds. A
        request that arrives until then is answered with ``Connection: close``."""
        self.draining = True
        self.repeats.close()
        self.alike.close()
        self.gates.stop()  # what is held would use up the time of all others
        self.last_call = last_call
        self.app.is_ready = False
        for connection in tuple(self.connections):
            connection.close_after_last_call()

    def cut_longest_lingering(self) -> None:
        """Abort the connection that has been lingering longest."""
        longest = next(iter(self.lingering))
        self.lingering[longest] = self.lingering.pop(longest)  # so the next call aborts another
        longest.abort()

    def cut(self) -> None:
        """Abort all connections."""
        for connection in tuple(self.connections):
            connection.abort()
