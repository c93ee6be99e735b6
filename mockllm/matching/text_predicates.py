"""Conditions on the texts of a conversation: what was said, and what tools returned.

Each reads one thing of the request and tests it:

    >>> TextIs(Subject.SYSTEM, Contains("French")).difference(prompt, headers).reason()
    "no instruction is a text that contains 'French', found 'You are a pirate.'"

A condition that cannot be decided does not hold. `logic` combines them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from mockllm.matching import readings
from mockllm.matching.closeness import ALIKE, ONLY_REQUEST, RIGHT_KIND, WRONG_KIND
from mockllm.matching.effort import PER_TEXT, Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.readings import UNKNOWN_CHAIN, Reading, Texts
from mockllm.matching.subjects import ALL_MESSAGES, ALL_RESULTS, Subject
from mockllm.matching.text_tests import (
    AnyTest,
    TextTest,
    explain_cut,
    one_passes,
    passes_in_pieces,
)
from mockllm.matching.texts import quote
from mockllm.matching.verdicts import Verdict, one_of
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt, ToolResult

MAX_NEAR = 8  # texts of which the nearest is sought
MAX_HINTED = 32  # texts for which a remedy is sought
MAX_TESTS = 100  # of a list that are measured without a pause
PER_LIKENESS = 3_000  # nanoseconds to look whether a text is like an expected one
PER_CLOSENESS = 10_000  # nanoseconds to see how much of an expected text is in another
PER_HINT = 15_000  # nanoseconds to look for a remedy
CALL_EFFORT = 1_000  # nanoseconds to test whether a result is of a call


@dataclass(frozen=True, slots=True)
class TextIs(Predicate):
    """One of the texts of `subject` passes `test`."""

    subject: Subject
    test: TextTest

    @property
    def on_message(self) -> bool:
        return self.subject.value.on_message

    @property
    def reads_one_message(self) -> bool:
        return self.subject in (Subject.USER, Subject.LAST_USER, Subject.MODEL)

    @property
    def looks_back(self) -> bool:
        return self.subject is Subject.LAST_USER

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        reading = self.subject.value
        found = prompt.once(reading.read)
        if found is None:
            return Difference(
                WRONG_KIND, lambda: f"{reading.name}: {UNKNOWN_CHAIN}", undecided=True
            )
        if not found:
            return Difference(WRONG_KIND, partial(self._no_texts, prompt))
        texts, test = prompt.once(reading.tested), self.test
        holds = self._verdict(prompt, texts)
        if holds:
            return None
        undecided = holds is None
        reason = partial(self._reason, texts, undecided)
        if closer_than >= DECIDE:  # 3,000 tests take a second to measure
            return Difference(RIGHT_KIND, reason, undecided=undecided)
        if not reading.on_message:
            close = ONLY_REQUEST + _likeness(test, texts, prompt)
            return Difference(close, reason, undecided=undecided)
        above = max(0, closer_than - RIGHT_KIND)
        close = RIGHT_KIND + _closeness(test, texts, above, prompt)
        return Difference(close, reason, undecided=undecided)

    def difference_in_pieces(
        self, prompt: Prompt, headers: Headers, effort: Effort, *, closer_than: int = DECIDE
    ) -> Pieces[Difference | None]:
        yield from self.decide_in_pieces(prompt, headers, effort)
        test, reading = self.test, self.subject.value
        if closer_than >= DECIDE or not isinstance(test, AnyTest) or len(test.tests) <= MAX_TESTS:
            return self.difference(prompt, headers, closer_than=closer_than)
        difference = self.difference(prompt, headers)
        texts = prompt.once(reading.tested)
        if difference is None or not texts:
            return difference
        near = yield from _measure(test, texts, prompt, effort)
        undecided = difference.undecided
        reason = partial(self._reason_in, texts, undecided, near.hint)
        if not reading.on_message:
            return Difference(ONLY_REQUEST + near.likeness, reason, undecided=undecided)
        close = ALIKE + near.likeness if near.likeness else near.closeness
        return Difference(RIGHT_KIND + close, reason, undecided=undecided)

    def _verdict(self, prompt: Prompt, texts: Texts) -> Verdict:
        if prompt.verdicts is not None and self in prompt.verdicts:
            kept: Verdict = prompt.verdicts[self]
            return kept
        return one_passes(self.test, texts, readings.fold_of(prompt))

    @property
    def is_slow(self) -> bool:
        return self.test.is_slow

    @property
    def extent(self) -> int:
        return self.test.weight

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        texts = prompt.once(self.subject.value.tested)
        if texts and not self.is_decided(prompt):
            folded = prompt.once(readings.Folded)
            holds = yield from passes_in_pieces(self.test, texts, folded, effort)
            prompt.keep_verdict(self, holds)

    @property
    def readings(self) -> tuple[Reading, ...]:
        return self.subject.value.readings

    def work(self, prompt: Prompt) -> int:
        return self.test.weight * prompt.once(self.subject.value.size)

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, TextIs):
            return False
        same = self.subject is later.subject
        implied = self.subject is Subject.LAST_USER and later.subject is Subject.USER
        return (same or implied) and self.test.covers(later.test)

    def _no_texts(self, prompt: Prompt) -> str:
        none = self.subject.value.none
        if self.subject is Subject.USER and readings.results(prompt):
            none = "the last turn has a tool result; 'tool_result' and 'last_user' are for those"
        return f"{none}, expected {self.test}"

    def _reason(self, texts: Texts, undecided: bool) -> str:
        hint = next(filter(None, map(self.test.hint, texts[:MAX_HINTED])), "")
        return self._reason_in(texts, undecided, hint)

    def _reason_in(self, texts: Texts, undecided: bool, hint: str) -> str:
        found = quote(texts[0])
        cut = explain_cut(self.test, map(len, texts)) if undecided else ""
        return f"{self.subject.value.failed} is {found}, expected {self.test}{hint}{cut}"


def _closeness(test: TextTest, texts: Texts, above: int, prompt: Prompt) -> int:
    """Return that of the nearest of the first `texts`; 0 if it is not greater than `above`. A text
    that differs in what readers overlook is nearer than any other."""
    like = _likeness(test, texts, prompt)
    if like:
        return ALIKE + like if ALIKE + like > above else 0
    nearest, fold = 0, readings.fold_of(prompt)
    for text in texts[:MAX_NEAR]:
        close = test.closeness(text, above=above, fold=fold)
        if close > above:
            nearest = above = close
    return nearest


class _Near(NamedTuple):
    """How near texts are to one of the tests of a list, and the remedy of the first that has
    one."""

    likeness: int = 0
    closeness: int = 0
    hint: str = ""


def _measure(test: AnyTest, texts: Texts, prompt: Prompt, effort: Effort) -> Pieces[_Near]:
    """Return what `_likeness`, `_closeness` and the hints of a list of tests are, with pauses."""
    seen, fold = readings.seen_of(prompt), readings.fold_of(prompt)
    likeness = closeness = 0
    for text in texts[:MAX_NEAR]:
        for each in test.tests:
            likeness = max(likeness, each.likeness(text, seen))
            if effort.is_much(PER_LIKENESS):
                yield False
    for text in texts[:MAX_NEAR] if not likeness else ():
        for each in test.tests:
            closeness = max(closeness, each.closeness(text, above=closeness, fold=fold))
            if effort.is_much(PER_CLOSENESS):
                yield False
    for text in texts[:MAX_HINTED]:
        for each in test.tests:
            hint = each.hint(text)
            if hint:
                return _Near(likeness, closeness, hint)
            if effort.is_much(PER_HINT):
                yield False
    return _Near(likeness, closeness)


def _likeness(test: TextTest, texts: Texts, prompt: Prompt) -> int:
    seen = readings.seen_of(prompt)
    return max((test.likeness(text, seen) for text in texts[:MAX_NEAR]), default=0)


@dataclass(frozen=True, slots=True)
class MessageIs(Predicate):
    """Some message of the conversation has the `role` (None: any) and passes `test` (None: any)."""

    test: TextTest | None
    role: str | None = None

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        holds = self._verdict(prompt)
        if holds:
            return None
        if prompt.earlier is not None or not prompt.is_known():
            return Difference(ONLY_REQUEST, self._unknown_reason, undecided=True)
        if holds is None:
            return Difference(ONLY_REQUEST, partial(self._cut_reason, prompt), undecided=True)
        return Difference(ONLY_REQUEST, lambda: self._reason() + self._hint(prompt))

    def _verdict(self, prompt: Prompt) -> Verdict:
        if prompt.verdicts is not None and self in prompt.verdicts:
            kept: Verdict = prompt.verdicts[self]
            return kept
        test, fold = self.test, readings.fold_of(prompt)
        found = self._texts_of_role(prompt)
        return one_of(test is None or one_passes(test, texts, fold) for texts in found)

    def _texts_of_role(self, prompt: Prompt) -> Iterator[Texts]:
        """Yield the texts of each message that has the role."""
        for message, texts in prompt.once(readings.spoken_texts):
            if self.role is None or message.role == self.role:
                yield texts

    @property
    def is_slow(self) -> bool:
        return self.test is not None and self.test.is_slow

    @property
    def extent(self) -> int:
        return 1 if self.test is None else self.test.weight

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        test, folded = self.test, prompt.once(readings.Folded)
        holds: Verdict = False
        for message, texts in prompt.once(readings.spoken_texts):
            if self.role is None or message.role == self.role:
                passed = test is None or (yield from passes_in_pieces(test, texts, folded, effort))
                if passed:
                    holds = True
                    break
                if passed is None:
                    holds = None
            if effort.is_much(PER_TEXT):
                yield False
        prompt.keep_verdict(self, holds)

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            readings.messages,
            readings.spoken,
            readings.spoken_texts,
            readings.all_texts,
            ALL_MESSAGES,
        )

    def work(self, prompt: Prompt) -> int:
        weight = 1 if self.test is None else self.test.weight
        return weight * prompt.once(ALL_MESSAGES)

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, MessageIs) or self.role not in (None, later.role):
            return False
        if self.test is None:
            return True
        return later.test is not None and self.test.covers(later.test)

    def _reason(self) -> str:
        of_role = f" of the {self.role}" if self.role else ""
        return f"no message{of_role} is {self.test}" if self.test else f"no message{of_role}"

    def _hint(self, prompt: Prompt) -> str:
        if self.test is None:
            return ""
        texts = chain.from_iterable(each[:MAX_NEAR] for each in self._texts_of_role(prompt))
        return next(filter(None, map(self.test.hint, islice(texts, MAX_HINTED))), "")

    def _cut_reason(self, prompt: Prompt) -> str:
        lengths = (len(text) for texts in self._texts_of_role(prompt) for text in texts)
        cut = "" if self.test is None else explain_cut(self.test, lengths)
        return f"{self._reason()}{self._hint(prompt)}{cut}"

    def _unknown_reason(self) -> str:
        return f"{self._reason()} in this request; earlier messages are not in it"


class _Found(NamedTuple):
    """What a `ResultIs` has found among the results of the last turn."""

    holds: Verdict
    of_call: Sequence[tuple[ToolResult, Texts]]
    """The first results that are right but for their texts, at most `MAX_NEAR`."""
    unnamed: bool
    """True if the name of a result matters and is not known; only if it does not hold."""


@dataclass(frozen=True, slots=True)
class ResultIs(Predicate):
    """A tool result of the last turn passes all these tests; None passes any. `name` is that of the
    called tool."""

    text: TextTest | None = None
    name: TextTest | None = None
    call_id: TextTest | None = None
    error: bool | None = None

    @property
    def on_message(self) -> bool:
        return True

    @property
    def looks_back(self) -> bool:
        return self.name is not None

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        results = prompt.once(readings.result_texts)
        if not results:
            return Difference(WRONG_KIND, lambda: "the last turn has no tool result")
        found: _Found | None = None if prompt.verdicts is None else prompt.verdicts.get((self,))
        holds, of_call, unnamed = found or self._find(prompt, results)
        if holds:
            return None
        is_cut = holds is None
        undecided = is_cut or (unnamed and not prompt.is_known())
        if not of_call:
            result = results[0][0]
            reason = partial(self._call_reason, prompt, result, is_cut)
            return Difference(RIGHT_KIND, reason, undecided=undecided)
        assert self.text is not None  # else one of them would be right
        nearest, closest = of_call[0][1], 0
        if closer_than >= DECIDE:
            reason = partial(self._text_reason, prompt, self.text, nearest, is_cut)
            return Difference(RIGHT_KIND, reason, undecided=undecided)
        above = max(0, closer_than - RIGHT_KIND)
        for _, texts in of_call:
            close = _closeness(self.text, texts, max(above, closest), prompt)
            if close > closest:
                nearest, closest = texts, close
        reason = partial(self._text_reason, prompt, self.text, nearest, is_cut)
        return Difference(RIGHT_KIND + closest, reason, undecided=undecided)

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (
            readings.messages,
            readings.turns,
            readings.results,
            readings.result_texts,
            readings.all_result_texts,
            ALL_RESULTS,
        )

    def work(self, prompt: Prompt) -> int:
        weight = 1 if self.text is None else self.text.weight
        return weight * prompt.once(ALL_RESULTS)

    def _is_of_call(self, result: ToolResult) -> Verdict:
        """True if `result` is right but for its text, None if that is not decided."""
        if self.error is not None and result.error is not self.error:
            return False
        of_name = self.name is None or self.name.passes(result.name)
        if not of_name and of_name is not None:
            return False
        of_id = self.call_id is None or self.call_id.passes(result.call_id)
        return None if of_id and of_name is None else of_id

    def _find(self, prompt: Prompt, results: Sequence[tuple[ToolResult, Texts]]) -> _Found:
        """Compare the results of the last turn, of which there is at least one."""
        of_call: list[tuple[ToolResult, Texts]] = []
        test, fold = self.text, readings.fold_of(prompt)
        holds: Verdict = False
        for result, texts in results:
            is_of_call = self._is_of_call(result)
            if is_of_call:
                of_call.append((result, texts))
            if not holds and is_of_call is not False:
                passed = test is None or one_passes(test, texts, fold)
                holds = _of_both(is_of_call, passed, otherwise=holds)
        unnamed = not holds and self.name is not None and not all(each.name for each, _ in results)
        return _Found(holds, of_call[:MAX_NEAR], unnamed)

    @property
    def is_slow(self) -> bool:
        return any(
            each is not None and each.is_slow for each in (self.text, self.name, self.call_id)
        )

    @property
    def extent(self) -> int:
        tests = (self.text, self.name, self.call_id)
        return 1 + sum(each.weight for each in tests if each is not None)

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if self.is_decided(prompt):
            return
        test, folded = self.text, prompt.once(readings.Folded)
        near: list[tuple[ToolResult, Texts]] = []
        holds: Verdict = False
        unnamed = False
        for result, texts in prompt.once(readings.result_texts):
            unnamed = unnamed or (self.name is not None and not result.name)
            is_of_call = self._is_of_call(result)
            if is_of_call and len(near) < MAX_NEAR:
                near.append((result, texts))
            if is_of_call is not False:
                passed = test is None or (yield from passes_in_pieces(test, texts, folded, effort))
                holds = _of_both(is_of_call, passed, otherwise=holds)
                if holds:
                    break
            if effort.is_much(CALL_EFFORT):
                yield False
        prompt.keep_verdict(self, holds)
        prompt.keep_verdict((self,), _Found(holds, near, unnamed))

    def _cut(self, prompt: Prompt) -> str:
        """Return the sentence that not all of a result is looked at."""
        results = prompt.once(readings.result_texts)
        tested = (
            (self.name, (len(result.name) for result, _ in results)),
            (self.call_id, (len(result.call_id) for result, _ in results)),
            (self.text, (len(text) for _, texts in results for text in texts)),
        )
        cuts = (explain_cut(test, lengths) for test, lengths in tested if test is not None)
        return next(filter(None, cuts), "")

    def _call_reason(self, prompt: Prompt, result: ToolResult, is_cut: bool) -> str:
        return f"{self._of_other_call(prompt, result)}{self._cut(prompt) if is_cut else ''}"

    def _of_other_call(self, prompt: Prompt, result: ToolResult) -> str:
        """Explain why `result` is not right but for its text."""
        if self.name is not None and not self.name.passes(result.name):
            if not result.name:
                why = UNKNOWN_CHAIN if not prompt.is_known() else "no call has its id"
                return f"the tool of the result {quote(result.call_id)} is not known: {why}"
            return f"the result is of the tool {quote(result.name)}, expected {self.name}"
        if self.call_id is not None and not self.call_id.passes(result.call_id):
            return f"the result is of the call {quote(result.call_id)}, expected {self.call_id}"
        if self.error and prompt.readers.untold_failures:
            return prompt.readers.untold_failures
        reason = "the tool succeeded" if self.error else "the tool failed"
        return f"{reason}, expected the opposite"

    def _text_reason(self, prompt: Prompt, test: TextTest, texts: Texts, is_cut: bool) -> str:
        hint = next(filter(None, map(test.hint, texts[:MAX_HINTED])), "")
        cut = self._cut(prompt) if is_cut else ""
        return f"the tool result is {quote(texts[0])}, expected {test}{hint}{cut}"

    def covers(self, later: Predicate) -> bool:
        return (
            isinstance(later, ResultIs)
            and self.error in (None, later.error)
            and _covers(self.text, later.text)
            and _covers(self.name, later.name)
            and _covers(self.call_id, later.call_id)
        )


def _of_both(one: Verdict, other: Verdict, *, otherwise: Verdict) -> Verdict:
    """Return the verdict on a result by those on its call and on its text; `otherwise` if it does
    not pass."""
    if one and other:
        return True
    return otherwise if one is False or other is False else None


def _covers(test: TextTest | None, later: TextTest | None) -> bool:
    return test is None or (later is not None and test.covers(later))
