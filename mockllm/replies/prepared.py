"""A reply that was rendered once and goes to many requests.

Most of it is the same each time. What the request fills in (its model, its tokens) is put into
pieces made beforehand, and the result framed without asking h11 for more than one head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.exchange import Reply, Step
from mockllm.http1.framing import SLICE, Framing
from mockllm.replies.ready import ReadyBytes
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MODEL, OF_REQUEST

MAX_MODELS = 8  # of which a filled reply is kept; a client that invents more gains nothing

Delivery = tuple[Reply, ReadyBytes | None]
"""A reply for one request, and its bytes if they can be sent at once."""


class PreparedReply:
    """`reply`, and how it goes to each request. Made when the reply is first asked for."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self._always = None if placeholders.needs_request(reply) else delivery(reply)
        self._needs_tokens = placeholders.needs_tokens(reply)
        self._framing = Framing(reply)
        self._open = [PreparedStep(step.data) for step in reply.steps]
        self._is_large = any(data.size > SLICE for data in self._open)
        self._of_model: dict[str, Delivery] = {}

    def for_request(self, model: str, body: Mapping[str, Any]) -> Delivery:
        """The reply with what only the request knows: the `model` it names, the tokens of `body`.
        It equals `placeholders.fill` of the reply."""
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

    def _filled(self, model: str, input_tokens: int) -> Delivery:
        name = placeholders.model_name(model)
        reply = self.reply
        if self._is_large:
            return self._filled_in_pieces(name, input_tokens), None
        parts = [data.fill(name, input_tokens) for data in self._open]
        steps = tuple(
            [Step(step.pause, part) for step, part in zip(reply.steps, parts, strict=True)]
        )
        data = self._framing.ready(parts)
        filled = Reply(reply.status, reply.headers, steps, reply.ending, reply.streamed)
        return filled, None if data is None else ReadyBytes(data)

    def _filled_in_pieces(self, name: bytes, input_tokens: int) -> Reply:
        """A large reply for one request, most of which is shared with those for others."""
        reply = self.reply
        steps: list[Step] = []
        for step, data in zip(reply.steps, self._open, strict=True):
            first, *others = data.fill_pieces(name, input_tokens)
            steps.append(Step(step.pause, first))
            steps += [Step(0.0, other) for other in others]
        return Reply(reply.status, reply.headers, tuple(steps), reply.ending, reply.streamed)


def delivery(reply: Reply) -> Delivery:
    """`reply`, whose request is filled in, and its bytes if they can be sent at once."""
    data = Framing(reply).ready([step.data for step in reply.steps])
    return reply, None if data is None else ReadyBytes(data)


class PreparedStep:
    """Bytes with marks of the request, cut at them beforehand, so that each request costs a join:
    `fill` is what `fill` does to the bytes."""

    __slots__ = ("_models", "_pieces", "_tokens")

    def __init__(self, data: bytes) -> None:
        self._pieces = OF_REQUEST.split(data)
        marks = range(1, len(self._pieces), 2)
        self._models = [at for at in marks if self._pieces[at] == MODEL]
        self._tokens = [
            (at, int(self._pieces[at][1:-1])) for at in marks if self._pieces[at] != MODEL
        ]

    @property
    def size(self) -> int:
        """About the number of bytes."""
        return sum(map(len, self._pieces))

    def fill(self, name: bytes, input_tokens: int) -> bytes:
        """The bytes with their marks filled in; `name` is a `model_name`."""
        return b"".join(self.fill_pieces(name, input_tokens))

    def fill_pieces(self, name: bytes, input_tokens: int) -> list[bytes]:
        """As `fill`, but not joined: what stands between the marks is shared, not copied."""
        pieces = self._pieces.copy()
        for at in self._models:
            pieces[at] = name
        for at, plus in self._tokens:
            pieces[at] = b"%d" % (plus + input_tokens)
        return pieces
