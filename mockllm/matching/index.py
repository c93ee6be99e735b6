"""The rules of one provider as an index: what `matching.first_match` answers, without going
through them all.

Rules that compare whole items are found by their canonical form in a dictionary, rules that look
for a text by an automaton that looks for all of them at once. First in order wins, whatever way it
was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mockllm.matching.rule import Kind, Rule
from mockllm.matching.specification import headers_hold
from mockllm.matching.substrings import SubstringIndex
from mockllm.prompt import Message, Prompt

WholeKey = tuple[int, bytes]
"""The number of items and their canonical form."""

Headers = Mapping[bytes, bytes]


class RuleIndex:
    """Immutable once made: a new configuration makes a new one. `rules` are in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.header_names = tuple({header.name: None for rule in rules for header in rule.headers})
        """The headers that some rule looks at, each once."""
        self._equal: dict[WholeKey, _Bucket] = {}
        self._ending: dict[WholeKey, _Bucket] = {}
        containing: dict[str | None, list[Rule]] = {}
        for rule in rules:
            wanted = rule.expectation
            if wanted.kind is Kind.CONTAINS:
                containing.setdefault(wanted.role, []).append(rule)
            else:
                whole = self._equal if wanted.kind is Kind.EQUALS else self._ending
                whole.setdefault((wanted.size, wanted.key), _Bucket()).add(rule)
        self._equal_sizes = frozenset(size for size, _ in self._equal)
        self._ending_sizes = frozenset(size for size, _ in self._ending)
        self._containing = {role: _Containing(of_role) for role, of_role in containing.items()}

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """The first rule whose body and headers hold, or None."""
        best: Rule | None = None
        for message in prompt.last_messages:
            for bucket in self._holding(message):
                best = bucket.first(best, headers)
        return best

    def _holding(self, message: Message) -> Iterator[_Bucket]:
        """The rules whose body holds for `message`. Its canonical form is made only of as many
        items as some rule compares."""
        size = message.size
        if size in self._equal_sizes:
            yield self._equal.get((size, message.key_of_last(size)), _EMPTY)
        for shorter in self._ending_sizes:
            if shorter <= size:
                yield self._ending.get((shorter, message.key_of_last(shorter)), _EMPTY)
        for role in (None, message.role):
            of_role = self._containing.get(role)
            if of_role is not None:
                for text in message.search_texts:
                    for place in of_role.substrings.matches(text):
                        yield of_role.buckets[place]


class _Containing:
    """The rules that look for a text in messages of one role: those in `buckets[n]` look for the
    needle at place `n`."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_text: dict[str, _Bucket] = {}
        for rule in rules:
            by_text.setdefault(rule.expectation.text, _Bucket()).add(rule)
        self.substrings = SubstringIndex(tuple(by_text))
        self.buckets = list(by_text.values())


class _Bucket:
    """Rules that want the same of the body, in order. Those that want a header to have a certain
    value are found by it: a thousand tenants who say the same cost no more than one."""

    __slots__ = ("_by_value", "_others")

    def __init__(self) -> None:
        self._others: list[Rule] = []
        self._by_value: dict[bytes, dict[bytes, list[Rule]]] = {}  # of a header's name

    def add(self, rule: Rule) -> None:
        """Put `rule` behind the others."""
        exact = next((header for header in rule.headers if not header.contains), None)
        if exact is None:
            self._others.append(rule)
        else:
            by_value = self._by_value.setdefault(exact.name, {})
            by_value.setdefault(exact.value, []).append(rule)

    def first(self, best: Rule | None, headers: Headers) -> Rule | None:
        """The first rule whose headers hold, if it comes before `best`."""
        best = _earlier(best, self._others, headers)
        for name, by_value in self._by_value.items():
            value = headers.get(name, b"")  # a rule that wants nothing holds where it is absent
            best = _earlier(best, by_value.get(value, ()), headers)
        return best


_EMPTY = _Bucket()


def _earlier(best: Rule | None, rules: Sequence[Rule], headers: Headers) -> Rule | None:
    """The first of `rules`, in order, whose headers hold, if it comes before `best`."""
    for rule in rules:
        if best is not None and rule.index >= best.index:
            return best
        if not rule.headers or headers_hold(rule, headers):
            return rule
    return best
