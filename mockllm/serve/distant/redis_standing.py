"""The standing of a worker with the state in Redis: whether it can be reached, and who shares it.

JOINING -> SHARED   the first heartbeat was answered
any -> LOST         `MAX_FAILURES` in a row; the next heartbeat that is answered ends it
any -> REFUSED      a server has another configuration; it ends when that server does
"""

from __future__ import annotations

import asyncio
import logging
import time

from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.state.store import Condition, StateUnavailableError

MAX_FAILURES = 3  # in a row, after which nothing but a heartbeat is tried

logger = logging.getLogger("mockllm")


def no_answer(timeout: float) -> str:
    """Return the reason of a failure after `timeout` seconds."""
    return f"no answer within {timeout:g} s"


class Standing:
    """The condition of the state in the Redis at `address`, which is to answer each question within
    `timeout` seconds. Each change is logged. While it is lost, rate limits admit all requests if
    the worker `allows_lost`, else none."""

    def __init__(self, address: RedisAddress, timeout: float, *, allows_lost: bool) -> None:
        self._address = address
        self._allows_lost = allows_lost
        self.condition = Condition.JOINING
        self.failure = no_answer(timeout)
        """The reason of the last failure."""
        self._known = asyncio.Event()
        self._failures = 0
        self._lost_at = 0.0
        self._epoch: str | None = None
        self._differs = ""

    async def wait_until_known(self) -> None:
        """Wait for the first heartbeat."""
        if self.condition is Condition.JOINING:
            await self._known.wait()

    def succeed(self) -> None:
        """Note that a question was answered."""
        self._failures = 0

    def fail(self, reason: str) -> None:
        """Note that a question was not answered. After too many, the state is lost."""
        self._failures += 1
        self.failure = reason
        if self.condition is Condition.LOST:
            return
        if self._failures >= MAX_FAILURES or self.condition is Condition.JOINING:
            self._lost_at = time.monotonic()
            limits = "limit nothing" if self._allows_lost else "get a 503"
            logger.error(
                "state in %s cannot be reached: %s; until it can, mocks with state get a 503, and "
                "requests with rate limits %s",
                self._address,
                reason,
                limits,
            )
            self._enter(Condition.LOST)

    def share(self) -> None:
        """Note that a heartbeat was answered, and all servers have the same configuration."""
        if self.condition is Condition.LOST:
            seconds = time.monotonic() - self._lost_at
            logger.warning("state in %s can be reached again, after %.1f s", self._address, seconds)
        elif self.condition is Condition.REFUSED:
            logger.warning("state in %s is shared: all servers agree again", self._address)
        self._enter(Condition.SHARED)

    def refuse(self, server: str) -> None:
        """Note that a `server` has another configuration."""
        if self.condition is not Condition.REFUSED or self._differs != server:
            logger.error(
                "state in %s is used by the server %s, whose configuration differs: mocks with "
                "state get a 503 until both have the same; use --state-any-config, or another "
                "prefix",
                self._address,
                server,
            )
        self._differs = server
        self._enter(Condition.REFUSED)

    def note_epoch(self, epoch: str) -> None:
        """Note what Redis names its memory: if it is another, it has forgotten everything since."""
        if self._epoch is not None and epoch != self._epoch:
            logger.error(
                "state in %s was lost: Redis has forgotten it; sequences, sessions and rate "
                "limits begin anew",
                self._address,
            )
        self._epoch = epoch

    def unavailable(self, reason: str) -> StateUnavailableError:
        """Return the error of a request that needs the state."""
        if self.condition is Condition.REFUSED:
            return StateUnavailableError(
                "state_refused",
                "The state that this mock needs is that of servers with another configuration. "
                "Give all servers the same, or start them with --state-any-config.",
            )
        return StateUnavailableError(
            "state_lost",
            f"The state that this mock needs cannot be reached ({reason}). Retry the request.",
        )

    def _enter(self, condition: Condition) -> None:
        self.condition = condition
        self._known.set()
