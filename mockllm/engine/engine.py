"""Decides one request of a mocked API.

`Engine.decide` is a plain function: no socket, no clock, no await. It authenticates, decodes and
validates the request, finds the source of the answer, and returns its reply. A reply is prepared
when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Set
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from mockllm.config.wishes import has_wishes
from mockllm.engine.answering import Responder
from mockllm.engine.batches import MAX_INPUTS_AT_ONCE
from mockllm.engine.choices import Chooser
from mockllm.engine.decision import (
    Decision,
    DividedWork,
    Match,
    Question,
)
from mockllm.engine.effects import NO_EFFECTS, Effects, Exposure
from mockllm.engine.loading import Loaded
from mockllm.engine.match_cache import MAX_ENTRY, ExposureCache, Key, MatchCache, key_with
from mockllm.engine.mocks import SHARED, Table
from mockllm.engine.received import FindEarlier, Received, find_nothing
from mockllm.engine.rendering import Renderer
from mockllm.engine.selection import Echo, Selector
from mockllm.engine.sources import (
    ScriptedSource,
    Selection,
    entries_of,
    select_error,
)
from mockllm.engine.straight import StraightAnswers
from mockllm.engine.template_values import Asked
from mockllm.engine.traffic import CompiledTraffic
from mockllm.engine.traffic_stage import TrafficStage
from mockllm.engine.unmatched import KnownMisses, UnmatchedError
from mockllm.errors import Place, RequestError
from mockllm.exchange import PoolRule, Request
from mockllm.limits import KIB
from mockllm.matching.divided_readings import in_pieces
from mockllm.matching.index import is_reusable
from mockllm.prompt import NOT_STREAMED, Prompt
from mockllm.providers import normalise
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.providers.vendor import Vendor
from mockllm.replies.cors import CORS
from mockllm.state.sessions import COMMON
from mockllm.wire import tokens

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MESSAGES_AT_ONCE = 2_000  # of a conversation that is read without a pause: 5 to 10 ms
MAX_UNDIVIDED = 1024  # bytes of a request that is never divided; it has no room for 400 inputs
MAX_SMALL = 128 * KIB  # bytes of a request that is decided without a pause: 2 to 6 ms
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
        return other

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of mocks in each list, by the list's name. ``mocks`` is there if it has
        some."""
        own = {name: len(table.mocks) - table.shared for name, table in self._by_name.items()}
        shared = max(table.shared for table in self.tables)
        return {**own, SHARED: shared} if shared else own

    @property
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
        entries = [
            entry
            for table in self.tables
            if table.traffic is not None
            for entry in table.traffic.entries
        ]
        return {
            (entry.rule.label, word): amount
            for entry in entries
            if entry.limit is not None
            for word, amount in entry.limit.all_amounts
        }

    def table(self, name: str) -> Table:
        """Return the mocks of the API called `name` (``openai``); a KeyError if there is no such
        API."""
        return self._by_name[name]

    def warm(self) -> None:
        """Prepare the replies to requests without streaming, so that forked processes share them.
        Without effect if mocks have more than `MAX_PREPARED_EARLY` answers."""
        answers = [
            (table, rule, source.fixed)
            for table in self.tables
            for rule in table.index.rules
            for source in entries_of(table.sources[rule.index])
        ]
        if len(answers) <= MAX_PREPARED_EARLY:
            for table, rule, answer in answers:
                if answer.failure is None and answer.number is not None:
                    self.renderer.prepare(table, rule, answer, NOT_STREAMED)

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
            return self._remember(received, NO_EFFECTS, self._match_anew(received))
        resting = self.match_cache if table.traffic is None else self._exposures
        if resting.rest:
            resting.leave_out()
            received = Received(table, request, values, find_earlier, session)
            return self._remember(received, NO_EFFECTS, self._match_anew(received))
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
            return self._remember(received, NO_EFFECTS, self._match_anew(received))
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
                len(request.body) > MAX_UNDIVIDED and _has_much_to_match(table, prompt)
            ):
                received = Received(table, request, values, find_earlier, session, key)
                return self._remember(received, NO_EFFECTS, self._match_anew(received))
            if table.confirm is not None and table.confirm(prompt.body) is not None:
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
        return self._keep(key, found)

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

    def _remember(
        self, received: Received, effects: Effects, match: Match | Decision | Question
    ) -> Decision | Question:
        """Return the decision by a match, which is kept for equal requests with equal effects."""
        key = None if received.key is None else key_with(received.key, effects)
        return self._keep(key, match)

    def _keep(self, key: Key | None, match: Match | Decision | Question) -> Decision | Question:
        """Return the decision by a match, which is kept under `key` if it has one."""
        if not isinstance(match, Match):
            return match
        if match.reusable and key is not None and self.match_cache is not None:
            self.match_cache.offer(key, match)
        return _new(Decision, (match, match.reply, match.ready, COMMON, None))

    def _decide_by_effects(self, received: Received, effects: Effects) -> Decision | Question:
        """Return the decision on a request with these effects of traffic."""
        key = None if received.key is None else key_with(received.key, effects)
        cache = self.match_cache
        known = None if key is None or cache is None else cache.get(key)
        if isinstance(known, Match):
            return _new(Decision, (known, known.reply, known.ready, COMMON, None))
        if known is not None and cache is not None:
            return self._chooser.choose_again(received, effects, known, cache)
        return self._remember(received, effects, self._match_anew(received, effects))

    def _match_anew(
        self, received: Received, effects: Effects | None = None
    ) -> Match | Decision | Question:
        """Match a request without the cache. A match depends only on the path, the body and the
        headers that rules compare, the key of the cache, and on the `effects` of traffic, unless it
        depends on what `find_earlier` finds. What else it depends on is a question, and an answer
        that is made for this request a decision. Without `effects` it is asked which hold."""
        table, request, values, find_earlier, session, _ = received
        size = len(request.body)
        if size > MAX_SMALL:
            leftovers: list[Any] = []
            work = self._decode_and_match(received, effects, leftovers)
            return self._perform(received, effects or NO_EFFECTS, work, leftovers)
        try:
            prompt = table.api.decode(request, values)
            if size > MAX_UNDIVIDED and _has_much_to_match(table, prompt):
                work = self._match_in_pieces(received, prompt, effects)
                return self._perform(received, effects or NO_EFFECTS, work)
            table.validate(prompt)
            wished = self.responder.wished(table, request)
        except RequestError as exc:
            return self.responder.refuse(table, exc)
        if wished is not None:
            return self.responder.answer(table, Asked(prompt, request, session), wished)
        looks_back = self._look_back(table, prompt, find_earlier)
        asked = _new(Asked, (prompt, request, session, 0, effects or NO_EFFECTS))
        if table.traffic is None or effects is not None:
            return self._match_prompt(received, asked, looks_back=looks_back)
        exposure = table.traffic.select(prompt, request.first_values, table.api.vendor.limits)
        return self._expose(received, asked, exposure, self._match_prompt, looks_back=looks_back)

    def _expose(
        self,
        received: Received,
        asked: Asked,
        exposure: Exposure,
        match: Callable[..., Match | Decision | Question],
        *,
        looks_back: bool,
    ) -> Decision | Question:
        """Return what `match` finds with the effects of traffic on a request."""
        if received.key is not None and not looks_back:
            self._exposures.offer(received.key, exposure)

        def decide(effects: Effects) -> Decision | Question:
            exposed = asked._replace(effects=effects)
            found = match(received, exposed, looks_back=looks_back)
            return self._remember(received, effects, found)

        return self.stage.apply(received, exposure, decide)

    def _match_prompt(
        self, received: Received, asked: Asked, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Match a valid request, as `_match_anew` does."""
        table, error = received.table, asked.effects.error
        if error is not None:
            return self.responder.answer(table, asked, select_error(error))
        if table.index.takes_long(len(asked.request.body)):
            return self._begin_search(received, asked, looks_back=looks_back)
        prompt, headers = asked.prompt, asked.request.first_values
        if asked.effects is NO_EFFECTS and not looks_back and self._is_exposed_alone(table):
            rule = table.index.find(prompt, headers)
            decision = None if rule is None else self._straight.decide(table, rule, prompt)
            if decision is not None:
                return decision.match
        selection = self.selector.find(table, prompt, headers)
        if type(selection) is Selection and selection.candidates:
            rules, key = selection.candidates, received.key
            key = None if key is None or looks_back else key_with(key, asked.effects)
            return self._chooser.choose_first(table, asked, rules, self.match_cache, key)
        match = self._chooser.answer(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _is_exposed_alone(self, table: Table) -> bool:
        """True if nothing but traffic keeps requests from `_decide_straight`: most have limits, and
        are answered as all others once these admit them."""
        is_simple = not table.index.stateful and table.api.batch is None
        return self._goes_straight and is_simple and table.traffic is not None

    def _decode_and_match(
        self, received: Received, effects: Effects | None, leftovers: list[Any]
    ) -> Generator[bool, None, Match | Decision | Question]:
        """Do what `_match_anew` does, with pauses (`Pieces`). `leftovers` are those of
        `DividedWork`."""
        table, request, values, *_ = received
        try:
            prompt = yield from table.api.decode_in_pieces(request, values, leftovers)
        except RequestError as exc:
            return self.responder.refuse(table, exc)
        return (yield from self._match_in_pieces(received, prompt, effects))

    def _match_in_pieces(
        self, received: Received, prompt: Prompt, effects: Effects | None
    ) -> Generator[bool, None, Match | Decision | Question]:
        """Do what `_match_anew` does after decoding, with pauses (`Pieces`)."""
        table, request, _, find_earlier, session, _ = received
        try:
            yield from table.validate_in_pieces(prompt)
            prompt.body = body = yield from tokens.estimate_in_pieces(prompt.body)
            if table.api.echo_long is not None:
                body.echoes = yield from table.api.echo_long(body)
            wished = self.responder.wished(table, request)
        except RequestError as exc:
            return self.responder.refuse(table, exc)
        asked = Asked(prompt, request, session, effects=effects or NO_EFFECTS)
        if wished is not None:
            return self.responder.answer(table, asked, wished)
        yield True
        looks_back = self._look_back(table, prompt, find_earlier)
        yield from in_pieces(prompt, table.readings)
        if table.traffic is None or effects is not None:
            return (yield from self._search(table, asked, looks_back=looks_back))
        limits = table.api.vendor.limits
        exposure = yield from table.traffic.search(prompt, request.first_values, limits)
        return self._expose(received, asked, exposure, self._begin_search, looks_back=looks_back)

    def _search(
        self, table: Table, asked: Asked, *, looks_back: bool
    ) -> Generator[bool, None, Match | Decision | Question]:
        """Do what `_match_prompt` does, with pauses (`Pieces`)."""
        if asked.effects.error is not None:
            return self.responder.answer(table, asked, select_error(asked.effects.error))
        headers = asked.request.first_values
        selection = yield from self.selector.search(table, asked.prompt, headers)
        if len(asked.request.body) > MAX_SMALL:
            yield True
        match = self._chooser.answer(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _begin_search(
        self, received: Received, asked: Asked, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Return the result of `_search`, or the question that goes on after a pause in it."""
        work = self._search(received.table, asked, looks_back=looks_back)
        try:
            next(work)
        except StopIteration as end:
            result: Match | Decision | Question = end.value
            return result
        return self._perform(received, asked.effects, work)

    def _perform(
        self,
        received: Received,
        effects: Effects,
        work: Generator[bool, None, Match | Decision | Question],
        leftovers: list[Any] | None = None,
    ) -> Question:
        """Return the question that does `work`, whose match is kept for equal requests."""
        return Question(
            (DividedWork(work, leftovers),),
            lambda results: self._remember(received, effects, results[0]),
        )

    def _look_back(self, table: Table, prompt: Prompt, find_earlier: FindEarlier) -> bool:
        """Find what `prompt` continues, if a mock depends on it. Returns True if one does."""
        looks_back = table.looks_back and prompt.readers.continues(prompt.body)
        if looks_back:
            prompt.earlier = find_earlier(normalise.text(prompt.body.get("previous_response_id")))
        return looks_back


def _cacheable(
    match: Match | Decision | Question, *, looks_back: bool
) -> Match | Decision | Question:
    """Return `match`, which may not be cached if it depends on what its request continues."""
    if looks_back and isinstance(match, Match):
        return match._replace(reusable=False)
    return match


def _has_much_to_match(table: Table, prompt: Prompt) -> bool:
    """True if a request that is not large takes long to match, for its inputs, its messages, or the
    traffic."""
    if prompt.inputs > MAX_INPUTS_AT_ONCE:
        return True
    if table.traffic is not None and table.traffic.index.takes_long(0):
        return True
    return bool(table.readings) and any(
        isinstance(value, list) and len(value) > MAX_MESSAGES_AT_ONCE
        for value in prompt.body.values()
    )
