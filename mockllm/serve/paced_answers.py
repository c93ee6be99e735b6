"""Paced answers of one connection: those whose tokens take time, in a pool, without a task.

place   in the pool: one of this process is entered by the player; of one that processes share,
        a place is asked for first, which may take until another process has answered
play    a `PacedPlayer` sends the answer, as the clock directs
end     the connection goes on with the next request, or a task ends it as a fault says
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from mockllm.engine.decision import Decision
from mockllm.engine.delivery_pace import refuse_for_pool
from mockllm.exchange import EndingKind, Pacing, Request
from mockllm.http1 import framing
from mockllm.http1.shared_frames import Divided
from mockllm.serve.answers import Answers
from mockllm.serve.interruptions import Interruptions
from mockllm.serve.paced_player import PacedPlayer
from mockllm.serve.phase import Phase
from mockllm.serve.player import Sender
from mockllm.serve.shared_pools import PoolEntry, PoolPlace, SharedPools
from mockllm.state.store import StateUnavailableError
from mockllm.wire.placeholders import FreshValues


class PacedAnswer(NamedTuple):
    """An answer whose tokens take time, to a request that was complete at the time `started`. It
    `closes` the connection."""

    request: Request
    decision: Decision
    pacing: Pacing
    started: float
    fresh: FreshValues
    closes: bool


class PacedAnswers(Answers):
    """The part of a connection that sends paced answers."""

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
        app = self._service.app
        pacing = app.paces.pacing_of(request, decision, app.engine.seed)
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

    def _play_entered(self, answer: PacedAnswer, entry: PoolEntry) -> None:
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
        refusal = refuse_for_pool(answer.decision, answer.pacing)
        self._deliver(answer.request, refusal, answer.started)

    def _play_paced(self, answer: PacedAnswer, place: PoolPlace | None = None) -> None:
        """Send an answer in its pool, or the refusal of the pool."""
        request, decision, pacing, started, fresh, closes = answer
        reply = decision.reply
        decided = time.monotonic() - started
        is_http11 = self._http.is_http11
        interruptions = progress = None
        if reply.interruptions or decision.admission is not None:
            frames, progress = self._with_progress(
                self._service.frames.of(reply, is_http11=is_http11, close=closes), decision
            )
            if reply.interruptions:
                interruptions = Interruptions(
                    reply, frames, is_http11=is_http11, close=closes, holds_head=True
                )
            else:
                frames = framing.hold_head(frames, len(reply.opening))
            divided = Divided(frames)
        else:
            divided = self._service.frames.with_head_held(reply, is_http11=is_http11, close=closes)
        measured = self._measure(request, decision)
        self._player = player = PacedPlayer(
            self._transport,
            self._writable,
            self._peer_finished,
            fresh,
            frames=divided,
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
