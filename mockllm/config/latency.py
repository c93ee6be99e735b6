"""The type of `latency`: how long an answer takes, token by token, and what it shares with others.

It knows the presets and refuses what contradicts itself. It does not know how times pass: that is
`replies.pools` and `serve.clock`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError

from mockllm.config.durations import (
    MAX_SECONDS,
    MIN_SUSPICIOUS,
    Duration,
    Seconds,
    describe_suspicious,
    find_suspicious,
    is_duration,
    spell,
)
from mockllm.config.error import AnyError, Error
from mockllm.config.mistakes import contradiction, problems
from mockllm.config.objects import ConfigObject

Preset = Literal["vllm-8b", "vllm-70b", "fast-350ms-100tps", "large-1100ms-45tps", "instant"]
"""The latencies that have a name; docs/latency.md has their sources."""

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "vllm-8b": {"ttft": "60ms", "itl": "12ms", "jitter": 0.1},
    "vllm-70b": {
        "ttft": "8ms",
        "ttft_per_token": "0.08ms",
        "itl": "18.6ms",
        "concurrency": 86,
        "slowdown": 5.0,
    },
    "fast-350ms-100tps": {"ttft": "350ms", "tps": 100.0, "jitter": 0.3},
    "large-1100ms-45tps": {"ttft": "1100ms", "tps": 45.0, "jitter": 0.5},
    "instant": {},
}
"""The members of each preset."""

MAX_PLACES = 1_000_000
MIN_SUSPICIOUS_PER_TOKEN = 5  # seconds, written without a unit
_Count = Annotated[int, Field(strict=True, ge=1, le=MAX_PLACES)]
_Size = Annotated[int, Field(strict=True, ge=0, le=MAX_PLACES)]


class Latency(ConfigObject):
    """How long an answer takes: the time to its first token, and the time of each further one."""

    preset: Preset | None = None
    """A latency that has a name; the other members replace those that it has."""
    ttft: Duration | None = None
    """The time to the first token."""
    itl: Duration | None = None
    """The time between two tokens."""
    tps: Annotated[float, Field(strict=True, ge=1e-6, le=1_000_000, allow_inf_nan=False)] | None = (
        None
    )
    """Tokens per second, in place of `itl`."""
    ttft_per_token: Duration | None = None
    """The time that each token of the prompt adds to that of the first token."""
    cached: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] | None = None
    """The share of the prompt's tokens that are cached, from 0 to 1. They add no time."""
    jitter: Annotated[float, Field(strict=True, ge=0, le=10, allow_inf_nan=False)] | None = None
    """How much the times vary: their standard deviation, divided by their mean."""
    pool: Annotated[str, Field(min_length=1)] | None = None
    """The name of the pool; by default each latency that is written has its own."""
    shared: StrictBool = False
    """Whether all workers, and all servers with the same state, have one line for the pool, and not
    a share of its places each."""
    concurrency: _Count | None = None
    """The number of answers of the pool that are generated at once."""
    queue: _Size | None = None
    """The number of requests that wait for a place; unlimited by default."""
    full: AnyError = Error(word="overloaded")
    """The error of further requests; that of an overloaded service by default."""
    slowdown: Annotated[float, Field(strict=True, ge=1, le=1_000, allow_inf_nan=False)] | None = (
        None
    )
    """The factor on the time between tokens if all places are taken; its square root is that on the
    time to the first token."""

    @model_validator(mode="after")
    def _agrees(self) -> Latency:
        if self.itl is not None and self.tps is not None:
            raise contradiction("expected either 'itl' or 'tps', found both")
        if self.cached is not None and self.effective("ttft_per_token") is None:
            raise contradiction("expected 'ttft_per_token' beside 'cached', found nothing")
        if self.effective("concurrency") is None:
            for name in ("queue", "full", "slowdown", "shared"):
                if name in self.model_fields_set and getattr(self, name) is not False:
                    raise contradiction(f"expected 'concurrency' beside {name!r}, found nothing")
        if "full" in self.model_fields_set and self.queue is None:
            raise contradiction("expected 'queue' beside 'full': without it, all requests wait")
        return self

    def effective(self, name: str) -> Any:
        """Return the value of a member: as written, else that of the preset. None if there is
        none."""
        if name in self.model_fields_set or self.preset is None:
            return getattr(self, name)
        return getattr(_PRESETS[self.preset], name)

    @property
    def between_tokens(self) -> float:
        """The seconds between two tokens."""
        for source in (self, *([] if self.preset is None else [_PRESETS[self.preset]])):
            if source.itl is not None:
                return float(source.itl)
            if source.tps is not None:
                return 1.0 / source.tps
        return 0.0

    @property
    def error(self) -> Error:
        """`full` as an object: validation has converted words."""
        return cast("Error", self.full)

    def seconds(self, name: str) -> float:
        """Return the seconds of a member that is a duration; 0 if there are none."""
        value = self.effective(name)
        return 0.0 if value is None else float(value)


_PRESETS = {name: Latency.model_validate(members) for name, members in PRESETS.items()}


def read_latency(value: Any) -> Latency:
    """Return the latency that is written as a preset or an object.

    Raises:
        ValueError: it is neither, or contradicts itself.
    """
    try:
        found = _ADAPTER.validate_python(value)
    except ValidationError as exc:
        (first, *_) = problems(exc, Latency, value, "")
        raise ValueError(str(first)) from exc
    assert isinstance(found, Latency)
    return found


def parse_latency(text: str) -> Latency:
    """Return the latency that is written on the command line: a preset, or members such as
    ``ttft=350ms,itl=10ms``, or both: ``vllm-70b,ttft=1s``.

    Raises:
        ValueError: it is invalid.
    """
    return read_latency(read_members(text))


def read_members(text: str) -> dict[str, Any]:
    """Return the members of a latency that is written as `parse_latency` reads it, not validated.

    Raises:
        ValueError: one has no value or no name, or is written twice.
    """
    first, *others = text.split(",")
    if is_duration(first):
        raise ValueError(f"expected a preset or NAME=VALUE, found {first!r}; write ttft={first}")
    written = [first, *others] if "=" in first else [f"preset={first}", *others]
    members: dict[str, Any] = {}
    for member in written:
        name, equals, value = (part.strip() for part in member.partition("="))
        if not equals:
            raise ValueError(f"expected NAME=VALUE, found {member!r}")
        if name in members:
            raise ValueError(f"{name!r} is written twice")
        members[name] = _number(value)
    return members


def _number(text: str) -> float | str | bool:
    """Return a number, or true or false, that is written as a text; any other text as it is."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def suspicious_times(latency: Latency) -> Iterator[tuple[list[int | str], str]]:
    """Yield the path of each duration in a latency that was surely meant as milliseconds, with what
    to write instead."""
    found = dict[str, tuple[list[int | str], str]]()
    for path, message in find_suspicious(latency):
        found[str(path)] = (path, message)
    for name in ("itl", "ttft_per_token"):
        value = getattr(latency, name)
        if isinstance(value, Seconds) and value.is_bare and value >= MIN_SUSPICIOUS_PER_TOKEN:
            found[str([name])] = ([name], describe_suspicious(value))
    yield from found.values()


def _as_latency(value: Any) -> Any:
    if isinstance(value, str):
        if value not in get_args(Preset):
            names = get_args(Preset)
            expected = ", ".join(map(repr, names[:-1])) + f" or {names[-1]!r}"
            if is_duration(value):
                found = f'found {value!r}; write {{"ttft": "{value}"}}'
                raise contradiction(f"expected a preset or an object, {found}")
            raise PydanticKnownError("literal_error", {"expected": expected})
        return {"preset": value}
    if isinstance(value, (Mapping, Latency)):
        return value
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 1e-6 <= value <= MAX_SECONDS
    ):
        unit = "ms" if value >= MIN_SUSPICIOUS else "s"
        text = spell(value)
        message = f'expected a preset or an object, found {text}: write {{"ttft": "{text}{unit}"}}'
        raise contradiction(message)
    raise PydanticCustomError("latency_type", "expected a preset or an object")


class _PresetOrObject:
    """Adds the presets to the JSON Schema of a latency."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": [*get_args(Preset)]}, handler(schema)]}


if TYPE_CHECKING:
    AnyLatency = str | Latency | Mapping[str, object]
else:
    AnyLatency = Annotated[Latency, BeforeValidator(_as_latency), _PresetOrObject()]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyLatency)
