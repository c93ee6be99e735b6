"""The installed SDKs: their versions and the types that each API is validated with."""

from __future__ import annotations

from typing import Any

import anthropic
import openai

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.embeddings import sdk as embeddings_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk

INSTALLED = {
    **dict.fromkeys(("chat", "responses", "embeddings"), f"openai {openai.__version__}"),
    "messages": f"anthropic {anthropic.__version__}",
}
TYPES: dict[str, dict[str, Any]] = {
    "chat": {
        "requests": chat_sdk._Request,
        "matches": chat_sdk.ChatCompletionMessageParam,
        "answers": chat_sdk.ChatCompletion,
        "events": chat_sdk.ChatCompletionChunk,
    },
    "responses": {
        "requests": responses_sdk._Request,
        "matches": responses_sdk.ResponseInputItemParam,
        "answers": responses_sdk.Response,
        "events": responses_sdk.ResponseStreamEvent,
    },
    "messages": {
        "requests": messages_sdk._Request,
        "matches": messages_sdk.MessageParam,
        "answers": messages_sdk.Message,
        "events": messages_sdk.RawMessageStreamEvent,
    },
    "embeddings": {
        "requests": embeddings_sdk.EmbeddingCreateParams,
        "answers": embeddings_sdk.CreateEmbeddingResponse,
    },
}

LENIENT = {
    ("responses", "requests"): (responses_sdk._ECHOED, responses_sdk._ALWAYS_REQUIRED),
    ("responses", "matches"): (responses_sdk._LENIENT_IN_MATCHES, ()),
    ("chat", "matches"): (chat_sdk._LENIENT_IN_MATCHES, ()),
    ("messages", "requests"): (messages_sdk._ECHOED, messages_sdk._ALWAYS_REQUIRED),
    ("messages", "matches"): (messages_sdk._LENIENT_IN_MATCHES, ()),
}
