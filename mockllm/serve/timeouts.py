"""The time limits of one connection.

No connection has a timer. The service checks all connections once a second, and each compares its
phase with the limits: 5,000 idle connections cost about 5 ms a
second.
"""

from __future__ import annotations

from enum import Enum, auto

from mockllm.limits import Limits
from mockllm.serve.phase import Phase

MAX_LINGER = 30.0  # seconds in which a rejected client may continue to send, at any rate


class Expired(Enum):
    """A time limit that a connection has exceeded."""

    WRITE = auto()
    """The peer reads nothing of what is sent to it."""
    KEEP_ALIVE = auto()
    HEAD = auto()
    BODY = auto()
    LINGER = auto()


class Timeouts:
    """Measures how long a connection has been in its phase, and has made no progress."""

    __slots__ = ("_active_at", "_activity", "_limits", "_lingering_since", "_progress", "_sent_at")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._activity: tuple[object, ...] = ()
        self._active_at = 0.0  # when `_activity` was first seen
        self._progress: tuple[object, ...] = ()
        self._sent_at = 0.0  # when `_progress` was first seen
        self._lingering_since: float | None = None

    def seconds_stuck(self, now: float) -> float:
        """Return the seconds in which the peer has read nothing."""
        return now - self._sent_at

    def expired(
        self,
        now: float,
        phase: Phase,
        *,
        unsent: int,
        unread: int,
        answers: int,
        frames: int,
        discarded: int,
    ) -> Expired | None:
        """Return the limit that is exceeded at the time `now`, in seconds, or None.

        `unsent` is the number of bytes that wait for the peer, `unread` that of buffered bytes of
        a request. `answers`, `frames` (of the current answer) and `discarded` (bytes while
        lingering) are counters: a change of one of them is progress.
        """
        if self._is_stuck(now, unsent, answers, frames):
            return Expired.WRITE
        activity = (phase, answers, discarded)
        if activity != self._activity:
            self._activity, self._active_at = activity, now
        waited = now - self._active_at
        limits = self._limits
        match phase:
            case Phase.IDLE if waited >= limits.keep_alive and not unsent:
                return Expired.KEEP_ALIVE
            case Phase.HEAD if waited >= limits.head_time:
                return Expired.HEAD
            case Phase.BODY if unread < (waited - limits.body_grace) * limits.body_rate:
                return Expired.BODY
            case Phase.LINGERING if not unsent and self._has_lingered(now, waited):
                return Expired.LINGER
        return None

    def _is_stuck(self, now: float, unsent: int, answers: int, frames: int) -> bool:
        """Return True if the peer, in any phase, has read nothing for too long: an answer or a
        close would wait for ever."""
        progress = (unsent, answers, frames)
        if progress != self._progress:
            self._progress, self._sent_at = progress, now
        return unsent > 0 and now - self._sent_at >= self._limits.write_time

    def _has_lingered(self, now: float, waited: float) -> bool:
        if self._lingering_since is None:
            self._lingering_since = now
        return waited >= self._limits.linger or now - self._lingering_since >= MAX_LINGER
