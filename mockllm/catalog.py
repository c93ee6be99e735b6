"""The rules of one provider as an index: what `matching.first_match` answers, without going
through them all.

Rules that compare whole items are found by their canonical form in a dictionary; rules that look
for a text are gone through in order. First in order wins, whatever way it was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge

from mockllm.matching import body_holds, headers_hold
from mockllm.prompt import Prompt, Subject
from mockllm.rule import Kind, Rule

WholeKey = tuple[int, bytes]
"""The number of items and their canonical form."""


class Catalog:
    """Immutable once made: a new configuration makes a new one."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._containing = [rule for rule in rules if rule.expectation.kind is Kind.CONTAINS]
        self._equal: dict[WholeKey, list[Rule]] = {}
        self._ending: dict[WholeKey, list[Rule]] = {}
        for rule in rules:
            wanted = rule.expectation
            if wanted.kind is not Kind.CONTAINS:
                whole = self._equal if wanted.kind is Kind.EQUALS else self._ending
                whole.setdefault((wanted.size, wanted.key), []).append(rule)
        self.header_names = tuple({header.name: None for rule in rules for header in rule.headers})
        """The headers that some rule looks at, each once."""
        self._equal_sizes = {size for size, _ in self._equal}
        self._ending_sizes = {size for size, _ in self._ending}

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Mapping[bytes, bytes]) -> Rule | None:
        """The first rule whose body and headers hold, or None."""
        return next(self.candidates(prompt, headers), None)

    def candidates(self, prompt: Prompt, headers: Mapping[bytes, bytes]) -> Iterator[Rule]:
        """All rules whose body and headers hold, in order."""
        found = [rules for subject in prompt.subjects for rules in self._whole(subject)]
        containing = (rule for rule in self._containing if body_holds(rule.expectation, prompt))
        in_order = merge(containing, *found, key=_index) if found else containing
        return (rule for rule in in_order if headers_hold(rule, headers))

    def _whole(self, subject: Subject) -> Iterator[list[Rule]]:
        """The rules about whole items that hold for `subject`. Its canonical form is made only of
        as many items as some rule compares."""
        size = subject.size
        if size in self._equal_sizes:
            yield self._equal.get((size, subject.tail(size)), [])
        for shorter in self._ending_sizes:
            if shorter <= size:
                yield self._ending.get((shorter, subject.tail(shorter)), [])


def _index(rule: Rule) -> int:
    return rule.index
