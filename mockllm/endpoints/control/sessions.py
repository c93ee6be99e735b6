"""``/sessions``: begin and end sessions, and give their tokens away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, model_validator

from mockllm.config.mistakes import contradiction
from mockllm.endpoints.control.answers import answer, no_content
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import ControlError, forbidden, not_found
from mockllm.endpoints.control.request import ControlBody, ControlRequest, check_session_name
from mockllm.engine.changes import Change, CloseSession, OpenSession
from mockllm.engine.decision import Decision, Question
from mockllm.state.operations import IsOpen, ListSessions
from mockllm.state.session_names import PREFIX, session_of_credential
from mockllm.state.sessions import COMMON

MAX_SESSIONS = 1_000  # of one page


class NewSession(ControlBody):
    """The body of ``POST /sessions``."""

    name: str | None = None
    """1 to 128 of ``A-Z a-z 0-9 . _ -``. Without it the server chooses one."""
    credential: Annotated[str, Field(min_length=1)] | None = None
    """In place of a name: the session is that of the requests with this API key, if the
    configuration has ``"session": "credential"``."""
    current: StrictBool = False
    """Make it the session of requests that name none."""

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if self.name is not None and self.credential is not None:
            raise contradiction("cannot be combined with 'name'", "credential")
        return self


class SessionSettings(ControlBody):
    """The body of ``PUT /sessions/{name}``."""

    current: StrictBool = False
    """Make it the session of requests that name none."""


class CurrentSession(ControlBody):
    """The body of ``PUT /sessions``."""

    current: str | None
    """The session of requests that name none; null is the common one, which has no name."""


def list_sessions(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the open sessions. A token of a session sees only that one.

    Raises:
        ControlError: 400.
    """
    start = asked.number("after", 0)
    limit = asked.number("limit", MAX_SESSIONS, most=MAX_SESSIONS)
    own = asked.grant.session

    def show(results: Sequence[Any]) -> Decision:
        (found,) = results
        known: tuple[str, ...] = found if own is None else (own,) * found
        page = known[start : start + limit]
        end = start + len(page)
        shown = [_describe(desk, asked, each) for each in page]
        current = desk.server.current_session or None
        if own is not None and current != own:
            current = None
        body = {"sessions": shown, "current": current, "next": end, "more": end < len(known)}
        return answer(body)

    return Question((ListSessions() if own is None else IsOpen(own),), show)


def read_session(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with one open session.

    Raises:
        ControlError: 400, 403, 404.
    """
    name = _named(asked)

    def show(results: Sequence[Any]) -> Decision:
        (is_open,) = results
        if not is_open:
            raise not_found(f"open session {name!r}")
        return answer(_describe(desk, asked, name))

    return Question((IsOpen(name),), show)


def create_session(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Begin a session, and answer with its token and its base URLs.

    Raises:
        ControlError: 400, 409.
    """
    wanted: NewSession = asked.read(NewSession)
    if wanted.credential is not None:
        name = _session_of(desk, wanted.credential)
    else:
        name = desk.name_session() if wanted.name is None else check_session_name(wanted.name)
    return _begin(desk, asked, name, current=wanted.current)


def put_session(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Begin the session of this name. One that is open keeps its state, one that has ended begins
    anew.

    Raises:
        ControlError: 400, 403, 409.
    """
    name = _named(asked)
    wanted: SessionSettings = asked.read(SessionSettings)
    if wanted.current and not asked.grant.is_full:
        raise forbidden("A session's token does not make it the session of other requests")
    return _begin(desk, asked, name, current=wanted.current)


def use_session(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Make a session the one of requests that name none. It begins if it is not open.

    Raises:
        ControlError: 400, 409.
    """
    wanted: CurrentSession = asked.read(CurrentSession)
    name = COMMON if wanted.current is None else check_session_name(wanted.current)
    return desk.changes.commit(
        lambda: [_opening(desk, name, current=True)],
        lambda changes: answer({"current": wanted.current}),
    )


def end_session(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """End a session, and drop its state and its mocks. Its calls can be read until it begins anew.

    Raises:
        ControlError: 400, 403.
    """
    name = _named(asked)
    return desk.changes.commit(lambda: [CloseSession(name)], lambda changes: no_content())


def _session_of(desk: Desk, credential: str) -> str:
    """Return the session of an API key.

    Raises:
        ControlError: 409, the configuration does not make sessions of API keys.
    """
    if not desk.server.has_sessions_by_credential:
        reason = "API keys do not tell sessions apart"
        message = f'{reason}: the configuration needs "session": "credential"'
        raise ControlError(409, "no_sessions_of_credentials", message)
    return session_of_credential(credential.encode())


def _begin(desk: Desk, asked: ControlRequest, name: str, *, current: bool) -> Decision | Question:
    def answer_with_session(changes: Sequence[Change]) -> Decision:
        (opening,) = changes
        assert isinstance(opening, OpenSession)
        return answer(_describe(desk, asked, name), 201 if opening.is_new else 200)

    return desk.changes.commit(lambda: [_opening(desk, name, current=current)], answer_with_session)


def _opening(desk: Desk, name: str, *, current: bool) -> OpenSession:
    """Return the change that begins a session, unless it is open."""
    last_call = 0 if desk.journal is None else desk.journal.last_number
    return OpenSession(name, current, is_new=False, last_call=last_call)


def _named(asked: ControlRequest) -> str:
    """Return the session that the path names.

    Raises:
        ControlError: 400, 403.
    """
    name = check_session_name(asked.values["name"])
    if asked.grant.session not in (None, name):
        raise forbidden(f"The token is that of the session {asked.grant.session!r} alone")
    return name


def _describe(desk: Desk, asked: ControlRequest, name: str) -> dict[str, Any]:
    host = asked.request.first_values.get(b"host", b"localhost").decode("latin-1")
    url = f"{desk.access.scheme}://{host}{PREFIX}{name}"
    return {
        "name": name,
        "token": desk.access.token_of(name),
        "base_url": url,
        "openai_base_url": f"{url}/v1",
        "anthropic_base_url": url,
    }
