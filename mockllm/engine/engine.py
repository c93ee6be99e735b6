"""Decides one request of a mocked API.

`Engine.decide` is a plain function: no socket, no clock, no await. It authenticates, decodes and
validates the request, finds the source of the answer, and returns its reply. A reply is prepared
when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mockllm.config.wishes import FAULT, LATENCY, has_wishes, read_wishes
from mockllm.engine import asking
from mockllm.engine.batches import (
    SelectedInputs,
    join_answers,
    match_inputs,
)
from mockllm.engine.decision import (
    Answer,
    Decision,
    DividedWork,
    Match,
    Outcome,
    Planned,
    Question,
    Summary,
    Trouble,
    finish,
)
from mockllm.engine.effects import NO_EFFECTS, Effects, Elapsed, Exposure, TrafficEntry, hold
from mockllm.engine.effects import decide as decide_effects
from mockllm.engine.failures import compile_error, failed_answer
from mockllm.engine.faults import (
    compile_faults,
    drawn,
    is_drawn,
    replace_reply,
    written_tokens,
)
from mockllm.engine.latency import compile_latency
from mockllm.engine.limiting import Applicant, Limiter, chooses
from mockllm.engine.loading import Loaded
from mockllm.engine.made_reply import MadeReplyError
from mockllm.engine.making import could_not_make, is_made, make_answer
from mockllm.engine.match_cache import MAX_ENTRY, ExposureCache, Key, MatchCache
from mockllm.engine.mocks import SHARED, Table
from mockllm.engine.parts import choose_for_parts
from mockllm.engine.rendering import MAX_STEPS_AT_ONCE, Renderer
from mockllm.engine.sources import (
    FixedSource,
    GeneratedSource,
    ScriptedSource,
    Selection,
    Source,
    entries_of,
    faults_of,
    select_error,
    with_cached,
)
from mockllm.engine.template_values import Asked
from mockllm.engine.traffic import CompiledTraffic
from mockllm.engine.unmatched import UnmatchedError, near_miss_of, none_left
from mockllm.errors import Place, RequestError
from mockllm.exchange import Headers, LazySteps, PoolRule, Request, Step
from mockllm.limits import KIB
from mockllm.matching.effort import Effort
from mockllm.matching.index import is_reusable
from mockllm.matching.readings import in_pieces
from mockllm.matching.rule import Rule
from mockllm.prompt import NOT_STREAMED, Earlier, Prompt
from mockllm.providers import normalise
from mockllm.providers.rate_limits import Refusal
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.replies.cors import CORS
from mockllm.replies.faults import NoSuchPlaceError
from mockllm.replies.prepared import make_ready
from mockllm.state.choosing import Choice, Chosen, Exhausted, NoneLeft
from mockllm.state.sessions import COMMON
from mockllm.state.store import SessionEnded, TakeNothing

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MESSAGES_AT_ONCE = 2_000  # of a conversation that is read without a pause: 5 to 10 ms
MAX_UNDIVIDED = 1024  # bytes of a request that is never divided; it has no room for 400 inputs
MAX_SMALL = 128 * KIB  # bytes of a request that is decided without a pause: 2 to 6 ms
MAX_INPUTS_AT_ONCE = 64  # of one request; each takes up to 20 µs, and 2,048 are allowed
MAX_PREPARED_EARLY = 1_000  # answers; of more, each is prepared when it is first needed

Echo = Callable[[Prompt], str]
"""Returns the text of the answer to a prompt that no mock matches."""

FindEarlier = Callable[[str], Earlier | None]
"""Returns the conversation that ends with the response with this id; None if it is not known."""


def find_nothing(response_id: str) -> None:
    """Know no response."""


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
        self.work_clock: Callable[[], float] = lambda: 0.0
        """Tells the time that this thread has worked, in seconds; the default stands still."""
        self.elapsed: Elapsed = lambda name: 0.0
        """Tells how long an entry of traffic has lasted; the default stands still."""
        self.limiter = Limiter()
        """Admits requests to the limits of traffic."""
        self._exposures = ExposureCache()
        self.chunk = loaded.chunk
        """The size of text deltas of mocks that do not set their own."""
        self.strict_requests = loaded.strict_requests
        """True if requests that the SDK's types do not allow are rejected."""
        self._client_faults = client_faults
        self._echo = echo
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
        try:
            table.api.vendor.authenticate(request, self.require_auth)
        except RequestError as exc:
            return Decision.by(self._refusal(table, exc))
        if (
            self.match_cache is None
            or len(request.body) > MAX_ENTRY
            or (self._client_faults and has_wishes(request.first_values))
        ):
            received = _Received(table, request, values, find_earlier, session)
            return self._remember(received, NO_EFFECTS, self._match_anew(received))
        lines = map(request.first_values.get, table.header_names)
        # `values` are part of the path
        key = (table.version, request.path, request.body, *lines)
        if table.traffic is None:
            known = self.match_cache.get(key)
            if known is not None:
                return _new(Decision, (known, known.reply, known.ready, COMMON, None))
        received = _Received(table, request, values, find_earlier, session, key)
        exposure = None if table.traffic is None else self._exposures.get(key)
        if exposure is None:
            return self._remember(received, NO_EFFECTS, self._match_anew(received))
        return self._in_traffic(received, exposure, partial(self._decide_by_effects, received))

    def _remember(
        self, received: _Received, effects: Effects, match: Match | Decision | Question
    ) -> Decision | Question:
        """Return the decision by a match, which is kept for equal requests with equal effects."""
        if not isinstance(match, Match):
            return match
        if match.reusable and received.key is not None and self.match_cache is not None:
            key = _key_with(received.key, effects)
            if key is not None:
                self.match_cache.offer(key, match)
        return _new(Decision, (match, match.reply, match.ready, COMMON, None))

    def _decide_by_effects(self, received: _Received, effects: Effects) -> Decision | Question:
        """Return the decision on a request with these effects of traffic."""
        key = None if received.key is None else _key_with(received.key, effects)
        known = None if key is None or self.match_cache is None else self.match_cache.get(key)
        if known is not None:
            return _new(Decision, (known, known.reply, known.ready, COMMON, None))
        return self._remember(received, effects, self._match_anew(received, effects))

    def expose(
        self,
        table: Table,
        asked: Asked,
        whole: Prompt,
        decide: Callable[[Effects], Decision | Question],
    ) -> Decision | Question:
        """Return what `decide` does with the effects of traffic on a request, or the question
        before it: for an endpoint that answers with the mocks of `table`. What the request costs is
        that of the `whole` of it."""
        if table.traffic is None:
            return decide(NO_EFFECTS)
        request, limits = asked.request, table.api.vendor.limits
        received = _Received(table, request, NO_VALUES, find_nothing, asked.session)
        exposure = table.traffic.select(asked.prompt, request.first_values, limits)
        if exposure.costs:
            exposure = exposure._replace(costs=limits.costs(whole))
        return self._in_traffic(received, exposure, decide)

    def _in_traffic(
        self,
        received: _Received,
        exposure: Exposure,
        decide: Callable[[Effects], Decision | Question],
    ) -> Decision | Question:
        """Return what `decide` does with the effects of those entries that hold now, or the
        question before it: what is drawn, that an error takes nothing, and whether a limit admits
        the request. (`effects` tells where each kind of effect is applied.)"""
        held = hold(exposure.entries, self.elapsed)
        if not held:
            return decide(NO_EFFECTS)
        drawing = [each.entry for each in held if each.is_drawn]
        if not drawing:
            return self._by_effects(received, exposure, decide_effects(held, {}), decide)
        request, session = received.request, received.session
        draws = asking.draws_for([each.rule for each in drawing], request, session, self.seed)

        def resume(results: Sequence[Any]) -> Decision | Question:
            drawn = dict(zip(drawing, results, strict=True))
            return self._by_effects(received, exposure, decide_effects(held, drawn), decide)

        return Question(draws, resume)

    def _by_effects(
        self,
        received: _Received,
        exposure: Exposure,
        effects: Effects,
        decide: Callable[[Effects], Decision | Question],
    ) -> Decision | Question:
        if effects.limit is not None:
            return self._limited(received, exposure, effects, effects.limit, decide)
        if effects.error is None:
            return decide(effects)
        return self._take_nothing(received, lambda: decide(effects))

    def _take_nothing(
        self, received: _Received, decide: Callable[[], Decision | Question]
    ) -> Decision | Question:
        """Return what `decide` does about an attempt that takes nothing, or the question before it
        that leaves nothing for a retry to repeat."""
        table = received.table
        if not table.index.stateful:
            return decide()

        def resume(results: Sequence[Any]) -> Decision | Question:
            if isinstance(results[0], SessionEnded):
                return Decision.by(self._refusal(table, asking.session_ended(results[0])))
            return decide()

        attempt = asking.attempt_of(received.request)
        return Question((TakeNothing(received.session, attempt),), resume)

    def _limited(
        self,
        received: _Received,
        exposure: Exposure,
        effects: Effects,
        entry: TrafficEntry,
        decide: Callable[[Effects], Decision | Question],
    ) -> Decision | Question:
        """Return the question whether the limit of `entry` admits a request."""
        assert entry.limit is not None
        api, summary = received.table.api, exposure.summary
        decided = decide(effects._replace(limit=None))

        def refuse(refusal: Refusal, headers: Headers) -> Decision | Question:
            reply = self.renderer.render_refusal(api, refusal, headers, summary.model)
            match = Match(Outcome.LIMITED, *make_ready(reply), summary=summary)
            decision = Decision.by(match._replace(traffic=(entry.rule.label,)))
            if chooses(decided):
                return decision
            return self._take_nothing(received, lambda: decision)

        asked = Applicant(api, received.request, received.session, summary.model, exposure.costs)
        return self.limiter.admit(entry.limit, asked, decided, refuse)

    def match(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Generator[bool, None, Selection | UnmatchedError]:
        """Return the source that answers `prompt`, which has one input, with pauses (`Pieces`): the
        first matching mock, else the echo or the generator of the API; if there is none, the 404
        that names the closest mock. Of a mock with state, it is the source before anything is
        chosen. Pure: renders nothing and changes no state."""
        effort = Effort()
        candidates = yield from table.index.search(prompt, headers, effort)
        whole = self._select(table, candidates)
        selection = yield from match_inputs(table, prompt, headers, whole, effort)
        assert not isinstance(selection, SelectedInputs)
        return selection

    def _match_all(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Selection | SelectedInputs | UnmatchedError:
        """Return the source that answers `prompt` (`match`); the sources of its inputs, if some of
        these are answered by mocks with state."""
        selection = self._select(table, table.index.candidates(prompt, headers))
        if selection is not None and table.api.batch is None:
            return selection
        answered: Selection | SelectedInputs | UnmatchedError = finish(
            match_inputs(table, prompt, headers, selection, Effort())
        )
        return answered

    def _select(self, table: Table, candidates: tuple[Rule, ...]) -> Selection | None:
        """Return the source of the first of the rules that match, or of what answers if none
        does."""
        if candidates:
            rule = candidates[0]
            source = table.sources[rule.index]
            if not is_reusable(candidates):
                return Selection(source, rule, reusable=False, candidates=candidates)
            return _new(Selection, (source, rule, source.reusable, ()))
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, fallback.reusable)
        return None

    def chosen(
        self, table: Table, prompt: Prompt, rules: Sequence[Rule], result: Any
    ) -> Selection | RequestError:
        """Return the source of what a store has chosen among `rules` (`asking.choice_among`), or
        the error of its refusal."""
        match result:
            case Chosen(place, entry):
                rule = rules[place]
                source = table.sources[rule.index]
                if isinstance(source, ScriptedSource):
                    source = source.entries[entry]
                return Selection(source, rule, reusable=False)
            case Exhausted(place):
                return asking.exhausted(rules[place], result)
            case SessionEnded():
                return asking.session_ended(result)
        assert isinstance(result, NoneLeft)
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, reusable=False)
        return none_left(table, rules, prompt)

    def _match_anew(
        self, received: _Received, effects: Effects | None = None
    ) -> Match | Decision | Question:
        """Match a request without the cache. A match depends only on the path, the body and the
        headers that rules compare, the key of the cache, and on the `effects` of traffic, unless it
        depends on what `find_earlier` finds. What else it depends on is a question, and an answer
        that is made for this request a decision. Without `effects` it is asked which hold."""
        table, request, values, find_earlier, session, _ = received
        try:
            prompt = table.api.decode(request, values)
            size = len(request.body)
            if size > MAX_UNDIVIDED and (size > MAX_SMALL or _has_much_to_match(table, prompt)):
                work = self._match_in_pieces(received, prompt, effects)
                return self._perform(received, effects or NO_EFFECTS, work)
            table.validate(prompt)
            wished = self._wished(table, request)
        except RequestError as exc:
            return self._refusal(table, exc)
        if wished is not None:
            return self._answered(table, Asked(prompt, request, session), wished)
        looks_back = self._look_back(table, prompt, find_earlier)
        asked = Asked(prompt, request, session, effects=effects or NO_EFFECTS)
        if table.traffic is None or effects is not None:
            return self._match_prompt(received, asked, looks_back=looks_back)
        exposure = table.traffic.select(prompt, request.first_values, table.api.vendor.limits)
        if received.key is not None and not looks_back:
            self._exposures.offer(received.key, exposure)

        def decide(effects: Effects) -> Decision | Question:
            exposed = asked._replace(effects=effects)
            match = self._match_prompt(received, exposed, looks_back=looks_back)
            return self._remember(received, effects, match)

        return self._in_traffic(received, exposure, decide)

    def _match_prompt(
        self, received: _Received, asked: Asked, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Match a valid request, as `_match_anew` does."""
        table, error = received.table, asked.effects.error
        if error is not None:
            return self._answered(table, asked, select_error(error))
        if table.index.takes_long(len(asked.request.body)):
            return self._begin_search(received, asked, looks_back=looks_back)
        selection = self._match_all(table, asked.prompt, asked.request.first_values)
        match = self._answer_selected(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _match_in_pieces(
        self, received: _Received, prompt: Prompt, effects: Effects | None
    ) -> Generator[bool, None, Match | Decision | Question]:
        """Do what `_match_anew` does after decoding, with pauses (`Pieces`)."""
        table, request, _, find_earlier, session, _ = received
        yield True
        try:
            table.validate(prompt)
            wished = self._wished(table, request)
        except RequestError as exc:
            return self._refusal(table, exc)
        asked = Asked(prompt, request, session, effects=effects or NO_EFFECTS)
        if wished is not None:
            return self._answered(table, asked, wished)
        yield True
        looks_back = self._look_back(table, prompt, find_earlier)
        yield from in_pieces(prompt, table.readings)
        if table.traffic is None or effects is not None:
            return (yield from self._search(table, asked, looks_back=looks_back))
        limits = table.api.vendor.limits
        exposure = yield from table.traffic.search(prompt, request.first_values, limits)
        if received.key is not None and not looks_back:
            self._exposures.offer(received.key, exposure)

        def decide(effects: Effects) -> Decision | Question:
            exposed = asked._replace(effects=effects)
            match = self._begin_search(received, exposed, looks_back=looks_back)
            return self._remember(received, effects, match)

        return self._in_traffic(received, exposure, decide)

    def _search(
        self, table: Table, asked: Asked, *, looks_back: bool
    ) -> Generator[bool, None, Match | Decision | Question]:
        """Do what `_match_prompt` does, with pauses (`Pieces`)."""
        if asked.effects.error is not None:
            return self._answered(table, asked, select_error(asked.effects.error))
        prompt, headers, effort = asked.prompt, asked.request.first_values, Effort()
        candidates = yield from table.index.search(prompt, headers, effort)
        whole = self._select(table, candidates)
        selection = yield from match_inputs(table, prompt, headers, whole, effort)
        if len(asked.request.body) > MAX_SMALL:
            yield True
        match = self._answer_selected(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _begin_search(
        self, received: _Received, asked: Asked, *, looks_back: bool
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
        received: _Received,
        effects: Effects,
        work: Generator[bool, None, Match | Decision | Question],
    ) -> Question:
        """Return the question that does `work`, whose match is kept for equal requests."""
        return Question(
            (DividedWork(work),), lambda results: self._remember(received, effects, results[0])
        )

    def _answer_selected(
        self,
        table: Table,
        asked: Asked,
        selection: Selection | SelectedInputs | UnmatchedError,
    ) -> Match | Decision | Question:
        """Return the match with the answer of what was selected, or the question what answers."""
        if isinstance(selection, SelectedInputs):
            return self._choose_for_inputs(table, asked, selection)
        if isinstance(selection, Selection) and selection.candidates:
            return self._choose(table, asked, selection.candidates)
        return self._answered(table, asked, selection)

    def _wished(self, table: Table, request: Request) -> Selection | None:
        """Return the error that the client of a request asks for, as the source of its answer.

        Raises:
            RequestError: 400, the client asks for what no mock could have.
        """
        if not self._client_faults:
            return None
        error = read_wishes(request.first_values).failure
        if error is None:
            return None
        answer = failed_answer(table.api, compile_error(error), table.chunk)
        answer = answer._replace(has_own_pace=True)
        source = FixedSource(answer, Outcome.ASKED_FOR, reusable=False)
        return Selection(source, None, reusable=False)

    def _faults_of(self, selection: Selection, asked: Asked) -> tuple[Planned, Rule | None]:
        """Return the faults that the client asks for, else those of what was selected, else those
        of traffic, with the rule of the mock or the entry that has them."""
        if self._client_faults and (wished := read_wishes(asked.request.first_values).faults):
            return compile_faults(wished), selection.rule
        if asked.effects.fault is None:
            return selection.source.faults, selection.rule
        return faults_of(selection, asked.effects, selection.source.answer(asked.prompt))

    def _look_back(self, table: Table, prompt: Prompt, find_earlier: FindEarlier) -> bool:
        """Find what `prompt` continues, if a mock depends on it. Returns True if one does."""
        looks_back = table.looks_back and prompt.readers.continues(prompt.body)
        if looks_back:
            prompt.earlier = find_earlier(normalise.text(prompt.body.get("previous_response_id")))
        return looks_back

    def _choose(self, table: Table, asked: Asked, rules: Sequence[Rule]) -> Question:
        """Return the question which mock of `rules` answers."""

        def resume(results: Sequence[Any]) -> Decision | Question:
            chosen = self.chosen(table, asked.prompt, rules, results[0])
            number = results[0].number if isinstance(results[0], Chosen) else 0
            return _uncached(self._answered(table, asked._replace(call=number), chosen))

        return Question((asking.choice_among(table, rules, asked.request, asked.session),), resume)

    def _choose_for_inputs(
        self, table: Table, asked: Asked, selected: SelectedInputs
    ) -> Decision | Question:
        """Return the question which mocks answer the inputs of a request."""

        def resume(choices: Sequence[Choice] | RequestError) -> Decision | Question:
            if isinstance(choices, RequestError):
                return Decision.by(self._matched(table, asked, choices))
            chosen: list[Selection] = []
            for each, selection, choice in zip(*selected[:2], choices, strict=True):
                rules = selection.candidates
                found = self.chosen(table, each, rules, choice) if rules else selection
                if isinstance(found, RequestError):
                    return Decision.by(self._matched(table, asked._replace(prompt=each), found))
                chosen.append(found)
            work = self._join(table, asked, selected._replace(selections=chosen))
            if asked.prompt.inputs > MAX_INPUTS_AT_ONCE:
                return Question((DividedWork(work),), lambda results: results[0])
            decided: Decision | Question = finish(work)
            return decided

        parts = [selection.candidates for selection in selected.selections]
        return choose_for_parts(table, parts, asked.request, asked.session, resume)

    def _join(
        self, table: Table, asked: Asked, chosen: SelectedInputs
    ) -> Generator[bool, None, Decision | Question]:
        """Return the decision with the answers to all inputs, with pauses (`Pieces`)."""
        assert table.api.batch is not None
        selection = yield from join_answers(table.api.batch, asked.prompt, chosen)
        return _uncached(self._answered(table, asked, selection))

    def _answered(
        self, table: Table, asked: Asked, selection: Selection | RequestError
    ) -> Match | Decision | Question:
        """Return the match with the answer of the selected source, or with an error; the decision
        to send an answer that is made for this request, or the question if that takes long, or if
        its faults depend on chance."""
        if isinstance(selection, RequestError):
            return self._matched(table, asked, selection)
        faults, owner = self._faults_of(selection, asked)
        if not faults or not is_drawn(faults):
            return self._answered_with(table, asked, selection, faults)
        draw = asking.draw_for(owner, asked.request, asked.session, self.seed)

        def resume(results: Sequence[Any]) -> Decision | Question:
            happening = drawn(faults, results[0])
            return _uncached(self._answered_with(table, asked, selection, happening))

        return Question((draw,), resume)

    def _answered_with(
        self, table: Table, asked: Asked, selection: Selection, faults: Planned
    ) -> Match | Decision | Question:
        """Return what `_answered` does, with these faults in the reply."""
        if is_made(selection.source):
            decide = partial(self._decide_made, table, asked, selection, faults)
            return make_answer(selection.source, asked, self.work_clock, decide)
        match = self._matched(table, asked, selection)
        if not faults:
            return match
        if isinstance(match.reply.steps, LazySteps):
            return asking.begin(self._break(table, asked, selection, match, faults))
        return self._broken(table, asked, selection, match, faults)

    def _decide_made(
        self,
        table: Table,
        asked: Asked,
        selection: Selection,
        faults: Planned,
        made: Answer | MadeReplyError,
    ) -> Generator[bool, None, Decision]:
        """Return the decision to send the answer that was `made` for one request, in pieces."""
        if isinstance(made, MadeReplyError):
            return self._failed_decision(table, asked.prompt, selection, made)
        match = self._matched(table, asked, selection, made)
        if made.failure is not None and asked.effects.fault is not None:
            happening, _ = faults_of(selection, asked.effects, made)  # of an error
            faults = tuple(each for each in faults if each in happening)
        if not faults:
            return Decision.by(match)
        return (yield from self._break(table, asked, selection, match, faults))

    def _break(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Generator[bool, None, Decision]:
        """Return the decision to send a reply with faults. A stream that is rendered while it is
        sent is rendered before, in pieces, because a fault may be at its end."""
        steps: list[Step] = []
        for step in match.reply.steps:
            steps.append(step)
            if not len(steps) % MAX_STEPS_AT_ONCE:
                yield True
        match = match._replace(reply=replace(match.reply, steps=tuple(steps)), reusable=False)
        return Decision.by(self._broken(table, asked, selection, match, faults))

    def _broken(
        self, table: Table, asked: Asked, selection: Selection, match: Match, faults: Planned
    ) -> Match:
        """Return `match` with faults in its reply, or with the error that it does not have the
        place of one: a client's mistake if that has asked for it, else the author's."""
        api, model, reply = table.api, asked.prompt.model, match.reply
        tokens = 0 if match.answer is None else written_tokens(api, match.answer.response)
        try:
            broken = self.renderer.break_reply(
                api, match.reply, faults, model, api.failures, tokens
            )
        except NoSuchPlaceError as exc:
            _, owner = self._faults_of(selection, asked)
            is_wish = self._client_faults and FAULT in asked.request.first_values
            if is_wish or owner is None:
                wrong = RequestError(400, f"{FAULT.decode()}: {exc}", code="invalid_wish")
                return self._refusal(table, wrong)._replace(reusable=False)
            reply = self.renderer.no_such_place(api, owner, exc)
            trouble = Trouble(f"{owner.label}: fault", str(exc))
            failed = replace_reply(match, reply, faults)
            return failed._replace(outcome=Outcome.FAILED, trouble=trouble)
        match = replace_reply(match, broken, faults)
        fault = asked.effects.fault
        if fault is None or self._faults_of(selection, asked)[1] is not fault.rule:
            return match
        felt = dict.fromkeys((*match.traffic, fault.rule.label))  # each entry once
        return match._replace(traffic=tuple(felt))

    def _failed_decision(
        self, table: Table, prompt: Prompt, selection: Selection, error: MadeReplyError
    ) -> Decision:
        """Return the decision to report that an answer could not be made."""
        assert selection.rule is not None
        refusal, trouble = could_not_make(selection.rule, error)
        reply, ready = make_ready(self.renderer.render_error(table.api, refusal))
        summary = Summary.of(prompt)
        match = Match(Outcome.FAILED, reply, ready, selection.rule, summary, trouble=trouble)
        return Decision.by(match)

    def _matched(
        self,
        table: Table,
        asked: Asked,
        selection: Selection | RequestError,
        made: Answer | None = None,
    ) -> Match:
        """Return the match with an answer, the one that was `made` or that of the selected source,
        without its faults; or with an error."""
        prompt, effects = asked.prompt, asked.effects
        headers = asked.request.first_values
        if isinstance(selection, RequestError):
            reply, ready = make_ready(self.renderer.render_error(table.api, selection))
            return Match(
                Outcome.UNMATCHED,
                reply,
                ready,
                summary=Summary.of(prompt),
                reusable=True,
                near_miss=near_miss_of(selection),
            )
        source, rule, reusable, _ = selection
        answer = source.answer(prompt) if made is None else made
        felt: tuple[str, ...] = ()
        if effects is not NO_EFFECTS:
            answer, felt = effects.pace(answer)
        kinds: tuple[str, ...] = ()
        if self._client_faults and has_wishes(headers):
            wishes = read_wishes(headers)
            kinds = wishes.kinds
            if wishes.pace is not None:
                pace = compile_latency(wishes.pace, LATENCY.decode())
                answer = answer._replace(pace=pace)
                felt = felt if effects.error is not None else ()
        if answer.pace is not None and answer.pace.cached:
            answer = with_cached(table.api, answer, prompt)
        reply, ready = self.renderer.reply_to(table, selection, answer, prompt)
        summary = _new(Summary, (prompt.endpoint, prompt.model, prompt.options.stream))
        reusable = reusable and not isinstance(reply.steps, LazySteps)
        said = answer if answer.failure is None else None
        outcome = source.outcome
        values = (outcome, reply, ready, rule, summary, said, reusable, None, None, felt, kinds)
        return _new(Match, values)

    def _fallback(self, table: Table) -> Source | None:
        """Return the source that answers where no mock matches, if there is one."""
        api = table.api
        if api.generate is not None and (not table.mocks or self._echo is not None):
            # embeddings would displace everything else from the cache
            return GeneratedSource(api.generate, Outcome.GENERATED, reusable=False, pace=self.pace)
        echo = self._echo
        if echo is None:
            return None
        return GeneratedSource(
            lambda prompt: api.text_response(echo(prompt)),
            Outcome.ECHO,
            reusable=True,
            chunk=table.chunk,
            pace=self.pace,
        )

    def _refusal(self, table: Table, error: RequestError) -> Match:
        """Return the match of an invalid request, which is valid for every equal request."""
        reply, ready = make_ready(self.renderer.render_error(table.api, error))
        return Match(Outcome.REFUSED, reply, ready, reusable=True)


class _Received(NamedTuple):
    """A request to the API of a `table`, with the values of its path, and its key in the caches;
    None if it is not kept."""

    table: Table
    request: Request
    values: Values
    find_earlier: FindEarlier
    session: str
    key: Key | None = None


def _key_with(key: Key, effects: Effects) -> Key | None:
    """Return the key of a match with these effects; None while they rise or fall, since that does
    not come again."""
    if effects == NO_EFFECTS:
        return key
    return (*key, *effects) if effects.level == 1.0 else None


def _uncached(match: Match | Decision | Question) -> Decision | Question:
    """Return the decision by a match that is not cached."""
    return Decision.by(match._replace(reusable=False)) if isinstance(match, Match) else match


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
