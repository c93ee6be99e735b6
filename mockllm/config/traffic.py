"""The type of an entry of `traffic`: what holds for all requests that match, whoever answers them.

    {"name": "brown-out", "match": {"model": "gpt-4o"}, "from": "2m", "to": "4m", "ramp": "30s",
     "chance": 0.3, "error": "overloaded"}

It knows which entries contradict themselves. It does not know what time it is, nor what is drawn:
that is `engine.effects`.
"""

from __future__ import annotations

from typing import Annotated, cast

from pydantic import Field, PrivateAttr, model_validator

from mockllm.config.durations import Duration, spell
from mockllm.config.error import AnyError, Error
from mockllm.config.fault import AnyFaults, Fault, listed
from mockllm.config.latency import AnyLatency, Latency
from mockllm.config.match import Match
from mockllm.config.mistakes import contradiction
from mockllm.config.objects import ConfigObject
from mockllm.config.rate_limit import RateLimit
from mockllm.config.values import Name
from mockllm.errors import NOWHERE, Place

KINDS = ("error", "rate_limit", "latency", "fault")
"""The kinds of effects that an entry may have, in the order in which they are applied."""


class Traffic(ConfigObject):
    """Something that happens to all requests that match, as long as it lasts: an error in place of
    the answer, a rate limit, a latency, a fault. Of each kind, the first entry that holds counts. A
    latency or a fault that a mock has itself comes before."""

    name: Name = ""
    """The name, by which it is started and stopped."""
    match: Match = Match()
    """The requests; without conditions, all."""
    from_: Annotated[
        Duration | None, Field(validation_alias="from", serialization_alias="from")
    ] = None
    """When it begins, counted from the start of the server or, if it was started by its name, from
    that moment; by default at once."""
    to: Duration | None = None
    """When it ends, counted alike; by default never."""
    ramp: Duration | None = None
    """How long it rises after `from`, and falls before `to`: its chance, and the times of its
    latency."""
    chance: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    """The share of the requests that it happens to, from 0 to 1."""
    error: AnyError | None = None
    """A failure of the service, in place of the answer."""
    rate_limit: RateLimit | None = None
    """How many requests and tokens are admitted; beyond, the answer is a 429."""
    fault: AnyFaults | None = None
    """What goes wrong while the answer is sent."""
    latency: AnyLatency | None = None
    """How long the answer takes."""
    _place: Place = PrivateAttr(default_factory=lambda: NOWHERE)

    @property
    def failure(self) -> Error | None:
        """`error` as an object: validation has converted words."""
        return cast("Error | None", self.error)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """`fault` as a tuple."""
        return listed(self.fault)

    @property
    def pace(self) -> Latency | None:
        """`latency` as an object: validation has converted presets."""
        return cast("Latency | None", self.latency)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of effects that it has, in the order of `KINDS`."""
        return tuple(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def begin(self) -> float:
        """`from` in seconds; 0 without it."""
        return float(self.from_ or 0.0)

    @property
    def end(self) -> float | None:
        """`to` in seconds; None without it."""
        return None if self.to is None else float(self.to)

    @property
    def rise(self) -> float:
        """`ramp` in seconds; 0 without it."""
        return float(self.ramp or 0.0)

    def place_in(self, index: int) -> Place:
        """Return the place in a file, ``mocks/a.json: traffic[0] 'brown-out'``; of an entry created
        in Python, its position in the list."""
        return self._place or Place(field="traffic", position=index, name=self.name)

    def read_from(self, place: Place) -> None:
        """Record the place that the entry was read from."""
        self._place = place

    @model_validator(mode="after")
    def _does_something(self) -> Traffic:
        if not self.kinds:
            expected = ", ".join(map(repr, KINDS[:-1])) + f" or {KINDS[-1]!r}"
            raise contradiction(f"expected {expected}, found none of them: nothing would happen")
        return self

    @model_validator(mode="after")
    def _lasts(self) -> Traffic:
        end = self.end
        if end is None:
            return self
        lasts = end - self.begin
        if lasts <= 0:
            began = (
                f"{spell(self.begin)} s" if self.from_ is not None else "the start of the server"
            )
            raise contradiction(
                f"it ends at {spell(end)} s, not after {began}: nothing would happen"
            )
        if self.rise > lasts:
            raise contradiction(
                f"the ramp of {spell(self.rise)} s is longer than the {spell(lasts)} s from 'from' "
                "to 'to': write at most half of that, since it rises and falls"
            )
        return self
