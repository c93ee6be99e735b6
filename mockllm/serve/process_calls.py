"""The calls of one process of several, as it tells them to the others.

{"calls": [after, upto], "sessions": [...]}
                       a page of its calls with numbers in between, and how many it has had
{"clear": selection, "upto": number}
                       null, once the calls that are meant are dropped
{"follow": true}       null, once it has made all changes so far, which may have cut its answers
{"await": number}      null, once it has a call with a higher number, or some time has passed
{"adopt": name, "calls": ...}
                       null; the calls of a process that it replaces, page by page
{"adopted": name, "names": [...], "lost": {...}}
                       null, once it has them all: the other process is not asked any more
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from mockllm.limits import MIB
from mockllm.observers.entries import Kept
from mockllm.observers.journal import Journal
from mockllm.observers.selection import CallSelection
from mockllm.serve.call_board import CallBoard
from mockllm.serve.call_messages import pack_calls, unpack_calls
from mockllm.serve.peer_lines import NoAnswer, PeerLine
from mockllm.serve.turns import Turns

WORDS = frozenset({"calls", "clear", "follow", "await", "adopt", "adopted"})
"""The first members of the messages that are answered here."""
PREFIX = "calls-"  # of the names of sockets
CALLS_AT_ONCE = 100  # of one message: about 3 ms
BYTES_AT_ONCE = MIB  # of one message, after which no further call is added
MAX_CLEARED = 1_000  # selections that are remembered, for calls that arrive late
MAX_SESSIONS = 10_000  # of which is known when their calls were dropped
MAX_AWAITED = 0.5  # seconds until another process is told that there was no call
MAX_HANDOVER = 2.0  # seconds for each page of calls that are handed on
ALL = (1 << 63) - 1  # above all numbers


class ProcessCalls:
    """The journal of the process with this `number`, one of those on the `board`. Large messages
    are encoded and decoded in the `turns` of the process."""

    def __init__(self, journal: Journal, board: CallBoard, number: int, turns: Turns) -> None:
        self.journal = journal
        self.board = board
        self.turns = turns
        self.name = name_of(number, os.getpid())
        """The name of the socket at which other processes ask for the calls."""
        self.adopted: list[str] = []
        """The names of processes that are over, the calls of which the journal has."""
        self.copies: list[Journal] = []
        """Journals that have calls of other processes too, of which is dropped what is here."""
        self.follow: Callable[[], Awaitable[None] | None] = lambda: None
        """Makes all changes that other processes have made so far."""
        self._number = number
        self._arriving: dict[str, list[Kept]] = {}
        """Calls of processes that are not adopted yet."""
        self._cleared: deque[tuple[CallSelection, int]] = deque(maxlen=MAX_CLEARED)
        self._cleared_upto = 0
        self._since: dict[str | None, int] = {}

    # --- answering ---

    def answer(self, message: Any) -> Any | Awaitable[Any]:
        """Return the answer to a message of another process, or what to await for it."""
        match message:
            case {"calls": [after, upto], "sessions": sessions}:
                return self._page(after, upto, sessions)
            case {"clear": selection, "upto": upto}:
                return self.clear(CallSelection.from_dict(selection), upto)
            case {"follow": _}:
                return self.follow()
            case {"await": number}:
                return self._await_call(number)
            case {"adopt": name, "calls": packed}:
                self._arriving.setdefault(name, []).extend(unpack_calls(packed))
            case {"adopted": name, "names": names, "lost": lost}:
                self._adopt(name, names, lost)
        return None

    def since(self, session: str | None) -> int:
        """Return the number up to which all calls of a session, or of all, were dropped."""
        return max(self._since.get(None, 0), self._since.get(session, 0))

    def count(self, session: str | None, upto: int) -> int:
        """Return how many calls of a session, or of all, there were up to this number, since they
        were dropped."""
        return self.journal.count_all(session, upto)

    def select_kept(self, arrived: Iterable[Kept]) -> list[Kept]:
        """Return those of `arrived` that were not to be dropped before they arrived."""
        return [
            each
            for each in arrived
            if each.number > self._cleared_upto or not self._is_cleared(each)
        ]

    def _is_cleared(self, kept: Kept) -> bool:
        call = self.journal.call(kept)
        return any(
            kept.number <= upto
            and selection.session in (None, kept.entry.session)
            and selection.accepts(call)
            for selection, upto in self._cleared
        )

    def _page(self, after: int, upto: int, sessions: list[str | None]) -> Any:
        found = self.journal.between(after, upto, CALLS_AT_ONCE + 1)
        page: list[Kept] = []
        size = 0
        for kept in found[:CALLS_AT_ONCE]:
            page.append(kept)
            size += kept.cost
            if size > BYTES_AT_ONCE:
                break
        return {
            "calls": pack_calls(page),
            "more": len(page) < len(found),
            "counts": [self.count(session, upto) for session in sessions],
            "since": [self.since(session) for session in sessions],
            "adopted": self.adopted,
        }

    async def _await_call(self, number: int) -> None:
        journal = self.journal
        came = asyncio.Event()
        journal.listeners.add(came.set)
        try:
            if journal.last_number <= number:
                async with asyncio.timeout(MAX_AWAITED):
                    await came.wait()
        except TimeoutError:
            pass
        finally:
            journal.listeners.discard(came.set)

    # --- changing ---

    async def clear(self, selection: CallSelection, upto: int) -> None:
        """Drop the calls that are meant with numbers of at most `upto`, a few at a time."""
        self._note_cleared(selection, upto)
        for journal in (self.journal, *self.copies):
            for _ in selection.drop_from(journal, upto):
                await asyncio.sleep(0)
        self._note_count()

    def forget(self, session: str, upto: int) -> None:
        """Drop the calls of a session with numbers of at most `upto`."""
        self._note_cleared(CallSelection(session), upto)
        for journal in (self.journal, *self.copies):
            journal.clear(session, upto)
        self._note_count()

    def _note_cleared(self, selection: CallSelection, upto: int) -> None:
        self._cleared.append((selection, upto))
        self._cleared_upto = max(self._cleared_upto, upto)
        if selection.is_whole:
            session = selection.session
            self._since[session] = max(upto, self._since.pop(session, 0))
            if len(self._since) > MAX_SESSIONS:
                del self._since[next(iter(self._since))]

    def _note_count(self) -> None:
        self.board.keep(self._number, self.count(None, ALL))

    # --- handing on ---

    async def hand_on(self, path: Path) -> bool:
        """Hand the calls on to the process that listens at `path`. Returns True once it has them;
        else they are lost with this process."""
        line, after, more = PeerLine(path, self.turns), 0, True
        try:
            while more:
                page = self._page(after, ALL, [])
                *_, last = page["calls"][1] or [[after]]
                after, more = last[0], page["more"]
                message = {"adopt": self.name, "calls": page["calls"]}
                if isinstance(await line.ask(message, MAX_HANDOVER), NoAnswer):
                    return False
            lost = self.journal.lost_by_session()
            message = {"adopted": self.name, "names": self.adopted, "lost": lost}
            if isinstance(await line.ask(message, MAX_HANDOVER), NoAnswer):
                return False
        finally:
            line.close()
        self.board.keep(self._number, 0)
        return True

    def _adopt(self, name: str, names: list[str], lost: dict[str, int]) -> None:
        """Make the calls of the process `name` those of this one, which has adopted `names`."""
        self.journal.add_lost(lost)
        self.journal.insert(self.select_kept(self._arriving.pop(name, ())))
        self.adopted += [*names, name]
        self._note_count()


def name_of(number: int, pid: int) -> str:
    """Return the name of the socket of the process with this number and id."""
    return f"{PREFIX}{number}-{pid}"


def pid_of(name: str) -> int:
    """Return the id of the process whose socket has this name."""
    return int(name.rpartition("-")[2])
