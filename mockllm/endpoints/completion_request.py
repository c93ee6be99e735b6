"""Reads the body of POST /v1/completions (openai 3.54.0: `CompletionCreateParams`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from mockllm.config.wishes import NO_WISHES, Wishes
from mockllm.errors import RequestError
from mockllm.providers import request_body
from mockllm.providers.counts import count
from mockllm.providers.openai.embeddings.prompt import inputs_of

MAX_PROMPTS = 128  # per request; each is matched and has a choice in the answer
MAX_PROMPTS_AT_ONCE = 16  # matched or rendered before a pause; each takes up to 0.1 ms

_MINIMUMS = {"max_tokens": 0, "n": 1, "best_of": 0, "logprobs": 0}
_INTEGERS = frozenset({int})

AnyPrompt = str | list[int]
"""A text, or its tokens."""


class CompletionRequest(NamedTuple):
    """The decoded body of a request."""

    model: str
    prompts: Sequence[AnyPrompt]
    max_tokens: int | None
    stream: bool | None
    include_usage: bool | None
    wishes: Wishes = NO_WISHES
    """What its client asks for by headers."""

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> Self:
        """Return the request with these `members`.

        Raises:
            RequestError: 400, naming the first invalid member.
        """
        model = request_body.read_model(members)
        prompts = _read_prompts(members)
        request_body.check_minimums(members, _MINIMUMS)
        stream = request_body.read_flag(members, "stream")
        options = request_body.read_object_member(members, "stream_options")
        usage = request_body.read_flag(options, "include_usage", "stream_options.include_usage")
        return cls(model, prompts, count(members.get("max_tokens")), stream, usage)


def _read_prompts(members: Mapping[str, Any]) -> list[AnyPrompt]:
    value = members.get("prompt")
    if value is None:
        raise request_body.missing("prompt")
    if value == []:
        raise request_body.empty("prompt", "prompt")
    prompts = inputs_of(value)
    is_one_of_its_kind = any(all(map(is_kind, prompts)) for is_kind in (_is_text, _are_tokens))
    if not is_one_of_its_kind:
        expected = "a string, a list of tokens, or a list of strings or of lists of tokens"
        raise request_body.bad("prompt", expected, value)
    if len(prompts) > MAX_PROMPTS:
        expected = f"at most {MAX_PROMPTS} prompts, found {len(prompts):,}"
        raise RequestError(400, f"prompt: expected {expected}", param="prompt")
    return prompts


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and _INTEGERS.issuperset(map(type, value))
