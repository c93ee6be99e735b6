"""An API: one wire format of a vendor, a codec as a record of functions.

It turns a request into a prompt and a configured response into wire bytes. It sees no socket, no
clock, no table of mocks; matching, pacing and journals are written once, for all APIs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mockllm.exchange import Reply, Request
from mockllm.matching.predicates import Predicate
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.routes import Values
from mockllm.providers.vendor import Vendor
from mockllm.validation.findings import Confirm, Finding
from mockllm.wire.chunking import Chunk


class SDK(Protocol):
    """An API's module `sdk.py`: the only one that imports the vendor's official SDK.

    Importing it costs a second or two, so it happens when the first mock of the API is loaded.
    """

    def request_confirmer(self, *, strict: bool) -> Confirm: ...
    def confirm_match(self, value: Any) -> list[Finding]: ...
    def confirm_response(self, response: dict[str, Any]) -> list[Finding]: ...
    def confirm_event(self, event: dict[str, Any]) -> list[Finding]: ...


@dataclass(frozen=True, slots=True)
class API:
    """One API.

    `name` is the field of `Config` that holds its mocks, `title` its usual name, `routes` the paths
    of its POST requests as templates (`routes.Routes`), the vendor's own first, `match_field` the
    member of a mock's match (``message`` or ``input``).
    """

    vendor: Vendor
    name: str
    title: str
    routes: tuple[str, ...]
    match_field: str

    sdk: Callable[[], SDK]

    decode: Callable[[Request, Values], Prompt]
    """`decode(request, values)`: the request as a prompt, by its structure alone; `values` are
    those of its path. Raises RequestError naming the member."""

    compile_match: Callable[[Any, bool], Predicate]
    """`compile_match(value, contains)`: a mock's message or input as a predicate. Raises
    ValueError with a reason where no request could ever meet it."""

    render: Callable[[dict[str, Any], ResponseOptions, Chunk], Reply]
    """`render(response, options, chunk)`: a configured response as it goes over the wire. Absent
    members are filled in; written ones are not changed. Never raises."""

    text_response: Callable[[str], dict[str, Any]]
    """The smallest response with this text."""

    frame: Callable[[dict[str, Any]], bytes]
    """One event of a stream, with any members, as it goes over the wire."""

    ends_with_done: bool = False
    """True if a stream ends with ``[DONE]``."""

    generate: Callable[[Prompt], dict[str, Any]] | None = None
    """The response to a request where no mock of this API is configured, if the API can answer any
    request; None if it cannot."""
