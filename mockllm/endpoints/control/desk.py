"""What the control API sees of a server, and one request to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl

from mockllm.config.json_file import read_json
from mockllm.config.mistakes import validated
from mockllm.config.objects import ConfigObject
from mockllm.endpoints.control.access import Access, Grant
from mockllm.endpoints.control.answers import ControlError
from mockllm.endpoints.control.making import Changes, Clock, Gates
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.engine.views import Views
from mockllm.errors import ConfigError, Problem, RequestError
from mockllm.exchange import Request
from mockllm.limits import KIB, MIB
from mockllm.observers.calls import Call
from mockllm.observers.journal import Record
from mockllm.observers.lateness import Lateness
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.pieces import Pieces, finish
from mockllm.providers.routes import Values
from mockllm.state.session_names import describe_mistake, is_session_name
from mockllm.state.sessions import COMMON
from mockllm.state.traffic import TrafficTimes

MAX_BODY = 4 * MIB  # of mocks and traffic; the largest mocks are responses of some 100 kB
MAX_FORM = 128 * KIB  # of other bodies, which are read at once: 5 ms
MAX_AT_ONCE = 512  # bytes of mocks and traffic that are validated without a thread: up to 10 ms
MAX_JUDGED = 500  # calls, each times the mocks that are asked about, that are judged at once: 3 ms
MAX_SMALL = 64 * KIB  # of the body of a call that is shown, or compared, without a thread: 3 ms
T = TypeVar("T")


class MockedServer(Protocol):
    """The interface of `app.App` for the control API."""

    views: Views
    traffic: TrafficTimes
    elapsed: Callable[[], float]
    timing: Callable[[], Lateness]

    @property
    def engine(self) -> Engine: ...
    @property
    def has_sessions_by_credential(self) -> bool: ...
    @property
    def current_session(self) -> str: ...
    def time(self) -> float: ...
    def tables(self, session: str | None = None) -> Iterable[Table]: ...


class Calls(Protocol):
    """The calls of a server, as its journal has them, or the journals of its processes."""

    def read(self, session: str | None) -> Reading | None:
        """Return those of a session, or of all; None if other processes must be asked."""

    async def gather(self, session: str | None, after: int | None = None) -> Reading:
        """Return those that all processes have. The turns are known of those with numbers above
        `after`, as far as one page has them."""

    async def clear(self, selection: CallSelection) -> RequestError | None:
        """Drop those that are meant, in all processes. Returns why this is not possible."""

    @property
    def last_number(self) -> int:
        """The highest number of a call so far, in all processes; 0 if there was none."""

    def forget(self, session: str, upto: int) -> None:
        """Drop those of a session with numbers of at most `upto`, in this process."""


class Waiting(Protocol):
    """Waits in the loop of the server. Each returns False if what is waited for did not happen
    within `timeout` seconds. A session may be None: then all count."""

    async def calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until there are `count` calls."""

    async def gate(self, session: str | None, name: str, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until `count` answers have reached a gate."""

    async def thread(self, work: Callable[[], Any]) -> Any:
        """Return the result of `work`, done in a thread, so that the loop goes on."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The server that the control API belongs to, which `changes` change. Without a `journal`
    nothing is known of its requests. `name_session` makes a name that no session has."""

    server: MockedServer
    changes: Changes
    access: Access
    journal: Calls | None
    clock: Clock
    gates: Gates
    waiting: Waiting
    name_session: Callable[[], str]
    strict_config: bool = False
    allows_templates: bool = False

    @property
    def calls(self) -> Calls:
        """The journal.

        Raises:
            ControlError: 409, there is none.
        """
        if self.journal is None:
            message = "This server keeps no journal: it was started with a journal of 0 requests"
            raise ControlError(409, "no_journal", message)
        return self.journal

    def work(
        self,
        asked: Asked,
        work: Callable[[], T],
        go_on: Callable[[T], Decision | Question],
        *,
        is_large: bool = False,
    ) -> Decision | Question:
        """Return what `go_on` makes of the result of `work` on the body of a request: at once, or,
        if the body or the work is large, by the question that has it done in a thread.

        Raises:
            ControlError: `work` or `go_on` does; of a question, `resume` does.
        """
        if len(asked.request.body) <= MAX_AT_ONCE and not is_large:
            return go_on(work())
        return self._work_in_thread(work, go_on)

    def _work_in_thread(
        self, work: Callable[[], T], go_on: Callable[[T], Decision | Question]
    ) -> Question:
        def attempt() -> tuple[T | None, ControlError | None]:
            try:
                return work(), None
            except ControlError as exc:
                return None, exc.with_traceback(None)  # what it refers to is let go of here

        def resume(results: Sequence[Any]) -> Decision | Question:
            ((result, error),) = results
            if error is not None:
                raise error
            return go_on(result)

        return Question((Wait(lambda: self.waiting.thread(attempt)),), resume)

    def read(
        self,
        session: str | None,
        answer: Callable[[Reading], Decision | Question],
        *,
        after: int | None = None,
    ) -> Decision | Question:
        """Return the `answer` by the calls of a session, or of all; or the question that asks other
        processes for theirs first. The turns of those with numbers above `after` are needed.

        Raises:
            ControlError: 409, there is no journal; and those of `answer`.
        """
        calls = self.calls
        reading = calls.read(session)
        if reading is not None:
            return answer(reading)
        asked = Wait(lambda: calls.gather(session, after))
        return Question((asked,), lambda results: answer(*results))

    def verify(
        self, session: str | None, judge: Callable[[Record], Decision], *, mocks: int = 1
    ) -> Decision | Question:
        """Return what `judge` makes of what happened in a session, or in all, about so many mocks:
        in a thread if that is much.

        Raises:
            ControlError: as `read` does, and those of `judge`.
        """

        def answer(found: Reading) -> Decision | Question:
            snapshot, held = found.snapshot(), dict(self.gates.held(session))

            def work() -> Decision:
                return judge(found.record(snapshot, held))

            if len(snapshot.kept) * mocks <= MAX_JUDGED and not snapshot.is_large(MAX_SMALL):
                return work()
            return self._work_in_thread(work, lambda decision: decision)

        return self.read(session, answer)

    def look(
        self,
        calls: Iterable[Call],
        look: Callable[[Iterable[Call]], Pieces[Decision]],
        *,
        is_large: Callable[[int], bool],
    ) -> Decision | Question:
        """Return the decision of what `look` does with calls in pieces: in a thread if one of them
        `is_large`, which is called with the most bytes of others. One cannot be read in pieces.

        Raises:
            ControlError: the first piece does. If another does, `resume` of the question does.
        """
        if is_large(MAX_SMALL):
            return self._work_in_thread(lambda: finish(look(calls)), lambda decision: decision)
        return begin(look(calls))


class ControlBody(ConfigObject):
    """The body of a request to the control API."""


F = TypeVar("F", bound=ControlBody)
MAX_DIGITS = 18  # of a number in a query


class Asked(NamedTuple):
    """A request that is admitted: the values in its path, its query, and what it may see."""

    request: Request
    values: Values
    query: Mapping[str, str]
    grant: Grant

    def scope(self, *, common: bool = False) -> str | None:
        """Return the session that the request is about: the one of its token, else the one that its
        query names, or None for all. If it may be the `common` one, that has the empty name.

        Raises:
            ControlError: 400, 403.
        """
        named = self.query.get("session")
        if named is not None and not (common and named == COMMON):
            check_session_name(named)
        if self.grant.session is None:
            return named
        if named not in (None, self.grant.session):
            raise forbidden(f"The token is that of the session {self.grant.session!r} alone")
        return self.grant.session

    def number(self, name: str, default: int, *, most: int | None = None) -> int:
        """Return a number of the query.

        Raises:
            ControlError: 400, it is none.
        """
        text = self.query.get(name)
        if text is None:
            return default
        is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if not is_number or (most is not None and int(text) > most):
            bound = "" if most is None else f" up to {most:,}"
            raise bad_parameter(name, f"a whole number{bound}", text)
        return int(text)

    def flag(self, name: str) -> bool | None:
        """Return true or false of the query; None if it is not there.

        Raises:
            ControlError: 400, it is neither.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text not in ("true", "false"):
            raise bad_parameter(name, "true or false", text)
        return text == "true"

    def body(self, *, most: int = MAX_BODY) -> Any:
        """Return the body as JSON: an object of at most so many bytes. An empty body is one without
        members.

        Raises:
            ControlError: 400, 413.
        """
        content = self.request.body
        if len(content) > most:
            message = f"A body has at most {most:,} bytes here, found {len(content):,}"
            raise ControlError(413, "too_large", message)
        if not content:
            return {}
        try:
            data, problems, _ = read_json(content)
        except ConfigError as exc:
            raise invalid("invalid_json", "The body is not JSON", exc.problems) from exc
        if not isinstance(data, dict):
            raise invalid("invalid_body", "The body is not an object")
        if problems:
            raise invalid("invalid_json", "The body has mistakes", problems)
        return data

    def read(self, form: type[F]) -> F:
        """Return the body as an object of the type `form`.

        Raises:
            ControlError: 400 with all mistakes, 413.
        """
        try:
            return validated(form, self.body(most=MAX_FORM))
        except ConfigError as exc:
            raise invalid("invalid_body", "The body has mistakes", exc.problems) from exc


def read_query(request: Request, names: Iterable[str]) -> Mapping[str, str]:
    """Return the parameters of the query of a request.

    Raises:
        ControlError: 400, it has others than `names`, or one of them twice.
    """
    known = list(names)
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise bad_parameter(name, expected, value, is_unknown=True)
        if name in found:
            raise ControlError(400, "bad_parameter", f"The parameter {name!r} occurs twice")
        found[name] = value
    return found


def check_session_name(name: str) -> str:
    """Return the valid name of a session.

    Raises:
        ControlError: 400.
    """
    if not is_session_name(name):
        raise ControlError(400, "invalid_session", f"Invalid session: {describe_mistake(name)}")
    return name


def bad_parameter(
    name: str, expected: str, found: str, *, is_unknown: bool = False
) -> ControlError:
    """Return a 400 about a parameter of the query."""
    what = f"Unknown parameter {name!r:.60}" if is_unknown else f"{name}={found!r:.60}"
    return ControlError(400, "bad_parameter", f"{what}: expected {expected}")


def invalid(code: str, message: str, problems: Iterable[Problem] = ()) -> ControlError:
    """Return a 400 about a body with all its mistakes."""
    found = tuple(problems)
    texts = "; ".join(map(str, found[:MAX_TOLD]))
    more = f"; and {len(found) - MAX_TOLD:,} more" if len(found) > MAX_TOLD else ""
    told = f"{message}: {texts}{more}" if found else message
    return ControlError(400, code, told, problems=found[:MAX_PROBLEMS])


MAX_TOLD = 3  # problems in the text of an error
MAX_PROBLEMS = 1_000  # problems in the answer


def forbidden(message: str) -> ControlError:
    """Return a 403 for a token of a session."""
    return ControlError(403, "forbidden", message)


def not_found(what: str, hint: str = "") -> ControlError:
    """Return a 404 about something that is named in the path."""
    return ControlError(404, "not_found", f"There is no {what}{hint}")
