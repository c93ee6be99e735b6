"""Matches, responses and events of mocks, validated by the SDKs' types."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Finding
from tests.support.confirming import (
    ANSWERS,
    APIS,
    CALL,
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    MESSAGES,
    MISSING,
    RESPONSE,
    RESPONSES,
    SDKS,
    UNKNOWN,
    WRONG,
)

# -- Mocks --


@pytest.mark.parametrize(
    ("api", "match"),
    [
        (CHAT, {"role": "user", "content": "hi"}),
        (CHAT, {"role": "user"}),
        (CHAT, {"role": "user", "content": None}),
        (CHAT, {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"}),
        (CHAT, {"role": "tool", "content": "1"}),
        (CHAT, {"role": "assistant", "tool_calls": [CALL]}),
        (RESPONSES, "hi"),
        (RESPONSES, [{"role": "user", "content": "hi"}]),
        (RESPONSES, [{"type": "message", "role": "user"}]),
        (RESPONSES, [{"type": "function_call_output", "call_id": "c", "output": "1"}]),
        (MESSAGES, {"role": "user", "content": [{"type": "text", "text": "hi"}]}),
        (MESSAGES, {"role": "user"}),
        (MESSAGES, {"role": "system", "content": "hi"}),
        (EMBEDDINGS, "hi"),
        (EMBEDDINGS, [1, 2]),
    ],
)
def test_a_partial_match_has_no_findings(api: str, match: Any) -> None:
    assert SDKS[api].confirm_match(match) == []


@pytest.mark.parametrize(
    ("api", "match", "findings"),
    [
        (CHAT, {"content": "hi"}, [Finding(("role",), "required, but missing", MISSING)]),
        (CHAT, "hi", [Finding((), "expected an object, found 'hi'", WRONG)]),
        (
            CHAT,
            {"role": "user", "content": [{"type": "text"}, {"text": "a"}]},
            [
                Finding(("content", 0, "text"), "required, but missing", MISSING),
                Finding(("content", 1, "type"), "required, but missing", MISSING),
            ],
        ),
        (
            RESPONSES,
            {"role": "user"},
            [Finding((), "expected a string or a list, found an object", WRONG)],
        ),
        (
            RESPONSES,
            [{"type": "function_call", "name": "f", "arguments": 5}],
            [
                Finding((0, "arguments"), "expected a string, found 5", WRONG),
                Finding((0, "call_id"), "required, but missing", MISSING),
            ],
        ),
        (
            MESSAGES,
            {"role": "user", "content": 5},
            [Finding(("content",), "expected a string or a list, found 5", WRONG)],
        ),
        (
            EMBEDDINGS,
            {},
            [Finding((), "expected a string or a list, found an object", WRONG)],
        ),
    ],
)
def test_a_match_that_no_request_can_satisfy_has_findings(
    api: str, match: Any, findings: list[Finding]
) -> None:
    assert SDKS[api].confirm_match(match) == findings


OUTPUT = {"type": "output_text", "text": "a", "annotations": []}


@pytest.mark.parametrize(
    ("api", "match", "path", "meant"),
    [
        (CHAT, {"role": "user", "contnt": "hi"}, ("contnt",), "content"),
        (
            CHAT,
            {"role": "user", "content": [{"type": "text", "text": "a", "txt": "b"}]},
            ("content", 0, "txt"),
            "text",
        ),
        (
            CHAT,
            {"role": "user", "content": [{"type": "image_ur", "image_url": {"url": "x"}}]},
            ("content", 0, "type"),
            "image_url",
        ),
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{**CALL, "functon": {}}]},
            ("tool_calls", 0, "functon"),
            "function",
        ),
        (
            CHAT,
            {"role": "assistant", "content": [{"type": "text", "text": "a", "txt": "b"}]},
            ("content", 0, "txt"),
            "text",
        ),
        (RESPONSES, [{"role": "user", "content": "a", "rol": "b"}], (0, "rol"), "role"),
        (RESPONSES, [{"type": "funtion_call", "call_id": "a"}], (0, "type"), "function_call"),
        (
            RESPONSES,
            [{"type": "message", "role": "assistant", "content": [{**OUTPUT, "txt": "b"}]}],
            (0, "content", 0, "txt"),
            "text",
        ),
        (
            RESPONSES,
            [{"type": "function_call_output", "call_id": "c", "output": "1", "cal_id": "d"}],
            (0, "cal_id"),
            "call_id",
        ),
        (
            MESSAGES,
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "conten": ""}],
            },
            ("content", 0, "conten"),
            "content",
        ),
        (
            MESSAGES,
            {"role": "user", "content": [{"type": "tool_resul", "tool_use_id": "a"}]},
            ("content", 0, "type"),
            "tool_result",
        ),
    ],
)
def test_a_misspelt_member_of_a_match_is_found(
    api: str, match: Any, path: tuple[str | int, ...], meant: str
) -> None:
    (finding,) = SDKS[api].confirm_match(match)

    assert (finding.path, finding.kind) == (path, UNKNOWN)
    assert finding.message.endswith(f"did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("api", "match"),
    [
        (CHAT, {"role": "tool", "tool_call_id": "a", "content": "b", "name": "f"}),
        (
            CHAT,
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "a",
                "annotations": [],
                "tool_calls": [{**CALL, "index": 0}],
            },
        ),
        (CHAT, {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "a"}}]}),
        (
            CHAT,
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"a": 1}}]},
        ),
        (
            RESPONSES,
            [{"type": "message", "id": "m", "role": "user", "status": "completed", "content": "a"}],
        ),
        (
            RESPONSES,
            [
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "a", "cache_control": {}}],
                }
            ],
        ),
        (
            RESPONSES,
            [
                {
                    "type": "custom_tool_call",
                    "id": "a",
                    "call_id": "b",
                    "name": "f",
                    "input": "",
                    "status": "completed",
                }
            ],
        ),
        (RESPONSES, [{"type": "of_tomorrow", "what": "ever"}]),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "mcp_tool_use",
                        "id": "a",
                        "name": "f",
                        "server_name": "s",
                        "input": {},
                    }
                ],
            },
        ),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"any": 1}}],
            },
        ),
    ],
)
def test_members_that_clients_send_undeclared_have_no_findings(api: str, match: Any) -> None:
    assert SDKS[api].confirm_match(match) == []


# -- Answers --


@pytest.mark.parametrize("api", APIS)
def test_a_valid_answer_has_no_findings(api: str) -> None:
    assert SDKS[api].confirm_response(ANSWERS[api]) == []


@pytest.mark.parametrize("api", APIS)
def test_a_typo_and_a_wrong_type_in_an_answer_are_findings(api: str) -> None:
    answer = {**ANSWERS[api], "usagee": {}, "model": 5}
    assert SDKS[api].confirm_response(answer) == [
        Finding(("model",), "expected a string, found 5", WRONG),
        Finding(("usagee",), "not a member that the SDK declares; did you mean 'usage'?", UNKNOWN),
    ]


def test_valid_events_have_no_findings() -> None:
    delta = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
    chunk = {**COMPLETION, "object": "chat.completion.chunk", "choices": [delta]}
    text = {"type": "text_delta", "text": "hi"}
    created = {"type": "response.created", "sequence_number": 0, "response": RESPONSE}
    assert chat_sdk.confirm_event(chunk) == []
    assert responses_sdk.confirm_event(created) == []
    assert (
        messages_sdk.confirm_event({"type": "content_block_delta", "index": 0, "delta": text}) == []
    )


@pytest.mark.parametrize(
    ("api", "event", "findings"),
    [
        (
            RESPONSES,
            {"type": "response.created", "response": RESPONSE},
            [Finding(("sequence_number",), "required, but missing", MISSING)],
        ),
        (
            MESSAGES,
            {"type": "content_block_stop", "index": "0"},
            [Finding(("index",), "expected an integer, found '0'", WRONG)],
        ),
        (MESSAGES, {"index": 0}, [Finding(("type",), "required, but missing", MISSING)]),
    ],
)
def test_malformed_events_have_findings(api: str, event: Any, findings: list[Finding]) -> None:
    assert SDKS[api].confirm_event(event) == findings


MINIMAX = {"base_resp": {"status_code": 0, "status_msg": ""}}


@pytest.mark.parametrize(
    ("api", "members"),
    [
        (CHAT, MINIMAX | {"input_sensitive": False, "output_sensitive_type": 0}),
        (CHAT, {"request_id": "r"}),
        (CHAT, {"usage": {"cache_read_input_tokens": 0, "extra_properties": {}}}),
        (CHAT, {"usage": {"prompt_tokens_details": {"cache_creation_tokens": 0}}}),
        (CHAT, {"choices": [{"message": {"name": "MiniMax AI", "prefix": False}}]}),
        (RESPONSES, {"kv_transfer_params": None, "input_messages": None, "output_messages": None}),
        (MESSAGES, MINIMAX),
    ],
)
def test_members_of_compatible_services_are_known(api: str, members: dict[str, Any]) -> None:
    unknown = [each for each in SDKS[api].confirm_response(members) if each.kind is UNKNOWN]

    assert unknown == []


def test_the_metrics_of_bedrock_are_known() -> None:
    metrics = {"inputTokenCount": 9, "outputTokenCount": 2, "firstByteLatency": 350}
    event = {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}

    assert [each for each in messages_sdk.confirm_event(event) if each.kind is UNKNOWN] == []
