"""The configuration, in the user's words: one set of types for JSON files and for Python.

The form of a file and of these types is the same, and `mockllm schema` prints it as JSON Schema.
Whether a message or a response is what the official SDK expects is found by `engine.review`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    ValidationError,
)

from mockllm.config.address import checked_address
from mockllm.config.mistakes import join, label, problems
from mockllm.config.values import (
    ChunkSize,
    Event,
    SDKInput,
    SDKObject,
    empty_list_for_null,
)
from mockllm.errors import ConfigError


class MatchType(StrEnum):
    """How a mock's message or input, or a header's value, is compared."""

    EXACT = "exact"
    CONTAINS = "contains"


class _Words(BaseModel):
    """Frozen; unknown keys are errors, so typos are reported."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HeaderMatch(_Words):
    """A header that a request must bear: `value` is compared with the header's first value."""

    name: Annotated[str, Field(min_length=1)]
    value: str
    match_type: MatchType = MatchType.EXACT


class _Match(_Words):
    match_type: MatchType = MatchType.EXACT
    headers: Annotated[list[HeaderMatch], BeforeValidator(empty_list_for_null)] = []


class OpenAIRequestMatch(_Match):
    """`message`: a Chat Completions message, compared with the last of the request."""

    message: SDKObject


class OpenAIResponseRequestMatch(_Match):
    """`input`: a text or a list of Responses input items, compared with the request's."""

    input: SDKInput


class AnthropicRequestMatch(_Match):
    """`message`: a Messages message, compared with the last of the request."""

    message: SDKObject


class OpenAIEmbeddingsRequestMatch(_Match):
    """`input`: a text or a list of texts or tokens, compared with the request's."""

    input: SDKInput


class Stream(_Words):
    """How an answer is streamed, where a mock does not say otherwise."""

    chunk: ChunkSize = "word"
    """How text is cut into deltas: ``word``, ``char``, ``token``, or a number of graphemes. No cut
    goes through a grapheme: a flag, an emoji with its modifiers, a letter with its accents."""


class MockStream(_Words):
    """How one mock's answer is streamed."""

    chunk: ChunkSize | None = None
    """How text is cut into deltas; what `Stream` says if it is absent."""
    events: list[Event] | None = None
    """The stream, literally: each event is sent as it is written, and nothing else. Objects, and
    ``"[DONE]"`` where a Chat Completions stream ends."""


class _Mock(_Words):
    """What every mock has. `response` is served as written; what is absent is completed."""

    name: str = ""
    response: SDKObject
    _place: str = PrivateAttr(default="")

    @property
    def answer(self) -> dict[str, Any]:
        """`response`, as the JSON it is held as."""
        return cast("dict[str, Any]", self.response)

    @property
    def place(self) -> str:
        """Where it was read from, ``mocks/a.json: openai[3] 'greet'``; empty if made in Python."""
        return self._place

    def read_from(self, place: str) -> None:
        self._place = place


class _StreamedMock(_Mock):
    """A mock of an API that streams."""

    stream: MockStream = MockStream()


class OpenAIMock(_StreamedMock):
    """A mock of POST /v1/chat/completions; `response` is a `ChatCompletion`."""

    match: OpenAIRequestMatch


class OpenAIResponseMock(_StreamedMock):
    """A mock of POST /v1/responses; `response` is a `Response`."""

    match: OpenAIResponseRequestMatch


class AnthropicMock(_StreamedMock):
    """A mock of POST /v1/messages; `response` is a `Message`."""

    match: AnthropicRequestMatch


class OpenAIEmbeddingsMock(_Mock):
    """A mock of POST /v1/embeddings; `response` is a `CreateEmbeddingResponse`."""

    match: OpenAIEmbeddingsRequestMatch


Mock = OpenAIMock | OpenAIResponseMock | AnthropicMock | OpenAIEmbeddingsMock


class Config(_Words):
    """Everything a server is told. Mocks of one API are tried in the order they stand in."""

    listen_addr: Annotated[str, AfterValidator(checked_address)] | None = None
    """``HOST:PORT``, ``:PORT`` or ``PORT``; what the command line says wins."""
    require_auth: StrictBool = True
    """Whether a request without credentials is refused with 401."""
    cors: StrictBool = True
    """Whether web pages of any origin may read the answers (``access-control-allow-origin: *``)."""
    stream: Stream = Stream()
    """How answers are streamed, unless their mock says otherwise."""
    openai: Annotated[list[OpenAIMock], BeforeValidator(empty_list_for_null)] = []
    openai_response: Annotated[list[OpenAIResponseMock], BeforeValidator(empty_list_for_null)] = []
    anthropic: Annotated[list[AnthropicMock], BeforeValidator(empty_list_for_null)] = []
    openai_embeddings: Annotated[
        list[OpenAIEmbeddingsMock], BeforeValidator(empty_list_for_null)
    ] = []

    @classmethod
    def from_dict(cls, data: Any, *, file: str = "") -> Self:
        """A configuration in the file's form; `file` is how messages name it.

        Raises:
            ConfigError: with every mistake in it.
        """
        try:
            config = cls.model_validate(data)
        except ValidationError as exc:
            raise ConfigError(tuple(problems(exc, cls, data, file))) from exc
        for field in MOCK_FIELDS:
            for index, mock in enumerate(getattr(config, field)):
                mock.read_from(join(file, label(field, index, mock.name)))
        return config

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The configuration of one JSON file.

        Raises:
            ConfigError: it cannot be read, is not JSON, or has mistakes.
        """
        from mockllm.config.files import read_file  # which knows this class

        return cls.from_dict(read_file(path), file=str(path))


MOCK_FIELDS: Mapping[str, type[_Mock]] = {
    "openai": OpenAIMock,
    "openai_response": OpenAIResponseMock,
    "anthropic": AnthropicMock,
    "openai_embeddings": OpenAIEmbeddingsMock,
}
"""The lists of mocks, one for each API."""
