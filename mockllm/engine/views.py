"""Views: the mocks that the requests of a session see, those of the configuration and, before them,
those that were added to the server, and to the session, while it runs.

An added mock is compiled when it is added; the index of those that a request sees is built when it
comes, so that adding many costs no more than adding each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

from mockllm.config.models import AnyMock
from mockllm.engine.added import AddedMock
from mockllm.engine.engine import Engine
from mockllm.engine.mock_sources import fails, looks_back
from mockllm.engine.mocks import Table
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.matching.index import RuleIndex
from mockllm.matching.layers import LayeredIndex
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.providers.routes import Routes


class View(NamedTuple):
    """The mocks of each API: by its paths, and by its name. With `has_added`, some were added at
    run time."""

    routes: Routes[Table]
    by_name: Mapping[str, Table]
    has_added: bool


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
        self._mocks: dict[str | None, list[AddedMock]] = {}
        """The added mocks of each session, and of all under None, in order of precedence."""
        self._layers: dict[str | None, Mapping[str, _Layer]] = {}
        """The same by API, as far as a request has seen them."""
        self.is_stale = False
        """True if mocks were added or removed that all sessions see, until `renew`."""
        self.use(engine)

    def use(self, engine: Engine) -> View:
        """Show the mocks of `engine` from now on, and return the view of most sessions."""
        # of the configuration
        self._engine = engine
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

    def find(self, number: int) -> tuple[str | None, AddedMock] | None:
        """Return the added mock with this number, and the session that it was added to. It may be
        done in another thread."""
        for session, mocks in tuple(self._mocks.items()):
            for added in tuple(mocks):
                if added.number == number:
                    return session, added
        return None

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
        self.highest = max(self.highest, added.number)
        position = added.place.position or 0
        self._positions[session] = max(self._positions.get(session, -1), position)
        mocks = self._mocks.setdefault(session, [])
        mocks.insert(0 if added.is_first else len(mocks), added)
        self._change(session)

    def remove(self, added: AddedMock) -> None:
        """Remove a mock. Without effect if it was removed before."""
        for session, mocks in tuple(self._mocks.items()):
            if added in mocks:
                mocks.remove(added)
                if not mocks:
                    del self._mocks[session]
                self._change(session)

    def drop(self, session: str) -> Sequence[AddedMock]:
        """Remove the mocks of a session that is over, and return them."""
        self._positions.pop(session, None)
        dropped = self._mocks.pop(session, ())
        self._change(session)
        return dropped

    def has(self, added: AddedMock) -> bool:
        """Return True if a mock was not removed."""
        return any(added in mocks for mocks in self._mocks.values())

    def _change(self, session: str | None) -> None:
        """Have the view of a session, or of all, determined again when the next request comes."""
        self._layers.pop(session, None)
        if session is None:
            self.is_stale = True
        else:
            self._own.pop(session, None)

    def _look(self, session: str | None) -> View:
        layers = [self._layer(each) for each in dict.fromkeys((session, None))]
        version = next(self._versions)
        by_name = {}
        for table in self._engine.tables:
            name = table.api.name
            own = [layer[name] for layer in layers if name in layer]
            by_name[name] = self._layered(table, own, version) if own else table
        routes = Routes((path, table) for table in by_name.values() for path in table.api.routes)
        return View(routes, by_name, has_added=any(layers))

    def _layer(self, session: str | None) -> Mapping[str, _Layer]:
        if session not in self._layers:
            mocks = self._mocks.get(session)
            if not mocks:
                return {}
            layers = {api.name: _layer_of(api, mocks) for api in APIS}
            self._layers[session] = {name: each for name, each in layers.items() if each.mocks}
        return self._layers[session]

    def _layered(self, table: Table, layers: Sequence[_Layer], version: int) -> Table:
        """Return `table` with `layers` of added mocks before it."""
        assert isinstance(table.index, RuleIndex)
        assert isinstance(table.sources, tuple)
        added = {number: source for layer in layers for number, source in layer.sources.items()}
        strict = self._engine.strict_requests
        return replace(
            table,
            mocks=(*chain.from_iterable(layer.mocks for layer in layers), *table.mocks),
            index=LayeredIndex([*(layer.rules for layer in layers), table.index]),
            confirm=table.confirm or table.api.sdk().request_confirmer(strict=strict),
            sources={**added, **dict(enumerate(table.sources))},
            fails=table.fails or any(map(fails, added.values())),
            answers_look_back=table.answers_look_back or any(map(looks_back, added.values())),
            version=version,
        )


class _Layer(NamedTuple):
    """The mocks that were added to one session, or to all, in one API."""

    mocks: tuple[AnyMock, ...]
    rules: RuleIndex
    sources: Mapping[int, MockSource | ScriptedSource]


def _layer_of(api: API, mocks: Iterable[AddedMock]) -> _Layer:
    answering = [each for each in mocks if api.name in each.by_api]
    compiled = [each.by_api[api.name] for each in answering]
    return _Layer(
        tuple(each.mock for each in answering),
        RuleIndex([each.rule for each in compiled]),
        {each.rule.index: each.source for each in compiled},
    )
