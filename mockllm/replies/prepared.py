"""A reply that was rendered once and goes to many requests.

Most of it is the same each time. What the request fills in (its model, its tokens) is put between
pieces that were cut beforehand, and the result is framed without asking h11 for more than one head.
It equals `placeholders.fill`, by a property test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockllm.exchange import Reply, Step
from mockllm.http1.framing import FastFraming
from mockllm.replies.ready import ReadyBytes
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE, MODEL, OF_REQUEST

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MODELS = 8  # of which a filled reply is kept; a client that makes up more gains nothing

Filled = tuple[Reply, ReadyBytes | None]
"""A reply for one request, and its bytes if they can be sent at once."""


class PreparedReply:
    """A reply with placeholders of the request, and how they are filled in for each."""

    def __init__(self, reply: Reply) -> None:
        reply = replace(reply, steps=tuple(reply.steps))
        self._reply = reply
        self._always = None if placeholders.needs_request(reply) else make_ready(reply)
        self._needs_tokens = placeholders.needs_tokens(reply)
        self._framing = FastFraming(reply)
        self._steps = [PreparedStep(step) for step in reply.steps]
        self._is_large = any(step.size > MAX_PIECE for step in self._steps)
        self._of_model: dict[str, Filled] = {}

    def for_request(self, model: str, body: Mapping[str, Any]) -> Filled:
        """The reply with what only the request knows: its `model`, and the tokens of its `body`."""
        if self._always is not None:
            return self._always
        if self._needs_tokens:
            return self._filled(model, tokens.estimate_prompt(body))
        known = self._of_model.get(model)
        if known is None:
            known = self._filled(model, 0)
            if len(self._of_model) < MAX_MODELS:
                self._of_model[model] = known
        return known

    def _filled(self, model: str, input_tokens: int) -> Filled:
        name = placeholders.model_name(model)
        if self._is_large:
            large = tuple([step.fill_pieces(name, input_tokens) for step in self._steps])
            return self._with(large), None
        parts = [step.fill(name, input_tokens) for step in self._steps]
        data = self._framing.ready(parts)
        small = tuple(
            [
                _new(Step, ((part,), step.pause))
                for step, part in zip(self._steps, parts, strict=True)
            ]
        )
        return self._with(small), None if data is None else ReadyBytes(data)

    def _with(self, steps: tuple[Step, ...]) -> Reply:
        reply = self._reply
        return Reply(
            reply.status, reply.headers, steps, reply.ending, reply.streamed, reply.before_head
        )


class PreparedStep:
    """A step with placeholders of the request, cut at them beforehand, so that each request costs
    a join."""

    __slots__ = ("_models", "_pieces", "_tokens", "pause")

    def __init__(self, step: Step) -> None:
        self.pause = step.pause
        self._pieces = OF_REQUEST.split(step.data)
        places = range(1, len(self._pieces), 2)
        self._models = [at for at in places if self._pieces[at] == MODEL]
        self._tokens = [
            (at, int(self._pieces[at][1:-1])) for at in places if self._pieces[at] != MODEL
        ]
        if self.size > MAX_PIECE:
            self._cut()

    @property
    def size(self) -> int:
        """The number of bytes, about."""
        return sum(map(len, self._pieces))

    def fill(self, name: bytes, input_tokens: int) -> bytes:
        """The bytes with their placeholders filled in; `name` is a `model_name`."""
        return b"".join(self._filled(name, input_tokens))

    def fill_pieces(self, name: bytes, input_tokens: int) -> Step:
        """As `fill`, but not joined: what stands between the placeholders is shared, not copied."""
        return Step(tuple(filter(None, self._filled(name, input_tokens))), self.pause)

    def _filled(self, name: bytes, input_tokens: int) -> list[bytes]:
        pieces = self._pieces.copy()
        for at in self._models:
            pieces[at] = name
        for at, plus in self._tokens:
            pieces[at] = b"%d" % (plus + input_tokens)
        return pieces

    def _cut(self) -> None:
        """Cut what is large between the placeholders too."""
        moved: dict[int, int] = {}
        pieces: list[bytes] = []
        for at, piece in enumerate(self._pieces):
            moved[at] = len(pieces)
            pieces += placeholders.cut(piece)
        self._pieces = pieces
        self._models = [moved[at] for at in self._models]
        self._tokens = [(moved[at], plus) for at, plus in self._tokens]


def make_ready(reply: Reply) -> Filled:
    """`reply`, for which the request has nothing left to fill in, and its bytes if they can be sent
    at once."""
    if not isinstance(reply.steps, tuple):
        return reply, None
    data = FastFraming(reply).ready([step.data for step in reply.steps])
    if data is not None:
        return reply, ReadyBytes(data)
    steps = tuple(step._replace(pieces=placeholders.cut(step.data)) for step in reply.steps)
    return replace(reply, steps=steps), None
