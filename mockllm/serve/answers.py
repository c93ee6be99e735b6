"""What all answers of one connection have in common, whichever way they take: the phases of the
connection, who is told of an answer and of its end, and what was charged for it.

It does not know how an answer is decided (`serve.answering`) or sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from mockllm.engine.beforehand import parts_of
from mockllm.engine.decision import Admission, Decision, Delivery, End, Match, Outcome
from mockllm.engine.limiting import ALL, NOTHING, Sent
from mockllm.errors import ClientError
from mockllm.exchange import Request
from mockllm.http1 import framing
from mockllm.http1.connection import HTTPConnection
from mockllm.observers.measured import Measured
from mockllm.redaction import redact_target
from mockllm.serve.connections import Service
from mockllm.serve.phase import FOLLOWS, Phase
from mockllm.serve.player import Sender
from mockllm.serve.progress import BodyProgress
from mockllm.serve.questions import Questions
from mockllm.wire.placeholders import FreshValues

logger = logging.getLogger("mockllm")


class Answers:
    """The part of a connection that knows which answer is sent, and what is done about it."""

    _transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        # of the server
        self._service = service
        # of the connection
        self._http = HTTPConnection(service.heads, service.limits)
        self._writable = asyncio.Event()
        self._writable.set()
        self._can_write = True  # what `_writable` says
        self.phase = Phase.IDLE
        self._peer_finished = asyncio.Event()  # it sends no more, but may still read
        self._answers = 0
        self._read: bytes | None = None  # what an idle connection has received at once, meanwhile
        self._unwritten = b""  # an answer that waits for the end of the iteration (`serve.outbox`)
        # of an answer that takes time
        self._task: asyncio.Task[None] | None = None
        self._player: Sender | None = None
        self._questions: Questions | None = None
        # of a request with limits
        self._admission: Admission | None = None  # until its answer ends

    def _resume(self) -> None:
        """Continue with the next request after an answer that took time."""
        raise NotImplementedError

    def _close_gently(self) -> None:
        """Close after the last answer without losing what was sent."""
        raise NotImplementedError

    def _deliver(self, request: Request, decision: Decision, started: float) -> float:
        """Send the answer to a request that was complete at the time `started`. Returns the time
        when that was done."""
        raise NotImplementedError

    def _enter(self, phase: Phase) -> None:
        if phase not in FOLLOWS[self.phase]:
            raise RuntimeError(f"a connection cannot go from {self.phase} to {phase}")
        self.phase = phase

    @property
    def _is_busy(self) -> bool:
        """True while an answer takes time."""
        return self._task is not None or self._player is not None

    # --- what is written at once, or nearly so ---

    def write_now(self, data: bytes) -> None:
        """Write an answer behind which nothing waits."""
        self._transport.write(data)

    def write_later(self, data: bytes) -> None:
        """Keep an answer until `write_kept`, or until something has to follow it."""
        self._unwritten = data

    def write_kept(self) -> None:
        """Write the answer that was kept, if it still is."""
        data, self._unwritten = self._unwritten, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    # --- who is told ---

    def _internal_error(self, request: Request, error: Exception) -> Decision:
        """Log an error of the server itself, and return a 500 in the vendor's format. The
        connection stays open."""
        self._end_admission()
        notes = ", ".join(getattr(error, "__notes__", ())) or "no mock"
        where = f"{request.method} {redact_target(request.path, '')} ({notes})"
        logger.error("internal error answering %s", where, exc_info=error)
        message = f"The mock server failed to answer: {type(error).__name__}"
        reply = self._service.app.render_error(request, ClientError(500, message))
        return Decision.by(Match(Outcome.FAILED, reply))

    def _delivery_observer(
        self,
        request: Request,
        decision: Decision,
        started: float,
        decided: float,
        progress: BodyProgress | None,
        measured: Measured | None,
    ) -> Callable[[Sender, End], None]:
        """Return a callback for the end of a player's delivery. `started` is in monotonic seconds,
        `decided` in seconds since then."""

        def ended(player: Sender, end: End) -> None:
            sent = ALL
            if progress is not None:
                is_whole = end is End.COMPLETE and not player.replaced_status
                sent = ALL if is_whole else progress.sent(decision.reply, player.unsent)
                self._end_admission(decision, sent)
            elif measured is not None and end is not End.COMPLETE:
                sent = Sent(tokens=measured.tokens)
            first = decided if player.first_byte is None else player.first_byte - started
            spent = time.monotonic() - started
            status = player.replaced_status
            if measured is not None:
                begun = 0.0 if player.first_byte is None else first
                measured.end(status or decision.reply.status, end, begun, spent, sent)
            delivery = Delivery(decided, first, spent, end, started, player.gate, status)
            self._service.observe(request, decision, delivery)
            for parts in parts_of(decision.match.answer):
                self._service.turns.let_go_of_many(parts)

        return ended

    def _measure(self, request: Request, decision: Decision) -> Measured | None:
        """Begin to measure an answer that takes time, if there are metrics."""
        meter = self._service.meter
        if meter is None:
            return None
        return Measured(meter, request, decision.match, is_stream=decision.reply.streamed)

    def _with_progress(
        self,
        frames: Iterator[framing.Frame],
        decision: Decision,
    ) -> tuple[Iterator[framing.Frame], BodyProgress | None]:
        """Return `frames`, counted if the request was admitted to limits, with their count; also
        if metrics need it, which count the tokens of a paced answer themselves."""
        is_metered = self._service.meter is not None and decision.reply.pacing is None
        if decision.admission is None and not is_metered:
            return frames, None
        progress = BodyProgress(frames, 1 + len(decision.reply.opening))
        return progress, progress

    def _end_admission(self, decision: Decision | None = None, sent: Sent = NOTHING) -> None:
        """Give back the place of the request that is answered, and what its answer, of which this
        was sent, has not cost."""
        admission, self._admission = self._admission, None
        if admission is not None:
            answer = None if decision is None else decision.match.answer
            self._service.app.end_admission(admission, answer, sent)

    def _record_answer(self, request: Request, decision: Decision, fresh: FreshValues) -> None:
        self._answers += 1
        app = self._service.app
        if request.path in app.responses.paths or decision.session:
            app.responses.store(request, decision, fresh)

    # --- answers that take time ---

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer in a task. Until it ends, no other request of the connection is answered."""
        self._enter_answering()
        self._task = asyncio.get_running_loop().create_task(work)

    def _enter_answering(self) -> None:
        if self.phase is not Phase.ANSWERING:
            self._enter(Phase.ANSWERING)

    def _abort_answer(self, decision: Decision, error: Exception) -> None:
        """Log an error while an answer was sent, and close: an error reply cannot follow."""
        rule = decision.match.rule
        label = "no mock" if rule is None else rule.label
        logger.error("internal error sending an answer (%s)", label, exc_info=error)
        self._transport.abort()

    def _finish_answer(self, *, closes: bool) -> None:
        """Go on after an answer that took time."""
        self._player = self._task = None
        if self._transport.is_closing():
            return
        if closes:
            self._close_gently()
        else:
            self._resume()
