"""The log of what was changed at run time, which all worker processes of a server share.

It is a file to which one process at a time appends, under a lock. How far it is written is a number
in memory that is shared from before the fork, the generation: to set it publishes a record, whole.
A process that dies before that has written nothing, because the next one writes in the same place.
Who reads takes no lock, so it never waits, not even for a process that was stopped in its writing.

    generation   4 -> 5    epoch (the number of the file) and end (the bytes of it that count)
    changes.4              ...records                                       its end: 8,412
    changes.5              8,412 | snapshot | record | record | ...

When a file has become long, its records are replaced by a snapshot that has the same effect, in the
next file. A process that knows the old one reads it to its end and skips the snapshot; a new one
begins with the snapshot.

Why not SQLite: the records are read in order and never searched, and the generation is needed in
memory anyway, because it is compared before each request (30 ns).
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import sys
from pathlib import Path

from mockllm.errors import MockLLMError
from mockllm.limits import MIB

if sys.platform != "win32":  # which has no workers
    import fcntl

KEPT_FILES = 4  # the newest ones; a process that is behind by more than these is replaced
MIN_COMPACTED = 4 * MIB  # of a file that is replaced by its snapshot
MIN_GROWTH = 2  # how many times as long as its snapshot such a file is

_EPOCH = 1 << 40  # more than the bytes of a file
_LENGTH = 4  # bytes before each record
_END = 8  # bytes at the beginning of each file but the first: the end of the one before


class TooFarBehindError(MockLLMError):
    """A process has missed records that are no longer there."""


class ChangeBoard:
    """The part of the log that exists before it is opened: the generation, and the folder of files.
    A `generation` that processes do not share from before the fork is in a file that each maps."""

    def __init__(self, folder: Path, generation: memoryview | None = None) -> None:
        self.folder = folder
        self.generation = generation or memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        """The generation, at index 0."""


class ChangeLog:
    """The log as one process sees it, which opens it after the fork. Everything that is published
    before the first reading is in that reading."""

    def __init__(self, board: ChangeBoard) -> None:
        self._folder = board.folder
        self._generation = board.generation
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock = os.open(board.folder / "changes.lock", flags, 0o600)
        self._file = -1
        self.position = 0
        """The generation up to which this process has read."""
        self._snapshot_end = 0  # of the file
        self._open_newest()

    @property
    def is_behind(self) -> bool:
        """True if there are records that this process has not read."""
        return self._generation[0] != self.position

    @property
    def missed_files(self) -> int:
        """The number of files that were begun after the one that this process reads."""
        return self._generation[0] // _EPOCH - self.position // _EPOCH

    def read(self) -> list[bytes]:
        """Return the records that this process has not read, in order.

        Raises:
            TooFarBehindError: some of them are gone.
            OSError: the file cannot be read.
        """
        position, published = self.position, self._generation[0]
        if published - position < _EPOCH - position % _EPOCH:  # in the same file, as nearly always
            records = self._read_file(position % _EPOCH, published % _EPOCH)
            self.position = published
            return records
        records = []
        while (published := self._generation[0]) != self.position:
            epoch, at = divmod(self.position, _EPOCH)
            newest, end = divmod(published, _EPOCH)
            if newest == epoch:
                records += self._read_file(at, end)
                self.position = published
            else:
                following = self._open(epoch + 1)
                records += self._read_file(at, _number(following, 0, _END))
                self._go_on_in(following, epoch + 1)
        return records

    def records_since(self, position: int) -> list[bytes] | None:
        """Return the records that this process has read since `position`; None if the file was
        replaced meanwhile.

        Raises:
            OSError: the file cannot be read.
        """
        epoch, at = divmod(position, _EPOCH)
        if epoch != self.position // _EPOCH:
            return None
        return self._read_file(at, self.size)

    # --- writing ---

    def lock(self) -> bool:
        """Return True if this process may append until `unlock`; False if another one may."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Let other processes append."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def append(self, record: bytes) -> None:
        """Publish a record, with the lock, when this process has read all others.

        Raises:
            OSError: it cannot be written; it is as if this was not called.
        """
        position = self.position
        assert self._generation[0] == position, "this process is behind"
        data = len(record).to_bytes(_LENGTH) + record
        _write(self._file, data, position % _EPOCH)
        self._generation[0] = self.position = position + len(data)

    @property
    def is_long(self) -> bool:
        """True if the file is to be replaced by its snapshot."""
        return self.is_longer_than(MIN_COMPACTED)

    def is_longer_than(self, minimum: int, size: int | None = None) -> bool:
        """Return True if the file, or its first `size` bytes, are at least so many, and far more
        than its snapshot."""
        length = self.size if size is None else size
        return length >= max(minimum, MIN_GROWTH * self._snapshot_end)

    @property
    def file_number(self) -> int:
        """The number of the file that this process reads."""
        return self.position // _EPOCH

    @property
    def size(self) -> int:
        """The bytes of the file up to which this process has read."""
        return self.position % _EPOCH

    def compact(self, snapshot: bytes) -> None:
        """Begin the next file with `snapshot`, in place of all records so far. The lock is held,
        and this process has read all others.

        Raises:
            OSError: it cannot be written; it is as if this was not called.
        """
        assert not self.is_behind
        epoch, end = divmod(self.position, _EPOCH)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(self._path(epoch + 1), flags, 0o600)
        try:
            head = end.to_bytes(_END) + len(snapshot).to_bytes(_LENGTH)
            _write(file, head + snapshot, 0)
        except OSError:
            os.close(file)
            raise
        self._go_on_in(file, epoch + 1)
        self._generation[0] = self.position
        with contextlib.suppress(FileNotFoundError):
            self._path(epoch + 1 - KEPT_FILES).unlink()

    def close(self) -> None:
        """Close the files of this process."""
        os.close(self._lock)
        os.close(self._file)

    # --- files ---

    def _open_newest(self) -> None:
        """Go to the beginning of the newest file."""
        while True:
            epoch = self._generation[0] // _EPOCH
            try:
                file = self._open(epoch)
            except TooFarBehindError:  # it was replaced this moment
                continue
            self._file = file
            self.position = epoch * _EPOCH
            if epoch:
                self.position += _END
                self._snapshot_end = _END + _LENGTH + _number(file, _END, _LENGTH)
            return

    def _go_on_in(self, file: int, epoch: int) -> None:
        """Go on in the file of the next epoch, behind its snapshot."""
        os.close(self._file)
        self._file = file
        self._snapshot_end = _END + _LENGTH + _number(file, _END, _LENGTH)
        self.position = epoch * _EPOCH + self._snapshot_end

    def _open(self, epoch: int) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if epoch else os.O_CREAT)
        try:
            return os.open(self._path(epoch), flags, 0o600)
        except FileNotFoundError as exc:
            raise TooFarBehindError("this process has missed changes that are gone") from exc

    def _path(self, epoch: int) -> Path:
        return self._folder / f"changes.{epoch}"

    def _read_file(self, at: int, end: int) -> list[bytes]:
        data = _read(self._file, at, end - at)
        records: list[bytes] = []
        place, size = 0, len(data)
        while place < size:
            begin = place + _LENGTH
            place = begin + int.from_bytes(data[place:begin])
            records.append(data[begin:place])
        return records


class Tickets:
    """Numbers from 0, each of which one process takes. It takes no lock: to append to a file is
    atomic, and the place where the bytes came to lie is the number."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)

    def take(self, count: int = 1) -> range:
        """Return `count` numbers, one after the other.

        Raises:
            OSError: they cannot be taken.
        """
        if os.write(self._file, bytes(count)) != count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        end = os.lseek(self._file, 0, os.SEEK_CUR)  # of what this process wrote (POSIX, `write`)
        return range(end - count, end)

    def close(self) -> None:
        """Close the file in this process."""
        os.close(self._file)


def _write(file: int, data: bytes, at: int) -> None:
    written = os.pwrite(file, data, at)
    if written == len(data):
        return
    rest, at = memoryview(data)[written:], at + written
    while rest:
        written = os.pwrite(file, rest, at)
        rest, at = rest[written:], at + written


def _read(file: int, at: int, size: int) -> bytes:
    found = os.pread(file, size, at)
    if len(found) == size:
        return found
    data = bytearray(found)
    while len(data) < size:
        more = os.pread(file, size - len(data), at + len(data))
        if not more:
            raise OSError(errno.EIO, "the log of changes is shorter than its generation says")
        data += more
    return bytes(data)


def _number(file: int, at: int, size: int) -> int:
    return int.from_bytes(_read(file, at, size))
