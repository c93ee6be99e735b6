"""Completes configured chat completions (openai 3.54.0: `ChatCompletion`).

Written members are served as written, whatever their type; missing ones are filled in, in the
service's order. It does not know how an answer is sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from mockllm.pieces import AT_ONCE, Pieces, drain
from mockllm.providers.completed import CompletedParts, CompletedResponse, is_long
from mockllm.providers.counts import indices
from mockllm.providers.members import fill_in
from mockllm.providers.openai import service_tier, usage
from mockllm.providers.openai.chat.logprobs import spell
from mockllm.providers.openai.chat.texts import REASONING
from mockllm.providers.openai.usage import Output, UsageNames
from mockllm.wire import placeholders, tokens

ID_LENGTH = 29  # characters after chatcmpl-
CALL_ID_LENGTH = 24  # characters after call_

_SAID = ("content", "refusal", "audio", "function_call", "tool_calls")

USAGE = UsageNames(
    input="prompt_tokens",
    output="completion_tokens",
    members=(
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("prompt_tokens_details", "completion_tokens_details"),
    ),
    input_details=("cached_tokens", "audio_tokens"),
    output_details=(
        *("reasoning_tokens", "audio_tokens"),
        *("accepted_prediction_tokens", "rejected_prediction_tokens"),
    ),
    followed_by=(),
)


def complete(response: dict[str, Any]) -> dict[str, Any]:
    """Fill in the missing members of a configured response; completing it again changes nothing.

    Filled in: `id`, `object`, `created`, `model`, one choice where there is no `choices`, `usage`,
    `service_tier`, `system_fingerprint` null; per choice `index`, `message`, `logprobs` null,
    `finish_reason`; per message `role`, `content` null, `refusal` null, `annotations`; per tool
    call `id`, `type` and its arguments. Written members stay, also an explicit null or
    ``"object": "chat.completion.tool_message"``.
    """
    if type(response) is CompletedResponse:
        return response
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
    if isinstance(choices, list) and type(choices) is not CompletedParts:
        completed["choices"] = list(map(_choice, choices, itertools.count(), indices(choices)))
    if isinstance(completed["usage"], dict):
        completed["usage"] = usage.complete(
            completed["usage"], USAGE, _count_output(completed["choices"])
        )
    return completed


def complete_in_pieces(response: dict[str, Any]) -> Pieces[CompletedResponse]:
    """Do what `complete` does, with pauses if there are many choices or calls."""
    choices = response.get("choices")
    if isinstance(choices, list):
        opened: list[Any] = []
        for place, choice in enumerate(choices):
            opened.append((yield from _with_completed_calls(choice, f"choice {place}")))
            if place % AT_ONCE == AT_ONCE - 1:
                yield False
        if is_long(choices):
            numbers = itertools.count()
            opened = yield from drain(map(_choice, opened, numbers, indices(opened)))
            messages = [choice.get("message") for choice in opened if isinstance(choice, dict)]
            said = yield from drain(map(_count_said, messages))
            thought = yield from drain(map(_count_reasoning, messages))
            opened = CompletedParts(opened, sum(said), sum(thought))
        response = response | {"choices": opened}
    return CompletedResponse(complete(response))


def text_response(text: str) -> dict[str, Any]:
    """The smallest response whose text is `text`."""
    return {"choices": [{"message": {"content": text}}]}


def _choice(choice: Any, place: int, index: int) -> Any:
    if not isinstance(choice, dict):
        return choice
    message = choice.get("message", {})
    if isinstance(message, dict):
        if not any(map(message.get, _SAID)):
            message = _spelled(choice.get("logprobs")) | message
        message = _message(message, f"choice {place}")
    missing = {"index": index, "message": message, "logprobs": None}
    completed = fill_in(
        choice, {**missing, "finish_reason": _finish_reason(message)}, followed_by=()
    )
    return completed | {"message": message}


def _with_completed_calls(choice: Any, place: str) -> Pieces[Any]:
    """A choice whose calls are completed if there are many, with pauses."""
    message = choice.get("message") if isinstance(choice, dict) else None
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(calls, list) or not is_long(calls):
        return choice
    places = (f"{place} call {index}" for index in itertools.count())
    completed = yield from drain(map(_tool_call, calls, places))
    said = yield from drain(map(_count_call, completed))
    return choice | {"message": message | {"tool_calls": CompletedParts(completed, sum(said))}}


def _spelled(logprobs: Any) -> dict[str, str]:
    """The texts of a message that its logprobs spell."""
    texts = {}
    for name in ("content", "refusal"):
        tokens = logprobs.get(name) if isinstance(logprobs, dict) else None
        spelled = spell(tokens) if isinstance(tokens, list) else None
        if spelled:
            texts[name] = b"".join(spelled).decode("utf-8", "replace")
    return texts


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
        case CompletedParts():
            pass
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


def _count_output(choices: Any) -> Output:
    """The estimated tokens of the choices' texts and calls, and of their reasoning."""
    if isinstance(choices, CompletedParts):
        return Output(choices.said, choices.thought)
    if not isinstance(choices, list):
        return Output(0, 0)
    messages = [choice.get("message") for choice in choices if isinstance(choice, dict)]
    return Output(sum(map(_count_said, messages)), sum(map(_count_reasoning, messages)))


def _count_said(message: Any) -> int:
    """The estimated tokens of a message's texts and calls."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    known = calls.said if isinstance(calls, CompletedParts) else 0
    return known + _estimate(_texts(message))


def _count_call(call: Any) -> int:
    return _estimate(_texts_of_call(call))


def _estimate(texts: Iterable[Any]) -> int:
    return sum(tokens.estimate(text) for text in texts if isinstance(text, str))


def _count_reasoning(message: Any) -> int:
    """The estimated tokens of a message's reasoning, which some services write twice."""
    if not isinstance(message, dict):
        return 0
    texts = (message.get(name) for name in REASONING)
    return max((tokens.estimate(text) for text in texts if isinstance(text, str)), default=0)


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
        case CompletedParts():
            pass  # they are counted
        case [*calls]:
            for call in calls:
                yield from _texts_of_call(call)


def _texts_of_call(call: Any) -> Iterator[Any]:
    match call:
        case {"function": dict(body)} | {"custom": dict(body)}:
            yield from body.values()
