"""The calls of all workers of all servers, as they are told to one Redis.

It has batches of calls, which are numbered in the order in which they arrive, and as many of the
last ones as one journal has. Each act is one script (``redis_calls.lua``).

    ask         a question gets a number, and wakes all workers
    tell        a worker appends a batch of its calls; with the last one it has answered
    read        the next batch, and which workers have not answered

What a worker tells was not dropped before: a batch is refused if calls were dropped by a change
that the worker did not know. Those that were dropped later are left out by who reads the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from mockllm.observers.journal import MAX_BYTES
from mockllm.observers.selection import CallSelection
from mockllm.serve.distant.redis_changes import Known, ScriptRunner
from mockllm.serve.distant.redis_link import RedisScript
from mockllm.serve.distant.redis_scripts import LIFETIME, MAX_SILENCE
from mockllm.serve.server_time import ServerTime

MAX_DROPPED = 20_000  # selections that are remembered for batches that are still there
ASKED = "calls-asked"  # the stream of questions, behind the prefix
FORGOTTEN = ""  # in place of the name of a worker whose calls are lost: Redis has forgotten them
_SESSION, _FILTER = "session:", "filter:"
_ALL = "all"

_FILE = Path(__file__).parent / "redis_calls.lua"


class Told(NamedTuple):
    """A batch of calls, in JSON, their number is its `size`, and that of the last one `last`. Its
    worker had made the changes of so many records: `position`."""

    last: int
    size: int
    position: int
    record: bytes


class CallsFound(NamedTuple):
    """What a reading has found: the number of the last call at the `end`, that of the last one for
    which there was no room, the next `batches`, the workers that have not answered the question,
    the selections that were dropped with the records that the log of changes had then, the numbers
    of calls without room by session, and, by the names of workers that are dead with calls that
    they have not told, how many records the log had when that was noticed."""

    name: str
    end: int
    removed: int
    batches: list[Told]
    late: frozenset[str]
    dropped: Mapping[CallSelection, int]
    lost: Mapping[str, int]
    dead: Mapping[str, int]


@lru_cache
def calls_script() -> RedisScript:
    """Return the script of all acts on calls."""
    constants = {"LIFETIME": LIFETIME, "MAX_SILENCE": MAX_SILENCE, "MAX_DROPPED": MAX_DROPPED}
    lines = "".join(f"local {name} = {number!r}\n" for name, number in constants.items())
    return RedisScript.of(lines + _FILE.read_text("utf-8"))


def pack_selection(selection: CallSelection) -> str:
    """Return a selection as Redis knows it."""
    if not selection.is_whole:
        return _FILTER + orjson.dumps(selection.to_dict()).decode()
    return _ALL if selection.session is None else _SESSION + selection.session


def unpack_selection(packed: str) -> CallSelection:
    """Return the selection that `pack_selection` packed."""
    if packed.startswith(_SESSION):
        return CallSelection(packed.removeprefix(_SESSION))
    if packed.startswith(_FILTER):
        return CallSelection.from_dict(orjson.loads(packed.removeprefix(_FILTER)))
    return CallSelection()


class RedisCalls:
    """The calls as one worker tells and reads them, by `store`; its name is `owner`. Of all calls,
    the last `max_entries` are kept. Every method raises a StateUnavailableError if Redis cannot be
    reached in time."""

    def __init__(self, store: ScriptRunner, owner: str, time: ServerTime, max_entries: int) -> None:
        self._store = store
        self.owner = owner
        self.time = time
        self._max_entries = max_entries

    async def note_pending(self) -> None:
        """Note that this worker has calls that it has not told."""
        await self._run("pending", self.owner)

    async def part(self) -> None:
        """Be none of them any more: all calls are told."""
        await self._run("part", self.owner)

    async def ask(self) -> int:
        """Ask all workers for their calls. Returns the number of the question."""
        (question,) = await self._run("ask")
        return int(question)

    async def find_question(self) -> int:
        """Return the number of the last question, 0 if there was none. This worker is asked from
        now on."""
        (question,) = await self._run("asked", self.owner)
        return int(question)

    async def tell(
        self,
        known: Known,
        number: int,
        record: bytes,
        sessions: Mapping[str, int],
        lost: Mapping[str, int],
        *,
        answered: int | None,
        is_pending: bool,
    ) -> bool:
        """Append a batch, whose `number` is above that of the last one of this worker: it has no
        effect if it has arrived already. Its calls are counted by `sessions`, and those for which
        the worker had no room; changes are `known` to it. With the last batch, a question is
        `answered`; then it is noted whether further calls are `is_pending`.

        Returns False, without effect, if calls were dropped by changes that are not known."""
        (accepted,) = await self._run(
            "tell",
            self.owner,
            known.name,
            known.position,
            number,
            sum(sessions.values()),
            orjson.dumps(sessions),
            record,
            orjson.dumps(lost),
            self._max_entries,
            MAX_BYTES,
            "" if answered is None else answered,
            int(is_pending),
        )
        return bool(accepted)

    async def read(self, after: int, question: int) -> CallsFound:
        """Return the next calls with numbers above `after`, if there are some, and who has not
        answered this question."""
        name, end, removed, batches, late, *pairs = await self._run("read", after, question)
        dropped, lost, dead = ({key: int(value) for key, value in _pairs(each)} for each in pairs)
        return CallsFound(
            name.decode(),
            end,
            removed,
            [Told(*each) for each in batches],
            frozenset(each.decode() for each in late),
            {unpack_selection(key): value for key, value in dropped.items()},
            lost,
            dead,
        )

    async def _run(self, act: str, *arguments: str | float | bytes) -> Any:
        words = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
        return await self._store.run(calls_script(), [act.encode(), *words])


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[str, bytes]]:
    return zip((each.decode() for each in flat[::2]), flat[1::2], strict=True)
