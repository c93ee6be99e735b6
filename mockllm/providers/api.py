"""An API: one wire format of a vendor, a codec as a record of functions.

It decodes a request into a prompt and encodes a configured response as wire bytes. It refuses to
know sockets, clocks and tables of mocks; matching and pacing are written once, for all APIs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.matching.predicate import Predicate
from mockllm.pieces import Pieces
from mockllm.prompt import Body, Prompt, ResponseOptions
from mockllm.providers.compared_messages import Prepared, Preparing
from mockllm.providers.failures import Cases
from mockllm.providers.reply import NeutralCall, NeutralReply
from mockllm.providers.request_body import read_members_in_pieces
from mockllm.providers.routes import Values
from mockllm.providers.speech import Speaker
from mockllm.providers.vendor import Vendor
from mockllm.replies.anatomy import Anatomy
from mockllm.validation.findings import Confirm, Finding
from mockllm.validation.json_schema import Definitions, MockSchemas
from mockllm.wire.chunking import Chunk
from mockllm.wire.placeholders import Echo, EchoLong, echo_nothing


class CannotMatch(ValueError):  # noqa: N818  # a statement about the mock, as in its warning
    """No request can have the message or input of a mock."""


class SDK(Protocol):
    """An API's module `sdk.py`: the only one that imports the vendor's official SDK.

    It imports the SDK, which takes a third of a second or more, only for what was not kept of an
    earlier start, and not before the first mock of the API is loaded.
    """

    def request_confirmer(self, *, strict: bool) -> Confirm:
        """Compile a validator of request bodies."""

    def confirm_match(self, value: Any) -> list[Finding]:
        """Return the findings in the `match_field` of a mock's match."""

    def confirm_response(self, response: dict[str, Any]) -> list[Finding]:
        """Return the findings in a whole answer."""

    def confirm_event(self, event: dict[str, Any]) -> list[Finding]:
        """Return the findings in one event of a stream."""

    def known_members(self) -> Mapping[str, frozenset[str]]:
        """Return the declared members of each part of a message, by its `type`."""

    def json_schemas(self, definitions: Definitions) -> MockSchemas:
        """Return the JSON Schemas of what a mock holds; their definitions are added to
        `definitions`."""


class Batch(NamedTuple):
    """An API whose requests may have several inputs, which are answered one by one."""

    split: Callable[[Prompt], Sequence[Prompt]]
    """The inputs of a request, each as a prompt of its own: one or more."""

    join: Callable[[Sequence[Prompt], Sequence[dict[str, Any]]], dict[str, Any]]
    """`join(inputs, responses)`: the response to all inputs, from the configured response to each.
    """

    answers: Callable[[dict[str, Any]], int]
    """The number of inputs that a configured response answers: 1 if any number, 0 if its answers
    are generated."""

    inputs: Callable[[Any], int]
    """The number of inputs in the `match_field` of a mock's match."""


SpellCalls = Callable[[Iterable[NeutralCall], Container[str]], Iterator[dict[str, Any]]]


class Respond(Protocol):
    """How an API says a neutral reply."""

    def __call__(
        self, reply: NeutralReply, body: Body, calls: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Return the response that says `reply` to a request with this `body`, whose tools matter
        if the reply has calls or `json`. `calls` are those of the reply, if they were spelled
        before (`API.spell_calls`)."""


CountCached = Callable[[Mapping[str, Any], int, float, bool], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class API:
    """One API.

    `name` is the field of `Config` that holds its mocks, `word` its name in conditions (``chat``),
    `title` its usual name, `routes` the path
    templates of its POST requests (see `routes.Routes`), the vendor's own first, and `match_field`
    the field of a mock's match (``message`` or ``input``).
    """

    vendor: Vendor
    name: str
    word: str
    title: str
    routes: tuple[str, ...]
    match_field: str

    sdk: Callable[[], SDK]

    decode: Callable[[Request, Values], Prompt]
    """`decode(request, values)`: the request as a prompt, checked for its structure only; `values`
    are those in its path. Raises RequestError naming the invalid member."""

    read: Callable[[dict[str, Any], Prepared | None], Prompt]
    """`read(members, prepared)`: the decoded body of a request as a prompt, as `decode` does. What
    is `prepared` is not done again."""

    prepare: Callable[[Mapping[str, Any]], Preparing]
    """`prepare(members)`: do what takes long in `read`, with pauses."""

    compile_match: Callable[[Any, bool], Predicate]
    """`compile_match(value, contains)`: a mock's message or input as a predicate. Raises
    CannotMatch if no request can have it, another ValueError if it is not of this API; both with a
    reason."""

    render: Callable[[dict[str, Any], ResponseOptions, Chunk], Reply]
    """`render(response, options, chunk)`: a configured response as a reply, whole or streamed.
    Missing members are filled in; written ones are not changed. Never raises."""

    answer_members: tuple[str, ...]
    """Members by which an answer that has an `error` differs from the body of an error."""

    text_response: Callable[[str], dict[str, Any]]
    """The smallest response with this text."""

    frame: Callable[[dict[str, Any]], bytes]
    """One event of a stream, with any members, as bytes."""

    find_contradictions: Callable[[dict[str, Any]], Iterable[Finding]]
    """Members of a configured response that contradict each other. They are served as written."""

    respond: Respond | None = None
    """The response that says a neutral reply; None if the API has no conversation."""

    custom_tools: Callable[[Body], frozenset[str]] = lambda body: frozenset()
    """The names of the tools in the body of a request whose calls have a form of their own."""

    spell_calls: SpellCalls = lambda calls, custom: iter(())
    """`spell_calls(calls, custom)`: the calls of a neutral reply, one by one, as `respond` has
    them; `custom` are the `custom_tools` of the request."""

    reports_failed_tools: bool = True
    """False if no request tells that a tool failed."""

    batch: Batch | None = None
    """How several inputs of one request are answered; None if a request has only one."""

    echo: Echo = echo_nothing
    """`echo(body, names)`: the members of a request that a response repeats, by the names that
    `render` gave their placeholders (`placeholders.echo_placeholder`)."""

    echo_long: EchoLong | None = None
    """What of `echo` is done with pauses for a large request, whose `tokens.EstimatedBody` has the
    values then; None if nothing takes long."""

    last_events: tuple[str, ...] = ()
    """The types of the events that may end a stream, or ``[DONE]``."""

    generate: Callable[[Prompt], dict[str, Any]] | None = None
    """The response to any request while no mock of this API is configured; None if the API has no
    such response."""

    speaker: Speaker | None = None
    """How the output of a model is counted; None if the answers of the API have none."""

    count_cached: CountCached | None = None
    """`count_cached(usage, estimated, share, divided)`: the usage with a share of the prompt's
    tokens, of which so many are estimated, as cached ones; as it is if it says itself how many are.
    Counts that are written are divided if they are the same in every API. None if the API has no
    such count."""

    anatomy: Anatomy | None = None
    """The parts of its answers that faults refer to; None if they have no words of a model."""

    failures: Cases = field(default_factory=dict)
    """The failures in which this API differs from the vendor's others."""

    refuse: Callable[[str | None], dict[str, Any]] | None = None
    """`refuse(message)`: the response to a flagged prompt, of an API that answers it; None if it
    reports an error."""

    def say(
        self, reply: NeutralReply, body: Body, calls: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Return what `respond` does, in an API that has a conversation."""
        assert self.respond is not None
        return self.respond(reply, body, calls)

    def decode_in_pieces(
        self, request: Request, values: Values, leftovers: list[Any]
    ) -> Pieces[Prompt]:
        """Do what `decode` does, with pauses. `leftovers` is that of
        `json_pieces.loads_in_pieces`."""
        members = yield from read_members_in_pieces(request.body, values, leftovers)
        return (yield from self.read_in_pieces(members, leftovers))

    def read_in_pieces(self, members: dict[str, Any], leftovers: list[Any]) -> Pieces[Prompt]:
        """Do what `read` does, with pauses."""
        pieces = self.prepare(members)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                prepared = end.value
                break
            except RequestError as exc:
                prepared = Prepared(exc)
                break
            yield False
        prompt = self.read(members, prepared)
        prompt.leftovers = leftovers
        for message in prompt.last_messages:
            prompt.let_go_later((message.texts, message.search_texts))
        return prompt

    def __hash__(self) -> int:
        return hash(self.name)
