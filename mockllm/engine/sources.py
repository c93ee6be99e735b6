"""Sources of answers.

A source returns the answer to a prompt; the API renders it in its format (`render`). The replies of
an answer with a `number` are rendered once. Any other is made for one request, and its streams are
rendered while they are sent. A `MadeSource` makes it in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from mockllm.config.functions import ReplyFunction
from mockllm.config.values import DONE
from mockllm.engine.asked import Asked
from mockllm.engine.decision import Answer, Called, Outcome, Planned
from mockllm.engine.effects import Effects, TrafficEntry
from mockllm.engine.faults import in_whole_answer
from mockllm.engine.made_reply import MadeReply, MadeReplyError
from mockllm.engine.pace import Pace, with_tokens
from mockllm.exchange import LazySteps, Reply
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, drain
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.api import API
from mockllm.providers.completed import is_large, is_long
from mockllm.providers.reply import NeutralReply
from mockllm.providers.speech import count_tokens, speak, speak_events
from mockllm.state.choosing import Candidate
from mockllm.wire import json_encoding, sse, tokens
from mockllm.wire.chunking import Chunk
from mockllm.wire.json_encoding import MAX_TEXT

MAX_REASON = 500  # characters of a reason, which may quote the values of a request


class Source(Protocol):
    """The origin of an answer: a mock, an echo, a generator."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of requests that it answers."""

    @property
    def reusable(self) -> bool:
        """True if equal requests get equal answers, which may be cached."""

    @property
    def faults(self) -> Planned:
        """What goes wrong while the answers are sent."""

    def answer(self, prompt: Prompt) -> Answer:
        """Return the answer to `prompt`."""


@dataclass(frozen=True, slots=True)
class _Configured:
    """A configured source. Its `fixed` answer is the one to most requests, or says what the others
    have in common."""

    fixed: Answer

    @property
    def faults(self) -> Planned:
        """Those of the fixed answer."""
        return self.fixed.faults


@dataclass(frozen=True, slots=True)
class FixedSource(_Configured):
    """A configured answer."""

    outcome: Outcome = Outcome.MOCK
    reusable: bool = True

    def answer(self, prompt: Prompt) -> Answer:
        """Return the configured answer, whatever the prompt."""
        return self.fixed


@dataclass(frozen=True, slots=True)
class ReplySource(_Configured):
    """A configured reply that depends on the tools of the request. The fixed answer is that to a
    request without tools: in the form of most tools, with its `json` as text. If it is large,
    `calls` are those of its response."""

    reply: NeutralReply
    api: API
    calls: list[dict[str, Any]] | None = None
    outcome: Outcome = Outcome.MOCK
    reusable: bool = True

    def answer(self, prompt: Prompt) -> Answer:
        """Return the answer in the form of the tools that `prompt` offers or forces."""
        return self._saying(self.api.say(self.reply, prompt.body))

    def answer_in_pieces(self, prompt: Prompt) -> Pieces[Answer]:
        """Do what `answer` does, with pauses if there are many calls, or a large one."""
        if self.calls is None:
            return self.answer(prompt)
        custom = self.api.custom_tools(prompt.body)
        if custom and any((yield from drain(call.name in custom for call in self.reply.calls))):
            calls = yield from drain(self.api.spell_calls(self.reply.calls, custom))
            response = self.api.say(self.reply, prompt.body, calls)
            return self.fixed._replace(response=response, number=None)
        return self._saying(self.api.say(self.reply, prompt.body, self.calls))

    def _saying(self, response: dict[str, Any]) -> Answer:
        if response == self.fixed.response:
            return self.fixed
        return self.fixed._replace(response=response, number=None)


@dataclass(frozen=True, slots=True)
class MadeSource(_Configured):
    """A configured reply that is made for each request. The fixed answer has examples of the texts
    that are made, and no number. `path` is that of the entry of its mock which has the reply."""

    reply: MadeReply
    api: API
    path: str = ""
    outcome: Outcome = Outcome.MOCK
    reusable: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """Return an answer with examples, for those who ask whether it is a failure."""
        return self.fixed

    def make(self, asked: Asked, now: Callable[[], float]) -> Pieces[Answer]:
        """Return the answer to a request, made in pieces. `now` tells the time that is spent on it,
        in seconds.

        Raises:
            MadeReplyError: a text cannot be made.
        """
        try:
            reply = yield from self.reply.make(asked, now)
        except MadeReplyError as exc:
            raise exc.within(self.path) from exc
        body, calls = asked.prompt.body, None
        if is_long(reply.calls):
            custom = self.api.custom_tools(body)
            calls = yield from drain(self.api.spell_calls(reply.calls, custom))
        response = self.api.say(reply, body, calls)
        texts = (reply.text, reply.reasoning, reply.refusal, reply.json)
        may_be_large = bool(reply.calls) or sum(len(text or "") for text in texts) > MAX_TEXT
        return self.fixed._replace(response=response, is_large=may_be_large and is_large(response))


@dataclass(frozen=True, slots=True)
class FunctionSource(_Configured):
    """A function of the author. `source_of` returns the source of the answer that it returned, or
    raises the ValueError of a value that is none. The fixed answer is empty. `path` is like that of
    a MadeSource."""

    function: ReplyFunction
    source_of: Callable[[Any], FixedSource | ReplySource | MadeSource]
    path: str = ""
    outcome: Outcome = Outcome.MOCK
    reusable: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """Return an empty answer, for those who ask whether it is a failure."""
        return self.fixed

    def returned(self, called: Called) -> FixedSource | ReplySource | MadeSource:
        """Return the source of the answer that the function returned.

        Raises:
            MadeReplyError: it failed, or returned something else.
        """
        error = called.error
        if called.is_late:
            reason, error = str(error), None
        elif error is not None:
            reason = f"the function raised {type(error).__name__}: {error}"[:MAX_REASON]
        else:
            try:
                reading = called.reading
                source = self.source_of(called.value) if reading is None else reading()
            except ValueError as exc:
                reason = f"the function returned {exc}"[:MAX_REASON]
            else:
                own = self.fixed
                fixed = source.fixed._replace(
                    faults=own.faults, pace=own.pace, has_own_pace=own.has_own_pace
                )
                return replace(source, fixed=fixed)
        raise MadeReplyError("reply", reason, error).within(self.path)


MockSource = FixedSource | ReplySource | MadeSource | FunctionSource
"""The source of the answer of one mock."""


@dataclass(frozen=True, slots=True)
class ScriptedSource:
    """The answers of a mock with state: one for each entry of the script of its `candidate`, one of
    which is chosen by `state.store`."""

    candidate: Candidate
    entries: tuple[MockSource, ...]
    outcome: Outcome = Outcome.MOCK
    reusable: bool = False

    @property
    def faults(self) -> Planned:
        """Those of the first entry."""
        return self.entries[0].faults

    def answer(self, prompt: Prompt) -> Answer:
        """Return the first entry's answer, for an endpoint that does not choose."""
        return self.entries[0].answer(prompt)


def entries_of(source: MockSource | ScriptedSource) -> tuple[MockSource, ...]:
    """Return the sources of all answers of a mock, in order; of one without state, the only one."""
    return source.entries if isinstance(source, ScriptedSource) else (source,)


def needs_pieces(source: Source) -> bool:
    """True if the answer of `source` is made for each request, or is large."""
    match source:
        case MadeSource() | FunctionSource():
            return True
        case FixedSource() | ReplySource():
            return source.fixed.is_large
        case _:
            return False


def outline(source: Source, prompt: Prompt) -> Answer:
    """Return an answer that fails as the one of `source` to `prompt` does. It takes no time."""
    return source.fixed if isinstance(source, ReplySource) else source.answer(prompt)


def with_pace(source: MockSource, pace: Pace | None, *, is_own: bool) -> MockSource:
    """Return `source` with the pace of its answers, which is their own or that of the file."""
    if pace is source.fixed.pace and is_own == source.fixed.has_own_pace:  # as without latencies
        return source
    return replace(source, fixed=source.fixed._replace(pace=pace, has_own_pace=is_own))


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """A response generated for each prompt: an echo, an embedding."""

    generate: Callable[[Prompt], dict[str, Any]]
    outcome: Outcome
    reusable: bool
    chunk: Chunk = "word"
    faults: Planned = ()
    pace: Pace | None = None
    has_own_pace: bool = False

    def answer(self, prompt: Prompt) -> Answer:
        """Return the answer generated from `prompt`."""
        answer = Answer(self.generate(prompt), self.chunk, faults=self.faults, pace=self.pace)
        return answer._replace(has_own_pace=True) if self.has_own_pace else answer


class Selection(NamedTuple):
    """The source that answers a prompt, and the rule that selected it if it is a mock's."""

    source: Source
    rule: Rule | None
    reusable: bool
    """True if an equal request gets the same answer."""
    candidates: tuple[Rule, ...] = ()
    """The rules of which a store chooses one; `source` and `rule` are then those of the first."""


def with_cached(api: API, answer: Answer, prompt: Prompt) -> Answer:
    """Return the answer to `prompt` with a share of its tokens as cached ones in the usage, if its
    pace says so. It is one for this prompt alone then."""
    pace, written = answer.pace, answer.response.get("usage", {})
    if pace is None or not pace.cached or answer.failure is not None or api.count_cached is None:
        return answer
    if not isinstance(written, dict):
        return answer
    estimated = tokens.estimate_prompt(prompt.body)
    usage = api.count_cached(written, estimated, pace.cached, answer.is_neutral)
    if usage == written:
        return answer
    return answer._replace(response=answer.response | {"usage": usage}, number=None)


def faults_of(
    selection: Selection, effects: Effects, answer: Answer
) -> tuple[Planned, Rule | None]:
    """Return what goes wrong while the `answer` of the selected source is sent: its own faults,
    else those of traffic, and the rule of the mock or the entry that has them. An error has those
    of traffic only that are in no place of another answer."""
    fault = effects.fault
    if selection.source.faults or fault is None:
        return selection.source.faults, selection.rule
    if answer.failure is not None:
        return in_whole_answer(fault.faults), fault.rule
    return fault.faults, fault.rule


def select_error(entry: TrafficEntry) -> Selection:
    """Return the source of the error of an entry of traffic."""
    assert entry.error is not None
    return Selection(FixedSource(entry.error, Outcome.TRAFFIC), None, reusable=True)


def render(api: API, answer: Answer, options: ResponseOptions) -> Reply:
    """Return the reply with `answer`. The steps of a stream are rendered while they are sent; those
    of an answer with a pace have their tokens."""
    if answer.pace is not None:
        return _render_paced(api, answer, options, answer.pace)
    events = answer.events
    if not options.stream or events is None:
        return api.render(answer.complete_response, options, answer.chunk)

    def frames() -> Iterator[bytes | Iterator[bytes]]:
        for event in events:
            if event == DONE:
                yield sse.DONE
            elif json_encoding.takes_long(event):
                yield sse.divided(api.frame, event)
            else:
                yield api.frame(event)

    return Reply.lazy_stream(200, api.vendor.stream_headers, frames)


def _render_paced(api: API, answer: Answer, options: ResponseOptions, pace: Pace) -> Reply:
    """Return the reply with `answer`, with the tokens of its steps and its pacing."""
    response, speaker, events = answer.complete_response, api.speaker, answer.events
    speech = None if answer.beforehand is None else answer.beforehand.speech
    reply = render(api, answer._replace(pace=None), options)
    if not reply.streamed:
        count = 1 if speaker is None else count_tokens(speaker, response, speech)
        reply = with_tokens(reply, count)
    elif speaker is not None and events is not None:
        reply = replace(reply, steps=LazySteps(lambda: speak_events(speaker, events, speech)))
    elif speaker is not None:
        steps = LazySteps(lambda: speak(speaker, response, options, answer.chunk, speech))
        reply = replace(reply, steps=steps)
    return replace(reply, pacing=pace.pacing)
