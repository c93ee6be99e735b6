"""When the official clients try again, and how long they wait: which errors of a mock they retry,
and what its headers and its `retry_after` make of that. Sync and async clients of both vendors.

The facts are those of openai 3.54.0 and anthropic 2.12.0. No test waits: what a client would sleep
is noted instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from email.utils import formatdate
from functools import partial
from itertools import count
from time import time
from typing import Any, NamedTuple

import anthropic as anthropic_sdk
import anyio.to_thread
import openai as openai_sdk
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from mockllm import AsyncServer
from tests.support.served import chat_request, messages_request

pytestmark = pytest.mark.anyio

VENDORS = ("openai", "anthropic")

# --- Which errors ---------------------------------------------------------------------------------

RETRIED = (408, 409, 429, 500, 502, 503, 504, 529, 599)
NOT_RETRIED = (300, 400, 401, 402, 403, 404, 413, 422, 425, 499)
STATUSES = {status: 3 if status in RETRIED else 1 for status in (*RETRIED, *NOT_RETRIED)}
"""The number of requests of a client that may try three times."""


# --- How long they wait ---------------------------------------------------------------------------


class Wait(NamedTuple):
    """What a client of each vendor waits for, in seconds: a time, ``BACK_OFF``, or None if it does
    not try again."""

    error: dict[str, Any]
    openai: float | None
    anthropic: float | None


BACK_OFF = -1.0
IN_A_MINUTE = 60.0


def headers(*, status: int = 503, **lines: str) -> dict[str, Any]:
    """An error with these headers."""
    return {
        "status": status,
        "headers": {name.replace("_", "-"): value for name, value in lines.items()},
    }


def late(retry_after: Any, **words: Any) -> dict[str, Any]:
    return {"as": "overloaded", "retry_after": retry_after, **words}


def both(error: dict[str, Any], seconds: float) -> Wait:
    return Wait(error, seconds, seconds)


WAITS: dict[str, Wait] = {
    # headers that a mock writes
    "nothing": both({"as": "overloaded"}, BACK_OFF),
    "milliseconds": both(headers(retry_after_ms="1.5"), 0.0015),
    "milliseconds before seconds": both(headers(retry_after_ms="20", retry_after="1"), 0.02),
    "seconds": both(headers(retry_after="3"), 3.0),
    "a fraction of a second": both(headers(retry_after="0.25"), 0.25),
    "an exponent": both(headers(retry_after="1e-2"), 0.01),
    "a date": both(headers(retry_after="in a minute"), IN_A_MINUTE),
    "a date with an offset": both(headers(retry_after="in a minute +0000"), IN_A_MINUTE),
    "a date of ISO 8601": both(headers(retry_after="2099-01-01T00:00:00Z"), BACK_OFF),
    "a unit": both(headers(retry_after="20s"), BACK_OFF),
    "letters": both(headers(retry_after="abc"), BACK_OFF),
    "not a number": both(headers(retry_after="nan"), BACK_OFF),
    "less than nothing": both(headers(retry_after="-1"), BACK_OFF),
    "zero": both(headers(retry_after="0"), BACK_OFF),
    "zero milliseconds before a second": both(
        headers(retry_after_ms="0", retry_after="1"), BACK_OFF
    ),
    "milliseconds that are letters": both(headers(retry_after_ms="abc", retry_after="1"), 1.0),
    "two minutes": both(headers(retry_after="120"), 120.0),
    "more than two minutes": Wait(headers(retry_after="121"), None, 121.0),
    "more than two minutes in milliseconds": Wait(headers(retry_after_ms="120001"), None, 120.001),
    "more than a number can be": Wait(headers(retry_after="1e400"), None, 4_294_967.0),
    "more than two minutes, to be retried": Wait(
        headers(retry_after="121", x_should_retry="true"), None, 121.0
    ),
    "for ever": Wait(headers(retry_after="inf"), BACK_OFF, 4_294_967.0),
    "an error that should be retried": both(headers(status=400, x_should_retry="true"), BACK_OFF),
    "an error that should not be": Wait(headers(x_should_retry="false"), None, None),
    "another spelling": both(headers(status=503, x_should_retry="FALSE"), BACK_OFF),
    # the words of a mock
    "retry_after of a millisecond": both(late("1ms"), 0.001),
    "retry_after below a second": both(late("350ms"), 0.35),
    "retry_after with a fraction": both(late("1.5s"), 1.5),
    "retry_after in seconds": both(late(2), 2.0),
    "retry_after of two minutes": both(late("2m"), 120.0),
    "retry_after of nothing": both(late(0), BACK_OFF),
    "retry_after by force": Wait(late("3m", force=True), None, 180.0),
    "retry_after for ever, by force": Wait(late(float("inf"), force=True), BACK_OFF, 4_294_967.0),
    "a rate limit without a time": Wait({"as": "rate_limit"}, BACK_OFF, 1.0),
    "a rise that is too fast": Wait({"as": "slow_down"}, BACK_OFF, 1.0),
    "a rate limit with a time": both({"as": "rate_limit", "retry_after": "7s"}, 7.0),
}


def _dated(error: dict[str, Any]) -> dict[str, Any]:
    """The error with a date for words about one."""
    lines = {
        name: value.replace("in a minute", formatdate(time() + 60, usegmt=True)).replace(
            "GMT +0000", "+0000"
        )
        for name, value in error.get("headers", {}).items()
    }
    return error | {"headers": lines} if lines else error


def _config() -> dict[str, Any]:
    rows: dict[str, Any] = {f"{status}": {"status": status} for status in STATUSES}
    rows |= {name: _dated(row.error) for name, row in WAITS.items()}
    return {"mocks": [{"match": {"user": name}, "error": error} for name, error in rows.items()]}


class Asking:
    """A client of each vendor, which asks in a session of its own each time."""

    def __init__(self, server: AsyncServer, clients: dict[str, Any], *, sync: bool) -> None:
        self._server = server
        self._clients = clients
        self._is_sync = sync
        self._numbers = count()
        self.slept: list[float] = []

    async def ask(self, vendor: str, user: str, retries: int) -> Any:
        """The calls that a client makes until it gives up."""
        self.slept.clear()
        session = self._server.session(f"test-{next(self._numbers)}")
        client = self._clients[vendor].with_options(max_retries=retries)
        body = {"extra_headers": {"x-mockllm-session": session.name}}
        if vendor == "openai":
            call = partial(client.chat.completions.create, **chat_request(user), **body)
        else:
            call = partial(client.messages.create, **messages_request(user), **body)
        with pytest.raises((openai_sdk.APIStatusError, anthropic_sdk.APIStatusError)):
            await (anyio.to_thread.run_sync(call) if self._is_sync else call())
        return session.calls


@pytest.fixture(scope="module", params=["sync", "async"])
async def asking(request: pytest.FixtureRequest) -> AsyncIterator[Asking]:
    kinds: Any = (OpenAI, Anthropic)
    if request.param == "async":
        kinds = (AsyncOpenAI, AsyncAnthropic)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncServer(_config()))
        urls = server.openai_base_url, server.anthropic_base_url
        clients: dict[str, Any] = {}
        for vendor, kind, url in zip(VENDORS, kinds, urls, strict=True):
            client = kind(base_url=url, api_key="any")
            if request.param == "sync":
                clients[vendor] = stack.enter_context(client)
            else:
                clients[vendor] = await stack.enter_async_context(client)
        found = Asking(server, clients, sync=request.param == "sync")
        with pytest.MonkeyPatch.context() as patch:
            for kind in kinds:
                wait = kind._calculate_retry_timeout
                patch.setattr(kind, "_calculate_retry_timeout", _noted(wait, found.slept))
            yield found


def _noted(wait: Any, slept: list[float]) -> Any:
    """A client's own `wait`, noted instead of slept."""

    def note(*args: Any) -> float:
        slept.append(wait(*args))
        return 0.0

    return note


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_is_retried_or_not(asking: Asking, status: int, vendor: str) -> None:
    calls = await asking.ask(vendor, f"{status}", retries=2)

    assert [call.status for call in calls] == [status] * STATUSES[status]
    assert [call.attempt for call in calls] == [1, 2, 3][: len(calls)]
    assert not any("idempotency-key" in call.headers for call in calls)
    if (vendor, status) == ("anthropic", 429):  # which always says when
        assert asking.slept == [1.0, 1.0]
        return
    for number, seconds in enumerate(asking.slept):
        assert 0.375 * 2**number <= seconds <= 0.5 * 2**number


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", WAITS)
async def test_a_client_waits_as_it_is_told(asking: Asking, name: str, vendor: str) -> None:
    row = WAITS[name]
    expected = row.openai if vendor == "openai" else row.anthropic

    calls = await asking.ask(vendor, name, retries=1)

    assert len(calls) == (1 if expected is None else 2)
    if expected is None:
        assert asking.slept == []
    elif expected == BACK_OFF:
        assert 0.375 <= asking.slept[0] <= 0.5
    elif expected == IN_A_MINUTE:  # less what has passed since the mocks were written
        assert 1 < asking.slept[0] <= 60
    else:
        assert asking.slept == [pytest.approx(expected)]
