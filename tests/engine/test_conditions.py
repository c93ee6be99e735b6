"""The conditions of `match` beside the message: the default, instructions and tools."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.config.models import Config, OpenAIMock, OpenAIRequestMatch
from mockllm.engine.asking import answer_alone
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import ConfigError
from mockllm.exchange import Request
from mockllm.state.store import LocalStore

Json = dict[str, Any]
HEADERS = ((b"authorization", b"Bearer x"), (b"anthropic-version", b"2023-06-01"))
TEXT = {"type": "text", "text": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x"}}
RESULT = {"type": "tool_result", "tool_use_id": "t"}
USER = {"role": "user", "content": "hi"}
FUNCTION: Json = {"type": "function", "name": "add", "parameters": {}, "strict": None}


def engine(api: str, *mocks: Json) -> Engine:
    return build_engine({api: [{"response": {}, **mock} for mock in mocks]})


def answering(engine: Engine, api: str, headers: Json | None = None, **members: Any) -> str | None:
    """The label of the mock that answers, or the text of the 404."""
    table = engine.table(api)
    body: Json = {"model": "m", **members}
    if api == "anthropic":
        body["max_tokens"] = 9
    lines = ((name.encode(), value.encode()) for name, value in (headers or {}).items())
    request = Request.of("POST", table.api.routes[0], (*HEADERS, *lines), orjson.dumps(body))
    decision = engine.decide(table, request)
    assert isinstance(decision, Decision)
    if decision.match.rule is not None:
        return decision.match.rule.label
    body_sent = decision.reply.body.decode("utf-8", "replace")  # a fresh id may be in it
    return str(orjson.loads(body_sent)["error"]["message"])


@pytest.mark.parametrize("mock", [{}, {"match": {}}, {"match": {"match_type": "contains"}}])
@pytest.mark.parametrize(
    ("api", "members"),
    [
        ("openai", {"messages": [USER]}),
        ("openai", {"messages": [{"role": "user", "content": [IMAGE]}]}),
        ("openai", {"messages": [{"role": "tool", "tool_call_id": "c", "content": ""}]}),
        ("openai", {"messages": [USER, {"role": "assistant", "content": "so"}]}),
        ("openai_response", {"input": "hi"}),
        ("openai_response", {"input": []}),
        (
            "openai_response",
            {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
        ),
        ("anthropic", {"messages": [{"role": "user", "content": [RESULT]}]}),
        ("anthropic", {"messages": [USER, {"role": "assistant", "content": "so"}]}),
        ("openai_embeddings", {"input": "hi"}),
        ("openai_embeddings", {"input": [1, 2]}),
    ],
)
def test_a_mock_without_conditions_answers_anything(api: str, members: Json, mock: Json) -> None:
    assert answering(engine(api, mock), api, **members) == f"{api}[0]"


def test_a_match_of_headers_alone_answers_any_request_with_them() -> None:
    headers: Json = {"headers": [{"name": "X-Tenant", "value": "a"}]}
    served = engine("openai", {"match": headers}, {})

    assert answering(served, "openai", {"x-tenant": "a"}, messages=[USER]) == "openai[0]"
    assert answering(served, "openai", {"x-tenant": "b"}, messages=[USER]) == "openai[1]"


def test_a_default_is_written_in_python_by_its_response_alone() -> None:
    served = build_engine(Config(openai=[OpenAIMock(response={})]))

    assert answering(served, "openai", messages=[USER]) == "openai[0]"
    assert OpenAIMock(response={}).match == OpenAIRequestMatch()


def test_mocks_behind_a_default_are_unreachable() -> None:
    config = Config.from_dict({"openai": [{"response": {}}, {"name": "late", "response": {}}]})

    problems = [str(each) for each in load(config).warnings if "unreachable" in str(each)]

    assert problems == [
        "openai[1] 'late': unreachable: openai[0] matches every request that this mock matches"
    ]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_null_is_not_a_default(api: str) -> None:
    with pytest.raises(ConfigError, match=r"match: message is null; leave it out"):
        engine(api, {"match": {"message": None}})


@pytest.mark.parametrize(
    ("api", "members"),
    [
        ("openai", {"messages": [{"role": "system", "content": "be kind, brief"}, USER]}),
        (
            "openai",
            {
                "messages": [
                    {"role": "developer", "content": [{**TEXT, "text": "be kind, brief"}]},
                    USER,
                ]
            },
        ),
        (
            "openai",
            {
                "messages": [
                    {"role": "system", "content": "kind"},
                    USER,
                    {"role": "system", "content": "brief"},
                ]
            },
        ),
        ("openai_response", {"instructions": "be kind, brief", "input": "hi"}),
        (
            "openai_response",
            {"instructions": "kind", "input": [{"role": "developer", "content": "brief"}, USER]},
        ),
        ("anthropic", {"system": "be kind, brief", "messages": [USER]}),
        (
            "anthropic",
            {
                "system": [{"type": "text", "text": "kind"}, {"type": "text", "text": "brief"}],
                "messages": [USER],
            },
        ),
    ],
)
def test_all_texts_of_system_contains_are_in_the_instructions(api: str, members: Json) -> None:
    served = engine(api, {"match": {"system_contains": ["kind", "brief"]}}, {})
    without = {"input": "kind brief"} if "input" in members else {"messages": [USER]}

    assert answering(served, api, **members) == f"{api}[0]"
    assert answering(served, api, **without) == f"{api}[1]"


@pytest.mark.parametrize(
    ("api", "tools"),
    [
        (
            "openai",
            [
                {"type": "function", "function": {"name": "add"}},
                {"type": "custom", "custom": {"name": "say"}},
            ],
        ),
        ("openai_response", [FUNCTION, {"type": "custom", "name": "say"}]),
        (
            "openai_response",
            [
                {
                    "type": "namespace",
                    "name": "n",
                    "description": "",
                    "tools": [FUNCTION, {"type": "custom", "name": "say"}],
                }
            ],
        ),
        (
            "openai_response",
            [{"type": "mcp", "server_label": "s", "allowed_tools": ["add", "say"]}],
        ),
        (
            "openai_response",
            [{"type": "mcp", "server_label": "s", "allowed_tools": {"tool_names": ["add", "say"]}}],
        ),
        (
            "anthropic",
            [
                {"name": "add", "input_schema": {"type": "object"}},
                {"name": "say", "input_schema": {"type": "object"}},
            ],
        ),
    ],
)
def test_all_tools_of_tool_names_are_offered(api: str, tools: list[Json]) -> None:
    served = engine(api, {"match": {"tool_names": ["say", "add"]}}, {})
    asked = {"input": "hi"} if api == "openai_response" else {"messages": [USER]}

    assert answering(served, api, **asked, tools=tools) == f"{api}[0]"
    assert answering(served, api, **asked) == f"{api}[1]"


def test_conditions_are_met_beside_the_message() -> None:
    match = {"message": USER, "system_contains": ["kind"], "tool_names": ["add"]}
    served = engine("openai", {"match": match})
    tools = [{"type": "function", "function": {"name": "sub"}}]
    system = {"role": "system", "content": "be kind"}

    def reason(**members: Any) -> str:
        return str(answering(served, "openai", **members)).partition("openai[0]: ")[2]

    assert reason(messages=[USER]) == "there are no instructions, expected some with 'kind'."
    assert reason(messages=[{**system, "content": "be"}, USER]) == "no instruction contains 'kind'."
    assert reason(messages=[system, USER]) == "no tools are offered, expected 'add'."
    assert reason(messages=[system, USER], tools=tools) == (
        "tool 'add' is not offered, only 'sub'."
    )


@pytest.mark.parametrize("value", ["kind", [1], {"a": 1}])
def test_a_condition_of_a_wrong_type_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"match\.system_contains.*expected a "):
        engine("anthropic", {"match": {"system_contains": value}})


def test_embeddings_have_no_instructions() -> None:
    with pytest.raises(ConfigError, match="system_contains: unknown key"):
        engine("openai_embeddings", {"match": {"system_contains": ["a"]}})


# --- Contents under `contains` -------------------------------------------------------------------

CALLED = {"type": "tool_result", "tool_use_id": "toolu_1"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1"}


@pytest.mark.parametrize(
    ("api", "match", "members"),
    [
        (
            "anthropic",
            {"message": {"role": "user", "content": [CALLED]}},
            {"messages": [{"role": "user", "content": [{**CALLED, "content": "15 degrees"}]}]},
        ),
        (
            "openai",
            {"message": {"role": "tool", "tool_call_id": "call_1"}},
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "15 degrees"}]},
        ),
        (
            "openai_response",
            {"input": [OUTPUT]},
            {"input": [{"role": "user", "content": "hi"}, {**OUTPUT, "output": "15 degrees"}]},
        ),
    ],
)
def test_a_mock_that_names_only_a_call_answers_its_result(
    api: str, match: Json, members: Json
) -> None:
    config = Config.from_dict(
        {api: [{"match": {"match_type": "contains", **match}, "response": {}}]}
    )

    assert not any("match" in str(warning) for warning in load(config).warnings)
    served = build_engine(config)
    assert answering(served, api, **members) == f"{api}[0]"
    text = orjson.dumps(members).replace(b"_1", b"_2")
    assert "no result of call" in (answering(served, api, **orjson.loads(text)) or "")


def test_a_mock_that_can_never_match_is_a_warning_and_the_others_are_served() -> None:
    mocks = [{"match": {"input": []}, "response": {}}, {"response": {}}]
    config = Config.from_dict({"openai_embeddings": mocks})

    (warning,) = load(config).warnings
    assert str(warning) == (
        "openai_embeddings[0]: match.input: can never match: a request has an input"
    )
    assert answering(build_engine(config), "openai_embeddings", input="a") == "openai_embeddings[1]"


def test_members_may_be_missing_from_the_parts_of_a_mock_that_contains() -> None:
    image = {"role": "user", "content": [{"type": "image_url"}]}
    served = engine("openai", {"match": {"match_type": "contains", "message": image}})
    asked = {"role": "user", "content": [IMAGE]}

    assert answering(served, "openai", messages=[asked]) == "openai[0]"
    with pytest.raises(ConfigError, match=r"content\[0\]\.image_url: required, but missing"):
        engine("openai", {"match": {"message": image}})


def test_members_of_parts_that_have_a_wrong_type_are_errors() -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": 5}]}

    with pytest.raises(ConfigError, match="expected an object, found 5"):
        engine("openai", {"match": {"match_type": "contains", "message": message}})


@pytest.mark.parametrize("word", ["headers", "all_of", "any_of", "not"])
def test_values_of_headers_that_must_not_be_there_are_not_shown(word: str) -> None:
    headers: Json = {"headers": [{"name": "authorization", "value": "Bearer sk-x"}]}
    nested: dict[str, Json] = {
        "headers": headers,
        "all_of": {"all_of": [headers]},
        "any_of": {"any_of": [headers]},
        "not": {"not": {"not": headers}},
    }
    served = engine("openai", {"match": {"not": nested[word]}, "response": {}})
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "a"}]})
    sent = ((b"authorization", b"Bearer sk-x"),)

    request = Request.of("POST", "/v1/chat/completions", sent, body)
    decision = answer_alone(served.decide(served.table("openai"), request), LocalStore())

    near_miss = decision.match.near_miss
    assert near_miss is not None
    assert decision.reply.status == 404
    assert b"must not hold" in decision.reply.body
    for text in (decision.reply.body.decode(), near_miss.reason, near_miss.logged):
        assert "sk-x" not in text
