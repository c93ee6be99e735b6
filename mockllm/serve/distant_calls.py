"""The calls of all workers of all servers, gathered by the one that is asked for them.

Each worker has its own calls in a journal until somebody asks; then it tells them to Redis
(`serve.redis_calls`), which has them in one order, and drops them here. Who asks keeps a copy of
what Redis has, so that the next reading asks for what is new:

    ask -> all workers: make all changes so far, tell -> read what is new, until all have answered

Every call is found whose answer was read before the question: its worker tells it. Further ones
have higher numbers than all that were read. A worker that stops tells what it has.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from mockllm.endpoints.control.calls import MAX_CALLS
from mockllm.engine.changes import Change, ClearCalls
from mockllm.errors import RequestError
from mockllm.observers.entries import Kept
from mockllm.observers.journal import CallCount, Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import Selection
from mockllm.serve.call_messages import pack_calls, unpack_calls
from mockllm.serve.call_turns import FindElsewhere, find_turns
from mockllm.serve.process_calls import BYTES_AT_ONCE, CALLS_AT_ONCE
from mockllm.serve.redis_calls import FORGOTTEN, CallsFound, RedisCalls, Told
from mockllm.serve.redis_changes import Known
from mockllm.state.store import StateUnavailableError

MAX_WAIT = 0.1  # seconds for a worker that has not answered the last question either
MAX_BUSY = 3.0  # seconds for one that has: it has much to do, or the machine has
PAUSES = (0.002, 0.05)  # seconds between two readings of one who waits, the first and the longest
MAX_UNUSED = 60.0  # seconds after which the copy is dropped
MAX_REFUSED = 10  # times that a batch is refused because others drop calls meanwhile
BUSY = "a worker of another server, or of this one, is stopped or too busy to tell its calls"
DEAD = "a worker process has died with calls that it had not told"
LOST = "Redis has forgotten the calls so far"
NOT_REACHED = "the calls of other servers, and the last ones of this, cannot be reached in Redis"


class CallsChanges(Protocol):
    """The interface of `serve.distant_changes.DistantChanges` for calls."""

    @property
    def known(self) -> Known:
        """The changes that are made here."""

    @property
    def making(self) -> asyncio.Lock:
        """Nothing is made while somebody else has it."""

    async def catch_up(self) -> None:
        """Make all changes so far."""

    async def make(self, changes: Sequence[Change]) -> RequestError | None:
        """Let all servers make changes. Returns why they are not made."""


class _Dropped(NamedTuple):
    """A selection that is to be dropped from calls with numbers of at most these: those of the own
    journal, and those of the copy."""

    selection: Selection
    own: int
    copied: int


class DistantCalls:
    """The calls of all servers, for the control API of the worker that has the journal `own`, and
    tells them by `log`. `copy` is a journal without bounds."""

    def __init__(self, own: Journal, copy: Journal, log: RedisCalls) -> None:
        self._changes: CallsChanges
        self._log = log
        self.find_earlier: FindElsewhere | None = None
        """Finds out the conversation that ends with a response of a session, which another worker
        may know."""
        # what is to be told
        self._own = own
        self._outgoing: deque[Kept] = deque()
        """Those that were in the journal, in order."""
        self._lost = Counter[str]()
        self._sequence = 1
        """The number of the next batch."""
        self._batch_end = 0
        """The number of the last call of that batch, if it was sent already."""
        self._answered = 0
        """The number of the last question that was answered."""
        self._telling = asyncio.Lock()
        self._is_marked = False
        """True if Redis knows that there may be calls to tell, in case this worker dies."""
        self._marking = set[asyncio.Task[None]]()
        self._dropping: deque[_Dropped] = deque()
        # what was told
        self._copy = copy
        self._log_name = ""
        self._position = 0
        self._late: frozenset[str] = frozenset()
        """Workers that have not answered the last question."""
        self._unused: asyncio.TimerHandle | None = None
        self._next: asyncio.Future[CallsFound] | None = None
        self._worker: asyncio.Task[None] | None = None

    def use(self, changes: CallsChanges) -> None:
        """Know of the changes that all servers make."""
        self._changes = changes
        self._own.listeners.add(self._note_call)

    # --- reading ---

    def read(self, session: str | None) -> None:
        """Return None: other workers must be asked."""

    async def gather(self, session: str | None, after: int | None = None) -> Reading:
        """Return the calls of a session, or of all, of all servers at this moment. The turns are
        known of those with numbers above `after`, as far as one page has them and a worker of this
        server knows them."""
        self._keep_copy()
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        asked = self._next
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        try:
            found = await asyncio.shield(asked)
            if after is not None and self.find_earlier is not None:
                page = self._copy.since(after, session)[:MAX_CALLS]
                await find_turns(page, self.find_earlier)
        except StateUnavailableError:
            return Reading(self._copy, session, 0, NOT_REACHED, self._position)
        finally:
            self._keep_copy()  # if its time came while this was read, it was not dropped
        lost = found.lost.get(session, 0) if session is not None else sum(found.lost.values())
        return Reading(self._copy, session, lost, self._missing(found, session))

    def _missing(self, found: CallsFound, session: str | None) -> str:
        """Return why there may be further calls of a session, or of all."""
        dropped = found.dropped.get(Selection(session), 0)
        dead = {name for name, position in found.dead.items() if position >= dropped}
        if dead:
            return LOST if FORGOTTEN in dead else DEAD
        return BUSY if self._late else ""

    def _keep_copy(self) -> None:
        """Keep the copy until it was not used for a while: it may be as large as a journal."""
        if self._unused is not None:
            self._unused.cancel()
        self._unused = asyncio.get_running_loop().call_later(MAX_UNUSED, self._drop_copy)

    def _drop_copy(self) -> None:
        if self._worker is None:
            self._copy.clear()
            self._position = 0

    async def _work(self) -> None:
        """Make one reading after the other, as long as somebody waits for one."""
        while self._next is not None:
            asked, self._next = self._next, None
            try:
                asked.set_result(await self._read_all())
            except Exception as exc:
                asked.set_exception(exc)
                asked.exception()  # nobody may wait any more
        self._worker = None

    async def _read_all(self) -> CallsFound:
        """Read what all workers have had when this begins.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        question = await self._log.ask()
        begun, pause = time.monotonic(), PAUSES[0]
        await self.tell(question)
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

    def _unpack(self, batch: Told, dropped: Mapping[Selection, int]) -> Iterator[Kept]:
        """Yield the calls of a batch that were not dropped since."""
        selections = [each for each, position in dropped.items() if position > batch.position]
        first = batch.last - batch.size + 1
        for number, each in enumerate(unpack_calls(orjson.loads(batch.record)), first):
            started = self._log.time.from_server(each.entry.delivery.started)
            kept = _started(each, started)._replace(number=number)
            if not any(self._is_meant(kept, selection) for selection in selections):
                yield kept

    def _is_meant(self, kept: Kept, selection: Selection) -> bool:
        return selection.session in (None, kept.entry.session) and selection.accepts(
            self._own.call(kept)
        )

    # --- telling ---

    @property
    def answered(self) -> int:
        """The number of the last question that this worker has answered."""
        return self._answered

    @property
    def unmarked(self) -> str:
        """The name of this worker, unless Redis knows that it may have calls to tell."""
        return "" if self._is_marked else self._log.owner

    def note_marked(self) -> None:
        """Know that Redis knows it."""
        self._is_marked = True

    def _note_call(self) -> None:
        """Let Redis know of a call that was in progress while others were told."""
        if not self._is_marked:
            self._is_marked = True
            task = asyncio.create_task(self._mark())
            self._marking.add(task)
            task.add_done_callback(self._marking.discard)

    async def _mark(self) -> None:
        try:
            await self._log.note_pending()
        except StateUnavailableError:
            self._is_marked = False

    def note_forgotten(self) -> None:
        """Know that Redis has forgotten what it knew."""
        self._is_marked = False
        if len(self._own):
            self._note_call()

    def begin_anew(self) -> None:
        """Count all calls that are not told as lost: it is not known which of them were dropped."""
        self._take()
        self._lost.update(each.entry.session for each in self._outgoing)
        self._outgoing.clear()
        self._take()
        self._lost.update(each.entry.session for each in self._outgoing)
        self._outgoing.clear()

    async def answer(self) -> None:
        """Answer the last question, if it is not answered yet, and be asked from now on.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        question = await self._log.find_question()
        if question != self._answered:
            await self.tell(question)

    async def tell(self, question: int | None = None) -> None:
        """Tell all calls of this moment, and with the last ones that a question is answered.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        async with self._telling:
            refused, upto = 0, self._own.last_number
            while refused < MAX_REFUSED:
                await self._changes.catch_up()
                await self._drop_noted()
                self._take()
                batch = self._next_batch()
                is_last = len(batch) == len(self._outgoing) and not self._own.size(None, upto)
                if await self._tell(batch, question if is_last else None):
                    if is_last:
                        self._answered = self._answered if question is None else question
                        return
                else:
                    refused += 1

    def _take(self) -> None:
        """Take what is in the journal, unless what was taken before is not told yet."""
        if not self._outgoing:
            self._outgoing.extend(self._own.between(0, self._own.last_number))
            self._lost.update(self._own.lost_by_session())
            self._own.clear()

    def _next_batch(self) -> list[Kept]:
        """Return the next calls. Those of a batch that may have arrived are the same again, but for
        those that were dropped since."""
        batch: list[Kept] = []
        size = 0
        for kept in self._outgoing:
            if self._batch_end and kept.number > self._batch_end:
                break
            if not self._batch_end and (len(batch) >= CALLS_AT_ONCE or size > BYTES_AT_ONCE):
                break
            batch.append(kept)
            size += kept.cost
        return batch

    async def _tell(self, batch: list[Kept], question: int | None) -> bool:
        if batch and not self._batch_end:
            self._batch_end = batch[-1].number
        to_server, lost = self._log.time.to_server, dict(self._lost)
        sent = [_started(each, to_server(each.entry.delivery.started)) for each in batch]
        is_pending = len(self._own) > 0
        if question is not None:
            self._is_marked = is_pending
        accepted = await self._log.tell(
            self._changes.known,
            self._sequence,
            orjson.dumps(pack_calls(sent)),
            Counter(each.entry.session for each in batch),
            lost,
            answered=question,
            is_pending=is_pending,
        )
        if self._is_marked and not is_pending:  # since: Redis may have noted it in between
            self.note_forgotten()
        if accepted:
            self._note_told(lost)
        return accepted

    def _note_told(self, lost: Mapping[str, int]) -> None:
        end, self._batch_end = self._batch_end, 0
        self._sequence += 1
        self._lost.subtract(lost)
        self._lost = +self._lost
        while self._outgoing and self._outgoing[0].number <= end:
            self._outgoing.popleft()

    async def stop(self) -> None:
        """Tell all calls, for the last time.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """
        if self._unused is not None:
            self._unused.cancel()
        if self._worker is not None:
            self._worker.cancel()
        await self.tell()
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
        return self._position + len(self._outgoing) + len(self._own)

    async def clear(self, selection: Selection) -> RequestError | None:
        """Drop the calls that are meant, on all servers. Returns why this is not possible."""
        return await self._changes.make([ClearCalls(*selection)])

    def forget(self, session: str, upto: int) -> None:
        """Drop the calls of a session so far, whatever their numbers are elsewhere."""
        self.drop(Selection(session))

    def drop(self, selection: Selection) -> None:
        """Drop the calls so far that are meant, here."""
        if not selection.is_whole:
            dropped = _Dropped(selection, self._own.last_number, self._position)
            self._dropping.append(dropped)  # which takes time
            return
        session = selection.session
        self._own.clear(session)
        self._copy.clear(session)
        others = (each for each in self._outgoing if session not in (None, each.entry.session))
        self._outgoing = deque(others)
        if session is None:
            self._lost.clear()
        else:
            del self._lost[session]

    async def _drop_noted(self) -> None:
        """Drop what is noted, a few calls at a time."""
        while self._dropping:
            selection, own, copied = self._dropping.popleft()
            for journal, upto in ((self._own, own), (self._copy, copied)):
                for _ in selection.drop_from(journal, upto):
                    await asyncio.sleep(0)
            dropped = {
                each.number
                for each in self._outgoing
                if each.number <= own and self._is_meant(each, selection)
            }
            kept = (each for each in self._outgoing if each.number not in dropped)
            self._outgoing = deque(kept)


def _started(kept: Kept, started: float) -> Kept:
    """Return an entry whose request was complete at another time."""
    delivery = kept.entry.delivery._replace(started=started)
    return kept._replace(entry=kept.entry._replace(delivery=delivery))
