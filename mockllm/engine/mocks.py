"""The compiled mocks of one API, and the replies rendered from them."""

from __future__ import annotations

from dataclasses import dataclass

from mockllm.config.models import Mock, MockStream
from mockllm.engine.decision import Answer
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.sources import FixedSource, ScriptedSource
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.index import RuleIndex
from mockllm.prompt import Prompt
from mockllm.providers import request_body
from mockllm.providers.api import API
from mockllm.providers.routes import NO_VALUES
from mockllm.validation.findings import Confirm
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire.chunking import Chunk

_NOT_STREAMED = MockStream()
NO_SOURCE = FixedSource(Answer({}))
"""The source of a mock that is not served, because JSON cannot represent it."""


@dataclass(frozen=True, slots=True)
class Table:
    """The compiled mocks of one API. `confirm` validates a request against the SDK's types; it is
    None if there are no mocks, so that the SDK need not be imported. `chunk` is the default for
    mocks that do not set their own."""

    api: API
    mocks: tuple[Mock, ...]
    index: RuleIndex
    confirm: Confirm | None
    chunk: Chunk = "word"
    sources: tuple[FixedSource | ScriptedSource, ...] = ()
    """The source of the answer of each mock, in the order of `mocks`."""
    fails: bool = False
    """True if a mock answers with a failure."""

    def validate(self, prompt: Prompt) -> None:
        """Validate a request against the SDK's type.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        finding = self.confirm(prompt.body) if self.confirm is not None else None
        if finding is None:
            return
        if finding.kind is FindingKind.MISSING:
            raise request_body.missing(finding.place)
        raise RequestError(400, str(finding), param=finding.place, code="invalid_type")

    def decode(self, body: bytes) -> Prompt:
        """Return the prompt of a request to this API with this `body`.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        request = Request.of("POST", self.api.routes[0], body=body)
        return self.api.decode(request, NO_VALUES)


def source_of(api: API, mock: Mock, chunk: Chunk) -> FixedSource:
    """Return where the answer of `mock` in `api` comes from; `chunk` is the configuration's
    default."""
    stream = stream_of(mock)
    if mock.failure is not None:
        failure = compile_error(mock.failure)
        return FixedSource(failed_answer(api, failure, stream.chunk or chunk))
    return FixedSource(Answer(mock.answer or {}, stream.chunk or chunk, stream.events))


def stream_of(mock: Mock) -> MockStream:
    """Return the stream settings of `mock`; the defaults for an API that does not stream."""
    return getattr(mock, "stream", _NOT_STREAMED)
