"""The compiled mocks of one API, and the replies rendered from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mockllm.config.models import Mock, MockStream
from mockllm.config.values import DONE
from mockllm.errors import RequestError
from mockllm.exchange import Reply
from mockllm.matching.index import RuleIndex
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers import request_body
from mockllm.providers.api import API
from mockllm.validation.findings import Confirm
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import placeholders, sse
from mockllm.wire.chunking import Chunk

_NOT_STREAMED = MockStream()


@dataclass(frozen=True, slots=True)
class Table:
    """The mocks of one API, compiled. `confirm` validates a request by the SDK's types; None if
    there are no mocks, so that no SDK is imported in vain."""

    api: API
    mocks: tuple[Mock, ...]
    index: RuleIndex
    confirm: Confirm | None
    chunk: Chunk = "word"

    def check(self, prompt: Prompt) -> None:
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

    def chunk_of(self, index: int) -> Chunk:
        """Return the chunk size for the text of the mock at `index`."""
        return stream_of(self.mocks[index]).chunk or self.chunk

    def render(self, index: int, options: ResponseOptions) -> Reply:
        """Render the reply of the mock at `index`. Its literal events are used for a streaming
        request, if it has any."""
        mock = self.mocks[index]
        events = stream_of(mock).events
        if options.stream and events is not None:
            frames = [self._frame(event) for event in events]
            return placeholders.stream(200, self.api.stream_headers, frames)
        return self.api.render(mock.answer, options, self.chunk_of(index))

    def _frame(self, event: Any) -> bytes:
        return sse.DONE if event == DONE else self.api.frame(event)


def stream_of(mock: Mock) -> MockStream:
    """Return the stream settings of `mock`; the defaults for an API that does not stream."""
    return getattr(mock, "stream", _NOT_STREAMED)
