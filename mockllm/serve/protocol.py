"""One connection on an asyncio loop: bytes to requests to decisions to bytes.

There are two lanes. *Straight*: nothing pauses and the peer reads, so the whole answer goes out in
one write, inside `data_received`, without a task. *Waiting*: something pauses, or the answer is
large or the peer slow, so a player walks the steps on absolute deadlines and never lets more than
the transport's high-water mark wait in memory.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

from mockllm import http1, playback
from mockllm.engine import Engine
from mockllm.errors import ClientError, HTTPError
from mockllm.exchange import Decision, Ending, Exchange, Request, Stamps, Step
from mockllm.heads import Heads
from mockllm.serve.stamper import Stamper

logger = logging.getLogger("mockllm")

SLICE = 64 * http1.KIB  # written at once; more waits until the transport has sent it
MOST_UNREAD = 256 * http1.KIB  # received behind a request that is being answered
LINGER = 1.0  # seconds in which a refused client may still send, so that it reads the refusal

Observer = Callable[[Exchange], None]


class Service:
    """What all connections of a server share."""

    def __init__(self, engine: Engine, observers: tuple[Observer, ...] = ()) -> None:
        self.engine = engine
        self.observers = observers
        self.stamper = Stamper()
        self.heads = Heads()
        self.connections: set[HTTPProtocol] = set()
        self.draining = False
        self.all_closed = asyncio.Event()
        self.all_closed.set()

    def drain(self) -> None:
        """Close what is idle now, and everything else once its answer is sent."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.close_if_idle()

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
        self._http = http1.HTTPConnection(service.heads)
        self._writable = asyncio.Event()
        self._writable.set()
        self._half_closed = False  # the peer sends no more, but may still read
        self._refused = False  # an HTTPError was answered; what still comes is thrown away
        # of the answer being sent
        self._player: asyncio.Task[None] | None = None

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._service.connections.add(self)
        self._service.all_closed.clear()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._http.receive_data(data)
        if self._player is None:
            self._advance()
        elif self._http.unread > MOST_UNREAD:
            self._wire.pause_reading()

    def eof_received(self) -> bool:
        """A peer that half-closes still gets the answers it asked for."""
        self._half_closed = True
        if self._player is None:
            self._wire.close()
        return True

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

    # --- called by the server ---

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self._player is None and self._http.is_idle:
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
        while self._player is None and not self._wire.is_closing():
            try:
                request = self._http.next_request()
            except HTTPError as exc:
                self._refuse(exc)
                return
            if request is None:
                if self._http.wants_continue():
                    self._wire.write(http1.CONTINUE)
                if self._half_closed:
                    self._wire.close()
                return
            self._answer(request)

    def _answer(self, request: Request) -> None:
        started = time.perf_counter() if self._service.observers else 0.0
        decision = self._decide(request)
        if self._service.observers:
            exchange = Exchange(request, decision, time.perf_counter() - started)
            for observe in self._service.observers:
                observe(exchange)
        stamps = self._service.stamper.next()
        closes = self._closes_after_this()
        usual = not closes and request.method != "HEAD" and self._writable.is_set()
        if usual and decision.ready is not None:  # the straight lane; the rest is for other days
            self._wire.write(decision.ready.stamped(stamps))
            return
        reply = decision.reply
        steps = http1.framed(
            reply,
            chunks=self._http.takes_chunks,
            close=closes,
            head_only=request.method == "HEAD",
        )
        if self._goes_straight(steps, reply.ending):
            data = b"".join(step.data for step in steps)
            self._wire.write(playback.stamp(data, stamps))
            self._answered()
        else:
            play = self._play(steps, reply.ending, stamps)
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

    def _closes_after_this(self) -> bool:
        return self._http.closes or self._service.draining

    def _goes_straight(self, steps: tuple[Step, ...], ending: Ending) -> bool:
        return (
            ending is Ending.COMPLETE
            and self._writable.is_set()
            and sum(len(step.data) for step in steps) <= SLICE
            and not any(step.pause for step in steps)
        )

    async def _play(self, steps: tuple[Step, ...], ending: Ending, stamps: Stamps) -> None:
        """Send `steps`, each when its time has come and the peer has read enough."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for pause, data in steps:
            due += pause
            if pause:
                await asyncio.sleep(due - loop.time())
            stamped = memoryview(playback.stamp(data, stamps))
            for start in range(0, len(stamped), SLICE):
                await self._writable.wait()
                self._wire.write(stamped[start : start + SLICE])
        self._player = None
        if ending is Ending.RESET:
            self._reset()
        elif ending is Ending.CUT:
            self._wire.close()
        else:
            self._answered()
            self._wire.resume_reading()
            self._advance()

    def _answered(self) -> None:
        if self._closes_after_this():
            self._wire.close()

    def _refuse(self, error: HTTPError) -> None:
        """Answer what is no request, then close, in a way that lets the peer read the answer: a
        close with unread bytes would reset the connection and take the answer with it."""
        self._refused = True
        reply = self._service.engine.render_error(Request.of("", ""), error)
        (step,) = http1.framed(reply, close=True)
        self._wire.write(playback.stamp(step.data, self._service.stamper.next()))
        if self._half_closed or not self._wire.can_write_eof():
            self._wire.close()
            return
        self._wire.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self._wire.close)

    def _reset(self) -> None:
        """Close with a TCP reset."""
        raw = self._wire.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()
