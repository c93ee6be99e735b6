"""The store that servers on several machines share, in one Redis.

A question is one script (`redis_scripts`), so it is performed whole or not at all, and in the
same order for all servers. Redis is never waited for on the straight way: `perform_at_once` says
"not now", and the request waits in a task.

Each worker sends a heartbeat every `BEAT` seconds, by which it joins and stays. It finds out that
Redis is back, that it has lost its memory, and that a server with another configuration is there
(`redis_standing`). A worker whose heartbeat stops is dead after `redis_scripts.MAX_SILENCE`:
its places are free.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.serve.distant.redis_link import LinkError, RedisLink, RedisScript
from mockllm.serve.distant.redis_scripts import (
    Asker,
    join_arguments,
    join_source,
    joined,
    part_arguments,
    part_source,
    perform_arguments,
    perform_source,
    performed,
)
from mockllm.serve.distant.redis_standing import Standing, no_answer
from mockllm.serve.patience import patience
from mockllm.serve.server_time import ServerTime
from mockllm.state.draws import Draws
from mockllm.state.operations import (
    Admit,
    CountPlaces,
    Draw,
    Enter,
    Leave,
    Operation,
    Result,
    Settle,
    Spend,
    TakeNothing,
)
from mockllm.state.rate_limits import Spent
from mockllm.state.sessions import Sessions
from mockllm.state.store import Condition

BEAT = 1.0  # seconds between two heartbeats
MAX_POSTED = 10_000  # operations that wait to be performed
MAX_BATCH = 100  # of them in one script

logger = logging.getLogger("mockllm")


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that shares state. `server` is the name of its server, `worker` what no other worker
    of it has; those whose `worker` begins with `replaced` are dead, unless it is empty. `config` is
    the fingerprint of its configuration, which all must have unless `any_config`. `elapsed` and
    `speed` are those of the server's own time. While the state is lost, rate limits admit all
    requests if it `allows_lost`, else none."""

    server: str
    worker: str
    config: str
    replaced: str = ""
    any_config: bool = False
    allows_lost: bool = False
    elapsed: Callable[[], float] = lambda: 0.0
    speed: Callable[[], float] = lambda: 1.0


def number_of(worker: str) -> int:
    """Return the number at the end of the name of a worker, in hexadecimal; -1 without one."""
    try:
        return int(worker.rpartition("-")[2], 16)
    except ValueError:
        return -1


class RedisStore:
    """A `state.store.Store` in the Redis at `address`, each question within `timeout` seconds. It
    belongs to one loop. `gone` is called with the name of each session that a question of this
    worker has ended or evicted."""

    def __init__(
        self,
        address: RedisAddress,
        member: Member,
        *,
        password: str | None = None,
        timeout: float = 1.0,
        gone: Callable[[str], None] = lambda session: None,
    ) -> None:
        self.address = address
        self.sessions = Sessions(gone)
        """Of these, only the current one is asked for, which is the common one."""
        self._member = member
        self._timeout = timeout
        self._gone = gone
        self._password = password
        self._link = self.new_link(timeout)
        self._perform = RedisScript.of(perform_source())
        self._join = RedisScript.of(join_source())
        self._part = RedisScript.of(part_source())
        self._asker = Asker(f"{member.server} {member.worker}", uuid.uuid4().hex)
        self.when_called: Callable[[str], None] = lambda lease: None
        self._standing = Standing(address, timeout, allows_lost=member.allows_lost)
        self._time = ServerTime()  # of limits, which is that of all servers
        # what goes on
        self._beating: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._stopped = False
        self._posted: deque[Operation] = deque()
        self._posting: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._entering: dict[str, asyncio.Task[Any]] = {}  # by the lease
        self._draws = Draws()  # while the state is lost

    def new_link(self, timeout: float) -> RedisLink:
        """Return another link to the same Redis, which is to be closed."""
        return RedisLink(self.address, password=self._password, timeout=timeout)

    @property
    def condition(self) -> Condition:
        """What is known of the state."""
        return self._standing.condition

    @property
    def timeout(self) -> float:
        """The seconds within which each question is answered."""
        return self._timeout

    @property
    def name(self) -> str:
        """The name of this worker, behind that of its server."""
        return self._asker.name

    @property
    def number(self) -> int:
        """The number of this worker, which no other one of any server has."""
        return number_of(self._member.worker)

    # --- Its life ---

    def start(self) -> None:
        """Join those who share the state, in a task that goes on until `stop`."""
        self._beating = asyncio.get_running_loop().create_task(self._beat_forever())

    async def stop(self) -> None:
        """Perform what was posted, give all places back, and close the connections."""
        self._stopped = True
        for task in (self._beating, self._hearing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self.condition is Condition.SHARED:
            if self._posting is not None:
                await asyncio.wait([self._posting])
            with contextlib.suppress(LinkError):
                await self._link.run(
                    self._part, part_arguments(self._asker, server=self._member.server)
                )
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._timeout)
        await self._link.close()

    def use_config(self, fingerprint: str) -> None:
        """Share the state, from the next heartbeat on, as a server with this configuration."""
        self._member = replace(self._member, config=fingerprint)

    # --- Questions ---

    def perform_at_once(self, operations: Sequence[Operation], now: float) -> None:
        """Return None: Redis must be waited for."""

    async def perform_later(self, operations: Sequence[Operation]) -> Sequence[Result]:
        """Return the results of `operations`, up to and including the first that refuses.

        Raises:
            StateUnavailableError: the state cannot be reached in time.
        """
        if self.condition is Condition.JOINING or self.condition is Condition.SHARED:
            try:
                return await self._ask(operations)
            except LinkError as exc:
                reason = str(exc)
        else:
            reason = self._standing.failure
        found = self._answer_without(operations)
        if found is None:
            raise self._standing.unavailable(reason)
        return found

    async def run(self, script: RedisScript, arguments: Sequence[bytes]) -> Any:
        """Return what another script returns, on what the servers share beside the state of mocks.

        Raises:
            StateUnavailableError: it was not performed in time, or its answer was lost.
        """
        try:
            async with patience(self._timeout):
                await self._standing.wait_until_known()
                if self.condition is not Condition.SHARED:
                    raise self._standing.unavailable(self._standing.failure)
                reply = await self._link.run(script, arguments)
        except (LinkError, TimeoutError) as exc:
            self._standing.fail(str(exc) or no_answer(self._timeout))
            raise self._standing.unavailable(self._standing.failure) from exc
        self._standing.succeed()
        return reply

    async def _ask(self, operations: Sequence[Operation]) -> Sequence[Result]:
        """Perform `operations` in a task, which goes on if the one who waits for it does not: what
        is begun is known to have ended. Or raise a LinkError, within the timeout."""
        try:
            async with patience(self._timeout):
                task = await self._begin(operations)
                # the link has the same timeout, but its client may swallow that it is over
                await asyncio.wait({task})
        except TimeoutError:
            raise LinkError(no_answer(self._timeout)) from None
        return task.result()

    async def _begin(self, operations: Sequence[Operation]) -> asyncio.Task[list[Result]]:
        """Return the task that performs `operations`, or raise a LinkError."""
        await self._standing.wait_until_known()
        if self.condition is not Condition.SHARED:
            raise LinkError(self._standing.failure)
        entering = [each for each in operations if isinstance(each, Enter)]
        if entering and self._posting is not None:  # on another connection: someone may be leaving
            await asyncio.wait({self._posting})
        task = asyncio.get_running_loop().create_task(self._perform_all(operations))
        self._running.add(task)
        task.add_done_callback(self._end)
        for each in entering:
            self._entering[each.lease] = task
            task.add_done_callback(partial(self._entered, each.lease))
        return task

    def post(self, operations: Sequence[Operation], now: float) -> None:
        """Perform `operations` soon. If Redis cannot be reached, only places are given back, as
        soon as it can: what is settled twice would be given back twice."""
        self._posted.extend(operations)
        while len(self._posted) > MAX_POSTED:
            self._posted.popleft()
        self._post_soon()

    async def _perform_all(self, operations: Sequence[Operation]) -> list[Result]:
        """Perform `operations`, or raise a LinkError."""
        arguments = perform_arguments(operations, self._asker)
        try:
            reply = await self._link.run(self._perform, arguments)
        except LinkError as exc:
            self._standing.fail(str(exc))
            raise
        self._standing.succeed()
        found = performed(operations, reply)
        self._note_epoch(found.epoch)
        for session in found.gone:
            self._gone(session)
        return found.results

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # which the one who waits for it knows, or nobody

    def _entered(self, lease: str, task: asyncio.Task[Any]) -> None:
        self._entering.pop(lease, None)

    def _answer_without(self, operations: Sequence[Operation]) -> list[Result] | None:
        """Return results of `operations` that need not be those of the state; None if they must.
        Sessions are open, and what is drawn is drawn by this worker alone."""
        results: list[Result] = []
        for operation in operations:
            match operation:
                case Admit() | TakeNothing():
                    results.append(None)
                case Draw(session, seed, source, attempt):
                    results.append(self._draws.next_key(seed, session, source, attempt))
                case Enter() if self._member.allows_lost:
                    results.append(None)
                case CountPlaces() if self._member.allows_lost:
                    results.append(0)
                case Spend(charges) if self._member.allows_lost:
                    results.append(Spent(tuple(charge.cost for charge in charges)))
                case _:
                    return None
        return results

    # --- What is posted ---

    def _post_soon(self) -> None:
        if self._posted and self._posting is None and self.condition is Condition.SHARED:
            self._posting = asyncio.get_running_loop().create_task(self._post_all())

    async def _post_all(self) -> None:
        try:
            while self._posted:
                batch = [self._posted.popleft() for _ in range(min(len(self._posted), MAX_BATCH))]
                await self._wait_for_entries(batch)
                try:
                    await self._perform_all(batch)
                except LinkError:
                    leaving = [each for each in batch if not isinstance(each, Settle)]
                    self._posted.extendleft(reversed(leaving))
                    return
        finally:
            self._posting = None

    async def _wait_for_entries(self, operations: Sequence[Operation]) -> None:
        """Wait until it is known whether those who leave have entered: on another connection, Redis
        may not have come to it."""
        leases = [each.lease for each in operations if isinstance(each, Leave)]
        entering = {self._entering[lease] for lease in leases if lease in self._entering}
        if entering:
            await asyncio.wait(entering)

    # --- Places in lines ---

    def listen(self) -> None:
        """Hear of places that are given to leases of this worker, from now on, as long as Redis can
        be reached and allows it."""
        if self._hearing is None:
            self._hearing = asyncio.get_running_loop().create_task(self._hear_forever())

    async def _hear_forever(self) -> None:
        own = f"{self._asker.name} "
        while not self._stopped:
            with contextlib.suppress(LinkError):
                async with contextlib.aclosing(self._link.hear(f"called:{own[:-1]}")) as heard:
                    async for lease in heard:
                        self.when_called(lease.decode().removeprefix(own))
            await asyncio.sleep(BEAT)

    # --- Heartbeats ---

    async def _beat_forever(self) -> None:
        while not self._stopped:  # the client may swallow that this task is cancelled
            try:
                await self._beat()
            except Exception:
                logger.exception("internal error sharing state")
            await asyncio.sleep(BEAT)

    async def _beat(self) -> None:
        member, sent = self._member, self._member.elapsed()
        is_first = self.condition is Condition.JOINING and member.replaced
        arguments = join_arguments(
            self._asker,
            server=member.server,
            config=member.config,
            any_config=member.any_config,
            elapsed=sent,
            speed=member.speed(),
            replaced=f"{member.server} {member.replaced}" if is_first else "",
        )
        try:
            found = joined(await self._link.run(self._join, arguments))
        except LinkError as exc:
            self._standing.fail(str(exc))
            return
        self._standing.succeed()
        self._note_epoch(found.epoch)
        if found.differs:
            self._standing.refuse(found.differs)
        else:
            # the time of all was `found.lag` ahead of what was sent, which has been on its way
            self._time.note(sent, sent + found.lag, member.elapsed())
            self._asker = self._asker._replace(lag=self._time.to_server(0.0))
            self._standing.share()
            self._post_soon()

    def _note_epoch(self, epoch: str) -> None:
        self._standing.note_epoch(epoch)
        if epoch == self._asker.epoch:
            self._asker = self._asker._replace(epoch=uuid.uuid4().hex)
