"""One request of a mocked API in, one decision out.

`Engine.decide` is a plain function: no socket, no clock, no await. It has the request read and
confirmed, finds what answers, and returns its reply, prepared when it was first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mockllm.engine.decision import Answer, Decision, Match, Outcome, Summary
from mockllm.engine.loading import Loaded
from mockllm.engine.match_cache import MatchCache
from mockllm.engine.mocks import Table
from mockllm.engine.sources import MadeSource, Source, render
from mockllm.errors import RequestError
from mockllm.exchange import LazySteps, Reply, Request
from mockllm.matching.explain import nearest_miss
from mockllm.matching.rule import Rule
from mockllm.matching.texts import quote
from mockllm.prompt import NOT_STREAMED, Prompt, ResponseOptions
from mockllm.providers.routes import NO_VALUES, Values
from mockllm.replies.cors import CORS
from mockllm.replies.prepared import Filled, PreparedReply, make_ready
from mockllm.wire import placeholders, tokens

_new = tuple.__new__  # half the time of the class's own constructor
MAX_REQUEST_QUOTE = 500  # characters of the last message shown in a 404
MAX_EXPLAINED = 100  # rules that a 404 is compared with to name the nearest miss; 3 µs each
MAX_STEPS_AT_ONCE = 64  # of a reply made for one request; beyond, they are made as they are taken
MAX_PREPARED_EARLY = 1_000  # mocks; beyond, a reply is prepared when it is first asked for

Echo = Callable[[Prompt], str]
"""What to say where no mock matches."""


class Found(NamedTuple):
    """What answers a prompt: a source, and the rule that led to it, if it is a mock's."""

    source: Source
    rule: Rule | None = None


class Engine:
    """Answers by one configuration. Nothing in it changes but what it remembers: prepared replies,
    and with `reuse` the matches of requests that may come again byte for byte."""

    def __init__(self, loaded: Loaded, *, echo: Echo | None = None, reuse: bool = True) -> None:
        self.tables = loaded.tables
        """The mocks of each API."""
        self.warnings = loaded.warnings
        """Problems of the configuration that do not keep it from being served."""
        self.require_auth = loaded.require_auth
        self.cors = CORS(allowed=loaded.cors)
        """Lets web pages read every reply, or not."""
        self.reuses = reuse
        """Whether what was seen before is remembered, here and in `head_cache`."""
        self.matches = MatchCache() if reuse else None
        """The matches that may be used again; None: every request is matched anew."""
        self._echo = echo
        self._by_name = {table.api.name: table for table in loaded.tables}
        self._prepared: dict[tuple[str, int, ResponseOptions], PreparedReply] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of mocks of each API, by its name."""
        return {name: len(table.mocks) for name, table in self._by_name.items()}

    def table(self, name: str) -> Table:
        """The mocks of the API of this name."""
        return self._by_name[name]

    def warm(self) -> None:
        """Prepare every whole reply now, unless there are very many mocks, so that processes
        forked from this one share them."""
        if sum(self.counts.values()) <= MAX_PREPARED_EARLY:
            for table in self.tables:
                for rule in table.index.rules:
                    answer = table.sources[rule.index].fixed
                    self._prepare(table, rule, answer, NOT_STREAMED)

    def decide(self, table: Table, request: Request, values: Values = NO_VALUES) -> Decision:
        """The decision on a `request` to the API of `table`, whose route has these `values`. A
        request that is refused is answered too: nothing that a client sends makes this raise."""
        try:
            table.api.vendor.authenticate(request, self.require_auth)
        except RequestError as exc:
            return Decision.by(self._refusal(table, exc))
        if self.matches is None:
            return Decision.by(self._match_anew(table, request, values))
        lines = map(request.first_values.get, table.index.header_names)
        key = (request.path, request.body, *lines)  # the path holds the values of its route
        match = self.matches.get(key)
        if match is None:
            match = self._match_anew(table, request, values)
            if match.reusable:
                self.matches.offer(key, match)
        return _new(Decision, (match, match.reply, match.ready))

    def match(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Found | RequestError:
        """What answers `prompt`: a mock, or what answers where none does; else the 404 that says
        which mock came closest. A pure question: nothing is rendered, remembered or used up."""
        rule = table.index.find(prompt, headers)
        if rule is not None:
            return _new(Found, (table.sources[rule.index], rule))
        fallback = self._fallback(table)
        if fallback is not None:
            return Found(fallback)
        return RequestError(404, _no_match(table, headers, prompt), code="mock_not_found")

    def _match_anew(self, table: Table, request: Request, values: Values) -> Match:
        """All that depends on the path, the body and header rules alone."""
        try:
            prompt = table.api.decode(request, values)
            table.check(prompt)
        except RequestError as exc:
            return self._refusal(table, exc)
        found = self.match(table, prompt, request.first_values)
        if isinstance(found, RequestError):
            reply, ready = make_ready(self._render_error(table, found))
            return Match(Outcome.UNMATCHED, reply, ready, summary=Summary.of(prompt), reusable=True)
        source, rule = found
        answer = source.answer(prompt)
        reply, ready = self._reply(table, found, answer, prompt)
        summary = _new(Summary, (prompt.endpoint, prompt.model, prompt.options.stream))
        reusable = source.reusable and not isinstance(reply.steps, LazySteps)
        return _new(Match, (source.outcome, reply, ready, rule, summary, answer, reusable))

    def _fallback(self, table: Table) -> Source | None:
        """What answers where no mock matches, if anything does."""
        api = table.api
        if not table.mocks and api.generate is not None:  # vectors outweigh what is remembered
            return MadeSource(api.generate, Outcome.GENERATED, reusable=False)
        echo = self._echo
        if echo is None:
            return None
        return MadeSource(
            lambda prompt: api.text_response(echo(prompt)),
            Outcome.ECHO,
            reusable=True,
            chunk=table.chunk,
        )

    def _reply(self, table: Table, found: Found, answer: Answer, prompt: Prompt) -> Filled:
        """The reply that gives `answer` to `prompt`, and its bytes if they can be sent at once."""
        if found.rule is not None and found.source.constant:
            prepared = self._prepare(table, found.rule, answer, prompt.options)
        else:
            reply = self._render(table, answer, prompt.options)
            if isinstance(reply.steps, LazySteps):
                few = reply.steps.at_most(MAX_STEPS_AT_ONCE)
                if few is None:
                    return _fill_lazily(reply, prompt), None
                reply = replace(reply, steps=few)
            prepared = PreparedReply(reply)
        return prepared.for_request(prompt.model, prompt.body)

    def _prepare(
        self, table: Table, rule: Rule, answer: Answer, options: ResponseOptions
    ) -> PreparedReply:
        key = (table.api.name, rule.index, options)
        prepared = self._prepared.get(key)
        if prepared is None:
            try:
                prepared = PreparedReply(self._render(table, answer, options))
            except Exception as exc:
                exc.add_note(rule.label)  # the guard in serve/ names the mock
                raise
            self._prepared[key] = prepared
        return prepared

    def _render(self, table: Table, answer: Answer, options: ResponseOptions) -> Reply:
        return self.cors.share(render(table.api, answer, options))

    def _render_error(self, table: Table, error: RequestError) -> Reply:
        return self.cors.share(table.api.vendor.render_error(error, {}))

    def _refusal(self, table: Table, error: RequestError) -> Match:
        """The refusal of a request, which an equal one gets too."""
        reply, ready = make_ready(self._render_error(table, error))
        return Match(Outcome.REFUSED, reply, ready, reusable=True)


def _fill_lazily(reply: Reply, prompt: Prompt) -> Reply:
    input_tokens = tokens.estimate_prompt(prompt.body)
    return placeholders.fill(reply, model=prompt.model, input_tokens=input_tokens)


def _no_match(table: Table, headers: Mapping[bytes, bytes], prompt: Prompt) -> str:
    """The text of a 404: what was asked, which mock is nearest, why it does not match."""
    asked = prompt.last_messages[-1]
    what = f"{asked.role or table.api.match_field} {quote(prompt.text, MAX_REQUEST_QUOTE)}"
    message = f"No matching mock found. The request's last {table.api.match_field}: {what}."
    rules: Sequence[Rule] = table.index.rules[:MAX_EXPLAINED]
    nearest = nearest_miss(rules, prompt, headers)
    if nearest is None:
        return f"{message} There are no mocks under '{table.api.name}'."
    rule, reason = nearest
    return f"{message} Closest mock: {rule.label}: {reason}."
