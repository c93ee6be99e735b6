"""Renders the replies of one configuration: answers, failures and errors, with what is set on them.

A reply of a mock is prepared when it is first needed, and kept for all further requests.
"""

from __future__ import annotations

from collections.abc import Set

from mockllm.engine.beforehand import look_at
from mockllm.engine.decision import Answer, Beforehand, Planned
from mockllm.engine.failures import FailedReplies, why_no_error
from mockllm.engine.faults import FINAL, disrupt
from mockllm.engine.mocks import Table
from mockllm.engine.pace import pace_reply, with_tokens
from mockllm.engine.sources import Selection, render
from mockllm.errors import RequestError
from mockllm.exchange import Headers, LazySteps, Reply
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.api import API
from mockllm.providers.failures import Cases, Failure, hurry
from mockllm.providers.rate_limits import Refusal
from mockllm.replies.anatomy import KnownEvents
from mockllm.replies.cors import CORS
from mockllm.replies.fault_places import NoSuchPlaceError
from mockllm.replies.headers import join_headers, set_headers
from mockllm.replies.prepared import Filled, PreparedReply, make_ready
from mockllm.replies.shared_stream import SharedBody, SharedStream, prepare
from mockllm.wire import placeholders, tokens

MAX_STEPS_AT_ONCE = 64  # of a generated reply; a longer one is generated while it is sent

_PreparedKey = tuple[str, int, int | None, ResponseOptions, bool]
"""The name of an API, the index of a rule, the number of an answer, what a client requests, and
whether the steps have their tokens, for a pace."""


class Renderer:
    """Renders replies, each with the headers of `cors`. Its only mutable state is caches, of those
    that are prepared and of the events in which faults have places. With `quick_retries`, failures
    that say nothing else ask clients to retry at once."""

    def __init__(self, cors: CORS, *, quick_retries: bool = False) -> None:
        self.cors = cors
        self._quick_retries = quick_retries
        self._prepared: dict[_PreparedKey, PreparedReply | SharedStream | SharedBody] = {}
        self._failed = FailedReplies()
        self._known_events = KnownEvents()
        self._beforehand: dict[tuple[str, int, int, bool], Beforehand] = {}

    def forget(self, indices: Set[int]) -> None:
        """Drop the prepared replies of mocks that are gone, by the indices of their rules."""
        self._prepared = {
            key: prepared for key, prepared in self._prepared.items() if key[1] not in indices
        }
        self._beforehand = {
            key: known for key, known in self._beforehand.items() if key[1] not in indices
        }

    def complete(self, table: Table, selection: Selection, answer: Answer) -> Pieces[Answer]:
        """Return a large answer with what is found out before it is rendered, with pauses. That of
        a mock is found out once."""
        rule, number, is_paced = selection.rule, answer.number, answer.pace is not None
        if rule is None or number is None:
            return answer._replace(beforehand=(yield from look_at(table.api, answer)))
        key = (table.api.name, rule.index, number, is_paced)
        known = self._beforehand.get(key)
        if known is None:
            known = self._beforehand[key] = yield from look_at(table.api, answer)
        return answer._replace(beforehand=known)

    def reply_to(
        self,
        table: Table,
        selection: Selection,
        answer: Answer,
        prompt: Prompt,
        input_tokens: int | None = None,
    ) -> Filled:
        """Return the reply with `answer` to `prompt`, and its bytes if they are sent at once. The
        tokens of the prompt are estimated unless they are given."""
        filled = self._unpaced_reply(table, selection, answer, prompt, input_tokens)
        if answer.pace is None:
            return filled
        return self.pace_reply(table.api, filled[0], answer, prompt), None

    def _unpaced_reply(
        self,
        table: Table,
        selection: Selection,
        answer: Answer,
        prompt: Prompt,
        input_tokens: int | None,
    ) -> Filled:
        if answer.failure is not None:
            return self._failed.get(table.api, answer.failure, prompt.model, self.render_failure)
        if selection.rule is not None and answer.number is not None:
            prepared = self.prepare(table, selection.rule, answer, prompt.options)
            return prepared.for_request(prompt.model, prompt.body, input_tokens)
        reply = self._render(table, answer, prompt.options).at_once(MAX_STEPS_AT_ONCE)
        filled = _fill(table.api, reply, prompt, input_tokens)
        return (filled, None) if isinstance(reply.steps, LazySteps) else make_ready(filled)

    def pace_reply(self, api: API, reply: Reply, answer: Answer, prompt: Prompt) -> Reply:
        """Return `reply`, whose steps have their tokens, with the pacing of `answer`, if it has
        one. A failure has one token."""

        def render_full(failure: Failure) -> Reply:
            full, _ = self._failed.get(api, failure, prompt.model, self.render_failure)
            return full

        if answer.pace is None:
            return reply
        if answer.failure is not None:
            reply = with_tokens(reply, 1)
        return pace_reply(reply, answer.pace, answer.response, prompt.body, render_full)

    def prepare(
        self, table: Table, rule: Rule, answer: Answer, options: ResponseOptions
    ) -> PreparedReply | SharedStream | SharedBody:
        """Return the prepared reply with `answer`, which is one of the mock of `rule`."""
        key = (table.api.name, rule.index, answer.number, options, answer.pace is not None)
        prepared = self._prepared.get(key)
        if prepared is None:
            try:
                reply = self._render(table, answer, options)
                prepared = prepare(reply, table.api.echo, is_large=answer.is_large)
            except Exception as exc:
                exc.add_note(rule.label)  # serve.answering logs it with the exception
                raise
            self._prepared[key] = prepared
        return prepared

    def _render(self, table: Table, answer: Answer, options: ResponseOptions) -> Reply:
        reply = self.cors.share(render(table.api, answer, options))
        return set_headers(reply, answer.headers)

    def render_error(self, api: API, error: RequestError) -> Reply:
        """Return the reply with an error in the format of the vendor of `api`."""
        return self.cors.share(api.vendor.render_error(error, {}))

    def render_failure(self, api: API, failure: Failure, model: str, own: Cases) -> Reply:
        """Return the reply with `failure` to a request for `model`. `own` are the cases in which
        what is asked differs from the vendor's others."""
        reply = api.vendor.render_failure(failure, own, model)
        if self._quick_retries:
            reply = hurry(reply, failure)
        return self.cors.share(reply)

    def render_refusal(self, api: API, refusal: Refusal, headers: Headers, model: str) -> Reply:
        """Return the 429 of a request for `model` that a limit refuses. If the vendor's has headers
        about limits, they are these `headers`; those of what is not limited are the usual ones."""
        limits = api.vendor.limits
        failure, case = limits.refuse(refusal)
        own = {**api.failures, failure.word: case}
        reply = self.render_failure(api, failure, model, own)
        if not limits.refusals_have_headers:
            return reply
        return set_headers(reply, join_headers(limits.unlimited, headers))

    def break_reply(
        self, api: API, reply: Reply, faults: Planned, model: str, own: Cases, tokens: int = 0
    ) -> Pieces[Reply]:
        """Return `reply` to a request for `model` with `faults`, with pauses. `own` are the cases
        in which what is asked differs from the vendor's others. The answer says that it has so many
        `tokens`; 0 if it does not.

        Raises:
            NoSuchPlaceError: the reply does not have the place of a fault.
        """

        def render(failure: Failure) -> Reply:
            reason = why_no_error(api, failure)
            if reason is not None:
                raise NoSuchPlaceError(reason)
            return self.render_failure(api, failure, model, own)

        return (
            yield from disrupt(reply, faults, api.anatomy, render, tokens, known=self._known_events)
        )

    def no_such_place(self, api: API, rule: Rule | None, error: NoSuchPlaceError) -> Reply:
        """Return the 500 of a fault of the mock of `rule` whose place a reply does not have."""
        label = "" if rule is None else f"{rule.label}: "
        refusal = RequestError(500, f"{label}fault: {error}", code="no_such_place", headers=FINAL)
        return self.render_error(api, refusal)


def _fill(api: API, reply: Reply, prompt: Prompt, input_tokens: int | None) -> Reply:
    """Return `reply`, which is made for `prompt` alone, with the values of its request."""
    return placeholders.fill(
        reply,
        model=prompt.model,
        input_tokens=tokens.estimate_prompt(prompt.body) if input_tokens is None else input_tokens,
        echoed=api.echo(prompt.body, None),
    )
