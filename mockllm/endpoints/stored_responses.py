"""Responses that were given, asked for again: GET and DELETE /v1/responses/{id}, its input items,
its cancellation (openai 3.54.0: `client.responses`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from mockllm.endpoints.route import RESPONSES, Context, endpoint_decision
from mockllm.engine.decision import Decision
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.state.responses import StoredResponse
from mockllm.wire import jsontext, placeholders, tokens

ITEM_ID_LENGTH = 48
ITEMS_PER_PAGE = 20
MAX_PER_PAGE = 100


def retrieve(context: Context, request: Request, values: Values) -> Decision:
    """The response, byte for byte as it was given whole. As a stream (``?stream=true``) only if it
    was made in the background, as the service wants it."""
    stored, prompt = _find(context, values["id"])
    query = _query(request)
    if query.get("stream") != "true":
        return _answered(_whole(context, stored, prompt))
    if prompt.body.get("background") is not True:
        raise RequestError(
            400,
            "This response cannot be streamed because it was not created with background=true.",
            param="stream",
        )
    reply = _given(context, stored, prompt, ResponseOptions(stream=True))
    after = _number(query, "starting_after", -1)
    steps = reply.steps[after + 1 :]  # one event a step, numbered from 0
    streamed = placeholders.stream(200, OPENAI.stream_headers, [step.data for step in steps])
    return endpoint_decision(streamed)


def delete(context: Context, request: Request, values: Values) -> Decision:
    """The response is not known any more."""
    stored, _ = _find(context, values["id"])
    context.stored.remove(stored)
    body = {"id": values["id"], "object": "response", "deleted": True}
    return _answered(jsontext.dumps(body))


def cancel(context: Context, request: Request, values: Values) -> Decision:
    """The response as cancelled, which only one made in the background can be."""
    stored, prompt = _find(context, values["id"])
    if prompt.body.get("background") is not True:
        raise RequestError(400, "Cannot cancel a synchronous response.")
    cancelled = stored._replace(cancelled=True)
    context.stored.remove(stored)
    context.stored.append(cancelled)
    return _answered(_whole(context, cancelled, prompt))


def input_items(context: Context, request: Request, values: Values) -> Decision:
    """A page of what was asked, the last item first unless ``order=asc``."""
    stored, prompt = _find(context, values["id"])
    query = _query(request)
    marked = [_item(item, index) for index, item in enumerate(_items(prompt.body["input"]))]
    items = orjson.loads(placeholders.fill_fresh(jsontext.dumps(marked), stored.fresh))
    if query.get("order") != "asc":
        items.reverse()
    after = query.get("after")
    start = next((at for at, item in enumerate(items, 1) if item.get("id") == after), 0)
    limit = min(_number(query, "limit", ITEMS_PER_PAGE), MAX_PER_PAGE)
    page = items[start : start + limit]
    body = {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": start + limit < len(items),
    }
    return _answered(jsontext.dumps(body))


# --- What was given ------------------------------------------------------------------------------


def _find(context: Context, id: str) -> tuple[StoredResponse, Prompt]:  # noqa: A002  # the API's word
    """The last answer that bore `id`, and what was asked."""
    table = context.engine.table(RESPONSES)
    for stored in context.stored:
        configured = table.mocks[stored.rule.index].answer.get("id") if stored.rule else None
        if id == configured or (configured is None and stored.fresh.unique_id.decode() in id):
            prompt = table.read(stored.body)
            if prompt.body.get("store") is False:
                continue
            if orjson.loads(_whole(context, stored, prompt)).get("id") == id:
                return stored, prompt
    raise RequestError(404, f"Response with id '{id}' not found.", param="id")


def _whole(context: Context, stored: StoredResponse, prompt: Prompt) -> bytes:
    body = _given(context, stored, prompt, ResponseOptions()).body
    if not stored.cancelled:
        return body
    return jsontext.dumps(orjson.loads(body) | {"status": "cancelled"})


def _given(
    context: Context, stored: StoredResponse, prompt: Prompt, options: ResponseOptions
) -> Reply:
    """The reply as it was delivered, in that form."""
    table = context.engine.table(RESPONSES)
    if stored.rule is not None:
        reply = table.render(stored.rule.index, options)
    else:
        said = context.engine.echo(prompt) if context.engine.echo is not None else ""
        reply = table.api.render(table.api.text_response(said), options, table.chunk)
    filled = placeholders.fill(
        reply, model=prompt.model, input_tokens=tokens.estimate_prompt(prompt.body)
    )
    frames = [placeholders.fill_fresh(step.data, stored.fresh) for step in filled.steps]
    return placeholders.stream(200, (), frames)


def _answered(body: bytes) -> Decision:
    return endpoint_decision(placeholders.whole(200, OPENAI.headers, body))


# --- What was asked ------------------------------------------------------------------------------


def _items(value: str | list[Any]) -> list[Any]:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _item(item: Mapping[str, Any], index: int) -> dict[str, Any]:
    """An input item as the service gives it back: with an id, a message's text in a part."""
    kind = item.get("type") or "message"
    prefix = "msg_" if kind == "message" else "item_"
    made = placeholders.fresh_id(prefix, ITEM_ID_LENGTH, f"input.{index}")
    given = {name: member for name, member in item.items() if member is not None}
    known: dict[str, Any] = {"id": made, "type": kind, "status": "completed"}
    if isinstance(given.get("content"), str):
        part = "output_text" if given.get("role") == "assistant" else "input_text"
        given["content"] = [{"type": part, "text": given["content"]}]
    if given.get("role") == "assistant" and isinstance(given.get("content"), list):
        given["content"] = [_written(part) for part in given["content"]]
    return known | given


def _written(part: Any) -> Any:
    """A part of a message that a model wrote, with what a client may leave out of an echo."""
    if isinstance(part, dict) and part.get("type") == "output_text":
        return {"annotations": [], "logprobs": []} | part
    return part


# --- What is wanted of it ------------------------------------------------------------------------


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.query).items()}


def _number(query: Mapping[str, str], name: str, absent: int) -> int:
    text = query.get(name)
    if text is None:
        return absent
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise RequestError(400, f"{name}: expected a whole number, found {text!r}", param=name)
    return int(text)
