"""The rate limits of Anthropic: what a request costs, the headers, and the 429 beyond.

Input tokens are estimated, output tokens charged as many as the request allows. Both are settled
when the answer is over. The headers show tokens in thousands, and say when a bucket is full again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mockllm.exchange import Headers
from mockllm.prompt import Prompt
from mockllm.providers.counts import count
from mockllm.providers.failures import Case, Failure
from mockllm.providers.rate_limits import (
    CONCURRENT,
    LimitLines,
    Quota,
    RateLimits,
    Refusal,
    whole_left,
)
from mockllm.wire import tokens

_ROUNDED = 1000  # tokens; limits below are shown exactly, because no service has such
_RESET = b"2026-01-01T00:00:00Z"  # in the past, so that no client waits for it
_LATEST = 253_402_300_799  # the end of the year 9999; RFC 3339 has no later one
_FAMILIES = {"rpm": b"requests", "itpm": b"input-tokens", "otpm": b"output-tokens"}
_TITLES = {"rpm": "requests", "itpm": "input tokens", "otpm": "output tokens"}
_KIND = "rate_limit_error"
_SALES = (
    "contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate "
    "limit increase."
)
_TOO_MANY = (
    "Number of concurrent connections has exceeded your rate limit. Please try again later or "
    f"{_SALES}"
)

UNLIMITED: Headers = (
    (b"anthropic-ratelimit-requests-limit", b"4000"),
    (b"anthropic-ratelimit-requests-remaining", b"3999"),
    (b"anthropic-ratelimit-requests-reset", _RESET),
    (b"anthropic-ratelimit-tokens-limit", b"4800000"),
    (b"anthropic-ratelimit-tokens-remaining", b"4799000"),
    (b"anthropic-ratelimit-tokens-reset", _RESET),
    (b"anthropic-ratelimit-input-tokens-limit", b"4000000"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"3999000"),
    (b"anthropic-ratelimit-input-tokens-reset", _RESET),
    (b"anthropic-ratelimit-output-tokens-limit", b"800000"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"800000"),
    (b"anthropic-ratelimit-output-tokens-reset", _RESET),
)


def costs(prompt: Prompt) -> Mapping[str, int]:
    """Return what a request costs before it is answered."""
    return {
        "rpm": 1,
        "itpm": tokens.estimate_prompt(prompt.body),
        "otpm": prompt.output_limit() or 0,
    }


def true_costs(usage: Mapping[str, Any], share: float) -> Mapping[str, int]:
    """Return what an answer with this `usage` has cost, as far as that says it, if a `share` of its
    output was sent. What was read from the cache does not count, what was written to it does."""
    found: dict[str, int] = {}
    read = count(usage.get("input_tokens"))
    if read is not None:
        found["itpm"] = read + (count(usage.get("cache_creation_input_tokens")) or 0)
    written = count(usage.get("output_tokens"))
    if written is not None:
        found["otpm"] = math.ceil(written * share)
    elif not share:
        found["otpm"] = 0
    return found


def limit_headers(quotas: Sequence[Quota], now: float) -> Headers:
    """Return the headers of these quotas. Those of ``tokens`` are the sum of input and output."""
    written: list[tuple[bytes, bytes]] = []
    both = [quota for quota in quotas if quota.word != "rpm"]
    for quota in quotas:
        written += _lines(_FAMILIES[quota.word], [quota], now)
    return (*written, *(_lines(b"tokens", both, now) if both else ()))


def _lines(family: bytes, quotas: Sequence[Quota], now: float) -> list[tuple[bytes, bytes]]:
    amount = sum(quota.amount for quota in quotas)
    left = sum(quota.amount - quota.used for quota in quotas)
    is_rounded = amount >= _ROUNDED and family != b"requests"
    remaining = (
        min(math.floor(left / _ROUNDED + 0.5) * _ROUNDED, amount)
        if is_rounded
        else sum(quota.remaining for quota in quotas)
    )
    full = now + max(quota.seconds_until_full for quota in quotas)
    name = b"anthropic-ratelimit-" + family
    return [
        (name + b"-limit", b"%d" % amount),
        (name + b"-remaining", b"%d" % max(remaining, 0)),
        (name + b"-reset", spell_time(full)),
    ]


def compile_headers(quotas: Sequence[Quota]) -> LimitLines:
    """Return the headers of these quotas as `LimitLines`."""
    families = [_FAMILIES[quota.word] for quota in quotas]
    both = [quota for quota in quotas if quota.word != "rpm"]
    if both:
        families.append(b"tokens")
    lines: list[tuple[bytes, bytes]] = []
    for family in families:
        name = b"anthropic-ratelimit-" + family
        names = (name + b"-limit", name + b"-remaining", name + b"-reset")
        lines += [line for line in UNLIMITED if line[0] in names]
    total = sum(quota.amount for quota in both)
    total_limit = b"%d" % total
    shown = [
        (
            quota.amount,
            quota.window,
            b"%d" % quota.amount,
            quota.word != "rpm",
            quota.amount >= _ROUNDED and quota.word != "rpm",
        )
        for quota in quotas
    ]

    def values(used: Sequence[float], speed: float, now: float) -> tuple[bytes, ...]:
        # one loop over the limits, with constants made before: a request with three has 12 lines
        written: list[bytes] = []
        all_left = longest = 0.0
        all_whole = 0
        for level, (amount, window, limit, is_of_tokens, is_rounded) in zip(
            used, shown, strict=True
        ):
            left, wait = amount - level, level / amount * (window / speed)
            if is_rounded:
                remaining: float = _round(left, amount)
            else:
                remaining = whole_left(amount, level)
            if is_of_tokens:
                all_left += left
                if total < _ROUNDED:
                    all_whole += whole_left(amount, level)
                if wait > longest:
                    longest = wait
            written += (limit, b"%d" % remaining, spell_time(now + wait))
        if both:
            remaining = all_whole if total < _ROUNDED else _round(all_left, total)
            written += (total_limit, b"%d" % remaining, spell_time(now + longest))
        return tuple(written)

    return LimitLines(tuple(lines), values)


def _round(left: float, amount: float) -> float:
    """Return what is `left` of an amount in whole thousands, as `_lines` does."""
    thousands = math.floor(left / _ROUNDED + 0.5) * _ROUNDED
    return amount if thousands > amount else max(thousands, 0)


def spell_time(seconds: float) -> bytes:
    """Return a Unix time in whole seconds as RFC 3339 writes it: ``2026-01-01T00:00:00Z``."""
    return _spell_second(min(math.floor(seconds), _LATEST))


@lru_cache(maxsize=1024)  # 5 µs each; most of an answer's four are those of the one before
def _spell_second(second: int) -> bytes:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}".encode()


def refuse(refusal: Refusal) -> tuple[Failure, Case]:
    """Return the 429, which names the limit. A client is told to wait for whole seconds, at least
    one; for less only if the windows are shorter than the service's."""
    quota = refusal.quota
    if quota.word == CONCURRENT:
        return Failure("rate_limit", 429), Case(429, _KIND, _TOO_MANY)
    message = (
        "This request would exceed the rate limit for your organization "
        f"(00000000-0000-4000-8000-000000000000) of {quota.amount:,.0f} {_TITLES[quota.word]} per "
        "minute. For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see "
        "the response headers for current usage. Please reduce the prompt length or the maximum "
        f"tokens requested, or try again later. You may also {_SALES}"
    )
    wait = quota.seconds_until_full if refusal.wait is None else refusal.wait
    if wait < 1 and quota.window < 60:
        wait = max(math.ceil(wait * 1000), 1) / 1000
    else:
        wait = max(math.ceil(wait - 1e-6), 1)
    return Failure("rate_limit", 429, retry_after=wait), Case(429, _KIND, message)


LIMITS = RateLimits(
    words=("rpm", "itpm", "otpm"),
    unlimited=UNLIMITED,
    costs=costs,
    headers=limit_headers,
    compile_headers=compile_headers,
    refuse=refuse,
    true_costs=true_costs,
    refusals_have_headers=True,
)
