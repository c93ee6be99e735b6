"""Finds the nearest miss among many rules: what `matching.explain` finds, at a tenth of the cost.

To measure the difference of one rule takes 3 µs. So it is measured only for rules that may be
closer than the closest so far:

- rules whose condition on the message holds, as the index knows; only another condition can fail
- rules that are written for the result of a call whose result the request ends with
- of the first MAX_SCANNED rules, those whose text begins with as many characters of the request as
  the closest so far has in common with it, and one more
- of all rules, those whose text is a neighbour of the request's text in alphabetical order, from
  its beginning or from the beginning of one of its words: neighbours have the longest beginnings in
  common

All texts are folded (`matching.folding`): those of the rules once, those of the request when no
rule matches it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Self

from mockllm.matching.closeness import RIGHT_KIND
from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.folding import fold_all, folded_messages
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual, LastMessagePredicate
from mockllm.matching.predicate import Difference, Headers
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt

MAX_SCANNED = 100  # rules; with no more, the nearest miss is exact unless texts are long
MAX_PARTLY = 100  # rules that match but for their last conditions, or are of the same call
MAX_WORK = 2_000_000  # characters that are compared: 1 ms, or 6 ms for what occurs often in part
PER_RULE = 3_000  # nanoseconds to measure the difference of a rule, beside its texts
PER_WORK = 1  # nanoseconds for each character that is compared
MAX_WORDS = 32  # of a request's text that are looked up
MAX_COMPARED = 200  # characters from the beginning of such a word

_WORD = re.compile(r"(?<!\S)\S")


class NearMisses:
    """Searches `rules`, which are in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._scanned = [_Scanned.of(rule) for rule in rules[:MAX_SCANNED]]
        self._beginnings = _Beginnings.of(self._scanned)
        self._sorted: list[str] = []  # the beginnings of rules, in alphabetical order
        self._sorted_at: list[int] = []  # the place of each of these rules
        self._by_call: dict[str, list[Rule]] = {}
        self._rules = tuple(rules)
        for rule in rules:
            for call_id in _named_calls(rule):
                self._by_call.setdefault(call_id, []).append(rule)
        if len(rules) > MAX_SCANNED:
            beginnings = ((_beginning(rule), at) for at, rule in enumerate(rules))
            in_order = sorted((text, at) for text, at in beginnings if text)
            self._sorted = [text for text, _ in in_order]
            self._sorted_at = [at for _, at in in_order]

    @property
    def beginnings(self) -> Sequence[str]:
        """The beginnings of the rules' texts, if there are many."""
        return self._sorted

    def find(
        self, prompt: Prompt, headers: Headers, partly: Iterable[Rule], effort: Effort
    ) -> Pieces[NearMiss | None]:
        """Return the nearest miss as `explain.nearest_miss` does, for a prompt that no rule
        matches, with pauses. `partly` are the rules whose condition on the message holds.

        If there are more than `MAX_SCANNED` rules, or more to compare than `MAX_WORK`, a closer
        one, or an earlier one that is equally close, may be missed.
        """
        search = _Search(prompt, headers, effort)
        rules = sorted(islice(partly, MAX_PARTLY), key=lambda rule: rule.index)
        yield from search.measure(rules)
        if self._by_call:
            yield from search.measure(self._of_same_calls(prompt))
        if self._sorted:
            # first: they leave little to be scanned
            yield from search.measure(self._neighbours(prompt))
        yield from search.scan(self._scanned, self._beginnings)
        return search.result()

    def _of_same_calls(self, prompt: Prompt) -> list[Rule]:
        """The rules written for a call whose result the request ends with, in order."""
        call_ids = {each for message in prompt.last_messages for each in message.call_ids()}
        found = {
            rule.index: rule
            for call_id in call_ids
            for rule in islice(self._by_call.get(call_id, ()), MAX_PARTLY)
        }
        return [found[index] for index in sorted(found)]

    def _neighbours(self, prompt: Prompt) -> list[Rule]:
        """The rules whose texts are next to a word of the request in alphabetical order."""
        found: set[int] = set()
        for text in folded_messages(prompt):
            for word in islice(_WORD.finditer(text), MAX_WORDS):
                start = word.start()
                place = bisect_left(self._sorted, text[start : start + MAX_COMPARED])
                found.update(self._sorted_at[max(0, place - 1) : place + 1])
        return [self._rules[at] for at in sorted(found)]


class _Scanned(NamedTuple):
    """A rule that is compared by its text."""

    role: str | None
    """The role that a message must have for the rule to be near; None for any."""
    beginning: str | None
    """See `_beginning`."""
    is_exact: bool
    """True if the text of a message must begin with it, or contain all of it, to be near."""
    rule: Rule

    @classmethod
    def of(cls, rule: Rule) -> Self:
        first = rule.predicates[0] if rule.predicates else None
        role = first.role if isinstance(first, LastMessagePredicate) else None
        is_exact = isinstance(first, (ItemsEqual, ItemsEndWith))
        return cls(role, _beginning(rule), is_exact, rule)


class _Beginnings(NamedTuple):
    """The beginnings of rules that are compared as a whole, in one text, so that many are looked at
    in one step."""

    joined: str
    longest_first: tuple[str, ...]
    lengths: tuple[int, ...]
    """Of the beginnings, negative: in ascending order."""

    @classmethod
    def of(cls, rules: Sequence[_Scanned]) -> Self | None:
        """Return those of `rules`; None if there are others among them."""
        texts = [rule.beginning for rule in rules if rule.is_exact and rule.beginning]
        if not rules or len(texts) < len(rules) or any("\n" in text for text in texts):
            return None
        longest_first = tuple(sorted(texts, key=len, reverse=True))
        lengths = tuple(-len(text) for text in longest_first)
        return cls("\n".join(("", *texts)), longest_first, lengths)

    def may_have(self, common: int, texts: Sequence[str]) -> bool:
        """Return True if one of the beginnings may have that many characters in common with one of
        `texts`: at its beginning, or by all of its own anywhere in it."""
        if common <= 0 or any(f"\n{text[:common]}" in self.joined for text in texts):
            return True
        text = "\n".join(texts)
        # those that are long enough and fit in, in C: 2 us for 100 of them instead of 7
        among = bisect_left(self.lengths, -len(text)), bisect_right(self.lengths, -common)
        return any(map(text.__contains__, self.longest_first[slice(*among)]))


class _Search:
    """The nearest miss so far."""

    def __init__(self, prompt: Prompt, headers: Headers, effort: Effort) -> None:
        self._prompt = prompt
        self._headers = headers
        self._effort = effort
        self._nearest: tuple[Rule, Difference] | None = None
        self._closest = 0  # less than any closeness
        self._index = -1  # of the nearest rule
        self._work = MAX_WORK  # that is left

    def measure(self, rules: Iterable[Rule]) -> Iterator[bool]:
        """Consider `rules`, with pauses."""
        for rule in rules:
            if rule.index == self._index:
                continue  # it is the nearest already
            work = rule.work(self._prompt)
            if work > self._work and self._nearest is not None:
                continue
            self._work -= work
            least = self._least(rule)
            difference = yield from rule.difference_in_pieces(
                self._prompt, self._headers, self._effort, closer_than=least - 1
            )
            if difference is not None and difference.closeness >= least:
                self._nearest, self._closest = (rule, difference), difference.closeness
                self._index = rule.index
            if self._effort.is_much(PER_RULE + PER_WORK * work):
                yield False

    def scan(self, rules: Sequence[_Scanned], beginnings: _Beginnings | None) -> Iterator[bool]:
        """Consider those of `rules` that may be closer, with pauses: as many characters of the text
        must occur in the request, or at its beginning."""
        roles = {message.role for message in self._prompt.last_messages}
        folded = folded_messages(self._prompt)
        first, last, texts = folded[0], folded[-1], "\n".join(folded)
        closest, index, is_new = self._closest, self._index, True
        for role, beginning, is_exact, rule in rules:
            if closest and rule.index == index:
                continue
            if is_new and beginnings is not None and index < rule.index:
                is_new = False  # this and all further ones are nearer only with one more in common
                if not beginnings.may_have(closest + 1 - RIGHT_KIND, folded):
                    return
            if beginning is not None and closest:
                common = closest + (rule.index > index) - RIGHT_KIND  # see `_least`
                if common >= 0 and role is not None and role not in roles:
                    continue
                if common > 0 and (not beginning or beginning not in texts):
                    start = beginning[:common]
                    if start == beginning:  # it has too few characters
                        continue
                    if is_exact:
                        if not (first.startswith(start) or last.startswith(start)):
                            continue
                    elif start not in texts:
                        continue
            yield from self.measure((rule,))
            is_new = is_new or closest != self._closest
            closest, index = self._closest, self._index

    def _least(self, rule: Rule) -> int:
        """The closeness that makes `rule` the nearest: of equally close ones, it is the first."""
        return self._closest + (rule.index > self._index)

    def result(self) -> NearMiss | None:
        return None if self._nearest is None else NearMiss.of(*self._nearest)


def _named_calls(rule: Rule) -> tuple[str, ...]:
    first = rule.predicates[0] if rule.predicates else None
    return first.named_calls if isinstance(first, LastMessagePredicate) else ()


def _beginning(rule: Rule) -> str | None:
    """A folded text, of which the closeness of `rule` is the number of characters that a request
    has in common with it, while the message does not match. None if that depends on something
    else: without any text, the message may match though the index looked up another condition."""
    first = rule.predicates[0] if rule.predicates else None
    if not isinstance(first, LastMessagePredicate):
        return None
    if isinstance(first, (ItemsEqual, ItemsEndWith)):
        return fold_all(first.required_texts) or None
    return fold_all(first.required_texts[:1]) or None
