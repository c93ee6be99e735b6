"""The mocks of one API, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mockllm.config.models import Mock, MockStream
from mockllm.config.values import DONE
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.matching.index import RuleIndex
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers import request_body
from mockllm.providers.api import API
from mockllm.providers.routes import NO_VALUES
from mockllm.validation.findings import Confirm
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import placeholders, sse
from mockllm.wire.chunking import Chunk

_NOT_STREAMED = MockStream()


@dataclass(frozen=True, slots=True)
class Table:
    """One provider's mocks, ready to answer. `confirm` is the SDK's verdict on a request; None
    where there are no mocks, so that no SDK is imported to say that nothing matches."""

    api: API
    mocks: tuple[Mock, ...]
    index: RuleIndex
    confirm: Confirm | None
    chunk: Chunk = "word"

    def check(self, prompt: Prompt) -> None:
        """Hold a request against the SDK's type.

        Raises:
            RequestError: 400, naming the first member that does not fit.
        """
        finding = self.confirm(prompt.body) if self.confirm is not None else None
        if finding is None:
            return
        if finding.kind is FindingKind.MISSING:
            raise request_body.missing(finding.place)
        raise RequestError(400, str(finding), param=finding.place, code="invalid_type")

    def read(self, body: bytes) -> Prompt:
        """`body` as that of a request to this API.

        Raises:
            RequestError: 400, naming the first member that does not fit.
        """
        request = Request.of("POST", self.api.routes[0], body=body)
        return self.api.decode(request, NO_VALUES)

    def chunk_of(self, index: int) -> Chunk:
        """How the text of the mock at `index` is cut into deltas."""
        return stream_of(self.mocks[index]).chunk or self.chunk

    def render(self, index: int, options: ResponseOptions) -> Reply:
        """The reply of the mock at `index`: streamed literally, if it says so and a stream is
        wanted."""
        mock = self.mocks[index]
        events = stream_of(mock).events
        if options.stream and events is not None:
            frames = [self._frame(event) for event in events]
            return placeholders.stream(200, self.api.vendor.stream_headers, frames)
        return self.api.render(mock.answer, options, self.chunk_of(index))

    def _frame(self, event: Any) -> bytes:
        return sse.DONE if event == DONE else self.api.frame(event)


def stream_of(mock: Mock) -> MockStream:
    """How `mock` is streamed. An API that does not stream has nothing to say about it."""
    return getattr(mock, "stream", _NOT_STREAMED)
