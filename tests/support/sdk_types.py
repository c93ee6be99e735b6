"""The types of the installed SDKs with which requests, matches, answers and events are validated,
and the findings in examples of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from typing import Any

from anthropic.types import Message, MessageParam, RawMessageStreamEvent
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_message_param import ChatCompletionMessageParam
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from mockllm.providers.anthropic import vendor as anthropic
from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai import vendor as openai
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Finding, Kind
from mockllm.validation.versions import is_older
from tests.support.confirming import (
    CHAT,
    EMBEDDINGS,
    LENIENT,
    MESSAGES,
    RESPONSES,
    SDKS,
)

OPENAI_IS_OLD = is_older("openai", openai.SDK_VERSION)
ANTHROPIC_IS_OLD = is_older("anthropic", anthropic.SDK_VERSION)

REQUESTS, MATCHES, ANSWERS, EVENTS = "requests", "matches", "answers", "events"

TYPES: Mapping[str, Mapping[str, Any]] = {
    CHAT: {
        REQUESTS: chat_sdk._REQUEST.load(),
        MATCHES: ChatCompletionMessageParam,
        ANSWERS: ChatCompletion,
        EVENTS: ChatCompletionChunk,
    },
    RESPONSES: {
        REQUESTS: responses_sdk._REQUEST.load(),
        MATCHES: ResponseInputItemParam,
        ANSWERS: Response,
        EVENTS: ResponseStreamEvent,
    },
    MESSAGES: {
        REQUESTS: messages_sdk._REQUEST.load(),
        MATCHES: MessageParam,
        ANSWERS: Message,
        EVENTS: RawMessageStreamEvent,
    },
    EMBEDDINGS: {REQUESTS: EmbeddingCreateParams, ANSWERS: CreateEmbeddingResponse},
}

LENIENT_TYPES: Mapping[tuple[str, str], tuple[Collection[str], Collection[str]]] = {
    (CHAT, MATCHES): (chat_sdk._LENIENT_IN_MATCHES, ()),
    (RESPONSES, REQUESTS): (responses_sdk._ECHOED, responses_sdk._ALWAYS_REQUIRED),
    (RESPONSES, MATCHES): (responses_sdk._LENIENT_IN_MATCHES, ()),
    (MESSAGES, REQUESTS): (messages_sdk._ECHOED, messages_sdk._ALWAYS_REQUIRED),
    (MESSAGES, MATCHES): (messages_sdk._LENIENT_IN_MATCHES, ()),
}
"""The types that may lack members, and the members that they have all the same."""


def installed(api: str) -> str:
    """The installed SDK of an API: ``openai 3.54.0``."""
    name = "anthropic" if api == MESSAGES else "openai"
    return f"{name} {version(name)}"


def accusations(api: str, kind: str, example: Any) -> list[Finding]:
    """The findings in a request, match, answer or event, except those of the kind `NEWER`."""
    return [each for each in _confirmer(api, kind)(example) if each.kind is not Kind.NEWER]


def _confirmer(api: str, kind: str) -> Callable[[Any], list[Finding]]:
    sdk = SDKS[api]
    if kind == REQUESTS:
        return lambda body: [finding for finding in [LENIENT[api](body)] if finding is not None]
    if kind == MATCHES and api == RESPONSES:
        return lambda item: list(sdk.confirm_match([item]))
    confirm: Callable[[Any], list[Finding]] = {
        MATCHES: sdk.confirm_match,
        ANSWERS: sdk.confirm_response,
        EVENTS: sdk.confirm_event,
    }[kind]
    return confirm
