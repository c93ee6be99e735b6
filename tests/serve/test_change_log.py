"""The log of changes that worker processes share: whole records, in one order, whatever dies."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.serve import change_log
from mockllm.serve.change_log import ChangeBoard, ChangeLog, Tickets, TooFarBehindError
from tests.support.processes import posix

pytestmark = posix


@pytest.fixture
def board(tmp_path: Path) -> ChangeBoard:
    return ChangeBoard(tmp_path)


@contextlib.contextmanager
def opened(board: ChangeBoard) -> Iterator[ChangeLog]:
    """The log, as one more process sees it."""
    with contextlib.closing(ChangeLog(board)) as log:
        yield log


def append(log: ChangeLog, *records: bytes) -> None:
    assert log.lock()
    try:
        for record in records:
            log.append(record)
    finally:
        log.unlock()


def test_whoever_reads_gets_each_record_once_and_in_order(board: ChangeBoard) -> None:
    with opened(board) as writer, opened(board) as reader:
        assert (reader.is_behind, reader.read()) == (False, [])
        append(writer, b"one", b"")
        assert (reader.is_behind, writer.is_behind) == (True, False)
        assert reader.read() == [b"one", b""]

        append(reader, b"two" * 100_000)

        assert (reader.read(), writer.read()) == ([], [b"two" * 100_000])
        with opened(board) as late:
            assert late.read() == [b"one", b"", b"two" * 100_000]


def test_one_process_at_a_time_appends_and_readers_do_not_wait_for_it(board: ChangeBoard) -> None:
    with opened(board) as first, opened(board) as second, opened(board) as reader:
        append(first, b"a")
        assert first.lock()

        assert not second.lock()
        assert reader.read() == [b"a"]
        first.unlock()

        assert second.lock()


def test_a_record_that_was_begun_and_not_published_is_not_there(board: ChangeBoard) -> None:
    with opened(board) as dying, opened(board) as other:
        append(dying, b"whole")
        os.pwrite(dying._file, b"\0\0\1\0half of one", dying.position)  # and no more

        assert other.read() == [b"whole"]
        append(other, b"next")

        assert dying.read() == [b"next"]


def test_a_full_disk_publishes_nothing(
    board: ChangeBoard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with opened(board) as log, opened(board) as reader:
        append(log, b"before")
        full = os.open("/dev/full", os.O_RDWR)
        monkeypatch.setattr(log, "_file", full)

        with pytest.raises(OSError, match="No space left"):
            append(log, b"lost")

        assert reader.read() == [b"before"]
        os.close(full)
        monkeypatch.undo()
        append(log, b"after")
        assert reader.read() == [b"after"]


# --- snapshots ------------------------------------------------------------------------------------


def compact(log: ChangeLog, snapshot: bytes) -> None:
    assert log.lock()
    log.compact(snapshot)
    log.unlock()


def test_a_snapshot_takes_the_place_of_the_records_before_it(board: ChangeBoard) -> None:
    with opened(board) as writer, opened(board) as reader:
        append(writer, b"a", b"b")
        compact(writer, b"a+b")
        append(writer, b"c")

        assert reader.read() == [b"a", b"b", b"c"]  # it needs no snapshot
        with opened(board) as late:
            assert late.read() == [b"a+b", b"c"]
            append(late, b"d")
        assert writer.read() == reader.read() == [b"d"]


def test_a_process_that_missed_several_files_reads_them_one_after_the_other(
    board: ChangeBoard,
) -> None:
    with opened(board) as writer, opened(board) as reader:
        for number in range(change_log.KEPT_FILES):
            append(writer, b"%d" % number)
            compact(writer, b"snapshot")

        assert (reader.missed_files, writer.missed_files) == (change_log.KEPT_FILES, 0)
        assert reader.read() == [b"%d" % number for number in range(change_log.KEPT_FILES)]


def test_a_process_that_missed_what_is_gone_is_told(board: ChangeBoard) -> None:
    with opened(board) as writer, opened(board) as reader:
        for _ in range(change_log.KEPT_FILES + 1):
            append(writer, b"x")
            compact(writer, b"snapshot")

        with pytest.raises(TooFarBehindError):
            reader.read()
        assert len([*board.folder.glob("changes.[0-9]*")]) == change_log.KEPT_FILES


def test_a_snapshot_that_cannot_be_written_leaves_the_records(
    board: ChangeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("full")

    with opened(board) as writer:
        append(writer, b"a")
        with monkeypatch.context() as patched:
            patched.setattr(change_log, "_write", fail)
            with pytest.raises(OSError, match="full"):
                compact(writer, b"s")
        writer.unlock()

        append(writer, b"b")
        with opened(board) as late:
            assert late.read() == [b"a", b"b"]
        compact(writer, b"s")
        with opened(board) as later:
            assert later.read() == [b"s"]


def test_a_file_is_long_when_it_has_grown_far_beyond_its_snapshot(
    board: ChangeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "MIN_COMPACTED", 100)
    with opened(board) as writer:
        found = []
        for size in (80, 80):
            append(writer, bytes(size))
            found.append(writer.is_long)
        compact(writer, bytes(160))
        found.append(writer.is_long)
        append(writer, bytes(200))
        found.append(writer.is_long)

    assert found == [False, True, False, True]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["append", "read", "compact", "open"])),
        max_size=30,
    )
)
def test_every_process_makes_the_same_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    board = ChangeBoard(tmp_path_factory.mktemp("log"))
    with contextlib.ExitStack() as logs:
        known = {name: logs.enter_context(opened(board)) for name in "ab"}
        state = dict.fromkeys("ab", b"")
        expected = b""

        def read(name: str) -> None:
            for record in known[name].read():
                state[name] = record[1:] if record[:1] == b"=" else state[name] + record

        for number, (name, step) in enumerate(steps):
            log = known[name]
            if step == "open":
                known[name], state[name] = logs.enter_context(opened(board)), b""
            if step == "compact" and log.position < (change_log.KEPT_FILES << 40):
                read(name)
                compact(log, b"=" + state[name])
            if step == "append":
                read(name)
                append(log, b"%d," % number)
                state[name] += b"%d," % number
                expected = state[name]
            read(name)
            assert state[name] == expected


# --- processes ------------------------------------------------------------------------------------


def fork(work: Callable[[], None]) -> int:
    """Do `work` in a process of its own. Returns its id."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def append_forever(board: ChangeBoard, read: memoryview, name: int) -> None:
    """Append until the process is killed. `read` has the position of who reads it."""
    log = ChangeLog(board)
    number = 0
    while True:
        if not log.lock():
            continue
        log.read()
        log.append(b"%d %d %s" % (name, number, bytes(number % 5_000)))
        if number % 20 == 19 and log.position - read[0] < 2 << 40:
            log.compact(b"snapshot")
        log.unlock()
        number += 1


def test_what_killed_processes_have_written_is_whole_and_in_order(board: ChangeBoard) -> None:
    seen: dict[int, int] = {}
    position = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def follow() -> int:
        """Read, and check that the records of each writer are whole, and follow each other."""
        records = reader.read()
        position[0] = reader.position
        for record in records:
            name, number, rest = record.split(b" ", 2)
            assert int(number) == seen.get(int(name), -1) + 1
            assert len(rest) == int(number) % 5_000
            seen[int(name)] = int(number)
        return len(records)

    with opened(board) as reader:
        for names in ((0, 1), (2, 3), (4, 5), (6, 7)):
            pids = [fork(partial(append_forever, board, position, name)) for name in names]
            found = 0
            while found < 7 * names[1]:
                found += follow()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            follow()
        assert reader.lock()  # that of a dead process is free
        reader.append(b"8 0 ")
        with opened(board) as late:
            assert late.read()[-1] == b"8 0 "


def test_no_number_is_taken_twice(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    reads, writes = os.pipe()

    def take() -> None:
        tickets = Tickets(path)
        for count in (1, 3) * 200:
            taken = tickets.take(count)
            os.write(writes, b"".join(each.to_bytes(4) for each in taken))

    pids = [fork(take) for _ in range(3)]
    os.close(writes)
    data = b""
    while more := os.read(reads, 65536):
        data += more
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(reads)

    numbers = [int.from_bytes(data[i : i + 4]) for i in range(0, len(data), 4)]
    assert sorted(numbers) == [*range(3 * 800)]


def test_numbers_that_cannot_be_taken_are_an_error() -> None:
    with contextlib.closing(Tickets(Path("/dev/full"))) as tickets, pytest.raises(OSError):  # noqa: PT011  # its text is the system's
        tickets.take()
