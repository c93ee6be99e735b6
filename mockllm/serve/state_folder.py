"""The directory of the state that workers share."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from mockllm.errors import MockLLMError
from mockllm.serve.address import reason_of

MEMORY = Path("/dev/shm")  # noqa: S108  # a new directory in it is private to the user
PREFIX = "mockllm-state-"
IN_USE = "server"  # the file whose lock the processes of the server have
MAX_SETUP = 60.0  # seconds until a new directory has this file


class StateFolder:
    """A directory of its own for each server, private to the user: in the one that the operator has
    chosen, else in memory, else where temporary files are.

    The processes that are forked after it is created use it too: while one of them lives, it is in
    use. What servers have left behind whose processes were all killed is removed by the next one.
    """

    def __init__(self, chosen: Path | None = None) -> None:
        """Create the directory.

        Raises:
            MockLLMError: there is no place for it.
        """
        from mockllm.serve.shared_lock import SharedLock  # not on Windows

        places = [MEMORY, Path(tempfile.gettempdir())] if chosen is None else [chosen]
        reasons = []
        for place in places:
            try:
                self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
                self._lock = SharedLock(self.path / "new")
                self._lock.acquire()
                (self.path / "new").rename(self.path / IN_USE)  # it is there when it is locked
            except OSError as exc:
                reasons.append(f"{place}: {reason_of(exc)}")
            else:
                remove_abandoned(place)
                return
        message = f"no directory for the state that workers share: {'; '.join(reasons)}"
        raise MockLLMError(f"{message}. Choose one with --state-dir")

    def remove(self) -> None:
        """Remove the directory with everything in it."""
        remove_folder(self.path)
        self._lock.close()


def remove_abandoned(place: Path) -> None:
    """Remove the directories in `place` of servers of this user that have no process any more."""
    from mockllm.serve.shared_lock import SharedLock  # not on Windows

    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                continue
            if not (folder / IN_USE).exists():  # perhaps it is just being created
                if time.time() - status.st_mtime > MAX_SETUP:
                    remove_folder(folder)
                continue
            lock = SharedLock(folder / IN_USE)
            is_abandoned = lock.acquire(tries=1)
            lock.close()
            if is_abandoned:
                remove_folder(folder)


def remove_folder(path: Path) -> None:
    """Remove the directory at `path` with everything in it. Without effect if there is none."""
    shutil.rmtree(path, ignore_errors=True)
