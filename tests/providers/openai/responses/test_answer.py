"""Whole Responses answers: golden files, members that are filled in, and those that stay."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from openai.types.responses import Response

from mockllm.providers.openai.responses import sdk
from mockllm.providers.openai.responses.answer import complete, text_response
from mockllm.validation.findings import Kind
from mockllm.wire import jsontext
from tests.support.goldens import INPUT_TOKENS, Case
from tests.support.openai.responses.responses import (
    CASES,
    PASSED_ON,
    assert_answer_keeps,
    items_beside_the_union,
    items_of_the_union,
    json_objects,
    read_strictly,
    responses,
    spoiled_responses,
    whole,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_a_whole_answer_is_golden(case: Case) -> None:
    assert case.render(stream=False) == (case.folder / "whole.json").read_bytes()


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.folder.name not in PASSED_ON],
    ids=lambda case: case.folder.name,
)
def test_strict_client_reads_the_whole_answer(case: Case) -> None:
    response = read_strictly(case.response)

    assert response.to_dict(mode="json", warnings=False) == whole(case.response)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_completing_changes_nothing_that_is_written(case: Case) -> None:
    before = deepcopy(case.response)

    assert_answer_keeps(case.response)
    assert case.response == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_completing_twice_is_completing_once(case: Case) -> None:
    once = complete(case.response)

    assert jsontext.dumps(complete(once)) == jsontext.dumps(once)


@pytest.mark.parametrize("text", ["", "Hello!", "🙏🏽 and\u2028more"])
def test_a_client_reads_the_text_of_a_text_response(text: str) -> None:
    assert read_strictly(text_response(text)).output_text == text


def test_an_empty_response_has_all_that_the_service_writes() -> None:
    assert list(whole({})) == [
        "id", "object", "created_at", "status", "access_programs", "background", "completed_at",
        "error", "frequency_penalty", "incomplete_details", "instructions", "max_output_tokens",
        "max_tool_calls", "model", "moderation", "output", "parallel_tool_calls",
        "presence_penalty", "previous_response_id", "prompt_cache_key", "prompt_cache_retention",
        "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text",
        "tool_choice", "tool_usage", "tools", "top_logprobs", "top_p", "truncation", "usage",
        "user", "metadata",
    ]  # fmt: skip


def test_added_members_are_in_the_order_of_the_service() -> None:
    item = {"name": "f", "status": "completed", "id": "fc_1", "type": "function_call"}

    assert list(whole({"output": [item]})["output"][0]) == [
        "name", "status", "arguments", "call_id", "id", "type",
    ]  # fmt: skip


def test_an_empty_error_is_not_an_error() -> None:
    assert whole({"error": {}})["error"] is None
    assert whole({"error": {"code": "server_error"}})["error"] == {"code": "server_error"}
    assert whole({"error": {}, "status": "failed"})["error"]["code"] == "server_error"


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ({}, "completed"),
        ({"error": None, "incomplete_details": None}, "completed"),
        ({"error": {"code": "server_error", "message": "no"}}, "failed"),
        ({"incomplete_details": {"reason": "content_filter"}}, "incomplete"),
        ({"output": [{"type": "message", "status": "incomplete"}]}, "incomplete"),
        ({"output": [{"content": [], "status": "incomplete"}]}, "incomplete"),
        ({"output": [{"type": "file_search_call", "status": "incomplete"}]}, "completed"),
        ({"output": [{"type": "web_search_call", "status": "in_progress"}]}, "in_progress"),
        ({"output": [{"type": "web_search_call", "status": "failed"}]}, "completed"),
    ],
)
def test_status_follows_from_what_is_written(written: dict[str, Any], status: str) -> None:
    assert whole(written)["status"] == status


def test_an_output_text_becomes_the_output() -> None:
    response = read_strictly({"output_text": "Hello!"})

    assert response.output_text == "Hello!"
    assert [item.type for item in response.output] == ["message"]


def test_an_output_text_is_not_reported_as_unknown() -> None:
    findings = sdk.confirm_response({"output_text": "Hello!"})

    assert {finding.kind for finding in findings} == {Kind.MISSING}


def test_a_response_is_not_created_after_its_completion() -> None:
    assert whole({"completed_at": 5})["created_at"] == 5


def test_web_searches_are_counted() -> None:
    output = [{"type": "web_search_call"}, {"type": "message"}, {"type": "web_search_call"}]

    assert whole({"output": output})["tool_usage"]["web_search"] == {"num_requests": 2}


@pytest.mark.parametrize(
    ("item", "added"),
    [
        ({"content": []}, {"type": "message", "status": "completed", "role": "assistant"}),
        ({"type": "function_call"}, {"status": "completed", "arguments": "{}"}),
        ({"type": "custom_tool_call"}, {"status": "completed", "input": ""}),
        ({"type": "reasoning"}, {"summary": []}),
        (
            {"type": "web_search_call"},
            {"status": "completed", "action": {"type": "search", "query": ""}},
        ),
        ({"type": "mcp_call", "error": {}}, {"status": "completed", "arguments": "{}"}),
        ({"type": "mcp_call", "error": {"code": 1}}, {"status": "failed", "arguments": "{}"}),
        ({"type": "image_generation_call", "error": {"type": "x"}}, {"status": "failed"}),
        ({"type": "computer_call"}, {"status": "completed", "pending_safety_checks": []}),
        ({"type": "program", "code": "", "fingerprint": ""}, {}),
        ({"type": "hologram_call"}, {}),
    ],
)
def test_items_get_the_members_that_the_service_always_writes(
    item: dict[str, Any], added: dict[str, Any]
) -> None:
    completed = whole({"output": [item]})["output"][0]

    unique = {name: completed[name] for name in ("id", "call_id") if name in completed}
    assert completed == item | added | unique
    assert "id" in unique


def test_ids_are_stable_and_distinct() -> None:
    calls = [{"type": "function_call", "name": "f"} for _ in range(40)]

    first, second = whole({"output": calls}), whole({"output": calls})

    assert first == second
    ids = [item[name] for item in first["output"] for name in ("id", "call_id")]
    assert len({first["id"], *ids}) == 1 + len(ids)


def test_usage_is_estimated_from_all_that_the_model_wrote() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "twelve chars"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "eight ch"}]},
        {"type": "function_call", "name": "f", "arguments": "four"},
        {"type": "function_call_output", "output": "not the model's words"},
    ]

    assert whole({"output": output})["usage"] == {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": INPUT_TOKENS + 6,
    }


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({}, INPUT_TOKENS),
        ({"input_tokens": 3}, 3),
        ({"output_tokens": 4}, INPUT_TOKENS + 4),
        ({"input_tokens": 3, "output_tokens": 4}, 7),
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": 99}, 99),
        ({"input_tokens": "many", "output_tokens": -(2**63)}, 0),
        ({"input_tokens": 2**64 - 1, "output_tokens": 4}, 4),
    ],
)
def test_a_partial_usage_is_added_up(usage: dict[str, Any], total: int) -> None:
    completed = whole({"usage": usage})["usage"]

    assert completed["total_tokens"] == total
    assert completed == completed | usage


@pytest.mark.parametrize(
    ("status", "error", "details", "item_status", "has_usage"),
    [
        ("completed", None, None, "completed", True),
        ("incomplete", None, {"reason": "max_output_tokens"}, "incomplete", True),
        ("failed", "server_error", None, "incomplete", False),
        ("cancelled", None, None, "incomplete", False),
        ("queued", None, None, "completed", False),
        ("in_progress", None, None, "completed", False),
        ("a new one", None, None, "completed", True),
    ],
)
def test_completed_members_agree_with_the_status(
    status: str, error: str | None, details: Any, item_status: str, has_usage: bool
) -> None:
    said = text_response("Hi")["output"]

    completed = whole({"status": status, "output": said + said})

    assert (completed["error"] or {}).get("code") == error
    assert completed["incomplete_details"] == details
    assert [item["status"] for item in completed["output"]] == ["completed", item_status]
    assert (completed["usage"] is not None) is has_usage
    assert (completed["completed_at"] is not None) is (status == "completed")
    assert completed["background"] is (status in ("cancelled", "queued"))


@given(responses(items_of_the_union | items_beside_the_union))
@settings(max_examples=60, deadline=None)
def test_strict_clients_read_any_valid_response(response: dict[str, Any]) -> None:
    served = whole(response)

    assert Response.model_validate_json(jsontext.dumps(served), strict=True)
    assert_answer_keeps(response)


@given(json_objects | spoiled_responses())
@settings(max_examples=250, deadline=None)
def test_any_json_object_is_served_as_written(response: dict[str, Any]) -> None:
    before = deepcopy(response)

    assert_answer_keeps(response)
    once = complete(response)
    assert jsontext.dumps(complete(once)) == jsontext.dumps(once)
    assert response == before
