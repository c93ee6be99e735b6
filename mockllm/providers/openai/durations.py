"""Durations as OpenAI spells them, which is Go's way: ``644ms``, ``18.642s``, ``6m0s``."""

from __future__ import annotations

_SECOND = 1000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE


def spell(milliseconds: int) -> str:
    """Return a duration as the ``String`` method of Go's ``time.Duration`` does: zero parts inside
    are kept, and nothing is ``0s``."""
    if 0 < milliseconds < _SECOND:
        return f"{milliseconds}ms"
    hours, rest = divmod(milliseconds, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    whole, fraction = divmod(rest, _SECOND)
    seconds = f"{whole}.{fraction:03}".rstrip("0") if fraction else f"{whole}"
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
