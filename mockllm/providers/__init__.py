"""The APIs this server speaks, one folder each. A new one is a folder and a line here."""

from __future__ import annotations

from mockllm.providers.anthropic import messages
from mockllm.providers.api import Provider
from mockllm.providers.openai import chat, embeddings, responses

PROVIDERS: tuple[Provider, ...] = (
    chat.PROVIDER,
    responses.PROVIDER,
    messages.PROVIDER,
    embeddings.PROVIDER,
)
