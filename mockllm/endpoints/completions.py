"""POST /v1/completions, the API before Chat Completions (openai 3.54.0: `Completion`).

It has no mocks of its own: the Chat Completions mocks answer, with the prompt as the user's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockllm.endpoints.route import CHAT, Context, endpoint_decision
from mockllm.engine.decision import Answer, Decision, Outcome
from mockllm.engine.engine import Selection
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.prompt import Prompt
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
    answers: list[Answer] = []
    choices: list[dict[str, Any]] = []
    first: Selection | None = None
    for text in prompts:
        prompt = _as_chat(context, model, text)
        found = context.engine.match(context.engine.table(CHAT), prompt, request.first_values)
        if isinstance(found, RequestError):
            reply = OPENAI.render_error(found, {})
            return endpoint_decision(reply, prompt, outcome=Outcome.UNMATCHED)
        first = first or found
        answers.append(found.source.answer(prompt))
        choices += _choices(complete_chat(answers[-1].response), len(choices))
    assert first is not None  # there is a prompt
    head = {
        "id": placeholders.fresh_id("cmpl-", ID_LENGTH, "completion"),
        "object": "text_completion",
        "created": placeholders.seconds_placeholder(),
        "model": answers[0].response.get("model", placeholders.model_placeholder()),
    }
    if stream:
        chunk = answers[0].chunk
        reply = _stream(head, choices, chunk, usage=_usage(choices) if usage else None)
    else:
        body = head | {"choices": choices, "usage": _usage(choices)}
        reply = Reply.whole(200, OPENAI.headers, jsontext.dumps(body))
    input_tokens = sum(map(tokens.estimate, prompts))
    filled = placeholders.fill(reply, model=model, input_tokens=input_tokens)
    return endpoint_decision(filled, prompt, outcome=first.source.outcome, rule=first.rule)


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


def _as_chat(context: Context, model: str, text: str) -> Prompt:
    """The prompt of a Chat Completions request in which the user says `text`."""
    table = context.engine.table(CHAT)
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    prompt = table.decode(jsontext.dumps(body))
    table.validate(prompt)
    return prompt


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
    return Reply.stream(200, OPENAI.stream_headers, frames)


def _piece(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": None}
