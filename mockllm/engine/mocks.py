"""The compiled mocks of one API, and the checks of its requests."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockllm.config.models import AnyMock
from mockllm.engine.effects import Traffic
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.errors import Place, RequestError
from mockllm.exchange import Request
from mockllm.limits import KIB
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers import request_body
from mockllm.providers.api import API
from mockllm.providers.routes import NO_VALUES
from mockllm.validation.findings import Confirm, Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire.chunking import Chunk

SHARED = "mocks"
"""The list of the mocks that every API has."""

MAX_STRAIGHT = 16 * KIB  # bytes of a request that is decided on the short way

Sources = tuple[MockSource | ScriptedSource, ...] | Mapping[int, MockSource | ScriptedSource]


@dataclass(frozen=True, slots=True)
class Table:
    """The compiled mocks of one API. `confirm` validates a request against the SDK's types; it is
    None if there are no mocks, so that the SDK need not be imported. `chunk` is the default for
    mocks that do not set their own."""

    api: API
    mocks: tuple[AnyMock, ...]
    """The mocks of the API's own list, then those of every API: those of the configuration."""
    index: RuleIndex | LayeredIndex
    confirm: Confirm | None
    chunk: Chunk = "word"
    sources: Sources = ()
    """The source of the answer of each mock, by the index of its rule."""
    fails: bool = False
    """True if a mock answers with a failure."""
    places: tuple[Place, ...] = ()
    """The place of each mock, in the order of `mocks`."""
    shared: int = 0
    """The number of mocks, at the end of `mocks`, which are those of every API."""
    answers_look_back: bool = False
    """True if an answer depends on what a request continues."""
    elsewhere: RuleIndex = field(default_factory=lambda: RuleIndex(()))
    """The mocks that are restricted to other APIs, without this restriction: for explanations."""
    version: int = 0
    """A number that tells the tables of one API apart in which mocks were added at run time."""
    added: Sequence[tuple[AnyMock, ...]] = ()
    """The mocks that were added at run time and come before all others, some after some."""
    traffic: Traffic | None = None
    """What happens to all requests that match; None if nothing does."""
    header_names: tuple[bytes, ...] = field(init=False)
    """The headers that some mock or entry of traffic depends on, in lower case, each once."""
    readings: tuple[Callable[[Prompt], Any], ...] = field(init=False)
    """What mocks and traffic read of a conversation, in order."""
    looks_back: bool = field(init=False)
    """True if a mock, or an entry of traffic, depends on what a request continues."""
    straight_size: int = field(init=False)
    """The bytes of a body up to which a request is decided on the short way (`engine.straight`); -1
    if none is."""

    def __post_init__(self) -> None:
        indices = [self.index, *([] if self.traffic is None else [self.traffic.index])]
        names = [name for index in indices for name in index.header_names]
        readings = [read for index in indices for read in index.readings]
        object.__setattr__(self, "header_names", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "readings", tuple(dict.fromkeys(readings)))
        looks_back = self.answers_look_back or any(index.looks_back for index in indices)
        object.__setattr__(self, "looks_back", looks_back)
        object.__setattr__(self, "straight_size", self._measure_straight())

    @property
    def has_mocks(self) -> bool:
        """True if there is a mock."""
        return bool(self.mocks or self.added)

    def _measure_straight(self) -> int:
        if self.api.batch is not None or self.traffic is not None:
            return -1
        return bisect_left(range(1 + MAX_STRAIGHT), True, key=self.index.takes_long) - 1

    def accepts(self, prompt: Prompt) -> bool:
        """Return True if `validate` accepts a request. The messages of a plain one are left out: to
        validate one takes 1 µs, and 40 take 25."""
        if prompt.is_valid or self.confirm is None:
            return True
        body = prompt.body
        if prompt.is_plain:
            assert prompt.readers.conversation is not None
            body = {**body, prompt.readers.conversation: []}
        return self.confirm(body) is None

    def validate(self, prompt: Prompt) -> None:
        """Validate a request against the SDK's type.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        finding = self.confirm(prompt.body) if self.confirm is not None else None
        if finding is not None:
            raise _refusal(finding)

    def validate_in_pieces(self, prompt: Prompt) -> Pieces[None]:
        """Do what `validate` does, with pauses."""
        if self.confirm is not None:
            finding = yield from self.confirm.in_pieces(prompt.body)
            if finding is not None:
                raise _refusal(finding)

    def decode(self, body: bytes) -> Prompt:
        """Return the prompt of a request to this API with this `body`.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        return self.api.decode(self._request(body), NO_VALUES)

    def decode_in_pieces(self, body: bytes, leftovers: list[Any]) -> Pieces[Prompt]:
        """Do what `decode` does, with pauses. `leftovers` are those of `DividedWork`."""
        request = self._request(body)
        return (yield from self.api.decode_in_pieces(request, NO_VALUES, leftovers))

    def _request(self, body: bytes) -> Request:
        return Request.of("POST", self.api.routes[0], body=body)


def _refusal(finding: Finding) -> RequestError:
    if finding.kind is FindingKind.MISSING:
        return request_body.missing(finding.place)
    return RequestError(400, str(finding), param=finding.place, code="invalid_type")
