"""The rules of one provider as an index: what `matching.first_match` answers, without going
through them all.

Rules that compare whole items are found by their canonical form in a dictionary, rules that look
for a text by an automaton that looks for all of them at once. First in order wins, whatever way it
was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mockllm.matching import headers_hold
from mockllm.needles import Needles
from mockllm.prompt import Prompt, Subject
from mockllm.rule import Kind, Rule

WholeKey = tuple[int, bytes]
"""The number of items and their canonical form."""

Headers = Mapping[bytes, bytes]


class Catalog:
    """Immutable once made: a new configuration makes a new one. `rules` are in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.header_names = tuple({header.name: None for rule in rules for header in rule.headers})
        """The headers that some rule looks at, each once."""
        self._equal: dict[WholeKey, list[Rule]] = {}
        self._ending: dict[WholeKey, list[Rule]] = {}
        containing: dict[str | None, list[Rule]] = {}
        for rule in rules:
            wanted = rule.expectation
            if wanted.kind is Kind.CONTAINS:
                containing.setdefault(wanted.role, []).append(rule)
            else:
                whole = self._equal if wanted.kind is Kind.EQUALS else self._ending
                whole.setdefault((wanted.size, wanted.key), []).append(rule)
        self._equal_sizes = frozenset(size for size, _ in self._equal)
        self._ending_sizes = frozenset(size for size, _ in self._ending)
        self._containing = {role: _Containing(of_role) for role, of_role in containing.items()}

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """The first rule whose body and headers hold, or None."""
        best: Rule | None = None
        for subject in prompt.subjects:
            for rules in self._holding(subject):
                best = _earlier(best, rules, headers)
        return best

    def _holding(self, subject: Subject) -> Iterator[list[Rule]]:
        """Lists of rules whose body holds for `subject`. Its canonical form is made only of as
        many items as some rule compares."""
        size = subject.size
        if size in self._equal_sizes:
            yield self._equal.get((size, subject.tail(size)), [])
        for shorter in self._ending_sizes:
            if shorter <= size:
                yield self._ending.get((shorter, subject.tail(shorter)), [])
        for role in (None, subject.role):
            of_role = self._containing.get(role)
            if of_role is not None:
                for text in subject.searched:
                    for place in of_role.needles.found_in(text):
                        yield of_role.rules[place]


class _Containing:
    """The rules that look for a text in messages of one role: `rules[n]`, in order, look for the
    needle at place `n`."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_text: dict[str, list[Rule]] = {}
        for rule in rules:
            by_text.setdefault(rule.expectation.text, []).append(rule)
        self.needles = Needles(tuple(by_text))
        self.rules = list(by_text.values())


def _earlier(best: Rule | None, rules: Sequence[Rule], headers: Headers) -> Rule | None:
    """The first of `rules`, in order, whose headers hold, if it comes before `best`."""
    for rule in rules:
        if best is not None and rule.index >= best.index:
            return best
        if not rule.headers or headers_hold(rule, headers):
            return rule
    return best
