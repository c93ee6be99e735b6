"""Responses that were given, asked for again: GET and DELETE /v1/responses/{id}, its input items,
its cancellation (openai 3.54.0: `client.responses`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from mockllm.endpoints.route import RESPONSES, Context, endpoint_decision
from mockllm.engine.decision import Answer, Decision, ForwardRequest, Question
from mockllm.engine.sources import render
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.prompt import NOT_STREAMED, STREAMED, Prompt, ResponseOptions
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.state.responses import StoredResponse, slot_of
from mockllm.wire import jsontext, placeholders, tokens

ITEM_ID_LENGTH = 48
ITEMS_PER_PAGE = 20
MAX_PER_PAGE = 100


class Given(NamedTuple):
    """A response that was given, and what was asked."""

    stored: StoredResponse
    prompt: Prompt


def retrieve(context: Context, request: Request, values: Values) -> Decision | Question:
    """The response, byte for byte as it was given whole. As a stream (``?stream=true``) only if it
    was made in the background, as the service wants it."""
    return _about(context, request, values["id"], _retrieved)


def delete(context: Context, request: Request, values: Values) -> Decision | Question:
    """Forget the response."""

    def deleted(context: Context, request: Request, given: Given) -> Decision:
        context.stored.remove(given.stored)
        body = {"id": values["id"], "object": "response", "deleted": True}
        return _json(jsontext.dumps(body))

    return _about(context, request, values["id"], deleted)


def cancel(context: Context, request: Request, values: Values) -> Decision | Question:
    """The response as cancelled, which only one made in the background can be."""
    return _about(context, request, values["id"], _cancelled)


def input_items(context: Context, request: Request, values: Values) -> Decision | Question:
    """A page of what was asked, the last item first unless ``order=asc``."""
    return _about(context, request, values["id"], _page_of_items)


# --- Finding it ----------------------------------------------------------------------------------


def _about(
    context: Context,
    request: Request,
    response_id: str,
    answer: Callable[[Context, Request, Given], Decision],
) -> Decision | Question:
    """The `answer` about the response of this id; where another worker gave it, that one's."""
    given = _find(context, response_id)
    if given is not None:
        return answer(context, request, given)
    slot = slot_of(response_id)
    if not context.may_ask(slot):
        raise _unknown(response_id)

    def resume(answers: Sequence[Any]) -> Decision:
        (reply,) = answers
        if reply is None:
            raise _unknown(response_id)
        return endpoint_decision(reply)

    return Question((ForwardRequest(request, slot),), resume)


def _find(context: Context, response_id: str) -> Given | None:
    """The response of this id and what was asked, if this process gave it."""
    stored = context.stored.find(response_id)
    if stored is None:
        return None
    prompt = context.engine.table(RESPONSES).decode(stored.body)
    given = Given(stored, prompt)
    if prompt.body.get("store") is False:
        return None
    found = orjson.loads(_whole(context, given)).get("id")
    return given if found == response_id else None


def _unknown(response_id: str) -> RequestError:
    return RequestError(404, f"Response with id '{response_id}' not found.", param="id")


# --- The answers ---------------------------------------------------------------------------------


def _retrieved(context: Context, request: Request, given: Given) -> Decision:
    query = _query(request)
    if query.get("stream") != "true":
        return _json(_whole(context, given))
    if given.prompt.body.get("background") is not True:
        raise RequestError(
            400,
            "This response cannot be streamed because it was not created with background=true.",
            param="stream",
        )
    after = _number(query, "starting_after", -1)
    frames = _frames(context, given, STREAMED)[after + 1 :]  # one event a frame, numbered from 0
    return endpoint_decision(Reply.stream(200, OPENAI.stream_headers, frames))


def _cancelled(context: Context, request: Request, given: Given) -> Decision:
    if given.prompt.body.get("background") is not True:
        raise RequestError(400, "Cannot cancel a synchronous response.")
    cancelled = given.stored._replace(cancelled=True)
    context.stored.append(cancelled)
    return _json(_whole(context, given._replace(stored=cancelled)))


def _page_of_items(context: Context, request: Request, given: Given) -> Decision:
    query = _query(request)
    completed = [_item(item, at) for at, item in enumerate(_items(given.prompt.body["input"]))]
    text = placeholders.fill_fresh(jsontext.dumps(completed), given.stored.fresh)
    items = orjson.loads(text)
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
    return _json(jsontext.dumps(body))


def _whole(context: Context, given: Given) -> bytes:
    body = b"".join(_frames(context, given, NOT_STREAMED))
    if not given.stored.cancelled:
        return body
    return jsontext.dumps(orjson.loads(body) | {"status": "cancelled"})


def _frames(context: Context, given: Given, options: ResponseOptions) -> list[bytes]:
    """The steps of the reply as it was delivered, rendered again."""
    stored, prompt = given
    answer = Answer(stored.response, stored.chunk, stored.events)
    reply = render(context.engine.table(RESPONSES).api, answer, options)
    input_tokens = tokens.estimate_prompt(prompt.body)
    filled = placeholders.fill(reply, model=prompt.model, input_tokens=input_tokens)
    return [placeholders.fill_fresh(step.data, stored.fresh) for step in filled.steps]


def _json(body: bytes) -> Decision:
    return endpoint_decision(Reply.whole(200, OPENAI.headers, body))


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
