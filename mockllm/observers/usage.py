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
    cached = sum_counts(_member(usage, name) for name in _CACHED)
    return TokenCounts(_first(usage, _INPUT) + cached, _first(usage, _OUTPUT))


class Counts(NamedTuple):
    """The tokens of an answer, at most `MAX_TOKENS`. Without `has_input`, the response does not say
    how many it has of the prompt: they depend on the request. `is_truncated` if it ended at a limit
    of tokens."""

    input: int
    output: int
    has_input: bool = False
    is_truncated: bool = False


def read_counts(api: API, response: Mapping[str, Any]) -> Counts:
    """Return the tokens of a configured response, as those in its `usage`."""
    if api.speaker is None:
        return read_complete_counts(response)
    return read_complete_counts(api.speaker.complete(dict(response)))


def read_complete_counts(response: Mapping[str, Any]) -> Counts:
    """Return the tokens of a complete response, as those in its `usage`."""
    usage = response.get("usage")
    written = next((name for name in _INPUT if count(_member(usage, name)) is not None), None)
    prompt = 0
    if written is not None:
        prompt = _first(usage, _INPUT) + sum_counts(_member(usage, name) for name in _CACHED)
    output = min(_first(usage, _OUTPUT), MAX_TOKENS)
    return Counts(min(prompt, MAX_TOKENS), output, written is not None, _is_truncated(response))


def _is_truncated(response: Mapping[str, Any]) -> bool:
    """Return True if a response of Chat, Messages or Responses ended at a limit of tokens."""
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return (
        _member(first, "finish_reason") == "length"
        or response.get("stop_reason") == "max_tokens"
        or _member(response.get("incomplete_details"), "reason") == "max_output_tokens"
    )


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


def _first(usage: Any, names: tuple[str, ...]) -> int:
    counts = (count(_member(usage, name)) for name in names)
    return next((number for number in counts if number is not None), 0)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
