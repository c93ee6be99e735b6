"""One connection on an asyncio loop: bytes to requests to decisions to bytes.

There are two lanes. *Straight*: nothing pauses and the peer reads, so the whole answer goes out in
one write, inside `data_received`, without a task. *Waiting*: something pauses, or the answer is
large or the peer slow, so a player walks the frames on absolute deadlines and never lets more than
the transport's high-water mark wait in memory.

No connection has a timer of its own. Once a second the service goes through all of them, and each
holds its phase against the limits: 5,000 idle connections cost a millisecond a second.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Iterator
from enum import Enum
from typing import cast

from mockllm.engine.decision import Decision, Exchange, Outcome
from mockllm.errors import ClientError, ForeignProtocolError, HTTPError
from mockllm.exchange import Ending, Reply, Request, Step
from mockllm.http1 import framing
from mockllm.http1.connection import HTTPConnection
from mockllm.serve.connections import Service
from mockllm.wire import placeholders
from mockllm.wire.placeholders import FreshValues

logger = logging.getLogger("mockllm")

MAX_LINGER = 30.0  # seconds in which a refused peer may go on sending, however fast it does
FRAMES_AT_ONCE = 64  # then other connections have their turn
MAX_UNSENT = 32 * 1024  # bytes that wait for a slow peer before its answer waits too


class Phase(Enum):
    """What a connection waits for, and what ends the waiting: see `HTTPProtocol.check`.

    IDLE       -> HEAD       the first byte of a request
    HEAD       -> BODY       the end of its head
    HEAD, BODY -> ANSWERING  the request is whole, and its answer takes time
               -> IDLE       the request is whole, and its answer is written
               -> REFUSED    it is no request, or too large, or too slow
    ANSWERING  -> IDLE       the answer is written
    REFUSED                  the last answer is written; what still comes is thrown away
    any        -> gone       the peer closed and is answered, a limit, the end of the server
    """

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    REFUSED = "refused"


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
        self._half_closed = False  # the peer sends no more, but may still read
        self._refused = False
        self._ignored = 0  # bytes that came since
        self._answers = 0
        self._frames = 0  # sent by players
        # of the answer being sent
        self._player: asyncio.Task[None] | None = None
        # of the looks at the limits
        self._seen: tuple[object, ...] = ()
        self._since = 0.0  # when it was first seen so
        self._taken: tuple[int, ...] = ()
        self._taken_since = 0.0
        self._refused_since: float | None = None

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
            self._refuse(HTTPError(503, "The server has no room for another connection"))
        elif self._service.draining:
            self.close_after_last_call()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._ignored += len(data)
            return
        self._http.receive_data(data)
        if self._player is None:
            self._advance()
        elif self._http.unread > self._service.limits.unread:
            self._wire.pause_reading()

    def eof_received(self) -> bool:
        """A peer that half-closes still gets the answers it asked for."""
        self._half_closed = True
        if self._player is None:
            self._wire.close()
        return self._wire.can_write_eof()  # TLS has no half-close (in asyncio)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._player is not None:
            self._player.cancel()
        self._service.connections.discard(self)
        self._service.lingering.pop(self, None)
        if not self._service.connections:
            self._service.all_closed.set()

    # --- called by the service ---

    @property
    def phase(self) -> Phase:
        """What the connection waits for."""
        if self._refused:
            return Phase.REFUSED
        if self._player is not None:
            return Phase.ANSWERING
        if self._http.is_idle:
            return Phase.IDLE
        return Phase.BODY if self._http.is_reading_body else Phase.HEAD

    def check(self, now: float) -> None:
        """Close the connection if it has been in its phase for too long; `now` in seconds."""
        unsent = self._wire.get_write_buffer_size()
        if self._is_stuck(now, unsent):
            logger.debug("a peer took no byte in %g seconds and is cut", now - self._taken_since)
            self._wire.abort()
            return
        phase, limits = self.phase, self._service.limits
        seen = (phase, self._answers, self._ignored)
        if seen != self._seen:
            self._seen, self._since = seen, now
        waited = now - self._since
        match phase:
            case Phase.IDLE if waited >= limits.keep_alive and not unsent:
                self._wire.close()
            case Phase.HEAD if waited >= limits.head_time:
                self._refuse(HTTPError(408, f"No whole head came in {limits.head_time:g} seconds"))
            case Phase.BODY if self._http.unread < (waited - limits.body_grace) * limits.body_rate:
                self._refuse(HTTPError(408, "The body comes too slowly"))
            case Phase.REFUSED if not unsent:
                if self._refused_since is None:
                    self._refused_since = now
                if waited >= limits.linger or now - self._refused_since >= MAX_LINGER:
                    self._wire.abort()

    def _is_stuck(self, now: float, unsent: int) -> bool:
        """Whether the peer has taken nothing of what waits for it, in whatever phase, for too long:
        then an answer, or a close, would wait for ever."""
        taken = (unsent, self._answers, self._frames)
        if taken != self._taken:
            self._taken, self._taken_since = taken, now
        return unsent > 0 and now - self._taken_since >= self._service.limits.write_time

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

    def _advance(self) -> None:
        """Answer whole requests, in order, until one takes time or more bytes are needed."""
        while self._player is None and not self._refused and not self._wire.is_closing():
            try:
                request = self._http.next_request()
            except HTTPError as exc:
                self._refuse(exc)
                return
            if request is None:
                if self._http.wants_continue():
                    self._wire.write(framing.CONTINUE)
                if self._half_closed:
                    self._wire.close()
                return
            self._answer(request)

    def _answer(self, request: Request) -> None:
        """Decide and answer. A bug of ours is a 500 in the provider's envelope, one log line, and a
        connection that lives on."""
        started = time.perf_counter()
        try:
            decision = self._service.app.decide(request)
            self._deliver(request, decision, time.perf_counter() - started)
        except Exception as exc:
            notes = ", ".join(getattr(exc, "__notes__", ())) or "no mock"
            where = f"{request.method} {request.path} ({notes})"
            logger.exception("internal error answering %s", where)
            error = ClientError(500, f"The mock server failed to answer: {type(exc).__name__}")
            failure = Decision(self._service.app.render_error(request, error), None, Outcome.FAILED)
            self._deliver(request, failure, time.perf_counter() - started)

    def _deliver(self, request: Request, decision: Decision, took: float) -> None:
        """Send the answer, decided on in `took` seconds. If this raises, nothing was written."""
        fresh = self._service.fresh_values.next(took)
        is_http11 = self._http.is_http11
        closes = self._closes_after(decision.reply)
        head_only = request.method == "HEAD"
        ready = decision.ready if self._writable.is_set() else None
        if ready is not None and is_http11 and not closes and not head_only:
            data = ready.finish(fresh)
            self._take_note(request, decision, fresh, took)
            self._wire.write(data)
            return
        frames = framing.frames(
            decision.reply, is_http11=is_http11, close=closes, head_only=head_only
        )
        if ready is not None:
            data = placeholders.fill_fresh(b"".join(data for _, data in frames), fresh)
            self._take_note(request, decision, fresh, took)
            self._wire.write(data)
            if closes:
                self._close_gently()
        else:
            self._take_note(request, decision, fresh, took)
            play = self._play(frames, decision, fresh, closes=closes)
            self._player = asyncio.get_running_loop().create_task(play)

    def _take_note(
        self, request: Request, decision: Decision, fresh: FreshValues, took: float
    ) -> None:
        self._answers += 1
        app = self._service.app
        if request.path in app.stored_paths:
            app.store_response(request, decision, fresh)
        if self._service.observers:
            self._observe(Exchange(request, decision, took))

    def _observe(self, exchange: Exchange) -> None:
        """Tell the observers. What they do wrong is no matter of the client's."""
        for observe in self._service.observers:
            try:
                observe(exchange)
            except Exception:
                logger.exception("internal error observing %s", exchange.request.path)

    async def _play(
        self, frames: Iterator[Step], decision: Decision, fresh: FreshValues, *, closes: bool
    ) -> None:
        """Send `frames`, then end as the reply says. `closes` tells whether the peer was told that
        the connection closes."""
        try:
            await self._send(frames, fresh)
        except Exception:
            label = "no mock" if decision.rule is None else decision.rule.label
            logger.exception("internal error sending an answer (%s)", label)
            self._wire.abort()  # a part is sent, and no other answer can follow it
        self._player = None
        if self._wire.is_closing():
            return
        if decision.reply.ending is Ending.RESET:
            self._reset()
        elif decision.reply.ending is Ending.CUT:
            self._wire.close()
        elif closes:
            self._wire.resume_reading()
            self._close_gently()
        else:
            if self._service.draining:
                self.close_after_last_call()
            self._wire.resume_reading()
            self._advance()

    async def _send(self, frames: Iterator[Step], fresh: FreshValues) -> None:
        """Send each frame when its time has come and the peer has read enough."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number, (pause, data) in enumerate(frames):
            due += pause
            if pause or number % FRAMES_AT_ONCE == FRAMES_AT_ONCE - 1:
                await asyncio.sleep(max(0.0, due - loop.time()))
            await self._writable.wait()
            if self._wire.is_closing():
                return
            self._wire.write(placeholders.fill_fresh(data, fresh))
            self._frames += 1

    def _closes_after(self, reply: Reply) -> bool:
        ends = framing.must_close(reply, is_http11=self._http.is_http11)
        return ends or self._http.closes or self._service.draining

    def _refuse(self, error: HTTPError) -> None:
        """Answer what is no request, then close."""
        self._refused = True
        if isinstance(error, ForeignProtocolError):
            self._close_gently()
            return
        reply = self._service.app.render_error(self._http.asked, error)
        if self._service.observers:
            self._observe(Exchange(self._http.asked, Decision(reply, None, Outcome.REFUSED), 0.0))
        head_only = self._http.asked.method == "HEAD"
        frames = framing.frames(reply, close=True, head_only=head_only)
        self._http.close()
        refusal = b"".join(data for _, data in frames)
        self._wire.write(placeholders.fill_fresh(refusal, self._service.fresh_values.next()))
        self._close_gently()

    def _close_gently(self) -> None:
        """Close in a way that lets the peer read what was sent: a close with unread bytes would
        reset the connection and take the last answer with it (RFC 9112, section 9.6)."""
        self._refused = True
        self._service.lingering[self] = None
        if self._half_closed or not self._wire.can_write_eof():
            self._wire.close()
        else:
            self._wire.write_eof()  # `check` closes what the peer does not

    def _reset(self) -> None:
        """Close with a TCP reset."""
        raw = self._wire.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()
