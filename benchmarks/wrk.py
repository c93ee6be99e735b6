"""Runs the load generator `wrk` with a script generated from a request template."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.loads import COUNT, LENGTH, TRACE, USER, Template
from benchmarks.outcome import CONNECTIONS, LoadError, Outcome

TIMEOUT = 10  # seconds for one answer, after which wrk counts a socket error

MISSING = "wrk is not installed: `apt-get install wrk`, or `brew install wrk`"

_LUA = {
    COUNT: 'string.format("%d", n)',
    TRACE: 'string.format("%032x", n)',
    USER: '("u"):rep(1 + n % 16)',
    LENGTH: "#body",
}
_PLACEHOLDERS = re.compile("(" + "|".join(_LUA) + ")")

_SCRIPT = """\
local n = 0
function init(args) n = tonumber(args[1]) end
{request}
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}}\\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""

_SAME = """\
local whole = {whole}
function request() return whole end
"""

_DIFFERENT = """\
function request()
  n = n + 1
  local body = {body}
  return {head} .. body
end
"""


def is_installed() -> bool:
    """True if there is a `wrk` on the PATH."""
    return shutil.which("wrk") is not None


def script(template: Template) -> str:
    """Return a Lua script that sends the requests of `template` from a number given as argument."""
    head, body = template.head, template.body
    if _PLACEHOLDERS.search(head.replace(LENGTH, "") + body):
        request = _DIFFERENT.format(head=_lua(head), body=_lua(body))
    else:
        request = _SAME.format(whole=_literal(template.render(0).decode("ascii")))
    return _SCRIPT.format(request=request)


def run(port: int, file: Path, *, seconds: int, first: int) -> Outcome:
    """Load the server on `port` with the script in `file`. Requests are numbered from `first`;
    runs with different numbers never repeat a request.

    Raises:
        LoadError: wrk failed.
    """
    command = [
        "wrk",
        "--threads=1",
        f"--connections={CONNECTIONS}",
        f"--duration={seconds}s",
        f"--timeout={TIMEOUT}s",
        "--latency",
        f"--script={file}",
        f"http://127.0.0.1:{port}/",
        *("--", str(first)),
    ]
    longest = seconds + 2 * TIMEOUT
    try:
        done = subprocess.run(  # noqa: S603  # the command line is ours
            command, capture_output=True, text=True, timeout=longest, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as exc:
        raise LoadError(f"wrk failed: {exc}") from exc
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return Outcome(**json.loads(lines[-1]))


def _lua(text: str) -> str:
    """The Lua expression for a text with placeholders."""
    pieces = (piece for piece in _PLACEHOLDERS.split(text) if piece)
    return " .. ".join(_LUA.get(piece) or _literal(piece) for piece in pieces)


def _literal(text: str) -> str:
    escaped = re.sub(r"[^ !#-\[\]-~]", lambda char: f"\\{ord(char[0]):03d}", text)
    return f'"{escaped}"'
