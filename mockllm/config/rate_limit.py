"""The type of `rate_limit`: how many requests and tokens a service admits, and from whom.

    {"match": {"api": "messages"}, "rate_limit": {"rpm": 50, "itpm": 30000, "otpm": 8000}}

It knows the words of all vendors. Which of them limit a request is known to its vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mockllm.config.mistakes import contradiction
from mockllm.config.objects import ConfigObject

MAX_AMOUNT = 1_000_000_000_000

Bearer = Literal["key", "model", "session"]
"""Whose limit it is: each credential's, each model's, each session's."""

WORDS = ("rpm", "rpd", "tpm", "tpd", "itpm", "otpm")
"""The limits of requests and tokens; `concurrent` limits something else."""


def _key_and_model() -> list[Bearer]:
    return ["key", "model"]


_Amount = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT)]


class RateLimit(ConfigObject):
    """How much a service admits. What is beyond gets a 429, with the vendor's message and headers.
    At least one limit is set."""

    rpm: _Amount | None = None
    """Requests per minute."""
    rpd: _Amount | None = None
    """Requests per day, of OpenAI."""
    tpm: _Amount | None = None
    """Tokens per minute, of OpenAI: the estimate of a request, and what its answer may have."""
    tpd: _Amount | None = None
    """Tokens per day, of OpenAI."""
    itpm: _Amount | None = None
    """Input tokens per minute, of Anthropic."""
    otpm: _Amount | None = None
    """Output tokens per minute, of Anthropic."""
    concurrent: _Amount | None = None
    """Requests that are answered at once."""
    per: list[Bearer] = Field(default_factory=_key_and_model)
    """Whose limit it is: each credential and model has its own by default; with an empty list all
    requests have one together."""

    @property
    def amounts(self) -> Mapping[str, int]:
        """The limits of requests and tokens that are set, by their words."""
        found = {word: getattr(self, word) for word in WORDS}
        return {word: amount for word, amount in found.items() if amount is not None}

    @model_validator(mode="after")
    def _limits_something(self) -> RateLimit:
        if not self.amounts and self.concurrent is None:
            words = ", ".join(map(repr, WORDS))
            raise contradiction(f"expected {words} or 'concurrent', found none of them")
        if len(set(self.per)) < len(self.per):
            raise contradiction("expected each of 'key', 'model' and 'session' at most once", "per")
        return self
