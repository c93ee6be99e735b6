"""``/mocks``: the mocks of a server, and those that are added while it runs.

A mock has an ``id``, which no other one has, and a ``name``, which others may have. Those of the
configuration are read, but not changed: that is done in its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from mockllm.config.models import AnyMock
from mockllm.endpoints.control.answers import answer, version_of
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import ControlError, not_found
from mockllm.endpoints.control.request import ControlRequest
from mockllm.endpoints.control.state import count_answers
from mockllm.engine.added import AddedMock
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, Question
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.errors import closest, did_you_mean
from mockllm.observers.selection import is_id, number_of
from mockllm.observers.subjects import Answered, progress_of
from mockllm.observers.verification import ScriptProgress
from mockllm.pieces import Pieces, finish
from mockllm.providers import APIS

MAX_MOCKS = 1_000  # of one page
MAX_LOOKED_AT = 1_000  # mocks, each of which is looked at without a thread: 5 ms
_WORDS = {api.name: api.word for api in APIS}
MAX_AT_ONCE = 50  # mocks that are described before other requests have their turn


class Listed(NamedTuple):
    """A mock that a session sees, with the source of its answers in each of its APIs. `added` is
    None of one of the configuration; `session` is the one that it was added to, or None if all see
    it."""

    id: str
    name: str
    mock: AnyMock
    apis: tuple[str, ...]
    sources: tuple[MockSource | ScriptedSource, ...]
    session: str | None = None
    added: AddedMock | None = None

    @property
    def owner(self) -> tuple[str | None, bool]:
        """What it belongs to: a session, the server, or the configuration."""
        return self.session, self.added is not None

    @property
    def version(self) -> str:
        """The ETag: a mock that is replaced has another id."""
        return version_of(self.id)


class _Configured(NamedTuple):
    """The mocks of a configuration, in order, by their ids and by their names."""

    mocks: Sequence[Listed]
    by_id: Mapping[str, Listed]
    by_name: Mapping[str, Sequence[Listed]]


_CONFIGURED = WeakKeyDictionary[Engine, _Configured]()
"""The mocks of configurations, as far as somebody has asked for them."""


def see_mocks(desk: Desk, session: str | None) -> Iterator[Listed]:
    """Yield the mocks that a session sees, or those of all sessions if it is None, in order of
    precedence."""
    views = desk.server.views
    for owner in dict.fromkeys((session, None)):
        for added in views.added(owner):
            yield list_added(added, owner)
    yield from _configured(desk.server.engine).mocks


def _configured(engine: Engine) -> _Configured:
    """Return the mocks of the configuration, which are found once: 50,000 of them in 250 ms."""
    known = _CONFIGURED.get(engine)
    if known is None:
        known = _CONFIGURED[engine] = _find_configured(engine)
    return known


def _find_configured(engine: Engine) -> _Configured:
    found: dict[str, Listed] = {}
    for table in engine.tables:
        for index, (mock, place) in enumerate(zip(table.mocks, table.places, strict=True)):
            label, source = str(place), table.sources[index]
            before = found.get(label)
            apis, sources = ((), ()) if before is None else (before.apis, before.sources)
            apis, sources = (*apis, table.api.word), (*sources, source)
            found[label] = Listed(label, place.name or label, mock, apis, sources)
    by_name: dict[str, list[Listed]] = {}
    for each in found.values():
        by_name.setdefault(each.name, []).append(each)
    return _Configured(tuple(found.values()), found, by_name)


def is_long_search(desk: Desk) -> bool:
    """Return True if it takes long to find a mock by its name: those of the configuration are many,
    and nobody has asked for them before."""
    engine = desk.server.engine
    return engine not in _CONFIGURED and sum(map(_count, engine.tables)) > MAX_LOOKED_AT


def prepare_search(desk: Desk) -> None:
    """Do what takes long in `find_mock` now."""
    _configured(desk.server.engine)


def _count(table: Table) -> int:
    return len(table.mocks)


def are_many(desk: Desk) -> bool:
    """Return True if there are so many mocks that it takes long to look at each."""
    configured = sum(map(_count, desk.server.engine.tables))
    return configured + desk.server.views.count > MAX_LOOKED_AT


def hint(name: str, names: Sequence[str]) -> str:
    """Return the end of a message about a name that is none of `names`, if they are not many."""
    return did_you_mean(closest(name, names)) if len(names) <= MAX_LOOKED_AT else ""


def find_mock(desk: Desk, name: str, session: str | None) -> Listed:
    """Return the mock with this id or, if there is none, the one with this name, among those that a
    session sees; among all by its id, if the session is None. Of a name, the session's own mock is
    meant before one that was added for all, and that before one of the configuration, as they are
    searched and as `put_mock` replaces them.

    Raises:
        ControlError: 404; 409, there are several where one is meant.
    """
    if is_id(name):
        found = desk.server.views.find(number_of(name))
        if found is not None and (session is None or found[0] in (None, session)):
            return list_added(found[1], found[0])
    configured = _configured(desk.server.engine)
    if name in configured.by_id:
        return configured.by_id[name]
    named: Sequence[Listed] = ()
    for owner in dict.fromkeys((session, None)):
        added = desk.server.views.named(owner, name)
        named = named or [list_added(each, owner) for each in added]
    named = named or configured.by_name.get(name, ())
    if len(named) == 1:
        return named[0]
    if named:
        raise ambiguous(name, named)
    raise not_found(f"mock {name!r:.100}", _hint_of_mock(desk, name, session))


def ambiguous(name: str, named: Sequence[Listed]) -> ControlError:
    """Return a 409 about a name that several mocks have."""
    ids = ", ".join(each.id for each in named[:10])
    message = f"Several mocks are called {name!r:.100}: name one by its id: {ids}"
    return ControlError(409, "ambiguous", message)


def _hint_of_mock(desk: Desk, name: str, session: str | None) -> str:
    seen = islice(see_mocks(desk, session), MAX_LOOKED_AT + 1)
    return hint(name, [each.name for each in seen])


# --- routes ---------------------------------------------------------------------------------------


def list_mocks(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the mocks that a session sees, or those of all, in order of precedence. The
    ``version`` is that of all of them, whatever the page.

    Raises:
        ControlError: 400, 403.
    """
    session = asked.scope()
    start = asked.number("after", 0)
    limit = asked.number("limit", MAX_MOCKS, most=MAX_MOCKS)

    def find() -> tuple[Sequence[Listed], bool, str]:
        known = [*see_mocks(desk, session)]
        return known[start : start + limit], start + limit < len(known), version_of_all(known)

    def go_on(found: tuple[Sequence[Listed], bool, str]) -> Decision | Question:
        page, has_more, version = found

        def pieces(requests: Mapping[str, int], answered: Answered) -> Pieces[Decision]:
            shown = yield from describe_all(page, requests, answered)
            body = {"mocks": shown, "next": start + len(page), "more": has_more}
            return answer(body, etag=version)

        return _with_counts(desk, session, page, lambda *counts: begin(pieces(*counts)))

    return desk.work(asked, find, go_on, is_large=are_many(desk))


def read_mock(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with one mock.

    Raises:
        ControlError: 400, 403, 404, 409.
    """
    session = asked.scope()

    def show(listed: Listed) -> Decision | Question:
        def describe(requests: Mapping[str, int], answered: Answered) -> Decision:
            (shown,) = finish(describe_all([listed], requests, answered))
            return answer(shown, etag=listed.version)

        return _with_counts(desk, session, [listed], describe)

    return desk.work(
        asked,
        lambda: find_mock(desk, asked.values["name"], session),
        show,
        is_large=is_long_search(desk),
    )


def _with_counts(
    desk: Desk,
    session: str | None,
    page: Sequence[Listed],
    show: Callable[[Mapping[str, int], Answered], Decision | Question],
) -> Decision | Question:
    """Return the answer that shows the number of requests that each mock has answered in a session,
    or in all, by the ids of the mocks, and where those with several answers are. Without a journal,
    there are no numbers."""
    sources = [source for listed in page for source in listed.sources]

    def go_on(requests: Mapping[str, int]) -> Decision | Question:
        return count_answers(sources, session, lambda answered: show(requests, answered))

    if desk.journal is None:
        return go_on({})
    return desk.read(session, lambda reading: go_on(reading.count_by_mock()))


def version_of_all(known: Iterable[Listed]) -> str:
    """Return the ETag of a list of mocks."""
    return version_of([each.id for each in known])


class ListVersion:
    """The ETag of the mocks that a session sees, which may be found before it is needed: if there
    is no change in between, it is not looked for again."""

    def __init__(self, desk: Desk, session: str | None) -> None:
        self._desk = desk
        self._session = session
        self._seen: tuple[Engine, int] | None = None
        self._etag = ""

    def find(self) -> str:
        """Return the ETag of this moment."""
        server = self._desk.server
        seen = server.engine, server.views.revision
        if seen != self._seen:
            self._etag = version_of_all(see_mocks(self._desk, self._session))
            self._seen = seen
        return self._etag


# --- forms ----------------------------------------------------------------------------------------


def list_added(added: AddedMock, session: str | None) -> Listed:
    """Return a mock that was added to a session, or for all if that is None."""
    apis = tuple(_WORDS[name] for name in added.by_api)
    sources = tuple(each.source for each in added.by_api.values())
    return Listed(added.id, added.name, added.mock, apis, sources, session, added)


def describe_all(
    page: Iterable[Listed], counts: Mapping[str, int], answered: Answered
) -> Pieces[list[dict[str, Any]]]:
    """Return mocks as JSON, with what a session, or all, have had of them, in pieces. `counts` are
    the requests that they have answered, by their ids."""
    shown: list[dict[str, Any]] = []
    for listed in page:
        progress = progress_of(listed.sources, answered)
        shown.append(_describe(listed, counts.get(listed.id, 0), progress))
        if len(shown) % MAX_AT_ONCE == 0:
            yield False
    return shown


def _describe(listed: Listed, requests: int, progress: ScriptProgress | None) -> dict[str, Any]:
    return {
        "id": listed.id,
        "name": listed.name,
        "session": listed.session,
        "is_added": listed.added is not None,
        "apis": list(listed.apis),
        "mock": listed.mock.model_dump(
            mode="json", by_alias=True, exclude_unset=True, fallback=_describe_function
        ),
        "requests": requests,
        "progress": None if progress is None else _describe_progress(progress),
    }


def _describe_progress(progress: ScriptProgress) -> dict[str, Any]:
    return {
        "given": progress.given,
        "due": progress.due,
        "entries": progress.entries,
        "is_used_up": progress.used_up,
    }


def _describe_function(value: object) -> str:
    return f"<function {getattr(value, '__qualname__', type(value).__name__)}>"
