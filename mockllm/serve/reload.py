"""Reloading the configuration while the current one is served: on request, or when files change."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mockllm.config.files import files_of
from mockllm.engine.engine import Engine
from mockllm.state.keys import Reloaded

logger = logging.getLogger("mockllm")

POLL = 0.5  # seconds between two checks of the files
MAX_SHOWN = 10  # mocks of which a log line tells

Load = Callable[[], Engine | None]
"""Loads the configuration. Returns None if it cannot be served, after reporting why."""

State = tuple[tuple[str, int, int, int], ...]
"""Name, modification time, size and inode of each file."""


class Watch:
    """Detects changes of files. A directory stands for its JSON and YAML files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._loaded = self._last = self._state()

    def changed(self) -> bool:
        """Return True if the files differ from those last loaded, and have not changed since the
        previous call: a file that is still being written is waited for."""
        state, self._last = self._last, self._state()
        if self._last == self._loaded or self._last != state:
            return False
        self._loaded = self._last
        return True

    def mark_loaded(self) -> None:
        """Record that the files were loaded in their current state."""
        self._loaded = self._last = self._state()

    def _state(self) -> State:
        return tuple(self._files())

    def _files(self) -> Iterator[tuple[str, int, int, int]]:
        for path in self._paths:
            with contextlib.suppress(OSError):  # unreadable, which is a state too
                for file in files_of(path):
                    with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                        found = file.stat()
                        yield str(file), found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(frozen=True, slots=True)
class Reload:
    """A way to load again, and the files whose change triggers it (None: no files)."""

    load: Load
    watch: Watch | None = None

    def is_due(self) -> bool:
        """Return True if watched files have changed."""
        return self.watch is not None and self.watch.changed()

    def run(self) -> Engine | None:
        """Load the configuration as it is now; None if it cannot be served."""
        if self.watch is not None:
            self.watch.mark_loaded()
        try:
            return self.load()
        except Exception:
            logger.exception("reload failed; still serving the previous configuration")
            return None


class Reloader(threading.Thread):
    """Thread that loads configurations while a loop keeps serving. It ends with the process."""

    def __init__(self, reload: Reload, deliver: Callable[[Engine], None]) -> None:
        super().__init__(name="mockllm-reload", daemon=True)
        self._reload = reload
        self._deliver = deliver
        self._requested = threading.Event()
        self._ended = False
        self.is_loading = False
        """True while a configuration is loaded, and until who gets it has set this to False."""

    def ask(self) -> None:
        """Request a load. Requests made during a load cause one more load after it."""
        self._requested.set()

    def end(self) -> None:
        """Stop loading; the result of a load in progress is dropped."""
        self._ended = True
        self._requested.set()

    def run(self) -> None:
        """Load on request and when files change, until `end`."""
        while True:
            requested = self._requested.wait(POLL if self._reload.watch is not None else None)
            self._requested.clear()
            if self._ended:
                return
            if requested or self._reload.is_due():
                self.is_loading = True
                engine = self._reload.run()
                if engine is not None and not self._ended:
                    self._deliver(engine)
                else:
                    self.is_loading = False


def log_state(reloaded: Reloaded, places: Mapping[str, str]) -> None:
    """Log which mocks of a loaded configuration begin with their first answer, although there was
    state before. `places` are those of the mocks with state, by their keys."""
    if not (reloaded.begun and reloaded.gone):
        return
    shown = ", ".join(places[key] for key in reloaded.begun[:MAX_SHOWN])
    more = len(reloaded.begun) - MAX_SHOWN
    logger.warning(
        "new or changed, so these mocks begin with their first answer: %s%s; to keep its place, "
        "give a mock a name",
        shown,
        f" and {more:,} more" if more > 0 else "",
    )


def freeze_heap() -> None:
    """Exclude everything loaded so far from garbage collection, so that it is not traversed again
    and forked processes do not copy its pages.

    It is not collected before: imports leave 0.7 MB of garbage and loading none, which would take
    50 ms to find, and with 100,000 mocks 0.8 s. A replaced engine is freed by reference counting.
    """
    gc.enable()
    gc.freeze()
