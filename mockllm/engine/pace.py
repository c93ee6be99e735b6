"""Sets the pacing of an answer on its reply.

What is the same for all requests is compiled once (`engine.latency`). What depends on a request is
the size of its prompt and, if the queue of the pool has an end, the form of the error beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mockllm.exchange import BODILESS, DividedBody, LazySteps, Pacing, Reply, Step
from mockllm.providers.counts import count
from mockllm.providers.failures import Failure
from mockllm.wire import tokens

_INPUT = ("prompt_tokens", "input_tokens")


class Pace(NamedTuple):
    """A compiled latency: the pacing of an answer to a prompt without tokens, the seconds that each
    token of the prompt adds, what is answered if the pool is full, and the share of the prompt that
    is cached, which is in the usage of the answer then."""

    pacing: Pacing
    per_token: float = 0.0
    full: Failure | None = None
    cached: float = 0.0


def pace_reply(
    reply: Reply,
    pace: Pace,
    response: Mapping[str, Any],
    body: Mapping[str, Any],
    render_full: Callable[[Failure], Reply],
) -> Reply:
    """Return `reply`, which says `response` to a request with this `body`, with its pacing."""
    if reply.status in BODILESS:
        return reply
    pacing = pace.pacing
    if pace.per_token:
        added = pace.per_token * _count_input(response, body)
        pacing = pacing._replace(ttft=pacing.ttft + added)
    if pace.full is not None:
        pacing = pacing._replace(full=render_full(pace.full))
    if reply.pacing is pacing:
        return reply
    return replace(reply, pacing=pacing)


def _count_input(response: Mapping[str, Any], body: Mapping[str, Any]) -> int:
    """Return the tokens of the prompt that are not cached: those that the answer's usage counts,
    else their estimate."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return tokens.estimate_prompt(body)
    for name in _INPUT:
        counted = count(usage.get(name))
        if counted is not None:
            details = usage.get(f"{name}_details")
            cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
            return max(counted - (cached or 0), 0)
    return tokens.estimate_prompt(body)


def with_tokens(reply: Reply, number: int) -> Reply:
    """Return a whole reply that is complete with so many tokens, at least one."""
    number = max(number, 1)
    steps = reply.steps
    if isinstance(steps, DividedBody):
        return replace(reply, steps=steps.with_tokens(number))
    if isinstance(steps, LazySteps):
        return replace(reply, steps=LazySteps(lambda: _first_with_tokens(iter(steps), number)))
    return replace(reply, steps=tuple(_first_with_tokens(iter(steps), number)))


def _first_with_tokens(steps: Iterator[Step], number: int) -> Iterator[Step]:
    for step in steps:
        yield step._replace(tokens=number)
        number = 0
