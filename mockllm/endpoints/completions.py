"""POST /v1/completions, the API before Chat Completions (openai 3.54.0: `Completion`).

It has no mocks of its own: the Chat Completions mocks answer, with the prompt as the user's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockllm.endpoints.route import CHAT, Context
from mockllm.engine.decision import Decision
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.providers import request_body
from mockllm.providers.openai.chat.answer import complete as complete_chat
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import Values
from mockllm.wire import chunking, jsontext, placeholders, sse, tokens
from mockllm.wire.chunking import Chunk

ID_LENGTH = 29  # characters after cmpl-
MAX_PROMPTS = 128  # of one request; each is matched, and has a choice in the answer

_FINISHES = ("stop", "length", "content_filter")


def complete(context: Context, request: Request, values: Values) -> Decision:
    """The texts of the mocks that match the prompts; of several prompts the choices in order."""
    members = request_body.read_object(request.body)
    model = request_body.read_model(members)
    prompts = _prompts(members)
    stream = request_body.read_flag(members, "stream")
    options = request_body.read_object_member(members, "stream_options")
    usage = request_body.read_flag(options, "include_usage", "stream_options.include_usage")
    choices: list[dict[str, Any]] = []
    first: tuple[Decision, dict[str, Any]] | None = None
    table = context.engine.table(CHAT)
    for prompt in prompts:
        asked = _asked(context, request, model, prompt)
        decision = context.engine.decide(table, asked)
        response = _response(context, asked, decision)
        if response is None:
            return decision  # its refusal is ours
        first = first or (decision, response)
        choices += _choices(complete_chat(response), len(choices))
    assert first is not None  # there is a prompt
    decision, response = first
    head = {
        "id": placeholders.fresh_id("cmpl-", ID_LENGTH, "completion"),
        "object": "text_completion",
        "created": placeholders.seconds_placeholder(),
        "model": response.get("model", placeholders.model_placeholder()),
    }
    if stream:
        chunk = _chunk(context, decision)
        reply = _stream(head, choices, chunk, usage=_usage(choices) if usage else None)
    else:
        body = head | {"choices": choices, "usage": _usage(choices)}
        reply = placeholders.whole(200, OPENAI.headers, jsontext.dumps(body))
    input_tokens = sum(map(tokens.estimate, prompts))
    return decision._replace(
        reply=placeholders.fill(reply, model=model, input_tokens=input_tokens), ready=None
    )


def _prompts(members: Mapping[str, Any]) -> list[str]:
    match members.get("prompt"):
        case None:
            raise request_body.missing("prompt")
        case str() as prompt:
            return [prompt]
        case [*prompts] if prompts and all(isinstance(prompt, str) for prompt in prompts):
            if len(prompts) > MAX_PROMPTS:
                expected = f"at most {MAX_PROMPTS} strings, found {len(prompts):,}"
                raise RequestError(400, f"prompt: expected {expected}", param="prompt")
            return prompts
        case other:
            raise request_body.bad(
                "prompt", "a string or a list of strings; token arrays are not supported", other
            )


# --- Chat Completions' answer ---------------------------------------------------------------------


def _asked(context: Context, request: Request, model: str, prompt: str) -> Request:
    """A request to Chat Completions with the prompt as the user's message."""
    path = context.engine.table(CHAT).api.routes[0]
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    return request._replace(path=path, body=jsontext.dumps(body))


def _response(context: Context, asked: Request, decision: Decision) -> dict[str, Any] | None:
    """The response that was decided on; None for a refusal."""
    table = context.engine.table(CHAT)
    if decision.rule is not None:
        return table.mocks[decision.rule.index].answer
    if decision.reason == "echo" and context.engine.echo is not None:
        return table.api.text_response(context.engine.echo(table.read(asked.body)))
    return None


def _chunk(context: Context, decision: Decision) -> Chunk:
    table = context.engine.table(CHAT)
    return table.chunk if decision.rule is None else table.chunk_of(decision.rule.index)


# --- As a completion -----------------------------------------------------------------------------


def _choices(chat: Mapping[str, Any], start: int) -> Iterator[dict[str, Any]]:
    """The choices of a chat completion as those of a completion, numbered from `start`."""
    choices = chat["choices"] if isinstance(chat["choices"], list) else []
    for index, choice in enumerate(choices, start):
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        finish = choice.get("finish_reason") if isinstance(choice, dict) else None
        yield {
            "text": content if isinstance(content, str) else "",
            "index": index,
            "logprobs": None,
            "finish_reason": finish if finish in _FINISHES else "stop",
        }


def _usage(choices: list[dict[str, Any]]) -> dict[str, Any]:
    written = sum(tokens.estimate(choice["text"]) for choice in choices)
    return {
        "prompt_tokens": placeholders.tokens_placeholder(),
        "completion_tokens": written,
        "total_tokens": placeholders.tokens_placeholder(written),
    }


def _stream(
    head: dict[str, Any], choices: list[dict[str, Any]], chunk: Chunk, *, usage: Any
) -> Reply:
    """Chunks of text, for each choice one more with its `finish_reason`, the usage, ``[DONE]``.

    The service writes ``"finish_reason": null`` until then, which openai 3.54.0 does not declare:
    a strict client refuses it, ours as the service's.
    """
    chunks: list[dict[str, Any]] = []
    for choice in choices:
        pieces = chunking.split(choice["text"], chunk)
        chunks += [head | {"choices": [choice | _piece(text)]} for text in pieces]
        chunks.append(head | {"choices": [choice | {"text": ""}]})
    if usage is not None:
        chunks = [each | {"usage": None} for each in chunks]
        chunks.append(head | {"choices": [], "usage": usage})
    frames = [*map(sse.frame, chunks), sse.DONE]
    return placeholders.stream(200, OPENAI.stream_headers, frames)


def _piece(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": None}
