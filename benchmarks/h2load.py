"""Runs the load generator `h2load` of nghttp2 over HTTP/1.1, to confirm what wrk measures."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from pathlib import Path

from benchmarks.loads import Template
from benchmarks.outcome import CONNECTIONS, LoadError, Outcome

MISSING = "h2load is not installed: `apt-get install nghttp2-client`"
MICROSECONDS = 1_000_000

_COUNTS = re.compile(r"^requests: .* (\d+) done, .* (\d+) errored, (\d+) timeout$", re.MULTILINE)
_REFUSED = re.compile(r" (\d+) 4xx, (\d+) 5xx$", re.MULTILINE)
_OWN_HEADERS = frozenset({"host", "content-length"})  # h2load adds them


def is_installed() -> bool:
    """True if there is an `h2load` on the PATH."""
    return shutil.which("h2load") is not None


def run(port: int, request: Template, folder: Path, *, seconds: int) -> Outcome:
    """Load the server on `port` with a request without placeholders. The files of the run are
    written to `folder`.

    Raises:
        LoadError: h2load failed, or is not installed.
    """
    if not is_installed():
        raise LoadError(MISSING)
    body, log = folder / "h2load.body", folder / "h2load.log"
    body.write_bytes(request.body.encode("ascii"))
    log.unlink(missing_ok=True)  # h2load appends to it
    try:
        done = subprocess.run(  # noqa: S603  # the command line is ours
            [*_command(port, request, seconds), f"--data={body}", f"--log-file={log}"],
            capture_output=True,
            text=True,
            timeout=seconds + 20,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as exc:
        raise LoadError(f"h2load failed: {exc}") from exc
    if done.returncode:
        raise LoadError(f"h2load failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return outcome(done.stdout, log.read_text(), seconds)


def outcome(printed: str, log: str, seconds: int) -> Outcome:
    """Return what a run of so many `seconds` printed and logged: a line for each answer, with its
    status and its time in microseconds.

    Raises:
        LoadError: it printed no counts, or logged fewer than two answers.
    """
    counts, refused = _COUNTS.search(printed), _REFUSED.search(printed)
    times = [int(line.split()[2]) for line in log.splitlines()]
    if counts is None or refused is None or len(times) < 2:
        raise LoadError(f"h2load printed no counts: {printed.strip()[-300:]}")
    requests, errored, expired = map(int, counts.groups())
    hundredths = statistics.quantiles(times, n=100)
    return Outcome(
        requests,
        seconds * MICROSECONDS,
        sum(map(int, refused.groups())),
        errored + expired,
        round(hundredths[49]),
        round(hundredths[98]),
    )


def _command(port: int, request: Template, seconds: int) -> list[str]:
    """Return the command line, but for the files."""
    target, *lines = request.head.split("\r\n")
    headers = [line for line in lines if line and line.split(":")[0].lower() not in _OWN_HEADERS]
    return [
        "h2load",
        "--h1",
        "--threads=1",
        f"--clients={CONNECTIONS}",
        f"--duration={seconds}",
        *(f"--header={line}" for line in headers),
        f"http://127.0.0.1:{port}{target.split()[1]}",
    ]
