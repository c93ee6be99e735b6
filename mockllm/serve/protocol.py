"""One connection on an asyncio loop: from bytes to requests, which are answered in order.

`serve.answering` has how one request is answered. Pipelined requests wait for their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import cast

from mockllm.engine.decision import Decision, Delivery, Match, Outcome
from mockllm.errors import ForeignProtocolError, HTTPError
from mockllm.http1 import framing
from mockllm.limits import KIB
from mockllm.serve.answering import Answering
from mockllm.serve.closing import close
from mockllm.serve.connections import Service
from mockllm.serve.phase import IDLE, Phase
from mockllm.serve.player import MAX_UNSENT
from mockllm.serve.timeouts import Expired, Timeouts
from mockllm.serve.turns import MAX_TURN
from mockllm.wire.placeholders import fill_fresh

logger = logging.getLogger("mockllm")

MIN_TIMED = 8  # pipelined requests that are answered without a look at the clock
MIN_LARGE_READ = 16 * KIB  # bytes received at once whose cost is counted
SECONDS_PER_BYTE = 0.4e-9  # that the loop takes to read bytes, beside what is done with them here
SECONDS_PER_TLS_BYTE = 3e-9  # the same, if it also decrypts them


class HTTPProtocol(Answering, asyncio.Protocol):
    """The asyncio shell around `HTTPConnection` and `App.decide`."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._discarded = 0  # bytes received while lingering
        self._timeouts = Timeouts(service.limits)

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
        if self._unwritten:
            self.write_kept()
        if self.phase is IDLE:
            repeats, alike = self._service.repeats, self._service.alike
            if repeats.rest:
                repeats.rest -= 1
            else:
                repeat = repeats.find(data)
                if repeat is not None and self._can_repeat():
                    self._send_again(repeat)
                    return
                self._read = data
            if alike.rest:
                alike.rest -= 1
            else:
                repeat = alike.find(data)
                if repeat is not None and self._can_repeat():
                    self._read = None
                    self._send_again(repeat)
                    return
                self._read = data
            if len(data) >= MIN_LARGE_READ:
                self._receive_large(data, self._receive_first)
            else:
                self._receive_first(data)
            self._read = None  # an idle connection keeps nothing
        elif self.phase is Phase.LINGERING:
            self._discarded += len(data)
        else:
            self._receive_any(data)

    def _can_repeat(self) -> bool:
        """Return True if an answer can be repeated, and written at once."""
        return self._can_write and not self._transport.is_closing() and not self._service.turns.over

    def _receive_any(self, data: bytes) -> None:
        if len(data) >= MIN_LARGE_READ:
            self._receive_large(data, self._receive)
        else:
            self._receive(data)

    def eof_received(self) -> bool:
        """Answer the requests received so far, then close: the peer has half-closed. But a peer
        that finishes while a function answers, or while an answer waits, has left."""
        self._peer_finished.set()
        waits = False
        if self._player is not None:
            self._player.take_care()
            waits = self._player.waits
        calls = self._questions is not None and self._questions.is_calling
        if self.phase is not Phase.ANSWERING or calls or waits:
            self._close()
        return self._transport.can_write_eof()  # TLS has no half-close (in asyncio)

    def pause_writing(self) -> None:
        self._can_write = False
        self._writable.clear()
        if self._player is not None:
            self._player.take_care()

    def resume_writing(self) -> None:
        self._can_write = True
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
            unsent=self._transport.get_write_buffer_size(),
            unread=self._http.unread,
            answers=self._answers,
            frames=0 if self._player is None else self._player.frames_sent,
            discarded=self._discarded,
        )
        match expired:
            case Expired.WRITE:
                stuck = self._timeouts.seconds_stuck(now)
                logger.debug("client read nothing for %g s; connection aborted", stuck)
                self._transport.abort()
            case Expired.KEEP_ALIVE:
                self._close()
            case Expired.HEAD:
                limit = self._service.limits.head_time
                reason = f"Timed out waiting for the request headers ({limit:g} s)"
                self._refuse(HTTPError(408, reason))
            case Expired.BODY:
                self._refuse(HTTPError(408, "Request body arrived too slowly"))
            case Expired.LINGER:
                self._transport.abort()

    def stop_reading(self) -> bool:
        """Receive nothing until `start_reading`. Returns False, without effect, while no request is
        expected or received."""
        if self.phase in (Phase.ANSWERING, Phase.LINGERING) or self._transport.is_closing():
            return False
        self._transport.pause_reading()
        return True

    def start_reading(self) -> None:
        """Receive again after `stop_reading`."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close_after_last_call(self) -> None:
        """Close after the service's `last_call` seconds, unless a request is being read or answered
        then. An answer that hangs is over at once: it would use up the time of all others."""
        if self._player is not None and self._player.hangs:
            self._close()
        elif self._service.last_call:
            loop = asyncio.get_running_loop()
            loop.call_later(self._service.last_call, self.close_if_idle)
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self.phase is Phase.IDLE:
            self._close()

    def abort(self) -> None:
        """Close at once and drop unsent bytes."""
        self._transport.abort()

    # --- receiving ---

    def _receive(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self.phase is not Phase.ANSWERING:
            self._advance()
        elif self._http.unread > self._service.limits.unread:
            self._transport.pause_reading()

    def _receive_first(self, data: bytes) -> None:
        """Do what `_receive` does, on an idle connection: without a loop, since nearly all that
        comes first is one request."""
        if self._transport.is_closing():
            self._http.receive_data(data)
            return
        try:
            request = self._http.receive_first(data)
        except HTTPError as exc:
            self._refuse(exc)
            return
        if request is None:
            if self._http.has_work:
                self._begin(self._advance_in_turn())
            else:
                self._wait_for_more()
            return
        self._answer(request)
        if self.phase is IDLE and not self._http.is_idle and not self._is_busy:
            self._read = None  # a request that follows is not all that was received
            self._advance()

    def _receive_large(self, data: bytes, receive: Callable[[bytes], None]) -> None:
        """Receive a large piece of a body, by `receive`. After too many of them in one iteration of
        the loop, the others wait for the next one. If it completes a request that is answered at
        once, the time is nearly all that of the answer, which `serve.turns` divides."""
        began, answers = time.monotonic(), self._answers
        receive(data)
        is_tls = self._transport.get_extra_info("sslcontext") is not None
        spent = len(data) * (SECONDS_PER_TLS_BYTE if is_tls else SECONDS_PER_BYTE)
        if self._answers != answers + 1:
            spent += time.monotonic() - began
        self._service.reading.spend(self, spent)

    # --- one request after the other ---

    def _advance(self) -> None:
        """Answer complete requests, in order, until one takes time or more bytes are needed. Many
        that came at once are answered some at a time, and a body that takes long to decode is
        decoded in pieces: others are answered in between."""
        http, transport = self._http, self._transport
        began, answered = time.monotonic(), 0
        while not transport.is_closing():
            try:
                request = http.next_request()
            except HTTPError as exc:
                self._refuse(exc)
                return
            if request is None:
                if http.has_work:
                    self._begin(self._advance_in_turn())
                else:
                    self._wait_for_more()
                return
            self._answer(request)
            self._read = None  # a request that follows is not all that was received
            if self._is_busy or self.phase is Phase.LINGERING:
                return
            if http.is_idle and self.phase is Phase.IDLE and not self._peer_finished.is_set():
                return
            answered += 1
            if answered >= MIN_TIMED and time.monotonic() - began > MAX_TURN:
                self._begin(self._advance_in_turn())
                return

    async def _advance_in_turn(self) -> None:
        """Go on with what is received when there is time."""
        turns = self._service.turns
        await turns.wait()
        self._task = None
        if self._transport.is_closing():
            return
        began = time.monotonic()
        self._resume()
        turns.spend(time.monotonic() - began)

    def _wait_for_more(self) -> None:
        phase = self._reading_phase()
        if phase is not self.phase:
            self._enter(phase)
        if self._http.wants_continue():
            self._transport.write(framing.CONTINUE)
        if self._peer_finished.is_set():
            self._close()

    def _reading_phase(self) -> Phase:
        if self._http.is_idle:
            return Phase.IDLE
        return Phase.BODY if self._http.is_reading_body else Phase.HEAD

    def _resume(self) -> None:
        """Continue with the next request after an answer that took time."""
        self._enter(self._reading_phase())
        if self._service.draining:
            self.close_after_last_call()
        self._transport.resume_reading()
        self._advance()

    # --- the last answer ---

    def _refuse(self, error: HTTPError) -> None:
        """Answer an invalid request with `error`, then close. A foreign protocol gets no answer."""
        if isinstance(error, ForeignProtocolError):
            self._close_gently()
            return
        asked, now = self._http.current_request, time.monotonic()
        reply = self._service.app.render_error(asked, error)
        if self._service.meter is not None:
            self._service.meter.count(asked, Match(Outcome.REFUSED, reply), 0.0)
        if self._service.observes(Outcome.REFUSED):
            decision = Decision.by(Match(Outcome.REFUSED, reply))
            delivery = Delivery(0.0, 0.0, 0.0, started=now)
            self._service.observe(asked, decision, delivery)
        frames = framing.frames(reply, close=True, head_only=asked.method == "HEAD")
        self._http.close()
        refusal = b"".join(frame.data for frame in frames)
        self._transport.write(fill_fresh(refusal, self._service.fresh_values.next(now)))
        self._close_gently()

    def _close(self) -> None:
        """Close after what is written."""
        self.write_kept()
        close(self._transport)

    def _close_gently(self) -> None:
        """Close without losing what was sent: a close with unread bytes would reset the connection,
        and the peer might not receive the last answer (RFC 9112, section 9.6)."""
        self._enter(Phase.LINGERING)
        self._service.lingering[self] = None
        self._transport.resume_reading()
        if self._peer_finished.is_set() or not self._transport.can_write_eof():
            self._close()
        else:
            with contextlib.suppress(OSError):  # the peer has reset, and the loop will notice
                self._transport.write_eof()  # if the peer does not close, `check` does
