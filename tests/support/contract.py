"""The mocks of the contract suite: each response is written in full, as the service writes it, so
that a client's answer can be compared whole."""

from __future__ import annotations

from tests.support.served import (
    Json,
    chat_mock,
    chat_saying,
    embeddings_mock,
    messages_mock,
    messages_saying,
    responses_mock,
    responses_saying,
)

TEXT = 'Schöne Grüße, 世界! 👩‍👩‍👧 said "hi"\nand\u2028left.'
TEXT_ASKED = "Say hello"
TOOLS_ASKED = "Weather in Paris and Rome?"
BARE_ASKED = "Answer tersely"
BARE_TOOL_ASKED = "Call tersely"

_CHAT_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def _chat(message: Json, finish_reason: str) -> Json:
    return {
        "id": "chatcmpl-C4Hq5a6K3RaPMymUv70btQNYv6SvY",
        "object": "chat.completion",
        "created": 1755137921,
        "model": "gpt-5-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, "annotations": [], **message},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
        "usage": _CHAT_USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_f986a632b0",
    }


def _chat_call(call_id: str, city: str) -> Json:
    function = {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}
    return {"id": call_id, "type": "function", "function": function}


CHAT: dict[str, Json] = {
    TEXT_ASKED: _chat({"content": TEXT}, "stop"),
    TOOLS_ASKED: _chat(
        {
            "content": None,
            "tool_calls": [_chat_call("call_1", "Paris"), _chat_call("call_2", "Rome")],
        },
        "tool_calls",
    ),
}
"""Chat Completions responses by the text of the request."""


def _response(*output: Json) -> Json:
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "object": "response",
        "created_at": 1741476542.0,
        "completed_at": 1741476543.0,
        "status": "completed",
        "access_programs": None,
        "background": False,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "gpt-5-2026-01-01",
        "moderation": None,
        "output": list(output),
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": "24h",
        "safety_identifier": None,
        "store": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "tool_usage": {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "total_tokens": 0,
            },
            "web_search": {"num_requests": 0},
        },
        "top_logprobs": 0,
        "top_p": 1.0,
        "user": None,
        "metadata": {},
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "truncation": "disabled",
        "usage": {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 123,
        },
    }


def _function_call(number: int, city: str) -> Json:
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": "get_weather",
        "arguments": f'{{"city": "{city}"}}',
        "status": "completed",
    }


RESPONSES: dict[str, Json] = {
    TEXT_ASKED: _response(
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
        }
    ),
    TOOLS_ASKED: _response(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Two cities, so two calls."}],
        },
        _function_call(1, "Paris"),
        _function_call(2, "Rome"),
    ),
}
"""Responses by the text of the request."""


def _message(stop_reason: str, *content: Json) -> Json:
    return {
        "id": "msg_01Aq9w938a90dw8q",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": list(content),
        "container": None,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        "diagnostics": None,
        "usage": {
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "inference_geo": "global",
            "input_tokens": 12,
            "output_tokens": 30,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
        },
    }


def _tool_use(number: int, city: str) -> Json:
    return {
        "type": "tool_use",
        "id": f"toolu_{number}",
        "name": "get_weather",
        "input": {"city": city},
        "caller": {"type": "direct"},
    }


MESSAGES: dict[str, Json] = {
    TEXT_ASKED: _message("end_turn", {"type": "text", "text": TEXT}),
    TOOLS_ASKED: _message(
        "tool_use",
        {"type": "thinking", "thinking": "Two cities, two calls.", "signature": "EqQBCg=="},
        {"type": "text", "text": "I'll look both up."},
        _tool_use(1, "Paris"),
        _tool_use(2, "Rome"),
    ),
}
"""Messages responses by the text of the request."""

VECTORS = [[0.5, -0.25, 0.125], [1.0, 0.0, -1.0]]
"""Vectors of the Embeddings mocks; each number is exact in 32 bits."""

_CONTAINS = {"match_type": "contains"}
_BARE_CALL = {"type": "function_call", "name": "get_weather", "arguments": "{}"}


def _for_tenant(value: str, match_type: str = "exact") -> Json:
    return {"headers": [{"name": "X-Tenant-ID", "value": value, "match_type": match_type}]}


CONFIG: Json = {
    "openai": [
        *(chat_mock(asked, answer) for asked, answer in CHAT.items()),
        chat_mock(BARE_ASKED, chat_saying("Terse.")),
        chat_mock(
            BARE_TOOL_ASKED,
            {"choices": [{"message": {"tool_calls": [_chat_call("call_1", "Paris")]}}]},
        ),
        chat_mock("Who am I?", chat_saying("tenant a"), **_for_tenant("a")),
        chat_mock("Who am I?", chat_saying("some b"), **_for_tenant("b", "contains")),
        chat_mock("needle", chat_saying("found"), **_CONTAINS),
    ],
    "openai_response": [
        *(responses_mock(asked, answer) for asked, answer in RESPONSES.items()),
        responses_mock(BARE_ASKED, responses_saying("Terse.")),
        responses_mock(BARE_TOOL_ASKED, {"output": [_BARE_CALL]}),
        responses_mock("Who am I?", responses_saying("tenant a"), **_for_tenant("a")),
        responses_mock("Who am I?", responses_saying("some b"), **_for_tenant("b", "contains")),
        responses_mock("needle", responses_saying("found"), **_CONTAINS),
    ],
    "anthropic": [
        *(messages_mock(asked, answer) for asked, answer in MESSAGES.items()),
        messages_mock(BARE_ASKED, messages_saying("Terse.")),
        messages_mock(BARE_TOOL_ASKED, {"content": [{"type": "tool_use", "name": "get_weather"}]}),
        messages_mock("Who am I?", messages_saying("tenant a"), **_for_tenant("a")),
        messages_mock("Who am I?", messages_saying("some b"), **_for_tenant("b", "contains")),
        messages_mock("needle", messages_saying("found"), **_CONTAINS),
    ],
    "openai_embeddings": [
        embeddings_mock(TEXT_ASKED, *VECTORS),
        embeddings_mock("Who am I?", [1.0], **_for_tenant("a")),
        embeddings_mock("needle", [2.0], **_CONTAINS),
    ],
}
