"""The journal: the latest requests of a server with their answers and deliveries, for those who ask
what happened.

An entry is made before the last byte of the answer is written, so that a client which has read its
answer finds it. The journal is bounded by the number of entries and by the bytes of their bodies;
the oldest go first. It is used by one thread.

A load test has an entry made for each request and reads none, so what can wait is done when
somebody asks: a request that a mock answered at once is noted, and its entry made from that; the
entry of a repeated request is the one that it repeats, with its time and its number; sessions are
indexed for those who read one; the oldest entries go in batches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count, islice, takewhile
from types import MappingProxyType
from typing import NamedTuple

from mockllm.engine.added import id_of
from mockllm.engine.decision import (
    Answer,
    Decision,
    Delivery,
    Exchange,
    Outcome,
)
from mockllm.exchange import LazySteps, Reply, Request
from mockllm.limits import KIB, MIB
from mockllm.observers.calls import Call
from mockllm.observers.entries import (
    COST,
    NUMBER,
    AnyKept,
    FindEarlier,
    Kept,
    Repeated,
    find_nothing,
    get_number,
    is_first,
    make_entry,
    make_kept,
    rule_of,
    session_of,
)

_new = tuple.__new__  # half the time of the class's own constructor
MAX_ENTRIES = 10_000
MAX_BYTES = 64 * MIB  # of all entries
MAX_BODY = 4 * MIB  # of one request; a larger one is cut
PER_ENTRY = 2 * KIB  # bytes; about what an entry costs beside its body
MAX_EXPLAINED = 50  # calls, the last ones, that are read for the text of a failure
DROPPED_AT_ONCE = 256  # entries above their number: that takes half the time of one by one


class Record(NamedTuple):
    """What a journal has of a server or a session: its calls in the order in which they began, and
    the number of earlier ones that it had no room for. The server adds the number of the answers
    that are `held`, by the names of their gates: they are no calls yet. `missing` says why there
    may be further calls; it is empty if there are none."""

    calls: list[Call]
    lost: int = 0
    held: Mapping[str, int] = MappingProxyType({})
    missing: str = ""


class JournalSnapshot(NamedTuple):
    """The entries of a session, or of all, as a journal has them at one moment, and the number of
    those that were lost. `Journal.record` makes the record of it, which takes longer."""

    kept: list[AnyKept]
    lost: int

    def is_large(self, size: int) -> bool:
        """Return True if one of the last calls, with which a failure is explained, has more than so
        many bytes."""
        return _is_one_large(self.kept[-MAX_EXPLAINED:], size)


class Journal:
    """The latest requests of a server, whose monotonic clock was 0 at `epoch`, in Unix time.
    `find_earlier` returns the conversation that a request continues, `next_number` the number of a
    call: it is above all those that it has returned. `let_go` is called with entries that are
    dropped together: to free 10,000 takes 20 ms."""

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_body: int = MAX_BODY,
        epoch: float = 0.0,
        find_earlier: FindEarlier = find_nothing,
        next_number: Callable[[], int] | None = None,
        let_go: Callable[[list[AnyKept]], None] = lambda entries: None,
    ) -> None:
        # of the server
        self._let_go = let_go
        self._max_entries = max_entries
        self._drop_above = max_entries + min(DROPPED_AT_ONCE, max_entries // 8)
        self._max_bytes = max_bytes
        self._max_body = max_body
        self._epoch = epoch
        self._find_earlier = find_earlier
        self._next_number = next_number or count(1).__next__
        # of the requests
        self._entries: deque[AnyKept] = deque()
        """In the order of their numbers, up to `_drop_above`."""
        self._by_session: dict[str, deque[AnyKept]] = {}
        """The same of each session, so that reading one costs nothing for the others: those with
        numbers of at most `_indexed`."""
        self._indexed = 0
        self._bytes = 0
        self.last_number = 0
        """The number of the last request; 0 if there was none."""
        self._lost = Counter[str]()  # by session
        self.version = 0
        """Another number after each change that is no new call."""
        self.listeners: set[Callable[[], None]] = set()
        """Called after each new entry."""

    def __len__(self) -> int:
        return len(self._of(None))

    def observe(self, exchange: Exchange) -> None:
        """Add the entry of an exchange. Requests to the control API have none: they ask for what
        others do."""
        request, decision, delivery = exchange
        if decision[0][0] is Outcome.CONTROL:
            return
        self.last_number = number = self._next_number()
        self._append(self._keep(request, decision, delivery, number))
        if self.listeners:
            self._notify()

    def note(self, request: Request, decision: Decision, started: float, decided: float) -> None:
        """Add the entry of a request that was complete at the time `started`, and is answered at
        once, `decided` seconds later, as `observe` does."""
        match, reply, _, session, _ = decision
        answer, size = match.answer, len(request.body)
        if (
            match.rule is None
            or match.is_broken
            or (answer is not None and answer.number is None)
            or size > self._max_body
        ):  # the reply may be this request's alone, and large
            delivery = Delivery(decided, decided, decided, started=started)
            self.observe(Exchange(request, decision, delivery))
            return
        cost = PER_ENTRY + size
        self.last_number = number = self._next_number()
        noted = (request, cost, number, session, reply.status, match, started, decided)
        self._entries.append(noted)
        self._bytes = total = self._bytes + cost
        if total > self._max_bytes or len(self._entries) > self._drop_above:
            self._drop_oldest()
        if self.listeners:
            self._notify()

    def prepare(self, request: Request, decision: Decision) -> Kept:
        """Return what `observe_again` needs for each request that is answered, at once, as this one
        is."""
        return self._keep(request, decision, Delivery(0.0, 0.0, 0.0), 0)

    def observe_again(self, first: Kept, started: float) -> None:
        """Add the entry of a repeated request, complete at the time `started`, as `observe` does.
        `first` is what `prepare` has returned for it."""
        self.last_number = number = self._next_number()
        self._append(_new(Repeated, (first, first[COST], number, started)))
        if self.listeners:
            self._notify()

    def _notify(self) -> None:
        for notify in tuple(self.listeners):
            notify()

    def _keep(self, request: Request, decision: Decision, delivery: Delivery, number: int) -> Kept:
        """Return the entry of an exchange."""
        match, reply, _, session, _ = decision
        cost = size = len(request.body)
        if size > self._max_body:
            request = request._replace(body=request.body[: self._max_body])
            cost = self._max_body
        status = delivery.status or reply.status
        entry = make_entry(request, size, session, status, match, delivery)
        if entry.answer is not None and entry.answer.number is None:  # not shared with others
            cost += _size_of(entry.answer, reply)
        return _new(Kept, (entry, PER_ENTRY + cost, number))

    def insert(self, found: Iterable[AnyKept]) -> None:
        """Add entries of other journals that this one has not, each at the place of its number."""
        late: list[AnyKept] = []
        for kept in sorted(found, key=get_number):
            if not late and (not self._entries or kept[NUMBER] > self._entries[-1][NUMBER]):
                self._append(kept)
                if kept[NUMBER] <= self._indexed:  # others were dropped since
                    self._note_session(kept)
            else:
                late.append(kept)
        if late:
            known = {each[NUMBER] for each in self._entries}
            every = [*self._entries, *(each for each in late if each[NUMBER] not in known)]
            self._fill(sorted(every, key=get_number))

    def between(self, after: int, upto: int, most: int | None = None) -> list[Kept]:
        """Return the entries with numbers above `after` and at most `upto`, in their order: the
        first of them, if there are more than `most`."""
        own = self._of(None)
        start, end = (bisect_right(own, number, key=get_number) for number in (after, upto))
        if most is not None:
            end = min(end, start + most)
        return [make_kept(each) for each in islice(own, start, max(start, end))]

    def numbers_between(self, after: int, upto: int) -> set[int]:
        """Return the numbers of the entries that `between` returns."""
        own = self._of(None)
        start, end = (bisect_right(own, number, key=get_number) for number in (after, upto))
        return {each[NUMBER] for each in islice(own, start, max(start, end))}

    def size(self, session: str | None, upto: int) -> int:
        """Return the number of entries of a session, or of all, with numbers of at most `upto`."""
        return bisect_right(self._of(session), upto, key=get_number)

    def count_all(self, session: str | None, upto: int) -> int:
        """Return what `size` does, with those that there was no room for."""
        return self.size(session, upto) + self.read_lost(session)

    def lost_by_session(self) -> Mapping[str, int]:
        """Return the numbers of calls that there was no room for."""
        self._drop_oldest()
        return dict(self._lost)

    def add_lost(self, lost: Mapping[str, int]) -> None:
        """Count calls of other journals that there was no room for."""
        self._lost.update(lost)

    def call(self, kept: Kept) -> Call:
        """Return an entry as a call."""
        entry, _, number = kept
        return Call(entry, number=number, epoch=self._epoch, find_earlier=self._find_earlier)

    def drop(self, numbers: Collection[int]) -> None:
        """Drop the entries with these numbers."""
        self._fill([each for each in self._of(None) if each[NUMBER] not in numbers])

    def read(self, session: str | None = None) -> Record:
        """Return what is recorded of a session, or of all if that is None."""
        return self.record(self.snapshot(session))

    def snapshot(self, session: str | None) -> JournalSnapshot:
        """Return what is recorded of a session, or of all, without making calls of it."""
        return JournalSnapshot([*self._of(session)], self.read_lost(session))

    def record(self, snapshot: JournalSnapshot) -> Record:
        """Return the record of a snapshot of this journal, in any thread."""
        found = [make_kept(each) for each in snapshot.kept]
        found.sort(key=lambda each: each.entry.delivery.started)
        return Record([self.call(each) for each in found], snapshot.lost)

    def read_after(self, number: int, session: str | None = None) -> Iterator[Call]:
        """Return the calls of a session, or of all, with numbers above `number`, in their order:
        that in which they ended. They are those of this moment."""
        return (self.call(make_kept(each)) for each in self._since(number, session))

    def since(self, number: int, session: str | None) -> list[Kept]:
        """Return the entries of a session, or of all, with numbers above `number`, in order."""
        return [make_kept(each) for each in self._since(number, session)]

    def has_large(self, number: int, session: str | None, size: int) -> bool:
        """Return True if one of the entries of a session, or of all, with numbers above `number`
        has more than so many bytes."""
        return _is_one_large(self._since(number, session), size)

    def _since(self, number: int, session: str | None) -> list[AnyKept]:
        own = self._of(session)
        return [*islice(own, bisect_right(own, number, key=get_number), None)]

    def read_lost(self, session: str | None = None) -> int:
        """Return the number of calls of a session, or of all, that there was no room for."""
        self._drop_oldest()
        return self._lost.total() if session is None else self._lost[session]

    def count_by_mock(self, session: str | None = None) -> Mapping[str, int]:
        """Return the number of requests that each mock answered, by its id."""
        counts = Counter[str]()
        rules = [rule_of(each) for each in self._of(session)]
        known = {id(rule): rule for rule in rules}
        for rule_id, number in Counter(map(id, rules)).items():
            rule = known[rule_id]
            if rule is not None:
                counts[id_of(rule)] += number
        return counts

    def count(self, session: str | None = None) -> int:
        """Return the number of calls of a session, or of all: their retries do not count."""
        return sum(map(is_first, self._of(session)))

    def count_since(self, number: int, session: str | None) -> tuple[int, int]:
        """Return the number of the last entry of a session, or of all, and how many calls `count`
        counts, of those with numbers above `number`."""
        found = self._since(number, session)
        return found[-1][NUMBER] if found else number, sum(map(is_first, found))

    def clear(self, session: str | None = None, upto: int | None = None) -> None:
        """Drop the entries of a session, or all: those with numbers of at most `upto`, if that is
        given."""
        later = [] if upto is None else [each for each in self._of(session) if each[NUMBER] > upto]
        self._clear(session)
        self.insert(later)

    def _clear(self, session: str | None) -> None:
        self.version += 1
        dropped = self._of(session)
        self._let_go([*dropped])
        if session is None:
            self._entries.clear()
            self._by_session.clear()
            self._indexed = 0
            self._lost.clear()
            self._bytes = 0
            return
        del self._lost[session]
        if dropped:
            del self._by_session[session]
            self._entries = deque(each for each in self._entries if session_of(each) != session)
            self._bytes -= sum(each[COST] for each in dropped)

    def _of(self, session: str | None) -> deque[AnyKept]:
        """Return the entries of a session, or all, in the order of their numbers."""
        self._drop_oldest()
        if session is None:
            return self._entries
        self._index()
        return self._by_session.get(session, deque())

    def _index(self) -> None:
        """Index the entries that came since the last time."""
        indexed = self._indexed
        new = [*takewhile(lambda each: each[NUMBER] > indexed, reversed(self._entries))]
        if new:
            self._indexed = new[0][NUMBER]
        for kept in reversed(new):
            self._note_session(kept)

    def _note_session(self, kept: AnyKept) -> None:
        session = session_of(kept)
        own = self._by_session.get(session)
        if own is None:
            own = self._by_session[session] = deque()
        own.append(kept)

    def _append(self, kept: AnyKept) -> None:
        """Add an entry, the number of which is above all others. The oldest go if there is no
        room."""
        self._entries.append(kept)
        self._bytes += kept[COST]
        if len(self._entries) > self._drop_above or self._bytes > self._max_bytes:
            self._drop_oldest()

    def _fill(self, found: Iterable[AnyKept]) -> None:
        """Replace all entries."""
        self.version += 1
        self._let_go([*self._entries])
        self._entries.clear()
        self._by_session.clear()
        self._indexed = 0
        self._bytes = 0
        for kept in found:
            self._append(kept)

    def _drop_oldest(self) -> None:
        """Drop the entries that there is no room for."""
        entries, lost = self._entries, self._lost
        while len(entries) > self._max_entries or (
            self._bytes > self._max_bytes and len(entries) > 1
        ):
            oldest = entries.popleft()
            session = session_of(oldest)
            self._bytes -= oldest[COST]
            lost[session] += 1
            if oldest[NUMBER] <= self._indexed:
                own = self._by_session[session]
                own.popleft()
                if not own:
                    del self._by_session[session]
        while len(lost) > self._max_entries:  # sessions; the first to lose one is long over
            del lost[next(iter(lost))]


def _is_one_large(kept: Iterable[AnyKept], size: int) -> bool:
    most = PER_ENTRY + size
    return any(each[COST] > most for each in kept)


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
        self._last, more = journal.count_since(self._last, self._session)
        self._count += more
        return self._count


def _size_of(answer: Answer, reply: Reply) -> int:
    """Return about the size of an answer in bytes. The steps of a lazy reply are not known."""
    if isinstance(reply.steps, LazySteps):
        return answer.own_size
    return sum(step.size for step in reply.steps)
