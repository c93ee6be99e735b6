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
from collections.abc import Callable, Iterator
from enum import Enum
from typing import cast

from mockllm import framing, http1, playback
from mockllm.engine import Engine
from mockllm.errors import ClientError, ForeignProtocolError, HTTPError
from mockllm.exchange import Decision, Ending, Exchange, Reply, Request, Stamps, Step
from mockllm.heads import Heads
from mockllm.limits import Limits
from mockllm.serve.stamper import Stamper

logger = logging.getLogger("mockllm")

FRAMES_AT_ONCE = 64  # then other connections have their turn
MOST_UNSENT = 32 * 1024  # bytes that wait for a slow peer before its answer waits too
SWEEP = 1.0  # seconds between two looks at the limits

Observer = Callable[[Exchange], None]


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


class Service:
    """What all connections of a server share."""

    def __init__(
        self, engine: Engine, *, limits: Limits | None = None, observers: tuple[Observer, ...] = ()
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self.observers = observers
        self.stamper = Stamper()
        self.heads = Heads(self.limits, reuse=engine.reuses)
        self.connections: set[HTTPProtocol] = set()
        self.draining = False
        self.last_call = 0.0
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self._sweeper: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Hold all connections against the limits, now and every second until `unwatch`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self.connections):
            connection.check(now)
        self._sweeper = loop.call_later(SWEEP, self.watch)

    def unwatch(self) -> None:
        """End what `watch` began."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def drain(self, *, last_call: float = 0.0) -> None:
        """Close every connection once its answer is sent, and what is idle in `last_call` seconds:
        who is about to ask is answered, and told that it was the last time."""
        self.draining = True
        self.last_call = last_call
        self.engine.is_ready = False
        for connection in tuple(self.connections):
            connection.close_after_last_call()

    def cut(self) -> None:
        """Close everything at once."""
        for connection in tuple(self.connections):
            connection.abort()


class HTTPProtocol(asyncio.Protocol):
    """The asyncio shell around `http1.HTTPConnection` and `Engine.decide`."""

    def __init__(self, service: Service) -> None:
        # of the server
        self._service = service
        # of the connection
        self._transport: asyncio.Transport | None = None
        self._http = http1.HTTPConnection(service.heads, service.limits)
        self._writable = asyncio.Event()
        self._writable.set()
        self._half_closed = False  # the peer sends no more, but may still read
        self._refused = False
        self._answers = 0
        # of the answer being sent
        self._player: asyncio.Task[None] | None = None
        # of the last look at the limits
        self._seen: tuple[object, ...] = ()
        self._since = 0.0

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MOST_UNSENT)
        self._service.connections.add(self)
        self._service.all_closed.clear()
        if len(self._service.connections) > self._service.limits.connections:
            self._refuse(HTTPError(503, "The server has no room for another connection"))
        elif self._service.draining:
            self.close_after_last_call()

    def data_received(self, data: bytes) -> None:
        if self._refused:
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
        phase, limits = self.phase, self._service.limits
        unsent = self._wire.get_write_buffer_size()
        seen = (phase, self._answers, unsent if phase is Phase.ANSWERING else None)
        if seen != self._seen:
            self._seen, self._since = seen, now
            return
        waited = now - self._since
        match phase:
            case Phase.IDLE if waited >= limits.keep_alive:
                self._wire.close()
            case Phase.HEAD if waited >= limits.head_time:
                self._refuse(HTTPError(408, f"No whole head came in {limits.head_time:g} seconds"))
            case Phase.BODY if self._http.unread < (waited - limits.body_grace) * limits.body_rate:
                self._refuse(HTTPError(408, "The body comes too slowly"))
            case Phase.ANSWERING if unsent and waited >= limits.write_time:
                logger.debug("a peer took no byte in %g seconds and is cut", waited)
                self._wire.abort()
            case Phase.REFUSED if waited >= limits.linger:
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
        started = time.perf_counter()
        decision = self._decide(request)
        took = time.perf_counter() - started
        if self._service.observers:
            exchange = Exchange(request, decision, took)
            for observe in self._service.observers:
                observe(exchange)
        self._answers += 1
        stamps = self._service.stamper.next(took)
        if request.path in self._service.engine.kept_paths:
            self._service.engine.keep(request, decision, stamps)
        modern = self._http.is_modern
        closes = self._closes_after(decision.reply)
        ready = decision.ready if self._writable.is_set() else None
        if ready is not None and modern and not closes and request.method != "HEAD":
            self._wire.write(ready.stamped(stamps))
            return
        head_only = request.method == "HEAD"
        frames = framing.frames(decision.reply, modern=modern, close=closes, head_only=head_only)
        if ready is not None:
            self._wire.write(playback.stamp(b"".join(data for _, data in frames), stamps))
            if closes:
                self._close_gently()
        else:
            play = self._play(frames, decision.reply, stamps, closes=closes)
            self._player = asyncio.get_running_loop().create_task(play)

    def _decide(self, request: Request) -> Decision:
        """The engine's decision. A bug of ours is a 500 in the provider's envelope, one log line,
        and a connection that lives on."""
        engine = self._service.engine
        try:
            return engine.decide(request)
        except Exception as exc:
            notes = ", ".join(getattr(exc, "__notes__", ())) or "no mock"
            where = f"{request.method} {request.path} ({notes})"
            logger.exception("internal error answering %s", where)
            error = ClientError(500, f"The mock server failed to answer: {type(exc).__name__}")
            return Decision(engine.render_error(request, error), None, "internal error")

    async def _play(
        self, frames: Iterator[Step], reply: Reply, stamps: Stamps, *, closes: bool
    ) -> None:
        """Send `frames`, each when its time has come and the peer has read enough. `closes` tells
        whether the peer was told that the connection closes."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number, (pause, data) in enumerate(frames):
            due += pause
            if pause or number % FRAMES_AT_ONCE == FRAMES_AT_ONCE - 1:
                await asyncio.sleep(max(0.0, due - loop.time()))
            await self._writable.wait()
            if self._wire.is_closing():
                return
            self._wire.write(playback.stamp(data, stamps))
        self._player = None
        if reply.ending is Ending.RESET:
            self._reset()
        elif reply.ending is Ending.CUT:
            self._wire.close()
        elif closes:
            self._wire.resume_reading()
            self._close_gently()
        else:
            if self._service.draining:
                self.close_after_last_call()
            self._wire.resume_reading()
            self._advance()

    def _closes_after(self, reply: Reply) -> bool:
        ends = framing.must_close(reply, modern=self._http.is_modern)
        return ends or self._http.closes or self._service.draining

    def _refuse(self, error: HTTPError) -> None:
        """Answer what is no request, then close."""
        self._refused = True
        if isinstance(error, ForeignProtocolError):
            self._close_gently()
            return
        reply = self._service.engine.render_error(self._http.asked, error)
        for observe in self._service.observers:
            observe(Exchange(self._http.asked, Decision(reply, None, "refused"), 0.0))
        refusal = b"".join(data for _, data in framing.frames(reply, close=True))
        self._wire.write(playback.stamp(refusal, self._service.stamper.next()))
        self._close_gently()

    def _close_gently(self) -> None:
        """Close in a way that lets the peer read what was sent: a close with unread bytes would
        reset the connection and take the last answer with it (RFC 9112, section 9.6)."""
        self._refused = True
        if self._half_closed or not self._wire.can_write_eof():
            self._wire.close()
        else:
            self._wire.write_eof()  # `check` closes what the peer does not

    def _reset(self) -> None:
        """Close with a TCP reset."""
        raw = self._wire.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()
