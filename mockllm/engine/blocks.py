"""The mocks that were added to one session, or to all, in blocks that are indexed one by one.

An index of 2,500 mocks takes 40 ms to build in each API, and one mock more needs another. So they
are in blocks of consecutive mocks, in order of precedence, each with an index of its own. A mock
that is added makes a block, which is joined with the one beside it if that is small, or not larger:

    16 8 4 2 1  +  1  ->  16 8 4 2 2  ->  16 8 4 4  ->  16 8 8  ->  16 16  ->  32

(blocks below `MIN_BLOCK` are always joined). So a mock is indexed about ten times, however many are
added, there are few blocks, and to remove a mock is to index one of them anew. An index is built in
pieces, when a request to its API needs it. The answers are those of one index of all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter, lt
from typing import Any, NamedTuple

from mockllm.config.models import AnyMock
from mockllm.engine.added import AddedMock
from mockllm.engine.mock_sources import fails, looks_back
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.matching.effort import Effort
from mockllm.matching.index import RuleIndex
from mockllm.matching.twins import TwinGroups
from mockllm.pieces import Pieces

MAX_BLOCK = 1_000  # weight: to index one takes 15 to 30 ms, in pieces
MIN_BLOCK = 16  # mocks: to index fewer takes less than to have another block
SLOW_WEIGHT = 4  # of a mock with a regular expression; 1,000 of those take 15 ms at once
MAX_LET_GO = 50  # mocks that are let go of at once
PER_SOURCE = 1_000  # nanoseconds to look at the source of a mock


class Part(NamedTuple):
    """The mocks of a block that answer in one API."""

    mocks: tuple[AnyMock, ...]
    rules: RuleIndex
    sources: Mapping[int, MockSource | ScriptedSource]
    """The source of each mock, by the index of its rule."""
    fails: bool
    """True if a mock answers with a failure."""
    looks_back: bool
    """True if an answer depends on what a request continues."""


class Blocks:
    """Mocks that were added to one session, or to all, in order of precedence."""

    def __init__(self) -> None:
        self._by_index: dict[int, AddedMock] = {}
        self._by_name: dict[str, dict[int, AddedMock]] = {}
        self._blocks: list[_Block] = []
        self._twins: dict[str, TwinGroups] = {}

    def __len__(self) -> int:
        return len(self._by_index)

    def __iter__(self) -> Iterator[AddedMock]:
        return chain.from_iterable(self.runs())

    def __contains__(self, added: AddedMock) -> bool:
        return added.index in self._by_index

    def named(self, name: str) -> list[AddedMock]:
        """Return the mocks with this name, in order of precedence."""
        named = self._by_name.get(name, {})
        return [named[index] for index in sorted(named)]

    def runs(self) -> list[tuple[AddedMock, ...]]:
        """Return the mocks of this moment, some after some."""
        return [block.mocks for block in self._blocks]

    @property
    def by_index(self) -> Mapping[int, AddedMock]:
        """The mocks by the indices of their rules."""
        return self._by_index

    def add(self, added: AddedMock) -> None:
        """Add a mock that is not there."""
        index, blocks = added.index, self._blocks
        self._note(added, index)
        at = bisect_right(blocks, index, key=_first_of)
        if at and index < blocks[at - 1].mocks[-1].index:
            at -= 1
            mocks = [*blocks[at].mocks]
            mocks.insert(bisect_left(mocks, index, key=_index_of), added)
            blocks[at] = _Block(tuple(mocks))
        else:
            blocks.insert(at, _Block((added,)))
        self._join(at)

    def add_all(self, mocks: Sequence[AddedMock]) -> None:
        """Add mocks that are not there: in a tenth of the time of `add` if they come behind all
        others, in order."""
        indices = [added.index for added in mocks]
        last = self._blocks[-1].mocks[-1].index if self._blocks else -1
        is_in_order = all(map(lt, [last, *indices], indices))
        if len(mocks) <= MIN_BLOCK or not is_in_order or any(each.is_large for each in mocks):
            for added in mocks:
                self.add(added)
            return
        for added, index in zip(mocks, indices, strict=True):
            self._note(added, index)
        most = MAX_BLOCK // SLOW_WEIGHT if any(added.is_slow for added in mocks) else MAX_BLOCK
        for start in range(0, len(mocks), most):
            self._blocks.append(_Block(tuple(mocks[start : start + most])))
        self._join(len(self._blocks) - 1)

    def _note(self, added: AddedMock, index: int) -> None:
        self._by_index[index] = added
        self._by_name.setdefault(added.name, {})[index] = added
        if added.names_call:
            for name, compiled in added.by_api.items():
                self._twins.setdefault(name, TwinGroups()).add(compiled.rule)

    def remove(self, added: AddedMock) -> None:
        """Remove a mock that is there."""
        known = self._by_index.pop(added.index)
        named = self._by_name[known.name]
        del named[known.index]
        if not named:
            del self._by_name[known.name]
        if known.names_call:
            for name, compiled in known.by_api.items():
                self._twins[name].remove(compiled.rule)
        at = bisect_right(self._blocks, added.index, key=_first_of) - 1
        left = tuple(each for each in self._blocks[at].mocks if each is not known)
        if left:
            self._blocks[at] = _Block(left)
            self._join(at)
        else:
            del self._blocks[at]

    def take_apart(self) -> list[Any]:
        """Remove all mocks. Returns what is left of them, in parts each of which takes a
        millisecond to be let go of."""
        parts: list[Any] = []
        for block in self._blocks:
            starts = range(0, len(block.mocks), MAX_LET_GO)
            parts += [list(block.mocks[start : start + MAX_LET_GO]) for start in starts]
            parts += block.parts.values()
        self._blocks.clear()
        self._by_index.clear()
        self._by_name.clear()
        self._twins.clear()
        return parts

    def _join(self, at: int) -> None:
        """Join a block that has changed with those beside it."""
        blocks = self._blocks
        while True:
            if at > 0 and _are_joined(blocks[at - 1], blocks[at]):
                at -= 1
            elif at + 1 == len(blocks) or not _are_joined(blocks[at + 1], blocks[at]):
                return
            blocks[at : at + 2] = [_Block(blocks[at].mocks + blocks[at + 1].mocks)]

    def is_built(self, api: str) -> bool:
        """Return True if the mocks of an API can be searched."""
        return all(block.is_built(api) for block in self._blocks)

    def count_unbuilt(self, api: str) -> int:
        """Return the number of mocks that cannot be searched yet in an API."""
        return sum(len(block.mocks) for block in self._blocks if not block.is_built(api))

    def build(self, api: str) -> Pieces[None]:
        """Have the mocks of an API, those of this moment, searchable, with pauses."""
        for block in tuple(self._blocks):
            yield from block.build(api)

    def parts(self, api: str) -> Iterator[Part]:
        """Yield the mocks of an API, which can be searched."""
        twins = self._twins[api].twins() if api in self._twins else {}
        for block in self._blocks:
            part = block.parts.get(api)
            if part is not None:
                yield part._replace(rules=part.rules.with_twins(twins)) if twins else part


class _Block:
    """Consecutive mocks, with their indices as far as these are built."""

    def __init__(self, mocks: tuple[AddedMock, ...]) -> None:
        self.mocks = mocks
        self.weight = sum(map(_weight_of, mocks))
        self.parts: dict[str, Part | None] = {}
        """Those of each API, as far as they can be searched; None if there are none."""
        self._begun: dict[str, Pieces[Part | None]] = {}

    def is_built(self, api: str) -> bool:
        """Return True if the mocks of an API can be searched."""
        return api in self.parts

    def build(self, api: str) -> Pieces[None]:
        """Build the index for an API, with pauses. Several requests may do this together."""
        while api not in self.parts:
            building = self._begun.get(api)
            if building is None:
                building = self._begun[api] = _part_of(self.mocks, api)
            try:
                pause = next(building)
            except StopIteration as end:
                self.parts[api] = end.value
            except BaseException:
                del self._begun[api]
                raise
            else:
                yield pause
        self._begun.pop(api, None)


def _part_of(mocks: Sequence[AddedMock], api: str) -> Pieces[Part | None]:
    effort = Effort()
    answering = [each for each in mocks if api in each.by_api]
    if not answering:
        return None
    index = answering[0].by_api[api].index if len(answering) == 1 else None
    if index is None:
        rules = [each.by_api[api].rule for each in answering]
        index = yield from RuleIndex.in_pieces(rules, effort)
    sources: dict[int, MockSource | ScriptedSource] = {}
    has_failure = has_looking_back = False
    for each in answering:
        source = sources[each.index] = each.by_api[api].source
        has_failure = has_failure or fails(source)
        has_looking_back = has_looking_back or looks_back(source)
        if effort.is_much(PER_SOURCE):
            yield False
    mocks_of = tuple(each.mock for each in answering)
    return Part(mocks_of, index, sources, has_failure, has_looking_back)


def _weight_of(added: AddedMock) -> int:
    if added.is_large:
        return MAX_BLOCK  # it is alone
    return SLOW_WEIGHT if added.is_slow else 1


def _are_joined(beside: _Block, changed: _Block) -> bool:
    """Return True if a block that has changed is joined with one beside it."""
    if beside.weight + changed.weight > MAX_BLOCK:
        return False
    return len(beside.mocks) < MIN_BLOCK or beside.weight <= changed.weight


def _first_of(block: _Block) -> int:
    return block.mocks[0].index


_index_of = attrgetter("index")
