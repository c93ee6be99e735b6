"""The log of requests that no mock matches: a warning for each, without secrets, for a server that
has no access log. Of many at once it logs some, and counts the others.
"""

from __future__ import annotations

import logging

from mockllm.engine.decision import Exchange, Outcome
from mockllm.observers.access_log import describe_near_miss
from mockllm.redaction import redact_target

MAX_PER_SECOND = 10  # lines; a person reads no more, and a load test has thousands

unmatched = logging.getLogger("mockllm.unmatched")


class Sample:
    """Chooses `MAX_PER_SECOND` of each second, and counts the others. To count one takes 0.3 µs, to
    log it 25 µs."""

    def __init__(self) -> None:
        self._second = 0
        self._chosen = 0
        self._others = 0

    def others_before(self, at: float) -> int | None:
        """Return how many were not chosen since the last one that was; None if this one, at the
        time `at` in seconds, is not chosen either."""
        second = int(at)
        if second != self._second:
            self._second, self._chosen = second, 0
        if self._chosen >= MAX_PER_SECOND:
            self._others += 1
            return None
        self._chosen += 1
        others, self._others = self._others, 0
        return others


_sample = Sample()


def log_unmatched(exchange: Exchange) -> None:
    """Log the method and path of a request that no mock matches, and the closest mock."""
    request, (match, reply, *_), delivery = exchange
    if match.outcome is not Outcome.UNMATCHED or not unmatched.isEnabledFor(logging.WARNING):
        return
    others = _sample.others_before(delivery.started + delivery.ended)
    if others is None:
        return
    target = redact_target(request.path, request.query)
    closest = "there are no mocks of this API"
    if match.near_miss is not None:
        closest = f"closest mock: {describe_near_miss(match.near_miss)}"
    more = ""
    if others:
        more = f" (not logged before: {'1 other' if others == 1 else f'{others:,} others'})"
    unmatched.warning(
        "%s %s %d no match; %s%s", request.method, target, reply.status, closest, more
    )
