"""The calls of one worker that it has not told to the others.

Each worker has its own calls in a journal until somebody asks for them. Then it tells them to
Redis, batch by batch, and drops them here. A batch that may have arrived is told again as it was,
but for what was dropped since, until it is known that it has. A worker that has something to tell
is marked as such in Redis, so that others know what has died with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from mockllm.engine.changes import Change
from mockllm.errors import RequestError
from mockllm.observers.entries import COST, NUMBER, AnyKept, Kept, make_kept, session_of
from mockllm.observers.journal import Journal
from mockllm.observers.selection import CallSelection
from mockllm.serve.call_messages import pack_calls
from mockllm.serve.distant.redis_calls import RedisCalls
from mockllm.serve.distant.redis_changes import Known
from mockllm.serve.process_calls import BYTES_AT_ONCE, CALLS_AT_ONCE
from mockllm.state.store import StateUnavailableError

MAX_REFUSED = 10  # times that a batch is refused because others drop calls meanwhile


class CallsChanges(Protocol):
    """The interface of `serve.distant.changes.DistantChanges` for calls."""

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


class Dropped(NamedTuple):
    """A selection that is to be dropped from the calls of a journal with numbers of at most
    this."""

    selection: CallSelection
    upto: int


class UntoldCalls:
    """The calls of the worker that has the journal `own` and tells them by `log`."""

    def __init__(self, own: Journal, log: RedisCalls) -> None:
        self._changes: CallsChanges
        self._log = log
        self._own = own
        self._outgoing: deque[AnyKept] = deque()
        """Those that were in the journal, in order, made when they are told."""
        self._lost = Counter[str]()
        self._dropping: deque[Dropped] = deque()
        # of telling
        self._sequence = 1
        """The number of the next batch."""
        self._batch_end = 0
        """The number of the last call of that batch, if it was sent already."""
        self._answered = 0
        """The number of the last question that was answered."""
        self._telling = asyncio.Lock()
        # of the mark
        self._is_marked = False
        """True if Redis knows that there may be calls to tell, in case this worker dies."""
        self._marking = set[asyncio.Task[None]]()

    def use(self, changes: CallsChanges) -> None:
        """Know of the changes that all servers make."""
        self._changes = changes
        self._own.listeners.add(self._note_call)

    def __len__(self) -> int:
        return len(self._outgoing) + len(self._own)

    # --- the mark ---

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

    # --- telling ---

    @property
    def answered(self) -> int:
        """The number of the last question that this worker has answered."""
        return self._answered

    def begin_anew(self) -> None:
        """Count all calls that are not told as lost: it is not known which of them were dropped."""
        for _ in range(2):  # what was taken before, and what is in the journal
            self._take()
            self._lost.update(map(session_of, self._outgoing))
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
            self._outgoing.extend(self._own.snapshot(None).kept)
            self._lost.update(self._own.lost_by_session())
            self._own.clear()

    def _next_batch(self) -> list[Kept]:
        """Return the next calls. Those of a batch that may have arrived are the same again, but for
        those that were dropped since."""
        batch: list[Kept] = []
        size = 0
        for each in self._outgoing:
            if self._batch_end and each[NUMBER] > self._batch_end:
                break
            if not self._batch_end and (len(batch) >= CALLS_AT_ONCE or size > BYTES_AT_ONCE):
                break
            batch.append(make_kept(each))
            size += each[COST]
        return batch

    async def _tell(self, batch: list[Kept], question: int | None) -> bool:
        if batch and not self._batch_end:
            self._batch_end = batch[-1].number
        to_server, lost = self._log.time.to_server, dict(self._lost)
        sent = [each.begun(to_server(each.entry.delivery.started)) for each in batch]
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
        while self._outgoing and self._outgoing[0][NUMBER] <= end:
            self._outgoing.popleft()

    # --- dropping ---

    def drop(self, selection: CallSelection) -> None:
        """Drop the calls so far that are meant."""
        if not selection.is_whole:  # which takes time
            self._dropping.append(Dropped(selection, self._own.last_number))
            return
        session = selection.session
        self._own.clear(session)
        others = (each for each in self._outgoing if session not in (None, session_of(each)))
        self._outgoing = deque(others)
        if session is None:
            self._lost.clear()
        else:
            del self._lost[session]

    async def _drop_noted(self) -> None:
        """Drop what is noted, a few calls at a time."""
        while self._dropping:
            selection, upto = self._dropping.popleft()
            for _ in selection.drop_from(self._own, upto):
                await asyncio.sleep(0)
            dropped = {
                each[NUMBER]
                for each in self._outgoing
                if each[NUMBER] <= upto and selection.means(make_kept(each), self._own)
            }
            kept = (each for each in self._outgoing if each[NUMBER] not in dropped)
            self._outgoing = deque(kept)
