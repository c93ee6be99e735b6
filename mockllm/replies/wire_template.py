"""The bytes of a reply on the wire, cut at every value that is filled in.

Those of a request and those of a delivery are filled in by one join, together with the sizes that
depend on them: 1 µs for a small reply, instead of 3 for a join per step, one for the frame, and a
replacement for each kind of placeholder. `placeholders.fill`, `FastFraming` and `fill_fresh` return
the same bytes one after the other, as a property test verifies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mockllm.http1.framing import MAX_READY, FastFraming
from mockllm.replies.ready import ONE_MILLISECOND
from mockllm.wire import placeholders
from mockllm.wire.placeholders import MODEL, TOKENS_MARK, UNIQUE_ID, Echoed, FreshValues

MAX_DIGITS = 20  # of a number of tokens


class RequestValues(NamedTuple):
    """The values of one request: its `model` as returned by `placeholders.model_name`, its
    estimated tokens, and the members that are echoed."""

    model: bytes
    input_tokens: int
    echoed: Echoed


class Slots(NamedTuple):
    """Positions, in a list of pieces, of the values of a request: models, numbers of tokens with
    their constants, and echoes with their names and defaults."""

    models: list[int]
    totals: list[tuple[int, int]]
    echoes: list[tuple[int, str, bytes]]

    @classmethod
    def none(cls) -> Slots:
        """Return no positions, to be filled."""
        return cls([], [], [])

    def add(self, at: int, placeholder: bytes) -> None:
        """Note the position of a placeholder (`placeholders.OF_REQUEST`)."""
        if placeholder == MODEL:
            self.models.append(at)
        elif placeholder.startswith(TOKENS_MARK):
            self.totals.append((at, int(placeholder[1:-1])))
        else:
            self.echoes.append((at, *placeholders.parse_echo(placeholder)))

    def fill(self, pieces: list[bytes], values: RequestValues) -> int:
        """Put the values at their positions in `pieces`; return the sum of their sizes."""
        model, input_tokens, echoed = values
        size = 0
        for at in self.models:
            pieces[at] = model
            size += len(model)
        for at, plus in self.totals:
            pieces[at] = digits = b"%d" % (plus + input_tokens)
            size += len(digits)
        for at, name, default in self.echoes:
            pieces[at] = value = echoed.get(name, default)
            size += len(value)
        return size


class WireTemplate:
    """A reply that is sent at once. `steps` are the data of its steps, cut by
    `placeholders.OF_REQUEST`; each has bytes of its own, or none at all."""

    __slots__ = (
        "_echoes",
        "_fixed",
        "_ids",
        "_is_open",
        "_models",
        "_pieces",
        "_second",
        "_sized",
        "_timed",
    )

    def __init__(self, framing: FastFraming, steps: Sequence[Sequence[bytes]]) -> None:
        self._pieces: list[bytes] = []
        self._is_open = False  # the last piece may be continued
        self._ids: list[int] = []
        self._sized: list[tuple[int, bytes, int, Slots]] = []
        """For each size: its position and format, and the constant and the variable part of what
        it counts."""
        self._add(framing.before)
        if framing.streamed:
            for step in filter(any, steps):
                self._add_chunk(step)
            self._add(b"0\r\n\r\n")
        else:
            self._add_sized(b"%d", framing.after, [piece for step in steps for piece in step])
        every = [slots for *_, slots in self._sized]
        self._models = sum(len(slots.models) for slots in every)
        totals = sum(len(slots.totals) for slots in every)
        echoes = [echo for slots in every for echo in slots.echoes]
        self._fixed = sum(map(len, self._pieces)) + totals * MAX_DIGITS
        self._fixed += sum(len(default) for *_, default in echoes)
        self._echoes = Counter(name for _, name, _ in echoes)
        self._second = b""  # for which times are filled in
        self._timed: list[bytes] = []

    def fits(self, values: RequestValues) -> bool:
        """Return True if the filled reply has at most `MAX_READY` bytes, by an upper bound."""
        size = self._fixed + self._models * len(values.model)
        if values.echoed:
            size += sum(self._echoes[name] * len(value) for name, value in values.echoed.items())
        return size <= MAX_READY

    def join(self, values: RequestValues, fresh: FreshValues) -> bytes:
        """Return the bytes of one delivery."""
        pieces = self._with_times(fresh)
        for at, number, size, slots in self._sized:
            pieces[at] = number % (size + slots.fill(pieces, values))
        unique_id = fresh.unique_id
        for at in self._ids:
            pieces[at] = unique_id
        return b"".join(pieces)

    def _with_times(self, fresh: FreshValues) -> list[bytes]:
        """Return the pieces with times filled in, which is done once a second."""
        if fresh.elapsed_ms != ONE_MILLISECOND:  # rare
            return [placeholders.fill_fresh(piece, fresh) for piece in self._pieces]
        if fresh.seconds != self._second:
            self._second = fresh.seconds
            self._timed = [placeholders.fill_fresh(piece, fresh) for piece in self._pieces]
        return self._timed.copy()

    def _add_chunk(self, step: Sequence[bytes]) -> None:
        if len(step) == 1:
            self._add(b"%x\r\n%b\r\n" % (len(step[0]), step[0]))
        else:
            self._add_sized(b"%x", b"\r\n", step)
            self._add(b"\r\n")

    def _add_sized(self, number: bytes, after: bytes, step: Sequence[bytes]) -> None:
        """Add the size of `step` in the format `number`, then `after` and the step."""
        at = self._add_slot()
        self._add(after)
        slots, constant = Slots.none(), 0
        for piece in step:
            if placeholders.OF_REQUEST.fullmatch(piece):
                slots.add(self._add_slot(), piece)
            else:
                self._add(piece)
                constant += len(piece)
        self._sized.append((at, number, constant, slots))

    def _add(self, data: bytes) -> None:
        """Add constant bytes, in which every unique id becomes a position."""
        first, *others = data.split(UNIQUE_ID)
        if self._is_open:
            self._pieces[-1] += first
        else:
            self._pieces.append(first)
        for text in others:
            self._ids.append(self._add_slot())
            self._pieces.append(text)
        self._is_open = True

    def _add_slot(self) -> int:
        self._pieces.append(b"")
        self._is_open = False
        return len(self._pieces) - 1
