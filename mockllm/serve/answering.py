"""The answers of one connection, one after the other: from a request to a decision to bytes.

An answer takes one of three ways. At once: if it is small, complete and without pauses, and the
peer reads, it is sent with one write inside `data_received`, without a task. By the clock: if it is
paced, a `PacedPlayer` sends it, without a task as well. In a task: if the request is large or the
loop is busy (`serve.turns`), if a question must be answered before the decision, or if the answer
pauses, is large, is generated while it is sent, or has a slow peer. Then a `Player` sends it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

from mockllm.engine.decision import Admission, Decision, Delivery, End, Match, Outcome, Question
from mockllm.engine.limiting import ALL, NOTHING, Sent
from mockllm.errors import ClientError
from mockllm.exchange import EndingKind, Pacing, Request
from mockllm.http1 import framing
from mockllm.http1.connection import HTTPConnection
from mockllm.observers.metrics import Measured
from mockllm.redaction import redact_target
from mockllm.serve.connections import Service
from mockllm.serve.interruptions import Interruptions
from mockllm.serve.paced_player import PacedPlayer
from mockllm.serve.phase import FOLLOWS, Phase
from mockllm.serve.player import Player, Sender
from mockllm.serve.progress import Progress
from mockllm.serve.questions import Questions
from mockllm.serve.repeats import Repeat
from mockllm.serve.shared_pools import Entry, Place, SharedPools
from mockllm.serve.turns import MAX_SMALL, MIN_CHARGED
from mockllm.state.store import StateUnavailableError
from mockllm.wire.placeholders import FreshValues, fill_fresh

logger = logging.getLogger("mockllm")

_new = tuple.__new__  # half the time of the class's own constructor


class PacedAnswer(NamedTuple):
    """An answer whose tokens take time, to a request that was complete at the time `started`. It
    `closes` the connection."""

    request: Request
    decision: Decision
    pacing: Pacing
    started: float
    fresh: FreshValues
    closes: bool


class Answering:
    """The part of a connection that answers its requests. What comes in, and what follows an
    answer, is that of `serve.protocol.HTTPProtocol`."""

    _wire: asyncio.Transport

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

    def _enter(self, phase: Phase) -> None:
        if phase not in FOLLOWS[self.phase]:
            raise RuntimeError(f"a connection cannot go from {self.phase} to {phase}")
        self.phase = phase

    # --- from a request to a decision ---

    @property
    def _is_busy(self) -> bool:
        """True while an answer takes time."""
        return self._task is not None or self._player is not None

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
            decided = self._service.decide(request)
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
        self._questions = Questions(self._service, self._wire, self._admit)
        try:
            decision = await self._decide_later(request, self._questions, question)
            self._task = None
            self._deliver(request, decision, started)
        except asyncio.CancelledError:
            self._service.observe_disconnect(request, started)
            raise
        except Exception as exc:
            self._task = None
            self._deliver(request, self._internal_error(request, exc), started)
        finally:
            self._questions = None
        if not self._is_busy and self.phase is Phase.ANSWERING:
            self._resume()

    async def _decide_later(
        self, request: Request, questions: Questions, question: Question
    ) -> Decision:
        try:
            return await questions.resolve(question)
        except StateUnavailableError as exc:
            self._end_admission()
            return self._service.app.refuse_without_state(request, exc)

    def _admit(self, admission: Admission | None) -> None:
        self._admission = admission

    # --- from a decision to bytes ---

    def _send_again(self, repeat: Repeat) -> None:
        """Answer a request as one that was equal to it, with one write."""
        service = self._service
        _, request, decision, ready, stores, matches, entry, counted = repeat
        if matches is not None:
            matches.hits += 1
        meter, journal = service.meter, service.journal
        if meter is not None:
            if counted is not None:
                meter.count_again(counted)
            else:
                meter.count(request, decision.match, 0.0)
        fresh = service.fresh_values.next()
        if stores:
            service.app.store_response(request, decision, fresh)
        if service.has_observers and service.has_observer(decision.match.outcome):
            service.observe(request, decision, _delivered_at_once(time.monotonic(), 0.0))
        elif journal is not None and entry is not None:
            try:
                journal.observe_again(entry, time.monotonic())
            except Exception as exc:
                service.log_not_observed(request, exc)
        self._answers += 1
        self._wire.write(ready.finish(fresh))

    def _deliver(self, request: Request, decision: Decision, started: float) -> None:
        """Send the answer, with one write if possible. If this raises, nothing was written."""
        if decision.match.trouble is not None:
            self._service.report(decision.match.trouble)
        decided = time.monotonic() - started
        fresh = self._service.fresh_values.next(decided)
        http, ready = self._http, decision.ready
        if (
            ready is not None
            and self._can_write
            and http.stays_open
            and not self._service.draining
            and request.method != "HEAD"
        ):
            if self._read is not None and decision.match.reusable and http.is_idle:
                self._service.repeats.offer(self._read, request, decision)
            data = ready.finish(fresh)
            if decision.session or decision.admission is not None or self._service.is_observed:
                self._write_at_once(request, decision, started, decided, fresh, data)
                return
            self._answers += 1
            if request.path in self._service.app.stored_paths:
                self._service.app.store_response(request, decision, fresh)
            self._wire.write(data)
            return
        self._deliver_otherwise(request, decision, started, decided, fresh)

    def _deliver_otherwise(
        self,
        request: Request,
        decision: Decision,
        started: float,
        decided: float,
        fresh: FreshValues,
    ) -> None:
        """Send an answer that is not ready, to a peer that does not read, or that is the last one
        of its connection."""
        http, ready = self._http, decision.ready
        is_http11 = http.is_http11
        ends_stream = not is_http11 and framing.must_close(decision.reply, is_http11=False)
        closes = ends_stream or http.closes or self._service.draining
        head_only = request.method == "HEAD"
        if decision.reply.pacing is not None and not head_only:
            self._deliver_paced(request, decision, started, fresh, closes=closes)
            return
        frames: Iterator[framing.Frame] = framing.frames(
            decision.reply, is_http11=is_http11, close=closes, head_only=head_only
        )
        if ready is not None and self._can_write:
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
        measured = self._measure(request, decision)
        ended = self._delivery_observer(request, decision, started, decided, progress, measured)
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
        pacing = self._service.app.pacing_of(request, decision)
        answer = PacedAnswer(request, decision, pacing, started, fresh, closes)
        shared = self._service.shared_pools
        if shared is None or not pacing.pool.shared:
            self._play_paced(answer)
            return
        entry = shared.enter_at_once(pacing.pool)
        if entry is None:
            self._begin(self._enter_later(answer, shared))
        else:
            self._play_entered(answer, entry)

    async def _enter_later(self, answer: PacedAnswer, shared: SharedPools) -> None:
        """Send an answer after it has entered a pool that processes share."""
        request = answer.request
        try:
            entry = await shared.enter_later(answer.pacing.pool)
            self._task = None
            self._play_entered(answer, entry)
        except asyncio.CancelledError:
            self._service.observe_disconnect(request, answer.started)
            raise
        except StateUnavailableError as exc:
            self._task = None
            self._end_admission()
            refusal = self._service.app.refuse_without_state(request, exc)
            self._deliver(request, refusal, answer.started)
        except Exception as exc:
            self._task = None
            self._deliver(request, self._internal_error(request, exc), answer.started)
        if not self._is_busy and self.phase is Phase.ANSWERING:
            self._resume()

    def _play_entered(self, answer: PacedAnswer, entry: Entry) -> None:
        """Send an answer that has a place in a pool or in its line, or the refusal of the pool."""
        if entry.place is None:
            self._refuse_for_pool(answer)
            return
        try:
            self._play_paced(answer, entry.place)
        except BaseException:
            entry.place.leave()
            raise

    def _refuse_for_pool(self, answer: PacedAnswer) -> None:
        refusal = self._service.app.refuse_for_pool(answer.decision, answer.pacing)
        self._deliver(answer.request, refusal, answer.started)

    def _play_paced(self, answer: PacedAnswer, place: Place | None = None) -> None:
        """Send an answer in its pool, or the refusal of the pool."""
        request, decision, pacing, started, fresh, closes = answer
        reply = decision.reply
        decided = time.monotonic() - started
        is_http11 = self._http.is_http11
        frames, progress = self._with_progress(
            self._service.frames.of(reply, is_http11=is_http11, close=closes), decision
        )
        interruptions = None
        if reply.interruptions:
            interruptions = Interruptions(
                reply, frames, is_http11=is_http11, close=closes, holds_head=True
            )
        measured = self._measure(request, decision)
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
            place=place,
            measured=measured,
            ended=self._delivery_observer(request, decision, started, decided, progress, measured),
        )
        if not player.start():
            if measured is not None:
                measured.discard()
            self._player = None
            self._refuse_for_pool(answer)
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

        return ended

    def _measure(self, request: Request, decision: Decision) -> Measured | None:
        """Begin to measure an answer that takes time, if there are metrics."""
        meter = self._service.meter
        if meter is None:
            return None
        return meter.begin(request, decision.match, is_stream=decision.reply.streamed)

    def _with_progress(
        self,
        frames: Iterator[framing.Frame],
        decision: Decision,
    ) -> tuple[Iterator[framing.Frame], Progress | None]:
        """Return `frames`, counted if the request was admitted to limits, with their count; also
        if metrics need it, which count the tokens of a paced answer themselves."""
        is_metered = self._service.meter is not None and decision.reply.pacing is None
        if decision.admission is None and not is_metered:
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
        service = self._service
        self._answers += 1
        if decision.session or request.path in service.app.stored_paths:
            service.app.store_response(request, decision, fresh)
        if decision.admission is not None:
            self._end_admission(decision, ALL)
        if service.meter is not None:
            service.meter.count(request, decision.match, decided)
        if service.has_observers and service.has_observer(decision.match.outcome):
            service.observe(request, decision, _delivered_at_once(started, decided))
        elif service.journal is not None:
            try:
                service.journal.note(request, decision, started, decided)
            except Exception as exc:
                service.log_not_observed(request, exc)
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


def _delivered_at_once(started: float, decided: float) -> Delivery:
    """Return the delivery of an answer that is sent with one write, `decided` seconds after the
    request was complete at the time `started`."""
    return _new(Delivery, (decided, decided, decided, End.COMPLETE, started, "", 0))
