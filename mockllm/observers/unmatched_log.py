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


def log_unmatched(exchange: Exchange) -> None:
    """Log the method and path of a request that no mock matches, and the closest mock."""
    request, (match, reply, *_), _ = exchange
    if match.outcome is not Outcome.UNMATCHED:
        return
    target = redact_target(request.path, request.query)
    closest = "there are no mocks of this API"
    if match.near_miss is not None:
        closest = f"closest mock: {describe_near_miss(match.near_miss)}"
    unmatched.warning("%s %s %d no match; %s", request.method, target, reply.status, closest)


class Sampled(logging.Filter):
    """Lets `MAX_PER_SECOND` records of each second pass. The next one tells how many did not."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._passed = 0
        self._withheld = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be logged."""
        second = int(record.created)
        if second != self._second:
            self._second, self._passed = second, 0
        if self._passed >= MAX_PER_SECOND:
            self._withheld += 1
            return False
        self._passed += 1
        if self._withheld:
            others = "1 other" if self._withheld == 1 else f"{self._withheld:,} others"
            record.msg = f"{record.getMessage()} (not logged before: {others})"
            record.args = ()
            self._withheld = 0
        return True


unmatched.addFilter(Sampled())
