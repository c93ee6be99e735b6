"""Replies that are rendered once and sent to many requests.

A prepared reply is cut at the placeholders that depend on the request (its model, its tokens, the
members that the response repeats), so filling them in is a join, and h11 frames its head only once.
The result equals that of `placeholders.fill`, as a property test verifies.

Most requests to one mock name the same model and contain the same members. So there is a variant of
the reply for each such combination, in which only their values are left to be filled in: a request
that contains none of the members costs as much as if there were none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, overload

from mockllm.exchange import DividedBody, LazySteps, Reply, Step
from mockllm.http1.framing import MAX_READY, FastFraming
from mockllm.limits import KIB
from mockllm.pieces import Pieces
from mockllm.replies.ready import ReadyBytes
from mockllm.replies.wire_template import RequestValues, Slots, WireTemplate
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE, NOTHING_ECHOED, Echo, echo_nothing

_new = tuple.__new__  # half the time of the class's own constructor
MAX_VARIANTS = 8  # a bound against clients that vary the model or the members
MAX_COUNTED = 4 * KIB  # bytes of a reply of which results for some numbers of tokens may be kept

Filled = tuple[Reply, ReadyBytes | None]
"""A reply to one request, and its bytes if they can be sent in one write."""


class PreparedReply:
    """A reply that is filled in for one request after the other. `echo` reads the members that it
    repeats."""

    def __init__(self, reply: Reply, echo: Echo = echo_nothing) -> None:
        reply = replace(reply, steps=tuple(reply.steps), response=None)
        self._reply = reply
        self._echo = echo
        self.echo_names = placeholders.echo_names(reply)
        """The members of a request that it repeats."""
        self._plain = _Variant(_without_echoes(reply, self.echo_names))
        self.is_counted = self._plain.is_counted
        """True if it has a number of tokens in it, and results for some of these may be kept: of a
        request without members that are repeated, they and the model are all that it depends on."""
        self._general: _Variant | None = None
        self._variants: dict[_Key, _Variant | None] = {}

    def for_request(
        self, model: str, body: Mapping[str, Any], input_tokens: int | None = None
    ) -> Filled:
        """Return the reply with the `model` of a request, the number of tokens in its `body`, and
        the members of the body that it repeats. The tokens are estimated unless they are given."""
        echoed = self._echo(body, self.echo_names) if self.echo_names else NOTHING_ECHOED
        if not echoed and self._plain.constant is not None:
            return self._plain.constant
        key = (model, frozenset(echoed)) if echoed else model
        variant = self._variants.get(key) or self._specialise(key, model, echoed.keys())
        if variant.constant is not None:
            return variant.constant
        if input_tokens is None:
            input_tokens = tokens.estimate_prompt(body) if variant.needs_tokens else 0
        return variant.fill(
            _new(RequestValues, (placeholders.model_name(model), input_tokens, echoed))
        )

    def _specialise(self, key: _Key, model: str, names: Set[str]) -> _Variant:
        """Return the variant for requests with this `model` that contain the members `names`, if it
        is asked for again and there are not too many; else the one for all models or members."""
        if key in self._variants:
            reply = _without_echoes(self._reply, self.echo_names - names)
            variant = self._variants[key] = _Variant(_with_model(reply, model))
            return variant
        if len(self._variants) < MAX_VARIANTS:
            self._variants[key] = None
        if not names:
            return self._plain
        if self._general is None:
            self._general = _Variant(self._reply)
        return self._general


_Key = tuple[str, Set[str]] | str
"""The model of a request, and the names of the members that are echoed, if any."""


def _without_echoes(reply: Reply, names: Set[str]) -> Reply:
    """Return `reply` with the echoes `names` filled in by their defaults."""
    if not names:
        return reply
    return _edited(reply, lambda data: placeholders.fill_echoes(data, NOTHING_ECHOED, names))


def _with_model(reply: Reply, model: str) -> Reply:
    name = placeholders.model_name(model)
    return _edited(reply, lambda data: data.replace(placeholders.MODEL, name))


def _edited(reply: Reply, edit: Callable[[bytes], bytes]) -> Reply:
    """Return `reply` with the data of each step edited."""
    steps = tuple(step._replace(pieces=(edit(step.data),)) for step in reply.steps)
    return replace(reply, steps=steps)


class _Variant:
    """A reply that is filled in. `constant` is the result if there is nothing to fill in."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.constant = None if placeholders.needs_request(reply) else make_ready(reply)
        self.needs_tokens = placeholders.needs_tokens(reply)
        self.is_counted = self.needs_tokens and (
            sum(step.size for step in reply.steps) <= MAX_COUNTED
        )
        self._steps: tuple[PreparedStep, ...] = ()
        self._template: WireTemplate | None = None
        self._is_cut = self.constant is not None

    def fill(self, values: RequestValues) -> Filled:
        """Return the reply with the values of one request."""
        if not self._is_cut:
            self._cut()
        reply = self._reply
        filled = Reply(
            reply.status,
            reply.headers,
            FilledSteps(self._steps, values),
            reply.ending,
            reply.streamed,
            reply.before_head,
            reply.preface,
            reply.pacing,
            reply.opening,
            reply.interruptions,
        )
        template = self._template
        if template is None or not template.fits(values):
            return filled, None
        return filled, ReadyBytes(partial(template.join, values))

    def _cut(self) -> None:
        """Cut the reply when it is first needed: a server has many mocks."""
        self._is_cut = True
        self._steps = tuple(PreparedStep(step) for step in self._reply.steps)
        framing = FastFraming(self._reply)
        is_large = any(step.size > MAX_PIECE for step in self._steps)
        if framing.is_at_once and not is_large:
            cut = [placeholders.split_of_request(step.data) for step in self._reply.steps]
            self._template = WireTemplate(framing, cut)


class FilledSteps(Sequence[Step]):
    """Steps with the values of a request, which are filled in when they are read: rarely, as most
    replies are sent as ready bytes. In order, they are filled in one by one and not kept, because a
    paced reply is sent for a long time. The only one of a whole reply is kept: that may be large,
    and is read for its length, too."""

    __slots__ = ("_filled", "_steps", "_values")

    def __init__(self, steps: Sequence[PreparedStep], values: RequestValues) -> None:
        self._steps = steps
        self._values = values
        self._filled: tuple[Step, ...] | None = None

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        if len(self._steps) == 1:
            return iter(self._all())
        return (step.fill(self._values) for step in self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[Step, ...]:
        if self._filled is None:
            self._filled = tuple([step.fill(self._values) for step in self._steps])
        return self._filled


class PreparedStep:
    """A step, cut at the placeholders that depend on the request."""

    __slots__ = ("_pieces", "_slots", "gate", "has_values", "pause", "tokens")

    def __init__(self, step: Step) -> None:
        self.pause = step.pause
        self.tokens = step.tokens
        self.gate = step.gate
        self._pieces: list[bytes] = []
        self._slots = Slots.none()
        self.has_values = False
        """True if there is a value of a request in it."""
        for piece in step.pieces:
            self.add(piece)

    def add(self, piece: bytes) -> None:
        """Add a piece. No placeholder is divided between two pieces."""
        if not placeholders.has_request_value(piece):
            self._pieces += placeholders.cut(piece)
            return
        self.has_values = True
        for at, part in enumerate(placeholders.split_of_request(piece)):
            if at % 2:
                self._slots.add(len(self._pieces), part)
                self._pieces.append(b"")
            else:
                self._pieces += placeholders.cut(part)

    @property
    def size(self) -> int:
        """The size in bytes, without placeholders."""
        return sum(map(len, self._pieces))

    def shared(self) -> Step:
        """Return a step without values, which is the same for all requests."""
        return Step(tuple(self._pieces), self.pause, self.tokens, self.gate)

    def fill(self, values: RequestValues) -> Step:
        """Return the step with the values of a request. A large step consists of pieces: those
        between placeholders are shared by all requests, not copied."""
        pieces = self._pieces.copy()
        self._slots.fill(pieces, values)
        if sum(map(len, pieces)) <= MAX_PIECE:
            return Step((b"".join(pieces),), self.pause, self.tokens, self.gate)
        cut = [part for piece in pieces if piece for part in placeholders.cut(piece)]
        return Step(tuple(cut), self.pause, self.tokens, self.gate)


def make_ready(reply: Reply) -> Filled:
    """Return a reply without placeholders that depend on the request, and its bytes if they can be
    sent in one write; if not, its large steps are cut."""
    if isinstance(reply.steps, (LazySteps, DividedBody)):
        return reply, None
    if sum(step.size for step in reply.steps) <= MAX_READY:
        data = FastFraming(reply).ready([step.data for step in reply.steps])
        if data is not None:
            return reply, ReadyBytes.of(data)
    return replace(reply, steps=tuple(map(_with_small_pieces, reply.steps))), None


def make_ready_in_pieces(reply: Reply) -> Pieces[Filled]:
    """Do what `make_ready` does with a reply whose steps are made, with pauses."""
    size, steps = 0, list[Step]()
    for step in reply.steps:
        yield False
        size += step.size
        steps.append(_with_small_pieces(step))
    if size <= MAX_READY:
        return make_ready(reply)
    yield True
    return replace(reply, steps=tuple(steps)), None


def _with_small_pieces(step: Step) -> Step:
    if max(map(len, step.pieces), default=0) <= MAX_PIECE:
        return step
    return step._replace(pieces=tuple(chain.from_iterable(map(placeholders.cut, step.pieces))))
