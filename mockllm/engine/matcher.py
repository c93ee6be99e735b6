"""Matches requests anew, without what is known of earlier ones: at once, or in pieces.

A large request, or one whose match takes long, is a question (`decision.DividedWork`), between
whose pieces the server answers others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mockllm.engine.answering import Responder
from mockllm.engine.asked import Asked
from mockllm.engine.batches import MAX_INPUTS_AT_ONCE
from mockllm.engine.choices import Chooser
from mockllm.engine.decision import Decision, DividedWork, Match, Question
from mockllm.engine.effects import NO_EFFECTS, Effects, Exposure
from mockllm.engine.match_cache import ExposureCache, Key, MatchCache, key_with
from mockllm.engine.mocks import Table
from mockllm.engine.received import Received
from mockllm.engine.selection import Selector
from mockllm.engine.sources import Selection, select_error
from mockllm.engine.straight import StraightAnswers
from mockllm.engine.traffic_stage import TrafficStage
from mockllm.errors import RequestError
from mockllm.limits import KIB
from mockllm.matching.divided_readings import in_pieces
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers import contents
from mockllm.state.sessions import COMMON
from mockllm.wire import tokens

_new = tuple.__new__  # half the time of the class's own constructor
MAX_MESSAGES_AT_ONCE = 2_000  # of a conversation that is read without a pause: 5 to 10 ms
MAX_UNDIVIDED = 1024  # bytes of a request that is never divided; it has no room for 400 inputs
MAX_SMALL = 128 * KIB  # bytes of a request that is decided without a pause: 2 to 6 ms


class Matcher:
    """Finds what answers a request. Matches of requests that are repeated are kept in `cache`, and
    what traffic exposes them to in `exposures`. With `goes_straight`, requests whose traffic or
    size alone keeps them from the short way take most of it."""

    def __init__(
        self,
        selector: Selector,
        responder: Responder,
        chooser: Chooser,
        straight: StraightAnswers,
        stage: TrafficStage,
        *,
        cache: MatchCache | None,
        exposures: ExposureCache,
        goes_straight: bool,
    ) -> None:
        self._selector = selector
        self._responder = responder
        self._chooser = chooser
        self._straight = straight
        self._stage = stage
        self._cache = cache
        self._exposures = exposures
        self._goes_straight = goes_straight

    def decide(self, received: Received, effects: Effects | None = None) -> Decision | Question:
        """Return the decision on a request, whose match is kept for equal ones."""
        return self.remember(received, effects or NO_EFFECTS, self.match(received, effects))

    def remember(
        self, received: Received, effects: Effects, match: Match | Decision | Question
    ) -> Decision | Question:
        """Return the decision by a match, which is kept for equal requests with equal effects."""
        key = None if received.key is None else key_with(received.key, effects)
        return self.keep(key, match)

    def keep(self, key: Key | None, match: Match | Decision | Question) -> Decision | Question:
        """Return the decision by a match, which is kept under `key` if it has one."""
        if not isinstance(match, Match):
            return match
        if match.reusable and key is not None and self._cache is not None:
            self._cache.offer(key, match)
        return _new(Decision, (match, match.reply, match.ready, COMMON, None))

    def match(
        self, received: Received, effects: Effects | None = None
    ) -> Match | Decision | Question:
        """Match a request without the cache. A match depends only on the path, the body and the
        headers that rules compare, the key of the cache, and on the `effects` of traffic, unless it
        depends on what `find_earlier` finds. What else it depends on is a question, and an answer
        that is made for this request a decision. Without `effects` it is asked which hold."""
        table, request, values, _, session, _ = received
        size, leftovers = len(request.body), list[Any]()
        if size > MAX_SMALL:
            work = self._decode_and_match(received, effects, leftovers)
            return self._perform(received, effects or NO_EFFECTS, work, leftovers)
        try:
            prompt = table.api.decode(request, values)
            if size > MAX_UNDIVIDED and has_much_to_match(table, prompt):
                work = self._match_in_pieces(received, prompt, effects, leftovers)
                return self._perform(received, effects or NO_EFFECTS, work, leftovers)
            if not table.accepts(prompt):
                table.validate(prompt)  # raises
            wished = self._responder.wished(table, request)
        except RequestError as exc:
            return self._responder.refuse(table, exc)
        if wished is not None:
            return self._responder.answer(table, Asked(prompt, request, session), wished)
        asked = _new(Asked, (prompt, request, session, 0, effects or NO_EFFECTS))
        if table.looks_back and prompt.readers.continues(prompt.body):
            work = self._match_continued(received, asked, effects, leftovers)
            return self._begin(received, asked.effects, work, leftovers)
        return self._match_valid(received, asked, effects, looks_back=False)

    def _match_continued(
        self, received: Received, asked: Asked, effects: Effects | None, leftovers: list[Any]
    ) -> Pieces[Match | Decision | Question]:
        """Do what `match` does with a valid request after finding what it continues, with
        pauses."""
        yield from self._find_earlier(received, asked.prompt, leftovers)
        return self._match_valid(received, asked, effects, looks_back=True)

    def _match_valid(
        self, received: Received, asked: Asked, effects: Effects | None, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Do what `match` does with a valid request."""
        table, prompt, request = received.table, asked.prompt, asked.request
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
            return self.remember(received, effects, found)

        return self._stage.apply(received, exposure, decide)

    def _match_prompt(
        self, received: Received, asked: Asked, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Match a valid request, as `match` does."""
        table, error = received.table, asked.effects.error
        if error is not None:
            return self._responder.answer(table, asked, select_error(error))
        prompt, headers = asked.prompt, asked.request.first_values
        if table.index.takes_long(len(asked.request.body), is_plain=prompt.is_plain):
            return self._begin_search(received, asked, looks_back=looks_back)
        if asked.effects is NO_EFFECTS and not looks_back and self._goes_shorter(table):
            rule = table.index.find(prompt, headers)
            decision = None if rule is None else self._straight.decide(table, rule, prompt)
            if decision is not None:
                return decision.match
        selection = self._selector.find(table, prompt, headers)
        if type(selection) is Selection and selection.candidates:
            rules, key = selection.candidates, received.key
            key = None if key is None or looks_back else key_with(key, asked.effects)
            return self._chooser.choose_first(table, asked, rules, self._cache, key)
        match = self._chooser.answer(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _goes_shorter(self, table: Table) -> bool:
        """True if nothing but traffic or their size keeps requests from the short way of `Engine`.
        Most traffic is limits, and what these admit is answered as all others; a conversation of
        35 kB takes 8 µs less."""
        return self._goes_straight and not table.index.stateful and table.api.batch is None

    def _decode_and_match(
        self, received: Received, effects: Effects | None, leftovers: list[Any]
    ) -> Pieces[Match | Decision | Question]:
        """Do what `match` does, with pauses. `leftovers` are those of `DividedWork`."""
        table, request, values, *_ = received
        try:
            prompt = yield from table.api.decode_in_pieces(request, values, leftovers)
        except RequestError as exc:
            return self._responder.refuse(table, exc)
        return (yield from self._match_in_pieces(received, prompt, effects, leftovers))

    def _match_in_pieces(
        self, received: Received, prompt: Prompt, effects: Effects | None, leftovers: list[Any]
    ) -> Pieces[Match | Decision | Question]:
        """Do what `match` does after decoding, with pauses. `leftovers` are those of
        `DividedWork`."""
        table, request, _, _, session, _ = received
        try:
            yield from table.validate_in_pieces(prompt)
            prompt.body = body = yield from tokens.estimate_in_pieces(prompt.body)
            if table.api.echo_long is not None:
                body.echoes = yield from table.api.echo_long(body)
            wished = self._responder.wished(table, request)
        except RequestError as exc:
            return self._responder.refuse(table, exc)
        asked = Asked(prompt, request, session, effects=effects or NO_EFFECTS)
        if wished is not None:
            return self._responder.answer(table, asked, wished)
        yield True
        looks_back = table.looks_back and prompt.readers.continues(prompt.body)
        if looks_back:
            yield from self._find_earlier(received, prompt, leftovers)
        yield from in_pieces(prompt, table.readings)
        if table.traffic is None or effects is not None:
            return (yield from self._search(table, asked, looks_back=looks_back))
        limits = table.api.vendor.limits
        exposure = yield from table.traffic.search(prompt, request.first_values, limits)
        return self._expose(received, asked, exposure, self._begin_search, looks_back=looks_back)

    def _search(
        self, table: Table, asked: Asked, *, looks_back: bool
    ) -> Pieces[Match | Decision | Question]:
        """Do what `_match_prompt` does, with pauses."""
        if asked.effects.error is not None:
            return self._responder.answer(table, asked, select_error(asked.effects.error))
        headers = asked.request.first_values
        selection = yield from self._selector.search(table, asked.prompt, headers)
        if len(asked.request.body) > MAX_SMALL:
            yield True
        match = self._chooser.answer(table, asked, selection)
        return _cacheable(match, looks_back=looks_back)

    def _begin_search(
        self, received: Received, asked: Asked, *, looks_back: bool
    ) -> Match | Decision | Question:
        """Return the result of `_search`, or the question that goes on after a pause in it."""
        work = self._search(received.table, asked, looks_back=looks_back)
        return self._begin(received, asked.effects, work)

    def _begin(
        self,
        received: Received,
        effects: Effects,
        work: Pieces[Match | Decision | Question],
        leftovers: list[Any] | None = None,
    ) -> Match | Decision | Question:
        """Return the result of `work`, or the question that goes on after a pause in it."""
        try:
            next(work)
        except StopIteration as end:
            result: Match | Decision | Question = end.value
            return result
        return self._perform(received, effects, work, leftovers)

    def _perform(
        self,
        received: Received,
        effects: Effects,
        work: Pieces[Match | Decision | Question],
        leftovers: list[Any] | None = None,
    ) -> Question:
        """Return the question that does `work`, whose match is kept for equal requests."""
        return Question(
            (DividedWork(work, leftovers),),
            lambda results: self.remember(received, effects, results[0]),
        )

    def _find_earlier(
        self, received: Received, prompt: Prompt, leftovers: list[Any]
    ) -> Pieces[None]:
        """Find what `prompt` continues, with pauses."""
        response_id = contents.text(prompt.body.get("previous_response_id"))
        prompt.earlier = yield from received.find_earlier(response_id, leftovers)


def _cacheable(
    match: Match | Decision | Question, *, looks_back: bool
) -> Match | Decision | Question:
    """Return `match`, which may not be cached if it depends on what its request continues."""
    if looks_back and isinstance(match, Match):
        return match._replace(reusable=False)
    return match


def has_much_to_match(table: Table, prompt: Prompt) -> bool:
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
