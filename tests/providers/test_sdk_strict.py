"""Requests that only `strict` refuses, of all APIs."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.validation.findings import Finding
from tests.support.confirming import (
    APIS,
    CHAT,
    EMBEDDINGS,
    LENIENT,
    MESSAGES,
    MISSING,
    RESPONSES,
    STRICT,
    UNKNOWN,
    WRONG,
    assert_only_strict_refuses,
    body,
    turns,
)


@pytest.mark.parametrize("api", APIS)
def test_only_strict_refuses_unknown_members(api: str) -> None:
    assert_only_strict_refuses(
        api,
        body(api, surprise={"a": [1]}),
        Finding(("surprise",), "not a member that the SDK declares", UNKNOWN),
    )


@pytest.mark.parametrize(
    ("api", "request_", "path"),
    [
        (
            CHAT,
            turns(CHAT, {"role": "assistant", "tool_calls": None}),
            ("messages", 0, "tool_calls"),
        ),
        (CHAT, body(CHAT, tools=None), ("tools",)),
        (RESPONSES, body(RESPONSES, tools=None), ("tools",)),
        (MESSAGES, body(MESSAGES, tools=None), ("tools",)),
        (MESSAGES, body(MESSAGES, system=None), ("system",)),
        (EMBEDDINGS, body(EMBEDDINGS, dimensions=None), ("dimensions",)),
    ],
)
def test_only_strict_refuses_null_for_an_optional_member(
    api: str, request_: Any, path: tuple[str | int, ...]
) -> None:
    assert LENIENT[api](request_) is None
    finding = STRICT[api](request_)
    assert finding is not None
    assert (finding.path, finding.kind) == (path, WRONG)


@pytest.mark.parametrize(
    ("api", "request_", "place"),
    [
        (
            CHAT,
            turns(CHAT, {"role": "user", "content": [{"type": "video"}]}),
            "messages.0.content.0.type",
        ),
        (CHAT, body(CHAT, tools=[{"type": "new"}]), "tools.0.type"),
        (RESPONSES, turns(RESPONSES, {"type": "new_item", "a": 1}), "input.0.type"),
        (
            RESPONSES,
            turns(RESPONSES, {"role": "user", "content": [{"type": "input_video"}]}),
            "input.0.content.0.type",
        ),
        (RESPONSES, body(RESPONSES, tools=[{"type": "new"}]), "tools.0.type"),
        (RESPONSES, body(RESPONSES, tool_choice={"type": "web_search"}), "tool_choice.type"),
        (
            MESSAGES,
            turns(MESSAGES, {"role": "assistant", "content": [{"type": "mcp_tool_use"}]}),
            "messages.0.content.0.type",
        ),
        (MESSAGES, body(MESSAGES, tools=[{"type": "web_search_20990101"}]), "tools.0.type"),
        (MESSAGES, body(MESSAGES, thinking={"type": "new"}), "thinking.type"),
    ],
)
def test_only_strict_refuses_an_unknown_type(api: str, request_: Any, place: str) -> None:
    assert LENIENT[api](request_) is None
    finding = STRICT[api](request_)
    assert finding is not None
    assert (finding.place, finding.kind) == (place, WRONG)


@pytest.mark.parametrize(
    ("api", "member", "value"),
    [
        (CHAT, "reasoning_effort", "astronomical"),
        (CHAT, "service_tier", "new"),
        (CHAT, "tool_choice", "new"),
        (RESPONSES, "truncation", "new"),
        (RESPONSES, "include", ["new.include"]),
        (MESSAGES, "service_tier", "new"),
        (EMBEDDINGS, "encoding_format", "float8"),
    ],
)
def test_only_strict_refuses_an_unknown_enum_value(api: str, member: str, value: Any) -> None:
    assert LENIENT[api](body(api, **{member: value})) is None
    finding = STRICT[api](body(api, **{member: value}))
    assert finding is not None
    assert (finding.path[0], finding.kind) == (member, WRONG)


@pytest.mark.parametrize(
    ("api", "turn", "place"),
    [
        (
            RESPONSES,
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hi"}],
            },
            "input.0.id",
        ),
        (RESPONSES, {"type": "reasoning", "encrypted_content": "x"}, "input.0.id"),
        (RESPONSES, {"type": "web_search_call"}, "input.0.id"),
        (RESPONSES, {"type": "local_shell_call", "call_id": "c"}, "input.0.id"),
        (
            MESSAGES,
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]},
            "messages.0.content.0.signature",
        ),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
                ],
            },
            "messages.0.content.0.citations.0.cited_text",
        ),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [{"type": "web_search_tool_result", "tool_use_id": "c"}],
            },
            "messages.0.content.0.content",
        ),
        (MESSAGES, {"role": "assistant"}, "messages.0.content"),
    ],
)
def test_only_strict_refuses_an_echo_with_missing_members(api: str, turn: Any, place: str) -> None:
    assert LENIENT[api](turns(api, turn)) is None
    finding = STRICT[api](turns(api, turn))
    assert finding is not None
    assert (finding.place, finding.kind) == (place, MISSING)
