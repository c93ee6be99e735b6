"""What Portkey's gateway makes of errors and faults: which it tries again, and how long it waits.

The facts are those of its version 1.15.2, in Node 20. It is asked where it is installed, in the
project's folder: `npm install @portkey-ai/gateway@1.15.2`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from mockllm import Server, Session

ATTEMPTS = 2  # after the first
PATIENCE = 120  # seconds for all of them on a busy machine
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "portkey_gateway.mjs"
PACKAGE = "@portkey-ai/gateway"
VERSION = "1.15."

BACK_OFF = (1000, 2000)
RETRIED = (429, 500, 502, 503, 504)
NOT_RETRIED = (400, 401, 403, 404, 408, 409, 413, 422, 529)
FIRST = {"after": "first_token"}
SAYS = {"reply": "Hello world, how are you?"}


class Row(NamedTuple):
    """A mock, the status of the gateway's answer, the number of its requests, and the milliseconds
    that it waits before the others. It waits too before it gives up, if it was told how long."""

    mock: dict[str, Any]
    status: int
    requests: int = 1
    waits: tuple[int, ...] = ()


def headers(status: int, **lines: str) -> dict[str, Any]:
    """An error with these headers."""
    named = {name.replace("_", "-"): value for name, value in lines.items()}
    return {"error": {"status": status, "headers": named}}


def limited(retry_after: str) -> dict[str, Any]:
    return {"error": {"as": "rate_limit", "retry_after": retry_after}}


def faulty(**fault: Any) -> dict[str, Any]:
    return SAYS | {"fault": fault}


ROWS = {
    **{f"{status}": Row({"error": {"status": status}}, status) for status in NOT_RETRIED},
    **{  # it waits as a 429 says, and for nothing else: the next rows
        f"{status}": Row(headers(status, retry_after="2"), status, 3, BACK_OFF)
        for status in RETRIED
        if status != 429
    },
    "seconds": Row(headers(429, retry_after="2"), 429, 3, (2000,) * 3),
    "milliseconds before seconds": Row(
        headers(429, retry_after_ms="20", retry_after="1"), 429, 3, (20,) * 3
    ),
    "milliseconds of Azure": Row(
        headers(429, x_ms_retry_after_ms="30", retry_after="1"), 429, 3, (30,) * 3
    ),
    "less than a second": Row(limited("350ms"), 429, 3, (350,) * 3),
    "three seconds": Row(limited("3s"), 429, 3, (3000,) * 3),
    "a minute in all": Row(limited("40s"), 429, 2, (40_000,)),
    "a minute": Row(limited("60s"), 429),
    "a fraction of a second": Row(headers(429, retry_after="0.5"), 429, 3, BACK_OFF),
    "zero": Row(headers(429, retry_after="0"), 429, 3, BACK_OFF),
    "a date": Row(headers(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"), 429, 3, BACK_OFF),
    "FIN before the head": Row(faulty(end="cut"), 500, 3, BACK_OFF),
    "RST before the head": Row(faulty(end="reset"), 500, 3, BACK_OFF),
    "half a head": Row(faulty(end="cut", inside=True), 500, 3, BACK_OFF),
    "FIN after the head": Row(faulty(end="cut", after="head"), 500),
    "FIN inside the body": Row(faulty(end="cut", **FIRST), 500),
    "RST inside the body": Row(faulty(end="reset", **FIRST), 500),
    "a body that is no JSON": Row(faulty(end="clean", **FIRST), 500),
    "nothing": Row(SAYS, 200),
    "an error, then an answer": Row(
        SAYS | {"first": [{"error": {"status": 503}}]}, 200, 2, BACK_OFF[:1]
    ),
    "a lost connection, then an answer": Row(
        SAYS | {"first": [{"fault": {"end": "reset"}}]}, 200, 2, BACK_OFF[:1]
    ),
}
OF_OPENAI = {
    "overloaded": Row({"error": "overloaded"}, 503, 3, BACK_OFF),
    # it looks for a header without a name where a 429 does not say how long
    "a rate limit without a time": Row({"error": "rate_limit"}, 500, 3, BACK_OFF),
}
OF_ANTHROPIC = {
    "overloaded": Row({"error": "overloaded"}, 529),
    "a rate limit": Row({"error": "rate_limit"}, 429, 3, (1000,) * 3),
}
TABLE = [
    *(("openai", name, row) for name, row in (ROWS | OF_OPENAI).items()),
    *(("anthropic", name, row) for name, row in (ROWS | OF_ANTHROPIC).items()),
]
APIS = {"openai": "chat", "anthropic": "messages"}

Found = dict[tuple[str, str], Row]


def _url(provider: str, session: Session) -> str:
    return session.openai_base_url if provider == "openai" else f"{session.anthropic_base_url}/v1"


def _ask(provider: str, name: str, session: Session) -> dict[str, Any]:
    """What the gateway is asked, and how it is configured."""
    retry = {"attempts": ATTEMPTS, "use_retry_after_header": True}
    messages = [{"role": "user", "content": name}]
    return {
        "config": {
            "provider": provider,
            "api_key": "any",
            "custom_host": _url(provider, session),
            "retry": retry,
        },
        "body": {"model": "m", "max_tokens": 99, "messages": messages},
    }


def _version() -> str:
    try:
        package = (ROOT / "node_modules" / PACKAGE / "package.json").read_bytes()
    except FileNotFoundError:
        return ""
    return str(orjson.loads(package)["version"])


@pytest.fixture(scope="module")
def found() -> Found:
    """What the gateway does, by the provider and the row."""
    node = shutil.which("node")
    if node is None or not _version().startswith(VERSION):
        pytest.skip(f"not installed, or of another version: {'node' if node is None else PACKAGE}")
    mocks = [
        {"match": {"user": name, "api": APIS[provider]}} | row.mock for provider, name, row in TABLE
    ]
    with Server({"mocks": mocks}) as server:
        sessions = [server.session(f"test-{number}") for number in range(len(TABLE))]
        asks = [
            _ask(provider, name, session)
            for (provider, name, _), session in zip(TABLE, sessions, strict=True)
        ]
        done = subprocess.run(
            [node, str(SCRIPT)],
            input=orjson.dumps({"asks": asks}),
            capture_output=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr.decode()
    outcomes = orjson.loads(done.stdout)
    return {
        (provider, name): Row(
            row.mock, outcome["status"], len(session.calls), tuple(outcome["waits"])
        )
        for (provider, name, row), session, outcome in zip(TABLE, sessions, outcomes, strict=True)
    }


@pytest.mark.parametrize(
    ("provider", "name", "row"), TABLE, ids=[f"{name} of {provider}" for provider, name, _ in TABLE]
)
def test_the_gateway_meets_a_failure(found: Found, provider: str, name: str, row: Row) -> None:
    assert found[provider, name] == row
