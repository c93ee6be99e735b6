"""Agents whose loops are answered by mocks in the form of Chat Completions, as the test suites of
agents have them: a user's request is answered by a call, and its result by words."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from tests.support.apps import LoneApp
from tests.support.engines import ask, told

Json = dict[str, Any]


def saying(message: Json, number: int, **choice: Any) -> Json:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, **choice}],
    }


def calling(name: str, call_id: str, arguments: str) -> Json:
    function = {"name": name, "arguments": arguments}
    return {
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def when(role: str, text: str, **members: Any) -> Json:
    return {"match_type": "contains", "message": {"content": text, "role": role, **members}}


LIST = calling("list_pods", "call_list", '{"namespace": "blue"}')
REPORT = calling("save_report", "call_save", '{"title": "pods"}')
MOCKS: list[Json] = [
    {
        "name": "list",
        "match": when("user", "which pods"),
        "response": saying(LIST, 1, finish_reason="tool_calls"),
    },
    {
        "name": "forbidden",
        "match": when("tool", "forbidden", tool_call_id="call_list"),
        "response": saying({"content": "I may not."}, 2),  # its reason to finish is left out
    },
    {
        "name": "running",
        "match": when("tool", '"phase":"Running"', tool_call_id="call_list"),
        "response": saying(REPORT, 3, finish_reason="tool_calls"),
    },
    {
        "name": "saved",
        "match": when("tool", "saved"),  # whichever call
        "response": saying({"content": "One pod runs."}, 4, finish_reason="stop"),
    },
]
EMBEDDING = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
CONFIG: Json = {
    "_comment": "an agent that asks for pods",
    "openai": MOCKS,
    "openai_embeddings": [
        {
            "name": "report",
            "match": {"match_type": "exact", "input": "One pod runs."},
            "response": {"object": "list", "model": "embed", "data": [EMBEDDING]},
        }
    ],
}


def run(results: dict[str, str], *, notes: bool = False) -> list[str | None]:
    """What the agent is told, in order; `results` are those of its tools."""
    engine = Engine(load(Config.from_dict(CONFIG)))
    app = LoneApp(engine)
    messages: list[Json] = [{"role": "user", "content": "Tell me which pods run."}]
    said: list[str | None] = []
    while len(said) < 5:
        body = {"model": "gpt-4o", "messages": messages}
        answer = told(ask("POST", "/v1/chat/completions", body=body, engine=app))
        message = answer["choices"][0]["message"]
        said.append(message["content"])
        if answer["choices"][0]["finish_reason"] != "tool_calls":
            return said
        (call,) = message["tool_calls"]
        result = results[call["function"]["name"]]
        messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": result}]
        if notes:
            messages.append({"role": "system", "content": "Two steps are left."})
    return said


def test_such_a_file_has_no_problems() -> None:
    assert load(Config.from_dict(CONFIG)).warnings == ()


@pytest.mark.parametrize("notes", [False, True])
def test_a_loop_of_calls_comes_to_its_end(notes: bool) -> None:
    results = {"list_pods": '[{"phase":"Running"}]', "save_report": "It was saved."}

    assert run(results, notes=notes) == [None, None, "One pod runs."]


def test_results_of_one_call_have_answers_of_their_own() -> None:
    assert run({"list_pods": "error: forbidden"}) == [None, "I may not."]


def test_a_text_to_embed_has_its_vector() -> None:
    app = LoneApp(Engine(load(Config.from_dict(CONFIG))))
    body = {"model": "embed", "input": "One pod runs."}

    answer = told(ask("POST", "/v1/embeddings", body=body, engine=app))

    assert answer["data"] == [EMBEDDING]
