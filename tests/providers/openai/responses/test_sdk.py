"""Requests and items of Responses, validated by the SDK's types."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Finding
from tests.support.agents import codex
from tests.support.confirming import (
    ECHOED_MESSAGE,
    LENIENT,
    MISSING,
    OUTPUT_TEXT,
    RESPONSES,
    STRICT,
    UNKNOWN,
    WRONG,
    assert_only_strict_refuses,
    body,
    turns,
)


def test_responses_input_is_a_string_or_a_list() -> None:
    assert LENIENT[RESPONSES](body(RESPONSES, input={})) == Finding(
        ("input",), "expected a string or a list, found an object", WRONG
    )


def test_only_strict_requires_strict_and_parameters_of_a_tool() -> None:
    tool = {"type": "function", "name": "f"}
    assert_only_strict_refuses(
        RESPONSES,
        body(RESPONSES, tools=[tool]),
        Finding(("tools", 0, "parameters"), "required, but missing", MISSING),
    )
    assert LENIENT[RESPONSES](body(RESPONSES, tools=[{"type": "function"}])) == Finding(
        ("tools", 0, "name"), "required, but missing", MISSING
    )


def test_only_strict_requires_the_detail_of_an_image() -> None:
    image = {"type": "input_image", "image_url": "data:"}
    assert_only_strict_refuses(
        RESPONSES,
        turns(RESPONSES, {"role": "user", "content": [image]}),
        Finding(("input", 0, "content", 0, "detail"), "required, but missing", MISSING),
    )


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "message", "role": "developer", "content": "a"},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}],
            "status": "completed",
        },
        {"role": "assistant", "content": "a", "phase": "commentary"},
        {**ECHOED_MESSAGE, "content": [OUTPUT_TEXT]},
        {"id": "msg_1"},
        {"type": "item_reference", "id": "msg_1"},
    ],
)
def test_messages_and_references_are_accepted(item: Any) -> None:
    assert LENIENT[RESPONSES](turns(RESPONSES, item)) is None
    assert STRICT[RESPONSES](turns(RESPONSES, item)) is None


@pytest.mark.parametrize(
    ("item", "finding"),
    [
        ({"role": "user"}, Finding(("content",), "required, but missing", MISSING)),
        ({"content": "a"}, Finding(("role",), "required, but missing", MISSING)),
        (
            {"role": "assistant", "type": "message", "content": [{"type": "output_text"}, 5]},
            Finding(("content", 1), "expected an object, found 5", WRONG),
        ),
    ],
)
def test_malformed_messages_are_refused(item: Any, finding: Finding) -> None:
    expected = Finding(("input", 0, *finding.path), finding.message, finding.kind)
    assert LENIENT[RESPONSES](turns(RESPONSES, item)) == expected


def test_a_request_of_codex_is_accepted() -> None:
    assert LENIENT[RESPONSES](codex()) is None
    finding = STRICT[RESPONSES](codex())
    assert finding is not None
    assert finding.kind in (MISSING, UNKNOWN)


def test_known_members_are_those_of_items_and_parts() -> None:
    known = responses_sdk.known_members()
    assert known["message"] == {"type", "role", "content", "id", "status", "phase"}
    assert known["function_call"] >= {"type", "call_id", "name", "arguments"}
    assert known["output_text"] == {"type", "text", "annotations", "logprobs"}
    assert {"input_text", "input_image", "input_file", "refusal", "summary_text"} <= set(known)


def test_an_item_of_a_match_whose_type_is_a_list_is_a_finding() -> None:
    assert [finding.path for finding in responses_sdk.confirm_match([{"type": []}])][:1] == [
        (0, "type")
    ]
