"""Caches matches: equal requests, byte for byte, have equal matches.

A look-up costs a hash of the body (a few µs at 35 kB); matching costs 15 µs and, for a conversation
of that size, 200 µs. A match must not depend on state, time or chance: whatever differs between two
equal requests is decided after the look-up. Where state decides which mock answers, the cache has
the mocks of which one is chosen, and the answers that were chosen before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mockllm.bounded_cache import BoundedCache, Patience
from mockllm.engine.decision import Match
from mockllm.engine.effects import NO_EFFECTS, Effects, Exposure
from mockllm.matching.rule import Rule
from mockllm.state.choosing import Candidate, Chosen

Key = tuple[Any, ...]
"""Everything that a match depends on: the version of the mocks, the path, the body, the headers
that rules compare and, if there are some, the effects of traffic."""

MAX_BYTES = 32 * 1024 * 1024  # of all requests and replies
MAX_ENTRY = 1024 * 1024  # bytes of one request and its reply
PER_ENTRY = 2048  # bytes; about what a match costs beside them
PER_STEP = 200  # bytes that a step costs beside its own
COPIES = 3  # of a reply's bytes: its steps, the same framed, the same in pieces
TOO_LARGE = MAX_BYTES + 1
MAX_SEEN = 65_536  # requests received once
MAX_EXPOSED = 16 * 1024 * 1024  # bytes of requests whose traffic is known


class ExposureCache(Patience):
    """The entries of traffic for requests received at least twice, whether they hold or not."""

    def __init__(self) -> None:
        super().__init__()
        self._entries = BoundedCache[Key, Exposure](MAX_EXPOSED, max_seen=MAX_SEEN)

    def get(self, key: Key) -> Exposure | None:
        """Return the entries for the request with this key; None if they are not known."""
        exposure = self._entries.get(key)
        if exposure is None:
            self.note_in_vain()
        else:
            self._in_vain = 0
        return exposure

    def leave_out(self) -> None:
        """Count a request that is not looked up."""
        self.rest -= 1

    def offer(self, key: Key, exposure: Exposure) -> None:
        """Keep the entries for a request if its `key` was offered before."""
        self._entries.offer(key, exposure, lambda: PER_ENTRY + _size_of_key(key))


class Choices(NamedTuple):
    """The mocks that match a request, by their `rules` in order, of which a store chooses one of
    the `candidates`. Valid for every equal request; those with this `key`."""

    rules: tuple[Rule, ...]
    candidates: tuple[Candidate, ...]
    key: Key = ()


class MatchCache(Patience):
    """The matches of requests received at least twice, or the choices among their mocks with the
    answers that were chosen; `hits` and `misses` count the requests, whether they are looked up or
    not."""

    def __init__(self) -> None:
        super().__init__()
        self._matches = BoundedCache[Key, Match | Choices](MAX_BYTES, max_seen=MAX_SEEN)
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._matches)

    def get(self, key: Key) -> Match | Choices | None:
        """Return the match of `key`, or the choices; None if it is not cached."""
        match = self._matches.get(key)
        if match is None:
            self.misses += 1
            self.note_in_vain()
        else:
            self.hits += 1
            self._in_vain = 0
        return match

    def leave_out(self) -> None:
        """Count a request that is not looked up."""
        self.rest -= 1
        self.misses += 1

    def offer(self, key: Key, match: Match | Choices) -> None:
        """Cache a match, or choices, if `key` was offered before and they are not too large."""
        self._matches.offer(key, match, lambda: _size(key, match))

    def get_answer(self, choices: Choices, chosen: Chosen) -> Match | None:
        """Return the match with the answer that was chosen; None if it is not cached."""
        match = self._matches.get((choices.key, chosen.candidate, chosen.entry))
        return match if type(match) is Match else None

    def add_answer(self, choices: Choices, chosen: Chosen, match: Match) -> None:
        """Cache the match with an answer of cached `choices`, if it is not too large."""
        key = (choices.key, chosen.candidate, chosen.entry)
        self._matches.add(key, match, _size(key, match))


def key_with(key: Key, effects: Effects) -> Key | None:
    """Return the key of a match with these effects; None while they rise or fall, since that does
    not come again."""
    if effects is NO_EFFECTS or effects == NO_EFFECTS:
        return key
    return (*key, *effects) if effects.level == 1.0 else None


def _size(key: Key, match: Match | Choices) -> int:
    """Return the estimated size of an entry in bytes, as if no bytes were shared with others."""
    size = PER_ENTRY + _size_of_key(key)
    if isinstance(match, Match):
        steps = tuple(match.reply.steps)
        size += COPIES * sum(step.size for step in steps) + PER_STEP * len(steps)
    return size if size <= MAX_ENTRY else TOO_LARGE


def _size_of_key(key: Key) -> int:
    return sum(len(part) for part in key if isinstance(part, (str, bytes)))
