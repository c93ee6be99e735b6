"""The types of a configuration, the same for files and for Python.

Messages and responses are not validated against the official SDK's types here, but by
`engine.review.mocks`; `engine.json_schema` describes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from mockllm.config.address import checked_address
from mockllm.config.answers import (
    Answers,
    EmbeddingsEntries,
    Entries,
    MockStream,
    NeutralStream,
    OwnStream,
    ReplyStream,
    ResponseEntries,
)
from mockllm.config.conditions import Conditions, MatchType
from mockllm.config.error import AnyError
from mockllm.config.json_file import read_file
from mockllm.config.latency import AnyLatency, Latency
from mockllm.config.match import Match
from mockllm.config.mistakes import problems
from mockllm.config.objects import ConfigObject
from mockllm.config.reply import AnyReply
from mockllm.config.session_values import checked_session, checked_session_header
from mockllm.config.shared_parts import SharedParts
from mockllm.config.traffic import Traffic
from mockllm.config.values import (
    MAX_NESTING,
    ChunkSize,
    ListOrNull,
    Name,
    OptionalSDKInput,
    OptionalSDKObject,
)
from mockllm.errors import NOWHERE, ConfigError, Place, Problem, Severity
from mockllm.wire.jsontext import is_shallow


class _Match(Conditions):
    match_type: MatchType = MatchType.EXACT
    """How a message or input is compared: ``exact``, or ``contains``."""


class _ConversationMatch(_Match, Match):
    """The match of an API with instructions and tools."""


class OpenAIRequestMatch(_ConversationMatch):
    """`message`: a Chat Completions message, compared with the last one of the request.
    Without it, any request matches."""

    message: OptionalSDKObject = None
    """A message in the form of the API, compared with the last one of the request."""
    all_of: Sequence[OpenAIRequestMatch] | None = None
    any_of: Annotated[Sequence[OpenAIRequestMatch], Field(min_length=1)] | None = None
    not_: Annotated[
        OpenAIRequestMatch | None, Field(validation_alias="not", serialization_alias="not")
    ] = None


class OpenAIResponseRequestMatch(_ConversationMatch):
    """`input`: a text or a list of Responses input items, compared with the request's input.
    Without it, any request matches."""

    input: OptionalSDKInput = None
    """An input in the form of the API, compared with that of the request."""
    all_of: Sequence[OpenAIResponseRequestMatch] | None = None
    any_of: Annotated[Sequence[OpenAIResponseRequestMatch], Field(min_length=1)] | None = None
    not_: Annotated[
        OpenAIResponseRequestMatch | None, Field(validation_alias="not", serialization_alias="not")
    ] = None


class AnthropicRequestMatch(_ConversationMatch):
    """`message`: a message of the Messages API, compared with the last one of the request.
    Without it, any request matches."""

    message: OptionalSDKObject = None
    """A message in the form of the API, compared with the last one of the request."""
    all_of: Sequence[AnthropicRequestMatch] | None = None
    any_of: Annotated[Sequence[AnthropicRequestMatch], Field(min_length=1)] | None = None
    not_: Annotated[
        AnthropicRequestMatch | None, Field(validation_alias="not", serialization_alias="not")
    ] = None


class OpenAIEmbeddingsRequestMatch(_Match):
    """`input`: a text or a list of texts or token ids, compared with the request's input. Without
    it, any request matches."""

    input: OptionalSDKInput = None
    """An input in the form of the API, compared with that of the request."""
    all_of: Sequence[OpenAIEmbeddingsRequestMatch] | None = None
    any_of: Annotated[Sequence[OpenAIEmbeddingsRequestMatch], Field(min_length=1)] | None = None
    not_: Annotated[
        OpenAIEmbeddingsRequestMatch | None,
        Field(validation_alias="not", serialization_alias="not"),
    ] = None


class Stream(ConfigObject):
    """The streaming of all answers; a mock may override it."""

    chunk: ChunkSize = "word"
    """The size of text deltas: ``word``, ``char``, ``token``, or a number of graphemes. A grapheme
    (a flag, an emoji with its modifiers, a letter with its accents) is never cut."""


class SessionHeader(ConfigObject):
    """The header whose value names the session of a request, if neither the URL nor the header
    ``x-mockllm-session`` does."""

    header: Annotated[str, AfterValidator(checked_session_header)]
    """The name of the header."""


class _Mock(Answers):
    """The fields of every mock. A mock without `match` answers any request."""

    name: Name = ""
    """The name in messages, logs and assertions. A mock with a name keeps its place in a sequence
    when the configuration is loaded again."""

    @cached_property
    def place(self) -> Place:
        """The place in a file, ``mocks/a.json: openai[3] 'greet'``; empty if created in Python."""
        return NOWHERE

    def place_in(self, field: str, index: int) -> Place:
        """Return `place` or, of a mock created in Python, its position in the list of an API:
        ``openai[3] 'greet'``."""
        return self.place or Place(field=field, position=index, name=self.name)

    @model_validator(mode="after")
    def _share(self, info: ValidationInfo) -> Self:
        if isinstance(info.context, SharedParts):
            info.context.compact(self)
            info.context.compact(self.__dict__["match"])
        return self

    def read_from(self, place: Place) -> None:
        """Record the place that the mock was read from."""
        self.__dict__["place"] = place  # a private attribute takes 200 bytes more


class Mock(_Mock):
    """A mock of every API with a conversation: Chat Completions, Responses and Messages."""

    match: Match = Match()
    """The requests that are answered: all conditions must hold; without any, all requests are."""
    reply: AnyReply | None = None
    """The answer in the words of no API: a text, or an object."""
    error: AnyError | None = None
    """A failure of the service: a word, or an object."""
    sequence: Entries | None = Field(default=None, validate_default=True)
    """Several answers, in order."""
    first: Entries | None = None
    """Answers that come before the mock's own. Those without an answer take that."""
    stream: NeutralStream = ReplyStream()
    """How the answer is streamed."""


class _StreamedMock(_Mock):
    """A mock of one API that streams. A `response` is served as written, with missing members
    filled in."""

    response: OptionalSDKObject = None
    """The answer in the form of the API."""
    reply: AnyReply | None = None
    """The answer in the words of no API: a text, or an object."""
    error: AnyError | None = None
    """A failure of the service: a word, or an object."""
    sequence: ResponseEntries | None = Field(default=None, validate_default=True)
    """Several answers, in order."""
    first: ResponseEntries | None = None
    """Answers that come before the mock's own. Those without an answer take that."""
    stream: OwnStream = MockStream()
    """How the answer is streamed."""


class OpenAIMock(_StreamedMock):
    """A mock of POST /v1/chat/completions; `response` is a `ChatCompletion`."""

    match: OpenAIRequestMatch = OpenAIRequestMatch()
    """The requests that are answered: all conditions must hold; without any, all requests are."""


class OpenAIResponseMock(_StreamedMock):
    """A mock of POST /v1/responses; `response` is a `Response`."""

    match: OpenAIResponseRequestMatch = OpenAIResponseRequestMatch()
    """The requests that are answered: all conditions must hold; without any, all requests are."""


class AnthropicMock(_StreamedMock):
    """A mock of POST /v1/messages; `response` is a `Message`."""

    match: AnthropicRequestMatch = AnthropicRequestMatch()
    """The requests that are answered: all conditions must hold; without any, all requests are."""


class OpenAIEmbeddingsMock(_Mock):
    """A mock of POST /v1/embeddings; `response` is a `CreateEmbeddingResponse`."""

    match: OpenAIEmbeddingsRequestMatch = OpenAIEmbeddingsRequestMatch()
    """The requests that are answered: all conditions must hold; without any, all requests are."""
    response: OptionalSDKObject = None
    """The answer in the form of the API."""
    error: AnyError | None = None
    """A failure of the service: a word, or an object."""
    sequence: EmbeddingsEntries | None = Field(default=None, validate_default=True)
    """Several answers, in order."""
    first: EmbeddingsEntries | None = None
    """Answers that come before the mock's own. Those without an answer take that."""


AnyMock = OpenAIMock | OpenAIResponseMock | AnthropicMock | OpenAIEmbeddingsMock | Mock


class Config(ConfigObject):
    """The configuration of a server. The mocks of an API are tried in order."""

    listen_addr: Annotated[str, AfterValidator(checked_address)] | None = None
    """``HOST:PORT``, ``:PORT`` or ``PORT``; options of the command line take precedence."""
    require_auth: StrictBool = True
    """Refuse requests without credentials with status 401."""
    cors: StrictBool = True
    """Let web pages of any origin read the answers (``access-control-allow-origin: *``)."""
    stream: Stream = Stream()
    """The streaming of all answers, unless a mock overrides it."""
    session: Annotated[
        SessionHeader | Literal["credential"] | None, BeforeValidator(checked_session)
    ] = None
    """The session of requests that name none: ``{"header": NAME}`` for the value of a header,
    ``"credential"`` for one session per API key."""
    openai: ListOrNull[OpenAIMock] = Field(default_factory=list)
    """The mocks of Chat Completions."""
    openai_response: ListOrNull[OpenAIResponseMock] = Field(default_factory=list)
    """The mocks of Responses."""
    anthropic: ListOrNull[AnthropicMock] = Field(default_factory=list)
    """The mocks of Messages."""
    openai_embeddings: ListOrNull[OpenAIEmbeddingsMock] = Field(default_factory=list)
    """The mocks of Embeddings."""
    mocks: ListOrNull[Mock] = Field(default_factory=list)
    """The mocks of every API with a conversation. They are tried after those of the API's own
    list."""
    seed: StrictInt = 0
    """The seed of what is drawn at random: with equal seeds, the same happens."""
    models: ListOrNull[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """The models that ``/v1/models`` lists, before those that mocks name."""
    latency: AnyLatency | None = None
    """How long answers take, unless a mock says so itself. Errors take no time."""
    traffic: ListOrNull[Traffic] = Field(default_factory=list)
    """What happens to all requests that match, whoever answers: errors, faults and latencies, for a
    while, or to a share of the requests."""
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())
    _latency_read: tuple[object, str] = PrivateAttr(default=(None, ""))
    """The `latency` that was read from a file, and the file's name."""

    @classmethod
    def from_dict(cls, data: Any, *, file: str = "") -> Self:
        """Validate the content of a configuration file; `file` is its name in messages.

        Raises:
            ConfigError: `data` is invalid; the error has all mistakes.
        """
        return cls._validated(data, file, SharedParts())

    @classmethod
    def from_read(cls, data: Any, *, file: str) -> Self:
        """Do what `from_dict` does with what was read from `file`, and keep parts of it.

        Raises:
            ConfigError: as `from_dict` does.
        """
        return cls._validated(data, file, SharedParts(is_own=is_shallow(data, MAX_NESTING)))

    @classmethod
    def _validated(cls, data: Any, file: str, shared: SharedParts) -> Self:
        try:
            config = cls.model_validate(data, context=shared)
        except ValidationError as exc:
            raise ConfigError(tuple(problems(exc, cls, data, file))) from exc
        for field in MOCK_FIELDS:
            for index, mock in enumerate(getattr(config, field)):
                mock.read_from(Place(file=file, field=field, position=index, name=mock.name))
        for index, entry in enumerate(config.traffic):
            entry.read_from(Place(file=file, field="traffic", position=index, name=entry.name))
        config._latency_read = config.latency, file
        return config

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read one JSON or YAML file.

        Raises:
            ConfigError: the file cannot be read, is not JSON or YAML, or is invalid.
        """
        read = read_file(path)
        try:
            config = cls.from_read(read.data, file=str(path))
        except ConfigError as exc:
            raise ConfigError(read.with_others(exc.problems)) from exc
        if any(problem.severity is Severity.ERROR for problem in read.problems):
            raise ConfigError(read.problems)
        config.add_warnings(read.problems)
        return config

    def fingerprint(self) -> str:
        """Return what tells the configuration from others, whichever address it is served at and
        whichever files it was read from. It is that of values, and must have no functions."""
        written = self.model_dump_json(exclude={"listen_addr"})
        return blake2b(written.encode(), digest_size=16).hexdigest()

    @property
    def pace(self) -> Latency | None:
        """`latency` as an object: validation has converted presets."""
        return cast("Latency | None", self.latency)

    @property
    def latency_place(self) -> Place:
        """The file that `latency` was read from; empty if it is from elsewhere."""
        latency, file = self._latency_read
        return Place(file=file) if latency is self.latency else Place()

    def keep_latency_place(self, read: Config) -> None:
        """Record that `latency` is that of a configuration which was read."""
        self._latency_read = read._latency_read

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The likely mistakes that were found while the files were read."""
        return self._warnings

    def add_warnings(self, warnings: Iterable[Problem]) -> None:
        """Record warnings about the files that the configuration was read from."""
        self._warnings = (*self._warnings, *warnings)


MOCK_FIELDS: Mapping[str, type[_Mock]] = {
    "openai": OpenAIMock,
    "openai_response": OpenAIResponseMock,
    "anthropic": AnthropicMock,
    "openai_embeddings": OpenAIEmbeddingsMock,
    "mocks": Mock,
}
"""The types of mocks by the field of `Config` that lists them."""

JOINED_FIELDS = (*MOCK_FIELDS, "models", "traffic")
"""The lists of `Config` that several files have together."""
