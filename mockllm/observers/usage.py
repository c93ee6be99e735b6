"""The numbers of tokens of an exchange, as the `usage` of an answer that is not streamed says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mockllm.engine.decision import Answer
from mockllm.prompt import NOT_STREAMED, Prompt
from mockllm.providers.api import API
from mockllm.providers.counts import count, sum_counts
from mockllm.replies.prepared import PreparedReply
from mockllm.wire import jsontext, tokens
from mockllm.wire.placeholders import FreshValues, fill_fresh

_INPUT = ("prompt_tokens", "input_tokens")
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")
"""Tokens of the prompt that Messages does not count as `input_tokens`."""
_OUTPUT = ("completion_tokens", "output_tokens")
MAX_PREPARED = 256  # answers
MAX_TOKENS = 1_000_000_000
"""Of a prompt or an answer, more than any has: a sum of 64 bits has room for 18 billion of them."""
_prepared: dict[tuple[str, int], tuple[Any, PreparedReply]] = {}
"""Answers of mocks, each with what tells it from a later one at its address, as rendered."""
_new = tuple.__new__  # half the time of the class's own constructor
_ANY_DELIVERY = FreshValues(b"0" * 20, b"1" * 10, b"Thu, 01 Jan 1970 00:00:00 GMT")


class TokenCounts(NamedTuple):
    """The tokens of a prompt and of its answer."""

    input: int = 0
    output: int = 0


def count_tokens(api: API, prompt: Prompt, answer: Answer | None) -> TokenCounts:
    """Return the tokens in the `usage` of `answer`; without one, the estimate of the prompt's."""
    if answer is None:
        return TokenCounts(tokens.estimate_prompt(prompt.body))
    prepared = _prepare(api, answer)
    reply, _ = prepared.for_request(prompt.model, prompt.body)
    usage = _member(jsontext.loads(fill_fresh(reply.body, _ANY_DELIVERY)), "usage")
    if not isinstance(usage, dict):
        return TokenCounts()
    cached = sum_counts(map(usage.get, _CACHED))
    return TokenCounts((_first(usage, _INPUT) or 0) + cached, _first(usage, _OUTPUT) or 0)


class AnswerUsage(NamedTuple):
    """The tokens of an answer, at most `MAX_TOKENS`. Without `has_input`, the response does not say
    how many it has of the prompt: they depend on the request. `is_truncated` if it ended at a limit
    of tokens."""

    input: int
    output: int
    has_input: bool = False
    is_truncated: bool = False


def read_counts(api: API, response: dict[str, Any]) -> AnswerUsage:
    """Return the tokens of a configured response, as those in its `usage`."""
    if api.speaker is None:
        return read_complete_counts(response)
    return read_complete_counts(api.speaker.complete(response))


def read_complete_counts(response: Mapping[str, Any]) -> AnswerUsage:
    """Return the tokens of a complete response, as those in its `usage`. What is usual in one that
    is made for a request calls no functions (`Meter._look_at`)."""
    get = response.get
    usage, choices, incomplete = get("usage"), get("choices"), get("incomplete_details")
    first = choices[0] if isinstance(choices, list) and choices else None
    is_truncated: bool = (
        get("stop_reason") == "max_tokens"
        or (isinstance(first, dict) and first.get("finish_reason") == "length")
        or (isinstance(incomplete, dict) and incomplete.get("reason") == "max_output_tokens")
    )
    if not isinstance(usage, dict):
        return _new(AnswerUsage, (0, 0, False, is_truncated))
    output = usage.get("completion_tokens" if "completion_tokens" in usage else "output_tokens")
    if type(output) is not int or not 0 <= output <= MAX_TOKENS:
        output = min(_first(usage, _OUTPUT) or 0, MAX_TOKENS)
    for name in _INPUT:
        if isinstance(usage.get(name), int) and (prompt := _first(usage, _INPUT)) is not None:
            prompt += sum_counts(map(usage.get, _CACHED))
            return _new(AnswerUsage, (min(prompt, MAX_TOKENS), output, True, is_truncated))
    return _new(AnswerUsage, (0, output, False, is_truncated))


def _prepare(api: API, answer: Answer) -> PreparedReply:
    """Return an answer as it is rendered once for all requests. Those of mocks are kept: to render
    one takes half the time of telling a call."""
    key = (api.name, id(answer.response))
    known = _prepared.get(key)
    if known is not None and known[0] is answer.response:
        return known[1]
    prepared = PreparedReply(api.render(answer.response, NOT_STREAMED, answer.chunk), api.echo)
    if answer.number is not None:
        if len(_prepared) >= MAX_PREPARED:
            _prepared.clear()
        _prepared[key] = answer.response, prepared
    return prepared


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first of the members that is a number of tokens; None if there is none."""
    for name in names:
        if name in usage:
            number = count(usage[name])
            if number is not None:
                return number
    return None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
