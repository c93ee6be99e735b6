"""Requests and answers of each API, and their validation by the SDKs' types."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.embeddings import sdk as embeddings_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Confirm, Finding, Kind
from tests.support.loads import ANSWER

WRONG, MISSING, UNKNOWN = Kind.WRONG, Kind.MISSING, Kind.UNKNOWN
SDKS: Mapping[str, ModuleType] = {
    "chat": chat_sdk,
    "responses": responses_sdk,
    "messages": messages_sdk,
    "embeddings": embeddings_sdk,
}
LENIENT: Mapping[str, Confirm] = {
    name: sdk.request_confirmer(strict=False) for name, sdk in SDKS.items()
}
STRICT: Mapping[str, Confirm] = {
    name: sdk.request_confirmer(strict=True) for name, sdk in SDKS.items()
}
SMALL: Mapping[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "embeddings": {"model": "m", "input": "hi"},
}
CHAT, RESPONSES, MESSAGES, EMBEDDINGS = SDKS
APIS = list(SDKS)


def body(api: str, **members: Any) -> dict[str, Any]:
    return {**SMALL[api], **members}


def turns(api: str, *entries: Any) -> dict[str, Any]:
    """A body with these messages, or, for Responses, items."""
    return body(api, **{"input" if api == RESPONSES else "messages": list(entries)})


CALL: dict[str, Any] = {
    "id": "c",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
}


def assert_only_strict_refuses(api: str, request: Any, finding: Finding) -> None:
    assert LENIENT[api](request) is None
    assert STRICT[api](request) == finding


OUTPUT_TEXT = {"type": "output_text", "text": "a", "annotations": []}
ECHOED_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}


COMPLETION = ANSWER
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi", "citations": None}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [{**ECHOED_MESSAGE, "content": [OUTPUT_TEXT]}],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
EMBEDDING: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
    "model": "m",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
ANSWERS = {CHAT: COMPLETION, RESPONSES: RESPONSE, MESSAGES: MESSAGE, EMBEDDINGS: EMBEDDING}
