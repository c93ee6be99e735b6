"""Routes of the control API: a function, and what the description says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from mockllm.endpoints.control.calls import APIS, MAX_CALLS
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.request import ControlBody, ControlRequest
from mockllm.engine.decision import Decision, Question


class Parameter(NamedTuple):
    """A parameter of a query: its name, what it means, and the JSON Schema of its values."""

    name: str
    meaning: str
    schema: dict[str, Any]


SESSION = Parameter(
    "session",
    "The name of a session; without it, all are meant, or that of the token if it has one.",
    {"type": "string", "maxLength": 128},
)
AFTER = Parameter(
    "after", "The `next` of the page before.", {"type": "integer", "minimum": 0, "default": 0}
)
LIMIT = Parameter(
    "limit",
    "The largest number of entries of the page.",
    {"type": "integer", "minimum": 0, "maximum": MAX_CALLS, "default": MAX_CALLS},
)
LATEST = Parameter(
    "latest",
    "The largest number of calls, and of further ones that no mock answered.",
    {"type": "integer", "minimum": 0, "maximum": 200, "default": 100},
)
MOCK = Parameter("mock", "The name or the id of the mock that answered.", {"type": "string"})
API = Parameter("api", "The API of the request.", {"enum": list(APIS)})
UNMATCHED = Parameter(
    "unmatched",
    "Whether no mock answered although one should.",
    {"type": "boolean"},
)

Answer = Callable[[Desk, ControlRequest], Decision | Question]
"""Answers a request that is admitted. Raises ControlError if it is refused."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is no error: its status, what it means, and the name of the schema of its body
    (None if it has none)."""

    status: int
    meaning: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A function, `answer`, for requests with `method` and a path of `template` below the prefix.

    `body` is the type of what it reads, or the name of its schema. `errors` are the statuses of its
    own errors. A `public` route needs no token; one that needs the server's own is not for the
    token of a session.
    """

    method: str
    template: str
    answer: Answer
    summary: str
    responses: tuple[Response, ...]
    query: tuple[Parameter, ...] = ()
    body: type[ControlBody] | str | None = None
    errors: tuple[int, ...] = ()
    public: bool = False
    needs_own_token: bool = False
    has_version: bool = False
    """True if its answer has an ETag."""
    checks_version: bool = False
    """True if it looks at ``if-match``."""
