"""Requests to the control API of one server, by the standard library alone.

Connections are kept and used by one thread at a time. One that was not used for `MAX_IDLE` seconds
is closed, long before the server does that, so that no request is lost on a closed connection.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from mockllm.endpoints.control.access import PREFIX
from mockllm.errors import ConfigError, Place, Problem, RemoteError, Severity
from mockllm.wire import jsontext

MAX_IDLE = 30.0  # seconds; servers and what stands before them close after a minute or more
TIMEOUT = 30.0  # seconds in which an answer must begin
MAX_SHOWN = 200  # characters of an answer that is not one of the control API


class Transport:
    """Sends requests to the server at `url`, with a `token` if there is one; through a Unix socket
    if `uds` is its path. `context` verifies its certificate."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        uds: Path | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected a URL such as http://127.0.0.1:8000, found {url!r}")
        if parts.query or parts.fragment or parts.path.strip("/"):
            raise ValueError(f"expected the root URL of a server, found {url!r}")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname, parts.port
        self._context = (context or ssl.create_default_context()) if "s" in parts.scheme else None
        self._uds = uds
        self._timeout = timeout
        self._headers = {"accept": "application/json", "content-type": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._lock = Lock()
        self._idle: list[tuple[HTTPConnection, float]] = []
        self._keeps = True  # connections that are not in use, until it is closed

    def ask(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str | int | None] | None = None,
        body: Any = None,
        patience: float = 0.0,
    ) -> Any:
        """Return the answer to a request: a JSON value, a text, or None. Parts of the `path` are
        quoted; members of the `query` that are None are left out. The answer may begin `patience`
        seconds later than others.

        Raises:
            AssertionError: what the request asserts does not hold.
            ConfigError: mocks or traffic in the body have mistakes.
            RemoteError: the server cannot be reached, or refuses the request.
        """
        target = PREFIX + "/".join(quote(part, safe="") for part in path)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        if given:
            target = f"{target}?{urlencode(given)}"
        content = b"" if body is None else jsontext.dumps(body)
        status, kind, answer = self._send(method, target, content, self._timeout + patience)
        is_json = kind.startswith("application/json")
        value = jsontext.loads(answer, max_values=None) if is_json and answer else None
        if status >= 400 or (answer and not is_json and not kind.startswith("text/plain")):
            raise _refused(f"{method} {self.url}{target}", status, value, answer)
        return answer.decode() if answer and not is_json else value

    def close(self) -> None:
        """Close the connections, those that are still in use after their answer."""
        with self._lock:
            self._keeps = False
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):  # or its arguments were wrong
            self.close()

    def _send(
        self, method: str, target: str, content: bytes, timeout: float
    ) -> tuple[int, str, bytes]:
        connection = self._take()
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, target, content, self._headers)
            answer: HTTPResponse = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as exc:
            connection.close()
            reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise RemoteError(f"{method} {self.url}{target}: no answer: {reason}") from exc
        except BaseException:
            connection.close()
            raise
        with self._lock:
            is_kept = self._keeps and not answer.will_close
            if is_kept:
                self._idle.append((connection, time.monotonic()))
        if not is_kept:
            connection.close()
        return answer.status, answer.headers.get("content-type", ""), body

    def _take(self) -> HTTPConnection:
        """Return a connection that nobody else uses."""
        oldest = time.monotonic() - MAX_IDLE
        with self._lock:
            stale = [each for each, used in self._idle if used < oldest]
            self._idle = [each for each in self._idle if each[1] >= oldest]
            found = self._idle.pop()[0] if self._idle else None
        for connection in stale:
            connection.close()
        return found or self._connect()

    def _connect(self) -> HTTPConnection:
        if self._uds is not None:
            return _UnixConnection(self._uds)
        if self._context is not None:
            return HTTPSConnection(self._host, self._port, context=self._context)
        return HTTPConnection(self._host, self._port)


class _UnixConnection(HTTPConnection):
    """A connection through a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _refused(asked: str, status: int, value: Any, answer: bytes) -> Exception:
    """Return the exception of an answer that is an error."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        shown = answer.decode("utf-8", "replace")[:MAX_SHOWN]
        hint = "; is it a mockllm server with --control?" if status == 404 else ""
        message = f"{asked}: {status} is no answer of a control API{hint}: {shown}"
        return RemoteError(message, status=status)
    code, message = error["code"], str(error.get("message", ""))
    if code == "assertion_failed":
        return AssertionError(message)
    problems = error.get("problems")
    if code in ("invalid_mock", "invalid_traffic") and isinstance(problems, list):
        return ConfigError(tuple(map(_problem, problems)))
    return RemoteError(f"{message} ({status} {code}: {asked})", status=status, code=code)


def _problem(value: Mapping[str, Any]) -> Problem:
    return Problem(Place(path=value["place"]), value["message"], Severity(value["severity"]))
