"""Responses as a user may configure them, and how official clients read them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.responses.render import render
from mockllm.wire import jsontext
from tests.support.goldens import MODEL, cases, delivered
from tests.support.http_library import httpx

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

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)

    with OpenAI(
        api_key="k",
        http_client=httpx.Client(transport=httpx.MockTransport(answer)),
        _strict_response_validation=True,
    ) as client:
        return client.responses.create(model=MODEL, input="Hi")
