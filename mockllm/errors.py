"""What can go wrong, and whose fault it is.

    MockLLMError
    ├── ConfigError      the author of a configuration: every mistake of a run, told at once
    ├── ListenError      the operator: an address that cannot be listened on
    └── ClientError      the client of a request: a status and a message
        ├── RequestError     understood as HTTP, refused by a provider
        └── HTTPError        not understood as HTTP: answered once, then the connection closes
            └── ForeignProtocolError   closed without an answer

Exceptions of foreign libraries are translated where the library is called, so nothing else leaves
this package. How an error looks on the wire is `providers.envelope`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MockLLMError(Exception):
    """The root of every error this package raises on purpose."""


class Severity(StrEnum):
    """What a problem of a configuration means for the start of the server."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where it stands, what was expected, what was found.

    `place` is the file, the mock and the JSON path as far as they are known, written
    ``mocks/a.json: openai[3] 'greet': match.match_type``.
    """

    place: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(MockLLMError):
    """A configuration that cannot be served. `problems` holds every mistake found, in order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ListenError(MockLLMError):
    """An address that cannot be listened on; the text says which and why."""


class ClientError(MockLLMError):
    """A request that is answered with an error status (RFC 9110, section 15.5). `headers` are sent
    with the answer (``Allow`` with a 405)."""

    def __init__(
        self, status: int, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class RequestError(ClientError):
    """A request that a provider refuses.

    `param` names the member of the body at fault (``messages.0.content``); `code` is OpenAI's
    machine-readable word for the reason. Both go into the envelope where the provider has a place
    for them.
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
    """Bytes that are no request we can take. After its answer the connection closes."""


class ForeignProtocolError(HTTPError):
    """Bytes of another protocol (TLS, HTTP/2), whose peers read no HTTP/1.1: the connection closes
    without an answer."""

    def __init__(self) -> None:
        super().__init__(400, "This is not HTTP/1.1")
