"""The APIs this server speaks, one folder each. A new one is a folder and a line here."""

from __future__ import annotations

from mockllm.provider import Provider
from mockllm.providers import (
    anthropic_messages,
    openai_chat,
    openai_embeddings,
    openai_responses,
)

PROVIDERS: tuple[Provider, ...] = (
    openai_chat.PROVIDER,
    openai_responses.PROVIDER,
    anthropic_messages.PROVIDER,
    openai_embeddings.PROVIDER,
)
