"""The server as the control API sees it, and how work on it that takes long is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from mockllm.endpoints.control.access import Access
from mockllm.endpoints.control.making import Changes, Clock, Gates
from mockllm.endpoints.control.refusals import ControlError
from mockllm.endpoints.control.request import ControlRequest
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.engine.engine import Engine
from mockllm.engine.views import Seen, Views
from mockllm.errors import RequestError
from mockllm.limits import KIB
from mockllm.observers.calls import Call
from mockllm.observers.journal import Record
from mockllm.observers.lateness import Lateness
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.pieces import Pieces, finish
from mockllm.state.traffic import TrafficTimes

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
    def seen(self, session: str | None = None) -> Iterator[Seen]: ...


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
        asked: ControlRequest,
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
