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
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

from mockllm.config import rate_limit as words
from mockllm.engine.decision import Admission, Answer, Decision, Operation, Question
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.api import API
from mockllm.providers.counts import count as count_of
from mockllm.providers.rate_limits import (
    CONCURRENT,
    MINUTE,
    WINDOWS,
    Quota,
    RateLimits,
    Refusal,
)
from mockllm.replies.headers import replace_lines
from mockllm.replies.ready import ReadyBytes
from mockllm.state import store
from mockllm.state.rate_limits import Charge, Limit, Limited, Spent
from mockllm.state.session_names import credential_of, session_of_credential
from mockllm.state.store import Choose, Enter, PoolFull, Spend

MAX_USAGES = 1_000  # answers of mocks whose usage is kept
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
    return RateLimit(key, vendor, known, written.concurrent, frozenset(written.per))


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
        charges = self._charges(limit, asked)
        admission = Admission(asked.api, now)
        operations: list[Operation] = []
        if limit.concurrent is not None:
            pool = _bucket(limit, CONCURRENT, asked)
            admission.lease = str(next(self._leases))
            operations.append(Enter(pool, admission.lease, limit.concurrent))
        if charges:
            spend = Spend(tuple(charge for _, charge in charges), now)
            operations.append(spend)
            if limit.vendor.true_costs is not None:
                admission.charges = dict(charges)
        own = len(operations)
        follows = chooses_at_once and isinstance(decided, Question) and _is_of_store(decided)
        if isinstance(decided, Question) and follows:
            operations += decided.operations

        def resume(results: Sequence[Any]) -> Decision | Question:
            result = results[own - 1] if len(results) >= own else results[-1]
            if isinstance(result, PoolFull):
                return self._refuse_place(limit, charges, now, refuse)
            used = result.used if isinstance(result, Spent | Limited) else ()
            headers = self._headers(limit, charges, used)
            if isinstance(result, Limited):
                return refuse(self._refusal(charges, result), headers)
            then = decided
            if isinstance(then, Question) and follows:
                then = then.resume(results[own:])
            return _admitted(then, admission, limit.vendor.unlimited, headers)

        return Question(tuple(operations), resume, admission)

    def over(
        self, admission: Admission, answer: Answer | None, sent: Sent
    ) -> tuple[store.Operation, ...]:
        """Return the operations at the end of a request that was admitted, of whose `answer` this
        was `sent`; none if it has ended before."""
        if not admission.charges or answer is None:
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
        usage = {} if api.speaker is None else api.speaker.complete(response).get("usage")
        found = usage if isinstance(usage, Mapping) else {}
        if answer.number is not None:
            if len(self._usages) >= MAX_USAGES:
                self._usages.clear()
            self._usages[id(response)] = response, found
        return found

    def _charges(self, limit: RateLimit, asked: Applicant) -> list[tuple[str, Charge]]:
        session = asked.session if "session" in limit.per else None
        return [
            (
                word,
                Charge(
                    _bucket(limit, word, asked),
                    Limit(amount, WINDOWS[word]),
                    asked.costs[word],
                    session,
                ),
            )
            for word, amount in limit.amounts
        ]

    def _quotas(self, charges: Sequence[tuple[str, Charge]], used: Sequence[float]) -> list[Quota]:
        """Return what is used of the buckets, in windows of real time."""
        speed = self._speed()
        return [
            Quota(word, charge.limit.amount, charge.limit.window / speed, level)
            for (word, charge), level in zip(charges, used, strict=True)
        ]

    def _headers(
        self, limit: RateLimit, charges: Sequence[tuple[str, Charge]], used: Sequence[float]
    ) -> Headers:
        if not used:
            return ()
        return limit.vendor.headers(self._quotas(charges, used), self._wall_clock())

    def _refusal(self, charges: Sequence[tuple[str, Charge]], limited: Limited) -> Refusal:
        quota = self._quotas(charges, limited.used)[limited.place]
        wait = None if limited.wait is None else limited.wait / self._speed()
        return Refusal(quota, charges[limited.place][1].cost, wait)

    def _refuse_place(
        self,
        limit: RateLimit,
        charges: Sequence[tuple[str, Charge]],
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
        free = Spend(tuple(charge._replace(cost=0.0) for _, charge in charges), now)

        def resume(results: Sequence[Any]) -> Decision | Question:
            return refuse(refusal, self._headers(limit, charges, results[0].used))

        return Question((free,), resume)


def abandon(admission: Admission) -> tuple[store.Operation, ...]:
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
    return all(isinstance(operation, store.Operation) for operation in question.operations)


def _bucket(limit: RateLimit, word: str, asked: Applicant) -> str:
    """Return the name of a bucket. No credential can be recovered from it."""
    parts = [limit.key, word]
    if "key" in limit.per:
        own_headers = asked.api.vendor.credential_headers(asked.request)
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
    decided: Decision | Question, admission: Admission, unlimited: Headers, headers: Headers
) -> Decision | Question:
    """Return the decision on a request that was admitted."""
    if isinstance(decided, Question):
        resume = decided.resume
        return Question(
            decided.operations,
            lambda results: _admitted(resume(results), admission, unlimited, headers),
            admission,
        )
    written = dict(headers)
    lines = {line: (line[0], written[line[0]]) for line in unlimited if line[0] in written}
    reply = _with_lines(decided.reply, lines)
    if reply is decided.reply:
        return decided._replace(admission=admission)
    ready = None if decided.ready is None else _LimitedBytes(decided.ready, lines)
    return decided._replace(reply=reply, ready=ready, admission=admission)


_Lines = Mapping[tuple[bytes, bytes], tuple[bytes, bytes]]
"""Header lines, by those in whose places they are written."""


def _with_lines(reply: Reply, lines: _Lines) -> Reply:
    """Return `reply` with the lines that it has replaced. A header that a mock has set is another
    line, and stays."""
    if lines.keys().isdisjoint(reply.headers):
        return reply
    return replace(reply, headers=tuple(lines.get(each, each) for each in reply.headers))


class _LimitedBytes(ReadyBytes):
    """Ready bytes that are shared by many requests, with header lines of one of them."""

    __slots__ = ("_lines", "_shared")

    def __init__(self, shared: ReadyBytes, lines: _Lines) -> None:
        self._shared = shared
        self._lines = lines

    def finish(self, fresh: Any) -> bytes:
        """Return the bytes of one delivery, with its values filled in."""
        return replace_lines(self._shared.finish(fresh), self._lines)
