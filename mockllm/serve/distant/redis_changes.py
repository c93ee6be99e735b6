"""The log of what was changed at run time, which all workers of all servers share in one Redis.

It is a stream of records, and a snapshot that has the same effect as the first of them. A worker
reads what it has not read; whoever makes a change has the lock of the log meanwhile. Each act is
one script (``redis_changes.lua``). A lock is lost after its lease, and nothing is appended by one
who has lost it.

A log that Redis has forgotten is begun anew by the first worker that notices, with a snapshot of
what it knows. Those who knew as much go on behind it, others begin anew from it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mockllm.limits import MIB
from mockllm.serve.distant.redis_link import RedisScript
from mockllm.serve.distant.redis_scripts import LIFETIME, MAX_SILENCE
from mockllm.serve.server_time import ServerTime

MIN_COMPACTED = 4 * MIB  # of records that are replaced by a snapshot
MIN_GROWTH = 2  # how many times as long as the snapshot before them they are
NO_LOG = ""
RECORDS = "changes-records"  # the stream of them, behind the prefix

_FILE = Path(__file__).parent / "redis_changes.lua"


class ScriptRunner(Protocol):
    """The interface of `redis_store.RedisStore` for the log."""

    async def run(self, script: RedisScript, arguments: Sequence[bytes]) -> Any:
        """Return what a script returns.

        Raises:
            StateUnavailableError: Redis cannot be reached in time.
        """


class Known(NamedTuple):
    """How much of the log a worker has: its name, empty before the first reading, and the number
    of records."""

    name: str = NO_LOG
    position: int = 0


class Found(NamedTuple):
    """What a reading has found: how much is `known` with it, the number of records at the `end`,
    and the `records`. If it `begins_anew`, the only one is a snapshot in place of all before.
    `owners` are the names of the workers that are alive, if they were asked for."""

    known: Known
    end: int
    begins_anew: bool
    records: list[bytes]
    owners: frozenset[str]


@lru_cache
def changes_script() -> RedisScript:
    """Return the script of all acts on the log."""
    constants = f"local LIFETIME, MAX_SILENCE = {LIFETIME!r}, {MAX_SILENCE!r}\n"
    return RedisScript.of(constants + _FILE.read_text("utf-8"))


class RedisChanges:
    """The log as one worker asks it, by `store`. Every method raises a StateUnavailableError if
    Redis cannot be reached in time."""

    def __init__(self, store: ScriptRunner, *, lease: float) -> None:
        """A lock is lost after `lease` seconds."""
        self._store = store
        self._lease = lease
        self._token = b""  # of the lock that this worker has, or has tried to get last
        self.time = ServerTime()

    async def read(self, known: Known, *, wants_owners: bool = False, pending: str = "") -> Found:
        """Return records behind those that are known, all of them or the next ones. What is known
        then has no name if there is no log. A worker whose name is `pending` may have calls from
        now on that it has not told."""
        arguments = b"%d" % wants_owners, pending.encode()
        return self._found(*await self._timed("read", known, *arguments))

    async def lock(self, known: Known) -> Found | None:
        """Return the same, with the owners, once this worker has the lock; None if another one has
        it."""
        self._token = secrets.token_hex(8).encode()  # what comes too late gives back no other lock
        milliseconds = b"%d" % (1000 * self._lease)
        sent, reply = await self._timed("lock", known, self._token, milliseconds, b"1")
        return self._found(sent, reply) if reply else None

    async def unlock(self) -> None:
        """Give the lock back. Without effect if it is lost."""
        await self._run("unlock", Known(), self._token)

    async def append(
        self, known: Known, record: bytes, dropped: Sequence[str] = ()
    ) -> tuple[Known, bool] | None:
        """Append a record to all those that are `known`, with the lock, which is given back. It
        drops the calls of these selections (`redis_calls.pack_selection`). Returns what is
        known now, and whether it is time for a snapshot; None, without effect, if the lock is
        lost."""
        selections = [each.encode() for each in dropped]
        arguments = [self._token, record, b"%d" % len(selections), *selections]
        reply = await self._run("append", known, *arguments)
        if not reply:
            return None
        end, length, snapshot = reply
        is_long = length >= max(MIN_COMPACTED, MIN_GROWTH * snapshot)
        return known._replace(position=end), is_long

    async def compact(self, known: Known, snapshot: bytes) -> None:
        """Replace all records, which are `known`, by a snapshot. Without effect if there are
        others."""
        await self._run("compact", known, snapshot)

    async def begin(self, known: Known, snapshot: bytes, number: int) -> None:
        """Begin a log with the `snapshot` of what a worker is that has known another one, whose
        next mock would have this `number`. Without effect if there is a log."""
        name = secrets.token_hex(8).encode()
        await self._run("begin", known, name, snapshot, b"%d" % number)

    async def take_numbers(self, count: int) -> range | None:
        """Return so many numbers for mocks, which no other mock has; None if there is no log."""
        reply = await self._run("number", Known(), b"%d" % count)
        return range(reply[0] - count, reply[0]) if reply else None

    async def _timed(self, act: str, known: Known, *arguments: bytes) -> tuple[float, Any]:
        """Return when the act was asked for, and the reply."""
        return time.monotonic(), await self._run(act, known, *arguments)

    def _found(self, sent: float, reply: Sequence[Any]) -> Found:
        name, position, end, begins_anew, records, owners, seconds, micros = reply
        self.time.note(sent, int(seconds) + int(micros) / 1e6, time.monotonic())
        return Found(
            Known(name.decode(), position),
            end,
            bool(begins_anew),
            records,
            frozenset(each.decode(errors="replace") for each in owners),
        )

    async def _run(self, act: str, known: Known, *arguments: bytes) -> Any:
        written = [act.encode(), known.name.encode(), b"%d" % known.position, *arguments]
        return await self._store.run(changes_script(), written)
