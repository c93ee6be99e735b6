"""The part of a server in an event loop that remembers its requests and tells tests of them.

What is remembered belongs to the loop of the server: whoever asks from another thread has it read
there. After the end of the server it can be read until the next start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from mockllm.app import App
from mockllm.engine.added import AddedMock, compile_added
from mockllm.observers.journal import Journal, Record
from mockllm.observers.subjects import subjects_of
from mockllm.observers.timing import Timing
from mockllm.observers.verification import Subject
from mockllm.serve.embedded.session import S, SessionServer
from mockllm.serve.gates import Gates
from mockllm.serve.listening import Listening, await_in, running_loop
from mockllm.serve.own_responses import earlier_finder
from mockllm.serve.turns import Turns
from mockllm.serve.waiting import wait_for_count, wait_for_gate, wait_unless_stopped
from mockllm.state.operations import BeginSession, EndSession, Operation, Result
from mockllm.state.sessions import COMMON

logger = logging.getLogger("mockllm")
T = TypeVar("T")


class RecordedServer(SessionServer[S]):
    """A server whose journal has the last `_max_entries` requests; no journal if that is 0."""

    _max_entries: int
    _strict_config: bool
    _strict_requests: bool
    # from the start on, also after the end
    _journal: Journal | None = None
    _app: App | None = None
    # while started
    _listening: Listening | None = None

    @property
    def timing(self) -> Timing:
        """How the times of paced answers were kept, since the start: whether the server was the
        bottleneck of a load test. It can be read after the stop too.

        Raises:
            RuntimeError: the server was never started.
        """
        app = self._started_app()
        return self._run(lambda: Timing.of(app.timing()))

    def _serving(self) -> Listening:
        """Return the started server, or raise the RuntimeError of `base_url`."""
        raise NotImplementedError

    def _begin_recording(self, app: App, turns: Turns) -> Journal | None:
        """Begin a new journal for `app`, and return it; None if none is kept. What takes long is
        done in `turns`."""
        self._app, self._journal = app, None
        if not self._max_entries:
            return None
        epoch = time.time() - time.monotonic()
        self._journal = Journal(
            max_entries=self._max_entries,
            epoch=epoch,
            find_earlier=earlier_finder(app.responses, turns),
            let_go=turns.let_go_of_many,
        )
        return self._journal

    def _perform(self, operation: Operation) -> Result | None:
        listening = self._listening
        if listening is None:
            return None
        return listening.run(lambda: listening.app.perform(operation))

    def _read_journal(self, session: str | None) -> Record:
        journal = self._kept_journal()
        listening = self._listening
        if listening is None:
            return journal.read(session)
        snapshot, held = listening.run(
            lambda: (journal.snapshot(session), listening.gates.held(session))
        )
        return journal.record(snapshot)._replace(held=held)

    def _clear_journal(self, session: str | None) -> None:
        journal = self._kept_journal()
        self._run(lambda: journal.clear(session))

    def _subjects_of(self, session: str | None) -> dict[str, Subject]:
        app = self._started_app()
        return self._run(
            lambda: subjects_of(app.seen(session), lambda key: app.own_store.answered(key, session))
        )

    def _add_to(self, session: str | None, words: Mapping[str, object]) -> AddedMock:
        listening = self._serving()
        app = listening.app
        engine = app.engine
        compiled = compile_added(
            words,
            next(app.views.numbers),
            # only a guess, as others may add mocks meanwhile, so it need not be made in the loop
            position=app.views.next_position(session),
            chunk=engine.chunk,
            pace=engine.pace,
            strict=self._strict_config,
            strict_requests=engine.strict_requests,
        )

        def add() -> AddedMock:
            self._check_open(listening, session)
            placed = compiled.at_position(app.views.next_position(session))
            app.add(placed, session)
            return placed

        added = listening.run(add)
        for warning in added.warnings:
            logger.warning("%s", warning)
        return added

    def _remove(self, added: AddedMock) -> None:
        listening = self._listening
        if listening is not None:
            listening.run(lambda: listening.app.remove(added))

    def _is_strict(self) -> bool:
        return self._strict_requests

    def _keeps_journal(self) -> bool:
        return self._max_entries > 0

    def _on_gates_of(self, session: str | None, act: Callable[[Gates, str | None], T]) -> T:
        listening = self._serving()

        def act_if_open() -> T:
            self._check_open(listening, session)
            return act(listening.gates, session)

        return listening.run(act_if_open)

    def _check_open(self, listening: Listening, session: str | None) -> None:
        if session is not None and not listening.app.own_store.sessions.is_open(session):
            raise RuntimeError(f"the session {session!r} has ended")

    async def _await_gate_of(
        self,
        session: str | None,
        name: str,
        count: int,
        timeout: float,  # noqa: ASYNC109  # it is the caller's
    ) -> int:
        listening = self._serving()
        self._on_gates_of(session, lambda gates, session: None)
        return await await_in(
            listening.loop, wait_for_gate(listening.gates, session, name, count, timeout)
        )

    def _wait_for_gate_of(self, session: str | None, name: str, count: int, timeout: float) -> int:
        listening = self._serving()
        gates = listening.gates
        self._on_gates_of(session, lambda gates, session: None)
        found = self._wait_in(listening, wait_for_gate(gates, session, name, count, timeout))
        return gates.reached(session, name) if found is None else found

    def _has_stopped(self) -> bool:
        return self._listening is None

    async def _await_calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # it is the caller's
        journal, listening = self._kept_journal(), self._serving()
        counting = wait_for_count(journal, session, count, timeout)
        return await await_in(listening.loop, wait_unless_stopped(counting, listening.gates))

    def _wait_for_calls(self, session: str | None, count: int, timeout: float) -> bool:
        journal, listening = self._kept_journal(), self._serving()
        counting = wait_for_count(journal, session, count, timeout)
        return self._wait_in(listening, wait_unless_stopped(counting, listening.gates)) or False

    def _wait_in(self, listening: Listening, waiting: Coroutine[Any, Any, T]) -> T | None:
        """Do what `await_in` does, from another thread than that of the loop of the server. Returns
        None if this loop ends meanwhile."""
        if listening.loop is running_loop():
            waiting.close()
            raise RuntimeError("the server cannot answer calls while its own loop waits for them")
        try:
            return asyncio.run_coroutine_threadsafe(waiting, listening.loop).result()
        except CancelledError:
            return None

    def _begin(self, operation: BeginSession) -> Result | None:
        listening, journal, name = self._serving(), self._journal, operation.session

        def begin() -> Result:
            if journal is not None and not listening.app.own_store.sessions.is_open(name):
                journal.clear(name)
            return listening.app.perform(operation)

        return listening.run(begin)

    def _end_current(self, session: str) -> Mapping[str, int]:
        listening = self._listening
        if listening is None:
            return {}
        app, gates = listening.app, listening.gates

        def end() -> Mapping[str, int]:
            held = gates.held(session)
            app.perform(BeginSession(COMMON, current=True))
            app.perform(EndSession(session))
            return held

        return listening.run(end)

    def _started_app(self) -> App:
        """Return the app, also after the end. Raises like `timing`."""
        if self._app is None:
            raise RuntimeError("the server is not started")
        return self._app

    def _kept_journal(self) -> Journal:
        """Return the journal, or raise the RuntimeError of `_read_journal`."""
        if not self._max_entries:
            raise RuntimeError(f"this {type(self).__name__} keeps no journal: it has journal=0")
        if self._journal is None:
            raise RuntimeError("the server is not started")
        return self._journal

    def _run(self, function: Callable[[], T]) -> T:
        """Return the result of `function`, called in the loop of the server while it serves."""
        listening = self._listening
        return function() if listening is None else listening.run(function)
