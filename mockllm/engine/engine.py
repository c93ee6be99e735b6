"""One request of a mocked API in, one decision out.

`Engine.decide` is a plain function: no socket, no clock, no await. It has the request read and
confirmed, finds the rule, and returns the rule's reply, rendered when it was first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mockllm.engine.decision import Decision
from mockllm.engine.loading import Loaded
from mockllm.engine.match_cache import MatchCache
from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.explain import nearest_miss, quote
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.replies.cors import CORS
from mockllm.replies.prepared import PreparedReply, delivery

MAX_REQUEST_QUOTE = 500  # characters of the last message shown in a 404
MAX_EXPLAINED = 100  # rules that a 404 is compared with to name the nearest miss; 3 µs each
MAX_RENDERED_EARLY = 1_000  # mocks; beyond, a mock is rendered when it is first asked for

Echo = Callable[[Prompt], str]
"""What to say where no mock matches."""


class Engine:
    """Answers by one configuration. Nothing in it changes but what it remembers: rendered replies,
    and with `reuse` the decisions on requests that may come again byte for byte."""

    def __init__(self, loaded: Loaded, *, echo: Echo | None = None, reuse: bool = True) -> None:
        self.tables = loaded.tables
        """One for each provider."""
        self.require_auth = loaded.require_auth
        self.cors = CORS(allowed=loaded.cors)
        """Lets web pages read every reply, or not."""
        self.echo = echo
        """What is said where no mock matches; None: nothing is, but a 404."""
        self.reuses = reuse
        """Whether what was seen before is remembered, here and in `heads`."""
        self.decisions = MatchCache() if reuse else None
        """The decisions that may be used again; None: no decision is."""
        self._by_name = {table.api.name: table for table in loaded.tables}
        self._prepared: dict[tuple[str, int, ResponseOptions], PreparedReply] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of mocks of each provider, by its name."""
        return {name: len(table.mocks) for name, table in self._by_name.items()}

    def table(self, name: str) -> Table:
        """The mocks of the provider of this name."""
        return self._by_name[name]

    def warm(self) -> None:
        """Render every whole answer now, unless there are very many mocks, so that processes
        forked from this one share them."""
        if sum(self.counts.values()) <= MAX_RENDERED_EARLY:
            for table in self.tables:
                for rule in table.index.rules:
                    self._render(table, rule, ResponseOptions())

    def decide(self, table: Table, request: Request, values: Values = NO_VALUES) -> Decision:
        """The answer to a `request` to the API of `table`, whose route has these `values`. A
        request that is refused has an answer too: nothing a client sends makes this raise."""
        try:
            table.api.vendor.authenticate(request, self.require_auth)
        except RequestError as exc:
            return self._decide_error(table, exc, "refused")
        if self.decisions is None:
            return self._decide_authenticated(table, request, values)
        lines = map(request.first_values.get, table.index.header_names)
        key = (request.path, request.body, *lines)  # the path holds the values of its route
        decision = self.decisions.get(key)
        if decision is None:
            decision = self._decide_authenticated(table, request, values)
            if decision.reason != "invented":  # vectors outweigh the bodies that are counted
                self.decisions.keep(key, decision)
        return decision

    def _decide_authenticated(self, table: Table, request: Request, values: Values) -> Decision:
        """What depends on the path, the body and header rules alone."""
        try:
            prompt = table.api.decode(request, values)
            table.check(prompt)
        except RequestError as exc:
            return self._decide_error(table, exc, "refused")
        rule = table.index.find(prompt, request.first_values)
        if rule is None:
            return self._decide_unmatched(table, request, prompt)
        prepared = self._render(table, rule, prompt.options)
        reply, ready = prepared.for_request(prompt.model, prompt.body)
        return Decision(reply, ready, "matched", rule, prompt)

    def _decide_unmatched(self, table: Table, request: Request, prompt: Prompt) -> Decision:
        api = table.api
        if not table.mocks and api.generate is not None:
            return self._decide_said(table, prompt, api.generate(prompt), "invented")
        if self.echo is not None:
            return self._decide_said(table, prompt, api.text_response(self.echo(prompt)), "echo")
        error = RequestError(404, _no_match(table, request, prompt), code="mock_not_found")
        return self._decide_error(table, error, "no match", prompt)

    def _decide_error(
        self, table: Table, error: RequestError, reason: str, prompt: Prompt | None = None
    ) -> Decision:
        reply = self.cors.share(table.api.vendor.render_error(error, {}))
        return Decision(*delivery(reply), reason, prompt=prompt)

    def _decide_said(
        self, table: Table, prompt: Prompt, response: dict[str, Any], reason: str
    ) -> Decision:
        """A response that is no mock's, made for this request."""
        prepared = PreparedReply(
            self.cors.share(table.api.render(response, prompt.options, table.chunk))
        )
        return Decision(*prepared.for_request(prompt.model, prompt.body), reason, prompt=prompt)

    def _render(self, table: Table, rule: Rule, options: ResponseOptions) -> PreparedReply:
        key = (table.api.name, rule.index, options)
        prepared = self._prepared.get(key)
        if prepared is None:
            try:
                reply = self.cors.share(table.render(rule.index, options))
            except Exception as exc:
                exc.add_note(rule.label)  # the guard in serve/ names the mock
                raise
            prepared = self._prepared[key] = PreparedReply(reply)
        return prepared


def _no_match(table: Table, request: Request, prompt: Prompt) -> str:
    """The text of a 404: what was asked, which mock is nearest, why it does not match."""
    asked = prompt.last_messages[-1]
    what = f"{asked.role or table.api.match_field} {quote(prompt.text, MAX_REQUEST_QUOTE)}"
    message = f"No matching mock found. The request's last {table.api.match_field}: {what}."
    rules: Sequence[Rule] = table.index.rules[:MAX_EXPLAINED]
    nearest = nearest_miss(rules, prompt, request.first_values)
    if nearest is None:
        return f"{message} There are no mocks under '{table.api.name}'."
    rule, reason = nearest
    return f"{message} Closest mock: {rule.label}: {reason}."
