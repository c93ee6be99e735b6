"""Sources of answers.

A source returns the answer to a prompt; the API renders it in its format (`render`). A `constant`
source returns the same answer to every prompt, so its replies are rendered once. Any other source
is called for each request, and its streams are rendered while they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mockllm.config.values import DONE
from mockllm.engine.decision import Answer, Outcome
from mockllm.exchange import Reply
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.api import API
from mockllm.state.choosing import Candidate
from mockllm.wire import sse
from mockllm.wire.chunking import Chunk


class Source(Protocol):
    """The origin of an answer: a mock, an echo, a generator."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of requests that it answers."""

    @property
    def constant(self) -> bool:
        """True if every prompt gets the same answer."""

    @property
    def reusable(self) -> bool:
        """True if equal requests get equal answers, which may be cached."""

    def answer(self, prompt: Prompt) -> Answer:
        """Return the answer to `prompt`."""


@dataclass(frozen=True, slots=True)
class FixedSource:
    """A configured response."""

    fixed: Answer
    outcome: Outcome = Outcome.MOCK
    constant: bool = True
    reusable: bool = True

    def answer(self, prompt: Prompt) -> Answer:
        """Return the configured answer, whatever the prompt."""
        return self.fixed


@dataclass(frozen=True, slots=True)
class ScriptedSource:
    """The answers of a mock with state: one for each entry of the script of its `candidate`, one of
    which is chosen by `state.store`."""

    candidate: Candidate
    entries: tuple[FixedSource, ...]
    outcome: Outcome = Outcome.MOCK
    constant: bool = False
    reusable: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """Return the first entry's answer, for an endpoint that does not choose."""
        return self.entries[0].answer(prompt)


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """A response generated for each prompt: an echo, an embedding."""

    generate: Callable[[Prompt], dict[str, Any]]
    outcome: Outcome
    reusable: bool
    chunk: Chunk = "word"
    constant: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """Return the answer generated from `prompt`."""
        return Answer(self.generate(prompt), self.chunk)


class Selection(NamedTuple):
    """The source that answers a prompt, and the rule that selected it if it is a mock's."""

    source: Source
    rule: Rule | None
    reusable: bool
    """True if an equal request gets the same answer."""
    candidates: tuple[Rule, ...] = ()
    """The rules of which a store chooses one; `source` and `rule` are then those of the first."""
    entry: int = 0
    """The index of the entry of a mock with state that was chosen."""


def render(api: API, answer: Answer, options: ResponseOptions) -> Reply:
    """Return the reply with `answer`. The steps of a stream are rendered while they are sent."""
    events = answer.events
    if not options.stream or events is None:
        return api.render(answer.response, options, answer.chunk)

    def frames() -> Iterator[bytes]:
        for event in events:
            yield sse.DONE if event == DONE else api.frame(event)

    return Reply.lazy_stream(200, api.vendor.stream_headers, frames)
