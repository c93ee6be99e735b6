"""Bells that processes ring: heard once, never waited for, and silent when their process died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mockllm.serve.bells import Bell
from tests.support.processes import posix
from tests.support.served import PATIENCE

pytestmark = [posix, pytest.mark.anyio]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="mockllm-test-", dir="/tmp") as folder:
        yield Path(folder)


async def test_a_bell_is_heard_once_however_often_it_is_rung(folder: Path) -> None:
    heard = asyncio.Event()
    times = 0

    def hear() -> None:
        nonlocal times
        times += 1
        heard.set()

    with (
        contextlib.closing(Bell(folder, 1)) as one,
        contextlib.closing(Bell(folder, 2)) as two,
        contextlib.closing(Bell(folder, 3)) as three,
    ):
        one.listen(hear)
        two.listen(lambda: None)
        for _ in range(10_000):  # more than any buffer holds
            assert two.ring_others() == []
        three.is_alive(1)
        await asyncio.wait_for(heard.wait(), PATIENCE)
        assert times == 1
        one.ring_others()
        await asyncio.sleep(0)
        assert times == 1  # it does not hear itself


def test_a_process_that_has_died_is_told_once(folder: Path) -> None:
    with contextlib.closing(Bell(folder, 1)) as bell, process_with_bell(folder, 2) as pid:
        assert (bell.is_alive(1), bell.is_alive(2), bell.is_alive(3)) == (True, True, False)
        assert bell.ring_others() == []
        os.kill(pid, signal.SIGSTOP)
        assert bell.is_alive(2)

        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it is dead, and nobody has noticed

        assert not bell.is_alive(2)
        assert (bell.ring_others(), bell.ring_others()) == ([2], [])


@contextlib.contextmanager
def process_with_bell(folder: Path, number: int) -> Iterator[int]:
    """Another process that has a bell. Yields its id; it is killed at the end."""
    told, tells = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            bell = Bell(folder, number)
            os.write(tells, b"!")
            signal.pause()
            bell.close()
        finally:
            os._exit(0)
    os.close(tells)
    try:
        os.read(told, 1)
        yield pid
    finally:
        os.close(told)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_bell_that_was_taken_away_is_neither_dead_nor_alive(folder: Path) -> None:
    one, two = Bell(folder, 1), Bell(folder, 2)

    two.close()

    assert (one.ring_others(), one.is_alive(2), two.ring_others()) == ([], False, [])
    one.close()
    one.close()
