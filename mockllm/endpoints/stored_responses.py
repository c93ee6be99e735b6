"""Stored responses: GET and DELETE /v1/responses/{id}, its input items and its cancellation
(openai 3.54.0: `client.responses`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from mockllm.endpoints.route import RESPONSES, Context, endpoint_decision
from mockllm.engine.decision import Answer, Decision, ForwardRequest, Question
from mockllm.engine.sources import render
from mockllm.errors import RequestError
from mockllm.exchange import PAUSE, Reply, Request
from mockllm.prompt import NOT_STREAMED, STREAMED, Prompt, ResponseOptions
from mockllm.providers.openai.responses.conversation import items_of
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.redaction import redact_path
from mockllm.state.responses import StoredResponse, slot_of
from mockllm.wire import jsontext, placeholders, tokens
from mockllm.wire.placeholders import NOTHING_ECHOED, Echoed

ITEM_ID_LENGTH = 48
ITEMS_PER_PAGE = 20
MAX_PER_PAGE = 100


class StoredExchange(NamedTuple):
    """A stored response, and the prompt that it answered."""

    stored: StoredResponse
    prompt: Prompt


def retrieve(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with the response, byte for byte as delivered; with ``?stream=true`` as a stream, if
    it was created in the background, as the service requires."""
    return _answer_about(context, request, values["id"], _retrieved)


def delete(context: Context, request: Request, values: Values) -> Decision | Question:
    """Delete the response."""

    def deleted(context: Context, request: Request, exchange: StoredExchange) -> Decision:
        context.stored.remove(exchange.stored.key)
        body = {"id": values["id"], "object": "response", "deleted": True}
        return _json(jsontext.dumps(body))

    return _answer_about(context, request, values["id"], deleted, everywhere=True)


def cancel(context: Context, request: Request, values: Values) -> Decision | Question:
    """Cancel the response, if it was created in the background, as the service requires."""
    return _answer_about(context, request, values["id"], _cancelled, everywhere=True)


def input_items(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with a page of the request's input items, the last item first unless ``order=asc``."""
    return _answer_about(context, request, values["id"], _page_of_items)


# --- Finding a response --------------------------------------------------------------------------


def _answer_about(
    context: Context,
    request: Request,
    response_id: str,
    answer: Callable[[Context, Request, StoredExchange], Decision],
    *,
    everywhere: bool = False,
) -> Decision | Question:
    """Return the `answer` about the response with this id, or the question that forwards the
    request to the worker that delivered it. With `everywhere`, a configured id, which several
    workers may have delivered, is forwarded to the others too.

    Raises:
        RequestError: 404 if no worker can have it.
    """
    exchange = find_stored(context, response_id)
    slot = slot_of(response_id)
    forwards = context.has_servers or (
        context.has_peer(slot) and (exchange is None or (everywhere and slot is None))
    )
    if exchange is not None and not forwards:
        return answer(context, request, exchange)
    if not forwards:
        raise _unknown(response_id)

    def resume(results: Sequence[Any]) -> Decision:
        if exchange is not None and not context.has_servers:
            return answer(context, request, exchange)
        (reply,) = results
        if reply is None:
            raise _unknown(response_id)
        return endpoint_decision(reply)

    return Question((ForwardRequest(request, slot, response_id, context.session),), resume)


def find_stored(context: Context, response_id: str) -> StoredExchange | None:
    """Return the response with this id and its prompt, if this process stores it."""
    stored = context.stored.find(response_id, context.session)
    if stored is None:
        return None
    prompt = context.engine.table(RESPONSES).decode(stored.body)
    exchange = StoredExchange(stored, prompt)
    if prompt.body.get("store") is False:
        return None
    frames = _frames(context, exchange, NOT_STREAMED, NOTHING_ECHOED)  # the members may be large
    found = orjson.loads(b"".join(frames)).get("id")
    return exchange if found == response_id else None


def _unknown(response_id: str) -> RequestError:
    shown = redact_path(response_id)
    return RequestError(404, f"Response with id '{shown}' not found.", param="id")


# --- The answers ---------------------------------------------------------------------------------


def _retrieved(context: Context, request: Request, exchange: StoredExchange) -> Decision:
    query = _query(request)
    if query.get("stream") != "true":
        return _json(whole_body(context, exchange))
    if exchange.prompt.body.get("background") is not True:
        raise RequestError(
            400,
            "This response cannot be streamed because it was not created with background=true.",
            param="stream",
        )
    after = _number(query, "starting_after", -1)

    def frames() -> Iterator[bytes]:  # one event each, counted from 0
        return islice(_frames(context, exchange, STREAMED), after + 1, None)

    return endpoint_decision(Reply.lazy_stream(200, OPENAI.stream_headers, frames))


def _cancelled(context: Context, request: Request, exchange: StoredExchange) -> Decision:
    if exchange.prompt.body.get("background") is not True:
        raise RequestError(400, "Cannot cancel a synchronous response.")
    cancelled = exchange.stored._replace(cancelled=True)
    context.stored.append(cancelled)
    return _json(whole_body(context, exchange._replace(stored=cancelled)))


def _page_of_items(context: Context, request: Request, exchange: StoredExchange) -> Decision:
    query = _query(request)
    items = items_of(exchange.prompt.body["input"])
    places = range(len(items))
    if query.get("order") != "asc":
        places = places[::-1]
    after, start = query.get("after"), 0
    if after is not None:
        ids = (_filled(_item_id(items[place], place), exchange) for place in places)
        start = next((at for at, item_id in enumerate(ids, 1) if item_id == after), 0)
    limit = min(_number(query, "limit", ITEMS_PER_PAGE), MAX_PER_PAGE)
    shown = places[start : start + limit]
    page = _filled([complete_input_item(items[place], place) for place in shown], exchange)
    body = {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": start + limit < len(items),
    }
    return _json(jsontext.dumps(body))


def _filled(value: Any, exchange: StoredExchange) -> Any:
    """Return a JSON value with the values of the delivery in place of their placeholders."""
    return orjson.loads(placeholders.fill_fresh(jsontext.dumps(value), exchange.stored.fresh))


def whole_body(context: Context, exchange: StoredExchange) -> bytes:
    """Return the body of the response, not streamed."""
    return b"".join(_frames(context, exchange, NOT_STREAMED))


def _frames(
    context: Context,
    exchange: StoredExchange,
    options: ResponseOptions,
    echoed: Echoed | None = None,
) -> Iterator[bytes]:
    """Render the response again, frame by frame, with the values of its delivery, and what it
    repeats of its request, unless that is `echoed`."""
    stored, prompt = exchange
    response = _as_cancelled(stored.response) if stored.cancelled else stored.response
    answer = Answer(response, stored.chunk, stored.events)
    api = context.engine.table(RESPONSES).api
    reply = render(api, answer, options)
    input_tokens = tokens.estimate_prompt(prompt.body)
    if echoed is None:
        echoed = api.echo(prompt.body, None)
    filled = placeholders.fill(reply, model=prompt.model, input_tokens=input_tokens, echoed=echoed)
    for step in filled.steps:
        if step != PAUSE:
            yield placeholders.fill_fresh(step.data, stored.fresh)


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
