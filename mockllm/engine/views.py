"""Views: the mocks that the requests of a session see, those of the configuration and, before them,
those that were added to the server, and to the session, while it runs.

An added mock is compiled when it is added. It is searched by an index of its block
(`engine.blocks`), which is built when a request to its API comes, so that adding many costs no more
than adding each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

from mockllm.engine.added import AddedMock, index_of
from mockllm.engine.blocks import Blocks, Part
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Sources, Table
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.providers.routes import Routes


class View(NamedTuple):
    """The mocks of each API that can be searched: by its paths, and by its name. With `has_added`,
    some were added at run time."""

    routes: Routes[Table]
    by_name: Mapping[str, Table]
    has_added: bool


class Seen(NamedTuple):
    """A mock in one API, as a session sees it: the API's name, the rule and the source of its
    answer. It need not be possible to search it."""

    api: str
    rule: Rule
    source: MockSource | ScriptedSource


class Views:
    """The views of the sessions of a server. Mocks that are added stay when the engine changes."""

    def __init__(self, engine: Engine) -> None:
        # of the process
        self.numbers = count()
        """The numbers of further mocks, from any thread."""
        self.highest = -1
        """The highest number of a mock that was added, whether or not it was removed again."""
        self._positions: dict[str | None, int] = {}
        """The highest position in messages of the mocks of a session, or of all under None."""
        self._versions = count(1)
        self.grown = 0
        """The number of mocks that were added or indexed so far, each as often as it was."""
        self.revision = 0
        """The number of changes of added mocks so far."""
        self._mocks: dict[str | None, Blocks] = {}
        """The added mocks of each session, and of all under None."""
        self._tables: dict[str | None, dict[str, Table]] = {}
        """What sessions see of each API, as far as requests have come to it; without mocks of their
        own, under None."""
        self.is_stale = False
        """True until `renew`, if all sessions see other mocks than before, or more can be
        searched."""
        self.use(engine)

    def use(self, engine: Engine) -> View:
        """Show the mocks of `engine` from now on, and return the view of most sessions."""
        # of the configuration
        self._engine = engine
        self._tables.clear()
        return self.renew()

    def next_position(self, session: str | None) -> int:
        """Return the position in messages of the next mock that is added to a session, or to all:
        above those of all others that the session sees, or that any does. From any thread."""
        positions = self._positions
        if session is None:
            return 1 + max([*positions.values()], default=-1)
        return 1 + max(positions.get(None, -1), positions.get(session, -1))

    def renew(self) -> View:
        """Return the view of all sessions without mocks of their own."""
        self.is_stale = False
        self._own: dict[str, View] = {}
        self._shared = self._look(None)
        return self._shared

    def of(self, session: str) -> View:
        """Return the view of a session, once it is not `is_stale`."""
        if session not in self._mocks:
            return self._shared
        view = self._own.get(session)
        if view is None:
            view = self._own[session] = self._look(session)
        return view

    def is_built(self, session: str, apis: Iterable[str]) -> bool:
        """Return True if the view of a session has these APIs."""
        return all(self._are_built(session, api) for api in apis)

    def _are_built(self, session: str | None, api: str) -> bool:
        return all(blocks.is_built(api) for blocks in self._blocks_of(session))

    def build(self, session: str, apis: Sequence[str]) -> Pieces[None]:
        """Have the view of a session have these APIs, with pauses: until then, there may be no
        other one."""
        while not self.is_built(session, apis):
            for each in dict.fromkeys((session, None)):
                blocks = self._mocks.get(each)
                if blocks is not None:
                    for api in apis:
                        self.grown += blocks.count_unbuilt(api)
                        yield from blocks.build(api)
        self.is_stale = True
        self._own.pop(session, None)

    def _blocks_of(self, session: str | None) -> list[Blocks]:
        """Return the added mocks that a session sees, its own first."""
        found = map(self._mocks.get, dict.fromkeys((session, None)))
        return [blocks for blocks in found if blocks is not None]

    def seen(self, session: str | None) -> Iterator[Seen]:
        """Return the mocks that a session sees in each API, or all sessions see, in order of
        precedence. They are those of this moment, whenever and in whichever thread they are gone
        through."""
        runs = [run for blocks in self._blocks_of(session) for run in blocks.runs()]
        return see_all(self._engine.tables, runs)

    def find(self, number: int) -> tuple[str | None, AddedMock] | None:
        """Return the added mock with this number, and the session that it was added to. It may be
        done in another thread."""
        for session, blocks in tuple(self._mocks.items()):
            for is_first in (False, True):
                added = blocks.by_index.get(index_of(number, is_first=is_first))
                if added is not None:
                    return session, added
        return None

    def named(self, session: str | None, name: str) -> Sequence[AddedMock]:
        """Return the mocks with this name that were added to a session, or to all if that is None,
        in order of precedence."""
        blocks = self._mocks.get(session)
        return [] if blocks is None else blocks.named(name)

    def added(self, session: str | None) -> Sequence[AddedMock]:
        """Return the mocks that were added to a session, or to all if that is None, in order of
        precedence."""
        return tuple(self._mocks.get(session, ()))

    def all_added(self) -> Iterable[tuple[str | None, Sequence[AddedMock]]]:
        """Return all sessions with added mocks, and None for all, each with its own in order of
        precedence."""
        return [(session, tuple(mocks)) for session, mocks in self._mocks.items()]

    @property
    def count(self) -> int:
        """The number of the added mocks."""
        return sum(map(len, self._mocks.values()))

    def add(self, added: AddedMock, session: str | None) -> None:
        """Add a mock to a session, or to all if that is None."""
        self.add_all([added], session)

    def add_all(self, mocks: Sequence[AddedMock], session: str | None) -> None:
        """Add mocks to a session, or to all if that is None."""
        self.highest = max(self.highest, *(added.number for added in mocks))
        positions = (added.place.position or 0 for added in mocks)
        self._positions[session] = max(self._positions.get(session, -1), *positions)
        self._mocks.setdefault(session, Blocks()).add_all(mocks)
        self.grown += len(mocks)
        self._change(session)

    def remove(self, added: AddedMock) -> None:
        """Remove a mock. Without effect if it was removed before."""
        for session, blocks in tuple(self._mocks.items()):
            if added in blocks:
                blocks.remove(added)
                if not blocks:
                    del self._mocks[session]
                self._change(session)

    def drop(self, session: str) -> Blocks:
        """Remove the mocks of a session that is over, and return them."""
        self._positions.pop(session, None)
        dropped = self._mocks.pop(session, Blocks())
        self._change(session)
        return dropped

    def has(self, added: AddedMock) -> bool:
        """Return True if a mock was not removed."""
        return any(added in blocks for blocks in self._mocks.values())

    def _change(self, session: str | None) -> None:
        """Have the view of a session, or of all, determined again when the next request comes."""
        self.revision += 1
        if session is None:
            self._tables.clear()
            self.is_stale = True
        else:
            self._tables.pop(session, None)
            self._own.pop(session, None)

    def _look(self, session: str | None) -> View:
        layers = self._blocks_of(session)
        tables = self._tables.setdefault(session, {})
        version = next(self._versions)
        for table in self._engine.tables:
            name = table.api.name
            if name not in tables and self._are_built(session, name):
                parts = [part for blocks in layers for part in blocks.parts(name)]
                tables[name] = self._layered(table, parts, version) if parts else table
        names = [table.api.name for table in self._engine.tables]
        known = {name: tables[name] for name in names if name in tables}
        routes = Routes((path, table) for table in known.values() for path in table.api.routes)
        return View(routes, known, has_added=bool(layers))

    def _layered(self, table: Table, parts: Sequence[Part], version: int) -> Table:
        """Return `table` with `parts` of added mocks before it."""
        assert isinstance(table.index, RuleIndex)
        strict = self._engine.strict_requests
        return replace(
            table,
            added=[part.mocks for part in parts],
            index=LayeredIndex([*(part.rules for part in parts), table.index]),
            confirm=table.confirm or table.api.sdk().request_confirmer(strict=strict),
            sources=_Sources(table.sources, [part.sources for part in parts]),
            fails=table.fails or any(part.fails for part in parts),
            answers_look_back=table.answers_look_back or any(part.looks_back for part in parts),
            version=version,
        )


def see_all(tables: Iterable[Table], runs: Sequence[Sequence[AddedMock]] = ()) -> Iterator[Seen]:
    """Yield the mocks of `tables`, in each API after those of `runs`, which were added."""
    for table in tables:
        name = table.api.name
        for added in chain.from_iterable(runs):
            if name in added.by_api:
                compiled = added.by_api[name]
                yield Seen(name, compiled.rule, compiled.source)
        for rule in table.index.rules:
            yield Seen(name, rule, table.sources[rule.index])


class _Sources(Mapping[int, MockSource | ScriptedSource]):
    """The sources of the mocks of a configuration, and of those that were added, by the indices of
    their rules."""

    def __init__(
        self,
        configured: Sources,
        added: Sequence[Mapping[int, MockSource | ScriptedSource]],
    ) -> None:
        self._configured = configured
        self._added = added

    def __getitem__(self, index: int) -> MockSource | ScriptedSource:
        for sources in self._added:
            if index in sources:
                return sources[index]
        return self._configured[index]

    def __iter__(self) -> Iterator[int]:
        return chain(chain.from_iterable(self._added), range(len(self._configured)))

    def __len__(self) -> int:
        return sum(map(len, self._added)) + len(self._configured)
