"""Long streams that are rendered once, while they are first sent, and large bodies, which are
rendered once as well, before they are first sent.

Rendering the 10,000 deltas of a long text takes a second, in which nobody else would be answered.
So the steps of such a stream are made one by one, as deliveries ask for them, and kept for all
others: the first delivery costs as much as rendering, any later one only what is filled in.

    delivery A asks for steps 0 to 9      they are rendered
    delivery B asks for steps 0 to 11     0 to 9 are known, 10 and 11 are rendered
    delivery A asks for step 10           it is known

Streams that can be sent in one write are prepared as a whole (`replies.prepared`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

from mockllm.exchange import PAUSE, DividedBody, LazySteps, Reply, Step
from mockllm.http1.framing import MAX_READY
from mockllm.limits import KIB
from mockllm.replies.prepared import MAX_VARIANTS, Filled, PreparedReply, PreparedStep
from mockllm.replies.wire_template import RequestValues
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import Echo, echo_nothing

MAX_AT_ONCE = 512 * KIB  # bytes of a large step that are searched for placeholders: 0.3 ms


def prepare(
    reply: Reply, echo: Echo = echo_nothing, *, is_large: bool = False
) -> PreparedReply | SharedStream | SharedBody:
    """Return `reply`, prepared for many requests: a long stream while it is sent, a large body in
    pieces, anything else at once. `echo` reads the members of a request that it repeats. A stream
    that `is_large` is long; without it, its first steps are made to find out."""
    if isinstance(reply.steps, DividedBody):
        return SharedBody(reply, reply.steps, echo)
    if reply.streamed and isinstance(reply.steps, LazySteps):
        few = None if is_large else reply.steps.at_most(size=MAX_READY)
        if few is None:
            return SharedStream(reply, echo)
        reply = replace(reply, steps=few)
    return PreparedReply(reply, echo)


class SharedStream:
    """A stream that is filled in for one request after the other, step by step. The result equals
    that of `placeholders.fill`, as a property test verifies."""

    def __init__(self, reply: Reply, echo: Echo = echo_nothing) -> None:
        self._reply = replace(reply, response=None)
        self._echo = echo
        self._general = SharedSteps(reply.steps.__iter__)
        self._by_model: dict[str, SharedSteps] = {}

    def for_request(
        self, model: str, body: Mapping[str, Any], input_tokens: int | None = None
    ) -> Filled:
        """Return the stream with the `model` of a request, the number of tokens in its `body`, and
        the members of the body that it repeats. It is never sent in one write. The tokens are
        estimated unless they are given."""
        values = _values_of(model, body, self._echo, input_tokens)
        steps = self._steps_for(model, values.model)
        return replace(self._reply, steps=LazySteps(partial(steps.filled, values))), None

    def _steps_for(self, model: str, name: bytes) -> SharedSteps:
        """Return the steps for requests with this `model`, most of which are constant, or those for
        any model if there are too many. `name` is the model as a JSON string."""
        if model not in self._by_model and len(self._by_model) < MAX_VARIANTS:

            def with_model() -> Iterator[Step]:
                for step in self._reply.steps:
                    pieces = (piece.replace(placeholders.MODEL, name) for piece in step.pieces)
                    yield step._replace(pieces=tuple(pieces))

            self._by_model[model] = SharedSteps(with_model)
        return self._by_model.get(model, self._general)


class SharedBody:
    """A reply with a large `body` that is filled in for one request after the other, piece by
    piece. The result equals that of `placeholders.fill`, as a property test verifies."""

    def __init__(self, reply: Reply, body: DividedBody, echo: Echo = echo_nothing) -> None:
        self._reply = replace(reply, steps=(), response=None)
        self._tokens = body.tokens
        self._echo = echo
        self._body: DividedBody | None = body  # until it is begun
        self._pieces = SharedSteps(self._begin)

    def for_request(
        self, model: str, body: Mapping[str, Any], input_tokens: int | None = None
    ) -> Filled:
        """Return the reply with the `model` of a request, the number of tokens in its `body`, and
        the members of the body that it repeats. Its body is to be made in pieces. The tokens are
        estimated unless they are given."""
        filled = self._pieces.filled(_values_of(model, body, self._echo, input_tokens))
        pieces = chain.from_iterable(step.pieces for step in filled)
        return replace(self._reply, steps=DividedBody(pieces, self._tokens)), None

    def make(self) -> None:
        """Make all pieces, so that no request need wait for them."""
        self._pieces.make()

    def _begin(self) -> Iterator[Step]:
        body, self._body = self._body, None
        if body is None:
            raise RuntimeError("a large body could not be made")
        return (Step((piece,)) for piece in body.make_pieces())


def _values_of(
    model: str, body: Mapping[str, Any], echo: Echo, input_tokens: int | None
) -> RequestValues:
    if input_tokens is None:
        input_tokens = tokens.estimate_prompt(body)
    return RequestValues(placeholders.model_name(model), input_tokens, echo(body, None))


class SharedSteps:
    """Steps that are made when the first of several readers asks for them. If `make` fails, it is
    called again for the next reader."""

    def __init__(self, make: Callable[[], Iterator[Step]]) -> None:
        self._make = make
        self._made: list[Step | PreparedStep] = []
        self._rest: Iterator[Step | PreparedStep] | None = None
        self._is_complete = False

    def filled(self, values: RequestValues) -> Iterator[Step]:
        """Yield the steps with the values of a request. Those without such values are shared."""
        at = 0
        while at < len(self._made) or self._make_next():
            step = self._made[at]
            yield step.fill(values) if isinstance(step, PreparedStep) else step
            at += 1

    def make(self) -> None:
        """Make all steps."""
        while self._make_next():
            pass

    def _make_next(self) -> bool:
        """Make the next step. Returns False if there is none."""
        if self._is_complete:
            return False
        if self._rest is None:
            self._rest = islice(_prepared(self._make()), len(self._made), None)
        rest, self._rest = self._rest, None  # none if it raises
        step = next(rest, None)
        if step is None:
            self._is_complete = True
            return False
        self._rest = rest
        self._made.append(step)
        return True


def _prepared(steps: Iterator[Step]) -> Iterator[Step | PreparedStep]:
    """Yield `steps`, those with values of a request prepared. Before a large one, there is a
    `PAUSE` for each `MAX_AT_ONCE` bytes."""
    for step in steps:
        if len(step.pieces) > 1 and step.size > MAX_AT_ONCE:
            yield (yield from _prepare_in_pieces(step))
        elif any(map(placeholders.has_request_value, step.pieces)):
            yield PreparedStep(step)
        else:
            yield _cut(step)


def _prepare_in_pieces(step: Step) -> Generator[Step, None, Step | PreparedStep]:
    size = 0
    prepared = PreparedStep(step._replace(pieces=()))
    for piece in step.pieces:
        prepared.add(piece)
        size += len(piece)
        if size > MAX_AT_ONCE:
            yield PAUSE
            size = 0
    return prepared if prepared.has_values else prepared.shared()


def _cut(step: Step) -> Step:
    pieces = chain.from_iterable(map(placeholders.cut, step.pieces))
    return step._replace(pieces=tuple(pieces))
