"""The calls of all processes of a server, gathered by the one that is asked for them.

It keeps a copy of what it has gathered, so that the next reading asks for what is new. A reading
begins with a fence, the number of the last call at this moment: every call up to it is found, and
no later one. A client can ask only after it has read an answer, whose call had its number by then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mockllm.endpoints.control.calls import MAX_CALLS
from mockllm.observers.entries import Kept, get_number
from mockllm.observers.journal import CallCount, Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.observers.verification import counted
from mockllm.serve.call_messages import unpack_calls
from mockllm.serve.call_turns import FindElsewhere, find_turns
from mockllm.serve.peer_lines import NoAnswer, PeerLine, is_stopped
from mockllm.serve.process_calls import MAX_AWAITED, PREFIX, ProcessCalls, pid_of
from mockllm.serve.rounds import Rounds

MAX_WAIT = 0.1  # seconds for another process that is stopped
MAX_BUSY = 3.0  # seconds for one that is not: it has much to do, or the machine has
MAX_ATTEMPTS = 10  # to ask all processes while some of them end
PAUSE = 0.02  # seconds between two readings of one who waits
MAX_ADDED = 1_000  # calls that are read, or added to the copy, without a pause: 1 to 3 ms
BUSY = "a worker process is stopped, or too busy to tell its calls"
DEAD = "a worker process has just died"


class _Told(NamedTuple):
    """What a process has told of its calls: those since the last reading, and of each session how
    many it has had, and up to which number they were dropped."""

    kept: list[Kept]
    counts: Mapping[str | None, int]
    since: Mapping[str | None, int]
    adopted: list[str]


class AllCalls:
    """The calls of all processes whose sockets are in `folder`, for the control API of the one that
    has `own`. Their copy is a journal like that of each process."""

    def __init__(
        self,
        own: ProcessCalls,
        copy: Journal,
        folder: Path,
        find_earlier: FindElsewhere,
    ) -> None:
        """`find_earlier` finds out the conversation that ends with a response of a session, for the
        calls of `copy`."""
        self._find_earlier = find_earlier
        self._own = own
        self._copy = copy
        own.copies.append(copy)
        self._folder = folder
        self._lines: dict[str, PeerLine] = {}
        self._has_cut: Callable[[], bool] = lambda: False
        self._complete = 0
        """The number up to which the copy has all calls of all processes."""
        self._asked: set[str | None] = set()
        """The sessions that the next reading is asked for."""
        self._rounds = Rounds(self._read_all, self._drop_copy)

    def use_changes(
        self, follow: Callable[[], Awaitable[None]], has_cut: Callable[[], bool]
    ) -> None:
        """Know of the changes that all processes make: `follow` makes those of others here, and
        `has_cut` returns True if one has since cut answers of other processes, whose calls are over
        once they have made it too."""
        self._own.follow, self._has_cut = follow, has_cut

    # --- reading ---

    def read(self, session: str | None) -> None:
        """Return None: other processes must be asked."""

    async def gather(self, session: str | None, after: int | None = None) -> Reading:
        """Return the calls of a session, or of all, of all processes at this moment. The turns are
        known of those with numbers above `after`, as far as one page has them."""
        self._asked.add(session)
        try:
            found = await self._rounds.next()
            if after is not None:
                page = self._copy.since(after, session)[:MAX_CALLS]
                await find_turns(page, self._find_earlier)
        finally:
            self._rounds.keep()  # if its time came while this was read, it was not dropped
        return found[session]

    def _drop_copy(self) -> None:
        self._copy.clear()
        self._complete = 0

    async def _read_all(self) -> Mapping[str | None, Reading]:
        """Return the calls of the sessions that were asked for, of all processes."""
        asked, self._asked = [*self._asked], set()
        if self._has_cut():
            await self._tell_all({"follow": True})
        upto = self._own.board.last_number
        for _ in range(MAX_ATTEMPTS):
            told = await self._ask_all(upto, asked)
            if NoAnswer.GONE not in told.values():
                break
            await asyncio.sleep(MAX_WAIT / MAX_ATTEMPTS)  # another has its calls, or it is buried
        known = {name: each for name, each in told.items() if isinstance(each, _Told)}
        adopted = {name for each in known.values() for name in each.adopted}
        known = {name: each for name, each in known.items() if name not in adopted}
        await self._add([kept for each in known.values() for kept in each.kept])
        why = BUSY if NoAnswer.BUSY in told.values() else ""
        why = DEAD if NoAnswer.GONE in told.values() else why
        if not why:
            self._complete = upto
        return {session: self._reading(session, upto, known, why) for session in asked}

    async def _add(self, arrived: list[Kept]) -> None:
        """Add to the copy what it does not have, in the order of the numbers, a few at a time."""
        numbers = self._copy.numbers_between(self._complete, self._own.board.last_number)
        new = sorted((each for each in arrived if each.number not in numbers), key=get_number)
        for start in range(0, len(new), MAX_ADDED):
            if start:
                await asyncio.sleep(0)
            self._copy.insert(self._own.select_kept(new[start : start + MAX_ADDED]))

    def _reading(
        self, session: str | None, upto: int, known: Mapping[str, _Told], why: str
    ) -> Reading:
        has = self._copy.size(session, upto)
        lost = max(0, sum(each.counts[session] for each in known.values()) - has)
        since = max(each.since[session] for each in known.values())  # some learn it later
        dead = self._own.board.lost_after(since)
        if dead:
            why = f"{counted(dead, 'request')} died with a worker process"
        return Reading(self._copy, session, lost, why, self._complete if why else None)

    # --- asking ---

    async def _ask_all(
        self, upto: int, sessions: list[str | None]
    ) -> Mapping[str, _Told | NoAnswer]:
        """Return what each process tells, this one included, by the names of their sockets."""
        names = self._names()
        for name in self._lines.keys() - names:
            self._lines.pop(name).close()
        answers = await asyncio.gather(*(self._ask(name, upto, sessions) for name in names))
        own = self._own
        told: dict[str, _Told | NoAnswer] = dict(zip(names, answers, strict=True))
        told[own.name] = _Told(
            await self._read_own(upto),
            {session: own.count(session, upto) for session in sessions},
            {session: own.since(session) for session in sessions},
            own.adopted,
        )
        return told

    async def _read_own(self, upto: int) -> list[Kept]:
        """Return the calls of this process that are new, a few at a time."""
        kept: list[Kept] = []
        after = self._complete
        while page := self._own.journal.between(after, upto, MAX_ADDED):
            kept += page
            after = page[-1].number
            if after < upto:
                await asyncio.sleep(0)
        return kept

    def _names(self) -> list[str]:
        """Return the names of the sockets of the other processes."""
        try:
            found = [path.name for path in self._folder.iterdir()]
        except OSError:  # the server ends
            return []
        return [name for name in found if name.startswith(PREFIX) and name != self._own.name]

    async def _ask(self, name: str, upto: int, sessions: list[str | None]) -> _Told | NoAnswer:
        """Return what a process tells, page by page."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = self._line_to(name)
        kept: list[Kept] = []
        after, more = self._complete, True
        while more:
            message = {"calls": [after, upto], "sessions": sessions}
            page = await _ask_patiently(line, message, pid_of(name))
            if isinstance(page, NoAnswer):
                return page
            kept += unpack_calls(page["calls"])
            after, more = kept[-1].number if kept else after, page["more"]
        counts, since = (
            dict(zip(sessions, page[member], strict=True)) for member in ("counts", "since")
        )
        return _Told(kept, counts, since, page["adopted"])

    def _line_to(self, name: str) -> PeerLine:
        return PeerLine(self._folder / name, self._own.turns)

    async def _tell_all(self, message: Any) -> None:
        """Send a message to the other processes, and wait until they have acted on it, or do not
        answer in time."""
        lines = {name: self._line_to(name) for name in self._names()}
        await asyncio.gather(
            *(_ask_patiently(line, message, pid_of(name)) for name, line in lines.items())
        )
        for line in lines.values():
            line.close()

    def close(self) -> None:
        """Close the connections to the other processes."""
        self._rounds.stop()
        for line in self._lines.values():
            line.close()

    # --- waiting ---

    async def wait(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the test's
        """Wait until there are `count` calls of a session, or of all. Returns False if there are
        not after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        calls = CallCount(self._copy, session)
        came = asyncio.Event()
        watched: dict[str, tuple[PeerLine, asyncio.Task[None]]] = {}
        self._own.journal.listeners.add(came.set)
        try:
            while True:
                came.clear()
                upto = self._own.board.last_number
                await self.gather(session)
                if calls.now() >= count:
                    return True
                left = until - loop.time()
                if left <= 0:
                    return False
                self._watch_all(watched, upto, came)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, MAX_AWAITED)):
                        await came.wait()
                await asyncio.sleep(min(PAUSE, max(0.0, until - loop.time())))
        finally:
            self._own.journal.listeners.discard(came.set)
            for line, task in watched.values():
                task.cancel()
                line.close()

    def _watch_all(
        self,
        watched: dict[str, tuple[PeerLine, asyncio.Task[None]]],
        number: int,
        came: asyncio.Event,
    ) -> None:
        """Have `came` set once another process has a call with a number above this one. Those that
        are `watched` already have none above an earlier number either."""
        for name in self._names():
            known = watched.get(name)
            if known is None or known[1].done():
                line = self._line_to(name) if known is None else known[0]
                watched[name] = line, asyncio.create_task(_watch(line, number, came))

    # --- dropping ---

    @property
    def last_number(self) -> int:
        """The highest number of a call so far, in all processes; 0 if there was none."""
        return self._own.board.last_number

    async def clear(self, selection: CallSelection) -> None:
        """Drop the calls of this moment that are meant, in all processes. One that does not answer
        in time drops them as soon as it can."""
        upto = self.last_number
        message = {"clear": selection.to_dict(), "upto": upto}
        await asyncio.gather(self._own.clear(selection, upto), self._tell_all(message))

    def forget(self, session: str, upto: int) -> None:
        """Drop those of a session with numbers of at most `upto`, in this process."""
        self._own.forget(session, upto)


async def _watch(line: PeerLine, number: int, came: asyncio.Event) -> None:
    """Set `came` once a process has a call with a number above this one, or it has been waited for
    that long enough."""
    answer = await line.ask({"await": number}, MAX_AWAITED + MAX_WAIT)
    if not isinstance(answer, NoAnswer):
        came.set()


async def _ask_patiently(line: PeerLine, message: Any, pid: int) -> Any:
    """Return the answer of a process, which gets more time if it is not stopped."""
    asking = asyncio.ensure_future(line.ask(message, MAX_BUSY))
    try:
        while True:
            done, _ = await asyncio.wait({asking}, timeout=MAX_WAIT)
            if done:
                return asking.result()
            if is_stopped(pid):
                return NoAnswer.BUSY
    finally:
        asking.cancel()
