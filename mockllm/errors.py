"""Exceptions, by whose fault they are.

    MockLLMError
    ├── ConfigError      the author of a configuration: all mistakes of a run, reported together
    ├── ListenError      the operator: an address that cannot be listened on
    └── ClientError      the client of a request: a status and a message
        ├── RequestError     valid HTTP, rejected by a provider
        └── HTTPError        not valid HTTP: answered once, then the connection closes
            └── ForeignProtocolError   closed without an answer

Exceptions of foreign libraries are translated where the library is called, so nothing else leaves
this package. `providers.envelope` renders them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MockLLMError(Exception):
    """The root of every error this package raises on purpose."""


class Severity(StrEnum):
    """The effect of a problem on the start of the server: an error prevents it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: its location, what was expected, what was found.

    `place` is the file, the mock and the JSON path, as far as known:
    ``mocks/a.json: openai[3] 'greet': match.match_type``.
    """

    place: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(MockLLMError):
    """An invalid configuration. `problems` lists every mistake found, in order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ListenError(MockLLMError):
    """An address that cannot be listened on; the text says which and why."""


class ClientError(MockLLMError):
    """A request that gets an error status (RFC 9110, section 15.5). `headers` are added to the
    response, such as ``Allow`` to a 405."""

    def __init__(
        self, status: int, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class RequestError(ClientError):
    """A valid HTTP request that a provider rejects.

    `param` names the member of the body at fault (``messages.0.content``); `code` is OpenAI's
    machine-readable reason. Both are rendered if the provider's error format includes them.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(status, message, headers=headers)
        self.param = param
        self.code = code


class HTTPError(ClientError):
    """An invalid or unsupported HTTP request. The connection closes after the response."""


class ForeignProtocolError(HTTPError):
    """Bytes of another protocol (TLS, HTTP/2). Its clients cannot read an HTTP/1.1 response, so the
    connection closes without one."""

    def __init__(self) -> None:
        super().__init__(400, "This is not HTTP/1.1")
