"""An app that is alone, so that it never asks before it decides."""

from __future__ import annotations

from mockllm.app import App
from mockllm.engine.asking import without_pauses
from mockllm.engine.decision import Decision
from mockllm.exchange import Request


class LoneApp(App):
    """An app without other workers."""

    def decide(self, request: Request) -> Decision:
        decided = without_pauses(super().decide(request))
        assert isinstance(decided, Decision)
        return decided
