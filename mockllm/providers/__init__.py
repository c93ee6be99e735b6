"""The codecs of the supported APIs: one folder per vendor, and in it one folder per API. It knows
wire formats, and refuses to know mocks, the search for a match, sockets and clocks.

A new API is a folder and a line here. Outside of this folder, vendors are named only
- in `config`, whose lists of mocks and demo are named after APIs;
- in `endpoints`, by the modules that belong to one vendor's API, by their table, and by `models`,
  which serves two vendors with one object;
- in `serve.embedded`, `cli.serving` and `conformance`, which know the settings of the official
  clients.
"""

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
