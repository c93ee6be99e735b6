"""The journal of a process that serves, and what the process knows of the calls of all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from mockllm.app import App
from mockllm.observers.journal import MAX_BYTES, Journal
from mockllm.serve.all_calls import AllCalls
from mockllm.serve.controlled import AwaitedCalls
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.changes import DistantChanges
from mockllm.serve.own_calls import OwnCalls
from mockllm.serve.own_responses import earlier_finder
from mockllm.serve.peers import Peers, WorkerPlace
from mockllm.serve.process_calls import ProcessCalls
from mockllm.serve.turns import Turns

NO_SOCKETS = "there are no sockets on which other worker processes could be asked for their calls"


class Recorded(NamedTuple):
    """The other processes, the journal of this one, and what it knows of the calls of all. Each is
    None if there is none."""

    peers: Peers | None
    journal: Journal | None = None
    calls: AwaitedCalls | None = None


def record(
    app: App,
    max_entries: int,
    place: WorkerPlace | None,
    distant: DistantChanges | None = None,
    *,
    turns: Turns,
) -> Recorded:
    """Return the calls of a process with a journal of `max_entries`; none is kept if that is 0.
    Those of all servers are known by their `distant` changes. Long work is done in `turns`."""
    board = None if place is None else place.switchboard.calls
    if not max_entries:
        return Recorded(None if place is None else Peers(app, place, turns=turns))
    if distant is not None:
        journal = _journal(app, turns, max_entries)
        peers = None if place is None else Peers(app, place, turns=turns)
        return Recorded(peers, journal, _distant_calls(app, turns, journal, max_entries, distant))
    if place is None or board is None:
        journal = _journal(app, turns, max_entries)
        peers = None if place is None else Peers(app, place, turns=turns)
        missing = "" if place is None else NO_SOCKETS
        return Recorded(peers, journal, OwnCalls(journal, missing=missing))
    journal = _journal(app, turns, max_entries, board.epoch, board.numbers(place.number))
    own = ProcessCalls(journal, board, place.number, turns)
    peers = Peers(app, place, own, turns=turns)
    copy = _journal(app, turns, max_entries, board.epoch)
    calls = AllCalls(own, copy, place.switchboard.folder, peers.find_earlier)
    return Recorded(peers, journal, calls)


def _distant_calls(
    app: App, turns: Turns, own: Journal, max_entries: int, distant: DistantChanges
) -> DistantCalls:
    """Return the calls of all servers, of which Redis has the last `max_entries`."""
    copy = _journal(app, turns, sys.maxsize, max_bytes=sys.maxsize)
    return DistantCalls(own, copy, distant.call_log(max_entries))


def _journal(
    app: App,
    turns: Turns,
    max_entries: int,
    epoch: float | None = None,
    next_number: Callable[[], int] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Journal:
    """Return a journal, of the process in whose loop it is made. `epoch` is the time at which the
    monotonic clock was 0."""
    return Journal(
        max_entries=max_entries,
        max_bytes=max_bytes,
        epoch=time.time() - time.monotonic() if epoch is None else epoch,
        find_earlier=earlier_finder(app.responses, turns),
        next_number=next_number,
        let_go=turns.let_go_of_many,
    )
