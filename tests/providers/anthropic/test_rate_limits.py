"""Anthropic's limits: headers and messages as recorded from the service."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import NOT_STREAMED, Prompt, Readers
from mockllm.providers.anthropic.rate_limits import (
    costs,
    limit_headers,
    refuse,
    spell_time,
    true_costs,
)
from mockllm.providers.rate_limits import CONCURRENT, Quota, Refusal

NOW = 1_740_429_471.9  # 2025-02-24T20:37:51Z


def shown(*quotas: Quota, now: float = NOW) -> dict[str, str]:
    """The headers by the rest of their names."""
    headers = limit_headers(quotas, now)
    return {
        name.decode().removeprefix("anthropic-ratelimit-"): value.decode()
        for name, value in headers
    }


def test_requests_are_shown_exactly_and_reset_in_the_second_of_the_request() -> None:
    assert shown(Quota("rpm", 4000, 60.0, 1)) == {
        "requests-limit": "4000",
        "requests-remaining": "3999",
        "requests-reset": "2025-02-24T20:37:51Z",
    }


def test_tokens_are_shown_in_thousands_and_those_of_both_as_their_sum() -> None:
    input_tokens = Quota("itpm", 400_000, 60.0, 1600)
    output_tokens = Quota("otpm", 80_000, 60.0, 400)

    assert shown(input_tokens, output_tokens) == {
        "input-tokens-limit": "400000",
        "input-tokens-remaining": "398000",
        "input-tokens-reset": "2025-02-24T20:37:52Z",
        "output-tokens-limit": "80000",
        "output-tokens-remaining": "80000",
        "output-tokens-reset": "2025-02-24T20:37:52Z",
        "tokens-limit": "480000",
        "tokens-remaining": "478000",
        "tokens-reset": "2025-02-24T20:37:52Z",
    }


@pytest.mark.parametrize(
    ("amount", "used", "remaining"),
    [
        (30_000, 499, "30000"),
        (30_000, 501, "29000"),
        (30_000, 29_800, "0"),
        (1500, 100, "1000"),
        (1600, 0, "1600"),
        (100, 1, "99"),
        (100, 200, "0"),
        (3000, 9000, "0"),
    ],
)
def test_tokens_that_remain_are_rounded_but_never_above_the_limit(
    amount: int, used: int, remaining: str
) -> None:
    assert shown(Quota("itpm", amount, 60.0, used))["input-tokens-remaining"] == remaining


def test_a_bucket_is_reset_when_it_is_full() -> None:
    headers = shown(Quota("rpm", 50, 60.0, 50), now=1_740_429_471.0)

    assert headers["requests-reset"] == "2025-02-24T20:38:51Z"


def test_no_time_is_later_than_those_that_can_be_written() -> None:
    assert spell_time(1e300) == b"9999-12-31T23:59:59Z"


def test_a_request_is_charged_its_estimate_and_all_that_it_may_have() -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "a" * 400}], "max_tokens": 64}
    readers = Readers(output_limit=lambda body: body.get("max_tokens"))
    prompt = Prompt("anthropic", "claude", (), NOT_STREAMED, body, readers)

    assert costs(prompt) == {"rpm": 1, "itpm": 106, "otpm": 64}


@pytest.mark.parametrize(
    ("usage", "share", "found"),
    [
        ({"input_tokens": 10, "output_tokens": 20}, 1.0, {"itpm": 10, "otpm": 20}),
        ({"input_tokens": 10, "output_tokens": 21}, 0.5, {"itpm": 10, "otpm": 11}),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 5,
                "cache_read_input_tokens": 1000,
                "output_tokens": 0,
            },
            1.0,
            {"itpm": 15, "otpm": 0},
        ),
        ({"cache_creation_input_tokens": 5, "output_tokens": "20"}, 1.0, {}),
        ({}, 1.0, {}),
        ({}, 0.0, {"otpm": 0}),
    ],
)
def test_what_was_read_from_the_cache_costs_nothing(
    usage: dict[str, Any], share: float, found: dict[str, int]
) -> None:
    assert true_costs(usage, share) == found


# --- The 429 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "amount", "named"),
    [
        ("itpm", 30_000, "30,000 input tokens per minute"),
        ("otpm", 8000, "8,000 output tokens per minute"),
        ("rpm", 50, "50 requests per minute"),
    ],
)
def test_the_message_names_the_limit(word: str, amount: int, named: str) -> None:
    failure, case = refuse(Refusal(Quota(word, amount, 60.0, amount), 1, 1.2))

    assert (case.status, case.kind) == (429, "rate_limit_error")
    assert case.message == (
        "This request would exceed the rate limit for your organization "
        f"(00000000-0000-4000-8000-000000000000) of {named}. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
        "usage. Please reduce the prompt length or the maximum tokens requested, or try again "
        "later. You may also contact sales at https://www.anthropic.com/contact-sales to discuss "
        "your options for a rate limit increase."
    )
    assert failure.retry_after == 2


@pytest.mark.parametrize(
    ("wait", "window", "told"),
    [
        (0.001, 60.0, 1),
        (18.2, 60.0, 19),
        (18.0000000001, 60.0, 18),
        (0.25, 6.0, 0.25),
        (0.0001, 6.0, 0.001),
        (1.5, 6.0, 2),
        (None, 60.0, 30),
    ],
)
def test_a_client_is_told_to_wait_for_whole_seconds(
    wait: float | None, window: float, told: float
) -> None:
    failure, _ = refuse(Refusal(Quota("rpm", 10, window, 5), 11 if wait is None else 1, wait))

    assert failure.retry_after == told


def test_too_many_connections_have_a_message_of_their_own() -> None:
    failure, case = refuse(Refusal(Quota(CONCURRENT, 2, 60.0, 2), 1, None))

    assert failure.retry_after is None
    assert case.message.startswith("Number of concurrent connections has exceeded your rate limit.")
