"""Decides one request of a mocked API.

`Engine.decide` is a plain function: no socket, no clock, no await. It authenticates, decodes and
validates the request, finds the source of the answer, and returns its reply. A reply is prepared
when it is first needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

from mockllm.config.wishes import has_wishes
from mockllm.engine.answering import Responder
from mockllm.engine.asked import Asked
from mockllm.engine.choices import Chooser
from mockllm.engine.decision import (
    Decision,
    Match,
    Question,
)
from mockllm.engine.effects import NO_EFFECTS, Effects, TrafficEntry, hold
from mockllm.engine.loading import Loaded
from mockllm.engine.match_cache import MAX_ENTRY, ExposureCache, Key, MatchCache, key_with
from mockllm.engine.matcher import MAX_UNDIVIDED, Matcher, has_much_to_match
from mockllm.engine.mocks import SHARED, Table
from mockllm.engine.received import FindEarlier, Received, find_nothing
from mockllm.engine.rendering import Renderer
from mockllm.engine.selection import Echo, Selector
from mockllm.engine.sources import (
    ScriptedSource,
    entries_of,
)
from mockllm.engine.straight import StraightAnswers
from mockllm.engine.traffic import CompiledTraffic
from mockllm.engine.traffic_stage import TrafficStage
from mockllm.engine.unmatched import KnownMisses, UnmatchedError
from mockllm.errors import Place, RequestError
from mockllm.exchange import PoolRule, Request
from mockllm.matching.index import RuleIndex, is_reusable
from mockllm.prompt import NOT_STREAMED
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.providers.vendor import Vendor
from mockllm.replies.cors import CORS
from mockllm.replies.shared_stream import SharedBody
from mockllm.state.sessions import COMMON

_new = tuple.__new__  # half the time of the class's own constructor
MAX_LET_GO = 50  # mocks that are let go of at once
MAX_PREPARED_EARLY = 1_000  # answers; of more, each is prepared when it is first needed


class Engine:
    """Decides requests by one configuration. Its only mutable state is caches: of prepared replies
    and, with `reuse`, of the matches of repeated requests."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        echo: Echo | None = None,
        models: tuple[str, ...] = (),
        reuse: bool = True,
        quick_retries: bool = False,
        client_faults: bool = False,
    ) -> None:
        self.tables = loaded.tables
        """The mocks of each API."""
        self.warnings = loaded.warnings
        """Problems of the configuration that do not prevent serving it."""
        self.listed_models = loaded.models
        """The models of the configuration, which are listed before those that the mocks name."""
        self.models = models
        """Models that are listed behind those that the mocks name."""
        self.require_auth = loaded.require_auth
        self.fingerprint = ""
        """What tells the configuration from others, for servers that share state; else empty."""
        self.seed = loaded.seed
        """The seed of what is drawn at random."""
        self.session_setting = loaded.session
        """Names the session of requests that name none themselves."""
        self.cors = CORS(allowed=loaded.cors)
        """Adds the CORS headers to every reply, if the configuration allows them."""
        self.renderer = Renderer(self.cors, quick_retries=quick_retries)
        """Renders the replies, and keeps those that are prepared."""
        self.reuses = reuse
        """True if repeated requests are answered from caches, here and in `http1.head_cache`."""
        self.match_cache = MatchCache() if reuse else None
        """The matches of repeated requests; None without `reuse`."""
        self.responder = Responder(self.renderer, seed=loaded.seed, client_faults=client_faults)
        """Makes the answers of what was selected."""
        self.stage = TrafficStage(self.responder, self.renderer, seed=loaded.seed)
        """Applies traffic to requests."""
        self._exposures = ExposureCache()
        self._straight = StraightAnswers(self.renderer, self.responder)
        self._misses = KnownMisses()
        self._goes_straight = reuse and not client_faults
        self._authentic: Mapping[bytes, bytes] | None = None
        """The headers of the last request with the credentials of `_authentic_for`, a vendor. Heads
        are cached, so that most requests of a client have the same: 0.1 µs instead of 0.5."""
        self._authentic_for: Vendor | None = None
        self.chunk = loaded.chunk
        """The size of text deltas of mocks that do not set their own."""
        self.strict_requests = loaded.strict_requests
        """True if requests that the SDK's types do not allow are rejected."""
        self._client_faults = client_faults
        self.selector = Selector(echo, loaded.pace)
        """Selects the sources of the answers."""
        self._chooser = Chooser(self.selector, self.responder, self._straight)
        self._matcher = self._new_matcher()
        self.pace = loaded.pace
        """How long answers take, unless a mock says so itself."""
        self._by_name = {table.api.name: table for table in loaded.tables}
        self.traffic = loaded.traffic
        """The entries of traffic, as they are written."""

    @property
    def traffic_names(self) -> frozenset[str]:
        """The names of the entries of traffic, by which they are started."""
        return frozenset(entry.name for entry in self.traffic if entry.name)

    def with_traffic(self, traffic: CompiledTraffic) -> Engine:
        """Return an engine with other traffic. Both have the same prepared replies of mocks, which
        traffic does not change."""
        other = copy(self)
        other.tables = tuple(
            replace(table, traffic=traffic.by_api.get(table.api.name)) for table in self.tables
        )
        other._by_name = {table.api.name: table for table in other.tables}
        other.traffic = traffic.entries
        other.match_cache = MatchCache() if self.reuses else None
        other._exposures = ExposureCache()
        other._matcher = other._new_matcher()
        return other

    def _new_matcher(self) -> Matcher:
        return Matcher(
            self.selector,
            self.responder,
            self._chooser,
            self._straight,
            self.stage,
            cache=self.match_cache,
            exposures=self._exposures,
            goes_straight=self._goes_straight,
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of mocks in each list, by the list's name. ``mocks`` is there if it has
        some."""
        own = {name: len(table.mocks) - table.shared for name, table in self._by_name.items()}
        shared = max(table.shared for table in self.tables)
        return {**own, SHARED: shared} if shared else own

    @cached_property
    def stateful_mocks(self) -> Mapping[str, Place]:
        """The places of the mocks with state, by the keys of their state."""
        return {
            source.candidate.key: place
            for table in self.tables
            for index, place in enumerate(table.places)
            if isinstance(source := table.sources[index], ScriptedSource)
        }

    @property
    def pools(self) -> Collection[PoolRule]:
        """The pools of all latencies of the configuration, each once."""
        answers = (
            entry.fixed
            for table in self.tables
            for rule in table.index.rules
            for entry in entries_of(table.sources[rule.index])
        )
        paces = [self.pace, *(answer.pace for answer in answers)]
        pools = dict.fromkeys(pace.pacing.pool for pace in paces if pace is not None)
        traffic = [table.traffic for table in self.tables if table.traffic is not None]
        return pools | dict.fromkeys(pool for each in traffic for pool in each.pools)

    @property
    def needs_state(self) -> bool:
        """True if the configuration has sequences, limits, or pools that processes share."""
        if self.stateful_mocks or self.rate_limits:
            return True
        return any(pool.shared for pool in self.pools)

    @property
    def rate_limits(self) -> Mapping[tuple[str, str], int]:
        """The amounts of all limits of the configuration, by the label of their entry and their
        word."""
        return {
            (entry.rule.label, word): amount
            for entry in self._traffic_entries()
            if entry.limit is not None
            for word, amount in entry.limit.all_amounts
        }

    def holding(self) -> frozenset[str]:
        """Return the names of the entries of traffic that hold now, for some request."""
        held = hold(self._traffic_entries(), self.stage.elapsed)
        return frozenset(entry.name for entry, _ in held)

    def _traffic_entries(self) -> Sequence[TrafficEntry]:
        """Return the entries of traffic as they are compiled, those of each API."""
        traffic = [table.traffic for table in self.tables if table.traffic is not None]
        return [entry for each in traffic for entry in each.entries]

    def table(self, name: str) -> Table:
        """Return the mocks of the API called `name` (``openai``); a KeyError if there is no such
        API."""
        return self._by_name[name]

    def warm(self) -> None:
        """Find the mocks with state, which takes long if there are many, and prepare the replies to
        requests without streaming, so that forked processes share them: unless mocks have more than
        `MAX_PREPARED_EARLY` answers."""
        _ = self.stateful_mocks
        answers = [
            (table, rule, source.fixed)
            for table in self.tables
            for rule in table.index.rules
            for source in entries_of(table.sources[rule.index])
        ]
        if len(answers) <= MAX_PREPARED_EARLY:
            for table, rule, answer in answers:
                if answer.failure is None and answer.number is not None:
                    prepared = self.renderer.prepare(table, rule, answer, NOT_STREAMED)
                    if isinstance(prepared, SharedBody):
                        prepared.make()

    def parts(self) -> list[Any]:
        """Return what takes long to be freed, in parts each of which takes a millisecond: who keeps
        them when the engine goes can let go of one after the other."""
        parts: list[Any] = []
        for table in self.tables:
            index = table.index
            nodes = index.nodes() if isinstance(index, RuleIndex) else ()
            for each in (table.mocks, table.sources, index.rules, table.places, nodes):
                parts += _divide(each)
        return parts

    def forget(self, indices: Set[int]) -> None:
        """Drop the prepared replies of mocks that are gone, by the indices of their rules."""
        self.renderer.forget(indices)
        self._straight.forget(indices)
        self._misses = KnownMisses()

    def decide(
        self,
        table: Table,
        request: Request,
        values: Values = NO_VALUES,
        find_earlier: FindEarlier = find_nothing,
        *,
        session: str = COMMON,
    ) -> Decision | Question:
        """Return the decision on a `request` to the API of `table`; `values` are those of its path.
        If a mock with state matches, return the question which mock of this `session` answers.
        `find_earlier` is asked only if a mock depends on what the request continues. Nothing that a
        client sends makes this raise: an invalid request gets an error reply."""
        vendor, headers = table.api.vendor, request.first_values
        if headers is not self._authentic or vendor is not self._authentic_for:
            try:
                vendor.authenticate(request, self.require_auth)
            except RequestError as exc:
                return Decision.by(self.responder.refuse(table, exc))
            self._authentic, self._authentic_for = headers, vendor
        if len(request.body) <= table.straight_size and self._goes_straight:
            return self._decide_straight(table, request, values, find_earlier, session)
        if not self._looks_up(request) or self.match_cache is None:
            received = Received(table, request, values, find_earlier, session)
            return self._matcher.decide(received)
        resting = self.match_cache if table.traffic is None else self._exposures
        if resting.rest:
            resting.leave_out()
            received = Received(table, request, values, find_earlier, session)
            return self._matcher.decide(received)
        lines = map(request.first_values.get, table.header_names)
        # `values` are part of the path
        key = (table.version, request.path, request.body, *lines)
        if table.traffic is None:
            known = self.match_cache.get(key)
            if isinstance(known, Match):
                return _new(Decision, (known, known.reply, known.ready, COMMON, None))
            if known is not None:
                received = _new(Received, (table, request, values, find_earlier, session, key))
                return self._chooser.choose_again(received, NO_EFFECTS, known, self.match_cache)
        received = _new(Received, (table, request, values, find_earlier, session, key))
        exposure = None if table.traffic is None else self._exposures.get(key)
        if exposure is None:
            return self._matcher.decide(received)
        return self.stage.apply(received, exposure, partial(self._decide_by_effects, received))

    def _decide_straight(
        self,
        table: Table,
        request: Request,
        values: Values,
        find_earlier: FindEarlier,
        session: str,
    ) -> Decision | Question:
        """Do what the rest of `decide` does, for a small request to mocks without traffic
        (`mocks.Table.straight_size`)."""
        headers, cache = request.first_values, self.match_cache
        key: Key | None = None
        if cache is not None and cache.rest:
            cache.rest -= 1  # as `leave_out` does
            cache.misses += 1
        elif cache is not None:
            key = (table.version, request.path, request.body)
            if table.header_names:
                key = (*key, *map(headers.get, table.header_names))
            known = cache.get(key)
            if isinstance(known, Match):
                return _new(Decision, (known, known.reply, known.ready, COMMON, None))
            if known is not None:
                received = Received(table, request, values, find_earlier, session, key)
                return self._chooser.choose_again(received, NO_EFFECTS, known, cache)
        found: Match | Decision | Question
        try:
            prompt = table.api.decode(request, values)
            if (table.looks_back and prompt.readers.continues(prompt.body)) or (
                len(request.body) > MAX_UNDIVIDED and has_much_to_match(table, prompt)
            ):
                received = Received(table, request, values, find_earlier, session, key)
                return self._matcher.decide(received)
            if not prompt.is_valid and not table.accepts(prompt):
                table.validate(prompt)  # raises
        except RequestError as exc:
            found = self.responder.refuse(table, exc)
        else:
            if table.index.stateful:
                rules = table.index.candidates(prompt, headers)
                if not is_reusable(rules):
                    asked = _new(Asked, (prompt, request, session, 0, NO_EFFECTS))
                    return self._chooser.choose_straight(table, asked, rules, cache, key)
                rule = rules[0] if rules else None
            else:
                rule = table.index.find(prompt, headers)
            if rule is not None:
                decision = self._straight.decide(table, rule, prompt)
                if decision is not None:
                    if key is not None and cache is not None:
                        cache.offer(key, decision.match)
                    return decision
            asked = Asked(prompt, request, session)
            if rule is None:
                found = self._answer_unmatched(table, asked)
            else:
                selection = self.selector.find_among(table, prompt, headers, (rule,))
                found = self._chooser.answer(table, asked, selection)
        return self._matcher.keep(key, found)

    def _answer_unmatched(self, table: Table, asked: Asked) -> Match | Decision | Question:
        """Return what answers a request that no rule matches."""
        prompt, headers = asked.prompt, asked.request.first_values
        key = self._misses.key_of(table, prompt, headers)
        known = None if key is None else self._misses.find(key)
        if known is not None:
            return known
        selection = self.selector.find_among(table, prompt, headers, ())
        found = self._chooser.answer(table, asked, selection)
        if key is not None and isinstance(found, Match) and isinstance(selection, UnmatchedError):
            self._misses.offer(key, found)
        return found

    def _looks_up(self, request: Request) -> bool:
        """Return True if a match of an equal request may answer this one."""
        if self.match_cache is None or len(request.body) > MAX_ENTRY:
            return False
        return not (self._client_faults and has_wishes(request.first_values))

    def reuses_match(self, table: Table, request: Request) -> bool:
        """Return True if a reusable match of this `request` answers all equal ones, whenever they
        come."""
        return table.traffic is None and self._looks_up(request)

    def _decide_by_effects(self, received: Received, effects: Effects) -> Decision | Question:
        """Return the decision on a request with these effects of traffic."""
        key = None if received.key is None else key_with(received.key, effects)
        cache = self.match_cache
        known = None if key is None or cache is None else cache.get(key)
        if isinstance(known, Match):
            return _new(Decision, (known, known.reply, known.ready, COMMON, None))
        if known is not None and cache is not None:
            return self._chooser.choose_again(received, effects, known, cache)
        return self._matcher.decide(received, effects)


def _divide(entries: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield all entries, some after some."""
    left = iter(entries)
    while part := list(islice(left, MAX_LET_GO)):
        yield part
