"""Gates: places in answers at which a test holds them, until it lets them go on.

A gate belongs to a session and has a name. An answer that reaches it is held until the gate is
released, once for each answer, or is opened, for all. What a test does to a gate of all sessions
(None) holds for the gates of that name in every session.

    an answer  arrive ──> goes on, if the gate is open or was released before
                     └──> is held: pass_gate (released) or cut_off (after `hold_for` seconds, at the
                          end of its session, when the server stops); leave, if its peer is gone

What happens at gates is a change, in whichever process: one process makes it at once (`make`), and
several make the same ones in the same order (`serve.shared_changes`). All belong to the loop of the
server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, Protocol, assert_never

from mockllm.engine.changes import (
    ForgetWorker,
    GateChange,
    LeaveGate,
    OpenGate,
    ReachGate,
    ReleaseGate,
    SetGates,
)
from mockllm.serve.timers import CallLater, Timer, call_later
from mockllm.state.gates import GateStates, Ticket

HOLD_FOR = 60.0  # seconds after which a held answer is cut, unless the server says otherwise


class Held(Protocol):
    """The interface of a `serve.player.Sender` for a gate."""

    def pass_gate(self) -> None:
        """Go on."""

    def cut_off(self) -> None:
        """End the answer as if the connection was cut."""


class _Place:
    """The ticket of an answer of this process that is held, its session, and the timer that ends
    it."""

    __slots__ = ("session", "ticket", "timer")

    def __init__(self, session: str, ticket: Ticket, timer: Timer) -> None:
        self.session = session
        self.ticket = ticket
        self.timer = timer


class Gates:
    """The gates of a server, which cuts answers that are held for `hold_for` seconds. `worker` is
    the number of this process."""

    def __init__(
        self,
        *,
        hold_for: float = HOLD_FOR,
        call_later: CallLater = call_later,
        worker: int = 0,
    ) -> None:
        # of the process
        self._hold_for = hold_for
        self._call_later = call_later
        self._worker = worker
        self._numbers = count()
        self._is_stopped = False
        # of the gates
        self.states = GateStates()
        """What all processes know of them."""
        self.post: Callable[[GateChange], None] = self.make
        """Makes a change: here at once, or soon, in the order of those of all processes."""
        self.is_alive: Callable[[int], bool] = lambda worker: True
        """Returns False of a process that has died, whose answers are held no more."""
        # of the answers of this process
        self._arriving: Ticket | None = None
        self._places: dict[Held, _Place] = {}
        self._answers: dict[Ticket, Held] = {}
        self._has_cut = False
        self.listeners: set[Callable[[], None]] = set()
        """Called after an answer has reached a gate, and when the server stops."""

    @property
    def is_stopped(self) -> bool:
        """True once the server stops: nothing is held any more."""
        return self._is_stopped

    # --- answers ---

    def arrive(self, session: str, name: str, answer: Held) -> bool:
        """Let an answer of a session reach a gate. Returns True if it is held there: then
        `pass_gate` or `cut_off` of it is called, never from here, or it calls `leave`."""
        ticket = (self._worker, next(self._numbers))
        if not self._is_stopped:
            self._arriving = ticket
            self.post(ReachGate(session, name, ticket))
            passed, self._arriving = self._arriving != ticket, None
            if passed:
                return False
        seconds = 0.0 if self._is_stopped else self._hold_for
        timer = self._call_later(seconds, partial(self._cut, answer))
        self._places[answer] = _Place(session, ticket, timer)
        self._answers[ticket] = answer
        return True

    def leave(self, answer: Held) -> None:
        """Forget an answer. Without effect if it is not held."""
        ticket = self._forget(answer)
        if ticket is not None:
            self.post(LeaveGate(ticket))

    # --- tests ---

    def release(self, session: str | None, name: str) -> None:
        """Let the answer that has been held longest go on, or the next one that comes."""
        self.post(ReleaseGate(session, name))

    def open(self, session: str | None, name: str) -> None:
        """Let all answers go on, those that come later too."""
        self.post(OpenGate(session, name))

    def reached(self, session: str | None, name: str) -> int:
        """Return the number of answers that have reached a gate so far, held or not."""
        return self.states.reached(session, name)

    def held(self, session: str | None) -> Counter[str]:
        """Return the number of answers that are held now, by the names of the gates."""
        dead = {worker for worker in self.states.workers if not self.is_alive(worker)}
        return self.states.held(session, lambda ticket: ticket[0] not in dead)

    # --- ends ---

    def end_session(self, session: str) -> None:
        """Cut the answers that are held in a session, and forget its gates."""
        for ticket in self.states.end_session(session):
            answer = self._answers.get(ticket)
            if answer is None:
                self._has_cut = True
            else:
                self._cut(answer)

    def has_cut(self) -> bool:
        """Return True if the end of a session has cut answers of other processes since this was
        last asked. They may not have seen it yet."""
        has_cut, self._has_cut = self._has_cut, False
        return has_cut

    def cut_session(self, session: str) -> None:
        """Cut the answers of this process that are held in a session."""
        self._cut_all(answer for answer, place in self._places.items() if place.session == session)

    def stop(self) -> None:
        """Cut all answers that are held, and from now on those that would be."""
        self._is_stopped = True
        self._cut_all(self._places)
        self._notify()

    # --- changes ---

    def make(self, change: GateChange) -> None:
        """Make a change, of this process or another one."""
        match change:
            case ReachGate(session, name, ticket):
                if self.states.reach(session, name, ticket):
                    self._let_pass(ticket)
                self._notify()
            case LeaveGate(ticket):
                self.states.leave(ticket)
            case ReleaseGate(within, name):
                released = self.states.release(within, name)
                if released is not None:
                    self._let_pass(released)
            case OpenGate(within, name):
                for ticket in self.states.open(within, name):
                    self._let_pass(ticket)
            case ForgetWorker(worker):
                self.states.forget_worker(worker)
            case SetGates(dumped):
                self._load(dumped)
            case _:
                assert_never(change)

    # --- their parts ---

    def _load(self, dumped: Iterable[Iterable[Any]]) -> None:
        """Know what was dumped. What was held here and is not there was let go meanwhile."""
        held = [ticket for ticket in self._answers if self.states.is_held(ticket)]
        self.states.load(dumped)
        for ticket in held:
            if not self.states.is_held(ticket):
                self._let_pass(ticket)

    def _let_pass(self, ticket: Ticket) -> None:
        """Let an answer go on, if it is one of this process."""
        if ticket == self._arriving:
            self._arriving = None
            return
        answer = self._answers.get(ticket)
        if answer is not None:
            self._forget(answer)
            answer.pass_gate()

    def _cut(self, answer: Held) -> None:
        self.leave(answer)
        answer.cut_off()

    def _cut_all(self, answers: Iterable[Held]) -> None:
        for answer in [*answers]:
            if answer in self._places:
                self._cut(answer)

    def _forget(self, answer: Held) -> Ticket | None:
        """Forget an answer of this process. Returns its ticket; None if it is not held."""
        place = self._places.pop(answer, None)
        if place is None:
            return None
        place.timer.cancel()
        del self._answers[place.ticket]
        return place.ticket

    def _notify(self) -> None:
        for notify in tuple(self.listeners):
            notify()
