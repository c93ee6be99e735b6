"""Writers of lines whose stream takes nothing, not everything, or is broken."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import socket
import termios
import threading
import time
from collections.abc import Iterator

import pytest

from mockllm.serve.line_writer import LAST_WRITES, LineWriter, wait_for_all
from tests.support.processes import posix
from tests.support.served import PATIENCE

pytestmark = posix

THREADS = pytest.mark.parametrize("threads", [False, True], ids=["direct", "thread"])
LINE = b"x" * 99 + b"\n"


def told(count: int) -> bytes:
    return b"%d lost\n" % count


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for each in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(each)


@contextlib.contextmanager
def unread(kind: str) -> Iterator[tuple[int, int]]:
    """A stream's two ends: where it is read, and where it is written."""
    if kind == "pipe":
        with pipe() as ends:
            yield ends
    elif kind == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours.fileno(), theirs.fileno()
    else:
        master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[1] &= ~termios.OPOST  # lines end as they are written
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        yield master, slave
        os.close(master)
        os.close(slave)


def writer_of(descriptor: int, *, threads: bool, limit: int = 1 << 20) -> LineWriter:
    writer = LineWriter(descriptor, told, limit=limit)
    if threads:
        writer.use_thread()
    return writer


def read(descriptor: int, writer: LineWriter) -> bytes:
    """What arrives until nothing is pending."""
    os.set_blocking(descriptor, False)
    received = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        writer.flush()
        was_pending = writer.is_pending
        try:
            received += os.read(descriptor, 1 << 20)
        except BlockingIOError:
            if not was_pending:
                return received
    raise AssertionError("still pending")


@THREADS
@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_a_stream_that_is_not_read_gets_every_line_later(kind: str, threads: bool) -> None:
    with unread(kind) as (reader, descriptor):
        writer = writer_of(descriptor, threads=threads)
        lines = [b"%099d\n" % number for number in range(5_000)]  # more than any of them holds
        for line in lines:
            writer.put(line)
        assert writer.is_pending
        assert read(reader, writer) == b"".join(lines)


@THREADS
def test_a_burst_larger_than_the_queue_is_counted(threads: bool) -> None:
    with unread("pipe") as (reader, descriptor):
        writer = writer_of(descriptor, threads=threads, limit=100_000)
        for _ in range(5_000):
            writer.put(LINE)
        received = read(reader, writer)
    *lines, notice = received.splitlines()
    assert len(lines) + int(notice.split()[0]) == 5_000
    assert notice.endswith(b" lost")


@THREADS
def test_a_line_larger_than_queue_and_pipe_arrives_whole(threads: bool) -> None:
    line = b"y" * (1 << 20) + b"\n"
    with unread("pipe") as (reader, descriptor):
        writer = writer_of(descriptor, threads=threads, limit=1_000)
        writer.put(line)
        assert read(reader, writer) == line


@THREADS
@pytest.mark.parametrize("is_reader_gone", [True, False])
def test_a_broken_stream_does_not_matter(is_reader_gone: bool, threads: bool) -> None:
    with unread("pipe") as (reader, descriptor):
        os.close(reader if is_reader_gone else descriptor)
        writer = writer_of(descriptor, threads=threads)
        writer.put(LINE)
        wait_for_all([writer])
        assert not writer.is_pending


@THREADS
def test_lines_lost_by_a_full_disk_are_told_when_it_is_not_full_any_more(threads: bool) -> None:
    with unread("pipe") as (reader, descriptor):
        writer = writer_of(descriptor, threads=threads)
        free = os.dup(descriptor)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, descriptor)
        writer.put(LINE)
        wait_for_all([writer])
        os.dup2(free, descriptor)
        writer.put(LINE)
        assert read(reader, writer) == b"1 lost\n" + LINE
        os.close(free)
        os.close(full)


@THREADS
def test_a_stream_that_others_made_non_blocking_gets_every_line(threads: bool) -> None:
    with unread("pipe") as (reader, descriptor):
        os.set_blocking(descriptor, False)
        writer = writer_of(descriptor, threads=threads)
        for _ in range(2_000):
            writer.put(LINE)
        assert read(reader, writer) == LINE * 2_000


@THREADS
def test_a_stopped_terminal_blocks_nobody(threads: bool) -> None:
    """As by Ctrl-S."""
    with unread("terminal") as (reader, descriptor):
        termios.tcflow(descriptor, termios.TCOOFF)
        writer = writer_of(descriptor, threads=threads)
        writer.put(LINE)
        assert writer.is_pending
        termios.tcflow(descriptor, termios.TCOON)
        assert read(reader, writer) == LINE


def test_a_pipe_that_another_process_fills_first_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had room when it was asked, and has none when it is written."""
    with unread("pipe") as (reader, descriptor):
        fill(descriptor)
        monkeypatch.setattr("select.select", lambda *_: ([], [descriptor], []))
        before = signal.getsignal(signal.SIGALRM)
        writer = writer_of(descriptor, threads=False)
        writer.put(LINE)
        assert writer.is_pending
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        monkeypatch.undo()
        assert read(reader, writer).endswith(b"\n" + LINE)


def test_a_write_that_is_given_up_takes_no_descriptor_of_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pipe() as (_, descriptor):
        opened: list[int] = []
        write = os.write

        def write_slowly(number: int, data: bytes) -> int:
            signal.pause()  # until the alarm
            opened.append(os.dup(descriptor))  # as another thread would
            return write(number, data)

        monkeypatch.setattr("os.write", write_slowly)
        writer = writer_of(descriptor, threads=False)
        writer.put(LINE)

        assert writer.is_pending
        os.close(*opened)  # it is still there


def fill(descriptor: int) -> None:
    """Write newlines until a pipe takes no more."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"\n" * 4096)
    os.set_blocking(descriptor, True)


@THREADS
def test_the_last_wait_ends_though_nobody_reads(threads: bool) -> None:
    with unread("pipe") as (_, descriptor):
        fill(descriptor)
        writers = [writer_of(descriptor, threads=threads) for _ in range(2)]
        for writer in writers:
            writer.put(LINE)
        begun = time.monotonic()
        wait_for_all(writers)
        assert time.monotonic() - begun >= LAST_WRITES * 0.9  # and it has ended
        assert all(writer.is_pending for writer in writers)
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << 17)  # the threads may end


def test_a_forked_process_repeats_nothing() -> None:
    with unread("pipe") as (reader, descriptor):
        fill(descriptor)
        writer = writer_of(descriptor, threads=False)
        writer.put(b"parent\n")
        writer.use_thread()  # as a worker does after the fork
        writer.put(b"child\n")
        assert read(reader, writer).strip() == b"child"


def test_a_writer_without_a_thread_starts_none() -> None:
    before = threading.active_count()
    with unread("pipe") as (_, descriptor):
        writer_of(descriptor, threads=False).put(LINE)
    assert threading.active_count() == before
