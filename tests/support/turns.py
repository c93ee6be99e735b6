"""Turns that tell what was done in them."""

from __future__ import annotations

from typing import Any

from mockllm.pieces import Pieces
from mockllm.serve.turns import Turns


class CountedTurns(Turns):
    """Turns that count the `pauses` in each work."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[int] = []

    async def perform(self, pieces: Pieces[Any]) -> Any:
        at = len(self.pauses)
        self.pauses.append(0)

        def counted() -> Pieces[Any]:
            while True:
                try:
                    pause = next(pieces)
                except StopIteration as end:
                    return end.value
                self.pauses[at] += 1
                yield pause

        return await super().perform(counted())
