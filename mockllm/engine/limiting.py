"""Admits requests to their rate limits, or refuses them.

    compile   `rate_limit` of an entry of traffic, for each API: a RateLimit
    admit     a request is charged in one atomic step with the choice of its answer: if a limit
              refuses, no mock is advanced, and nothing is left for a retry to repeat
    over      at the end of its delivery, its place is given back, and what it was charged is
              settled where the service does so

The answer is decided before it is known whether it is admitted, as far as that asks nobody: so an
error of the server cannot come between an admission and the answer that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

from mockllm.config import rate_limit as words
from mockllm.engine.decision import Admission, Answer, Decision, Operation, Question
from mockllm.exchange import Headers, Request
from mockllm.providers.api import API
from mockllm.providers.counts import count as count_of
from mockllm.providers.rate_limits import (
    CONCURRENT,
    MINUTE,
    WINDOWS,
    LimitLines,
    Quota,
    RateLimits,
    Refusal,
)
from mockllm.replies.headers import HeaderLines
from mockllm.state.operations import Choose, Enter, PoolFull, Spend
from mockllm.state.operations import Operation as StateOperation
from mockllm.state.rate_limits import Charge, Limit, Limited, Spent
from mockllm.state.session_names import (
    CREDENTIAL_HEADERS,
    credential_of,
    session_of_credential,
)

_new = tuple.__new__  # half the time of the class's own constructor
MAX_USAGES = 1_000  # answers of mocks whose usage is kept
MAX_NAMES = 1_000  # credentials and models whose buckets' names are kept, of each limit
MAX_KEPT = 500  # characters of a credential and a model, together, of which they are
MAX_SHOWN_MODEL = 100  # characters of a model in the name of a bucket; a longer one is hashed


@dataclass(frozen=True, slots=True, eq=False)
class RateLimit:
    """The limits of an entry of traffic in one API. `key` is the name of its buckets, which a
    reload does not change; `amounts` are those of its limits that this vendor has, in the order in
    which they are checked."""

    key: str
    vendor: RateLimits
    amounts: tuple[tuple[str, int], ...]
    concurrent: int | None
    per: frozenset[str]

    limits: tuple[Limit, ...]
    """Those of `amounts`."""
    shown: LimitLines
    lines: HeaderLines
    """The lines of `shown`."""
    names: dict[tuple[Any, ...], tuple[str, ...]] = field(default_factory=dict)
    """The names of buckets (`_names`) by what they depend on: 8 µs less than to make them."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of `amounts`."""
        return tuple([word for word, _ in self.amounts])

    def headers(self, values: tuple[bytes, ...]) -> Headers:
        """Return the headers about the limits with these values; none without values."""
        if not values:
            return ()
        lines = zip(self.lines.lines, values, strict=True)
        return tuple([(name, value) for (name, _), value in lines])

    @property
    def all_amounts(self) -> tuple[tuple[str, int], ...]:
        """`amounts`, and that of `concurrent`."""
        if self.concurrent is None:
            return self.amounts
        return (*self.amounts, (CONCURRENT, self.concurrent))


def compile_rate_limit(written: words.RateLimit | None, key: str, api: API) -> RateLimit | None:
    """Return the limits of `written` in `api`; None if it has none there."""
    if written is None:
        return None
    vendor, amounts = api.vendor.limits, written.amounts
    known = tuple((word, amounts[word]) for word in vendor.words if word in amounts)
    if not known and written.concurrent is None:
        return None
    limits = tuple(Limit(amount, WINDOWS[word]) for word, amount in known)
    quotas = [Quota(word, amount, WINDOWS[word], 0.0) for word, amount in known]
    shown = vendor.compile_headers(quotas)
    per = frozenset(written.per)
    return RateLimit(
        key, vendor, known, written.concurrent, per, limits, shown, _header_lines(shown.lines)
    )


@lru_cache(maxsize=64)
def _header_lines(lines: Headers) -> HeaderLines:
    """Return the only `HeaderLines` of these, so that limits which differ in amounts share them."""
    return HeaderLines(lines)


class Sent(NamedTuple):
    """How much of an answer was sent: the `share` from 0 to 1 or, if they were counted, so many
    `tokens` of output."""

    share: float = 1.0
    tokens: int | None = None


ALL = Sent()
NOTHING = Sent(0.0)


class Applicant(NamedTuple):
    """A request that asks for admission, in a `session`, for a `model` of `api`. `costs` are what
    it costs, by the words of limits."""

    api: API
    request: Request
    session: str
    model: str
    costs: Mapping[str, int]


Response = Mapping[str, Any]

Refuse = Callable[[Refusal, Headers], Decision | Question]
"""Returns the decision to refuse a request, with these headers about limits, or the question before
it."""


class Limiter:
    """Admits requests. It lives as long as the process; the buckets are in the store.

    `now` returns seconds of the server's own time, by which buckets are refilled, `speed` how many
    of them pass in a second, and `wall_clock` the Unix time; the defaults stand still.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = lambda: 0.0,
        speed: Callable[[], float] = lambda: 1.0,
        wall_clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._now = now
        self._speed = speed
        self._wall_clock = wall_clock
        self._leases = count()
        self._usages: dict[int, tuple[Response, Mapping[str, Any]]] = {}

    def admit(
        self,
        limit: RateLimit,
        asked: Applicant,
        decided: Decision | Question,
        refuse: Refuse,
        *,
        chooses_at_once: bool = True,
    ) -> Question:
        """Return the question whether a request is admitted. If it is, the decision is the one
        `decided`, with the headers of its limits; else what `refuse` returns. With
        `chooses_at_once`, what `decided` asks a store is part of the question, so that an attempt
        that is refused takes nothing."""
        now = self._now()
        names = _names(limit, asked)
        charges = _charges(limit, asked, names)
        admission, operations = self._begin(limit, asked.api, names, charges, now)
        own = len(operations)
        follows = chooses_at_once and isinstance(decided, Question) and _is_of_store(decided)
        if isinstance(decided, Question) and follows:
            operations += decided.operations

        def resume(results: Sequence[Any]) -> Decision | Question:
            result = results[own - 1] if len(results) >= own else results[-1]
            if isinstance(result, PoolFull):
                return self._refuse_place(limit, charges, now, refuse)
            values: tuple[bytes, ...] = ()
            if isinstance(result, Spent | Limited):
                values = limit.shown.values(result.used, self._speed(), self._wall_clock())
            if isinstance(result, Limited):
                return refuse(self._refusal(limit, charges, result), limit.headers(values))
            then = decided
            if isinstance(then, Question) and follows:
                then = then.resume(results[own:])
            return _admitted(then, admission, limit.lines, values)

        return _new(Question, (tuple(operations), resume, admission))

    def _begin(
        self,
        limit: RateLimit,
        api: API,
        names: Sequence[str],
        charges: Sequence[Charge],
        now: float,
    ) -> tuple[Admission | None, list[Operation]]:
        """Return the operations by which a request is admitted, and its admission, if something is
        to be given back or settled at its end. The last of `names` is that of its pool."""
        admission: Admission | None = None
        operations: list[Operation] = []
        if limit.concurrent is not None:
            admission = Admission(api, now)
            admission.lease = str(next(self._leases))
            operations.append(Enter(names[-1], admission.lease, limit.concurrent))
        if charges:
            operations.append(_new(Spend, (tuple(charges), now)))
            if limit.vendor.true_costs is not None:
                admission = admission or Admission(api, now)
                admission.charges = dict(zip(limit.words, charges, strict=True))
        return admission, operations

    def end(
        self, admission: Admission, answer: Answer | None, sent: Sent
    ) -> tuple[StateOperation, ...]:
        """Return the operations at the end of a request that was admitted, of whose `answer` this
        was `sent`; none if it has ended before."""
        if not admission.charges:
            costs: Mapping[str, float] = {}
        elif answer is None:
            costs = _true_costs(admission, {}, NOTHING)
        else:
            costs = _true_costs(admission, self._usage(admission.api, answer), sent)
        return admission.end(costs, self._now())

    def _usage(self, api: API, answer: Answer) -> Mapping[str, Any]:
        """Return the usage of an answer. To complete that of a mock takes 30 µs, so it is kept."""
        response = answer.response
        kept = self._usages.get(id(response))
        if kept is not None and kept[0] is response:
            return kept[1]
        usage = (
            {}
            if api.speaker is None
            else api.speaker.complete(answer.complete_response).get("usage")
        )
        found = usage if isinstance(usage, Mapping) else {}
        if answer.number is not None:
            if len(self._usages) >= MAX_USAGES:
                self._usages.clear()
            self._usages[id(response)] = response, found
        return found

    def _refusal(self, limit: RateLimit, charges: Sequence[Charge], limited: Limited) -> Refusal:
        place, speed = limited.place, self._speed()
        (word, amount), charge = limit.amounts[place], charges[place]
        quota = Quota(word, amount, charge.limit.window / speed, limited.used[place])
        wait = None if limited.wait is None else limited.wait / speed
        return Refusal(quota, charge.cost, wait)

    def _refuse_place(
        self,
        limit: RateLimit,
        charges: Sequence[Charge],
        now: float,
        refuse: Refuse,
    ) -> Decision | Question:
        """Refuse a request for which there is no place. What is used of its buckets is asked for,
        if the answer tells it."""
        assert limit.concurrent is not None
        places = limit.concurrent
        refusal = Refusal(Quota(CONCURRENT, places, MINUTE, places), 1, None)
        if not charges or not limit.vendor.refusals_have_headers:
            return refuse(refusal, ())
        free = Spend(tuple(charge._replace(cost=0.0) for charge in charges), now)

        def resume(results: Sequence[Any]) -> Decision | Question:
            used = results[0].used
            values = limit.shown.values(used, self._speed(), self._wall_clock())
            return refuse(refusal, limit.headers(values))

        return Question((free,), resume)


def abandon(admission: Admission) -> tuple[StateOperation, ...]:
    """Return the operations at the end of a request that was admitted at this moment and will not
    be answered."""
    return admission.end(_true_costs(admission, {}, NOTHING), admission.at)


def _true_costs(admission: Admission, usage: Mapping[str, Any], sent: Sent) -> Mapping[str, float]:
    """Return what an answer with this `usage` has cost, by the words of the limits that are
    settled. An error has no output."""
    api = admission.api
    true_costs = api.vendor.limits.true_costs
    if true_costs is None or not admission.charges:
        return {}
    output = None if api.speaker is None else count_of(usage.get(api.speaker.output))
    if sent.tokens is None or not output:
        return true_costs(usage, sent.share)
    return true_costs(usage, min(sent.tokens / output, 1.0))


def chooses(question: Decision | Question) -> bool:
    """Return True if a question asks for the choice of an answer: a store that does not come to it
    records that the attempt took nothing."""
    return isinstance(question, Question) and any(
        isinstance(operation, Choose) for operation in question.operations
    )


def _is_of_store(question: Question) -> bool:
    return all(isinstance(operation, StateOperation) for operation in question.operations)


def _charges(limit: RateLimit, asked: Applicant, names: Sequence[str]) -> list[Charge]:
    """Return what a request is charged, for each of the amounts; `names` are those of its
    buckets."""
    session = asked.session if "session" in limit.per else None
    return [
        _new(Charge, (name, size, asked.costs[word], session))
        for name, size, (word, _) in zip(names, limit.limits, limit.amounts, strict=False)
    ]


def _names(limit: RateLimit, asked: Applicant) -> tuple[str, ...]:
    """Return the names of the buckets that a request belongs to, in the order of `amounts`, and of
    its pool. No credential can be recovered from them."""
    values = asked.request.first_values
    own_headers = asked.api.vendor.credential_headers(asked.request)
    sent = [values.get(name) for name in CREDENTIAL_HEADERS] if "key" in limit.per else ()
    model = asked.model if "model" in limit.per else None
    session = asked.session if "session" in limit.per else None
    key = (session, model, own_headers, *sent)
    names = limit.names.get(key)
    if names is None:
        words = [word for word, _ in limit.all_amounts]
        names = tuple([_bucket(limit, word, asked, own_headers) for word in words])
        if sum(map(len, filter(None, (model, *sent)))) <= MAX_KEPT:
            if len(limit.names) >= MAX_NAMES:
                limit.names.clear()
            limit.names[key] = names
    return names


def _bucket(limit: RateLimit, word: str, asked: Applicant, own_headers: tuple[bytes, ...]) -> str:
    """Return the name of a bucket."""
    parts = [limit.key, word]
    if "key" in limit.per:
        credential = credential_of(asked.request.first_values, own_headers)
        parts.append("" if credential is None else session_of_credential(credential))
    if "model" in limit.per:
        model = asked.model
        if len(model) > MAX_SHOWN_MODEL:
            model = blake2b(model.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        parts.append(model)
    if word == CONCURRENT and "session" in limit.per:
        parts.append(asked.session)
    return "\0".join(parts)


def _admitted(
    decided: Decision | Question,
    admission: Admission | None,
    lines: HeaderLines,
    values: tuple[bytes, ...],
) -> Decision | Question:
    """Return the decision on a request that was admitted, with these values of header lines."""
    if isinstance(decided, Question):
        resume = decided.resume
        return Question(
            decided.operations,
            lambda results: _admitted(resume(results), admission, lines, values),
            admission,
        )
    match, reply, ready, session, _ = decided
    if values:
        reply = lines.replace(reply, values)
        if reply is not decided.reply and ready is not None:
            ready = ready.with_lines(lines, values)
    return _new(Decision, (match, reply, ready, session, admission))
