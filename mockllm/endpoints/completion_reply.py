"""Writes what Chat Completions mocks answer as a completion, whole or streamed (openai 3.54.0:
`Completion`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mockllm.endpoints.completion_request import MAX_PROMPTS_AT_ONCE, CompletionRequest
from mockllm.engine.decision import Answer
from mockllm.engine.pace import with_tokens
from mockllm.engine.rendering import MAX_STEPS_AT_ONCE
from mockllm.exchange import LazySteps, Reply, Step
from mockllm.pieces import Pieces
from mockllm.providers.counts import count
from mockllm.providers.envelope import body_reply
from mockllm.providers.openai import usage
from mockllm.providers.openai.chat.answer import USAGE as CHAT_USAGE
from mockllm.providers.openai.chat.answer import complete as complete_chat
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.speech import UNCUT, Speaker, measure, meter
from mockllm.wire import chunking, placeholders, sse, tokens
from mockllm.wire.chunking import Chunk

ID_LENGTH = 29  # characters after cmpl-
_FINISH_REASONS = ("stop", "length", "content_filter")


def _count_characters(event: dict[str, Any]) -> int:
    return sum(len(choice["text"]) for choice in event["choices"])


_SPEAKER = Speaker(
    complete=dict,
    events=lambda response, options, chunk: iter(()),
    frame=sse.frame,
    characters=_count_characters,
    is_thought=lambda event: False,
    output=CHAT_USAGE.output,
    reasoning="reasoning_tokens",
)


def choices_of(answers: Sequence[Answer]) -> Pieces[list[dict[str, Any]]]:
    """Return the choices of all `answers`, which are those of Chat Completions, in pieces."""
    choices: list[dict[str, Any]] = []
    for place, answer in enumerate(answers, 1):
        choices += _choices(complete_chat(answer.response), len(choices))
        if place % MAX_PROMPTS_AT_ONCE == 0:
            yield False
    return choices


def render(
    wanted: CompletionRequest, answers: Sequence[Answer], choices: list[dict[str, Any]]
) -> Reply:
    """Return the reply with the `choices` of all `answers`. The first answer's model, chunk and
    latency apply to all."""
    head = {
        "id": placeholders.fresh_id("cmpl-", ID_LENGTH, "completion"),
        "object": "text_completion",
        "created": placeholders.seconds_placeholder(),
        "model": answers[0].response.get("model", placeholders.model_placeholder()),
    }
    used = _usage(choices, answers)
    if wanted.stream:
        shown = used if wanted.include_usage else None
        output = None if answers[0].pace is None else count(used.get(CHAT_USAGE.output)) or 0
        reply = _stream(head, choices, answers[0].chunk, usage=shown, output=output)
    else:
        body = head | {"choices": choices, "usage": used}
        reply = body_reply(OPENAI.headers, body)
        if answers[0].pace is not None:
            reply = with_tokens(reply, count(used.get(CHAT_USAGE.output)) or 0)
    input_tokens = sum(map(tokens.estimate_value, wanted.prompts))
    return placeholders.fill(reply, model=wanted.model, input_tokens=input_tokens)


def _choices(chat: Mapping[str, Any], start: int) -> Iterator[dict[str, Any]]:
    """Yield the choices of a chat completion as choices of a completion, numbered from `start`."""
    choices = chat["choices"] if isinstance(chat["choices"], list) else []
    for index, choice in enumerate(choices, start):
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        finish = choice.get("finish_reason") if isinstance(choice, dict) else None
        yield {
            "text": content if isinstance(content, str) else "",
            "index": index,
            "logprobs": None,
            "finish_reason": finish if finish in _FINISH_REASONS else "stop",
        }


def _usage(choices: list[dict[str, Any]], answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the usage that the only mock writes, else an estimate."""
    written = answers[0].response.get("usage") if len(answers) == 1 else None
    if not isinstance(written, dict):
        written = {}
    said = sum(tokens.estimate(choice["text"]) for choice in choices)
    completed = usage.complete(written, CHAT_USAGE, usage.Output(said, 0))
    details = {f"{name}_details" for name in ("prompt_tokens", "completion_tokens")}
    return {
        name: value for name, value in completed.items() if name in written or name not in details
    }


def _stream(
    head: dict[str, Any],
    choices: list[dict[str, Any]],
    chunk: Chunk,
    *,
    usage: Any,
    output: int | None,
) -> Reply:
    """Return a stream of chunks: for each choice its text and its `finish_reason`, then the usage
    and ``[DONE]``. A long one is generated while it is sent. With `output`, its steps have so many
    tokens.

    Like the service, chunks of text have ``"finish_reason": null``, which openai 3.54.0 does not
    declare, so strict clients reject the streams of both.
    """
    rest = {} if usage is None else {"usage": None}

    def events(cut: Chunk) -> Iterator[dict[str, Any]]:
        for choice in choices:
            for text in chunking.split(choice["text"], cut):
                yield head | {"choices": [choice | _piece(text)]} | rest
            yield head | {"choices": [choice | {"text": ""}]} | rest
        if usage is not None:
            yield head | {"choices": [], "usage": usage}

    def frames() -> Iterator[bytes]:
        yield from map(sse.frame, events(chunk))
        yield sse.DONE

    def steps() -> Iterator[Step]:
        speech = measure(_SPEAKER, events(UNCUT), output)
        yield from meter(_SPEAKER, events(chunk), speech)
        yield Step((sse.DONE,))

    reply = Reply.lazy_stream(200, OPENAI.stream_headers, frames)
    if output is not None:
        reply = replace(reply, steps=LazySteps(steps))
    return reply.at_once(MAX_STEPS_AT_ONCE)


def _piece(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": None}
