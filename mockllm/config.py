"""The configuration, in the user's words: one set of types for JSON files and for Python.

The form of a file and of these types is the same, and `mockllm schema` prints it as JSON Schema.
What pydantic finds wrong is told by `engine.loading`, which also knows files and paths; whether a
message or a response is what the official SDK expects is found there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    StrictBool,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from mockllm.errors import ConfigError, Problem
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
HIGHEST_PORT = 65535

MOST_NESTED = 200  # levels; no answer has 30, and Python's recursion ends at a few hundred
LARGEST_CHUNK = 1_000_000  # graphemes; more are the whole text anyway
DONE = "[DONE]"
"""What ends a Chat Completions stream, as an event of a stream that is given literally."""


_LEAVES = frozenset({str, int, float, bool, type(None)})


def _as_data(value: Any, left: int = MOST_NESTED) -> Any:
    """An object of an official SDK as the JSON it stands for; anything else as it is."""
    if type(value) in _LEAVES:  # nearly all, and asking an abstract class is slow
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    if left == 0:
        raise PydanticCustomError(
            "too_deep", "nested deeper than {most} levels", {"most": MOST_NESTED}
        )
    if isinstance(value, Mapping):
        return {key: _as_data(member, left - 1) for key, member in value.items()}
    return [_as_data(entry, left - 1) for entry in value]


def _as_object(value: Any) -> Any:
    return _as_data(value)


def _as_chunk(value: Any) -> Any:
    if value in ("word", "char", "token") and isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_CHUNK:
        return value
    raise PydanticCustomError(
        "chunk", "expected 'word', 'char', 'token' or a number of graphemes, at least 1"
    )


def _as_event(value: Any) -> Any:
    if value != DONE and not isinstance(value, (Mapping, BaseModel)):
        raise PydanticCustomError("event", "expected an object or '[DONE]'")
    return _as_data(value)


def _as_input(value: Any) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise PydanticCustomError("input_type", "expected a string or a list")
    return _as_data(value)


def _empty_list_for_null(value: Any) -> Any:
    return [] if value is None else value


if TYPE_CHECKING:  # what may be written, for type checkers; what is held is JSON
    SDKObject = Mapping[str, object] | BaseModel
    SDKInput = str | Sequence[object]
else:
    SDKObject = Annotated[dict[str, Any], BeforeValidator(_as_object)]
    SDKInput = Annotated[str | list[Any], BeforeValidator(_as_input)]

_EVENT_SCHEMA = {"anyOf": [{"type": "object"}, {"const": DONE}]}
Event = Annotated[dict[str, Any] | str, PlainValidator(_as_event), WithJsonSchema(_EVENT_SCHEMA)]
_CHUNK_SCHEMA = {
    "anyOf": [
        {"enum": ["word", "char", "token"]},
        {"type": "integer", "minimum": 1, "maximum": LARGEST_CHUNK},
    ]
}
ChunkSize = Annotated[Chunk, PlainValidator(_as_chunk), WithJsonSchema(_CHUNK_SCHEMA)]


class MatchType(StrEnum):
    """How a mock's message or input, or a header's value, is compared."""

    EXACT = "exact"
    CONTAINS = "contains"


class _Words(BaseModel):
    """Frozen, and no key that is not ours: a typo is told, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HeaderMatch(_Words):
    """A header that a request must bear: `value` is compared with the header's first value."""

    name: Annotated[str, Field(min_length=1)]
    value: str
    match_type: MatchType = MatchType.EXACT


class _Match(_Words):
    match_type: MatchType = MatchType.EXACT
    headers: Annotated[list[HeaderMatch], BeforeValidator(_empty_list_for_null)] = []


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

    def _read_from(self, place: str) -> None:
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


def parse_address(text: str) -> tuple[str | None, int | None]:
    """Host and port of ``HOST:PORT``, ``:PORT``, ``PORT`` or ``HOST``; None for what is absent.

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon and not port.isdecimal():
        return port or None, None
    if not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise ValueError(f"expected HOST:PORT, found {text!r}")
    return host.strip("[]") or None, int(port)


def _checked_address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError:
        raise PydanticCustomError("address", "expected HOST:PORT") from None
    return text


class Config(_Words):
    """Everything a server is told. Mocks of one API are tried in the order they stand in."""

    listen_addr: Annotated[str, AfterValidator(_checked_address)] | None = None
    """``HOST:PORT``, ``:PORT`` or ``PORT``; what the command line says wins."""
    require_auth: StrictBool = True
    """Whether a request without credentials is refused with 401."""
    cors: StrictBool = True
    """Whether web pages of any origin may read the answers (``access-control-allow-origin: *``)."""
    stream: Stream = Stream()
    """How answers are streamed, unless their mock says otherwise."""
    openai: Annotated[list[OpenAIMock], BeforeValidator(_empty_list_for_null)] = []
    openai_response: Annotated[list[OpenAIResponseMock], BeforeValidator(_empty_list_for_null)] = []
    anthropic: Annotated[list[AnthropicMock], BeforeValidator(_empty_list_for_null)] = []
    openai_embeddings: Annotated[
        list[OpenAIEmbeddingsMock], BeforeValidator(_empty_list_for_null)
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
            raise ConfigError(tuple(_problems(exc, data, file))) from exc
        for field in MOCK_FIELDS:
            for index, mock in enumerate(getattr(config, field)):
                mock._read_from(_join(file, label(field, index, mock.name)))
        return config

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The configuration of one JSON file.

        Raises:
            ConfigError: it cannot be read, is not JSON, or has mistakes.
        """
        return cls.from_dict(read_file(path), file=str(path))

    @classmethod
    def sound_mocks(cls, data: Any, *, file: str) -> Self:
        """The mocks of a configuration with mistakes that have none of their own, so that what
        else may be wrong with them is found in the same run."""
        sound: dict[str, list[_Mock]] = {}
        for field, kind in MOCK_FIELDS.items():
            written = data.get(field) if isinstance(data, dict) else None
            sound[field] = []
            for index, entry in enumerate(written if isinstance(written, list) else ()):
                try:
                    mock = kind.model_validate(entry)
                except ValidationError:
                    continue
                mock._read_from(_join(file, label(field, index, mock.name)))
                sound[field].append(mock)
        return cls.model_construct(**sound)  # type: ignore[arg-type]  # each list has its own kind


def read_file(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        ConfigError: it cannot be read, or is not JSON.
    """
    file = str(path)
    try:
        return jsontext.loads(Path(path).read_bytes(), most_values=None)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError((Problem(file, f"cannot be read: {reason}"),)) from exc
    except ValueError as exc:
        raise ConfigError((Problem(file, f"is not JSON: {exc}"),)) from exc


def read_files(*paths: str | Path) -> tuple[Config, list[Problem]]:
    """The configuration of several files, and what is wrong with them: their mocks in order, as far
    as they are sound. A directory stands for its ``*.json`` files, sorted by name. Of settings that
    are no mocks, the last one counts."""
    problems: list[Problem] = []
    configs: list[Config] = []
    for file in _files(paths, problems):
        data = None
        try:
            data = read_file(file)
            configs.append(Config.from_dict(data, file=str(file)))
        except ConfigError as exc:
            problems += exc.problems
            configs.append(Config.sound_mocks(data, file=str(file)))
    return _merged(configs), problems


def _files(paths: Iterable[str | Path], problems: list[Problem]) -> Iterator[Path]:
    for path in map(Path, paths):
        try:
            files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        except OSError as exc:
            problems.append(Problem(str(path), f"cannot be read: {exc.strerror}"))
            continue
        if not files:
            problems.append(
                Problem(str(path), "expected a directory with *.json files, found none")
            )
        yield from files


def _merged(configs: Sequence[Config]) -> Config:
    """One configuration of several. Mocks keep the place they were read from."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= {name: getattr(config, name) for name in config.model_fields_set}
    for field in MOCK_FIELDS:
        merged[field] = [mock for config in configs for mock in getattr(config, field)]
    return Config.model_construct(**merged)


MOCK_FIELDS: Mapping[str, type[_Mock]] = {
    "openai": OpenAIMock,
    "openai_response": OpenAIResponseMock,
    "anthropic": AnthropicMock,
    "openai_embeddings": OpenAIEmbeddingsMock,
}
"""The lists of mocks, one for each API."""


def label(field: str, index: int, name: str) -> str:
    """How messages name a mock: ``openai[3] 'greet'``."""
    return f"{field}[{index}] {name!r}" if name else f"{field}[{index}]"


# --- What pydantic found wrong, in the user's words ----------------------------------------------

Location = tuple[int | str, ...]


def _problems(error: ValidationError, data: Any, file: str) -> list[Problem]:
    """One problem for each mistake. An absent key that a misspelt one was meant to be is told once,
    with the misspelt one."""
    details = error.errors(include_url=False, include_context=True)
    meant = {
        (*detail["loc"][:-1], _meant(detail["loc"]))
        for detail in details
        if detail["type"] == "extra_forbidden"
    }
    return [
        Problem(_place(detail["loc"], data, file), _what(detail))
        for detail in details
        if not (detail["type"] == "missing" and detail["loc"] in meant)
    ]


def _what(detail: ErrorDetails) -> str:
    found = _describe(detail["input"])
    match detail["type"]:
        case "too_deep":
            return detail["msg"]
        case "extra_forbidden":
            words = ", ".join(sorted(_words_at(detail["loc"])))
            return f"unknown key, expected one of {words}{_did_you_mean(_meant(detail['loc']))}"
        case "missing":
            return "expected a value, found nothing"
        case "enum":
            close = get_close_matches(str(detail["input"]), [str(word) for word in MatchType], n=1)
            hint = _did_you_mean(close[0] if close else None)
            return f"expected {detail['ctx']['expected']}, found {found}{hint}"
        case "dict_type" | "model_type":
            return f"expected an object, found {found}"
        case "list_type":
            return f"expected a list, found {found}"
        case "string_type":
            return f"expected a string, found {found}"
        case "string_too_short":
            return "expected a string that is not empty, found an empty one"
        case "bool_type":
            return f"expected true or false, found {found}"
        case _:
            return f"{detail['msg']}, found {found}"


def _place(location: Location, data: Any, file: str) -> str:
    """``mocks/a.json: openai[3] 'greet': match.match_type`` of ("openai", 3, "match", ...)."""
    match location:
        case (str() as field, int() as index, *rest) if field in MOCK_FIELDS:
            mock = data[field][index]
            name = mock.get("name", "") if isinstance(mock, dict) else ""
            where = label(field, index, name if isinstance(name, str) else "")
        case _:
            where, rest = "", list(location)
    return _join(file, where, json_path(rest))


def json_path(location: list[int | str]) -> str:
    """``match.headers[0].name`` of ["match", "headers", 0, "name"]."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return path.removeprefix(".")


def _words_at(location: Location) -> list[str]:
    """The keys that may stand where `location` ends."""
    model: type[BaseModel] = Stream if location[:-1] == ("stream",) else Config
    if len(location) > 2 and location[0] in MOCK_FIELDS:
        mock = MOCK_FIELDS[str(location[0])]
        match location[2:]:
            case ("match", "headers", *_):
                model = HeaderMatch
            case ("stream", _, *_):
                model = MockStream
            case ("match", _):
                model = cast("type[BaseModel]", mock.model_fields["match"].annotation)
            case _:
                model = mock
    return list(model.model_fields)


def _meant(location: Location) -> str | None:
    close = get_close_matches(str(location[-1]), _words_at(location), n=1)
    return close[0] if close else None


def _did_you_mean(word: str | None) -> str:
    return f"; did you mean {word!r}?" if word else ""


def _describe(value: Any) -> str:
    if isinstance(value, (str, int, float)):
        shown = repr(value) if isinstance(value, str) else jsontext.dumps(value).decode()
        return shown if len(shown) <= 60 else shown[:60] + "…"
    return jsontext.kind(value)


def _join(*parts: str) -> str:
    return ": ".join(part for part in parts if part)
