"""Sends an answer whose tokens take time, as the clock (`serve.clock`) directs: without a task and
without a timer of its own, because there may be thousands.

    start     the answer asks for a place in its pool, and may have to wait for it
    begin     it has one: what precedes the first token is due
    play_due  a deadline has come: all frames that are due leave in one write, and the next deadline
              is set
    resume    the peer reads again: what was due meanwhile leaves
    pass_gate a test lets the answer go on, which was held at a gate: what follows is due from then
              on
    abandon   the peer is gone

Deadlines are absolute, so a step that is late delays no other. An answer whose peer reads slowly
gives its place in the pool to the next one; one that is held at a gate keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mockllm.engine.decision import End
from mockllm.exchange import Ending, EndingKind, Pacing
from mockllm.http1.framing import LAST_CHUNK, PAUSE
from mockllm.replies.pools import Pool
from mockllm.serve.closing import close
from mockllm.serve.direct_writes import write
from mockllm.serve.paced import Paced
from mockllm.serve.player import ENDS, MAX_UNSENT
from mockllm.serve.shared_pools import PoolPlace
from mockllm.serve.token_steps import Due, TokenSteps
from mockllm.wire.placeholders import fill_fresh


class PacedPlayer(TokenSteps):
    """Sends the frames of one answer by the deadlines of its `pacing`. `over` is called when all
    that precede its `ending` are written, with how the message ends, and the exception if they
    could not be made; never within `start`, and not if the peer has disconnected. `place` is that
    in a pool that processes share, or in its line. The other arguments are those of
    `TokenSteps`."""

    __slots__ = (  # there may be thousands
        *("is_stream", "_ending", "_until", "_over", "_began", "_interrupted_at"),
        *("_rule", "_pool", "_place", "_decode", "_has_begun", "_since", "_is_first"),
        *("_awaits_token", "_can_be_steady", "_waits_for_peer", "_is_behind"),
    )

    def __init__(
        self,
        *connection: Any,
        ending: Ending,
        pacing: Pacing,
        is_stream: bool,
        over: Callable[[EndingKind, Exception | None], None],
        place: PoolPlace | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(*connection, pacing=pacing, **answer)
        if self._measured is not None:
            self._measured.count_steps = self._clock.count_all
        # of the answer
        self.is_stream = is_stream
        self._ending = ending
        self._until = math.inf  # in real time; frames that are due later are not sent
        self._over = over
        self._began = 0.0  # in real time
        self._interrupted_at = math.inf  # in real time
        # of the pool
        self._rule = pacing.pool
        self._pool: Pool[Paced] | None = None
        self._place = place
        # of the next frame, or of the first token
        self._decode = self._lane
        self._has_begun = False
        self._since = 0.0  # when the frame before was due
        self._is_first = True
        """True until there is a frame with tokens."""
        self._awaits_token = False
        """True if the deadline is that of the first token, which the next frame contains."""
        self._can_be_steady = ending.time is None and self._interruptions is None
        # of a peer that reads slowly
        self._waits_for_peer = False
        self._is_behind = False

    @property
    def waits(self) -> bool:
        """True while a deadline, a place in the pool, or a gate is waited for; not while the peer
        is, or what is late."""
        if self._waits_for_peer:
            return False
        return self.gate != "" or self._due > self._lane.time_at(self._clock.now())

    def start(self) -> bool:
        """Enter the pool. Returns False if it is full."""
        self._pool = self._clock.enter(self, self._rule, self._place)
        if self._measured is not None and self._pool is not None and self._due == math.inf:
            self._measured.wait()
        return self._pool is not None

    def begin(self, pool: Pool[Paced], now: float) -> None:
        """Begin: there is a place in the pool."""
        if self._measured is not None:
            self._measured.begin()
        self._lane, self._decode = pool.prefill, pool.decode
        self._due = self._lane.time_at(now)
        if self._ending.time is not None:
            self._until = now + self._ending.time
        if self._interruptions is not None:
            self._began = now
            self._interrupted_at = now + self._interruptions.next_at
        self._wait()

    def play_due(self, now: float, own: float) -> None:
        """Send what is due, whatever it is."""
        self._deadline = None
        if self._transport.is_closing():
            return  # `abandon` follows
        try:
            if not self._writable.is_set():
                self._park()
                return
            kind = self._play(now)
        except Exception as exc:
            self.fail_with(exc)
            return
        if kind is not None:
            self._leave()
            self._over(kind, None)

    def fail_with(self, error: Exception) -> None:
        """End the answer, and go on with the connection."""
        self._deadline = None
        self.fail()
        self._leave()
        self._over(self._ending.kind, error)

    def resume(self) -> None:
        """Send what was due while the peer took nothing."""
        if self._waits_for_peer:
            self._waits_for_peer = False
            self._wait()
            self._clock.set_timer()

    def pass_gate(self) -> None:
        """Go on with what was held at the gate."""
        assert self._next is not None
        self.gate = ""
        self._next = self._next._replace(gate="")
        self._discard_deadline()  # that of an ending with a time
        self._due = self._lane.time_at(self._clock.now())
        if not self._waits_for_peer:
            self._wait()
            self._clock.set_timer()

    def cut_off(self) -> None:
        """End at the gate as if the connection was cut."""
        self._finish(End.CUT)
        self._leave()
        self._over(EndingKind.CUT, None)

    def abandon(self) -> None:
        """Leave the pool, and report that the peer has disconnected."""
        self._leave()
        super().abandon()

    # --- frames ---

    def _hand_over(self, data: bytes) -> None:
        """Write to the peer at once, before other answers that are due."""
        write(self._transport, self._descriptor, data)

    def _play(self, now: float) -> EndingKind | None:
        """Write the frames that are due, in one piece unless they are large, first the one that was
        taken already. Returns how the message ends, if there are no more."""
        if not self._has_begun:
            self._has_begun = True
            self._take()
        parts, dues, tokens = self._take_due(now)
        is_late = self._due <= self._reach(now)
        kind = self._end_at(now, is_behind=is_late)
        if parts or kind is not None:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            self._write_data(fill_fresh(data, self._fresh), None if kind is None else ENDS[kind])
        if kind is None:
            self._wait()
            if self._peer_finished.is_set() and self.waits:
                close(self._transport)  # `abandon` follows
        self._count(dues, tokens, is_late=is_late)
        self._is_steady = self._can_be_steady and self._follows_tokens()
        return kind

    def _reach(self, now: float) -> float:
        """Return the time of the lane up to which frames are due, unless an interruption or the
        ending comes first."""
        return self._lane.time_at(min(self._until, self._interrupted_at, now))

    def _take_due(self, now: float) -> Due:
        """Take the frames that are due by `now`, up to a pause, after those that were taken
        already."""
        parts, dues, count = self._taken or Due([], [], 0)
        self._taken = None
        size = sum(map(len, parts))
        own = self._reach(now)
        while self._next is not None:
            if self._due > own:
                if self.gate or self._interrupted_at > min(self._until, now):
                    break
                self._interrupt()
                own = self._reach(now)
                continue
            if self._awaits_token:
                self._begin_decoding()
                own = self._reach(now)
                continue
            frame = self._next
            _, data, cut, tokens, gate = frame
            if gate and self._gates.arrive(self._session, gate, self):
                self.gate, self._due = gate, math.inf
                break
            if size > MAX_UNSENT and data != LAST_CHUNK:
                break
            if self._interruptions is not None:
                self._interruptions.passed(self._next)
            parts.append(data if cut is None else fill_fresh(data, self._fresh)[:cut])
            size += len(data)
            if tokens:
                dues.append(self._lane.real_time_of(self._due))
                count += tokens
            self._take()
            if not data and frame == PAUSE:
                break
        return Due(parts, dues, count)

    def _count(self, dues: list[float], tokens: int, *, is_late: bool) -> None:
        """Count steps that were sent, unless they were late because of the peer."""
        if self._is_behind:
            self._is_behind = is_late
            if self._measured is not None:
                self._measured.tokens += tokens
        elif self._measured is None:
            self._clock.count_all(dues, tokens)
        else:
            self._measured.count(dues, tokens)

    def _follows_tokens(self) -> bool:
        """True if nothing but time is waited for before the next frame, which has data and no gate,
        is not cut and is not the first with tokens."""
        following = self._next
        if following is None or following.size is not None or following.gate or not following.data:
            return False
        if self._is_first or self._awaits_token or self._is_behind or self.first_byte is None:
            return False
        return self._can_write_next()

    def _end_at(self, now: float, *, is_behind: bool) -> EndingKind | None:
        """Return how the message ends, if it ends now. If its ending has a time, it is complete
        when all frames are sent by then."""
        kind, time = self._ending.kind, self._ending.time
        if self._next is None:
            return kind if time is None else EndingKind.COMPLETE
        if now < self._until or is_behind:
            return None
        if self.gate:
            self._gates.leave(self)
        return kind

    def _wait(self) -> None:
        """Let the clock call at the next deadline."""
        due = self._due
        until = self._until if self.gate else min(self._until, self._interrupted_at)
        if until < math.inf:
            due = min(due, self._lane.time_at(until))
        if due < math.inf:  # else the answer is held
            self._deadline = self._lane.add(due, self)

    def _discard_deadline(self) -> None:
        if self._deadline is not None:
            self._lane.discard(self._deadline)
            self._deadline = None

    def _take(self) -> None:
        """Take the next frame, and set its deadline."""
        if self._interruptions is not None:
            self._since = self._due
            taken = self._interruptions.take()
            if taken is not None and taken.rest is not None:  # it was interrupted
                self._next, self._awaits_token = taken.frame, taken.awaits_token
                self._due += taken.rest
                return
            frame = None if taken is None else taken.frame
        else:
            frame = self._take_frame()
        self._next = frame
        if frame is None:
            return
        self._due += frame.pause
        if not frame.tokens:
            return
        if self._is_first:
            self._is_first, self._awaits_token = False, True
            self._due += self._tempo.first()
        else:
            self._due += self._tempo.further(frame.tokens)

    def _interrupt(self) -> None:
        """Let an interruption come before the next frame, and what is left of its wait after."""
        interruptions = self._interruptions
        assert interruptions is not None
        assert self._next is not None
        at = max(self._lane.time_at(self._interrupted_at), self._since)
        rest = self._due - at
        interruptions.interrupt(self._next, rest, awaits_token=self._awaits_token)
        if interruptions.ending is not None:
            self._ending, self._until = Ending(interruptions.ending), math.inf
        self._interrupted_at = self._began + interruptions.next_at
        self._due, self._awaits_token = at, False
        self._take()

    def _begin_decoding(self) -> None:
        """Set the deadline of the next frame, when its first token is complete."""
        assert self._next is not None
        self._awaits_token = False
        if self._decode is not self._lane:
            self._due = self._decode.time_at(self._lane.real_time_of(self._due))
            self._lane = self._decode
        self._since = self._due
        self._due += self._tempo.further(self._next.tokens - 1)

    # --- the pool ---

    def _park(self) -> None:
        """Wait for the peer, outside of the pool: in the time of those that nothing slows down."""
        self._is_steady = False
        common = self._clock.common
        self._due = common.time_at(self._lane.real_time_of(self._due))
        self._lane = self._decode = common
        self._waits_for_peer = self._is_behind = True
        self._leave()

    def _leave(self) -> None:
        self._discard_deadline()
        pool, self._pool = self._pool, None
        if pool is not None:
            self._clock.leave(self, pool)
            if self._place is not None:
                self._place.leave()
