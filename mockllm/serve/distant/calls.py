"""The calls of all workers of all servers, gathered by the one that is asked for them.

Each worker has its own calls in a journal until somebody asks; then it tells them to Redis
(`redis_calls`), which has them in one order, and drops them here. Who asks keeps a copy of
what Redis has, so that the next reading asks for what is new:

    ask -> all workers: make all changes so far, tell -> read what is new, until all have answered

Every call is found whose answer was read before the question: its worker tells it. Further ones
have higher numbers than all that were read. A worker that stops tells what it has.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping

import orjson

from mockllm.endpoints.control.calls import MAX_CALLS
from mockllm.engine.changes import ClearCalls
from mockllm.errors import RequestError
from mockllm.observers.entries import Kept
from mockllm.observers.journal import CallCount, Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.serve.call_messages import unpack_calls
from mockllm.serve.call_turns import FindElsewhere, find_turns
from mockllm.serve.distant.redis_calls import FORGOTTEN, CallsFound, RedisCalls, Told
from mockllm.serve.rounds import Rounds
from mockllm.serve.untold_calls import CallsChanges, Dropped, UntoldCalls
from mockllm.state.store import StateUnavailableError

MAX_WAIT = 0.1  # seconds for a worker that has not answered the last question either
MAX_BUSY = 3.0  # seconds for one that has: it has much to do, or the machine has
PAUSES = (0.002, 0.05)  # seconds between two readings of one who waits, the first and the longest
BUSY = "a worker of another server, or of this one, is stopped or too busy to tell its calls"
DEAD = "a worker process has died with calls that it had not told"
LOST = "Redis has forgotten the calls so far"
NOT_REACHED = "the calls of other servers, and the last ones of this, cannot be reached in Redis"


class DistantCalls:
    """The calls of all servers, for the control API of the worker that has the journal `own`, and
    tells them by `log`. `copy` is a journal without bounds."""

    def __init__(self, own: Journal, copy: Journal, log: RedisCalls) -> None:
        self._changes: CallsChanges
        self._log = log
        self.untold = UntoldCalls(own, log)
        """Those of this worker that the others do not know."""
        self.find_earlier: FindElsewhere | None = None
        """Finds out the conversation that ends with a response of a session, which another worker
        may know."""
        # what was told
        self._copy = copy
        self._log_name = ""
        self._position = 0
        self._late: frozenset[str] = frozenset()
        """Workers that have not answered the last question."""
        self._dropping: deque[Dropped] = deque()
        self._rounds = Rounds(self._read_all, self._drop_copy)

    def use(self, changes: CallsChanges) -> None:
        """Know of the changes that all servers make."""
        self._changes = changes
        self.untold.use(changes)

    # --- reading ---

    def read(self, session: str | None) -> None:
        """Return None: other workers must be asked."""

    async def gather(self, session: str | None, after: int | None = None) -> Reading:
        """Return the calls of a session, or of all, of all servers at this moment. The turns are
        known of those with numbers above `after`, as far as one page has them and a worker of this
        server knows them."""
        try:
            found = await self._rounds.next()
            if after is not None and self.find_earlier is not None:
                page = self._copy.since(after, session)[:MAX_CALLS]
                await find_turns(page, self.find_earlier)
        except StateUnavailableError:
            return Reading(self._copy, session, 0, NOT_REACHED, self._position)
        finally:
            self._rounds.keep()  # if its time came while this was read, it was not dropped
        lost = found.lost.get(session, 0) if session is not None else sum(found.lost.values())
        return Reading(self._copy, session, lost, self._missing(found, session))

    def _missing(self, found: CallsFound, session: str | None) -> str:
        """Return why there may be further calls of a session, or of all."""
        dropped = found.dropped.get(CallSelection(session), 0)
        dead = {name for name, position in found.dead.items() if position >= dropped}
        if dead:
            return LOST if FORGOTTEN in dead else DEAD
        return BUSY if self._late else ""

    def _drop_copy(self) -> None:
        self._copy.clear()
        self._position = 0

    async def _read_all(self) -> CallsFound:
        """Read what all workers have had when this begins.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        question = await self._log.ask()
        begun, pause = time.monotonic(), PAUSES[0]
        await self.untold.tell(question)
        while True:
            found = await self._read_on(question)
            late = found.late - {self._log.owner}
            waited = time.monotonic() - begun
            patience = MAX_WAIT if late <= self._late else MAX_BUSY
            if not late or waited > patience:
                self._late = late
                return found
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    async def _read_on(self, question: int) -> CallsFound:
        """Read what is new, batch by batch."""
        while True:
            await self._drop_noted()
            async with self._changes.making:  # what is dropped meanwhile would not be dropped here
                found = await self._log.read(self._position, question)
                self._add(found)
            if self._position >= found.end:
                return found

    def _add(self, found: CallsFound) -> None:
        if found.name != self._log_name:  # Redis has forgotten them
            self._log_name, before = found.name, self._log_name
            if before:
                self._copy.clear()
                self._position = found.removed
                return
        if self._copy.size(None, found.removed):
            self._copy.clear(upto=found.removed)
        self._position = max(self._position, found.removed)
        for batch in found.batches:
            self._copy.insert(self._unpack(batch, found.dropped))
            self._position = batch.last
        if not found.batches:
            self._position = found.end

    def _unpack(self, batch: Told, dropped: Mapping[CallSelection, int]) -> Iterator[Kept]:
        """Yield the calls of a batch that were not dropped since."""
        selections = [each for each, position in dropped.items() if position > batch.position]
        first = batch.last - batch.size + 1
        for number, each in enumerate(unpack_calls(orjson.loads(batch.record)), first):
            started = self._log.time.from_server(each.entry.delivery.started)
            kept = each.begun(started)._replace(number=number)
            if not any(selection.means(kept, self._copy) for selection in selections):
                yield kept

    async def stop(self) -> None:
        """Tell all calls, for the last time.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        self._rounds.stop()
        await self.untold.tell()
        await self._log.part()

    # --- waiting ---

    async def wait(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the test's
        """Wait until there are `count` calls of a session, or of all. Returns False if there are
        not after `timeout` seconds."""
        until, pause = time.monotonic() + timeout, PAUSES[0]
        calls = CallCount(self._copy, session)
        while True:
            await self.gather(session)
            if calls.now() >= count:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, pause))
            pause = min(2 * pause, PAUSES[1])

    # --- dropping ---

    @property
    def last_number(self) -> int:
        """The highest number of a call that is known here, and those that are not told yet."""
        return self._position + len(self.untold)

    async def clear(self, selection: CallSelection) -> RequestError | None:
        """Drop the calls that are meant, on all servers. Returns why this is not possible."""
        return await self._changes.make([ClearCalls(*selection)])

    def forget(self, session: str, upto: int) -> None:
        """Drop the calls of a session so far, whatever their numbers are elsewhere."""
        self.drop(CallSelection(session))

    def drop(self, selection: CallSelection) -> None:
        """Drop the calls so far that are meant, here."""
        self.untold.drop(selection)
        if selection.is_whole:
            self._copy.clear(selection.session)
        else:
            self._dropping.append(Dropped(selection, self._position))  # which takes time

    async def _drop_noted(self) -> None:
        """Drop what is noted, a few calls at a time."""
        while self._dropping:
            selection, upto = self._dropping.popleft()
            for _ in selection.drop_from(self._copy, upto):
                await asyncio.sleep(0)
