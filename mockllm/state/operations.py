"""Questions to the store, as values: its operations, and the results of each.

What depends on earlier requests is asked in one question, a list of operations. A store performs
them in order in one atomic step, and stops at the first that refuses: the list of results is then
shorter than that of the operations, and its last result is the refusal.
"""

from __future__ import annotations

from typing import NamedTuple

from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Exhausted, NoneLeft
from mockllm.state.rate_limits import Charge, Limited, Spent

# --- Operations -----------------------------------------------------------------------------------


class Choose(NamedTuple):
    """Choose which of the `candidates` answers, and advance it: they are the mocks that match, in
    order, up to and including the first without state. A marked retry gets what the attempt before
    it got and advances nothing, unless that entry says otherwise. Without `attempt` the request is
    new, and no retry can follow it.

    The result is a Chosen. Exhausted, NoneLeft and SessionEnded refuse.
    """

    session: str
    candidates: tuple[Candidate, ...]
    attempt: Attempt | None = None


class Admit(NamedTuple):
    """Admit a request to its session, which counts as its use and opens an unknown one. The result
    is None; SessionEnded refuses."""

    session: str


class TakeNothing(NamedTuple):
    """Record an attempt that was answered before anything was chosen, by an error of ``traffic``:
    its retry has nothing to repeat. The result is None; SessionEnded refuses."""

    session: str
    attempt: Attempt


class BeginSession(NamedTuple):
    """Open a session and pin it, for a test or the control API. With `current`, requests that name
    no session belong to it from now on. The result is None; TooManySessions refuses."""

    session: str
    current: bool = False


class EndSession(NamedTuple):
    """End a session and drop its state. Its late requests are refused. The result is None."""

    session: str


class IsOpen(NamedTuple):
    """Find out whether a session has begun and is neither ended nor evicted. The result is a
    bool."""

    session: str


class ListSessions(NamedTuple):
    """List the open sessions but the common one: pinned ones first, then in order of their last
    use. The result is a tuple of names."""


class CountAnswers(NamedTuple):
    """Count the answers that the mocks with these `keys` have given in a session; without one, in
    the session in which each has given most. The result is a tuple of numbers, in order."""

    keys: tuple[str, ...]
    session: str | None = None


class Reset(NamedTuple):
    """Let the mocks begin anew: those with these `keys`, or all; in this `session`, or in all.
    Nothing that was taken of them is repeated any more. Without `keys`, the buckets of the session
    are full, or all are. The result is None."""

    session: str | None = None
    keys: frozenset[str] | None = None


class Put(NamedTuple):
    """Store a small value (`values.MAX_VALUE`) for `lifetime` seconds, whatever the session. The
    result is None."""

    key: str
    value: bytes
    lifetime: float


class Get(NamedTuple):
    """Read a value. The result is its bytes; None if it is unknown or its lifetime is over."""

    key: str


class Draw(NamedTuple):
    """Draw a number for an attempt in a session: the same in every run, whatever else arrives. The
    answer is that of `source`, a mock. The result is an integer of 64 bits (`draws.Draws`)."""

    session: str
    seed: int
    source: str
    attempt: Attempt


class Spend(NamedTuple):
    """Charge a request in all of its buckets, or in none, at the time `at`: seconds of the server's
    own time, by which buckets are refilled. The result is a Spent. Limited refuses: one of them has
    not enough."""

    charges: tuple[Charge, ...]
    at: float


class Settle(NamedTuple):
    """Settle a `charge` that was spent at the time `since`, when its true `cost` is known, at the
    time `at`. The result is None."""

    charge: Charge
    cost: float
    since: float
    at: float


class Enter(NamedTuple):
    """Take one of the `places` of a pool of concurrent requests for a `lease`, whose name no other
    of this process has. It is given back by Leave, or if another operation of the same question
    refuses. The result is None; PoolFull refuses.

    With a `queue`, further leases wait in the line of the pool, at most so many; None is unlimited.
    Then the result is an InLine, and a place that is given back is that of the first in the line,
    whose process is told (`Store.when_called`). Who enters again, with a queue, finds out where the
    lease is.
    """

    pool: str
    lease: str
    places: int
    queue: int | None = 0


class Leave(NamedTuple):
    """Give the place of a lease back, or the one that it has in a line, if it has one. The result
    is None."""

    lease: str


class CountPlaces(NamedTuple):
    """Count the places of a pool that are taken. The result is an integer."""

    pool: str


Operation = (
    Draw
    | Admit
    | Choose
    | TakeNothing
    | BeginSession
    | EndSession
    | IsOpen
    | ListSessions
    | CountAnswers
    | Reset
    | Put
    | Get
    | Spend
    | Settle
    | Enter
    | Leave
    | CountPlaces
)

# --- Results --------------------------------------------------------------------------------------


class SessionEnded(NamedTuple):
    """The session has ended, and this request of it comes too late."""

    session: str


class TooManySessions(NamedTuple):
    """No more sessions can be pinned (`sessions.MAX_PINNED`)."""


class PoolFull(NamedTuple):
    """All places of a pool are taken, and those in its line."""

    pool: str


class InLine(NamedTuple):
    """A lease waits for one of the places of its pool, of which so many are `taken`: all."""

    taken: int


Refusal = Exhausted | NoneLeft | SessionEnded | TooManySessions | Limited | PoolFull
Result = Chosen | Spent | InLine | Refusal | bytes | int | tuple[str, ...] | tuple[int, ...] | None

REFUSALS = frozenset({Exhausted, NoneLeft, SessionEnded, TooManySessions, Limited, PoolFull})
