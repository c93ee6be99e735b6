"""The rate limits of OpenAI: what a request costs, the headers, and the 429 beyond.

The formulas are those of recorded answers. A bucket is refilled continuously; the reset in the
headers is the time until it is full again, not until one more request fits. The tokens of a request
are estimated from its characters before it is answered, and what the answer really has is not
settled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mockllm.exchange import Headers
from mockllm.prompt import Prompt
from mockllm.providers.counts import count
from mockllm.providers.failures import Case, Failure
from mockllm.providers.openai.durations import spell
from mockllm.providers.rate_limits import (
    CONCURRENT,
    LimitLines,
    Quota,
    RateLimits,
    Refusal,
    tightest,
    whole_left,
    whole_milliseconds,
)

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 765

_TITLES = {
    "rpm": "requests per min (RPM)",
    "rpd": "requests per day (RPD)",
    "tpm": "tokens per min (TPM)",
    "tpd": "tokens per day (TPD)",
    CONCURRENT: "concurrent requests",
}
_FAMILIES = {"requests": ("rpm", "rpd"), "tokens": ("tpm", "tpd")}
_CODE = "rate_limit_exceeded"
_SEE = "Visit https://platform.openai.com/account/rate-limits to learn more."

UNLIMITED: Headers = (
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-limit-tokens", b"30000000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"29999000"),
    (b"x-ratelimit-reset-requests", b"6ms"),
    (b"x-ratelimit-reset-tokens", b"2ms"),
)


def costs(prompt: Prompt) -> Mapping[str, int]:
    """Return what a request costs: 1, and the tokens that the service estimates, to which those are
    added that each choice may have."""
    choices = count(prompt.body.get("n")) or 1
    tokens = estimate(prompt.body) + (prompt.output_limit() or 0) * choices
    return {"rpm": 1, "rpd": 1, "tpm": tokens, "tpd": tokens}


def estimate(body: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request as the service does: a quarter of the characters of all
    messages, rounded up, one for each message and one more. Tools and calls are not counted. A list
    of tokens, as an input of Embeddings, is counted exactly."""
    messages = body.get("messages", body.get("input"))
    listed = list(messages) if isinstance(messages, list) else [messages]
    if body.get("instructions"):
        listed.append(body["instructions"])
    tokens = [each for each in listed if isinstance(each, int)]
    if tokens:
        return len(tokens)
    characters, others = 0, 0
    for message in listed:
        more = _size_of(message)
        characters += more[0]
        others += more[1]
    return -(-characters // _CHARACTERS_PER_TOKEN) + others + len(listed) + 1


def _size_of(message: Any) -> tuple[int, int]:
    """Return the characters of a message, an item or an input, and the tokens that are no text."""
    if isinstance(message, str):
        return len(message), 0
    if isinstance(message, list):
        return 0, len(message)
    if not isinstance(message, dict):
        return 0, 0
    content = message.get("content", message.get("output"))
    if isinstance(content, str):
        return len(content), 0
    characters, others = 0, 0
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            text = part.get("text")
            characters += len(text) if isinstance(text, str) else 0
            is_image = part.get("type") in ("image_url", "input_image")
            others += _TOKENS_PER_IMAGE if is_image else 0
    return characters, others


def limit_headers(quotas: Sequence[Quota], now: float) -> Headers:
    """Return the headers of these quotas. There are none of limits per day: where that is the
    tighter one, the others show it."""
    written: list[tuple[bytes, bytes]] = []
    for family, words in _FAMILIES.items():
        quota = tightest(quotas, words)
        if quota is not None:
            reset = spell(whole_milliseconds(quota.seconds_until_full))
            name = family.encode()
            written += [
                (b"x-ratelimit-limit-" + name, b"%d" % quota.amount),
                (b"x-ratelimit-remaining-" + name, b"%d" % quota.remaining),
                (b"x-ratelimit-reset-" + name, reset.encode()),
            ]
    return tuple(written)


@lru_cache(maxsize=1024)  # of a bucket that is hardly used, nearly all are below a second
def _spell_reset(milliseconds: int) -> bytes:
    return spell(milliseconds).encode()


def compile_headers(quotas: Sequence[Quota]) -> LimitLines:
    """Return the headers of these quotas as `LimitLines`."""
    lines: list[tuple[bytes, bytes]] = []
    shown: list[tuple[int, float, float, bytes]] = []
    for number, words in enumerate(_FAMILIES.values()):
        quota = tightest(quotas, words)
        if quota is not None:
            lines += UNLIMITED[number :: len(_FAMILIES)]
            limit = b"%d" % quota.amount
            shown.append((quotas.index(quota), quota.amount, quota.window, limit))

    def values(used: Sequence[float], speed: float, now: float) -> tuple[bytes, ...]:
        written: list[bytes] = []
        for place, amount, window, limit in shown:
            level = used[place]
            reset = _spell_reset(whole_milliseconds(level / amount * (window / speed)))
            written += (limit, b"%d" % whole_left(amount, level), reset)
        return tuple(written)

    return LimitLines(tuple(lines), values)


def refuse(refusal: Refusal) -> tuple[Failure, Case]:
    """Return the 429. Its type tells of which family the limit is. The service calculates the wait
    from the whole numbers in the message: (used + requested - limit) / limit of the window."""
    quota, requested = refusal.quota, math.ceil(refusal.requested)
    kind = "tokens" if quota.word in _FAMILIES["tokens"] else "requests"
    limit = f"on {_TITLES[quota.word]}: Limit {quota.amount:.0f}"
    if refusal.is_too_large:
        message = (
            f"Request too large for {{model}} in organization org-mockllm {limit}, Requested "
            f"{requested}. The input or output tokens must be reduced in order to run successfully."
        )
        return Failure("rate_limit", 429), Case(429, kind, message, _CODE)
    used = math.ceil(quota.used - 1e-6)
    reached = (
        f"Rate limit reached for {{model}} in organization org-mockllm {limit}, Used {used}, "
        f"Requested {requested}."
    )
    if refusal.wait is None:
        message = f"{reached} Please try again later. {_SEE}"
        return Failure("rate_limit", 429), Case(429, kind, message, _CODE)
    wait = max(used + requested - quota.amount, 0) / quota.amount * quota.window
    milliseconds = max(whole_milliseconds(wait, up=True), 1)
    message = f"{reached} Please try again in {spell(milliseconds)}. {_SEE}"
    failure = Failure("rate_limit", 429, retry_after=milliseconds / 1000)
    return failure, Case(429, kind, message, _CODE)


LIMITS = RateLimits(
    words=("rpm", "rpd", "tpm", "tpd"),
    unlimited=UNLIMITED,
    costs=costs,
    headers=limit_headers,
    compile_headers=compile_headers,
    refuse=refuse,
    true_costs=None,
    refusals_have_headers=False,  # openai/openai-node#1477
)
