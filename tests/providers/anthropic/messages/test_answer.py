"""Completing configured messages, and whole answers as a strict client reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.answer import complete, text_response
from mockllm.providers.anthropic.messages.render import render
from mockllm.wire import placeholders
from tests.support.goldens import FRESH, INPUT_TOKENS, MODEL, Case, cases, delivered

Object = dict[str, Any]

# --- what a user may configure ------------------------------------------------------------------

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "Hello, world!",
            " \n",
            "👩‍👩‍👧‍👦 🇩🇪🇫🇷 e\u0301\r\n",
            "\u2028\u2029\u0085",
            '{"a": "\\"}',
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
COUNTS = st.integers(0, 10**6)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def block(kind: str, members: Object, optional: Object | None = None) -> st.SearchStrategy[Object]:
    """Content blocks of one kind. Members are strategies, or values that every block has."""
    strategies = {key: as_strategy(value) for key, value in members.items()}
    others = {key: as_strategy(value) for key, value in (optional or {}).items()}
    return st.fixed_dictionaries({"type": st.just(kind), **strategies}, optional=others)


def as_strategy(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


CITATIONS = st.one_of(
    block(
        "char_location",
        {"cited_text": TEXTS, "document_index": COUNTS, "document_title": st.none() | TEXTS}
        | {"start_char_index": COUNTS, "end_char_index": COUNTS},
    ),
    block(
        "web_search_result_location",
        {"cited_text": TEXTS, "encrypted_index": TEXTS, "url": TEXTS},
        {"title": st.none() | TEXTS},
    ),
)
ARGUMENTS = st.dictionaries(TEXTS, JSON, max_size=3)
CALLERS = st.just({"type": "direct"}) | block("code_execution_20260120", {"tool_id": TEXTS})
BLOCKS = st.one_of(
    block("text", {"text": TEXTS}),
    block("text", {"text": TEXTS}, {"citations": st.none() | st.lists(CITATIONS, max_size=4)}),
    block("thinking", {"thinking": TEXTS}, {"signature": TEXTS}),
    block("redacted_thinking", {"data": TEXTS}),
    block("tool_use", {"name": TEXTS}, {"id": TEXTS, "input": ARGUMENTS, "caller": CALLERS}),
    block("server_tool_use", {"name": "web_search"}, {"id": TEXTS, "input": ARGUMENTS}),
    block(
        "web_search_tool_result",
        {
            "tool_use_id": TEXTS,
            "content": st.just(
                {"type": "web_search_tool_result_error", "error_code": "unavailable"}
            )
            | st.lists(
                block("web_search_result", {"title": TEXTS, "url": TEXTS, "encrypted_content": ""}),
                max_size=2,
            ),
        },
    ),
    block(
        "code_execution_tool_result",
        {
            "tool_use_id": TEXTS,
            "content": block(
                "code_execution_result",
                {"stdout": TEXTS, "stderr": TEXTS, "return_code": COUNTS, "content": []},
            ),
        },
    ),
    block("container_upload", {"file_id": TEXTS}),
)
BETA_BLOCKS = st.one_of(
    block("mcp_tool_use", {"name": TEXTS, "server_name": TEXTS}, {"id": TEXTS, "input": ARGUMENTS}),
    block("mcp_tool_result", {"tool_use_id": TEXTS, "is_error": False, "content": TEXTS}),
    block("mcp_tool_listing", {"mcp_server_name": TEXTS, "tools": []}),
    block(
        "compaction",
        {},
        {"content": st.none() | TEXTS, "encrypted_content": st.none() | TEXTS, "signature": TEXTS},
    ),
    block(
        "advisor_tool_result",
        {"tool_use_id": TEXTS, "content": block("advisor_result", {"text": TEXTS})},
    ),
    block(
        "fallback",
        {"from": {"model": "m-1"}, "to": {"model": "m-2"}, "trigger": {"type": "refusal"}},
    ),
)
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "cache_creation_input_tokens": st.none() | COUNTS,
        "cache_read_input_tokens": COUNTS,
        "server_tool_use": st.none() | st.just({"web_search_requests": 1, "web_fetch_requests": 0}),
        "output_tokens_details": st.just({"thinking_tokens": 3}),
        "service_tier": st.sampled_from(["priority", "batch"]),
        "inference_geo": TEXTS,
    },
)
REASONS = ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"]
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXTS,
    "type": st.just("message"),
    "role": st.just("assistant"),
    "stop_reason": st.none() | st.sampled_from([*REASONS, "model_context_window_exceeded"]),
    "stop_sequence": st.none() | TEXTS,
    "stop_details": st.none() | block("refusal", {"category": "bio", "explanation": TEXTS}),
    "container": st.just({"id": "container_1", "expires_at": "2026-03-03T19:38:14.861782Z"}),
    "diagnostics": st.none() | st.just({"cache_miss_reason": {"type": "unavailable"}}),
    "usage": USAGES,
}
RESPONSES = st.fixed_dictionaries(
    {}, optional={**OPTIONAL, "model": TEXTS, "content": st.lists(BLOCKS, max_size=4)}
)
BETA_RESPONSES = st.fixed_dictionaries(
    {"model": st.just("m-2")},  # the model that a fallback names last is the message's
    optional={
        **OPTIONAL,
        "content": st.lists(BLOCKS | BETA_BLOCKS, max_size=4),
        "context_management": st.none() | st.just({"applied_edits": []}),
        "input_transformations": st.just([]),
    },
)
MEMBERS = st.sampled_from(
    [
        *("content", "usage", "type", "text", "citations", "thinking", "signature", "input", "id"),
        *("name", "output_tokens", "stop_reason", "stop_details", "container"),
        "context_management",
    ]
)
KINDS = st.sampled_from(
    ["text", "thinking", "tool_use", "server_tool_use", "mcp_tool_use", "compaction", "hologram"]
)
ANYTHING = st.recursive(
    JSON | KINDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(MEMBERS | TEXTS, inner, max_size=4)
        | st.dictionaries(MEMBERS, inner, max_size=3).flatmap(
            lambda members: KINDS.map(lambda kind: members | {"type": kind})
        )
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(MEMBERS | TEXTS, ANYTHING, max_size=5)


@st.composite
def broken(draw: st.DrawFn) -> Object:
    """A valid response of which some members are replaced by anything."""
    response: Object = deepcopy(draw(BETA_RESPONSES))
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = response
        while holder:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or draw(st.booleans()):
                holder[key] = draw(ANYTHING)
                break
            holder = holder[key]
    return response


# --- reading it back ----------------------------------------------------------------------------

GOLDENS = cases("anthropic/messages")
FOR_BETA = {
    "beta_advisor",
    "beta_compaction",
    "beta_compaction_failed",
    "beta_fallback",
    "beta_mcp",
}
NOT_VALID = {"content_string", "nulls", "unknown_block", "wrong_types"}  # as their names say


def whole(response: Object) -> Any:
    """The whole answer for `response`, decoded."""
    return orjson.loads(delivered(render(response, ResponseOptions(), "word")))


def respond(response: Object) -> httpx2.Client:
    """A client of a service that answers everything with `response`, whole."""
    reply = render(response, ResponseOptions(), "word")
    headers = [(name, placeholders.fill_fresh(value, FRESH)) for name, value in reply.headers]

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(reply.status, headers=headers, content=delivered(reply))

    return httpx2.Client(transport=httpx2.MockTransport(handle))


@pytest.fixture(name="http", scope="module")
def one_http_client() -> Iterator[httpx2.Client]:
    """A client of a service that sends back what it gets: the body of the answer."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=orjson.loads(request.content)["metadata"]["answer"])

    with httpx2.Client(transport=httpx2.MockTransport(handle)) as client:
        yield client


def strict(http: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", http_client=http, _strict_response_validation=True)


def read(messages: Any, answer: Any) -> Any:
    """What `messages.create` of a strict client makes of a whole answer."""
    asked: Object = {"max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    metadata = {"metadata": {"answer": answer}}
    return messages.create(model="m", **asked, extra_body=metadata).to_dict(mode="json")


def plain(value: Any) -> bytes:
    """Equal bytes for the same JSON; true is not 1."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def assert_keeps(answer: Object, written: Object) -> None:
    """`answer` has every member of `written`, in its order, unchanged but for what is added to the
    usage and to blocks."""
    assert [key for key in answer if key in written] == list(written)
    for key, value in written.items():
        if key == "content" and isinstance(value, list):
            assert len(answer[key]) == len(value)
            for block, written_block in zip(answer[key], value, strict=True):
                assert_keeps_members(block, written_block)
        elif key == "usage":
            assert_keeps_members(answer[key], value)
        else:
            assert plain(answer[key]) == plain(value)


def assert_keeps_members(answer: Any, written: Any) -> None:
    if not isinstance(written, dict):
        assert plain(answer) == plain(written)
        return
    assert [key for key in answer if key in written] == list(written)
    assert plain({key: answer[key] for key in written}) == plain(written)


# --- goldens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_whole_answer_is_the_golden_one(case: Case) -> None:
    assert case.render(stream=False) == (case.folder / "whole.json").read_bytes()


@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case.folder.name)
def test_golden_answer_passes_a_strict_client(case: Case, http: httpx2.Client) -> None:
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


def test_nothing_configured_is_completed_in_the_order_of_the_wire() -> None:
    answer = whole({})

    assert re.fullmatch("msg_01[0-9a-f]{22}", answer.pop("id"))
    assert list(answer.items()) == [
        ("type", "message"),
        ("role", "assistant"),
        ("model", MODEL),
        ("content", []),
        ("stop_reason", "end_turn"),
        ("stop_sequence", None),
        (
            "usage",
            {
                "input_tokens": INPUT_TOKENS,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 1,
                "service_tier": "standard",
            },
        ),
    ]


def test_absent_members_go_where_the_wire_has_them() -> None:
    completed = complete({"usage": {"output_tokens": 3}, "x": 1, "role": "assistant"})

    assert list(completed) == [
        *("id", "type", "usage", "x", "role", "model", "content", "stop_reason", "stop_sequence"),
    ]
    assert list(completed["usage"])[-2:] == ["output_tokens", "service_tier"]


def test_calls_without_an_id_get_one_each_of_their_kind() -> None:
    call = {"name": "f", "input": {}}
    kinds = ["tool_use", "server_tool_use", "mcp_tool_use"] * 60

    answer = whole({"content": [{"type": kind, **call} for kind in kinds]})

    ids = [entry["id"] for entry in answer["content"]]
    assert len(set(ids)) == len(ids)
    for kind, prefix in zip(kinds, ["toolu_01", "srvtoolu_01", "mcptoolu_01"] * 60, strict=True):
        assert re.fullmatch(prefix + "[0-9a-f]{22}", ids[kinds.index(kind)])
    assert list(answer["content"][0]) == ["type", "id", "name", "input"]


@pytest.mark.parametrize(
    ("block", "completed"),
    [
        ({"type": "text"}, {"type": "text", "text": ""}),
        ({"type": "thinking"}, {"type": "thinking", "thinking": "", "signature": ""}),
        ({"type": "compaction"}, {"type": "compaction", "content": None}),
        ({"type": "tool_use", "id": "t"}, {"type": "tool_use", "id": "t", "input": {}}),
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
def test_valid_response_passes_both_strict_clients(http: httpx2.Client, response: Object) -> None:
    answer = whole(response)
    client = strict(http)

    assert_keeps(answer, response)
    assert plain(read(client.messages, answer)) == plain(answer)
    assert plain(read(client.beta.messages, answer)) == plain(answer)


@given(BETA_RESPONSES)
@settings(deadline=None, max_examples=40)
def test_valid_beta_response_passes_the_strict_beta_client(
    http: httpx2.Client, response: Object
) -> None:
    answer = whole(response)

    assert_keeps(answer, response)
    assert plain(read(strict(http).beta.messages, answer)) == plain(answer)


@given(OBJECTS | broken())
@settings(deadline=None, max_examples=300)
def test_whatever_is_written_is_answered_unchanged(response: Object) -> None:
    assert_keeps(whole(response), response)


@given(TEXTS)
@settings(deadline=None)
def test_say_says_the_text(text: str) -> None:
    answer = whole(text_response(text))

    assert answer["content"] == [{"type": "text", "text": text}]
    assert answer["stop_reason"] == "end_turn"
