"""Requests, answers and blocks of Messages, validated by the SDK's types."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaParams

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.validation.findings import Finding
from tests.support.agents import claude_code
from tests.support.confirming import (
    LENIENT,
    MESSAGE,
    MESSAGES,
    MISSING,
    SMALL,
    STRICT,
    UNKNOWN,
    WRONG,
    body,
    turns,
)


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ("5", Finding(("max_tokens",), "expected an integer, found '5'", WRONG)),
        (1.5, Finding(("max_tokens",), "expected an integer, found 1.5", WRONG)),
        (None, Finding(("max_tokens",), "expected an integer, found null", WRONG)),
    ],
)
def test_messages_requires_an_integer_max_tokens(value: Any, finding: Finding) -> None:
    assert LENIENT[MESSAGES](body(MESSAGES, max_tokens=value)) == finding
    without = {"model": "m", "messages": SMALL[MESSAGES]["messages"]}
    assert LENIENT[MESSAGES](without) == Finding(("max_tokens",), "required, but missing", MISSING)


def test_a_failure_is_reported_for_one_variant() -> None:
    block = {"type": "image", "source": {"type": "base64", "data": 5, "media_type": "image/png"}}
    request = turns(MESSAGES, {"role": "user", "content": [block]})
    assert LENIENT[MESSAGES](request) == Finding(
        ("messages", 0, "content", 0, "source", "data"),
        "expected a string, found 5",
        WRONG,
    )


def test_anthropic_tool_without_type_is_a_custom_tool() -> None:
    tool = {"name": "f", "input_schema": {"type": "object", "anything": 1}}
    assert STRICT[MESSAGES](body(MESSAGES, tools=[tool, {**tool, "type": "custom"}])) is None
    assert LENIENT[MESSAGES](body(MESSAGES, tools=[{"name": "f"}])) == Finding(
        ("tools", 0, "input_schema"), "required, but missing", MISSING
    )


def test_a_finding_in_a_deeply_nested_block_has_its_place() -> None:
    text: dict[str, Any] = {"type": "text", "text": 5}
    source = {"type": "content", "content": [text]}
    document = {"type": "document", "source": source}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [document]}
    finding = LENIENT[MESSAGES](turns(MESSAGES, {"role": "user", "content": [result]}))
    assert finding is not None
    assert finding.place == "messages.0.content.0.content.0.source.content.0.text"


def test_a_request_of_claude_code_is_accepted() -> None:
    assert LENIENT[MESSAGES](claude_code()) is None
    assert STRICT[MESSAGES](claude_code()) == Finding(
        ("messages", 3, "output_config"), "not a member that the SDK declares", UNKNOWN
    )


def test_an_unknown_block_in_an_answer_is_a_finding() -> None:
    findings = messages_sdk.confirm_response({**MESSAGE, "content": [{"type": "txt"}]})
    assert [(each.place, each.kind) for each in findings] == [("content.0.type", WRONG)]


def test_known_members_are_those_of_messages_blocks() -> None:
    known = messages_sdk.known_members()
    assert known["text"] == {"type", "text", "cache_control", "citations"}
    assert known["tool_result"] >= {"type", "tool_use_id", "content", "is_error"}
    assert "tool_reference" in known


def test_beta_members_are_those_of_the_beta_type() -> None:
    beta = BetaParams.__annotations__.keys() - {"betas"}  # a header
    assert beta <= messages_sdk._REQUEST.load().__annotations__.keys()
