"""The pace of one delivery of a paced reply, and the refusal if its pool is full.

What is the same for all deliveries of a reply is set on it before (`engine.pace`).
"""

from __future__ import annotations

from mockllm.engine.asking import attempt_of
from mockllm.engine.decision import Decision, Outcome
from mockllm.exchange import Pacing, Request
from mockllm.replies.prepared import make_ready
from mockllm.state.draws import Draws
from mockllm.state.session_names import split_request


class DeliveryPaces:
    """The keys by which the times of deliveries are drawn: each delivery has one of its own."""

    def __init__(self) -> None:
        # of the process
        self.slot = 0
        """The slot of this worker: without a seed, each draws times of its own."""
        self._draws = Draws()

    def pacing_of(self, request: Request, decision: Decision, seed: int) -> Pacing:
        """Return the pacing of one delivery of a paced reply, with the key of its draws. `seed` is
        that of the configuration."""
        pacing = decision.reply.pacing
        assert pacing is not None
        if not pacing.cv:
            return pacing
        _, request = split_request(request)
        rule = decision.match.rule
        source = pacing.pool.name if rule is None else rule.label
        if not seed and self.slot:
            source = f"{source}\0{self.slot}"
        key = self._draws.next_key(seed, decision.session, source, attempt_of(request))
        return pacing._replace(key=key)


def refuse_for_pool(decision: Decision, pacing: Pacing) -> Decision:
    """Return the decision to refuse a request because the pool of its answer is full."""
    assert pacing.full is not None  # or the queue has no end
    reply, ready = make_ready(pacing.full)
    match = decision.match._replace(outcome=Outcome.POOL_FULL, answer=None)
    return decision._replace(match=match, reply=reply, ready=ready)
