"""``/traffic``: what happens to all requests that match, read, replaced, started and stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mockllm.config.traffic import Traffic
from mockllm.endpoints.control.answers import (
    answer,
    check_version,
    describe,
    no_content,
    version_of,
)
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import ControlError, invalid, not_found
from mockllm.endpoints.control.request import ControlRequest
from mockllm.endpoints.control.running import NoMembers
from mockllm.engine.asking import begin
from mockllm.engine.changes import (
    Change,
    ResetTraffic,
    SetTraffic,
    StartTraffic,
    StopTraffic,
)
from mockllm.engine.decision import Decision, Question
from mockllm.engine.traffic import CompiledTraffic, compile_traffic
from mockllm.errors import ConfigError, Place, Problem, closest, describe_first, did_you_mean
from mockllm.limits import KIB
from mockllm.pieces import Pieces

MAX_TRAFFIC = 1_000  # entries: 2 s of a thread
FEW = KIB  # bytes of entries that are compiled at once: about ten, which take 20 ms
FEW_KNOWN = 10
AT_ONCE = 100  # entries that are described without a pause: 1 ms


def list_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with all entries, in their order."""
    return begin(_answer(desk))


def put_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Replace all entries. Those that were started by a name that remains stay so.

    Raises:
        ControlError: 400 with all mistakes, 412, 413.
    """

    def arrange() -> _Entries:
        return _read_all(asked.body())

    return _replace(desk, asked, arrange)


def _read_all(body: Mapping[str, Any]) -> _Entries:
    """Return the entries of a body that has all of them.

    Raises:
        ControlError: 400 with all mistakes.
    """
    entries = body.get("traffic")
    unknown = [key for key in body if key != "traffic"]
    problems = [*describe_first(unknown, _unknown, "")]
    if not isinstance(entries, list):
        problems.append(Problem(Place(path="traffic"), "expected a list of entries"))
    if problems or not isinstance(entries, list):
        raise invalid("invalid_traffic", "The body has mistakes", problems)
    return _Entries(entries)


def _unknown(key: str) -> Problem:
    return Problem(Place(path=key), "unknown key, expected 'traffic'")


def read_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the entries of one name.

    Raises:
        ControlError: 404.
    """
    return begin(_answer(desk, _name(desk, asked)))


def put_entry(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Replace the entries of one name by one that stands where the first of them does; add it
    behind all others if there is none.

    Raises:
        ControlError: 400 with all mistakes, 412, 413.
    """
    name = asked.values["name"]

    def arrange() -> _Entries:
        body = asked.body()
        if body.get("name", name) != name:
            message = f"expected {name!r:.100} as in the path, or no name"
            found = [Problem(Place(path="name"), message)]
            raise invalid("invalid_traffic", "The entry has mistakes", found)
        known = [dump(entry) for entry in desk.server.engine.traffic]
        at = next((i for i, each in enumerate(known) if each.get("name") == name), len(known))
        kept = [each for each in known[at:] if each.get("name") != name]
        return _Entries([*known[:at], {**body, "name": name}, *kept], at)

    return _replace(desk, asked, arrange)


def start_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let the entries of one name begin now: ``from`` and ``to`` are counted from this moment.

    Raises:
        ControlError: 404.
    """
    return _time(desk, asked, lambda name: StartTraffic(name, desk.server.elapsed()))


def stop_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let the entries of one name end now, until they are started or reset.

    Raises:
        ControlError: 404.
    """
    return _time(desk, asked, StopTraffic)


def reset_traffic(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let the entries of one name be as if they had never been started or stopped.

    Raises:
        ControlError: 404.
    """
    return _time(desk, asked, ResetTraffic)


def dump(entry: Traffic) -> dict[str, Any]:
    """Return an entry in the form of a file."""
    return entry.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _time(desk: Desk, asked: ControlRequest, make: Callable[[str], Change]) -> Decision | Question:
    """Change when the entries of the name in the path begin."""
    asked.read(NoMembers)
    return desk.changes.commit(lambda: [make(_name(desk, asked))], lambda changes: no_content())


def _name(desk: Desk, asked: ControlRequest) -> str:
    name, known = asked.values["name"], desk.server.engine.traffic_names
    if name not in known:
        raise not_found(f"traffic {name!r:.100}", did_you_mean(closest(name, known)))
    return name


class _Entries(NamedTuple):
    """All entries of traffic, in the form of a file; if only one is `changed`, its position."""

    written: list[Any]
    changed: int | None = None


class _New(NamedTuple):
    """Traffic that was compiled when the entries had this `version`; if only one is `changed`, its
    position."""

    version: str
    compiled: CompiledTraffic
    changed: int | None


def _replace(
    desk: Desk, asked: ControlRequest, arrange: Callable[[], _Entries]
) -> Decision | Question:
    """Replace all entries by those of `arrange`, and answer with all of them, or with the changed
    one. Many are compiled in a thread."""

    def compile_all() -> _New:
        version = _version(desk)
        entries, changed = arrange()
        if len(entries) > MAX_TRAFFIC:
            message = f"At most {MAX_TRAFFIC:,} entries are taken, found {len(entries):,}"
            raise ControlError(413, "too_large", message)
        return _New(version, _compile(desk, entries, changed), changed)

    def commit(new: _New) -> Decision | Question:
        def check() -> list[SetTraffic]:
            nonlocal new
            check_version(asked.request, lambda: _version(desk))
            if new.changed is not None and new.version != _version(desk):
                new = compile_all()  # the others were changed meanwhile
            return [SetTraffic(new.compiled)]

        def answer_with_entries(changes: Sequence[Change]) -> Decision | Question:
            if new.changed is None:
                return begin(_answer(desk))
            written = new.compiled.entries[new.changed]
            entry = _describe(new.changed, written, dump(written), desk.server.engine.holding())
            warnings = [describe(each) for each in new.compiled.warnings]
            return answer({**entry, "warnings": warnings}, etag=_version(desk))

        return desk.changes.commit(check, answer_with_entries)

    check_version(asked.request, lambda: _version(desk))
    is_large = len(asked.request.body) > FEW or len(desk.server.engine.traffic) > FEW_KNOWN
    return desk.work(asked, compile_all, commit, is_large=is_large)


def _compile(desk: Desk, entries: list[Any], changed: int | None) -> CompiledTraffic:
    """Compile traffic. The places of mistakes are those in the body: of one entry if only that is
    `changed`.

    Raises:
        ControlError: 400 with all mistakes.
    """
    engine = desk.server.engine
    try:
        return compile_traffic(
            entries,
            chunk=engine.chunk,
            require_auth=engine.require_auth,
            strict=desk.strict_config,
        )
    except ConfigError as exc:
        what = "The traffic has" if changed is None else "The entry has"
        raise invalid("invalid_traffic", f"{what} mistakes", exc.problems) from exc


def _answer(desk: Desk, name: str | None = None) -> Pieces[Decision]:
    """Answer with the entries of this moment, or those of one name."""
    entries, holding = desk.server.engine.traffic, desk.server.engine.holding()
    written = []
    for index, entry in enumerate(entries):
        if index and not index % AT_ONCE:
            yield False
        written.append(dump(entry))
    shown = [
        _describe(index, entry, each, holding)
        for index, (entry, each) in enumerate(zip(entries, written, strict=True))
        if name in (None, entry.name)
    ]
    return answer({"traffic": shown}, etag=version_of(written))


def _describe(
    index: int, entry: Traffic, written: dict[str, Any], holding: frozenset[str]
) -> dict[str, Any]:
    return {
        "id": str(entry.place_in(index)),
        "name": entry.name,
        "holds": entry.name in holding,
        "entry": written,
    }


def _version(desk: Desk) -> str:
    return version_of([dump(entry) for entry in desk.server.engine.traffic])
