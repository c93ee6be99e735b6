"""The APIs this server speaks, one folder each. A new one is a folder and a line here."""

from __future__ import annotations

from mockllm.providers.anthropic import messages
from mockllm.providers.api import API
from mockllm.providers.openai import chat, embeddings, responses

APIS: tuple[API, ...] = (
    chat.CHAT,
    responses.RESPONSES,
    messages.MESSAGES,
    embeddings.EMBEDDINGS,
)
