"""Finds unreachable rules: those whose requests are all matched by an earlier rule.

The time grows with the number of rules and the length of their texts, not with the number of pairs:
10,000 rules have 50 million.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge, nsmallest
from itertools import islice
from operator import attrgetter

from mockllm.matching.header_predicates import HeaderEquals
from mockllm.matching.message_predicates import ItemsEqual, LastMessagePredicate, MessageContains
from mockllm.matching.predicate import Predicate
from mockllm.matching.rule import Rule
from mockllm.matching.subjects import Subject
from mockllm.matching.substrings import SubstringIndex
from mockllm.matching.text_predicates import TextIs
from mockllm.matching.text_tests import AllTests, AnyTest, Comparison, Contains, Equals, TextTest
from mockllm.matching.twins import find_twins, first_twin

MAX_COMPARED = 100  # earlier rules that any rule is compared with
MAX_COMPARISONS = 100_000  # with others, of all rules together; each takes 1 to 3 µs
MAX_FOUND = 1_000  # texts of other rules that are looked at for each text of a rule

_INDEX = attrgetter("index")


def find_shadowed(
    rules: Sequence[Rule], missed: list[Rule] | None = None
) -> Iterator[tuple[Rule, Rule]]:
    """Yield each rule that is covered by an earlier one, with the first that covers it. `rules` are
    in order. A rule that passes covers none.

    A rule is compared with the earlier ones whose first condition is the same, or holds whenever
    one of its own does, or is of a kind that cannot be looked up: a regular expression, a range,
    ``not``. If these are too many for `MAX_COMPARED` and `MAX_COMPARISONS`, the rule is added to
    `missed` unless it is found to be covered.

    Of twins (`matching.twins`), the first may answer for any call, and another for its own, in the
    first one's place: it is hidden by rules before that, and by a twin with the same call."""
    groups = _Groups(rules)
    twins = find_twins(rules)
    default = next((rule for rule in rules if not rule.predicates and not rule.passes), None)
    left = MAX_COMPARISONS
    for rule in rules:
        alike = twins.get(rule.index)
        first = first_twin(alike) if alike else rule
        compared, found = 0, None
        most = MAX_COMPARED + left
        for each in groups.possible_covers(rule, first.index, most + 1):
            if compared == most:
                break
            compared += 1
            if not each.passes and each.covers(rule):
                found = each
                break
        else:
            most += 1  # there are no others
        left -= max(compared - MAX_COMPARED, 0)
        if default is not None and default.index < (found or first).index:
            found = default
        if found is None and compared == most and missed is not None:
            missed.append(rule)
        if found is not None:
            yield rule, found
            continue
        same = alike[rule.call_id] if alike else ()
        other = next((each for each in same if each is rule or not each.passes), rule)
        if other is not rule:
            yield rule, other


def first_crowded(rules: Sequence[Rule], most: int) -> Rule | None:
    """Return the first rule whose requests are all matched by more than `most` rules with state,
    itself included: all of them are candidates for each of those requests. None if there is none;
    it may be missed like a rule that is shadowed. `rules` are in order."""
    stateful = [rule for rule in rules if rule.stateful]
    if len(stateful) <= most:
        return None
    groups = _Groups(stateful)
    for rule in stateful[most:]:
        earlier = islice(groups.possible_covers(rule, rule.index, MAX_COMPARED), MAX_COMPARED)
        if sum(other.covers(rule) for other in earlier) >= most:
            return rule
    return None


_Group = list[Rule]
"""Rules in order, which differ neither in the text, the items or the value of their first condition
nor in the value of the first header that must have one."""

_Reader = tuple[Subject | None, bool]
"""What is searched for a text: the texts of a subject, or the message for None; and whether they
are folded."""
_MESSAGE: _Reader = (None, False)

_Header = tuple[bytes, bytes]
"""The name and the value of a header that a rule requires."""

_ByHeader = dict[_Header | None, _Group]


class _Groups:
    """Rules in groups, so that a rule is compared only with those that may cover it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_text: dict[_Reader, dict[str, _ByHeader]] = {}
        self._by_value: dict[object, _ByHeader] = {}
        self._others: _ByHeader = {}
        for rule in rules:
            match rule.predicates:
                case (MessageContains(text=text), *_):
                    by_header = by_text.setdefault(_MESSAGE, {}).setdefault(text, {})
                case (TextIs(subject, Contains() as test), *_):
                    reader = (subject, test.ignores_case)
                    by_header = by_text.setdefault(reader, {}).setdefault(test.compared, {})
                case (TextIs(subject, Equals() as test), *_):
                    key = (subject, test.ignores_case, test.compared)
                    by_header = self._by_value.setdefault(key, {})
                case (ItemsEqual(size=size, key=key), *_):
                    by_header = self._by_value.setdefault((size, key), {})
                case (first, *_) if type(first).covers is Predicate.covers:  # only what is equal
                    by_header = self._by_value.setdefault(first, {})
                case _:
                    by_header = self._others
            header = next(_headers(rule), None)
            by_header.setdefault(header, []).append(rule)
        self._by_text = {
            reader: (SubstringIndex(tuple(found)), list(found.values()))
            for reader, found in by_text.items()
        }

    def possible_covers(self, rule: Rule, before: int, most: int) -> Iterator[Rule]:
        """Yield rules with an index below `before` in order, each of the first `most` that covers
        `rule` among them, except for those that are missed because of `MAX_FOUND`."""
        earlier = [group for group in self._groups_of(rule) if group[0].index < before]
        if len(earlier) > most:
            earlier = nsmallest(most, earlier, key=lambda group: group[0].index)
        for other in merge(*earlier, key=_INDEX) if earlier else ():
            if other.index >= before:
                return
            yield other

    def _groups_of(self, rule: Rule) -> Iterator[_Group]:
        """Yield the groups of the rules that may cover `rule`. A rule covers another only if its
        first predicate covers one of the other's, and if the other requires the same values of
        headers."""
        headers = (None, *_headers(rule))
        for by_header in self._with_first_condition(rule.predicates):
            for header in headers:
                group = by_header.get(header)
                if group is not None:
                    yield group

    def _with_first_condition(self, predicates: Sequence[Predicate]) -> Iterator[_ByHeader]:
        yield self._others
        values: dict[object, None] = {}
        texts: dict[tuple[_Reader, int], None] = {}
        for predicate in predicates:
            if isinstance(predicate, ItemsEqual):
                values[predicate.size, predicate.key] = None
            else:
                values[predicate] = None
                values |= dict.fromkeys(_equal_keys(predicate))
            for reader, text in _required_texts(predicate) if self._by_text else ():
                if reader in self._by_text:
                    places = self._by_text[reader][0].some_matches(text, MAX_FOUND)
                    texts |= dict.fromkeys((reader, place) for place in places)
        yield from (self._by_value[value] for value in values if value in self._by_value)
        yield from (self._by_text[reader][1][place] for reader, place in texts)


def _required_texts(predicate: Predicate) -> Iterator[tuple[_Reader, str]]:
    """Yield texts that occur in what meets a condition, each with what it occurs in."""
    if isinstance(predicate, LastMessagePredicate):
        yield from ((_MESSAGE, text) for text in predicate.required_texts)
    for subject, test in _comparisons(predicate):
        if not test.ignores_case:
            yield (subject, False), test.value
        yield (subject, True), test.value.casefold()


def _equal_keys(predicate: Predicate) -> Iterator[object]:
    """Yield the keys of the conditions on a whole text that may hold whenever `predicate` does."""
    for subject, test in _comparisons(predicate):
        if isinstance(test, Equals):
            if not test.ignores_case:
                yield subject, False, test.value
            yield subject, True, test.value.casefold()


def _comparisons(predicate: Predicate) -> Iterator[tuple[Subject, Comparison]]:
    """Yield the comparisons of a condition on texts, each with what they are about."""
    if not isinstance(predicate, TextIs):
        return
    subjects = [predicate.subject]
    if predicate.subject is Subject.USER:
        subjects.append(Subject.LAST_USER)
    todo: list[TextTest] = [predicate.test]
    while todo:
        test = todo.pop()
        if isinstance(test, Comparison):
            yield from ((subject, test) for subject in subjects)
        elif isinstance(test, AllTests | AnyTest):
            todo += test.tests


def _headers(rule: Rule) -> Iterator[_Header]:
    for predicate in rule.predicates:
        if type(predicate) is HeaderEquals:  # isinstance takes ten times as long if it is not
            yield predicate.name, predicate.value
