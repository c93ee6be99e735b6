"""One connection on an asyncio loop: from bytes to requests to decisions to bytes.

An answer takes one of three ways. At once: if it is small, complete and without pauses, and the
peer reads, it is sent with one write inside `data_received`, without a task. By the clock: if it is
paced, a `PacedPlayer` sends it, without a task as well. In a task: if the request is large or the
loop is busy (`serve.turns`), if a question must be answered before the decision, or if the answer
pauses, is large, is generated while it is sent, or has a slow peer. Then a `Player` sends it.
Pipelined requests wait for their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, cast

from mockllm.engine.decision import (
    Admission,
    CallFunction,
    Decision,
    Delivery,
    DividedWork,
    End,
    FindPeer,
    Match,
    Outcome,
    Peer,
    Question,
    Wait,
)
from mockllm.engine.limiting import ALL, NOTHING, Sent
from mockllm.errors import ClientError, ForeignProtocolError, HTTPError
from mockllm.exchange import EndingKind, Request
from mockllm.http1 import framing
from mockllm.http1.connection import HTTPConnection
from mockllm.limits import KIB
from mockllm.redaction import redact_target
from mockllm.serve.address import is_local
from mockllm.serve.connections import Service
from mockllm.serve.functions import is_asynchronous
from mockllm.serve.interruptions import Interruptions
from mockllm.serve.paced_player import PacedPlayer
from mockllm.serve.phase import FOLLOWS, Phase
from mockllm.serve.player import MAX_UNSENT, Player, Sender
from mockllm.serve.progress import Progress
from mockllm.serve.timeouts import Expired, Timeouts
from mockllm.serve.turns import MAX_SMALL, MIN_CHARGED
from mockllm.wire.placeholders import FreshValues, fill_fresh

logger = logging.getLogger("mockllm")

MIN_LARGE_READ = 16 * KIB  # bytes received at once whose cost is counted
SECONDS_PER_BYTE = 0.4e-9  # that the loop takes to read bytes, beside what is done with them here
SECONDS_PER_TLS_BYTE = 3e-9  # the same, if it also decrypts them
MAX_QUESTIONS = 4  # of one request, one after the other: traffic, a choice, a function, its answer


class HTTPProtocol(asyncio.Protocol):
    """The asyncio shell around `HTTPConnection` and `App.decide`."""

    def __init__(self, service: Service) -> None:
        # of the server
        self._service = service
        # of the connection
        self._wire: asyncio.Transport  # once it is made
        self._http = HTTPConnection(service.heads, service.limits)
        self._writable = asyncio.Event()
        self._writable.set()
        self.phase = Phase.IDLE
        self._peer_finished = asyncio.Event()  # it sends no more, but may still read
        self._discarded = 0  # bytes received while lingering
        self._answers = 0
        self._timeouts = Timeouts(service.limits)
        # of an answer that takes time
        self._task: asyncio.Task[None] | None = None
        self._player: Sender | None = None
        self._is_calling = False  # a function, or a wait, that is cancelled if the peer leaves
        # of a request with limits
        self._admission: Admission | None = None  # until its answer ends

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)
        self._wire.set_write_buffer_limits(high=MAX_UNSENT)
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
            self._discarded += len(data)
            return
        if len(data) >= MIN_LARGE_READ:
            self._receive_large(data)
        else:
            self._receive(data)

    def eof_received(self) -> bool:
        """Answer the requests received so far, then close: the peer has half-closed. But a peer
        that finishes while a function answers, or while an answer waits, has left."""
        self._peer_finished.set()
        waits = self._player is not None and self._player.waits
        if self.phase is not Phase.ANSWERING or self._is_calling or waits:
            self._wire.close()
        return self._wire.can_write_eof()  # TLS has no half-close (in asyncio)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._player is not None:
            self._player.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(Phase.CLOSED)
        task, player = self._task, self._player
        self._task = self._player = None  # or a cycle would keep the request until it is collected
        if task is not None:
            task.cancel()
        if player is not None:
            player.abandon()
        self._end_admission()
        self._service.connections.discard(self)
        self._service.lingering.pop(self, None)
        if not self._service.connections:
            self._service.all_closed.set()

    # --- called by the service ---

    def check(self, now: float) -> None:
        """Close the connection if it exceeds a time limit; `now` is the loop's time in seconds."""
        expired = self._timeouts.expired(
            now,
            self.phase,
            unsent=self._wire.get_write_buffer_size(),
            unread=self._http.unread,
            answers=self._answers,
            frames=0 if self._player is None else self._player.frames_sent,
            discarded=self._discarded,
        )
        match expired:
            case Expired.WRITE:
                stuck = self._timeouts.seconds_stuck(now)
                logger.debug("client read nothing for %g s; connection aborted", stuck)
                self._wire.abort()
            case Expired.KEEP_ALIVE:
                self._wire.close()
            case Expired.HEAD:
                limit = self._service.limits.head_time
                reason = f"Timed out waiting for the request headers ({limit:g} s)"
                self._refuse(HTTPError(408, reason))
            case Expired.BODY:
                self._refuse(HTTPError(408, "Request body arrived too slowly"))
            case Expired.LINGER:
                self._wire.abort()

    def stop_reading(self) -> bool:
        """Receive nothing until `start_reading`. Returns False, without effect, while no request is
        expected or received."""
        if self.phase in (Phase.ANSWERING, Phase.LINGERING) or self._wire.is_closing():
            return False
        self._wire.pause_reading()
        return True

    def start_reading(self) -> None:
        """Receive again after `stop_reading`."""
        if not self._wire.is_closing():
            self._wire.resume_reading()

    def close_after_last_call(self) -> None:
        """Close after the service's `last_call` seconds, unless a request is being read or answered
        then. An answer that hangs is over at once: it would use up the time of all others."""
        if self._player is not None and self._player.hangs:
            self._wire.close()
        elif self._service.last_call:
            loop = asyncio.get_running_loop()
            loop.call_later(self._service.last_call, self.close_if_idle)
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self.phase is Phase.IDLE:
            self._wire.close()

    def abort(self) -> None:
        """Close at once and drop unsent bytes."""
        self._wire.abort()

    # --- receiving ---

    def _receive(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self.phase is not Phase.ANSWERING:
            self._advance()
        elif self._http.unread > self._service.limits.unread:
            self._wire.pause_reading()

    def _receive_large(self, data: bytes) -> None:
        """Receive a large piece of a body. After too many of them in one iteration of the loop, the
        others wait for the next one."""
        began = time.monotonic()
        self._receive(data)
        is_tls = self._wire.get_extra_info("sslcontext") is not None
        per_byte = SECONDS_PER_TLS_BYTE if is_tls else SECONDS_PER_BYTE
        spent = time.monotonic() - began + len(data) * per_byte
        if self._service.turns.spend_reading(spent):
            self._service.stop_reading()

    # --- one request after the other ---

    def _enter(self, phase: Phase) -> None:
        if phase not in FOLLOWS[self.phase]:
            raise RuntimeError(f"a connection cannot go from {self.phase} to {phase}")
        self.phase = phase

    def _advance(self) -> None:
        """Answer complete requests, in order, until one takes time or more bytes are needed."""
        http, wire = self._http, self._wire
        while not wire.is_closing():
            try:
                request = http.next_request()
            except HTTPError as exc:
                self._refuse(exc)
                return
            if request is None:
                self._wait_for_more()
                return
            self._answer(request)
            if self._is_busy or self.phase is Phase.LINGERING:
                return
            if http.is_idle and self.phase is Phase.IDLE and not self._peer_finished.is_set():
                return

    @property
    def _is_busy(self) -> bool:
        """True while an answer takes time."""
        return self._task is not None or self._player is not None

    def _wait_for_more(self) -> None:
        phase = self._reading_phase()
        if phase is not self.phase:
            self._enter(phase)
        if self._http.wants_continue():
            self._wire.write(framing.CONTINUE)
        if self._peer_finished.is_set():
            self._wire.close()

    def _reading_phase(self) -> Phase:
        if self._http.is_idle:
            return Phase.IDLE
        return Phase.BODY if self._http.is_reading_body else Phase.HEAD

    def _answer(self, request: Request) -> None:
        """Decide and answer, without a task if possible."""
        started = time.monotonic()
        turns, size = self._service.turns, len(request.body)
        if size > MAX_SMALL or (turns.over and size):
            self._begin(self._answer_in_turn(request, started))
            return
        self._decide(request, started)
        spent = time.monotonic() - started
        if spent > MIN_CHARGED:
            turns.spend(spent)

    def _decide(self, request: Request, started: float) -> None:
        try:
            decided = self._service.app.decide(request)
            if decided.admission is not None:
                self._admission = decided.admission
            if isinstance(decided, Question):
                self._begin(self._answer_later(request, decided, started))
            else:
                self._deliver(request, decided, started)
        except Exception as exc:
            self._deliver(request, self._internal_error(request, exc), started)

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

    def _deliver(self, request: Request, decision: Decision, started: float) -> None:
        """Send the answer, with one write if possible. If this raises, nothing was written."""
        if decision.match.trouble is not None:
            self._service.report(decision.match.trouble)
        decided = time.monotonic() - started
        fresh = self._service.fresh_values.next(decided)
        is_http11 = self._http.is_http11
        ends_stream = framing.must_close(decision.reply, is_http11=is_http11)
        closes = ends_stream or self._http.closes or self._service.draining
        head_only = request.method == "HEAD"
        if decision.reply.pacing is not None and not head_only:
            self._deliver_paced(request, decision, started, fresh, closes=closes)
            return
        ready = decision.ready if self._writable.is_set() else None
        if ready is not None and is_http11 and not closes and not head_only:
            self._write_at_once(request, decision, started, decided, fresh, ready.finish(fresh))
            return
        frames: Iterator[framing.Frame] = framing.frames(
            decision.reply, is_http11=is_http11, close=closes, head_only=head_only
        )
        if ready is not None:
            data = fill_fresh(b"".join(frame.data for frame in frames), fresh)
            self._write_at_once(request, decision, started, decided, fresh, data)
            if closes:
                self._close_gently()
            return
        self._record_answer(request, decision, fresh)
        frames, progress = self._with_progress(frames, decision)
        interruptions = None
        if decision.reply.interruptions and not head_only:
            interruptions = Interruptions(decision.reply, frames, is_http11=is_http11, close=closes)
        ended = self._delivery_observer(request, decision, started, decided, progress)
        turns = self._service.turns
        self._player = Player(
            self._wire,
            self._writable,
            self._peer_finished,
            fresh,
            turns=turns,
            gates=self._service.gates,
            session=decision.session,
            interruptions=interruptions,
            ended=ended,
        )
        self._begin(self._play(self._player, frames, decision, closes=closes))

    def _deliver_paced(
        self,
        request: Request,
        decision: Decision,
        started: float,
        fresh: FreshValues,
        *,
        closes: bool,
    ) -> None:
        """Send an answer whose tokens take time, or the refusal of its pool."""
        reply, app = decision.reply, self._service.app
        pacing = app.pacing_of(request, decision)
        decided = time.monotonic() - started
        is_http11 = self._http.is_http11
        frames, progress = self._with_progress(
            framing.fastest_frames(reply, is_http11=is_http11, close=closes), decision
        )
        interruptions = None
        if reply.interruptions:
            interruptions = Interruptions(
                reply, frames, is_http11=is_http11, close=closes, holds_head=True
            )
        self._player = player = PacedPlayer(
            self._wire,
            self._writable,
            self._peer_finished,
            fresh,
            frames=framing.hold_head(frames, len(reply.opening))
            if interruptions is None
            else frames,
            ending=reply.ending,
            clock=self._service.clock,
            pacing=pacing,
            is_stream=reply.streamed,
            over=lambda kind, error: self._end_paced(decision, kind, error, closes=closes),
            interruptions=interruptions,
            gates=self._service.gates,
            session=decision.session,
            ended=self._delivery_observer(request, decision, started, decided, progress),
        )
        if not player.start():
            self._player = None
            self._deliver(request, app.refuse_for_pool(decision, pacing), started)
            return
        self._record_answer(request, decision, fresh)
        self._enter_answering()

    def _delivery_observer(
        self,
        request: Request,
        decision: Decision,
        started: float,
        decided: float,
        progress: Progress | None,
    ) -> Callable[[Sender, End], None]:
        """Return a callback for the end of a player's delivery. `started` is in monotonic seconds,
        `decided` in seconds since then."""

        def ended(player: Sender, end: End) -> None:
            if progress is not None:
                is_whole = end is End.COMPLETE and not player.replaced_status
                sent = ALL if is_whole else progress.sent(decision.reply, player.unsent)
                self._end_admission(decision, sent)
            first = decided if player.first_byte is None else player.first_byte - started
            spent = time.monotonic() - started
            status = player.replaced_status
            delivery = Delivery(decided, first, spent, end, started, player.gate, status)
            self._service.observe(request, decision, delivery)

        return ended

    def _with_progress(
        self, frames: Iterator[framing.Frame], decision: Decision
    ) -> tuple[Iterator[framing.Frame], Progress | None]:
        """Return `frames`, counted if the request was admitted to limits, with their count."""
        if decision.admission is None:
            return frames, None
        progress = Progress(frames, 1 + len(decision.reply.opening))
        return progress, progress

    def _end_admission(self, decision: Decision | None = None, sent: Sent = NOTHING) -> None:
        """Give back the place of the request that is answered, and what its answer, of which this
        was sent, has not cost."""
        admission, self._admission = self._admission, None
        if admission is not None:
            answer = None if decision is None else decision.match.answer
            self._service.app.end_admission(admission, answer, sent)

    def _write_at_once(
        self,
        request: Request,
        decision: Decision,
        started: float,
        decided: float,
        fresh: FreshValues,
        data: bytes,
    ) -> None:
        self._record_answer(request, decision, fresh)
        if decision.admission is not None:
            self._end_admission(decision, ALL)
        if self._service.observers or decision.match.outcome is Outcome.UNMATCHED:
            delivery = Delivery(decided, decided, decided, started=started)
            self._service.observe(request, decision, delivery)
        self._wire.write(data)

    def _record_answer(self, request: Request, decision: Decision, fresh: FreshValues) -> None:
        self._answers += 1
        app = self._service.app
        if request.path in app.stored_paths or decision.session:
            app.store_response(request, decision, fresh)

    # --- answers that take time ---

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer in a task. Until it ends, no other request of the connection is answered."""
        self._enter_answering()
        self._task = asyncio.get_running_loop().create_task(work)

    def _enter_answering(self) -> None:
        if self.phase is not Phase.ANSWERING:
            self._enter(Phase.ANSWERING)

    async def _answer_in_turn(self, request: Request, started: float) -> None:
        """Decide and answer a request that takes long, or for which there is no time yet."""
        turns = self._service.turns
        try:
            await turns.wait(len(request.body))
        except asyncio.CancelledError:
            self._service.observe_disconnect(request, started)
            raise
        self._task = None
        began = time.monotonic()
        self._decide(request, started)
        turns.spend(time.monotonic() - began)
        if not self._is_busy and self.phase is Phase.ANSWERING:
            self._resume()

    async def _answer_later(self, request: Request, question: Question, started: float) -> None:
        """Decide by the results of the question's operations, then deliver the decision."""
        try:
            decision = await self._resolve(question)
            self._task = None
            self._deliver(request, decision, started)
        except asyncio.CancelledError:
            self._service.observe_disconnect(request, started)
            raise
        except Exception as exc:
            self._task = None
            self._deliver(request, self._internal_error(request, exc), started)
        if not self._is_busy and self.phase is Phase.ANSWERING:
            self._resume()

    async def _resolve(self, question: Question) -> Decision:
        """Return the decision that follows from `question` and those after it."""
        decided: Decision | Question = question
        for _ in range(MAX_QUESTIONS):
            if decided.admission is not None:
                self._admission = decided.admission
            if not isinstance(decided, Question):
                break
            work = decided.operations[0]
            if isinstance(work, DividedWork):
                results: Sequence[Any] = [await self._service.turns.perform(work.pieces)]
            elif isinstance(work, CallFunction):
                results = await self._call_functions(decided.operations)
            elif isinstance(work, FindPeer):
                results = [self._peer()]
            elif isinstance(work, Wait):
                results = [await self._wait(work)]
            else:
                results = await self._service.performer.perform(decided.operations)
            decided = decided.resume(results)
        assert isinstance(decided, Decision), "too many questions for one request"
        self._admission = decided.admission
        return decided

    def _peer(self) -> Peer:
        wire = self._wire
        return Peer(is_local(wire.get_extra_info("socket"), wire.get_extra_info("peername")))

    async def _wait(self, work: Wait) -> Any:
        """Wait, unless the peer leaves or the server stops."""
        self._is_calling = True
        try:
            return await work.begin()
        finally:
            self._is_calling = False

    async def _call_functions(self, operations: Sequence[Any]) -> Sequence[Any]:
        """Return the results of functions. Asynchronous ones are cancelled if the peer leaves."""
        self._is_calling = any(is_asynchronous(each.function) for each in operations)
        try:
            return await self._service.functions.perform(operations)
        finally:
            self._is_calling = False

    async def _play(
        self, player: Player, frames: Iterator[framing.Frame], decision: Decision, *, closes: bool
    ) -> None:
        """Send `frames`, then end as the reply specifies. `closes` is True if the head of the reply
        announced that the connection closes."""
        try:
            await player.play(frames, decision.reply.ending)
        except Exception as exc:
            player.fail()
            self._abort_answer(decision, exc)
        self._finish_answer(closes=closes)

    def _end_paced(
        self, decision: Decision, kind: EndingKind, error: Exception | None, *, closes: bool
    ) -> None:
        """Go on after the frames of a paced answer that ends as `kind` says, or after the `error`
        that prevented them."""
        player = self._player
        if error is not None:
            self._abort_answer(decision, error)
        if error is not None or kind in (EndingKind.COMPLETE, EndingKind.CLEAN):
            self._finish_answer(closes=closes)
        elif player is not None:
            self._begin(self._end_later(player, kind, closes=closes))

    async def _end_later(self, player: Sender, kind: EndingKind, *, closes: bool) -> None:
        await player.end(kind)
        self._finish_answer(closes=closes)

    def _abort_answer(self, decision: Decision, error: Exception) -> None:
        """Log an error while an answer was sent, and close: an error reply cannot follow."""
        rule = decision.match.rule
        label = "no mock" if rule is None else rule.label
        logger.error("internal error sending an answer (%s)", label, exc_info=error)
        self._wire.abort()

    def _finish_answer(self, *, closes: bool) -> None:
        """Go on after an answer that took time."""
        self._player = self._task = None
        if self._wire.is_closing():
            return
        if closes:
            self._close_gently()
        else:
            self._resume()

    def _resume(self) -> None:
        """Continue with the next request after an answer that took time."""
        self._enter(self._reading_phase())
        if self._service.draining:
            self.close_after_last_call()
        self._wire.resume_reading()
        self._advance()

    # --- the last answer ---

    def _refuse(self, error: HTTPError) -> None:
        """Answer an invalid request with `error`, then close. A foreign protocol gets no answer."""
        if isinstance(error, ForeignProtocolError):
            self._close_gently()
            return
        asked = self._http.current_request
        reply = self._service.app.render_error(asked, error)
        if self._service.observers:
            decision = Decision.by(Match(Outcome.REFUSED, reply))
            delivery = Delivery(0.0, 0.0, 0.0, started=time.monotonic())
            self._service.observe(asked, decision, delivery)
        frames = framing.frames(reply, close=True, head_only=asked.method == "HEAD")
        self._http.close()
        refusal = b"".join(frame.data for frame in frames)
        self._wire.write(fill_fresh(refusal, self._service.fresh_values.next()))
        self._close_gently()

    def _close_gently(self) -> None:
        """Close without losing what was sent: a close with unread bytes would reset the connection,
        and the peer might not receive the last answer (RFC 9112, section 9.6)."""
        self._enter(Phase.LINGERING)
        self._service.lingering[self] = None
        self._wire.resume_reading()
        if self._peer_finished.is_set() or not self._wire.can_write_eof():
            self._wire.close()
        else:
            with contextlib.suppress(OSError):  # the peer has reset, and the loop will notice
                self._wire.write_eof()  # if the peer does not close, `check` does
