"""All connections of a server, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mockllm.app import App
from mockllm.engine.decision import Exchange, Operation
from mockllm.http1.head_cache import HeadCache
from mockllm.limits import Limits
from mockllm.serve.fresh_values import FreshValueSource

SWEEP = 1.0  # seconds between two looks at the limits

Observer = Callable[[Exchange], None]


class Connection(Protocol):
    """One connection, as all of them are looked after (`serve.protocol.HTTPProtocol`)."""

    def check(self, now: float) -> None: ...
    def close_after_last_call(self) -> None: ...
    def abort(self) -> None: ...


class Outside(Protocol):
    """Whoever answers a decision's questions."""

    async def answer(self, operations: Sequence[Operation]) -> Sequence[Any]: ...


class NobodyElse:
    """The outside of a process that is alone."""

    async def answer(self, operations: Sequence[Operation]) -> Sequence[Any]:
        """Nobody knows anything."""
        return [None] * len(operations)


class Service:
    """What all connections of a server share."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits | None = None,
        observers: tuple[Observer, ...] = (),
        outside: Outside | None = None,
        slot: int = 0,
    ) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.observers = observers
        self.fresh_values = FreshValueSource(slot)
        self.heads = HeadCache(self.limits, reuse=app.reuses)
        self.connections: set[Connection] = set()
        self.lingering: dict[Connection, None] = {}
        """Those of `connections` that are answered for the last time, the longest first."""
        self.draining = False
        self.last_call = 0.0
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self.outside = outside or NobodyElse()
        self.turn = asyncio.Lock()
        """Held by the one player that makes frames."""
        self.no_turn = contextlib.nullcontext()
        self._sweeper: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Hold all connections against the limits, now and every second until `unwatch`."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP, self.watch)  # whatever happens now
        now = loop.time()
        for connection in tuple(self.connections):
            connection.check(now)

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
        self.app.is_ready = False
        for connection in tuple(self.connections):
            connection.close_after_last_call()

    def cut_longest_lingering(self) -> None:
        """Abort the connection that has been lingering longest."""
        longest = next(iter(self.lingering))
        self.lingering[longest] = self.lingering.pop(longest)  # another one is next
        longest.abort()

    def cut(self) -> None:
        """Close everything at once."""
        for connection in tuple(self.connections):
            connection.abort()
