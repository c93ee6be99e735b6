"""Loading the configuration again, beside the one that serves: when asked, or when files change."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mockllm.engine.engine import Engine

logger = logging.getLogger("mockllm")

POLL = 0.5  # seconds between two looks at the files

Load = Callable[[], Engine | None]
"""Load the configuration. None if it cannot be served, which it tells the operator itself."""

State = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, time of change, size and inode."""


class Watch:
    """Tells when files have changed. A directory stands for its ``*.json`` files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._taken = self._last = self._state()

    def changed(self) -> bool:
        """Whether files are not as they were when this was last true (or made), and as they were
        the last time it was asked: who writes a file in pieces is waited for."""
        state, self._last = self._last, self._state()
        if self._last == self._taken or self._last != state:
            return False
        self._taken = self._last
        return True

    def mark_loaded(self) -> None:
        """The files are read as they are now."""
        self._taken = self._last = self._state()

    def _state(self) -> State:
        return tuple(self._files())

    def _files(self) -> Iterator[tuple[str, int, int, int]]:
        for path in self._paths:
            with contextlib.suppress(OSError):  # it may not be looked at: also a state
                for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
                    with contextlib.suppress(FileNotFoundError):  # since it was listed
                        found = file.stat()
                        yield str(file), found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(frozen=True, slots=True)
class Reload:
    """How to load again, and the files whose change asks for it (None: nobody watches them)."""

    load: Load
    watch: Watch | None = None

    def is_due(self) -> bool:
        """Whether the files ask for it."""
        return self.watch is not None and self.watch.changed()

    def run(self) -> Engine | None:
        """The engine of the configuration as it is now; None if it cannot be served."""
        if self.watch is not None:
            self.watch.mark_loaded()
        try:
            return self.load()
        except Exception:
            logger.exception("the configuration could not be loaded; the one from before stays")
            return None


class Reloader(threading.Thread):
    """Loads in a thread, so that a loop goes on serving. It dies with the process."""

    def __init__(self, reload: Reload, deliver: Callable[[Engine], None]) -> None:
        super().__init__(name="mockllm-reload", daemon=True)
        self._reload = reload
        self._deliver = deliver
        self._asked = threading.Event()
        self._ended = False

    def ask(self) -> None:
        """Load as soon as can be. What is asked while loading is done once more behind it."""
        self._asked.set()

    def end(self) -> None:
        """Load no more."""
        self._ended = True
        self._asked.set()

    def run(self) -> None:
        """The life of the thread."""
        while True:
            asked = self._asked.wait(POLL if self._reload.watch is not None else None)
            self._asked.clear()
            if self._ended:
                return
            if asked or self._reload.is_due():
                engine = self._reload.run()
                if engine is not None and not self._ended:
                    self._deliver(engine)


def freeze_heap(*, collect: bool = True) -> None:
    """What is loaded stays: the collector need not go through it again, nor forked processes copy
    it. Behind a reload nothing is collected, which would stop a loop for a second (10,000 mocks):
    to load leaves no garbage, and an engine that is replaced goes without the collector.
    """
    gc.enable()
    if collect:
        gc.collect()
    gc.freeze()
