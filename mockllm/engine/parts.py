"""Chooses the mocks that answer the parts of one request: inputs of Embeddings, or prompts.

A request takes at most one answer of each mock, which is that to all parts that the mock answers:
an entry is the answer to a request, however many parts this has. So an error of a script is not
used up by the second part of the request that it fails.

What a request takes is remembered for each mock, and that it has taken something for the request: a
marked retry repeats what the attempt before it took of each mock, unless that attempt was answered
before anything was chosen, by a limit or an error of traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockllm.engine import asking
from mockllm.engine.decision import Decision, Question
from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.rule import Rule
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import NONE_LEFT, Candidate, Choice, Chosen, Exhausted
from mockllm.state.operations import Choose, SessionEnded

_NEXT = Candidate("")
"""Stands for the mocks behind one whose script may be over."""
_PARTS = Candidate("parts")
"""What a request takes for all of its parts."""

Resume = Callable[[Sequence[Choice] | RequestError], Decision | Question]
"""Decides by the choice for each part, in order, or by the error of a refusal."""


def choose_for_parts(
    table: Table,
    parts: Sequence[Sequence[Rule]],
    request: Request,
    session: str,
    resume: Resume,
) -> Decision | Question:
    """Return the question which of its rules answers each of the `parts` of `request`, of which
    each has those that match it, in order, up to and including the first without state."""
    return _Parts(table, parts, asking.attempt_of(request), session, resume).begin()


@dataclass
class _Parts:
    table: Table
    parts: Sequence[Sequence[Rule]]
    attempt: Attempt
    session: str
    resume: Resume
    taken: dict[int, Chosen | None] = field(default_factory=dict)
    """What the request took of the mocks that were asked for, by the indices of their rules; None
    of those whose scripts are over."""

    def begin(self) -> Decision | Question:
        """Ask what the parts get. Of a marked retry it is asked before whether there is anything to
        repeat."""
        asked = self.ask()
        if not isinstance(asked, Question):
            return asked
        whole = Choose(self.session, (_PARTS,), self.attempt)
        first = (whole,) if self.attempt.retry else (whole, *asked.operations)
        return Question(first, lambda results: self._begun(asked, results))

    def _begun(self, asked: Question, results: Sequence[Any]) -> Decision | Question:
        if isinstance(results[0], SessionEnded):
            return self.resume(asking.session_ended(results[0]))
        if not self.attempt.retry:
            return asked.resume(results[1:])
        if not results[0].repeated:
            self.attempt = self.attempt._replace(retry=0)
        return self.ask()

    def ask(self) -> Decision | Question:
        """Ask for the first mock of each part that has not been asked for. They are asked for one
        by one, because each part may go on to different ones."""
        rules = list({rule.index: rule for rule in self._unknown()}.values())
        if not rules:
            return self.resume([self._choice(part) for part in self.parts])
        operations = tuple(map(self._operation, rules))
        return Question(operations, lambda results: self._answered(rules, results))

    def _answered(self, rules: Sequence[Rule], results: Sequence[Any]) -> Decision | Question:
        for rule, result in zip(rules, results, strict=False):
            match result:
                case Chosen(candidate):
                    self.taken[rule.index] = result if candidate == 0 else None
                case Exhausted():
                    return self.resume(asking.exhausted(rule, result))
                case SessionEnded():
                    return self.resume(asking.session_ended(result))
        return self.ask()

    def _operation(self, rule: Rule) -> Choose:
        candidate = asking.candidate_of(self.table, rule)
        return Choose(self.session, (candidate, _NEXT), self.attempt.at_part(candidate.key))

    def _unknown(self) -> Iterator[Rule]:
        for part in self.parts:
            for rule in part:
                if not rule.stateful:
                    break
                if rule.index not in self.taken:
                    yield rule
                    break
                if self.taken[rule.index] is not None:
                    break

    def _choice(self, part: Sequence[Rule]) -> Choice:
        for place, rule in enumerate(part):
            if not rule.stateful:
                return Chosen(place)
            taken = self.taken[rule.index]
            if taken is not None:
                return taken._replace(candidate=place)
        return NONE_LEFT
