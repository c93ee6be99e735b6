"""Completing configured messages, and whole answers as a strict client reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import anthropic
import orjson
import pytest
from hypothesis import given, settings

from mockllm.providers.anthropic.messages.answer import complete, text_response
from tests.support.anthropic.messages.responses import (
    BETA_RESPONSES,
    FOR_BETA,
    GOLDENS,
    NOT_VALID,
    OBJECTS,
    RESPONSES,
    TEXTS,
    Object,
    assert_keeps,
    broken,
    plain,
    read,
    respond,
    strict,
    whole,
)
from tests.support.goldens import INPUT_TOKENS, MODEL, Case
from tests.support.http_library import httpx


@pytest.fixture(name="http", scope="module")
def one_http_client() -> Iterator[httpx.Client]:
    """A client of a service that sends back what it gets: the body of the answer."""

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=orjson.loads(request.content)["metadata"]["answer"])

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        yield client


# --- goldens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_whole_answer_is_the_golden_one(case: Case) -> None:
    assert case.render(stream=False) == (case.folder / "whole.json").read_bytes()


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_golden_answer_passes_a_strict_client(case: Case, http: httpx.Client) -> None:
    client = strict(http)
    name = case.folder.name
    answer = whole(case.response)

    if name in NOT_VALID:
        with pytest.raises(anthropic.APIResponseValidationError):
            read(client.beta.messages, answer)
    elif name in FOR_BETA:
        assert read(client.beta.messages, answer) == answer
        with pytest.raises(anthropic.APIResponseValidationError):
            read(client.messages, answer)
    else:
        assert read(client.messages, answer) == read(client.beta.messages, answer) == answer


def test_answer_has_the_headers_that_clients_read() -> None:
    with respond(text_response("Hi.")) as http:
        message = strict(http).messages.with_raw_response.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]
        )

    assert message.headers["content-type"] == "application/json"
    assert message.headers["request-id"] == "req_011C0123456789abcdef0123"
    assert message.parse().content[0].to_dict() == {"type": "text", "text": "Hi."}


# --- completing ---------------------------------------------------------------------------------


def test_an_empty_message_is_completed_in_the_order_of_the_wire() -> None:
    answer = whole({})

    assert re.fullmatch("msg_01[0-9a-f]{22}", answer.pop("id"))
    assert list(answer.items()) == [
        ("model", MODEL),
        ("type", "message"),
        ("role", "assistant"),
        ("content", []),
        ("container", None),
        ("stop_reason", "end_turn"),
        ("stop_sequence", None),
        ("stop_details", None),
        (
            "usage",
            {
                "input_tokens": INPUT_TOKENS,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 1,
                "output_tokens_details": {"thinking_tokens": 0},
                "service_tier": "standard",
                "inference_geo": "global",
            },
        ),
        ("diagnostics", None),
    ]


def test_absent_members_go_where_the_wire_has_them() -> None:
    completed = complete({"usage": {"output_tokens": 3}, "x": 1, "role": "assistant"})

    assert list(completed) == [
        *("model", "id", "type", "usage", "diagnostics", "x", "role", "content", "container"),
        *("stop_reason", "stop_sequence", "stop_details"),
    ]
    assert list(completed["usage"])[-3:] == [
        *("output_tokens_details", "service_tier", "inference_geo"),
    ]


def test_calls_without_an_id_get_one_each_of_their_kind() -> None:
    call = {"name": "f", "input": {}}
    kinds = ["tool_use", "server_tool_use", "mcp_tool_use"] * 60

    answer = whole({"content": [{"type": kind, **call} for kind in kinds]})

    ids = [entry["id"] for entry in answer["content"]]
    assert len(set(ids)) == len(ids)
    for kind, prefix in zip(kinds, ["toolu_01", "srvtoolu_01", "mcptoolu_01"] * 60, strict=True):
        assert re.fullmatch(prefix + "[0-9a-f]{22}", ids[kinds.index(kind)])
    assert list(answer["content"][0]) == ["type", "id", "name", "input", "caller"]
    assert list(answer["content"][1]) == ["type", "id", "name", "input"]


@pytest.mark.parametrize(
    ("block", "completed"),
    [
        ({"type": "text"}, {"type": "text", "text": ""}),
        ({"type": "thinking"}, {"type": "thinking", "thinking": "", "signature": ""}),
        ({"type": "compaction"}, {"type": "compaction", "content": None}),
        (
            {"type": "tool_use", "id": "t"},
            {"type": "tool_use", "id": "t", "input": {}, "caller": {"type": "direct"}},
        ),
        ({"type": "container_upload"}, {"type": "container_upload"}),
        ({"type": "hologram"}, {"type": "hologram"}),
        ({"text": "typeless"}, {"text": "typeless"}),
        ("no object", "no object"),
    ],
)
def test_block_gets_what_its_type_requires(block: Any, completed: Any) -> None:
    assert complete({"content": [block]})["content"] == [completed]


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ([], "end_turn"),
        (["text"], "end_turn"),
        (["tool_use"], "tool_use"),
        (["text", "tool_use", "text"], "tool_use"),
        (["server_tool_use"], "end_turn"),
        (["mcp_tool_use"], "end_turn"),
    ],
)
def test_stop_reason_follows_from_the_blocks(kinds: list[str], reason: str) -> None:
    assert complete({"content": [{"type": kind} for kind in kinds]})["stop_reason"] == reason


@pytest.mark.parametrize(
    ("content", "output_tokens"),
    [
        ([], 1),
        ([{"type": "text", "text": "eight by"}], 2),
        ([{"type": "text", "text": "four"}, {"type": "thinking", "thinking": "four"}], 2),
        ([{"type": "tool_use", "input": {"a": "four"}}], 3),
        ([{"type": "tool_use", "input": "no object"}], 3),
        ([{"type": "web_search_tool_result", "content": "not by the model"}], 1),
        ([{"type": "text", "text": 5}], 1),
        ("no list", 1),
    ],
)
def test_output_tokens_are_estimated_on_what_the_model_writes(
    content: Any, output_tokens: int
) -> None:
    assert complete({"content": content})["usage"]["output_tokens"] == output_tokens


@pytest.mark.parametrize(
    ("written", "caches"),
    [
        ({}, (0, 0, 0)),
        ({"cache_creation_input_tokens": 9}, (9, 9, 0)),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 9}}, (9, 0, 9)),
        (
            {"cache_creation_input_tokens": 9}
            | {"cache_creation": {"ephemeral_1h_input_tokens": 4}},
            (9, 5, 4),
        ),
        (
            {"cache_creation_input_tokens": 9}
            | {"cache_creation": {"ephemeral_5m_input_tokens": 4}},
            (9, 4, 5),
        ),
    ],
)
def test_tokens_of_caches_add_up(written: Any, caches: tuple[int, int, int]) -> None:
    usage = complete({"usage": written})["usage"]

    assert caches == (
        usage["cache_creation_input_tokens"],
        usage["cache_creation"]["ephemeral_5m_input_tokens"],
        usage["cache_creation"]["ephemeral_1h_input_tokens"],
    )


@pytest.mark.parametrize(
    ("written", "output", "thought"),
    [
        ({}, 5, 2),
        ({"output_tokens": 4}, 4, 1),
        ({"output_tokens": 1}, 1, 0),
        ({"output_tokens_details": {"thinking_tokens": 50}}, 53, 50),
    ],
)
def test_thinking_is_part_of_the_output(written: Any, output: int, thought: int) -> None:
    content = [
        {"type": "thinking", "thinking": "eight..."},
        {"type": "text", "text": "twelve bytes"},
    ]

    usage = complete({"content": content, "usage": written})["usage"]

    assert usage["output_tokens"] == output
    assert usage["output_tokens_details"] == {"thinking_tokens": thought}


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({}, "end_turn"),
        ({"stop_sequence": "END"}, "stop_sequence"),
        ({"stop_sequence": None}, "end_turn"),
        ({"stop_details": {"type": "refusal", "category": "cyber"}}, "refusal"),
    ],
)
def test_stop_reason_follows_from_what_is_written(written: Any, reason: str) -> None:
    assert complete(written)["stop_reason"] == reason


def test_calls_of_server_tools_are_counted_where_counts_are_written() -> None:
    search = {"type": "server_tool_use", "name": "web_search"}
    usage = {"server_tool_use": {"web_fetch_requests": 7}}

    completed = complete({"content": [search, search], "usage": usage})

    assert completed["usage"]["server_tool_use"] == {
        "web_search_requests": 2,
        "web_fetch_requests": 7,
    }


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["web_search", "web_search"], {"web_search_requests": 2, "web_fetch_requests": 0}),
        (["web_fetch"], {"web_search_requests": 0, "web_fetch_requests": 1}),
        (["code_execution"], None),
        ([], None),
    ],
)
def test_calls_of_server_tools_are_counted(names: list[str], counts: Any) -> None:
    blocks = [{"type": "server_tool_use", "name": name} for name in names]

    assert complete({"content": blocks})["usage"].get("server_tool_use") == counts


def test_a_search_that_fails_is_not_counted() -> None:
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    blocks = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search"},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "server_tool_use", "id": "s2", "name": "web_search"},
        {"type": "web_search_tool_result", "tool_use_id": "s2", "content": error},
    ]

    assert complete({"content": blocks})["usage"]["server_tool_use"]["web_search_requests"] == 1


def test_totals_are_those_of_the_iterations() -> None:
    iterations = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 500},
        {"type": "message", "input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 9},
        {"type": "advisor_message", "input_tokens": 100, "output_tokens": 50},
        {"type": "fallback_message", "input_tokens": 4, "output_tokens": 6},
        "strange",
    ]

    usage = complete({"usage": {"iterations": iterations}})["usage"]

    assert (usage["input_tokens"], usage["output_tokens"]) == (7, 11)
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (9, 0)


def test_totals_that_are_written_stay_beside_iterations() -> None:
    iterations = [{"type": "message", "input_tokens": 3, "output_tokens": 5}]

    usage = complete({"usage": {"output_tokens": 9, "iterations": iterations}})["usage"]

    assert (usage["input_tokens"], usage["output_tokens"]) == (3, 9)


@pytest.mark.parametrize("usage", [None, 5, "many", []])
def test_usage_that_is_no_object_stays(usage: Any) -> None:
    assert complete({"usage": usage})["usage"] == usage


@given(RESPONSES | BETA_RESPONSES | OBJECTS)
@settings(deadline=None)
def test_completing_twice_is_completing_once(response: Object) -> None:
    before = orjson.dumps(response)
    once = complete(response)

    assert orjson.dumps(complete(once)) == orjson.dumps(once)
    assert orjson.dumps(response) == before


@given(RESPONSES)
@settings(deadline=None, max_examples=60)
def test_valid_response_passes_both_strict_clients(http: httpx.Client, response: Object) -> None:
    answer = whole(response)
    client = strict(http)

    assert_keeps(answer, response)
    assert plain(read(client.messages, answer)) == plain(answer)
    assert plain(read(client.beta.messages, answer)) == plain(answer)


@given(BETA_RESPONSES)
@settings(deadline=None, max_examples=40)
def test_valid_beta_response_passes_the_strict_beta_client(
    http: httpx.Client, response: Object
) -> None:
    answer = whole(response)

    assert_keeps(answer, response)
    assert plain(read(strict(http).beta.messages, answer)) == plain(answer)


@given(OBJECTS | broken())
@settings(deadline=None, max_examples=300)
def test_any_response_is_answered_unchanged(response: Object) -> None:
    assert_keeps(whole(response), response)


@given(TEXTS)
@settings(deadline=None)
def test_text_response_has_the_text(text: str) -> None:
    answer = whole(text_response(text))

    assert answer["content"] == [{"type": "text", "text": text}]
    assert answer["stop_reason"] == "end_turn"
