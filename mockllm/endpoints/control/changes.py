"""Changes of ``/mocks``: what a body adds is validated whole, and applied whole or not at all.

{"name": "ask", "user": "Hello", "reply": "Hi"}       one mock, in the words of `server.add`
{"mocks": [{...}, {...}], "openai": [{...}]}          several, as in a file
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mockllm.config.mistakes import json_path
from mockllm.config.models import MOCK_FIELDS
from mockllm.endpoints.control.answers import (
    answer,
    check_version,
    describe,
    has_condition,
    no_content,
)
from mockllm.endpoints.control.desk import MAX_AT_ONCE, Desk
from mockllm.endpoints.control.mocks import (
    Listed,
    ListVersion,
    ambiguous,
    are_many,
    describe_all,
    find_mock,
    is_long_search,
    list_added,
    prepare_search,
)
from mockllm.endpoints.control.refusals import (
    MAX_PROBLEMS,
    ControlError,
    forbidden,
    invalid,
    not_found,
)
from mockllm.endpoints.control.request import ControlRequest
from mockllm.engine.added import AddedMock, compile_added
from mockllm.engine.asking import begin
from mockllm.engine.changes import AddMock, Change, RemoveMock
from mockllm.engine.decision import Decision, Question
from mockllm.errors import ConfigError, Place, Problem, closest, describe_first, did_you_mean
from mockllm.observers.selection import is_id, number_of
from mockllm.pieces import Pieces, finish

MAX_ADDED = 100_000  # mocks of all sessions
TEMPLATES = (
    "templates that come over the control API need --control-templates, or in Python "
    "control_templates=True"
)


class _Written(NamedTuple):
    """A mock of a body: its words, and the list and the position in it, if the body has lists."""

    words: Mapping[str, Any]
    field: str | None = None
    position: int = 0

    @property
    def place(self) -> Place:
        """The place in the body; empty if that is the mock."""
        if self.field is None:
            return Place()
        name = self.words.get("name", "")
        shown = name if isinstance(name, str) else ""
        return Place(field=self.field, position=self.position, name=shown)


class _Body(NamedTuple):
    """The mocks of a body, and the mistakes beside them. It is `one` mock, or has lists of them."""

    mocks: list[_Written]
    problems: list[Problem]
    is_one: bool


def add_mocks(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Add the mocks of the body to a session or, without one, for all.

    Raises:
        ControlError: 400 with all mistakes, 403, 404, 409, 412, 413.
    """
    session = asked.scope()

    def add(added: list[AddedMock], *, is_one: bool) -> Decision | Question:
        def check() -> list[Change]:
            check_version(asked.request, version.find)
            return _additions(desk, added, session)

        return desk.changes.commit(
            check, lambda changes: begin(_answer(changes, session, is_one=is_one))
        )

    def read() -> _Body:
        if is_long:
            version.find()
        return _read_mocks(asked.body())

    version = ListVersion(desk, session)
    is_long = has_condition(asked.request) and are_many(desk)
    return desk.work(
        asked,
        read,
        lambda body: _compile(desk, asked, body, session, partial(add, is_one=body.is_one)),
        is_large=is_long,
    )


def put_mock(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Add the mock of the body under the name in the path, in place of the one that was added under
    it before. Its sequence begins anew.

    Raises:
        ControlError: 400 with all mistakes, 403, 404, 409, 412, 413.
    """
    session = asked.scope()
    name = asked.values["name"]

    def compile_named(body: _Body) -> Decision | Question:
        if not body.is_one:
            raise invalid("invalid_mock", "The body is one mock here, not lists of them")
        (one,) = body.mocks
        before = _replaced(desk, name, session)
        if before is None and is_id(name):
            raise not_found(f"mock {name}")
        named = name if before is None else before.mock.name
        given = one.words.get("name", named)
        if given != named:
            message = f"expected {named!r:.100} as in the path, or no name, found {given!r:.100}"
            body.problems.append(Problem(Place(path="name"), message))
        named_mock = one._replace(words={**one.words, "name": named})
        return _compile(desk, asked, body._replace(mocks=[named_mock]), session, put)

    def put(compiled: list[AddedMock]) -> Decision | Question:
        before: Listed | None = None

        def check() -> list[Change]:
            nonlocal before
            before = _replaced(desk, name, session)
            seen = None if before is None else before.version
            check_version(asked.request, lambda: seen)
            additions = _additions(desk, compiled, session)
            return additions if before is None else [_removal(before), *additions]

        def answer(changes: Sequence[Change]) -> Decision | Question:
            status = 201 if before is None else 200
            return begin(_answer(changes, session, is_one=True, status=status))

        return desk.changes.commit(check, answer)

    return desk.work(asked, lambda: _read_mocks(asked.body()), compile_named)


def delete_mock(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Remove a mock that was added. Its calls stay.

    Raises:
        ControlError: 400, 403, 404, 409, 412.
    """
    session = asked.scope()

    def check() -> list[Change]:
        listed = find_mock(desk, asked.values["name"], session)
        if listed.added is None:
            reason = "is the configuration's: remove it from its file"
            raise ControlError(409, "configured", f"The mock {listed.name!r:.100} {reason}")
        if not asked.grant.is_full and listed.session != asked.grant.session:
            raise forbidden(f"The mock {listed.id} was not added to the session of the token")
        check_version(asked.request, lambda: listed.version)
        return [_removal(listed)]

    def remove(prepared: None) -> Decision | Question:
        return desk.changes.commit(check, lambda changes: no_content())

    name = asked.values["name"]
    if is_id(name) and desk.server.views.find(number_of(name)) is not None:
        return remove(None)
    is_long = is_long_search(desk)
    return desk.work(asked, lambda: prepare_search(desk), remove, is_large=is_long)


def _additions(desk: Desk, compiled: list[AddedMock], session: str | None) -> list[Change]:
    """Return the changes that add mocks, at the positions that they have from now on: others may
    have been added while they were compiled."""
    first = desk.server.views.next_position(session)
    return [
        AddMock(each.at_position(position), session)
        for position, each in enumerate(compiled, first)
    ]


def _removal(listed: Listed) -> RemoveMock:
    assert listed.added is not None
    return RemoveMock(listed.added.number, listed.added.id if listed.added.has_state else "")


# --- scope ----------------------------------------------------------------------------------------


def _replaced(desk: Desk, name: str, session: str | None) -> Listed | None:
    """Return the mock that was added to this session, or for all, under a name or an id.

    Raises:
        ControlError: 409, there are several.
    """
    views = desk.server.views
    known = views.find(number_of(name)) if is_id(name) else None
    if known is not None and known[0] == session:
        return list_added(known[1], session)
    found = [list_added(each, session) for each in views.named(session, name)]
    if len(found) > 1:
        raise ambiguous(name, found)
    return found[0] if found else None


# --- reading --------------------------------------------------------------------------------------


def _read_mocks(body: Mapping[str, Any]) -> _Body:
    """Return the mocks of a body: it is one, or has lists of them, as a file does."""
    fields = [name for name in body if name in MOCK_FIELDS]
    if not fields:
        return _Body([_Written(body)], [], is_one=True)
    problems: list[Problem] = []
    written: list[_Written] = []
    others = [key for key in body if key not in MOCK_FIELDS and not key.startswith(("_", "$"))]
    problems += describe_first(others, partial(_no_list, fields[0]), "")
    for key in fields:
        value = body[key]
        if isinstance(value, list):
            written += _members(key, value, problems)
        else:
            problems.append(Problem(Place(path=key), "expected a list of mocks"))
    if not problems and not written:
        problems.append(Problem(Place(path=fields[0]), "expected at least one mock"))
    return _Body(written, problems, is_one=False)


def _no_list(beside: str, key: str) -> Problem:
    hint = did_you_mean(closest(key, MOCK_FIELDS))
    expected = f"lists of mocks beside {beside!r}: one of {', '.join(MOCK_FIELDS)}"
    message = f"expected {expected}{hint}; the rest is set by the configuration"
    return Problem(Place(path=key), message)


def _members(field: str, mocks: list[Any], problems: list[Problem]) -> Iterator[_Written]:
    for position, mock in enumerate(mocks):
        if isinstance(mock, dict):
            yield _Written(mock, field, position)
        else:
            problems.append(Problem(Place(field=field, position=position), "expected an object"))


def _compile(
    desk: Desk,
    asked: ControlRequest,
    body: _Body,
    session: str | None,
    go_on: Callable[[list[AddedMock]], Decision | Question],
) -> Decision | Question:
    """Return what `go_on` makes of the compiled mocks of a body: those of a large one are compiled
    in a thread.

    Raises:
        ControlError: 400 with the mistakes of all; 409.
    """
    if desk.server.views.count + len(body.mocks) > MAX_ADDED:
        message = f"At most {MAX_ADDED:,} mocks can be added; remove some, or end their sessions"
        raise ControlError(409, "too_many_mocks", message)
    first = desk.server.views.next_position(session)

    def compile_numbered(numbers: Sequence[int]) -> Decision | Question:
        if len(asked.request.body) > MAX_AT_ONCE:
            compiling = _compile_in_pieces(desk, body, numbers, first)
            return desk.work(asked, lambda: finish(compiling), go_on)

        def pieces() -> Pieces[Decision | Question]:
            return go_on((yield from _compile_in_pieces(desk, body, numbers, first)))

        return begin(pieces())

    return desk.changes.with_numbers(len(body.mocks), compile_numbered)


def _compile_in_pieces(
    desk: Desk, body: _Body, numbers: Sequence[int], first: int
) -> Pieces[list[AddedMock]]:
    """Compile the mocks of a body, with a pause after each. In messages they have positions from
    the `first` one on.

    Raises:
        ControlError: 400 with the mistakes of all, `MAX_PROBLEMS` at most.
    """
    problems = [*body.problems]
    added: list[AddedMock] = []
    engine = desk.server.engine
    for position, (each, number) in enumerate(zip(body.mocks, numbers, strict=True), first):
        try:
            compiled = compile_added(
                each.words,
                number,
                position=position,
                field=each.field,
                chunk=engine.chunk,
                pace=engine.pace,
                strict=desk.strict_config,
                strict_requests=engine.strict_requests,
            )
        except ConfigError as exc:
            problems += [_placed(problem, each.place) for problem in exc.problems]
        else:
            added.append(compiled)
            if not desk.allows_templates:
                problems += _templates(compiled, each)
        yield False
        if len(problems) >= MAX_PROBLEMS:
            problems[MAX_PROBLEMS - 1 :] = [Problem(Place(), "the mocks behind are not checked")]
            break
    if problems:
        what = "The mock has" if body.is_one else "The mocks have"
        raise invalid("invalid_mock", f"{what} mistakes", problems)
    return added


def _placed(problem: Problem, place: Place) -> Problem:
    """Return a problem of a mock at its place in the body."""
    path = problem.place.path if isinstance(problem.place, Place) else ""
    return replace(problem, place=place.at(path) if path else place)


def _templates(added: AddedMock, own: _Written) -> Iterator[Problem]:
    for where, written in added.mock.written():
        for path, _ in written.said.templates() if written.said is not None else ():
            yield Problem(own.place.at(where).at(json_path(["reply", *path])), TEMPLATES)


def _answer(
    changes: Sequence[Change], session: str | None, *, is_one: bool, status: int = 201
) -> Pieces[Decision]:
    """Answer with the mocks that `changes` have added."""
    added = [change.added for change in changes if isinstance(change, AddMock)]
    shown = (list_added(each, session) for each in added)
    described = yield from describe_all(shown, {}, lambda key: 0)  # they are new
    warnings = [describe(warning) for each in added for warning in each.warnings]
    if is_one:
        etag = list_added(added[0], session).version
        return answer({**described[0], "warnings": warnings}, status, etag=etag)
    return answer({"mocks": described, "warnings": warnings}, status)
