"""Gates: places in answers at which a test holds them, until it lets them go on.

A gate belongs to a session and has a name. An answer that reaches it is held until the gate is
released, once for each answer, or is opened, for all. What a test does to a gate of all sessions
(None) holds for the gates of that name in every session.

    an answer  arrive ──> goes on, if the gate is open or was released before
                     └──> is held: pass_gate (released) or cut_off (after `hold_for` seconds, at the
                          end of its session, when the server stops); leave, if its peer is gone

All belong to the loop of the server.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

HOLD_FOR = 60.0  # seconds after which a held answer is cut, unless the server says otherwise
MAX_GATES = 10_000  # that nothing is held at are kept; clients can name any, and any session

Key = tuple[str | None, str]
"""A session, or None for all, and a name."""


class Held(Protocol):
    """The interface of a `serve.player.Sender` for a gate."""

    def pass_gate(self) -> None:
        """Go on."""

    def cut_off(self) -> None:
        """End the answer as if the connection was cut."""


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Schedules a call in so many seconds."""


def _call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, callback)


class _Gate:
    """The state of a gate."""

    __slots__ = ("held", "is_open", "reached", "releases")

    def __init__(self) -> None:
        self.held: dict[Held, None] = {}  # in order of arrival
        self.is_open = False
        self.releases = 0  # for answers that have not come yet
        self.reached = 0

    def lets_pass(self) -> bool:
        """Return True if an answer may go on, which uses up a release."""
        if self.is_open:
            return True
        if self.releases:
            self.releases -= 1
            return True
        return False


class _Place:
    """Where an answer is held, and the timer that ends it."""

    __slots__ = ("key", "timer")

    def __init__(self, key: Key, timer: Timer) -> None:
        self.key = key
        self.timer = timer


class Gates:
    """The gates of a server, which cuts answers that are held for `hold_for` seconds."""

    def __init__(self, *, hold_for: float = HOLD_FOR, call_later: CallLater = _call_later) -> None:
        # of the server
        self._hold_for = hold_for
        self._call_later = call_later
        self._is_stopped = False
        # of the gates
        self._gates: dict[Key, _Gate] = {}  # the longest unused first
        self._of_session = Counter[str | None]()  # the number of gates
        self._places: dict[Held, _Place] = {}
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
        gates = (self._use((session, name)), self._use((None, name)))
        for gate in gates:
            gate.reached += 1
        passes = not self._is_stopped and any(gate.lets_pass() for gate in gates)
        if not passes:
            seconds = 0.0 if self._is_stopped else self._hold_for
            timer = self._call_later(seconds, partial(self._cut, answer))
            self._places[answer] = _Place((session, name), timer)
            for gate in gates:
                gate.held[answer] = None
        self._drop_unused()
        self._notify()
        return not passes

    def leave(self, answer: Held) -> None:
        """Forget an answer. Without effect if it is not held."""
        place = self._places.pop(answer, None)
        if place is not None:
            place.timer.cancel()
            session, name = place.key
            for key in ((session, name), (None, name)):
                self._gates[key].held.pop(answer, None)

    # --- tests ---

    def release(self, session: str | None, name: str) -> None:
        """Let the answer that has been held longest go on, or the next one that comes."""
        gate = self._use((session, name))
        answer = next(iter(gate.held), None)
        if answer is None:
            gate.releases += 1
            self._drop_unused()
        else:
            self._let_pass(answer)

    def open(self, session: str | None, name: str) -> None:
        """Let all answers go on, those that come later too."""
        gate = self._use((session, name))
        gate.is_open = True
        for answer in tuple(gate.held):
            self._let_pass(answer)
        self._drop_unused()

    def reached(self, session: str | None, name: str) -> int:
        """Return the number of answers that have reached a gate so far, held or not."""
        gate = self._gates.get((session, name))
        return 0 if gate is None else gate.reached

    def held(self, session: str | None) -> Counter[str]:
        """Return the number of answers that are held now, by the names of the gates."""
        return Counter(
            place.key[1]
            for place in self._places.values()
            if session is None or place.key[0] == session
        )

    # --- ends ---

    def end_session(self, session: str) -> None:
        """Cut the answers that are held in a session, and forget its gates."""
        self._cut_all(session)
        if session in self._of_session:
            self._drop([key for key in self._gates if key[0] == session])

    def stop(self) -> None:
        """Cut all answers that are held, and from now on those that would be."""
        self._is_stopped = True
        self._cut_all(None)
        self._notify()

    # --- their parts ---

    def _use(self, key: Key) -> _Gate:
        gate = self._gates.pop(key, None)
        if gate is None:
            gate = _Gate()
            self._of_session[key[0]] += 1
        self._gates[key] = gate
        return gate

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            del self._gates[key]
            self._of_session[key[0]] -= 1
            if not self._of_session[key[0]]:
                del self._of_session[key[0]]

    def _drop_unused(self) -> None:
        """Forget the gates that have not been used for the longest time, if there are too many."""
        excess = len(self._gates) - MAX_GATES - 2 * len(self._places)
        if excess > 0:
            unused = [key for key, gate in self._gates.items() if not gate.held]
            self._drop(unused[: excess + MAX_GATES // 10])  # rarely: it looks at all

    def _let_pass(self, answer: Held) -> None:
        self.leave(answer)
        answer.pass_gate()

    def _cut(self, answer: Held) -> None:
        self.leave(answer)
        answer.cut_off()

    def _cut_all(self, session: str | None) -> None:
        """Cut the answers that are held in a session, or all."""
        for answer, place in [*self._places.items()]:
            if session is None or place.key[0] == session:
                self._cut(answer)

    def _notify(self) -> None:
        for notify in tuple(self.listeners):
            notify()
