"""Ids of calls and their outputs, where an answer leaves them out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.exchange import Reply
from mockllm.pieces import finish
from mockllm.providers.anthropic.messages import answer as messages
from mockllm.providers.call_ids import Link, missing_ids
from mockllm.providers.openai.responses import answer as responses
from mockllm.wire import jsontext, placeholders

Items = list[tuple[str, str | None]]


@pytest.mark.parametrize(
    ("items", "filled_in"),
    [
        ([], {}),
        ([("f", "a"), ("f out", "a")], {}),
        ([("f", None)], {0: "new 0"}),
        ([("f", None), ("f out", "a")], {0: "a"}),
        ([("f", "a"), ("f out", None)], {1: "a"}),
        ([("f", None), ("f out", None)], {0: "new 0", 1: "new 0"}),
        ([("f", None), ("f", None), ("f out", "a"), ("f out", "b")], {0: "a", 1: "b"}),
        ([("f", "a"), ("f", "b"), ("f out", "a"), ("f out", None)], {3: "b"}),
        ([("f", None), ("f", "b"), ("f out", "b"), ("f out", "a")], {0: "a"}),
        ([("f", None), ("g out", "a")], {0: "new 0"}),
        ([("f out", "a"), ("f", None)], {1: "new 1"}),
        ([("f out", None), ("f", "a")], {}),
        ([("f", None), ("f out", "a"), ("f out", None)], {0: "a"}),
    ],
)
def test_a_call_and_its_output_have_the_same_id(items: Items, filled_in: dict[int, str]) -> None:
    links = {
        index: Link(kind.removesuffix(" out"), not kind.endswith(" out"), call_id)
        for index, (kind, call_id) in enumerate(items)
    }

    assert finish(missing_ids(links, "new {}".format)) == filled_in


def served(answer: dict[str, Any]) -> Any:
    """An answer as a client gets it."""
    reply = Reply.whole(200, (), jsontext.dumps(answer))
    filled = placeholders.fill(reply, model="m", input_tokens=1)
    return orjson.loads(
        filled.body.replace(placeholders.UNIQUE_ID, b"0" * 20).replace(
            placeholders.SECONDS, b"1" * 10
        )
    )


SEARCH = {"type": "server_tool_use", "name": "web_search", "input": {"query": "q"}}
FOUND = {"type": "web_search_tool_result", "content": []}
FAILED = {"type": "web_search_tool_result_error", "error_code": "unavailable"}


def test_a_result_of_messages_belongs_to_its_call() -> None:
    blocks = [
        *(SEARCH, FOUND | {"tool_use_id": "srvtoolu_1"}),
        *(SEARCH | {"id": "srvtoolu_2"}, FOUND),
        *({"type": "mcp_tool_use", "name": "f"}, {"type": "mcp_tool_result", "content": "x"}),
    ]

    content = served(messages.complete({"content": blocks}))["content"]

    assert content[0]["id"] == "srvtoolu_1"
    assert content[3]["tool_use_id"] == "srvtoolu_2"
    assert content[5]["tool_use_id"] == content[4]["id"]
    assert content[4]["id"].startswith("mcptoolu_01")


def test_a_search_whose_id_is_filled_in_may_have_failed() -> None:
    answer = messages.complete({"content": [SEARCH, {**FOUND, "content": FAILED}, SEARCH, FOUND]})

    assert answer["usage"]["server_tool_use"]["web_search_requests"] == 1


@pytest.mark.parametrize(
    "call",
    ["function_call", "custom_tool_call", "computer_call", "shell_call", "apply_patch_call"],
)
def test_an_output_of_responses_belongs_to_its_call(call: str) -> None:
    output = f"{call}_output"
    items = [
        *({"type": call}, {"type": output, "call_id": "call_1"}),
        *({"type": call, "call_id": "call_2"}, {"type": output}),
        *({"type": call}, {"type": output}),
    ]

    answer = served(responses.complete({"output": items}))["output"]

    ids = [item["call_id"] for item in answer]
    assert ids[:4] == ["call_1", "call_1", "call_2", "call_2"]
    assert ids[4] == ids[5]
    assert ids[4] not in ids[:4]


@pytest.mark.parametrize("odd", [None, 5, ["x"], {}])
def test_ids_that_are_no_texts_stay(odd: Any) -> None:
    blocks = [SEARCH | {"id": odd}, FOUND | {"tool_use_id": odd}, {"type": odd}]
    items = [
        {"type": "function_call", "call_id": odd},
        {"type": "function_call_output", "call_id": odd},
        {"type": odd},
    ]

    content = served(messages.complete({"content": blocks}))["content"]
    output = served(responses.complete({"output": items}))["output"]

    assert [content[0]["id"], content[1]["tool_use_id"]] == [odd, odd]
    assert [item["call_id"] for item in output[:2]] == [odd, odd]
