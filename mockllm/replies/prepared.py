"""Replies that are rendered once and sent to many requests.

A prepared reply is cut at the placeholders that depend on the request (its model, its tokens), so
filling them in is a join, and h11 frames its head only once. The result equals that of
`placeholders.fill`, as a property test verifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockllm.exchange import Reply, Step
from mockllm.http1.framing import FastFraming
from mockllm.replies.ready import ReadyBytes
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE, MODEL

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MODELS = 8  # whose filled replies are cached, a bound against clients that vary the model

Filled = tuple[Reply, ReadyBytes | None]
"""A reply to one request, and its bytes if they can be sent in one write."""


class PreparedReply:
    """A reply that is filled in for one request after the other."""

    def __init__(self, reply: Reply) -> None:
        reply = replace(reply, steps=tuple(reply.steps))
        self._reply = reply
        self._constant = None if placeholders.needs_request(reply) else make_ready(reply)
        self._needs_tokens = placeholders.needs_tokens(reply)
        self._framing = FastFraming(reply)
        self._steps = [PreparedStep(step) for step in reply.steps]
        self._is_large = any(step.size > MAX_PIECE for step in self._steps)
        self._by_model: dict[str, Filled] = {}

    def for_request(self, model: str, body: Mapping[str, Any]) -> Filled:
        """Return the reply with the `model` of a request and the number of tokens in its `body`."""
        if self._constant is not None:
            return self._constant
        if self._needs_tokens:
            return self._fill(model, tokens.estimate_prompt(body))
        filled = self._by_model.get(model)
        if filled is None:
            filled = self._fill(model, 0)
            if len(self._by_model) < MAX_MODELS:
                self._by_model[model] = filled
        return filled

    def _fill(self, model: str, input_tokens: int) -> Filled:
        name = placeholders.model_name(model)
        if self._is_large:
            large = tuple([step.fill_pieces(name, input_tokens) for step in self._steps])
            return self._with_steps(large), None
        parts = [step.fill(name, input_tokens) for step in self._steps]
        data = self._framing.ready(parts)
        small = tuple(
            [
                _new(Step, ((part,), step.pause))
                for step, part in zip(self._steps, parts, strict=True)
            ]
        )
        return self._with_steps(small), None if data is None else ReadyBytes(data)

    def _with_steps(self, steps: tuple[Step, ...]) -> Reply:
        reply = self._reply
        return Reply(
            reply.status, reply.headers, steps, reply.ending, reply.streamed, reply.before_head
        )


class PreparedStep:
    """A step, cut at the placeholders that depend on the request."""

    __slots__ = ("_models", "_pieces", "_tokens", "pause")

    def __init__(self, step: Step) -> None:
        self.pause = step.pause
        self._pieces = placeholders.split_of_request(step.data)
        places = range(1, len(self._pieces), 2)  # of the placeholders
        self._models = [at for at in places if self._pieces[at] == MODEL]
        self._tokens = [
            (at, int(self._pieces[at][1:-1])) for at in places if self._pieces[at] != MODEL
        ]
        if self.size > MAX_PIECE:
            self._cut()

    @property
    def size(self) -> int:
        """The size in bytes, with placeholders in place of their values."""
        return sum(map(len, self._pieces))

    def fill(self, name: bytes, input_tokens: int) -> bytes:
        """Return the bytes of the step with its placeholders filled in. `name` is the model as
        returned by `placeholders.model_name`."""
        return b"".join(self._filled_pieces(name, input_tokens))

    def fill_pieces(self, name: bytes, input_tokens: int) -> Step:
        """Return the step with its placeholders filled in, in pieces: those between placeholders
        are shared by all requests, not copied."""
        return Step(tuple(filter(None, self._filled_pieces(name, input_tokens))), self.pause)

    def _filled_pieces(self, name: bytes, input_tokens: int) -> list[bytes]:
        pieces = self._pieces.copy()
        for at in self._models:
            pieces[at] = name
        for at, plus in self._tokens:
            pieces[at] = b"%d" % (plus + input_tokens)
        return pieces

    def _cut(self) -> None:
        """Cut large pieces between the placeholders, too."""
        moved: dict[int, int] = {}  # positions of pieces, before and after
        pieces: list[bytes] = []
        for at, piece in enumerate(self._pieces):
            moved[at] = len(pieces)
            pieces += placeholders.cut(piece)
        self._pieces = pieces
        self._models = [moved[at] for at in self._models]
        self._tokens = [(moved[at], plus) for at, plus in self._tokens]


def make_ready(reply: Reply) -> Filled:
    """Return a reply without placeholders that depend on the request, and its bytes if they can be
    sent in one write; if not, its large steps are cut."""
    if not isinstance(reply.steps, tuple):
        return reply, None
    data = FastFraming(reply).ready([step.data for step in reply.steps])
    if data is not None:
        return reply, ReadyBytes(data)
    steps = tuple(step._replace(pieces=placeholders.cut(step.data)) for step in reply.steps)
    return replace(reply, steps=steps), None
