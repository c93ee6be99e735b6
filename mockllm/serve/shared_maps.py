"""Maps of state that several processes have, each in its own memory, and use one after the other.

What a process changes it appends to a log, as one record for each transaction; the others make the
same changes before they look at their maps again. So a transaction costs what its changes cost,
however much is stored. The caller sees to it that no two processes use the maps at the same time:
see `serve.shared_lock`. The log, and what remains of a process that is killed, is that of
`serve.change_log`.
"""

from __future__ import annotations

import errno
import marshal
import mmap
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

from mockllm.limits import MIB
from mockllm.pieces import Pieces, finish
from mockllm.serve.change_log import ChangeBoard, ChangeLog, TooFarBehindError
from mockllm.state.attempts import Attempts, Taken
from mockllm.state.maps import LocalGroups, LocalMap

MAX_BYTES = 256 * MIB  # of the log; more than twice what the bounds of `state` add up to
AT_ONCE = 1_000  # changes of a snapshot that are written without a pause
MIN_COMPACTED = MIB // 2  # of a log that is replaced by its snapshot; 15 ms for who reads it all

ORDERED = ("draws", "ended", "leases", "pinned", "unpinned", "values")
GROUPED = ("answered", "buckets", "lines", "pools")

_FORMAT = 2  # of `marshal`: without references, for which it would look
_LEFT = object()
_NONE = -1  # no number of a file

Change = tuple[Any, ...]
"""The number of a method of a map, and its arguments."""


class MapsSnapshot(NamedTuple):
    """What was in the maps when the log had been read up to `position`, as records. In the log it
    is one record, of which each part is a record."""

    position: int
    records: list[bytes]


class SharedMaps:
    """The maps, of which this process has a copy, during a transaction of this process.

    Without one, nothing may be called but `begin`.
    """

    def __init__(self, path: Path) -> None:
        """Open the log at `path`, which is created if it is not there. Its records are in files
        beside it.

        Raises:
            OSError: it cannot be opened.
        """
        self._changes: list[Change] = []  # of this transaction
        self._methods: list[Callable[..., Any]] = []  # without the recording
        self._facts = _Facts(self._changes, 0)
        self._methods.append(MethodType(dict.__setitem__, self._facts))
        self.facts: dict[str, Any] = self._facts
        self._ordered: dict[str, SharedMap] = {
            name: self._make(SharedMap, LocalMap) for name in ORDERED
        }
        self._grouped: dict[str, SharedGroups] = {
            name: self._make(SharedGroups, LocalGroups) for name in GROUPED
        }
        self._attempts: SharedAttempts = self._make(SharedAttempts, Attempts)
        self._all: tuple[_Facts | SharedMap | SharedGroups | SharedAttempts, ...]
        self._all = (self._facts, *self._ordered.values(), *self._grouped.values(), self._attempts)
        self._generation = _map_number(path)
        self._board = ChangeBoard(path.parent, memoryview(self._generation).cast("Q"))
        self._log = ChangeLog(self._board)
        self._is_spoiled = False  # the copy has more or less than the log
        self._long_file = _NONE  # the number of the file that this process has made long
        self.compacts_later = False
        """Somebody else replaces the log by a snapshot when it `needs_snapshot`."""

    def _make(self, kind: Any, plain: Any) -> Any:
        made = kind(self._changes, len(self._methods))
        self._methods += [MethodType(getattr(plain, name), made) for name in kind.RECORDED]
        return made

    def close(self) -> None:
        """Close the log."""
        self._log.close()
        self._board.generation.release()
        self._generation.close()

    def ordered(self, name: str) -> SharedMap:
        """Return the map with this name."""
        return self._ordered[name]

    def grouped(self, name: str) -> SharedGroups:
        """Return the grouped map with this name."""
        return self._grouped[name]

    def attempts(self) -> SharedAttempts:
        """Return the attempts."""
        return self._attempts

    @property
    def is_behind(self) -> bool:
        """True if other processes have made changes that this one has not."""
        return self._log.is_behind

    def begin(self) -> None:
        """Begin a transaction: what happens until `commit` happens as a whole, or not at all.

        Raises:
            OSError: the log cannot be read.
        """
        while self._is_spoiled or self._log.is_behind:
            if self._is_spoiled or self._log.missed_files > 1:  # the last snapshot is shorter
                self._begin_anew()
            self._is_spoiled = True
            try:
                records = self._log.read()
            except TooFarBehindError:
                continue
            for record in records:
                self._apply(record)
            self._is_spoiled = False

    def commit(self) -> None:
        """End a transaction. Everything that it has changed is there.

        Raises:
            OSError: nothing more can be written; `roll_back` is to be called.
        """
        changes = self._changes
        if not changes:
            return
        record = _dump(changes)
        log = self._log
        before = log.size
        if before + len(record) > MAX_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        log.append(record)
        changes.clear()
        if log.size >= MIN_COMPACTED and self._makes_long(before):
            self._long_file = log.file_number
            if not self.compacts_later:
                self.compact(finish(self.take_snapshot()))

    def _makes_long(self, before: int) -> bool:
        """Return True if this process has made the log, which had so many bytes `before`, so long
        that it is to be replaced: one of several processes does that. If it dies before, or there
        was no space, it is the one that makes the log longer by `MIN_COMPACTED` again."""
        log = self._log
        if not log.is_longer_than(MIN_COMPACTED):
            return False
        is_first = not log.is_longer_than(MIN_COMPACTED, before)
        return is_first or before // MIN_COMPACTED != log.size // MIN_COMPACTED

    @property
    def needs_snapshot(self) -> bool:
        """True if this process is to replace the log by a snapshot, and no other has done so."""
        return self._long_file == self._log.file_number

    def roll_back(self) -> None:
        """End a transaction, if there is one. Nothing of it has happened."""
        if self._changes:
            self._is_spoiled = True

    # --- copying ---

    def _apply(self, record: bytes) -> None:
        methods = self._methods
        for change in _load(record):
            if type(change) is bytes:  # of a snapshot
                self._apply(change)
            else:
                methods[change[0]](*change[1:])

    def _begin_anew(self) -> None:
        """Forget everything, so that it is read from the log."""
        log = ChangeLog(self._board)
        self._log.close()
        self._log = log
        for each in self._all:
            each.clear()
        self._changes.clear()

    def take_snapshot(self) -> Pieces[MapsSnapshot]:
        """Return what is in the maps now, to be made in pieces, between which they may change.
        Nothing may be missing of the log."""
        self._long_file = _NONE
        return _pack(self._log.position, [each.copied() for each in self._all])

    def compact(self, snapshot: MapsSnapshot) -> None:
        """Replace the log by `snapshot` and what was changed since, in a transaction that has
        changed nothing, unless another process has replaced it or there is no space for both."""
        with suppress(OSError):
            since = self._log.records_since(snapshot.position)
            if since is not None:
                self._log.compact(_dump([*snapshot.records, *since]))


def _pack(position: int, copies: Iterable[Iterator[Change]]) -> Pieces[MapsSnapshot]:
    records: list[bytes] = []
    for copy in copies:
        while changes := [*islice(copy, AT_ONCE)]:
            records.append(_dump(changes))
            yield False
    return MapsSnapshot(position, records)


class _Facts(dict[str, Any]):
    """The facts of maps, whose changes are recorded."""

    def __init__(self, changes: list[Change], number: int) -> None:
        super().__init__()
        self._record = changes.append
        self._number = number

    def __setitem__(self, name: str, value: Any) -> None:
        self._record((self._number, name, value))
        dict.__setitem__(self, name, value)

    def copied(self) -> Iterator[Change]:
        """Return the changes that make what it is now out of an empty one."""
        items = [*self.items()]
        return ((self._number, *item) for item in items)


class SharedMap(LocalMap[Any, Any]):
    """A map whose changes are recorded."""

    RECORDED = ("put", "put_last", "drop", "clear")

    def __init__(self, changes: list[Change], first: int) -> None:
        super().__init__()
        self._record = changes.append
        self._put, self._put_last, self._drop, self._clear = range(first, first + 4)

    def put(self, key: Any, value: Any) -> None:
        """Set the value of `key`, which keeps its place."""
        self._record((self._put, key, value))
        self[key] = value

    def put_last(self, key: Any, value: Any) -> None:
        """Set the value of `key`, and move it to the end."""
        if next(reversed(self), _LEFT) == key and self[key] is value:
            return
        self._record((self._put_last, key, value))
        super().put_last(key, value)

    def drop(self, key: Any) -> bool:
        """Remove `key`. Returns False if it is not there."""
        if not super().drop(key):
            return False
        self._record((self._drop, key))
        return True

    def clear(self) -> None:
        """Remove all keys."""
        self._record((self._clear,))
        super().clear()

    def copied(self) -> Iterator[Change]:
        """Return the changes that make what it is now out of an empty one."""
        items = [*self.items()]
        return ((self._put, *item) for item in items)


class SharedGroups(LocalGroups[Any, Any, Any]):
    """A grouped map whose changes are recorded."""

    RECORDED = ("put", "put_last", "drop", "drop_group", "drop_first", "clear")

    def __init__(self, changes: list[Change], first: int) -> None:
        super().__init__()
        self._record = changes.append
        self._put, self._put_last, self._drop = range(first, first + 3)
        self._drop_group, self._drop_first, self._clear = range(first + 3, first + 6)

    def put(self, group: Any, key: Any, value: Any) -> None:
        """Set the value of `key`, which keeps its place, as the group does."""
        self._record((self._put, group, key, value))
        LocalGroups.put(self, group, key, value)

    def put_last(self, group: Any, key: Any, value: Any) -> None:
        """Set the value of `key`, and move it and its group to the end."""
        self._record((self._put_last, group, key, value))
        LocalGroups.put_last(self, group, key, value)

    def drop(self, group: Any, key: Any) -> None:
        """Remove `key` from `group`, and a group that has no other."""
        self._record((self._drop, group, key))
        super().drop(group, key)

    def drop_group(self, group: Any) -> list[Any]:
        """Remove a group. Returns the values of its keys."""
        values = super().drop_group(group)
        if values:
            self._record((self._drop_group, group))
        return values

    def drop_first(self, group: Any = None) -> Any:
        """Remove the first key of `group`, or of the first group. Returns its value."""
        self._record((self._drop_first, group))
        return LocalGroups.drop_first(self, group)

    def clear(self) -> None:
        """Remove all groups."""
        self._record((self._clear,))
        super().clear()

    def copied(self) -> Iterator[Change]:
        """Return the changes that make what it is now out of an empty one."""
        groups = [(group, [*keys.items()]) for group, keys in self._groups.items()]
        return ((self._put, group, *item) for group, items in groups for item in items)


class SharedAttempts(Attempts):
    """Attempts whose changes are recorded."""

    RECORDED = ("add", "follow", "forget", "put", "clear")

    def __init__(self, changes: list[Change], first: int) -> None:
        super().__init__()
        self._record = changes.append
        self._add, self._follow, self._forget, self._put, self._clear = range(first, first + 5)

    def add(
        self, session: str, attempt: tuple[bytes, int], key: str | None = None, number: int = 0
    ) -> None:
        """Remember what `attempt` took."""
        request, retry = attempt
        self._record((self._add, session, (request, retry), key, number))
        Attempts.add(self, session, attempt, key, number)

    def follow(self, session: str, attempt: tuple[bytes, int]) -> Taken | None:
        """Remove and return what was taken by the attempt that a marked retry follows."""
        taken = super().follow(session, attempt)
        if taken is not None:
            self._record((self._follow, session, tuple(attempt)))
        return taken

    def forget(self, session: str, keys: Collection[str] | None = None) -> None:
        """Forget the attempts of `session`, or what they took."""
        self._record((self._forget, session, None if keys is None else tuple(keys)))
        super().forget(session, keys)

    def clear(self) -> None:
        """Forget all attempts."""
        self._record((self._clear,))
        super().clear()

    def copied(self) -> Iterator[Change]:
        """Return the changes that make what it is now out of an empty one."""
        trails = self.trails()
        return ((self._put, *each) for each in trails)


def _dump(changes: list[Change] | list[bytes]) -> bytes:
    try:
        return marshal.dumps(changes, _FORMAT)
    except ValueError:  # objects of subclasses
        return marshal.dumps(_bare(changes), _FORMAT)


_load = marshal.loads  # only this server's processes can write what it reads


def _bare(value: Any) -> Any:
    """Return what is equal to `value`, without objects of subclasses."""
    if isinstance(value, list | tuple):
        return tuple(map(_bare, value))
    if isinstance(value, str):
        return str.__str__(value)
    return bytes(value) if isinstance(value, bytes) else value


def _map_number(path: Path) -> mmap.mmap:
    """Return the memory of a number in the file at `path`, which is created with the number 0."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size < mmap.PAGESIZE:
            os.pwrite(file, bytes(mmap.PAGESIZE), 0)
        return mmap.mmap(file, mmap.PAGESIZE)
    finally:
        os.close(file)
