"""The answers of one connection, one after the other: from a request to a decision to bytes.

An answer takes one of three ways. At once: if it is small, complete and without pauses, and the
peer reads, it is sent with one write inside `data_received`, or at the end of the iteration
(`serve.outbox`), without a task. By the clock: if it is paced, a `PacedPlayer` sends it, without a
task as well. In a task: if the request is large or the loop is busy (`serve.turns`), if a question
must be answered before the decision, or if the answer pauses, is large, is generated while it is
sent, or has a slow peer. Then a `Player` sends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from mockllm.engine.decision import Admission, Decision, Delivery, End, Question
from mockllm.engine.limiting import ALL
from mockllm.exchange import Request
from mockllm.http1 import framing
from mockllm.serve.interruptions import Interruptions
from mockllm.serve.paced_answers import PacedAnswers
from mockllm.serve.phase import Phase
from mockllm.serve.player import Player
from mockllm.serve.questions import Questions
from mockllm.serve.repeats import Repeat
from mockllm.serve.turns import MAX_SMALL, MIN_CHARGED
from mockllm.state.store import StateUnavailableError
from mockllm.wire.placeholders import FreshValues, fill_fresh

_new = tuple.__new__  # half the time of the class's own constructor


class Answering(PacedAnswers):
    """The part of a connection that answers its requests. What comes in, and what follows an
    answer, is that of `serve.protocol.HTTPProtocol`."""

    # --- from a request to a decision ---

    def _answer(self, request: Request) -> None:
        """Decide and answer, without a task if possible."""
        started = time.monotonic()
        turns = self._service.turns
        size = len(request.body)
        if size > MAX_SMALL or (turns.over and size):
            self._begin(self._answer_in_turn(request, started))
            return
        spent = self._decide(request, started) - started
        if spent > MIN_CHARGED:
            turns.spend(spent)

    def _decide(self, request: Request, started: float) -> float:
        """Decide and answer. Returns the time of the answer, as `_deliver` does."""
        try:
            decided = self._service.decide(request)
            if decided.admission is not None:
                self._admission = decided.admission
            if isinstance(decided, Question):
                self._begin(self._answer_later(request, decided, started))
                return time.monotonic()
            return self._deliver(request, decided, started)
        except Exception as exc:
            return self._deliver(request, self._internal_error(request, exc), started)

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
        self._questions = Questions(self._service, self._transport, self._admit)
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
        now = time.monotonic()
        fresh = service.fresh_values.next(now)
        if stores:
            service.app.responses.store(request, decision, fresh)
        if service.has_observers and service.has_observer(decision.match.outcome):
            service.observe(request, decision, _delivered_at_once(now, 0.0))
        elif journal is not None and entry is not None:
            try:
                journal.observe_again(entry, now)
            except Exception as exc:
                service.log_not_observed(request, exc)
        self._answers += 1
        self._transport.write(ready.finish(fresh))

    def _deliver(self, request: Request, decision: Decision, started: float) -> float:
        """Send the answer, with one write if possible. If this raises, nothing was written. Returns
        the monotonic time when that was done, but for a microsecond or two of a ready answer: the
        clock is not read again for these."""
        service, http = self._service, self._http
        match, _, ready, session, admission = decision
        trouble = match.trouble
        if trouble is not None and trouble.place:
            service.report(trouble)
        now = time.monotonic()
        decided = now - started
        fresh = service.fresh_values.next(now, decided)
        if (
            ready is not None
            and self._can_write
            and http.stays_open
            and not service.draining
            and request.method != "HEAD"
        ):
            is_last = http.is_idle
            if self._read is not None and match.reusable and is_last:
                service.repeats.offer(self._read, request, decision)
                service.alike.offer(request, decision)
            data = ready.finish(fresh)
            if session or admission is not None or service.is_observed:
                self._conclude(request, decision, started, decided, fresh)
                now = time.monotonic()  # an observer may take long
            else:
                self._answers += 1
                responses = service.app.responses
                if request.path in responses.paths:
                    responses.store(request, decision, fresh)
            if is_last:
                service.outbox.send(self, data, now)
            else:
                self._transport.write(data)
            return now
        self._deliver_otherwise(request, decision, started, decided, fresh)
        return time.monotonic()

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
            self._conclude(request, decision, started, decided, fresh)
            self._transport.write(data)
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
            self._transport,
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

    def _conclude(
        self,
        request: Request,
        decision: Decision,
        started: float,
        decided: float,
        fresh: FreshValues,
    ) -> None:
        """Do what is done about an answer before it is sent with one write."""
        service = self._service
        self._answers += 1
        if decision.session or request.path in service.app.responses.paths:
            service.app.responses.store(request, decision, fresh)
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


def _delivered_at_once(started: float, decided: float) -> Delivery:
    """Return the delivery of an answer that is sent with one write, `decided` seconds after the
    request was complete at the time `started`."""
    return _new(Delivery, (decided, decided, decided, End.COMPLETE, started, "", 0))
