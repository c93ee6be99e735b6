"""Where answers come from.

A source says what is said to a prompt; how that looks on the wire is its API's business (`render`).
What a `constant` source says is the same for every prompt: its replies are rendered once. Any other
source is asked for each request, and its streams are rendered as they are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mockllm.config.values import DONE
from mockllm.engine.decision import Answer, Outcome
from mockllm.exchange import Reply
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.api import API
from mockllm.wire import sse
from mockllm.wire.chunking import Chunk


class Source(Protocol):
    """Where an answer comes from."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def constant(self) -> bool: ...
    @property
    def reusable(self) -> bool: ...
    def answer(self, prompt: Prompt) -> Answer: ...


@dataclass(frozen=True, slots=True)
class FixedSource:
    """A configured response."""

    fixed: Answer
    outcome: Outcome = Outcome.MOCK
    constant: bool = True
    reusable: bool = True

    def answer(self, prompt: Prompt) -> Answer:
        """The same to every prompt."""
        return self.fixed


@dataclass(frozen=True, slots=True)
class MadeSource:
    """A response made for each prompt: an echo, a vector."""

    make: Callable[[Prompt], dict[str, Any]]
    outcome: Outcome
    reusable: bool
    chunk: Chunk = "word"
    constant: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """What is made of `prompt`."""
        return Answer(self.make(prompt), self.chunk)


def render(api: API, answer: Answer, options: ResponseOptions) -> Reply:
    """The reply that gives `answer`. A stream's steps are made as they are taken."""
    events = answer.events
    if not options.stream or events is None:
        return api.render(answer.response, options, answer.chunk)

    def frames() -> Iterator[bytes]:
        for event in events:
            yield sse.DONE if event == DONE else api.frame(event)

    return Reply.lazy_stream(200, api.vendor.stream_headers, frames)
