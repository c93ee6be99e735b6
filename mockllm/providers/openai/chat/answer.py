"""Completes configured chat completions (openai 3.54.0: `ChatCompletion`).

Written members are served as written, whatever their type; missing ones are filled in, in the
service's order. It does not know how an answer is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from mockllm.providers.members import fill_in
from mockllm.providers.openai import service_tier
from mockllm.providers.openai.chat.deltas import REASONING
from mockllm.wire import placeholders, tokens

ID_LENGTH = 29  # characters after chatcmpl-
CALL_ID_LENGTH = 24  # characters after call_

_MAX_COUNT = 2**53  # up to here every JSON reader counts exactly


def complete(response: dict[str, Any]) -> dict[str, Any]:
    """Fill in the missing members of a configured response; completing it again changes nothing.

    Filled in: `id`, `object`, `created`, `model`, one choice where there is no `choices`, `usage`,
    `service_tier`, `system_fingerprint` null; per choice `index`, `message`, `logprobs` null,
    `finish_reason`; per message `role`, `content` null, `refusal` null, `annotations`; per tool
    call `id`, `type` and its arguments. Written members stay, also an explicit null or
    ``"object": "chat.completion.tool_message"``.
    """
    head: dict[str, Any] = {
        "id": placeholders.fresh_id("chatcmpl-", ID_LENGTH, "chat completion"),
        "object": "chat.completion",
        "created": placeholders.seconds_placeholder(),
        "model": placeholders.model_placeholder(),
        "choices": [{}],
    }
    tail: dict[str, Any] = {
        "usage": {},
        service_tier.NAME: placeholders.echo_placeholder(service_tier.NAME, service_tier.DEFAULT),
        "system_fingerprint": None,
    }
    completed = fill_in(response, head, followed_by=())
    completed.setdefault("usage", {})
    completed = fill_in(completed, tail, followed_by=())
    choices = completed["choices"]
    if isinstance(choices, list):
        completed["choices"] = [_choice(choice, index) for index, choice in enumerate(choices)]
    if isinstance(completed["usage"], dict):
        completed["usage"] = _usage(completed["usage"], *_estimates(choices))
    return completed


def text_response(text: str) -> dict[str, Any]:
    """The smallest response whose text is `text`."""
    return {"choices": [{"message": {"content": text}}]}


def _choice(choice: Any, index: int) -> Any:
    if not isinstance(choice, dict):
        return choice
    message = choice.get("message", {})
    if isinstance(message, dict):
        message = _message(message, f"choice {index}")
    missing = {"index": index, "message": message, "logprobs": None}
    completed = fill_in(
        choice, {**missing, "finish_reason": _finish_reason(message)}, followed_by=()
    )
    return completed | {"message": message}


def _message(message: dict[str, Any], place: str) -> dict[str, Any]:
    opened = fill_in(message, {"role": "assistant", "content": None})
    missing: dict[str, Any] = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
    }
    completed = fill_in(opened, missing, followed_by=("audio", "function_call"))
    match message.get("tool_calls"):
        case [*calls]:
            completed["tool_calls"] = [
                _tool_call(call, f"{place} call {index}") for index, call in enumerate(calls)
            ]
    match message.get("function_call"):
        case dict(call):
            completed["function_call"] = fill_in(call, {"arguments": "{}"}, followed_by=())
    return completed


def _tool_call(call: Any, place: str) -> Any:
    """A call, with empty arguments if it has none: clients parse them as JSON without a check."""
    if not isinstance(call, dict):
        return call
    call_id = placeholders.fresh_id("call_", CALL_ID_LENGTH, place)
    kind = "custom" if "custom" in call else "function"
    completed = fill_in(call, {"id": call_id, "type": kind}, followed_by=("function", "custom"))
    match completed:
        case {"type": "function", "function": dict(function)}:
            completed["function"] = fill_in(function, {"arguments": "{}"}, followed_by=())
        case {"type": "custom", "custom": dict(custom)}:
            completed["custom"] = fill_in(custom, {"input": ""}, followed_by=())
    return completed


def _finish_reason(message: Any) -> str:
    match message:
        case {"tool_calls": [_, *_]}:
            return "tool_calls"
        case {"function_call": dict()}:
            return "function_call"
        case _:
            return "stop"


def _usage(written: dict[str, Any], reasoning: int, said: int) -> dict[str, Any]:
    """`written` with the three required counts (`CompletionUsage`) and their details; `reasoning`
    and `said` are the estimated tokens of the output."""
    output = reasoning + said
    if "completion_tokens" in written:
        reasoning = 0  # its share of the author's number is unknown
    prompt = written.get("prompt_tokens")
    completion = written.get("completion_tokens", output)
    counted = completion if _is_count(completion) else 0
    total = prompt + counted if _is_count(prompt) else placeholders.tokens_placeholder(counted)
    missing = {
        "prompt_tokens": placeholders.tokens_placeholder(),
        "completion_tokens": output,
        "total_tokens": total,
    }
    details = _details(reasoning)
    completed = fill_in(written, missing | details, followed_by=())
    for name, counts in details.items():
        if isinstance(completed[name], dict):
            completed[name] = fill_in(completed[name], counts, followed_by=())
    return completed


def _details(reasoning: int) -> dict[str, Any]:
    """The details that the service adds to the counts."""
    return {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value < _MAX_COUNT


def _estimates(choices: Any) -> tuple[int, int]:
    """The estimated tokens of the choices' reasoning, and those of their texts and calls."""
    reasoning = said = 0
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        reasoning += sum(map(tokens.estimate, filter(_is_text, _reasoning(message))))
        said += sum(map(tokens.estimate, filter(_is_text, _texts(message))))
    return reasoning, said


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _reasoning(message: Any) -> Iterator[Any]:
    """The reasoning of a message, once where it is in several members."""
    if isinstance(message, dict):
        yield next((message[name] for name in REASONING if message.get(name)), None)


def _texts(message: Any) -> Iterator[Any]:
    """The members of a message that count as output; they may be of any type."""
    if not isinstance(message, dict):
        return
    yield message.get("content")
    yield message.get("refusal")
    match message.get("audio"):
        case {"transcript": transcript}:
            yield transcript
    match message.get("function_call"):
        case dict(call):
            yield from call.values()
    match message.get("tool_calls"):
        case [*calls]:
            for call in calls:
                yield from _texts_of_call(call)


def _texts_of_call(call: Any) -> Iterator[Any]:
    match call:
        case {"function": dict(body)} | {"custom": dict(body)}:
            yield from body.values()
