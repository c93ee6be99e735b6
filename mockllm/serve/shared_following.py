"""Keeps a process near to the others between its questions: makes what they have changed in shared
maps, and replaces a long log of changes by a snapshot.

Neither holds the loop: what was changed is made 20 times a second, and a snapshot in short turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from mockllm.pieces import Pieces
from mockllm.serve.shared_maps import MapsSnapshot, SharedMaps
from mockllm.state.store import HeldState, StateUnavailableError

FOLLOW = 0.05  # seconds between two readings of what other processes have changed
MAX_TURN = 2e-3  # seconds of the loop in which a snapshot is made
RETRY = 1e-3  # seconds until the state is tried again that another process uses


class Following:
    """The work between the questions of one process. `find_maps` returns its maps; None while there
    are none. `state` is what other processes are kept from while the log is replaced. What cannot
    be read or written is left to the next question, which tells it."""

    def __init__(self, state: HeldState, find_maps: Callable[[], SharedMaps | None]) -> None:
        self._state = state
        self._find_maps = find_maps
        self._next: asyncio.Handle | None = None
        self._next_piece: asyncio.Handle | None = None  # of a snapshot

    def start(self) -> None:
        """Follow from now on, in the running loop."""
        self._next = asyncio.get_running_loop().call_later(FOLLOW, self.start)
        with suppress(OSError, StateUnavailableError):
            maps = self._find_maps()
            if maps is not None:
                self._catch_up(maps)

    def stop(self) -> None:
        """Follow no more."""
        for handle in (self._next, self._next_piece):
            if handle is not None:
                handle.cancel()

    def _catch_up(self, maps: SharedMaps) -> None:
        maps.begin()
        maps.compacts_later = True
        if maps.needs_snapshot and self._next_piece is None:
            self._compact(maps, maps.take_snapshot())

    def _compact(self, maps: SharedMaps, pieces: Pieces[MapsSnapshot]) -> None:
        """Go on with `pieces` for `MAX_TURN`, and in later turns of the loop."""
        end = time.perf_counter() + MAX_TURN
        try:
            next(pieces)
            while time.perf_counter() < end:
                next(pieces)
        except StopIteration as ended:
            self._replace_log(maps, ended.value)
        else:
            loop = asyncio.get_running_loop()
            self._next_piece = loop.call_soon(self._compact, maps, pieces)

    def _replace_log(self, maps: SharedMaps, snapshot: MapsSnapshot) -> None:
        """Replace the log by `snapshot`, as soon as no other process has the state."""
        self._next_piece = None
        with suppress(OSError, StateUnavailableError):
            if not self._state.hold():
                loop = asyncio.get_running_loop()
                self._next_piece = loop.call_later(RETRY, self._replace_log, maps, snapshot)
                return
            try:
                maps.begin()  # so that nothing of the log is missing
                maps.compact(snapshot)
            finally:
                self._state.let_go()
