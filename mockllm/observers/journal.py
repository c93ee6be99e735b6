"""The journal: the latest requests of a server with their answers and deliveries, for those who ask
what happened.

An entry is made before the last byte of the answer is written, so that a client which has read its
answer finds it. The journal is bounded by the number of entries and by the bytes of their bodies;
the oldest go first. It is used by one thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count, takewhile
from types import MappingProxyType
from typing import NamedTuple

from mockllm.engine.added import id_of
from mockllm.engine.decision import Answer, Exchange, Match, Outcome
from mockllm.exchange import LazySteps, Reply
from mockllm.limits import KIB, MIB
from mockllm.observers.calls import Call, Entry, FindEarlier, find_nothing

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * MIB  # of all entries
MAX_BODY = 4 * MIB  # of one request; a larger one is cut
PER_ENTRY = 2 * KIB  # bytes; about what an entry costs beside its body

_new = tuple.__new__  # half the time of the class's own constructor


class Record(NamedTuple):
    """What a journal has of a server or a session: its calls in the order in which they began, and
    the number of earlier ones that it had no room for. The server adds the number of the answers
    that are `held`, by the names of their gates: they are no calls yet. `missing` says why there
    may be further calls; it is empty if there are none."""

    calls: list[Call]
    lost: int = 0
    held: Mapping[str, int] = MappingProxyType({})
    missing: str = ""


class Kept(NamedTuple):
    """An entry of a journal, with about what it costs in bytes, and its number."""

    entry: Entry
    cost: int
    number: int


class Journal:
    """The latest requests of a server, whose monotonic clock was 0 at `epoch`, in Unix time.
    `find_earlier` returns the conversation that a request continues, `next_number` the number of a
    call: it is above all those that it has returned."""

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_body: int = MAX_BODY,
        epoch: float = 0.0,
        find_earlier: FindEarlier = find_nothing,
        next_number: Callable[[], int] | None = None,
    ) -> None:
        # of the server
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_body = max_body
        self._epoch = epoch
        self._find_earlier = find_earlier
        self._next_number = next_number or count(1).__next__
        # of the requests
        self._entries: deque[Kept] = deque()
        """In the order of their numbers."""
        self._by_session: dict[str, deque[Kept]] = {}
        """The same of each session, so that reading one costs nothing for the others."""
        self._bytes = 0
        self.last_number = 0
        """The number of the last request; 0 if there was none."""
        self._lost = Counter[str]()  # by session
        self.version = 0
        """Another number after each change that is no new call."""
        self.listeners: set[Callable[[], None]] = set()
        """Called after each new entry."""

    def __len__(self) -> int:
        return len(self._entries)

    def observe(self, exchange: Exchange) -> None:
        """Add the entry of an exchange. Requests to the control API have none: they ask for what
        others do."""
        request, (match, reply, _, session, _), delivery = exchange
        if match.outcome is Outcome.CONTROL:
            return
        size = len(request.body)
        if size > self._max_body:
            request = request._replace(body=request.body[: self._max_body])
        answer = _kept(match)
        cost = PER_ENTRY + len(request.body)
        if answer is not None and answer.number is None:  # not shared with other entries
            cost += _size_of(answer, reply)
        entry = _new(
            Entry,
            (
                request,
                size,
                session,
                delivery.status or reply.status,
                match.outcome,
                match.rule,
                match.summary,
                answer,
                match.near_miss,
                delivery,
                match.trouble,
                match.traffic,
                match.asked_for,
            ),
        )
        self.last_number = number = self._next_number()
        self._append(_new(Kept, (entry, cost, number)))
        if self.listeners:
            for notify in tuple(self.listeners):
                notify()

    def insert(self, found: Iterable[Kept]) -> None:
        """Add entries of other journals that this one has not, each at the place of its number."""
        late: list[Kept] = []
        for kept in sorted(found, key=get_number):
            if not late and (not self._entries or kept.number > self._entries[-1].number):
                self._append(kept)
            else:
                late.append(kept)
        if late:
            known = {each.number for each in self._entries}
            every = [*self._entries, *(each for each in late if each.number not in known)]
            self._fill(sorted(every, key=get_number))

    def between(self, after: int, upto: int) -> list[Kept]:
        """Return the entries with numbers above `after` and at most `upto`, in their order."""
        found = self.since(after, None)
        while found and found[-1].number > upto:
            found.pop()
        return found

    def size(self, session: str | None, upto: int) -> int:
        """Return the number of entries of a session, or of all, with numbers of at most `upto`."""
        own = self._of(session)
        return len(own) - sum(1 for _ in takewhile(lambda each: each.number > upto, reversed(own)))

    def count_all(self, session: str | None, upto: int) -> int:
        """Return what `size` does, with those that there was no room for."""
        return self.size(session, upto) + self.read_lost(session)

    def lost_by_session(self) -> Mapping[str, int]:
        """Return the numbers of calls that there was no room for."""
        return dict(self._lost)

    def add_lost(self, lost: Mapping[str, int]) -> None:
        """Count calls of other journals that there was no room for."""
        self._lost.update(lost)

    def call(self, kept: Kept) -> Call:
        """Return an entry as a call."""
        return self._call(kept.entry, kept.number)

    def drop(self, numbers: Collection[int]) -> None:
        """Drop the entries with these numbers."""
        self._fill([each for each in self._entries if each.number not in numbers])

    def read(self, session: str | None = None) -> Record:
        """Return what is recorded of a session, or of all if that is None."""
        entries = sorted(self._of(session), key=lambda each: each[0].delivery.started)
        calls = [self._call(entry, number) for entry, _, number in entries]
        return Record(calls, self.read_lost(session))

    def read_after(self, number: int, session: str | None = None) -> Iterator[Call]:
        """Return the calls of a session, or of all, with numbers above `number`, in their order:
        that in which they ended. They are those of this moment."""
        return (self._call(entry, each) for entry, _, each in self.since(number, session))

    def since(self, number: int, session: str | None) -> list[Kept]:
        """Return the entries of a session, or of all, with numbers above `number`, in order."""
        found = [*takewhile(lambda each: each.number > number, reversed(self._of(session)))]
        found.reverse()
        return found

    def read_lost(self, session: str | None = None) -> int:
        """Return the number of calls of a session, or of all, that there was no room for."""
        return self._lost.total() if session is None else self._lost[session]

    def count_by_mock(self, session: str | None = None) -> Mapping[str, int]:
        """Return the number of requests that each mock answered, by its id."""
        return Counter(
            id_of(entry.rule) for entry, _, _ in self._of(session) if entry.rule is not None
        )

    def count(self, session: str | None = None) -> int:
        """Return the number of calls of a session, or of all: their retries do not count."""
        return sum(entry.is_first for entry, _, _ in self._of(session))

    def clear(self, session: str | None = None, upto: int | None = None) -> None:
        """Drop the entries of a session, or all: those with numbers of at most `upto`, if that is
        given."""
        later = [] if upto is None else [each for each in self._of(session) if each.number > upto]
        self._clear(session)
        self.insert(later)

    def _clear(self, session: str | None) -> None:
        self.version += 1
        if session is None:
            self._entries.clear()
            self._by_session.clear()
            self._lost.clear()
            self._bytes = 0
            return
        del self._lost[session]
        dropped = self._by_session.pop(session, None)
        if dropped:
            self._entries = deque(each for each in self._entries if each[0].session != session)
            self._bytes -= sum(cost for _, cost, _ in dropped)

    def _of(self, session: str | None) -> deque[Kept]:
        """Return the entries of a session, or all, in the order of their numbers."""
        return self._entries if session is None else self._by_session.get(session, deque())

    def _call(self, entry: Entry, number: int) -> Call:
        return Call(entry, number=number, epoch=self._epoch, find_earlier=self._find_earlier)

    def _append(self, kept: Kept) -> None:
        """Add an entry, the number of which is above all others. The oldest go if there is no
        room."""
        entry, cost, _ = kept
        self._entries.append(kept)
        own = self._by_session.get(entry.session)
        if own is None:
            own = self._by_session[entry.session] = deque()
        own.append(kept)
        self._bytes += cost
        while len(self._entries) > self._max_entries or (
            self._bytes > self._max_bytes and len(self._entries) > 1
        ):
            self._drop_oldest()

    def _fill(self, found: Iterable[Kept]) -> None:
        """Replace all entries."""
        self.version += 1
        self._entries.clear()
        self._by_session.clear()
        self._bytes = 0
        for kept in found:
            self._append(kept)

    def _drop_oldest(self) -> None:
        entry, cost, _ = self._entries.popleft()
        own = self._by_session[entry.session]
        own.popleft()
        if not own:
            del self._by_session[entry.session]
        self._bytes -= cost
        self._lost[entry.session] += 1
        if len(self._lost) > self._max_entries:  # sessions; the first to lose one is long over
            del self._lost[next(iter(self._lost))]


class CallCount:
    """The number of calls of a session, or of all if that is None, as further ones come: their
    retries do not count. It is counted anew if calls were dropped."""

    def __init__(self, journal: Journal, session: str | None) -> None:
        self._journal = journal
        self._session = session
        self._version = -1
        self._last = 0  # number of a call
        self._count = 0

    def now(self) -> int:
        """Return the number at this moment."""
        journal = self._journal
        if journal.version != self._version:
            self._version, self._last, self._count = journal.version, 0, 0
        for kept in journal.since(self._last, self._session):
            self._last = kept.number
            self._count += kept.entry.is_first
        return self._count


def get_number(kept: Kept) -> int:
    """Return the number of an entry, by which entries are sorted."""
    return kept.number


def _size_of(answer: Answer, reply: Reply) -> int:
    """Return about the size of an answer in bytes. The steps of a lazy reply are not known."""
    if isinstance(reply.steps, LazySteps):
        return answer.own_size
    return sum(step.size for step in reply.steps)


def _kept(match: Match) -> Answer | None:
    """Return the answer of a match, for its number of tokens. Generated vectors are dropped: they
    have none, and are large."""
    return None if match.outcome is Outcome.GENERATED else match.answer
