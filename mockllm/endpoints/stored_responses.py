"""Stored responses: GET and DELETE /v1/responses/{id}, its input items and its cancellation
(openai 3.54.0: `client.responses`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.route import RESPONSES, Context
from mockllm.engine.asking import MAX_UNDIVIDED, begin
from mockllm.engine.decision import Answer, Decision, ForwardRequest, Question, make_body
from mockllm.engine.sources import render
from mockllm.errors import RequestError
from mockllm.exchange import PAUSE, DividedBody, Reply, Request
from mockllm.pieces import Pieces
from mockllm.prompt import NOT_STREAMED, STREAMED, Prompt, ResponseOptions
from mockllm.prompt.conversation import MESSAGES_AT_ONCE, slices
from mockllm.providers.contents import is_long
from mockllm.providers.envelope import body_reply
from mockllm.providers.openai.responses.answer import complete, id_of
from mockllm.providers.openai.responses.conversation import items_of
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.redaction import redact_path
from mockllm.state.responses import StoredResponse, slot_of
from mockllm.wire import jsontext, placeholders, tokens
from mockllm.wire.placeholders import Echoed, fill_fresh

ITEM_ID_LENGTH = 48
ITEMS_PER_PAGE = 20
MAX_PER_PAGE = 100


class StoredExchange(NamedTuple):
    """A stored response, and the prompt that it answered."""

    stored: StoredResponse
    prompt: Prompt

    @property
    def is_large(self) -> bool:
        """True if the prompt was decoded in pieces, because it is large."""
        return self.prompt.leftovers is not None


class _Values(NamedTuple):
    """What a response repeats of its request."""

    model: str
    input_tokens: int
    echoed: Echoed


About = Callable[[Context, Request, StoredExchange], Pieces[Decision]]
"""Returns the decision on a request about a stored response, made in pieces."""


def retrieve(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with the response, byte for byte as delivered; with ``?stream=true`` as a stream, if
    it was created in the background, as the service requires."""
    return _answer_about(context, request, values["id"], _retrieved)


def delete(context: Context, request: Request, values: Values) -> Decision | Question:
    """Delete the response."""
    return _answer_about(context, request, values["id"], _deleted, everywhere=True)


def cancel(context: Context, request: Request, values: Values) -> Decision | Question:
    """Cancel the response, if it was created in the background, as the service requires."""
    return _answer_about(context, request, values["id"], _cancelled, everywhere=True)


def input_items(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with a page of the request's input items, the last item first unless ``order=asc``."""
    return _answer_about(context, request, values["id"], _page_of_items)


# --- Finding a response --------------------------------------------------------------------------


def _answer_about(
    context: Context, request: Request, response_id: str, answer: About, *, everywhere: bool = False
) -> Decision | Question:
    """Return the `answer` about the response with this id, or the question that forwards the
    request to the worker that delivered it. With `everywhere`, a configured id, which several
    workers may have delivered, is forwarded to the others too, before. An answer that takes long is
    a question.

    Raises:
        RequestError: 404 if no worker can have it.
    """
    slot = slot_of(response_id)

    def answer_here(
        leftovers: list[Any], otherwise: Callable[[], Decision | Question]
    ) -> Pieces[Decision | Question]:
        exchange = yield from find_stored(context, response_id, leftovers)
        if exchange is None:
            return otherwise()
        return (yield from answer(context, request, exchange))

    def begin_here(otherwise: Callable[[], Decision | Question]) -> Decision | Question:
        leftovers: list[Any] = []
        return begin(answer_here(leftovers, otherwise), leftovers)

    def forward() -> Question:
        return Question((ForwardRequest(request, slot, response_id, context.session),), resume)

    def resume(results: Sequence[Any]) -> Decision | Question:
        def forwarded() -> Decision:
            (reply,) = results
            if reply is None:
                raise _unknown(response_id)
            return endpoint_decision(reply)

        return forwarded() if context.has_servers else begin_here(forwarded)

    def refuse() -> Decision:
        raise _unknown(response_id)

    if context.has_servers or (everywhere and slot is None and context.has_peer(slot)):
        return forward()
    return begin_here(forward if context.has_peer(slot) else refuse)


def find_stored(
    context: Context, response_id: str, leftovers: list[Any]
) -> Pieces[StoredExchange | None]:
    """Return the response with this id and its prompt, if this process stores it; with pauses if
    its request is large. `leftovers` are those of `DividedWork`."""
    stored = context.stored.find(response_id, context.session)
    if stored is None or id_in(stored) != response_id:
        return None
    table = context.engine.table(RESPONSES)
    if len(stored.body) <= MAX_UNDIVIDED:
        prompt = table.decode(stored.body)
    else:
        yield False
        prompt = yield from table.decode_in_pieces(stored.body, leftovers)
    return None if prompt.body.get("store") is False else StoredExchange(stored, prompt)


def id_in(stored: StoredResponse) -> Any:
    """Return the `id` of a stored response: any JSON value, if it is configured."""
    return _filled(id_of(stored.response), stored)


def _unknown(response_id: str) -> RequestError:
    shown = redact_path(response_id)
    return RequestError(404, f"Response with id '{shown}' not found.", param="id")


# --- The answers ---------------------------------------------------------------------------------


def _retrieved(context: Context, request: Request, exchange: StoredExchange) -> Pieces[Decision]:
    query = _query(request)
    if query.get("stream") != "true":
        return (yield from _whole(context, exchange))
    if exchange.prompt.body.get("background") is not True:
        raise RequestError(
            400,
            "This response cannot be streamed because it was not created with background=true.",
            param="stream",
        )
    after = _number(query, "starting_after", -1)
    stored, values = exchange.stored, (yield from _values_of(context, exchange))

    def frames() -> Iterator[bytes]:  # one event each, counted from 0
        steps = _render(context, stored, values, STREAMED).steps
        events = (step.data for step in steps if step != PAUSE)
        return islice(map(partial(fill_fresh, fresh=stored.fresh), events), after + 1, None)

    return endpoint_decision(Reply.lazy_stream(200, OPENAI.stream_headers, frames))


def _deleted(context: Context, request: Request, exchange: StoredExchange) -> Pieces[Decision]:
    yield from ()
    stored = exchange.stored
    context.stored.remove(stored.key)
    body = {"id": id_in(stored), "object": "response", "deleted": True}
    return _json(jsontext.dumps(body))


def _cancelled(context: Context, request: Request, exchange: StoredExchange) -> Pieces[Decision]:
    if exchange.prompt.body.get("background") is not True:
        raise RequestError(400, "Cannot cancel a synchronous response.")
    cancelled = exchange.stored._replace(cancelled=True)
    context.stored.append(cancelled)
    return (yield from _whole(context, exchange._replace(stored=cancelled)))


def _page_of_items(
    context: Context, request: Request, exchange: StoredExchange
) -> Pieces[Decision]:
    query, stored = _query(request), exchange.stored
    items = items_of(exchange.prompt.body["input"])
    places = range(len(items))
    if query.get("order") != "asc":
        places = places[::-1]
    after, start = query.get("after"), 0
    if after is not None:
        start = yield from _place_behind(after, items, places, stored)
    limit = min(_number(query, "limit", ITEMS_PER_PAGE), MAX_PER_PAGE)
    page = []
    for place in places[start : start + limit]:
        item = yield from _complete_in_pieces(items[place], place, exchange.prompt)
        page.append(item | {"id": _filled(item["id"], stored)})
    body = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    }
    reply = body_reply(OPENAI.headers, body)
    yield from make_body(reply)
    return endpoint_decision(reply)


def _place_behind(
    item_id: str, items: Sequence[Any], places: Sequence[int], stored: StoredResponse
) -> Pieces[int]:
    """Return the number of those of `places` up to the item with this id; 0 if there is none."""
    for number, place in enumerate(places, 1):
        if _filled(_item_id(items[place], place), stored) == item_id:
            return number
        if not number % MESSAGES_AT_ONCE:
            yield False
    return 0


def _filled(value: Any, stored: StoredResponse) -> Any:
    """Return a JSON value with the values of the delivery in place of their placeholders."""
    return orjson.loads(fill_fresh(jsontext.dumps(value), stored.fresh))


# --- Rendering a response again ------------------------------------------------------------------


def read_output(stored: StoredResponse) -> Iterator[list[dict[str, Any]]]:
    """Yield the output items of a response, some at a time, without their texts and arguments."""
    output = complete(stored.response)["output"]
    for items in slices(output if isinstance(output, list) else []):
        yield _filled([_outline(each) for each in items if isinstance(each, dict)], stored)


def _outline(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("type", "role", "name", "call_id") if name in item}


def _whole(context: Context, exchange: StoredExchange) -> Pieces[Decision]:
    """Return the decision to answer with the whole response, rendered in pieces if it is large."""
    stored, values = exchange.stored, (yield from _values_of(context, exchange))
    steps, fresh = _render(context, stored, values, NOT_STREAMED).steps, stored.fresh
    if not isinstance(steps, DividedBody):
        (step,) = steps
        if step.size <= MAX_UNDIVIDED:
            return _json(fill_fresh(step.data, fresh))
        steps = DividedBody(step.pieces)
    reply = Reply(200, OPENAI.headers, steps.edited(lambda piece: (fill_fresh(piece, fresh),)))
    yield from make_body(reply)
    return endpoint_decision(reply)


def _values_of(context: Context, exchange: StoredExchange) -> Pieces[_Values]:
    """Return the values of the request that its response repeats, with pauses if it is large."""
    prompt, api = exchange.prompt, context.engine.table(RESPONSES).api
    if exchange.is_large:
        prompt.body = body = yield from tokens.estimate_in_pieces(prompt.body)
        if api.echo_long is not None:
            body.echoes = yield from api.echo_long(body)
        yield True
    input_tokens = tokens.estimate_prompt(prompt.body)
    return _Values(prompt.model, input_tokens, api.echo(prompt.body, None))


def _render(
    context: Context, stored: StoredResponse, values: _Values, options: ResponseOptions
) -> Reply:
    """Render the response again, with the values of its request but for those of its delivery."""
    response = _as_cancelled(stored.response) if stored.cancelled else stored.response
    answer = Answer(response, stored.chunk, stored.events)
    reply = render(context.engine.table(RESPONSES).api, answer, options)
    model, input_tokens, echoed = values
    return placeholders.fill(reply, model=model, input_tokens=input_tokens, echoed=echoed)


def _as_cancelled(response: Mapping[str, Any]) -> dict[str, Any]:
    """The response as if it had been cancelled, without what only a finished one has."""
    finished = ("completed_at", "error", "incomplete_details", "usage")
    left = {name: value for name, value in response.items() if name not in finished}
    return left | {"status": "cancelled"}


def _json(body: bytes) -> Decision:
    return endpoint_decision(Reply.whole(200, OPENAI.headers, body))


# --- Input items ---------------------------------------------------------------------------------


def complete_input_item(item: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return an input item as the service does: with an id, and the text of a message in a part."""
    item_id = _item_id(item, index)
    defaults: dict[str, Any] = {"id": item_id, "type": _kind(item), "status": "completed"}
    members = {name: member for name, member in item.items() if member is not None}
    from_model = members.get("role") == "assistant"
    if isinstance(members.get("content"), str):
        part = "output_text" if from_model else "input_text"
        members["content"] = [{"type": part, "text": members["content"]}]
    if from_model and isinstance(members.get("content"), list):
        members["content"] = [_output_part(part) for part in members["content"]]
    return defaults | members


def _complete_in_pieces(
    item: Mapping[str, Any], index: int, prompt: Prompt
) -> Pieces[dict[str, Any]]:
    """Return what `complete_input_item` does of an item of a prompt, with pauses if it has many
    parts."""
    content = item.get("content")
    if not is_long(content):
        return complete_input_item(item, index)
    completed = complete_input_item({**item, "content": []}, index)
    completed["content"] = parts = list[Any]()
    prompt.let_go_later((parts,))
    for some in slices(content):
        parts += complete_input_item({**item, "content": some}, index)["content"]
        yield False
    return completed


def _item_id(item: Mapping[str, Any], index: int) -> Any:
    """Return the id of an input item, or the placeholder for one."""
    if item.get("id") is not None:
        return item["id"]
    prefix = "msg_" if _kind(item) == "message" else "item_"
    return placeholders.fresh_id(prefix, ITEM_ID_LENGTH, f"input.{index}")


def _kind(item: Mapping[str, Any]) -> Any:
    return item.get("type") or ("message" if "role" in item else "item_reference")


def _output_part(part: Any) -> Any:
    """Return a part of a model's message with the members that clients may leave out."""
    if isinstance(part, dict) and part.get("type") == "output_text":
        return {"annotations": [], "logprobs": []} | part
    return part


# --- Query parameters ----------------------------------------------------------------------------


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.query).items()}


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise RequestError(400, f"{name}: expected a whole number, found {text!r}", param=name)
    return int(text)
