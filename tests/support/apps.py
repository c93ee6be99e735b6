"""An app that is alone, so that it never asks before it decides."""

from __future__ import annotations

from typing import Any

from mockllm.app import App
from mockllm.engine.decision import Decision, DividedWork, Question
from mockllm.exchange import Request


class LoneApp(App):
    """An app without other workers. It counts the `pauses` in its decisions."""

    pauses = 0

    def decide(self, request: Request) -> Decision:
        decided = super().decide(request)
        while isinstance(decided, Question):
            (work,) = decided.operations
            assert isinstance(work, DividedWork)
            decided = decided.resume([self._finish_pieces(work)])
        return decided

    def _finish_pieces(self, work: DividedWork) -> Any:
        self.pauses += 1  # after the first piece
        while True:
            try:
                next(work.pieces)
            except StopIteration as end:
                return end.value
            self.pauses += 1
