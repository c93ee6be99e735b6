"""Responses of Messages, as a user may configure them, and how official clients read them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import anthropic
import orjson
from hypothesis import strategies as st

from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages.render import render
from mockllm.wire import placeholders
from tests.support.goldens import FRESH, cases, delivered
from tests.support.http_library import httpx

Object = dict[str, Any]


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


def respond(response: Object) -> httpx.Client:
    """A client of a service that answers everything with `response`, whole."""
    reply = render(response, ResponseOptions(), "word")
    headers = [(name, placeholders.fill_fresh(value, FRESH)) for name, value in reply.headers]

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(reply.status, headers=headers, content=delivered(reply))

    return httpx.Client(transport=httpx.MockTransport(handle))


def strict(http: httpx.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", http_client=http, _strict_response_validation=True)


def read(messages: Any, answer: Any) -> Any:
    """A whole answer as `messages.create` of a strict client returns it."""
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
    """An object may have more members than were written, at any depth; nothing else changes."""
    if not isinstance(written, dict):
        assert plain(answer) == plain(written)
        return
    assert [key for key in answer if key in written] == list(written)
    for key, value in written.items():
        assert_keeps_members(answer[key], value)
