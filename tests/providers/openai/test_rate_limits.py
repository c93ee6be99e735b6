"""OpenAI's limits: headers and messages as recorded from the service, by its formulas."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.prompt import NOT_STREAMED, Prompt, Readers
from mockllm.providers.openai.rate_limits import costs, estimate, limit_headers, refuse
from mockllm.providers.rate_limits import CONCURRENT, WINDOWS, Quota, Refusal

DAY = 86_400.0


def quota(word: str, amount: float, used: float) -> Quota:
    return Quota(word, amount, WINDOWS[word], used)


def shown(*quotas: Quota) -> dict[str, str]:
    """The headers by the rest of their names."""
    headers = limit_headers(quotas, 0.0)
    return {name.decode().removeprefix("x-ratelimit-"): value.decode() for name, value in headers}


@pytest.mark.parametrize(
    ("word", "amount", "used", "remaining", "reset"),
    [
        ("rpm", 30_000, 1, "29999", "2ms"),
        ("rpm", 10_000, 1, "9999", "6ms"),
        ("rpm", 5000, 1, "4999", "12ms"),
        ("rpm", 500, 1, "499", "120ms"),
        ("rpm", 500, 0, "500", "0s"),
        ("rpd", 10_000, 1, "9999", "8.64s"),
        ("rpd", 10_000, 13.065 / 8.64, "9998", "13.065s"),
        ("rpd", 10_000, 22.564 / 8.64, "9997", "22.564s"),
        ("rpd", 10_000, 127.93 / 8.64, "9985", "2m7.93s"),
        ("rpd", 200, 5 / 6, "199", "6m0s"),
    ],
)
def test_the_headers_of_requests(
    word: str, amount: int, used: float, remaining: str, reset: str
) -> None:
    assert shown(quota(word, amount, used)) == {
        "limit-requests": f"{amount}",
        "remaining-requests": remaining,
        "reset-requests": reset,
    }


@pytest.mark.parametrize(
    ("amount", "used", "remaining", "reset"),
    [
        (200_000, 289, "199711", "86ms"),
        (200_000, 8, "199992", "2ms"),
        (160_000, 32, "159968", "12ms"),
        (30_000, 4, "29996", "8ms"),
        (150_000_000, 18, "149999982", "0s"),
    ],
)
def test_the_headers_of_tokens(amount: int, used: float, remaining: str, reset: str) -> None:
    assert shown(quota("tpm", amount, used)) == {
        "limit-tokens": f"{amount}",
        "remaining-tokens": remaining,
        "reset-tokens": reset,
    }


def test_the_limit_per_day_is_shown_where_it_is_the_tighter_one() -> None:
    minute, day = quota("rpm", 500, 1), quota("rpd", 10_000, 1)

    assert shown(minute, day)["limit-requests"] == "10000"
    assert shown(minute, quota("rpd", 1_000_000, 1))["limit-requests"] == "500"


def test_requests_and_tokens_are_shown_apart() -> None:
    assert shown(quota("rpm", 3, 1), quota("tpd", 1000, 100)) == {
        "limit-requests": "3",
        "remaining-requests": "2",
        "reset-requests": "20s",
        "limit-tokens": "1000",
        "remaining-tokens": "900",
        "reset-tokens": "2h24m0s",
    }


# --- Costs ---------------------------------------------------------------------------------------

KOREAN = "Generate a random noun in Korean. Respond with just that word."
NOW = "Now, generate a sentence using the word you just gave me."
WEATHER = "The weather in San Francisco is 70 degrees and sunny."
CALL = {
    "id": "1",
    "type": "function",
    "function": {"name": "get_current_weather", "arguments": "{}"},
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([user("Count r's in strawberry")], 8),
        ([user(KOREAN)], 18),
        ([user(KOREAN), {"role": "assistant", "content": "나무"}, user(NOW)], 35),
        (
            [
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": WEATHER},
            ],
            17,
        ),
        ([user("a" * 18)], 7),
    ],
)
def test_tokens_are_estimated_as_in_recorded_answers(messages: list[Any], tokens: int) -> None:
    assert estimate({"messages": messages}) == tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 2),
        ({"messages": []}, 1),
        ({"input": "eight ch"}, 4),
        ({"input": "eight ch", "instructions": "Be brief"}, 7),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "eight ch"}]}, 4),
        ({"input": ["four", "four"]}, 5),
        ({"input": [1, 2, 3]}, 3),
        ({"input": [[1, 2, 3], [4]]}, 7),
        (
            {"messages": [user([{"type": "text", "text": "four"}, {"type": "image_url"}])]},  # type: ignore[arg-type]  # parts, not a text
            768,
        ),
        ({"input": [user([{"type": "input_image"}, {"type": "input_text", "text": 3}, 4])]}, 767),  # type: ignore[arg-type]  # parts, not a text
        ({"messages": "four"}, 3),
    ],
)
def test_tokens_of_other_requests_are_estimated_alike(body: dict[str, Any], tokens: int) -> None:
    assert estimate(body) == tokens


def test_the_tokens_that_each_choice_may_have_are_charged_with_the_request() -> None:
    body = {"messages": [user("a" * 18)], "max_tokens": 50, "n": 2}
    readers = Readers(output_limit=lambda body: body.get("max_tokens"))
    prompt = Prompt("openai", "gpt-4o", (), NOT_STREAMED, body, readers)

    assert costs(prompt) == {"rpm": 1, "rpd": 1, "tpm": 107, "tpd": 107}


# --- The 429 -------------------------------------------------------------------------------------


def reached(limit: str, wait: str) -> str:
    return (
        f"Rate limit reached for {{model}} in organization org-mockllm on {limit}. Please try "
        f"again in {wait}. Visit https://platform.openai.com/account/rate-limits to learn more."
    )


@pytest.mark.parametrize(
    ("quota", "requested", "kind", "message", "seconds"),
    [
        (
            quota("tpm", 30_000, 14_567),
            24_754,
            "tokens",
            reached("tokens per min (TPM): Limit 30000, Used 14567, Requested 24754", "18.642s"),
            18.642,
        ),
        (
            quota("rpm", 3, 3),
            1,
            "requests",
            reached("requests per min (RPM): Limit 3, Used 3, Requested 1", "20s"),
            20.0,
        ),
        (
            quota("tpd", 500_000, 498_607),
            1398,
            "tokens",
            reached("tokens per day (TPD): Limit 500000, Used 498607, Requested 1398", "864ms"),
            0.864,
        ),
        (
            quota("tpm", 30_000, 25_292),
            10_584,
            "tokens",
            reached("tokens per min (TPM): Limit 30000, Used 25292, Requested 10584", "11.752s"),
            11.752,
        ),
        (
            quota("rpd", 200, 199.2),
            1,
            "requests",
            reached("requests per day (RPD): Limit 200, Used 200, Requested 1", "7m12s"),
            432.0,
        ),
    ],
)
def test_the_message_tells_the_wait_by_the_formula(
    quota: Quota, requested: int, kind: str, message: str, seconds: float
) -> None:
    failure, case = refuse(Refusal(quota, requested, wait=1.0))

    assert (case.status, case.kind, case.code) == (429, kind, "rate_limit_exceeded")
    assert case.message == message
    assert failure.retry_after == seconds


def test_the_wait_is_never_shorter_than_what_the_store_says() -> None:
    exact = quota("rpm", 7, 6.2)
    failure, _ = refuse(Refusal(exact, 1, wait=(6.2 + 1 - 7) / 7 * 60))

    assert failure.retry_after is not None
    assert failure.retry_after >= (6.2 + 1 - 7) / 7 * 60


def test_a_request_above_the_whole_limit_is_not_told_to_wait() -> None:
    failure, case = refuse(Refusal(quota("tpm", 30_000, 12), 162_807, None))

    assert failure.retry_after is None
    assert case.kind == "tokens"
    assert case.message == (
        "Request too large for {model} in organization org-mockllm on tokens per min (TPM): Limit "
        "30000, Requested 162807. The input or output tokens must be reduced in order to run "
        "successfully."
    )


def test_nobody_knows_when_a_concurrent_request_ends() -> None:
    failure, case = refuse(Refusal(Quota(CONCURRENT, 2, 60.0, 2), 1, None))

    assert failure.retry_after is None
    assert case.kind == "requests"
    assert "on concurrent requests: Limit 2, Used 2, Requested 1. Please try again" in case.message
