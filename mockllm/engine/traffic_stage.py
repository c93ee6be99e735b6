"""The stage of a request in which traffic applies, between its validation and the choice of a mock.

It is passed a function that decides by the effects of traffic, and returns what that returns; or
the question before it: what is drawn, that an attempt takes nothing, whether a limit admits it.
`effects` tells where each kind of effect is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mockllm.engine import asking
from mockllm.engine.answering import Responder
from mockllm.engine.asked import Asked
from mockllm.engine.decision import Decision, Match, Outcome, Question
from mockllm.engine.effects import NO_EFFECTS, Effects, Elapsed, Exposure, TrafficEntry, hold
from mockllm.engine.effects import decide as decide_effects
from mockllm.engine.limiting import Applicant, Limiter, chooses
from mockllm.engine.mocks import Table
from mockllm.engine.received import Received, WithParts, find_nothing
from mockllm.engine.rendering import Renderer
from mockllm.exchange import Headers
from mockllm.prompt import Prompt
from mockllm.providers.rate_limits import Refusal
from mockllm.providers.routes import NO_VALUES
from mockllm.replies.prepared import make_ready
from mockllm.state.operations import SessionEnded, TakeNothing

Decide = Callable[[Effects], Decision | Question]
"""Decides a request with these effects of traffic."""


class TrafficStage:
    """Applies traffic to requests. `seed` is that of what is drawn at random."""

    def __init__(self, responder: Responder, renderer: Renderer, *, seed: int) -> None:
        self._responder = responder
        self._renderer = renderer
        self._seed = seed
        # of the process
        self.elapsed: Elapsed = lambda name: 0.0
        """Tells how long an entry of traffic has lasted; the default stands still."""
        self.limiter = Limiter()
        """Admits requests to the limits of traffic."""

    def expose(
        self,
        table: Table,
        asked: Asked,
        whole: Prompt,
        decide: Decide,
    ) -> Decision | Question:
        """Return what `decide` does with the effects of traffic on a request, or the question
        before it: for an endpoint that answers with the mocks of `table`. What the request costs is
        that of the `whole` of it."""
        if table.traffic is None:
            return decide(NO_EFFECTS)
        request, limits = asked.request, table.api.vendor.limits
        received = WithParts(table, request, NO_VALUES, find_nothing, asked.session)
        exposure = table.traffic.select(asked.prompt, request.first_values, limits)
        if exposure.costs:
            exposure = exposure._replace(costs=limits.costs(whole))
        return self.apply(received, exposure, decide)

    def apply(
        self,
        received: Received,
        exposure: Exposure,
        decide: Decide,
    ) -> Decision | Question:
        """Return what `decide` does with the effects of those entries that hold now, or the
        question before it: what is drawn, that an error takes nothing, and whether a limit admits
        the request."""
        if exposure.constant is not None:
            return self._by_effects(received, exposure, exposure.constant, decide)
        held = hold(exposure.entries, self.elapsed)
        if not held:
            return decide(NO_EFFECTS)
        drawing = [each.entry for each in held if each.is_drawn]
        if not drawing:
            return self._by_effects(received, exposure, decide_effects(held, {}), decide)
        request, session = received.request, received.session
        draws = asking.draws_for([each.rule for each in drawing], request, session, self._seed)

        def resume(results: Sequence[Any]) -> Decision | Question:
            drawn = dict(zip(drawing, results, strict=True))
            return self._by_effects(received, exposure, decide_effects(held, drawn), decide)

        return Question(draws, resume)

    def _by_effects(
        self,
        received: Received,
        exposure: Exposure,
        effects: Effects,
        decide: Decide,
    ) -> Decision | Question:
        if effects.limit is not None:
            return self._limited(received, exposure, effects, effects.limit, decide)
        if effects.error is None:
            return decide(effects)
        return self._take_nothing(received, lambda: decide(effects))

    def _take_nothing(
        self, received: Received, decide: Callable[[], Decision | Question]
    ) -> Decision | Question:
        """Return what `decide` does about an attempt that takes nothing, or the question before it
        that leaves nothing for a retry to repeat."""
        table = received.table
        if not table.index.stateful or received.keeps_what_it_took:
            return decide()

        def resume(results: Sequence[Any]) -> Decision | Question:
            if isinstance(results[0], SessionEnded):
                return Decision.by(self._responder.refuse(table, asking.session_ended(results[0])))
            return decide()

        attempt = asking.attempt_of(received.request)
        return Question((TakeNothing(received.session, attempt),), resume)

    def _limited(
        self,
        received: Received,
        exposure: Exposure,
        effects: Effects,
        entry: TrafficEntry,
        decide: Decide,
    ) -> Decision | Question:
        """Return the question whether the limit of `entry` admits a request."""
        assert entry.limit is not None
        api, summary = received.table.api, exposure.summary
        decided = decide(effects.unlimited)

        def refuse(refusal: Refusal, headers: Headers) -> Decision | Question:
            reply = self._renderer.render_refusal(api, refusal, headers, summary.model)
            match = Match(Outcome.LIMITED, *make_ready(reply), summary=summary)
            decision = Decision.by(match._replace(traffic=(entry.rule.label,)))
            if chooses(decided):  # which has recorded that the attempt takes nothing, if it shall
                return decision
            return self._take_nothing(received, lambda: decision)

        asked = Applicant(api, received.request, received.session, summary.model, exposure.costs)
        at_once = not received.keeps_what_it_took
        return self.limiter.admit(entry.limit, asked, decided, refuse, chooses_at_once=at_once)
