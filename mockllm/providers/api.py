"""What a provider is: a codec, as a record of functions.

It turns request bytes into a prompt and a configured response into wire bytes. It sees no socket,
no clock, no table of mocks; matching, pacing and journals are written once, for all providers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mockllm.errors import ClientError
from mockllm.exchange import Headers, Reply, Request
from mockllm.matching.predicates import Predicate
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.validation.findings import Confirm, Finding
from mockllm.wire.chunking import Chunk


class SDK(Protocol):
    """A provider's module `sdk.py`: the only one that imports the provider's official SDK.

    Importing it costs a second or two, so it happens when the first mock of the provider is loaded.
    """

    def request_confirmer(self, *, strict: bool) -> Confirm: ...
    def confirm_match(self, value: Any) -> list[Finding]: ...
    def confirm_response(self, response: dict[str, Any]) -> list[Finding]: ...
    def confirm_event(self, event: dict[str, Any]) -> list[Finding]: ...


@dataclass(frozen=True, slots=True)
class API:
    """One API.

    `name` is the field of `Config` that holds its mocks, `title` what people call it, `paths` where
    it answers POST requests, `match_field` the member of a mock's match (``message`` or ``input``).
    """

    name: str
    title: str
    paths: tuple[str, ...]
    match_field: str

    sdk: Callable[[], SDK]

    authenticate: Callable[[Request, bool], None]
    """`admit(request, require_auth)`: credentials and required headers. Raises RequestError."""

    decode: Callable[[bytes], Prompt]
    """The body as a prompt, by its structure alone. Raises RequestError naming the member."""

    compile_match: Callable[[Any, bool], Predicate]
    """`compile_match(value, contains)`: a mock's message or input as a predicate. Raises
    ValueError with a reason where no request could ever meet it."""

    render: Callable[[dict[str, Any], ResponseOptions, Chunk], Reply]
    """`render(response, form, chunk)`: a configured response as it goes over the wire. What is
    absent is completed; nothing that is written is changed. Never raises."""

    render_error: Callable[[ClientError, Mapping[str, Any]], Reply]
    """An error in the provider's envelope, with further members beside it."""

    text_response: Callable[[str], dict[str, Any]]
    """The smallest response that says this text."""

    stream_headers: Headers
    """The headers of a streamed answer."""

    frame: Callable[[dict[str, Any]], bytes]
    """One event of a stream, whatever its author wrote in it, as it goes over the wire."""

    ends_with_done: bool = False
    """Whether a stream ends with ``[DONE]``."""

    generate: Callable[[Prompt], dict[str, Any]] | None = None
    """The response to a request where no mock of this API is configured at all, for an API that
    has an answer to anything; None for any other."""
