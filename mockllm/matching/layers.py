"""Several indices of rules, one before the other: rules that were added at run time, and those of
the configuration, whose index need not be built again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.index import MAX_PLAIN, MAX_SMALL, RuleIndex, largest_quick
from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt


class LayeredIndex:
    """The rules of `layers`, each of which comes before all rules of the next. Their indices need
    not be in this order, but differ. Of rules that are twins, some may be in one layer and some in
    another: then both have been told (`RuleIndex.with_twins`)."""

    def __init__(self, layers: Sequence[RuleIndex]) -> None:
        self._layers = tuple(layers)
        self._size = sum(map(len, layers))
        names = (name for layer in layers for name in layer.header_names)
        self.header_names = tuple(dict.fromkeys(names))
        """The headers that some rule depends on, in lower case, each once."""
        self.looks_back = any(layer.looks_back for layer in layers)
        """True if some rule depends on `Prompt.earlier`."""
        self.reads_one_message = all(layer.reads_one_message for layer in layers)
        """True if that holds of all conditions (`Predicate.reads_one_message`)."""
        self.readings = tuple(dict.fromkeys(read for layer in layers for read in layer.readings))
        """What the rules read of a conversation, in order."""
        self.stateful = any(layer.stateful for layer in layers)
        """True if some rule has state."""
        self._is_slow = any(layer.is_slow for layer in layers)
        quick = min((layer.max_quick for layer in layers), default=MAX_SMALL)
        plain = min((layer.max_plain for layer in layers), default=MAX_PLAIN)
        self._max_quick = largest_quick(layers, quick)
        self._max_plain = largest_quick(layers, plain)

    def __len__(self) -> int:
        return self._size

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in order."""
        return tuple(chain.from_iterable(layer.rules for layer in self._layers))

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or None."""
        for layer in self._layers:
            rule = layer.find(prompt, headers)
            if rule is not None:
                return rule
        return None

    def candidates(self, prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
        """Return the rules that match, in order, up to and including the first without state."""
        found: dict[int, Rule] = {}  # by index: a layer may find the twins of a later one
        for layer in self._layers:
            own = layer.candidates(prompt, headers)
            if own and _adds_last(found, own):
                break
        return tuple(found.values())

    def takes_long(self, size: int, *, is_plain: bool = False) -> bool:
        """Return True if it may take long to find the rules that match a request with a body of
        `size` bytes, which `is_plain` if that of its prompt is."""
        return self._is_slow or size > (self._max_plain if is_plain else self._max_quick)

    def search(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[tuple[Rule, ...]]:
        """Return the `candidates`, with pauses."""
        found: dict[int, Rule] = {}
        for layer in self._layers:
            own = yield from layer.search(prompt, headers, effort)
            if own and _adds_last(found, own):
                break
        return tuple(found.values())

    def nearest_miss(self, prompt: Prompt, headers: Headers) -> NearMiss | None:
        """Return what `search_nearest_miss` does, without pauses."""
        return finish(self.search_nearest_miss(prompt, headers, Effort()))

    def search_nearest_miss(
        self, prompt: Prompt, headers: Headers, effort: Effort
    ) -> Pieces[NearMiss | None]:
        """Return the rule that is closest to matching a prompt that no rule matches, the first of
        equally close ones, with pauses; None if there are no rules."""
        nearest, closest = None, -1
        for layer in self._layers:
            miss = yield from layer.search_nearest_miss(prompt, headers, effort)
            if miss is None:
                continue
            difference = yield from miss.rule.difference_in_pieces(
                prompt, headers, effort, closer_than=0
            )
            if difference is not None and difference.closeness > closest:
                nearest, closest = miss, difference.closeness
        return nearest


def _adds_last(found: dict[int, Rule], own: Sequence[Rule]) -> bool:
    """Add the candidates of a layer to those `found`. Returns True if no further one is needed."""
    found.update((rule.index, rule) for rule in own)
    return not own[-1].stateful
