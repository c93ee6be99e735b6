"""One connection on an asyncio loop: bytes to requests to decisions to bytes.

There are two lanes. *Straight*: nothing pauses, nothing must be asked and the peer reads, so the
whole answer goes out in one write, inside `data_received`, without a task. *Waiting*: a question
must be answered before the decision, or something pauses, is large, is made as it is taken, or has
a slow peer. Then a task waits, and a `Player` sends. What is pipelined behind waits in order.

No connection has a timer of its own. Once a second the service goes through all of them, and each
holds its phase against the limits: 5,000 idle connections cost a millisecond a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from enum import Enum
from typing import Any, cast

from mockllm.engine.decision import (
    Decision,
    Delivery,
    End,
    Exchange,
    Match,
    Outcome,
    Question,
)
from mockllm.errors import ClientError, ForeignProtocolError, HTTPError
from mockllm.exchange import LazySteps, Request
from mockllm.http1 import framing
from mockllm.http1.connection import HTTPConnection
from mockllm.serve.connections import Service
from mockllm.serve.player import MAX_UNSENT, Player
from mockllm.wire.placeholders import FreshValues, fill_fresh

logger = logging.getLogger("mockllm")

MAX_LINGER = 30.0  # seconds in which a refused peer may go on sending, however fast it does
MAX_QUESTIONS = 3  # of one request, one after the other


class Phase(Enum):
    """What a connection waits for. Only `HTTPProtocol._enter` changes it; `check` says what ends a
    phase that lasts too long."""

    IDLE = "idle"
    """The first byte of a request."""
    HEAD = "head"
    """The end of its head."""
    BODY = "body"
    """The end of its body."""
    ANSWERING = "answering"
    """The end of its answer, which takes time."""
    LINGERING = "lingering"
    """The peer's close: the last answer is written, and what still comes is thrown away."""
    CLOSED = "closed"
    """Nothing: the connection is lost."""


_READING = {Phase.IDLE, Phase.HEAD, Phase.BODY}
_FOLLOWS = {
    **dict.fromkeys(_READING, _READING | {Phase.ANSWERING, Phase.LINGERING, Phase.CLOSED}),
    Phase.ANSWERING: _READING | {Phase.LINGERING, Phase.CLOSED},
    Phase.LINGERING: {Phase.CLOSED},
    Phase.CLOSED: set(),
}


class HTTPProtocol(asyncio.Protocol):
    """The asyncio shell around `HTTPConnection` and `App.decide`."""

    def __init__(self, service: Service) -> None:
        # of the server
        self._service = service
        # of the connection
        self._transport: asyncio.Transport | None = None
        self._http = HTTPConnection(service.heads, service.limits)
        self._writable = asyncio.Event()
        self._writable.set()
        self.phase = Phase.IDLE
        self._half_closed = False  # the peer sends no more, but may still read
        self._ignored = 0  # bytes that came while lingering
        self._answers = 0
        # of the answer that takes time
        self._task: asyncio.Task[None] | None = None
        self._player: Player | None = None
        # of the looks at the limits
        self._seen: tuple[object, ...] = ()
        self._since = 0.0  # when it was first seen so
        self._progress: tuple[object, ...] = ()
        self._progress_since = 0.0
        self._lingering_since: float | None = None

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._service.connections.add(self)
        self._service.all_closed.clear()
        served = len(self._service.connections) - len(self._service.lingering)
        if len(self._service.lingering) > self._service.limits.connections:
            self._service.cut_longest_lingering()
        if served > self._service.limits.connections:
            self._refuse(HTTPError(503, "Too many connections"))
        elif self._service.draining:
            self.close_after_last_call()

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.LINGERING:
            self._ignored += len(data)
            return
        self._http.receive_data(data)
        if self.phase is not Phase.ANSWERING:
            self._advance()
        elif self._http.unread > self._service.limits.unread:
            self._wire.pause_reading()

    def eof_received(self) -> bool:
        """A peer that half-closes still gets the answers it asked for."""
        self._half_closed = True
        if self.phase is not Phase.ANSWERING:
            self._wire.close()
        return self._wire.can_write_eof()  # TLS has no half-close (in asyncio)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(Phase.CLOSED)
        if self._task is not None:
            self._task.cancel()
        if self._player is not None:
            self._player.abandon()
        self._service.connections.discard(self)
        self._service.lingering.pop(self, None)
        if not self._service.connections:
            self._service.all_closed.set()

    # --- called by the service ---

    def check(self, now: float) -> None:
        """Close the connection if it has been in its phase for too long; `now` in seconds."""
        unsent = self._wire.get_write_buffer_size()
        if self._is_stuck(now, unsent):
            stuck = now - self._progress_since
            logger.debug("client read nothing for %g s; connection aborted", stuck)
            self._wire.abort()
            return
        limits = self._service.limits
        seen = (self.phase, self._answers, self._ignored)
        if seen != self._seen:
            self._seen, self._since = seen, now
        waited = now - self._since
        match self.phase:
            case Phase.IDLE if waited >= limits.keep_alive and not unsent:
                self._wire.close()
            case Phase.HEAD if waited >= limits.head_time:
                reason = f"Timed out waiting for the request headers ({limits.head_time:g} s)"
                self._refuse(HTTPError(408, reason))
            case Phase.BODY if self._http.unread < (waited - limits.body_grace) * limits.body_rate:
                self._refuse(HTTPError(408, "Request body arrived too slowly"))
            case Phase.LINGERING if not unsent:
                self._end_lingering(now, waited)

    def _is_stuck(self, now: float, unsent: int) -> bool:
        """Return whether the peer has taken nothing of what waits for it, in whatever phase, for
        too long: then an answer, or a close, would wait for ever."""
        sent = 0 if self._player is None else self._player.frames_sent
        progress = (unsent, self._answers, sent)
        if progress != self._progress:
            self._progress, self._progress_since = progress, now
        return unsent > 0 and now - self._progress_since >= self._service.limits.write_time

    def _end_lingering(self, now: float, waited: float) -> None:
        if self._lingering_since is None:
            self._lingering_since = now
        if waited >= self._service.limits.linger or now - self._lingering_since >= MAX_LINGER:
            self._wire.abort()

    def close_after_last_call(self) -> None:
        """Close when the last call is over, unless a request is being read or answered then."""
        if self._service.last_call:
            loop = asyncio.get_running_loop()
            loop.call_later(self._service.last_call, self.close_if_idle)
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self.phase is Phase.IDLE:
            self._wire.close()

    def abort(self) -> None:
        """Close now, whatever is not sent."""
        self._wire.abort()

    # --- one request after the other ---

    @property
    def _wire(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def _enter(self, phase: Phase) -> None:
        assert phase in _FOLLOWS[self.phase], (self.phase, phase)
        self.phase = phase

    def _advance(self) -> None:
        """Answer whole requests, in order, until one takes time or more bytes are needed."""
        while not self._wire.is_closing():
            try:
                request = self._http.next_request()
            except HTTPError as exc:
                self._refuse(exc)
                return
            if request is None:
                self._wait_for_more()
                return
            self._answer(request)
            if self.phase not in _READING:
                return

    def _wait_for_more(self) -> None:
        phase = self._reading_phase()
        if phase is not self.phase:
            self._enter(phase)
        if self._http.wants_continue():
            self._wire.write(framing.CONTINUE)
        if self._half_closed:
            self._wire.close()

    def _reading_phase(self) -> Phase:
        if self._http.is_idle:
            return Phase.IDLE
        return Phase.BODY if self._http.is_reading_body else Phase.HEAD

    def _answer(self, request: Request) -> None:
        """Decide and answer, in the straight lane if possible."""
        started = time.monotonic()
        try:
            decided: Decision | Question = self._service.app.decide(request)
        except Exception as exc:
            decided = self._failure(request, exc)
        if isinstance(decided, Question):
            self._begin(self._ask(request, decided, started))
        else:
            self._deliver_or_fail(request, decided, started)

    def _deliver_or_fail(self, request: Request, decision: Decision, started: float) -> None:
        try:
            self._deliver(request, decision, started)
        except Exception as exc:
            self._deliver(request, self._failure(request, exc), started)

    def _failure(self, request: Request, error: Exception) -> Decision:
        """The decision where there is a bug of ours: a 500 in the vendor's envelope, one log line,
        and a connection that lives on."""
        notes = ", ".join(getattr(error, "__notes__", ())) or "no mock"
        where = f"{request.method} {request.path} ({notes})"
        logger.error("internal error answering %s", where, exc_info=error)
        message = f"The mock server failed to answer: {type(error).__name__}"
        reply = self._service.app.render_error(request, ClientError(500, message))
        return Decision.by(Match(Outcome.FAILED, reply))

    def _deliver(self, request: Request, decision: Decision, started: float) -> None:
        """Send the answer, in one write if possible. If this raises, nothing was written."""
        decided = time.monotonic() - started
        fresh = self._service.fresh_values.next(decided)
        is_http11 = self._http.is_http11
        closes = self._closes_after(decision)
        head_only = request.method == "HEAD"
        ready = decision.ready if self._writable.is_set() else None
        if ready is not None and is_http11 and not closes and not head_only:
            self._write_at_once(request, decision, decided, fresh, ready.finish(fresh))
            return
        frames = framing.frames(
            decision.reply, is_http11=is_http11, close=closes, head_only=head_only
        )
        if ready is not None:
            data = fill_fresh(b"".join(frame.data for frame in frames), fresh)
            self._write_at_once(request, decision, decided, fresh, data)
            if closes:
                self._close_gently()
            return
        self._remember(request, decision, fresh)

        def ended(player: Player, end: End) -> None:
            first = decided if player.first_byte is None else player.first_byte - started
            delivery = Delivery(decided, first, time.monotonic() - started, end)
            self._observe(request, decision, delivery)

        is_made = isinstance(decision.reply.steps, LazySteps)
        turn = self._service.turn if is_made else self._service.no_turn
        self._player = Player(self._wire, self._writable, fresh, turn=turn, ended=ended)
        self._begin(self._play(self._player, frames, decision, closes=closes))

    def _write_at_once(
        self,
        request: Request,
        decision: Decision,
        decided: float,
        fresh: FreshValues,
        data: bytes,
    ) -> None:
        self._remember(request, decision, fresh)
        if self._service.observers:
            self._observe(request, decision, Delivery(decided, decided, decided))
        self._wire.write(data)

    def _remember(self, request: Request, decision: Decision, fresh: FreshValues) -> None:
        self._answers += 1
        app = self._service.app
        if request.path in app.stored_paths:
            app.store_response(request, decision, fresh)

    def _observe(self, request: Request, decision: Decision, delivery: Delivery) -> None:
        """Give the observers the exchange. Their mistakes are no matter of the client's."""
        for observe in self._service.observers:
            try:
                observe(Exchange(request, decision, delivery))
            except Exception:
                logger.exception("internal error observing %s", request.path)

    # --- the waiting lane ---

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer in a task; until it ends, nothing else is answered."""
        if self.phase is not Phase.ANSWERING:
            self._enter(Phase.ANSWERING)
        self._task = asyncio.get_running_loop().create_task(work)

    async def _ask(self, request: Request, question: Question, started: float) -> None:
        """Have the question answered, then deliver what is decided."""
        try:
            decision = await self._answered(question)
        except Exception as exc:
            decision = self._failure(request, exc)
        self._task = None
        self._deliver_or_fail(request, decision, started)
        if self._task is None and self.phase is Phase.ANSWERING:
            self._go_on()

    async def _answered(self, question: Question) -> Decision:
        decided: Decision | Question = question
        for _ in range(MAX_QUESTIONS):
            if not isinstance(decided, Question):
                break
            answers = await self._service.outside.answer(decided.operations)
            decided = decided.resume(answers)
        assert isinstance(decided, Decision), "a request asks too many questions"
        return decided

    async def _play(self, player: Player, frames: Any, decision: Decision, *, closes: bool) -> None:
        """Send `frames`, then end as the reply says. `closes`: the peer was told that the
        connection closes."""
        try:
            await player.play(frames, decision.reply.ending.kind)
        except Exception:
            rule = decision.match.rule
            label = "no mock" if rule is None else rule.label
            logger.exception("internal error sending an answer (%s)", label)
            self._wire.abort()  # a part is sent, and no other answer can follow it
        self._player = self._task = None
        if self._wire.is_closing():
            return
        if closes:
            self._wire.resume_reading()
            self._close_gently()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Take the next request, now that an answer that took time is written."""
        self._enter(self._reading_phase())
        if self._service.draining:
            self.close_after_last_call()
        self._wire.resume_reading()
        self._advance()

    # --- the last answer ---

    def _closes_after(self, decision: Decision) -> bool:
        ends = framing.must_close(decision.reply, is_http11=self._http.is_http11)
        return ends or self._http.closes or self._service.draining

    def _refuse(self, error: HTTPError) -> None:
        """Answer what is no request, then close."""
        if isinstance(error, ForeignProtocolError):
            self._close_gently()
            return
        asked = self._http.asked
        reply = self._service.app.render_error(asked, error)
        if self._service.observers:
            decision = Decision.by(Match(Outcome.REFUSED, reply))
            self._observe(asked, decision, Delivery(0.0, 0.0, 0.0))
        frames = framing.frames(reply, close=True, head_only=asked.method == "HEAD")
        self._http.close()
        refusal = b"".join(frame.data for frame in frames)
        self._wire.write(fill_fresh(refusal, self._service.fresh_values.next()))
        self._close_gently()

    def _close_gently(self) -> None:
        """Close in a way that lets the peer read what was sent: a close with unread bytes would
        reset the connection and take the last answer with it (RFC 9112, section 9.6)."""
        self._enter(Phase.LINGERING)
        self._service.lingering[self] = None
        if self._half_closed or not self._wire.can_write_eof():
            self._wire.close()
        else:
            self._wire.write_eof()  # `check` closes what the peer does not
