"""Gates as data: which are open, what was released, which answers have come to them.

An answer is known by its ticket: the number of the worker process that sends it, and its own. Every
process that is told of the same events in the same order knows the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

MAX_GATES = 10_000  # that nothing is held at are kept; clients can name any, and any session

Key = tuple[str | None, str]
"""A session, or None for all, and a name."""
Ticket = tuple[int, int]
"""The number of a worker, and that of an answer of it."""


class _Gate:
    """The state of a gate."""

    __slots__ = ("held", "is_open", "reached", "releases")

    def __init__(self) -> None:
        self.held: dict[Ticket, None] = {}  # in order of arrival
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


class GateStates:
    """The gates of a server. An answer at the gate of a session is at that of all sessions (None)
    too, and either may let it go on."""

    def __init__(self) -> None:
        self._gates: dict[Key, _Gate] = {}  # the longest unused first
        self._of_session = Counter[str | None]()  # the number of gates
        self._places: dict[Ticket, tuple[str, str]] = {}

    # --- answers ---

    def reach(self, session: str, name: str, ticket: Ticket) -> bool:
        """Let an answer of a session reach a gate. Returns True if it goes on, False if it is held
        there."""
        gates = (self._use((session, name)), self._use((None, name)))
        for gate in gates:
            gate.reached += 1
        passes = any(gate.lets_pass() for gate in gates)
        if not passes:
            self._places[ticket] = (session, name)
            for gate in gates:
                gate.held[ticket] = None
        self._drop_unused()
        return passes

    def leave(self, ticket: Ticket) -> None:
        """Forget an answer. Without effect if it is not held."""
        place = self._places.pop(ticket, None)
        if place is not None:
            session, name = place
            for key in ((session, name), (None, name)):
                self._gates[key].held.pop(ticket, None)

    def forget_worker(self, worker: int) -> None:
        """Forget the answers of a process that has died."""
        for ticket in [each for each in self._places if each[0] == worker]:
            self.leave(ticket)

    # --- tests ---

    def release(self, session: str | None, name: str) -> Ticket | None:
        """Return the answer that has been held longest, and goes on; None if the next one that
        comes will do so."""
        gate = self._use((session, name))
        ticket = next(iter(gate.held), None)
        if ticket is None:
            gate.releases += 1
            self._drop_unused()
        else:
            self.leave(ticket)
        return ticket

    def open(self, session: str | None, name: str) -> list[Ticket]:
        """Return the answers that are held and go on, as those that come later do."""
        gate = self._use((session, name))
        gate.is_open = True
        passing = [*gate.held]
        for ticket in passing:
            self.leave(ticket)
        self._drop_unused()
        return passing

    def end_session(self, session: str) -> list[Ticket]:
        """Forget the gates of a session. Returns the answers that were held there."""
        held = self.held_in(session)
        for ticket in held:
            self.leave(ticket)
        if session in self._of_session:
            self._drop([key for key in self._gates if key[0] == session])
        return held

    # --- readings ---

    def first_held(self, session: str | None, name: str) -> Ticket | None:
        """Return the answer that has been held longest at a gate; None if none is held."""
        gate = self._gates.get((session, name))
        return None if gate is None else next(iter(gate.held), None)

    def reached(self, session: str | None, name: str) -> int:
        """Return the number of answers that have reached a gate so far, held or not."""
        gate = self._gates.get((session, name))
        return 0 if gate is None else gate.reached

    def is_held(self, ticket: Ticket) -> bool:
        """Return True if this answer is held."""
        return ticket in self._places

    def held_in(self, session: str | None) -> list[Ticket]:
        """Return the answers that are held in a session, or in all, in order of arrival."""
        return [
            ticket
            for ticket, place in self._places.items()
            if session is None or place[0] == session
        ]

    def held(
        self, session: str | None, counts: Callable[[Ticket], bool] = lambda ticket: True
    ) -> Counter[str]:
        """Return the number of answers that are held now, and for which `counts` is true, by the
        names of the gates."""
        return Counter(self._places[each][1] for each in self.held_in(session) if counts(each))

    @property
    def workers(self) -> frozenset[int]:
        """The processes with answers that are held."""
        return frozenset(worker for worker, _ in self._places)

    # --- as JSON ---

    def dump(self) -> list[list[Any]]:
        """Return the gates as JSON, the longest unused first, and behind them the answers."""
        gates = [
            [*key, gate.is_open, gate.releases, gate.reached] for key, gate in self._gates.items()
        ]
        answers = [[*ticket, *place] for ticket, place in self._places.items()]
        return [gates, answers]

    def load(self, dumped: Iterable[Iterable[Any]]) -> None:
        """Know what `dump` has returned, and nothing else."""
        gates, answers = dumped
        self.__init__()  # type: ignore[misc]  # it is this very class
        for session, name, is_open, releases, reached in gates:
            gate = self._use((session, name))
            gate.is_open, gate.releases, gate.reached = is_open, releases, reached
        for worker, number, session, name in answers:
            self._places[worker, number] = (session, name)
            for key in ((session, name), (None, name)):
                self._gates[key].held[worker, number] = None

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
