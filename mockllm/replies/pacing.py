"""Draws how long each token of one delivery takes, from the key of its pacing.

Equal keys have equal times, whatever else is going on. It has no clock, and does not know what the
pool is doing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from mockllm.exchange import Pacing

MAX_DRAWS = 1_000
"""Tokens of one step whose times are drawn one by one (0.1 ms); more take their mean."""

_INDEX_BITS = 12  # of a drawn number, which choose one of so many quantiles
_WORD = 2**64 - 1
_MULTIPLIER = 6364136223846793005  # of the generator; Knuth, MMIX
_INCREMENT = 1442695040888963407


class Tempo:
    """Draws the times of a delivery's tokens, in order."""

    __slots__ = ("_factors", "_itl", "_state", "_ttft")

    def __init__(self, pacing: Pacing) -> None:
        self._ttft = pacing.ttft
        self._itl = pacing.itl
        self._state = pacing.key
        self._factors = lognormal_factors(pacing.cv) if pacing.cv else None

    def first(self) -> float:
        """Return the seconds until the first token."""
        return self._ttft * self._draw() if self._factors else self._ttft

    def further(self, tokens: int) -> float:
        """Return the seconds that so many further tokens take."""
        if not self._factors or not tokens or not self._itl or tokens > MAX_DRAWS:
            return self._itl * tokens
        return self._itl * sum(self._draw() for _ in range(tokens))

    def _draw(self) -> float:
        assert self._factors is not None
        self._state = state = (self._state * _MULTIPLIER + _INCREMENT) & _WORD
        return self._factors[state >> (64 - _INDEX_BITS)]


@lru_cache(maxsize=64)
def lognormal_factors(cv: float) -> tuple[float, ...]:
    """Return equally probable factors, in order: quantiles of a lognormal distribution with the
    mean 1 and this coefficient of variation (Johnson et al., Continuous Univariate Distributions,
    section 14.3). Takes 5 ms."""
    sigma = math.sqrt(math.log1p(cv * cv))
    count = 1 << _INDEX_BITS
    normal = NormalDist()
    quantiles = [
        math.exp(sigma * normal.inv_cdf((number + 0.5) / count)) for number in range(count)
    ]
    mean = math.fsum(quantiles) / count
    return tuple([quantile / mean for quantile in quantiles])
