"""The vendors and the APIs that this server speaks: codecs, one folder a vendor, one folder an API
in it. It knows wire formats, and refuses to know mocks, matching, sockets and clocks.

A new API is a folder and a line here. Outside of this folder a vendor is named only
- in `config`, whose lists of mocks and demo are named after APIs;
- in `endpoints`, by the modules that belong to one vendor's API, by their table, and by `models`,
  which serves two vendors with one object;
- in `serve.embedded`, `cli.serving` and `conformance`, which know what official clients are given.
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
"""The first that owns a request is its vendor. OpenAI owns all of /v1, so it comes last."""


def find_vendor(request: Request) -> Vendor | None:
    """The vendor that `request` is to; None if it is to none."""
    return next((vendor for vendor in VENDORS if vendor.owns(request)), None)
