"""Whole Responses answers: golden files, what is filled in, what is never touched."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses.answer import complete, text_response
from mockllm.providers.openai.responses.render import render
from mockllm.wire import jsontext
from tests.support.goldens import INPUT_TOKENS, MODEL, Case, cases, delivered

CASES = cases("openai/responses")
PASSED_ON = frozenset({"parts", "unknown_items", "strange"})
"""Cases that the SDK's types do not know, so that only a client that is not strict reads them."""

# Configured responses for Hypothesis. They are as valid as `Response` wants them, at least once
# they are completed, and use every kind of item.

texts = st.one_of(
    st.text(max_size=24),
    st.sampled_from(
        [
            "",
            "two words",
            '{"city": "Paris"}',
            "line\u2028para\u2029next\u0085",
            "🙏🏽 👨‍👩‍👧 🇺🇦🇳🇱",
            "e\u0301\u0301 \r\n\t",
            "data: [DONE]\n\n",
        ]
    ),
)
names = st.text("abcdefghij_", min_size=1, max_size=8)
fresh = st.uuids().map(str)  # two items of one kind with the same id are one item to the SDK
done = st.just("completed")


def one(type_: str, required: Mapping[str, Any], **optional: Any) -> st.SearchStrategy[Any]:
    """Objects of this type: the members in `required`, and any of the `optional` ones."""
    return st.fixed_dictionaries({"type": st.just(type_), **required}, optional=optional)


@st.composite
def texts_with_logprobs(draw: st.DrawFn) -> dict[str, Any]:
    tokens = draw(st.lists(st.text(min_size=1, max_size=5), max_size=5))
    logprobs = [
        {"token": token, "bytes": list(token.encode()), "logprob": -0.5, "top_logprobs": []}
        for token in tokens
    ]
    return {"type": "output_text", "text": "".join(tokens), "logprobs": logprobs}


url = {"url": texts, "title": texts, "start_index": st.integers(0, 9), "end_index": st.just(9)}
citations = st.one_of(
    one("url_citation", url),
    one("file_citation", {"file_id": names, "filename": texts, "index": st.integers(0, 9)}),
    one("file_path", {"file_id": names, "index": st.integers(0, 9)}),
)
parts = st.one_of(
    one("output_text", {"text": texts}, annotations=st.lists(citations, max_size=2)),
    one("refusal", {"refusal": texts}),
    texts_with_logprobs(),
)
actions = st.one_of(
    one("search", {"query": texts}),
    one("open_page", {"url": texts}),
    one("find_in_page", {"url": texts, "pattern": texts}),
)
operations = st.one_of(
    one("create_file", {"path": names, "diff": texts}),
    one("update_file", {"path": names, "diff": texts}),
    one("delete_file", {"path": names}),
)
mcp_errors = st.one_of(
    st.none(),
    one("http_error", {"code": st.just(502), "message": texts}),
    one("mcp_tool_execution_error", {"content": texts}),
)
shell_outputs = st.fixed_dictionaries(
    {"stdout": texts, "stderr": texts, "outcome": st.just({"type": "exit", "exit_code": 0})}
)
tools = st.fixed_dictionaries({"name": names, "input_schema": st.just({"type": "object"})})
images = st.sampled_from(["", "aW1hZ2U="])
shell_actions = st.fixed_dictionaries({"commands": st.lists(texts, max_size=3)})
exec_actions = one("exec", {"command": st.lists(texts, max_size=2), "env": st.just({})})
function_outputs = st.one_of(texts, st.lists(one("input_text", {"text": texts}), max_size=2))
mcp = {"server_label": names}
search = {"execution": st.just("server")}
clicks = st.just({"type": "click", "button": "left", "x": 1, "y": 2})

items_of_the_union = st.one_of(
    one("message", {"content": st.lists(parts, max_size=3)}, id=fresh, status=done),
    one("function_call", {"name": names, "arguments": texts}, id=fresh, call_id=fresh),
    one("custom_tool_call", {"name": names, "input": texts}, id=fresh, call_id=fresh),
    one("custom_tool_call_output", {"output": texts}, call_id=fresh),
    one(
        "reasoning",
        {"summary": st.lists(one("summary_text", {"text": texts}), max_size=2)},
        content=st.lists(one("reasoning_text", {"text": texts}), max_size=2),
        encrypted_content=texts,
        status=done,
    ),
    one("web_search_call", {"action": actions}, status=st.sampled_from(["completed", "failed"])),
    one("file_search_call", {"queries": st.lists(texts, max_size=2)}, results=st.just([])),
    one("code_interpreter_call", {}, code=st.none() | texts, outputs=st.none(), container_id=names),
    one(
        "image_generation_call",
        {},
        result=images,
        size=st.just("1024x1024"),
        partial_images=st.lists(images, max_size=2),
    ),
    one("mcp_list_tools", {**mcp, "tools": st.lists(tools, max_size=2)}, error=texts),
    one("mcp_call", {**mcp, "name": names, "arguments": texts}, error=mcp_errors, output=texts),
    one("mcp_approval_request", {**mcp, "name": names, "arguments": texts}),
    one("computer_call", {"action": clicks}, call_id=fresh),
    one("local_shell_call", {"action": exec_actions}, call_id=fresh),
    one("local_shell_call_output", {"output": texts}),
    one("shell_call", {"action": shell_actions}, call_id=fresh),
    one("shell_call_output", {"output": st.lists(shell_outputs, max_size=2)}, call_id=fresh),
    one("apply_patch_call_output", {"output": texts}, call_id=fresh),
    one("tool_search_call", {**search, "arguments": st.just({"paths": ["crm"]})}),
    one("tool_search_output", {**search, "tools": st.just([])}),
    one("program", {"code": texts, "fingerprint": texts}),
    one("program_output", {"result": texts}),
    one("compaction", {"encrypted_content": texts}),
)
items_beside_the_union = st.one_of(
    one("function_call_output", {"output": function_outputs}, call_id=fresh, id=fresh),
    one("apply_patch_call", {"operation": operations}, call_id=fresh),
)
"""Items that the SDK knows, but not all their events."""


def responses(items: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Configured responses with these items."""
    return st.fixed_dictionaries(
        {"output": st.lists(items, max_size=4)},
        optional={
            "id": st.just("resp_1"),
            "created_at": st.just(1741476542),
            "model": names,
            "metadata": st.just({"key": "value"}),
            "error": st.sampled_from([None, {}]),
            "usage": st.none(),
            "service_tier": st.sampled_from(["default", "flex"]),
        },
    )


words = st.sampled_from(
    [
        "id", "type", "status", "output", "content", "text", "summary", "arguments", "action",
        "commands", "operation", "diff", "code", "error", "usage", "annotations", "logprobs",
        "completed", "failed", "queued", "message", "reasoning", "function_call", "mcp_call",
        "shell_call", "output_text", "refusal", "input_tokens", "created_at",
    ]
)  # fmt: skip
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        words,
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=4), inner),
    max_leaves=12,
)
json_objects = st.dictionaries(words | st.text(max_size=4), json_values, max_size=6)


@st.composite
def spoiled_responses(draw: st.DrawFn) -> dict[str, Any]:
    """Valid responses in which some values are any JSON values instead."""
    response = deepcopy(draw(responses(items_of_the_union | items_beside_the_union)))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = response
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            deeper = isinstance(place[key], (dict, list)) and draw(st.integers(0, 4))
            if not deeper:
                place[key] = draw(json_values)
                break
            place = place[key]
    return response


def whole(response: dict[str, Any]) -> Any:
    """The whole answer as a client decodes it."""
    return jsontext.loads(delivered(render(response, ResponseOptions(), "word")))


def assert_keeps(written: Any, served: Any) -> None:
    """All that is written is served: same values and types, same order, nothing dropped."""
    assert type(served) is type(written)
    if isinstance(written, dict):
        assert [name for name in served if name in written] == list(written)
        for name in written:
            assert_keeps(written[name], served[name])
    elif isinstance(written, list):
        assert len(served) == len(written)
        for mine, theirs in zip(written, served, strict=True):
            assert_keeps(mine, theirs)
    else:
        assert served == written


def assert_answer_keeps(response: dict[str, Any]) -> None:
    served = whole(response)
    if response.get("error") == {}:
        assert served.pop("error") is None
        response = {name: value for name, value in response.items() if name != "error"}
    assert_keeps(response, served)


def read_strictly(response: dict[str, Any]) -> Response:
    """The answer through a client that refuses what the SDK's types refuse."""
    body = delivered(render(response, ResponseOptions(), "word"))

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)

    with OpenAI(
        api_key="k",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        _strict_response_validation=True,
    ) as client:
        return client.responses.create(model=MODEL, input="Hi")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_whole_answer_is_golden(case: Case) -> None:
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
def test_say_makes_a_client_read_the_text(text: str) -> None:
    assert read_strictly(text_response(text)).output_text == text


def test_an_empty_response_has_all_that_the_service_writes() -> None:
    assert list(whole({})) == [
        "id", "object", "created_at", "status", "completed_at", "error", "incomplete_details",
        "instructions", "model", "output", "parallel_tool_calls", "reasoning", "service_tier",
        "temperature", "text", "tool_choice", "tools", "top_p", "truncation", "usage", "metadata",
    ]  # fmt: skip


def test_what_is_added_goes_where_the_service_has_it() -> None:
    item = {"name": "f", "status": "completed", "id": "fc_1", "type": "function_call"}

    assert list(whole({"output": [item]})["output"][0]) == [
        "name", "status", "arguments", "call_id", "id", "type",
    ]  # fmt: skip


def test_an_empty_error_is_no_error() -> None:
    assert whole({"error": {}})["error"] is None
    assert whole({"error": {"code": "server_error"}})["error"] == {"code": "server_error"}


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
def test_items_get_what_the_service_always_writes(
    item: dict[str, Any], added: dict[str, Any]
) -> None:
    completed = whole({"output": [item]})["output"][0]

    unique = {name: completed[name] for name in ("id", "call_id") if name in completed}
    assert completed == item | added | unique
    assert "id" in unique


def test_ids_are_stable_and_apart() -> None:
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
def test_what_is_added_agrees_with_the_status(
    status: str, error: str | None, details: Any, item_status: str, has_usage: bool
) -> None:
    said = text_response("Hi")["output"]

    completed = whole({"status": status, "output": said + said})

    assert (completed["error"] or {}).get("code") == error
    assert completed["incomplete_details"] == details
    assert [item["status"] for item in completed["output"]] == ["completed", item_status]
    assert (completed["usage"] is not None) is has_usage
    assert (completed["completed_at"] is not None) is (status == "completed")


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
