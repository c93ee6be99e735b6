"""What the official clients for Node make of faults, and how long they wait before they try again,
where they differ from those for Python.

The facts are those of Node 20. The clients are asked where they are installed, in the project's
folder: `npm install openai@7.59.0 @anthropic-ai/sdk@1.14.0`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from mockllm import Server

TEXT = "Hello world, how are you?"
FIRST = {"after": "first_token"}
LONG = 30_000  # milliseconds
SHORT = 2_000
PATIENCE = 120  # seconds for all of them on a busy machine
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "node_clients.mjs"
PACKAGES = {"openai": "7.", "@anthropic-ai/sdk": "1."}
"""The beginning of the version of each, of which the facts are."""


class Outcome(NamedTuple):
    """What a client did: the exception, the code of its cause, the words that it had read, and the
    number of its requests."""

    error: str | None
    cause: str | None = None
    words: str = ""
    requests: int = 1


class Row(NamedTuple):
    """A fault, the form of the answer, and what the clients of each API do."""

    fault: dict[str, Any]
    form: str
    chat: Outcome
    messages: Outcome
    responses: Outcome | None = None
    timeout: int = LONG


def _all(fault: dict[str, Any], form: str, found: Outcome, timeout: int = LONG) -> Row:
    return Row(fault, form, found, found, found, timeout)


FLAT = 'event: error\ndata: {"type": "error", "code": "c", "message": "m"}\n\n'
LOST = Outcome("APIConnectionError", requests=2)
SILENCE = Outcome(None, words="Hello")
CUT = Outcome("TypeError", "UND_ERR_SOCKET")
RESET = Outcome("TypeError", "ECONNRESET")
FAULTS: dict[str, Row] = {
    "FIN before the head": _all({"end": "cut"}, "stream", LOST),
    "RST before the head": _all({"end": "reset"}, "stream", LOST),
    "FIN in a stream": _all({"end": "cut"} | FIRST, "stream", CUT._replace(words="Hello")),
    "RST in a stream": _all({"end": "reset"} | FIRST, "stream", RESET._replace(words="Hello")),
    "a clean end inside an event": Row(
        {"end": "clean", "inside": True} | FIRST,
        "stream",
        Outcome("SyntaxError", words="Hello"),
        SILENCE,
        Outcome("SyntaxError", words="Hello"),
    ),
    "a clean end between events": _all({"end": "clean"} | FIRST, "stream", SILENCE),
    "an empty stream": Row(
        {"end": "clean", "after": "head"},
        "helper",
        Outcome("OpenAIError"),
        Outcome("AnthropicError"),
    ),
    "a stall for longer than the timeout": _all(
        {"pause": "4s"} | FIRST, "stream", Outcome(None, words=TEXT), SHORT
    ),
    "a flat error": _all({"send": FLAT} | FIRST, "stream", Outcome("APIError", words="Hello")),
    "FIN in a whole answer": _all({"end": "cut"} | FIRST, "whole", CUT),
    "RST in a whole answer": _all({"end": "reset"} | FIRST, "whole", RESET),
    "a stall in a whole answer": Row(
        {"pause": "4s"} | FIRST,
        "whole",
        Outcome("APIConnectionTimeoutError", requests=2),
        Outcome(None),
        Outcome("APIConnectionTimeoutError", requests=2),
        SHORT,
    ),
}


class Wait(NamedTuple):
    """Headers of an error, and the milliseconds that the client of each vendor waits."""

    headers: dict[str, str]
    openai: float
    anthropic: float


BACK_OFF = -1.0
WAITS: dict[str, Wait] = {
    "nothing": Wait({}, BACK_OFF, BACK_OFF),
    "seconds": Wait({"retry-after": "3"}, 3000, 3000),
    "a fraction of a second": Wait({"retry-after": "0.05"}, 50, 50),
    "milliseconds before seconds": Wait({"retry-after-ms": "20", "retry-after": "1"}, 20, 20),
    "zero": Wait({"retry-after": "0"}, 0, BACK_OFF),
    "zero milliseconds": Wait({"retry-after-ms": "0"}, 0, BACK_OFF),
    "zero milliseconds before a second": Wait({"retry-after-ms": "0", "retry-after": "1"}, 0, 1000),
    "less than nothing": Wait({"retry-after": "-1"}, BACK_OFF, BACK_OFF),
    "a minute": Wait({"retry-after": "60"}, 60_000, 60_000),
    "more than a minute": Wait({"retry-after": "61"}, BACK_OFF, 61_000),
}


def _asks() -> list[dict[str, Any]]:
    faults = [
        {"name": name, "api": api, "form": row.form, "timeout": row.timeout}
        for name, row in FAULTS.items()
        for api in ("chat", "messages", "responses")
        if getattr(row, api) is not None
    ]
    waits = [
        {"name": f"waits {name}", "api": api, "form": "whole", "timeout": LONG, "notes_waits": True}
        for name in WAITS
        for api in ("chat", "messages")
    ]
    return [ask | {"session": f"{number}"} for number, ask in enumerate(faults + waits)]


def _mocks() -> list[dict[str, Any]]:
    faults = [
        {"match": {"user": name}, "reply": TEXT, "fault": row.fault} for name, row in FAULTS.items()
    ]
    waits = [
        {"match": {"user": f"waits {name}"}, "error": {"status": 500, "headers": row.headers}}
        for name, row in WAITS.items()
    ]
    return faults + waits


Found = dict[tuple[str, str], tuple[Outcome, list[float]]]


def _version(package: str) -> str:
    """The version of an installed package; empty if it is not installed."""
    described = ROOT / "node_modules" / package / "package.json"
    return str(orjson.loads(described.read_bytes())["version"]) if described.exists() else ""


@pytest.fixture(scope="module")
def found() -> Found:
    """What the clients do, and the milliseconds for which they would wait, by row and API."""
    node = shutil.which("node")
    missing = [name for name, version in PACKAGES.items() if not _version(name).startswith(version)]
    if node is None or missing:
        pytest.skip(f"not installed, or of another version: {', '.join(missing) or 'node'}")
    asks = _asks()
    with Server({"mocks": _mocks()}) as server:
        sessions = [server.session(ask["session"]) for ask in asks]
        urls = server.openai_base_url, server.anthropic_base_url
        done = subprocess.run(
            [node, str(SCRIPT)],
            input=orjson.dumps({"urls": urls, "asks": asks}),
            capture_output=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr.decode()
    # stopped, it has noted the requests too that clients gave up last
    calls = [len(session.calls) for session in sessions]
    outcomes = orjson.loads(done.stdout)
    return {
        (ask["name"], ask["api"]): (
            Outcome(each["error"], each["cause"], each["words"], requests),
            each["waits"],
        )
        for ask, each, requests in zip(asks, outcomes, calls, strict=True)
    }


@pytest.mark.parametrize("api", ["chat", "messages", "responses"])
@pytest.mark.parametrize("name", FAULTS)
def test_clients_of_node_meet_a_fault(found: Found, name: str, api: str) -> None:
    expected: Outcome | None = getattr(FAULTS[name], api)
    if expected is None:
        pytest.skip("the helper of this API is not asked")

    outcome, _ = found[name, api]

    if expected.cause == "ECONNRESET" and outcome.cause == "UND_ERR_SOCKET":
        outcome = outcome._replace(cause=expected.cause)  # seen now and then in Node 20
    assert outcome == expected


@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("name", WAITS)
def test_a_client_of_node_waits_as_it_is_told(found: Found, name: str, api: str) -> None:
    expected = WAITS[name].openai if api == "chat" else WAITS[name].anthropic

    outcome, waits = found[f"waits {name}", api]

    assert (outcome.error, outcome.requests) == ("InternalServerError", 2)
    if expected == BACK_OFF:
        assert len(waits) == 1
        assert 375 <= waits[0] <= 500
    else:
        assert waits == [expected]
