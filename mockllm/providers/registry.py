"""All APIs and vendors. A new one is a folder and a line here."""

from __future__ import annotations

from mockllm.exchange import Request
from mockllm.providers.anthropic import messages
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.api import API
from mockllm.providers.openai import chat, embeddings, responses
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.vendor import Vendor

APIS: tuple[API, ...] = (
    chat.CHAT,
    responses.RESPONSES,
    messages.MESSAGES,
    embeddings.EMBEDDINGS,
)
"""The APIs that mocks can be configured for."""

VENDORS: tuple[Vendor, ...] = (ANTHROPIC, OPENAI)
"""The vendors in order: a request belongs to the first one that owns it. OpenAI, which owns all of
/v1, comes last."""


def find_vendor(request: Request) -> Vendor | None:
    """The vendor that owns `request`; None if no vendor does."""
    return next((vendor for vendor in VENDORS if vendor.owns(request)), None)
