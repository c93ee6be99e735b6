"""The short way of small requests whose answers are prepared: from the body to the decision.

Theory of operation
===================

In: a valid prompt, and the rule that matches it. Out: the decision that `Responder.answer` and the
rest of the long way would come to, or None, in which case they are asked. Property tests compare
the two.

A load test rarely sends a body twice, so that nothing of a request is known. But most mocks have
one answer, and of a request it depends on no more than the model, the way it is sent and the
members that it repeats. So what the long way finds out about a mock is kept here, and a request
only fills its prepared reply: 0.7 µs instead of 3.5. If that gives the same reply as the time
before, as it does where nothing is to be filled in, the decision is the same too.

Whether a request may go this way at all is known when its mocks are compiled, but for its size
(`mocks.Table.straight_size`): there is no traffic, and nothing takes so long that it needs pauses.
Where mocks have state, a store is asked which entry answers, and the entry has its answer here.
"""

from __future__ import annotations

from collections.abc import Set

from mockllm.engine.answering import Responder
from mockllm.engine.decision import Answer, Decision, Match, Summary
from mockllm.engine.mocks import Table
from mockllm.engine.rendering import Renderer
from mockllm.engine.sources import FixedSource, entries_of
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.replies.prepared import Filled, PreparedReply
from mockllm.state.sessions import COMMON
from mockllm.wire.tokens import estimate_prompt

MAX_KNOWN = 4_096  # mocks, models and ways to be sent; a bound against clients that vary the model
MAX_COUNTS = 8  # numbers of tokens whose decisions are kept, of each of these

_new = tuple.__new__  # half the time of the class's own constructor
_Key = tuple[int, int | None, str, str, ResponseOptions]
"""The index of a rule, that of the entry which was chosen, the name of an API, the model of a
request, and what it asks for."""


class StraightAnswers:
    """The prepared answers of one configuration, which `renderer` has prepared. `responder` is who
    answers on the long way."""

    def __init__(self, renderer: Renderer, responder: Responder) -> None:
        self._renderer = renderer
        self._responder = responder
        self._known: dict[_Key, _Straight | None] = {}

    def forget(self, indices: Set[int]) -> None:
        """Drop the answers of mocks that are gone, by the indices of their rules."""
        known = self._known.items()
        self._known = {key: straight for key, straight in known if key[0] not in indices}

    def decide(
        self, table: Table, rule: Rule, prompt: Prompt, entry: int | None = None
    ) -> Decision | None:
        """Return the decision that the mock of `rule` answers `prompt`, with the `entry` that a
        store has chosen if it was asked; None if it is found out on the long way."""
        key = (rule.index, entry, prompt.endpoint, prompt.model, prompt.options)
        try:
            known = self._known[key]
        except KeyError:
            known = self._look_at(key, table, rule, prompt)
        if known is None:
            return None
        if known.rule is not rule:  # one of another time or session, with the same index
            del self._known[key]
            return None
        body, prepared = prompt.body, known.prepared
        tokens = estimate_prompt(body) if known.counts_input else None
        is_counted = prepared.is_counted and prepared.echo_names.isdisjoint(body)
        if is_counted:
            decision = known.by_tokens.get(tokens)
            if decision is not None:
                return decision
        filled = prepared.for_request(prompt.model, body, tokens)
        if filled is known.filled and tokens == known.tokens:
            return known.decision
        decision = known.renew(filled, tokens)
        if is_counted:
            known.keep(tokens, decision)
        return decision

    def _look_at(self, key: _Key, table: Table, rule: Rule, prompt: Prompt) -> _Straight | None:
        source, entry = table.sources[rule.index], key[1]
        if entry is not None:
            source = entries_of(source)[entry]
        known = None
        if type(source) is FixedSource and source.reusable and _is_plain(source.fixed):
            prepared = self._renderer.prepare(table, rule, source.fixed, prompt.options)
            if isinstance(prepared, PreparedReply):
                counts_input = self._responder.counts_input(table.api, source.fixed)
                known = _Straight(
                    rule,
                    source,
                    prepared,
                    prompt,
                    counts_input=counts_input,
                    reusable=entry is None,
                )
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = known
        return known


class _Straight:
    """A prepared answer to requests for one model, sent in one way. With `counts_input`, observers
    need the tokens of their prompts."""

    __slots__ = (
        "_head",
        "_outcome",
        "_reusable",
        "_tells_input",
        "answer",
        "by_tokens",
        "counts_input",
        "decision",
        "filled",
        "prepared",
        "rule",
        "tokens",
    )

    def __init__(
        self,
        rule: Rule,
        source: FixedSource,
        prepared: PreparedReply,
        prompt: Prompt,
        *,
        counts_input: bool,
        reusable: bool,
    ) -> None:
        self.rule = rule
        self.counts_input = counts_input or prepared.is_counted
        """True if somebody needs the tokens of prompts: observers, or the answer."""
        self._tells_input = counts_input
        self.by_tokens: dict[int | None, Decision | None] = {}
        """Decisions that depend on these numbers of tokens alone; None of one that came once.
        Prompts of a load test differ in a number or an id: 0.4 µs less for each."""
        self._reusable = reusable
        self.prepared = prepared
        self._head = (prompt.endpoint, prompt.model, prompt.options.stream)
        self._outcome = source.outcome
        self.answer = source.fixed
        self.filled: Filled | None = None
        self.tokens: int | None = None
        self.decision: Decision | None = None

    def renew(self, filled: Filled, tokens: int | None) -> Decision:
        """Return the decision to send a filled reply, and keep it."""
        reply, ready = filled
        told = tokens if self._tells_input and tokens is not None else 0
        summary = _new(Summary, (*self._head, told))
        said = (self._outcome, reply, ready, self.rule, summary, self.answer)
        match = _new(Match, (*said, self._reusable, None, None, (), (), False))
        self.filled, self.tokens = filled, tokens
        self.decision = decision = _new(Decision, (match, reply, ready, COMMON, None))
        return decision

    def keep(self, tokens: int | None, decision: Decision) -> None:
        """Keep a decision that depends on this number of tokens alone, if it comes again and there
        are not too many."""
        if tokens in self.by_tokens:
            self.by_tokens[tokens] = decision
        elif len(self.by_tokens) < MAX_COUNTS:
            self.by_tokens[tokens] = None


def _is_plain(answer: Answer) -> bool:
    """True of an answer that is prepared, and sent at once and without faults."""
    is_prepared = answer.number is not None and answer.failure is None and not answer.is_large
    return is_prepared and answer.pace is None and not answer.faults
