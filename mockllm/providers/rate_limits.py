"""Rate limits of all vendors: the words that configure them, what a request costs, and what a
service says of them, in headers and in the error beyond.

It knows no vendor's names of headers, and does not know what was spent before: that is in a
`Quota`, as the store has counted it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mockllm.exchange import Headers
from mockllm.prompt import Prompt
from mockllm.providers.failures import Case, Failure

MINUTE = 60.0
DAY = 86_400.0

WINDOWS: Mapping[str, float] = {
    "rpm": MINUTE,
    "rpd": DAY,
    "tpm": MINUTE,
    "tpd": DAY,
    "itpm": MINUTE,
    "otpm": MINUTE,
}
"""The windows of limits in seconds, by their words."""

CONCURRENT = "concurrent"
"""The word that limits the requests which are answered at once."""

_ALMOST = 1e-6  # of a request or a token, or of a millisecond: an error of floats


class Quota(NamedTuple):
    """The limit called `word`: so much is `used` of its `amount`, which an empty bucket regains in
    `window` seconds."""

    word: str
    amount: float
    window: float
    used: float

    @property
    def remaining(self) -> int:
        """The whole requests or tokens that are left."""
        return whole_left(self.amount, self.used)

    @property
    def seconds_until_full(self) -> float:
        """The seconds until nothing of it is used any more."""
        return self.used / self.amount * self.window


class Refusal(NamedTuple):
    """A request that costs `requested` is beyond the limit of `quota`. It may pass after `wait`
    seconds; None if it never may, or if nobody knows, as with `CONCURRENT`."""

    quota: Quota
    requested: float
    wait: float | None

    @property
    def is_too_large(self) -> bool:
        """True if the request is larger than the whole limit."""
        return self.requested > self.quota.amount


class LimitLines(NamedTuple):
    """The header lines that some limits change: those of `unlimited`, and what they say instead.

    `values(used, speed, now)` are their values, in the same order, when so much is `used` of each
    limit, whose windows pass so many times as fast as real time, at the Unix time `now`. They are
    those of `RateLimits.headers` in a sixth of the time."""

    lines: Headers
    values: Callable[[Sequence[float], float, float], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How a vendor limits requests."""

    words: tuple[str, ...]
    """The words of its limits, in the order in which they are checked."""

    unlimited: Headers
    """Those of the vendor's headers that tell of limits, with their values while nothing is
    limited."""

    costs: Callable[[Prompt], Mapping[str, int]]
    """`costs(prompt)`: what a request costs, by the words of the limits."""

    headers: Callable[[Sequence[Quota], float], Headers]
    """`headers(quotas, now)`: the headers of `unlimited` that these quotas change, at the Unix time
    `now`."""

    compile_headers: Callable[[Sequence[Quota]], LimitLines]
    """`compile_headers(quotas)`: the same for all requests of these limits, whatever is used of
    them."""

    refuse: Callable[[Refusal], tuple[Failure, Case]]
    """`refuse(refusal)`: the failure beyond a limit, and its form."""

    true_costs: Callable[[Mapping[str, Any], float], Mapping[str, int]] | None
    """`true_costs(usage, share)`: what an answer with this `usage` has cost, of which a `share`
    from 0 to 1 was sent, by the words of the limits that are settled when it is over; None if none
    are."""

    refusals_have_headers: bool
    """True if an answer that is refused has the headers, too."""


def whole_left(amount: float, used: float) -> int:
    """Return the whole requests or tokens that are left of an `amount`."""
    return max(math.floor(amount - used + _ALMOST), 0)


def tightest(quotas: Sequence[Quota], words: Sequence[str]) -> Quota | None:
    """Return that of the `quotas` with these `words` which regains the least in a second; None if
    there is none."""
    found = [quota for quota in quotas if quota.word in words]
    return min(found, key=lambda quota: quota.amount / quota.window, default=None)


def whole_milliseconds(seconds: float, *, up: bool = False) -> int:
    """Return `seconds` in milliseconds, rounded down or, with `up`, up."""
    if up:
        return math.ceil(seconds * 1000 - _ALMOST)
    return math.floor(seconds * 1000 + _ALMOST)
