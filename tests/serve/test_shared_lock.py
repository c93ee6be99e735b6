"""Locks between processes: each object stands for a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mockllm.serve import shared_lock
from mockllm.serve.shared_lock import Owners, SharedLock


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[tuple[SharedLock, SharedLock]]:
    path = tmp_path / "lock"
    with closing(SharedLock(path)) as one, closing(SharedLock(path)) as other:
        yield one, other


def test_one_process_has_the_lock_until_it_releases_it(
    locks: tuple[SharedLock, SharedLock],
) -> None:
    one, other = locks

    assert (one.acquire(), other.acquire()) == (True, False)
    one.release()
    assert (other.acquire(), one.acquire()) == (True, False)


def test_a_lock_that_is_released_between_two_tries_is_taken(
    locks: tuple[SharedLock, SharedLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = locks
    assert one.acquire()
    monkeypatch.setattr(shared_lock, "_pause", one.release)

    assert not other.acquire(tries=1)
    assert other.acquire(tries=2)


def test_a_lock_ends_with_what_has_it(locks: tuple[SharedLock, SharedLock], tmp_path: Path) -> None:
    with closing(SharedLock(tmp_path / "lock")) as third:
        assert third.acquire()

    assert locks[0].acquire()


def test_a_process_is_known_to_be_alive_until_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mockllm.serve.shared_lock import Owners\n"
        "print(Owners(Path(sys.argv[1])).number, flush=True); sys.stdin.read()"
    )
    with closing(Owners(tmp_path / "owners")) as owners:
        command = [sys.executable, "-c", script, str(tmp_path / "owners")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as another:
            assert another.stdout is not None
            number = int(another.stdout.readline())
            assert number == another.pid
            assert owners.is_alive(number)
            another.kill()
            another.wait()

        assert not owners.is_alive(number)
        assert not owners.is_alive(number)
        assert owners.number == os.getpid()
        assert owners.is_alive(owners.number)
