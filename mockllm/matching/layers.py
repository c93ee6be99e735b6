"""Several indices of rules, one before the other: rules that were added at run time, and those of
the configuration, whose index need not be built again."""

from __future__ import annotations

from collections.abc import Sequence

from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.index import RuleIndex
from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt


class LayeredIndex:
    """The rules of `layers`, each of which comes before all rules of the next. Their indices need
    not be in this order, but differ."""

    def __init__(self, layers: Sequence[RuleIndex]) -> None:
        self._layers = tuple(layers)
        self.rules = tuple(rule for layer in layers for rule in layer.rules)
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

    def __len__(self) -> int:
        return len(self.rules)

    def find(self, prompt: Prompt, headers: Headers) -> Rule | None:
        """Return the first rule that matches, or None."""
        found = (layer.find(prompt, headers) for layer in self._layers)
        return next((rule for rule in found if rule is not None), None)

    def candidates(self, prompt: Prompt, headers: Headers) -> tuple[Rule, ...]:
        """Return the rules that match, in order, up to and including the first without state."""
        found: tuple[Rule, ...] = ()
        for layer in self._layers:
            found += layer.candidates(prompt, headers)
            if found and not found[-1].stateful:
                break
        return found

    def takes_long(self, size: int, *, is_plain: bool = False) -> bool:
        """Return True if it may take long to find the rules that match a request with a body of
        `size` bytes, which `is_plain` if that of its prompt is."""
        return any(layer.takes_long(size, is_plain=is_plain) for layer in self._layers)

    def search(self, prompt: Prompt, headers: Headers, effort: Effort) -> Pieces[tuple[Rule, ...]]:
        """Return the `candidates`, with pauses."""
        found: tuple[Rule, ...] = ()
        for layer in self._layers:
            found += yield from layer.search(prompt, headers, effort)
            if found and not found[-1].stateful:
                break
        return found

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
            difference = miss.rule.difference(prompt, headers, closer_than=0)
            if difference is not None and difference.closeness > closest:
                nearest, closest = miss, difference.closeness
        return nearest
