"""A conversation that meets requirements, in the words of no API.

A draft is what a request needs; `conversation` writes it out. It promises nothing: whether a rule
matches the request is for the rule to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from mockllm.conformance.examples import TEXTS, find_texts
from mockllm.conformance.requirements import ANY_TOOL, Requirements
from mockllm.matching.request_predicates import (
    Counter,
    CountIs,
    HasInputs,
    NoTools,
    OffersAnyTool,
    OffersTool,
    SystemContains,
)
from mockllm.matching.subjects import Subject
from mockllm.matching.text_predicates import MessageIs, ResultIs, TextIs
from mockllm.matching.text_tests import Contains, Equals, TextTest
from mockllm.prompt import ConversationMessage, ToolCall, ToolResult

MODEL = "any-model"
CALL_ID = "call_1"
MAX_ANSWERS = 100
"""Answers of the model in a conversation; one that needs more is not built."""
MAX_WORDS = 12
"""Texts that are tried as the user's last words."""


class Conversation(NamedTuple):
    """A conversation and what is offered in it. `schemas` are the names of the output's schema, or
    of a tool that the model must call; no tool may be offered for that if it `has_no_tools`."""

    model: str
    system: tuple[str, ...]
    tools: tuple[str, ...]
    schemas: tuple[str, ...]
    messages: tuple[ConversationMessage, ...]
    has_no_tools: bool = False


@dataclass
class Draft:
    """What a request needs, so far. Each list of tests has one for each condition, and `unwanted`
    those that no text may pass."""

    tests: dict[Subject, list[TextTest]] = field(
        default_factory=lambda: {subject: [] for subject in Subject}
    )
    unwanted: dict[Subject, list[TextTest]] = field(
        default_factory=lambda: {subject: [] for subject in Subject}
    )
    results: list[ResultIs] = field(default_factory=list)
    messages: list[MessageIs] = field(default_factory=list)
    unwanted_words: list[TextTest] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    has_no_tools: bool = False
    low: dict[Counter, int] = field(default_factory=lambda: dict.fromkeys(Counter, 1))
    high: dict[Counter, int] = field(default_factory=lambda: dict.fromkeys(Counter, MAX_ANSWERS))
    inputs: int = 1

    @classmethod
    def of(cls, requirements: Requirements) -> Draft:
        """Return the draft of what `requirements` need of a conversation."""
        draft = cls()
        unwanted_tools = {
            name
            for condition, holds in requirements
            if not holds and isinstance(condition, (OffersTool, OffersAnyTool))
            for name in (
                condition.names if isinstance(condition, OffersAnyTool) else (condition.name,)
            )
        }
        for condition, holds in requirements:
            if holds:
                draft._require(condition, unwanted_tools)
            elif isinstance(condition, TextIs):
                draft.unwanted[condition.subject].append(condition.test)
            elif isinstance(condition, MessageIs) and condition.test is not None:
                draft.unwanted_words.append(condition.test)
        return draft

    def _require(self, condition: object, unwanted_tools: set[str]) -> None:
        match condition:
            case TextIs(subject, test):
                self.tests[subject].append(test)
            case SystemContains(text):
                self.tests[Subject.SYSTEM].append(Contains(text))
            case ResultIs():
                self.results.append(condition)
            case MessageIs():
                self.messages.append(condition)
            case OffersTool(name):
                self.tools.append(name)
            case OffersAnyTool(names):
                self.tools += sorted(names - unwanted_tools)[:1]
            case NoTools():
                self.has_no_tools = True
            case CountIs(counter, low, high):
                self.low[counter] = max(self.low[counter], low)
                if high is not None:
                    self.high[counter] = min(self.high[counter], high)
            case HasInputs(number):
                self.inputs = number

    def answering(self, call_ids: Sequence[str]) -> Draft:
        """Return the draft of a conversation that ends with the results of these calls."""
        results = [
            each
            if each.call_id or at >= len(call_ids)
            else replace(each, call_id=Equals(call_ids[at]))
            for at, each in enumerate(self.results)
        ]
        more = [ResultIs(call_id=Equals(call_id)) for call_id in call_ids[len(results) :]]
        return replace(self, results=[*results, *more])

    def conversations(self) -> Iterator[Conversation]:
        """Yield conversations that differ in the user's words; none if the draft contradicts
        itself."""
        no_name = [Equals("")]  # is refused
        model = _first(
            self.tests[Subject.MODEL], [*self.unwanted[Subject.MODEL], *no_name], (MODEL, *TEXTS)
        )
        system = _together_or_each(self.tests[Subject.SYSTEM], self.unwanted[Subject.SYSTEM])
        schemas = _together_or_each(
            self.tests[Subject.SCHEMA], [*self.unwanted[Subject.SCHEMA], *no_name]
        )
        if model is None:
            return
        if self.has_no_tools and self.tools:
            return
        for words in self._words():
            messages = self._messages(words)
            if messages is not None:
                tools = tuple(dict.fromkeys(self.tools))
                yield Conversation(
                    model, system, tools, schemas, tuple(messages), self.has_no_tools
                )

    # --- the user's words -------------------------------------------------------------------------

    def _words(self) -> Iterator[tuple[str, ...]]:
        """Yield what the user says last: one text for all conditions or, if there is none, one for
        each."""
        wanted = self.tests[Subject.USER] + self.tests[Subject.LAST_USER]
        unwanted = [
            *self.unwanted[Subject.USER],
            *self.unwanted[Subject.LAST_USER],
            *self.unwanted_words,
        ]
        texts = [*islice(find_texts(wanted, unwanted), MAX_WORDS)]
        yield from ((text,) for text in texts)
        if not texts:
            yield tuple(_each(wanted, unwanted))

    # --- the conversation -------------------------------------------------------------------------

    def _messages(self, words: tuple[str, ...]) -> list[ConversationMessage] | None:
        """Return the conversation with the user's last `words`; None if there is none with the
        numbers that are needed."""
        tests = {
            role: [each.test for each in self.messages if each.role == role]
            for role in (None, "user", "assistant", "tool")
        }
        needs_tool = bool(tests["tool"]) and not self.results
        step = max(self.low[Counter.STEP], 2 if self.results else 1)
        if needs_tool and not self.tests[Subject.USER]:
            step = max(step, 2)
        answers = max(step, self.low[Counter.TURN], 2 if tests["assistant"] else 1)
        if needs_tool and step == 1:
            answers = max(answers, 3)  # the call, and the answer to its result
        if step > self.high[Counter.STEP] or answers > self.high[Counter.TURN]:
            return self._results_alone() if self.results else None
        if step > 1 and self.tests[Subject.USER]:
            return None
        said = self._also_said(words, [*tests[None], *tests["user"]])
        told = tuple(_each(tests["assistant"])) or ("any answer",)
        earlier = self._earlier(answers - step, told, needs_tool=needs_tool and step == 1)
        messages = [*earlier, ConversationMessage("user", said)]
        for number in range(1, step):
            is_last = number == step - 1
            results = self._results() if is_last else [_result(f"call_0{number}")]
            calls = tuple(ToolCall(each.call_id, each.name) for each in results)
            messages += [ConversationMessage("assistant", told, calls), *results]
        return messages

    def _also_said(
        self, words: tuple[str, ...], tests: Sequence[TextTest | None]
    ) -> tuple[str, ...]:
        """Return `words` with those that other conditions on some message need."""
        more = [
            text
            for test in tests
            if test is not None and not any(map(test.passes, words))
            for text in islice(find_texts([test], self.unwanted_words), 1)
        ]
        return (*words, *more) or ("",)

    def _earlier(
        self, answers: int, told: tuple[str, ...], *, needs_tool: bool
    ) -> Iterator[ConversationMessage]:
        """Yield earlier questions with as many answers, the first with a call if that is
        needed."""
        asked = _first([], [*self.unwanted[Subject.LAST_USER], *self.unwanted_words]) or ""
        if needs_tool:
            results = self._results()
            calls = tuple(ToolCall(each.call_id, each.name) for each in results)
            yield ConversationMessage("user", (asked,))
            yield from (ConversationMessage("assistant", told, calls), *results)
            yield ConversationMessage("assistant", told)
            answers -= 2
        for _ in range(answers):
            yield ConversationMessage("user", (asked,))
            yield ConversationMessage("assistant", told)

    def _results_alone(self) -> list[ConversationMessage] | None:
        """Return results without their calls: the only ones in a first turn."""
        return None if self.tests[Subject.LAST_USER] else [*self._results()]

    def _results(self) -> list[ToolResult]:
        """Return a result for each condition on one, and on messages of tools."""
        texts = [each.test for each in self.messages if each.role == "tool" and each.test]
        wanted = [*self.results, *(ResultIs(text=test) for test in texts)] or [ResultIs()]
        return [_result_of(each, at) for at, each in enumerate(wanted)]


def _result_of(wanted: ResultIs, at: int) -> ToolResult:
    default = CALL_ID if at == 0 else f"call_{at + 1}"
    return ToolResult(
        texts=(_first([wanted.text] if wanted.text else ()) or "",),
        call_id=_first([wanted.call_id] if wanted.call_id else (), (), (default,)) or "",
        name=_first([wanted.name] if wanted.name else (), (), (ANY_TOOL,)) or "",
        error=wanted.error is True,
    )


def _result(call_id: str) -> ToolResult:
    return ToolResult(texts=(TEXTS[0],), call_id=call_id, name=ANY_TOOL)


def _first(
    wanted: Sequence[TextTest],
    unwanted: Sequence[TextTest] = (),
    defaults: Sequence[str] = TEXTS,
) -> str | None:
    """Return a text that passes all of `wanted` and none of `unwanted`, one of `defaults` if
    possible; None if none is found."""
    allowed = (
        text
        for text in defaults
        if all(test.passes(text) for test in wanted)
        and not any(test.passes(text) for test in unwanted)
    )
    first = None if wanted and defaults is TEXTS else next(allowed, None)
    return first if first is not None else next(find_texts(wanted, unwanted), None)


def _each(tests: Iterable[TextTest | None], unwanted: Sequence[TextTest] = ()) -> Iterator[str]:
    """Yield a text for each test, where one is found."""
    for test in tests:
        text = _first([test], unwanted) if test is not None else None
        if text is not None:
            yield text


def _together_or_each(wanted: Sequence[TextTest], unwanted: Sequence[TextTest]) -> tuple[str, ...]:
    """Return one text that passes all of `wanted` or, if there is none, one for each; none if
    nothing is wanted."""
    together = _first(wanted, unwanted) if wanted else None
    return tuple(_each(wanted, unwanted)) if together is None else (together,)
