"""What the SDKs' types refuse and let through: semantics.md, sentence by sentence."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaParams
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, ValidationError

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.embeddings import sdk as embeddings_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Confirm, Finding, Kind

WRONG, MISSING, UNKNOWN = Kind.WRONG, Kind.MISSING, Kind.UNKNOWN
SDKS: Mapping[str, ModuleType] = {
    "chat": chat_sdk,
    "responses": responses_sdk,
    "messages": messages_sdk,
    "embeddings": embeddings_sdk,
}
LENIENT: Mapping[str, Confirm] = {
    name: sdk.request_confirmer(strict=False) for name, sdk in SDKS.items()
}
STRICT: Mapping[str, Confirm] = {
    name: sdk.request_confirmer(strict=True) for name, sdk in SDKS.items()
}
SMALL: Mapping[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "embeddings": {"model": "m", "input": "hi"},
}
CHAT, RESPONSES, MESSAGES, EMBEDDINGS = SDKS
APIS = list(SDKS)


def body(api: str, **members: Any) -> dict[str, Any]:
    return {**SMALL[api], **members}


def turns(api: str, *entries: Any) -> dict[str, Any]:
    """A body with these messages, or, for Responses, items."""
    return body(api, **{"input" if api == RESPONSES else "messages": list(entries)})


# -- What a request is refused for --


@pytest.mark.parametrize("api", [CHAT, MESSAGES, EMBEDDINGS])
@pytest.mark.parametrize("confirm", [LENIENT, STRICT])
def test_model_is_required(api: str, confirm: Mapping[str, Confirm]) -> None:
    request = {name: value for name, value in SMALL[api].items() if name != "model"}
    assert confirm[api](request) == Finding(("model",), "required, but missing", MISSING)


@pytest.mark.parametrize("api", APIS)
def test_model_is_a_string(api: str) -> None:
    assert LENIENT[api](body(api, model=5)) == Finding(
        ("model",), "expected a string, found 5", WRONG
    )


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("value", "found"), [([], "a list"), (None, "null"), ("x", "'x'")])
def test_body_is_an_object(api: str, value: Any, found: str) -> None:
    assert LENIENT[api](value) == Finding((), f"expected an object, found {found}", WRONG)


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("value", "found"),
    [("x", "'x'"), ({"a": 1}, "an object"), (None, "null"), (1, "1")],
)
def test_messages_is_a_list(api: str, value: Any, found: str) -> None:
    assert LENIENT[api](body(api, messages=value)) == Finding(
        ("messages",), f"expected a list, found {found}", WRONG
    )


@pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize(("entry", "found"), [("x", "'x'"), (1, "1"), (None, "null")])
def test_entry_is_an_object(api: str, entry: Any, found: str) -> None:
    member = "input" if api == RESPONSES else "messages"
    assert LENIENT[api](turns(api, entry)) == Finding(
        (member, 0), f"expected an object, found {found}", WRONG
    )


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
def test_role_is_required(api: str) -> None:
    assert LENIENT[api](turns(api, {"content": "hi"})) == Finding(
        ("messages", 0, "role"), "required, but missing", MISSING
    )


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
def test_role_is_a_string(api: str) -> None:
    assert LENIENT[api](turns(api, {"role": 5, "content": "hi"})) == Finding(
        ("messages", 0, "role"), "expected a string, found 5", WRONG
    )


@pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize(("value", "found"), [(42, "42"), ({"a": 1}, "an object")])
def test_content_is_a_string_or_a_list(api: str, value: Any, found: str) -> None:
    finding = LENIENT[api](turns(api, {"role": "user", "content": value}))
    assert finding is not None
    assert finding.path == ("input" if api == RESPONSES else "messages", 0, "content")
    assert finding.message == f"expected a string or a list, found {found}"


@pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize(
    ("part", "path", "message", "kind"),
    [
        ("hi", (), "expected an object, found 'hi'", WRONG),
        ({"text": "hi"}, ("type",), "required, but missing", MISSING),
    ],
)
def test_part_is_an_object_with_a_type(
    api: str, part: Any, path: tuple[str, ...], message: str, kind: Kind
) -> None:
    member = "input" if api == RESPONSES else "messages"
    finding = LENIENT[api](turns(api, {"role": "user", "content": [part]}))
    assert finding == Finding((member, 0, "content", 0, *path), message, kind)


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ("5", Finding(("max_tokens",), "expected an integer, found '5'", WRONG)),
        (1.5, Finding(("max_tokens",), "expected an integer, found 1.5", WRONG)),
        (None, Finding(("max_tokens",), "expected an integer, found null", WRONG)),
    ],
)
def test_messages_wants_integer_max_tokens(value: Any, finding: Finding) -> None:
    assert LENIENT[MESSAGES](body(MESSAGES, max_tokens=value)) == finding
    without = {"model": "m", "messages": SMALL[MESSAGES]["messages"]}
    assert LENIENT[MESSAGES](without) == Finding(("max_tokens",), "required, but missing", MISSING)


def test_responses_input_is_a_string_or_a_list() -> None:
    assert LENIENT[RESPONSES](body(RESPONSES, input={})) == Finding(
        ("input",), "expected a string or a list, found an object", WRONG
    )


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("stream", "yes", "expected a boolean, found 'yes'"),
        ("stream", 1, "expected a boolean, found 1"),
        ("tools", "x", "expected a list, found 'x'"),
        ("metadata", [], "expected an object, found a list"),
    ],
)
def test_declared_members_have_their_json_type(
    api: str, member: str, value: Any, message: str
) -> None:
    assert LENIENT[api](body(api, **{member: value})) == Finding((member,), message, WRONG)


@pytest.mark.parametrize("api", [CHAT, RESPONSES])  # anthropic 2.12.0 does not declare it
def test_temperature_is_a_number(api: str) -> None:
    assert LENIENT[api](body(api, temperature="hot")) == Finding(
        ("temperature",), "expected a number, found 'hot'", WRONG
    )


def test_enum_member_of_another_json_type_is_refused() -> None:
    assert LENIENT[CHAT](body(CHAT, reasoning_effort=5)) == Finding(
        ("reasoning_effort",), "expected a string, found 5", WRONG
    )


CALL: dict[str, Any] = {
    "id": "c",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
}


UNTIED_SHELL_CALL: dict[str, Any] = {
    "type": "local_shell_call",
    "id": "lsh_1",
    "status": "completed",
    "action": {"type": "exec", "command": ["ls"], "env": {}},
}


@pytest.mark.parametrize(
    ("api", "turn", "place", "kind"),
    [
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"arguments": "{}"}}]},
            "messages.0.tool_calls.0.function.name",
            MISSING,
        ),
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
            "messages.0.tool_calls.0.function",
            MISSING,
        ),
        (
            CHAT,
            {"role": "assistant", "tool_calls": [{**CALL, "id": None}]},
            "messages.0.tool_calls.0.id",
            WRONG,
        ),
        (CHAT, {"role": "tool", "content": "1"}, "messages.0.tool_call_id", MISSING),
        (CHAT, {"role": "tool", "tool_call_id": "c"}, "messages.0.content", MISSING),
        (
            RESPONSES,
            {"type": "function_call", "name": "f", "arguments": "{}"},
            "input.0.call_id",
            MISSING,
        ),
        (
            RESPONSES,
            {"type": "function_call", "call_id": "c", "arguments": "{}"},
            "input.0.name",
            MISSING,
        ),
        (
            RESPONSES,
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": {}},
            "input.0.arguments",
            WRONG,
        ),
        (
            RESPONSES,
            {"type": "custom_tool_call_output", "output": "1"},
            "input.0.call_id",
            MISSING,
        ),
        (
            RESPONSES,
            {"type": "function_call_output", "call_id": "c"},
            "input.0.output",
            MISSING,
        ),
        (RESPONSES, UNTIED_SHELL_CALL, "input.0.call_id", MISSING),
        (
            MESSAGES,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "input": {}}]},
            "messages.0.content.0.name",
            MISSING,
        ),
        (
            MESSAGES,
            {"role": "user", "content": [{"type": "tool_result", "content": "1"}]},
            "messages.0.content.0.tool_use_id",
            MISSING,
        ),
    ],
)
@pytest.mark.parametrize("confirm", [LENIENT, STRICT])
def test_tool_calls_and_results_are_complete(
    confirm: Mapping[str, Confirm], api: str, turn: Any, place: str, kind: Kind
) -> None:
    finding = confirm[api](turns(api, turn))
    assert finding is not None
    assert (finding.place, finding.kind) == (place, kind)


def test_a_failure_is_told_of_one_variant() -> None:
    block = {"type": "image", "source": {"type": "base64", "data": 5, "media_type": "image/png"}}
    request = turns(MESSAGES, {"role": "user", "content": [block]})
    assert LENIENT[MESSAGES](request) == Finding(
        ("messages", 0, "content", 0, "source", "data"),
        "expected a string, found 5",
        WRONG,
    )


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (5, Finding(("input",), "expected a string or a list, found 5", WRONG)),
        (["a", 5], Finding(("input", 1), "expected a string, found 5", WRONG)),
        (
            [[1], ["a"]],
            Finding(("input", 1, 0), "expected an integer, found 'a'", WRONG),
        ),
    ],
)
def test_embeddings_input_is_strings_or_tokens(value: Any, finding: Finding) -> None:
    assert LENIENT[EMBEDDINGS](body(EMBEDDINGS, input=value)) == finding
    for accepted in ("a", ["a", "b"], [1, 2], [[1], [2]]):
        assert STRICT[EMBEDDINGS](body(EMBEDDINGS, input=accepted)) is None


# -- What is let through, and what strict says to it --


def assert_only_strict_refuses(api: str, request: Any, finding: Finding) -> None:
    assert LENIENT[api](request) is None
    assert STRICT[api](request) == finding


@pytest.mark.parametrize("api", APIS)
def test_unknown_members(api: str) -> None:
    assert_only_strict_refuses(
        api,
        body(api, surprise={"a": [1]}),
        Finding(("surprise",), "not a member that the SDK declares", UNKNOWN),
    )


def test_unknown_members_of_a_message() -> None:
    message = {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"}
    assert_only_strict_refuses(
        CHAT,
        turns(CHAT, message),
        Finding(("messages", 0, "name"), "not a member that the SDK declares", UNKNOWN),
    )


@pytest.mark.parametrize(
    ("api", "request_", "path"),
    [
        (
            CHAT,
            turns(CHAT, {"role": "assistant", "tool_calls": None}),
            ("messages", 0, "tool_calls"),
        ),
        (CHAT, body(CHAT, tools=None), ("tools",)),
        (RESPONSES, body(RESPONSES, tools=None), ("tools",)),
        (MESSAGES, body(MESSAGES, tools=None), ("tools",)),
        (MESSAGES, body(MESSAGES, system=None), ("system",)),
        (EMBEDDINGS, body(EMBEDDINGS, dimensions=None), ("dimensions",)),
    ],
)
def test_null_for_an_optional_member(api: str, request_: Any, path: tuple[str | int, ...]) -> None:
    assert LENIENT[api](request_) is None
    finding = STRICT[api](request_)
    assert finding is not None
    assert (finding.path, finding.kind) == (path, WRONG)


@pytest.mark.parametrize(
    ("api", "request_", "place"),
    [
        (
            CHAT,
            turns(CHAT, {"role": "user", "content": [{"type": "video"}]}),
            "messages.0.content.0.type",
        ),
        (CHAT, body(CHAT, tools=[{"type": "new"}]), "tools.0.type"),
        (RESPONSES, turns(RESPONSES, {"type": "new_item", "a": 1}), "input.0.type"),
        (
            RESPONSES,
            turns(RESPONSES, {"role": "user", "content": [{"type": "input_video"}]}),
            "input.0.content.0.type",
        ),
        (RESPONSES, body(RESPONSES, tools=[{"type": "new"}]), "tools.0.type"),
        (RESPONSES, body(RESPONSES, tool_choice={"type": "web_search"}), "tool_choice.type"),
        (
            MESSAGES,
            turns(MESSAGES, {"role": "assistant", "content": [{"type": "mcp_tool_use"}]}),
            "messages.0.content.0.type",
        ),
        (MESSAGES, body(MESSAGES, tools=[{"type": "web_search_20990101"}]), "tools.0.type"),
        (MESSAGES, body(MESSAGES, thinking={"type": "new"}), "thinking.type"),
    ],
)
def test_unknown_type_of_part_item_block_or_tool(api: str, request_: Any, place: str) -> None:
    assert LENIENT[api](request_) is None
    finding = STRICT[api](request_)
    assert finding is not None
    assert (finding.place, finding.kind) == (place, WRONG)


@pytest.mark.parametrize(
    ("api", "member", "value"),
    [
        (CHAT, "reasoning_effort", "astronomical"),
        (CHAT, "service_tier", "new"),
        (CHAT, "tool_choice", "new"),
        (RESPONSES, "truncation", "new"),
        (RESPONSES, "include", ["new.include"]),
        (MESSAGES, "service_tier", "new"),
        (EMBEDDINGS, "encoding_format", "float8"),
    ],
)
def test_unknown_enum_value(api: str, member: str, value: Any) -> None:
    assert LENIENT[api](body(api, **{member: value})) is None
    finding = STRICT[api](body(api, **{member: value}))
    assert finding is not None
    assert (finding.path[0], finding.kind) == (member, WRONG)


@pytest.mark.parametrize(
    ("api", "turn", "place"),
    [
        (
            RESPONSES,
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hi"}],
            },
            "input.0.id",
        ),
        (RESPONSES, {"type": "reasoning", "encrypted_content": "x"}, "input.0.id"),
        (RESPONSES, {"type": "web_search_call"}, "input.0.id"),
        (RESPONSES, {"type": "local_shell_call", "call_id": "c"}, "input.0.id"),
        (
            MESSAGES,
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]},
            "messages.0.content.0.signature",
        ),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
                ],
            },
            "messages.0.content.0.citations.0.cited_text",
        ),
        (
            MESSAGES,
            {
                "role": "assistant",
                "content": [{"type": "web_search_tool_result", "tool_use_id": "c"}],
            },
            "messages.0.content.0.content",
        ),
        (MESSAGES, {"role": "assistant"}, "messages.0.content"),
    ],
)
def test_members_missing_from_an_echo(api: str, turn: Any, place: str) -> None:
    assert LENIENT[api](turns(api, turn)) is None
    finding = STRICT[api](turns(api, turn))
    assert finding is not None
    assert (finding.place, finding.kind) == (place, MISSING)


def test_responses_tool_without_strict_and_parameters() -> None:
    tool = {"type": "function", "name": "f"}
    assert_only_strict_refuses(
        RESPONSES,
        body(RESPONSES, tools=[tool]),
        Finding(("tools", 0, "parameters"), "required, but missing", MISSING),
    )
    assert LENIENT[RESPONSES](body(RESPONSES, tools=[{"type": "function"}])) == Finding(
        ("tools", 0, "name"), "required, but missing", MISSING
    )


def test_responses_image_without_detail() -> None:
    image = {"type": "input_image", "image_url": "data:"}
    assert_only_strict_refuses(
        RESPONSES,
        turns(RESPONSES, {"role": "user", "content": [image]}),
        Finding(("input", 0, "content", 0, "detail"), "required, but missing", MISSING),
    )


# -- Variants that are hard to tell apart --

OUTPUT_TEXT = {"type": "output_text", "text": "a", "annotations": []}
ECHOED_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}


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
def test_responses_messages_and_references(item: Any) -> None:
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
def test_responses_malformed_messages(item: Any, finding: Finding) -> None:
    expected = Finding(("input", 0, *finding.path), finding.message, finding.kind)
    assert LENIENT[RESPONSES](turns(RESPONSES, item)) == expected


def test_anthropic_tool_without_type_is_a_custom_tool() -> None:
    tool = {"name": "f", "input_schema": {"type": "object", "anything": 1}}
    assert STRICT[MESSAGES](body(MESSAGES, tools=[tool, {**tool, "type": "custom"}])) is None
    assert LENIENT[MESSAGES](body(MESSAGES, tools=[{"name": "f"}])) == Finding(
        ("tools", 0, "input_schema"), "required, but missing", MISSING
    )


@pytest.mark.parametrize("confirm", [LENIENT, STRICT])
def test_deeply_nested_tool_schema(confirm: Mapping[str, Confirm]) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "object", "properties": {"a": schema}}
    function = {"name": "f", "parameters": schema}
    chat = body(CHAT, tools=[{"type": "function", "function": function}])
    responses = body(RESPONSES, tools=[{"type": "function", **function, "strict": True}])
    messages = body(MESSAGES, tools=[{"name": "f", "input_schema": schema}])
    assert confirm[CHAT](chat) is None
    assert confirm[RESPONSES](responses) is None
    assert confirm[MESSAGES](messages) is None


def test_deeply_nested_blocks() -> None:
    text: dict[str, Any] = {"type": "text", "text": 5}
    source = {"type": "content", "content": [text]}
    document = {"type": "document", "source": source}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [document]}
    finding = LENIENT[MESSAGES](turns(MESSAGES, {"role": "user", "content": [result]}))
    assert finding is not None
    assert finding.place == "messages.0.content.0.content.0.source.content.0.text"


# -- Requests of real clients --


def claude_code() -> dict[str, Any]:
    ephemeral = {"type": "ephemeral", "ttl": "1h"}
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "stream": True,
        "metadata": {"user_id": "user_1"},
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330"},
            {"type": "text", "text": "You are Claude Code", "cache_control": ephemeral},
            {"type": "text", "text": "Be brief", "cache_control": ephemeral},
        ],
        "tools": [
            {
                "name": "Bash",
                "description": "Runs a command",
                "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"command": {"type": "string"}},
                    "required": ["command"],
                    "additionalProperties": False,
                },
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>"},
                    {"type": "text", "text": "hello", "cache_control": ephemeral},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "s"},
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "text", "text": "1"}],
                        "is_error": False,
                    }
                ],
            },
            {"role": "system", "content": "a note", "output_config": {"effort": "high"}},
        ],
    }


def codex() -> dict[str, Any]:
    def message(role: str, text: str) -> dict[str, Any]:
        kind = "output_text" if role == "assistant" else "input_text"
        return {
            "type": "message",
            "id": "msg_1",
            "role": role,
            "content": [{"type": kind, "text": text}],
        }

    return {
        "model": "gpt-5-codex",
        "instructions": "You are Codex",
        "input": [
            message("developer", "permissions"),
            message("developer", "skills"),
            message("user", "<environment_context>"),
            message("user", "hello"),
            {"type": "reasoning", "summary": [], "encrypted_content": "x", "content": None},
            message("assistant", "Let me look"),
            {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1", "output": "1"},
            {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "shell",
                "description": "",
                "strict": False,
                "parameters": {"type": "object"},
            },
            {
                "type": "namespace",
                "name": "mcp",
                "description": "",
                "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
            },
            {"type": "web_search", "external_web_access": True},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a",
        "client_metadata": {"x-codex-installation-id": "1"},
    }


def test_claude_code_is_let_through() -> None:
    assert LENIENT[MESSAGES](claude_code()) is None
    assert STRICT[MESSAGES](claude_code()) == Finding(
        ("messages", 3, "output_config"), "not a member that the SDK declares", UNKNOWN
    )


def test_codex_is_let_through() -> None:
    assert LENIENT[RESPONSES](codex()) is None
    finding = STRICT[RESPONSES](codex())
    assert finding is not None
    assert finding.kind in (MISSING, UNKNOWN)


# -- Mocks --


@pytest.mark.parametrize(
    ("api", "match"),
    [
        (CHAT, {"role": "user", "content": "hi"}),
        (CHAT, {"role": "user"}),
        (CHAT, {"role": "user", "content": None}),
        (CHAT, {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"}),
        (CHAT, {"role": "tool", "content": "1"}),
        (CHAT, {"role": "assistant", "tool_calls": [CALL]}),
        (RESPONSES, "hi"),
        (RESPONSES, [{"role": "user", "content": "hi"}]),
        (RESPONSES, [{"type": "message", "role": "user"}]),
        (RESPONSES, [{"type": "function_call_output", "call_id": "c", "output": "1"}]),
        (MESSAGES, {"role": "user", "content": [{"type": "text", "text": "hi"}]}),
        (MESSAGES, {"role": "user"}),
        (MESSAGES, {"role": "system", "content": "hi"}),
        (EMBEDDINGS, "hi"),
        (EMBEDDINGS, [1, 2]),
    ],
)
def test_match_that_says_what_matters(api: str, match: Any) -> None:
    assert SDKS[api].confirm_match(match) == []


@pytest.mark.parametrize(
    ("api", "match", "findings"),
    [
        (CHAT, {"content": "hi"}, [Finding(("role",), "required, but missing", MISSING)]),
        (CHAT, "hi", [Finding((), "expected an object, found 'hi'", WRONG)]),
        (
            CHAT,
            {"role": "user", "content": [{"type": "text"}, {"text": "a"}]},
            [
                Finding(("content", 0, "text"), "required, but missing", MISSING),
                Finding(("content", 1, "type"), "required, but missing", MISSING),
            ],
        ),
        (
            RESPONSES,
            {"role": "user"},
            [Finding((), "expected a string or a list, found an object", WRONG)],
        ),
        (
            RESPONSES,
            [{"type": "function_call", "name": "f", "arguments": 5}],
            [
                Finding((0, "arguments"), "expected a string, found 5", WRONG),
                Finding((0, "call_id"), "required, but missing", MISSING),
            ],
        ),
        (
            MESSAGES,
            {"role": "user", "content": 5},
            [Finding(("content",), "expected a string or a list, found 5", WRONG)],
        ),
        (
            EMBEDDINGS,
            {},
            [Finding((), "expected a string or a list, found an object", WRONG)],
        ),
    ],
)
def test_match_that_no_request_can_be(api: str, match: Any, findings: list[Finding]) -> None:
    assert SDKS[api].confirm_match(match) == findings


# -- Answers --

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi", "citations": None}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [{**ECHOED_MESSAGE, "content": [OUTPUT_TEXT]}],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
EMBEDDING: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
    "model": "m",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
ANSWERS = {CHAT: COMPLETION, RESPONSES: RESPONSE, MESSAGES: MESSAGE, EMBEDDINGS: EMBEDDING}


@pytest.mark.parametrize("api", APIS)
def test_answer_that_holds(api: str) -> None:
    assert SDKS[api].confirm_response(ANSWERS[api]) == []


@pytest.mark.parametrize("api", APIS)
def test_answer_with_a_typo_and_a_wrong_type(api: str) -> None:
    answer = {**ANSWERS[api], "usagee": {}, "model": 5}
    assert SDKS[api].confirm_response(answer) == [
        Finding(("model",), "expected a string, found 5", WRONG),
        Finding(("usagee",), "not a member that the SDK declares; did you mean 'usage'?", UNKNOWN),
    ]


def test_answer_of_the_seeds_readme() -> None:
    choice = {
        "index": 0,
        "role": "assistant",
        "message": {"content": "hi"},
        "finish_reason": "stop",
    }
    answer = {**COMPLETION, "object": "chat.completion.tool_message", "choices": [choice]}
    assert chat_sdk.confirm_response(answer) == [
        Finding(("choices", 0, "message", "role"), "required, but missing", MISSING),
        Finding(("choices", 0, "role"), "not a member that the SDK declares", UNKNOWN),
        Finding(
            ("object",),
            "expected 'chat.completion', found 'chat.completion.tool_message'",
            WRONG,
        ),
    ]


def test_answer_with_an_unknown_block() -> None:
    findings = messages_sdk.confirm_response({**MESSAGE, "content": [{"type": "txt"}]})
    assert [(each.place, each.kind) for each in findings] == [("content.0.type", WRONG)]


def test_events() -> None:
    delta = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
    chunk = {**COMPLETION, "object": "chat.completion.chunk", "choices": [delta]}
    text = {"type": "text_delta", "text": "hi"}
    created = {"type": "response.created", "sequence_number": 0, "response": RESPONSE}
    assert chat_sdk.confirm_event(chunk) == []
    assert responses_sdk.confirm_event(created) == []
    assert (
        messages_sdk.confirm_event({"type": "content_block_delta", "index": 0, "delta": text}) == []
    )


@pytest.mark.parametrize(
    ("api", "event", "findings"),
    [
        (
            RESPONSES,
            {"type": "response.created", "response": RESPONSE},
            [Finding(("sequence_number",), "required, but missing", MISSING)],
        ),
        (
            MESSAGES,
            {"type": "content_block_stop", "index": "0"},
            [Finding(("index",), "expected an integer, found '0'", WRONG)],
        ),
        (MESSAGES, {"index": 0}, [Finding(("type",), "required, but missing", MISSING)]),
    ],
)
def test_malformed_events(api: str, event: Any, findings: list[Finding]) -> None:
    assert SDKS[api].confirm_event(event) == findings


# -- Members by type --


def test_known_members_of_chat_parts() -> None:
    known = chat_sdk.known_members()
    assert set(known) == {"text", "image_url", "input_audio", "file", "refusal"}
    assert known["text"] >= {"type", "text"}


def test_known_members_of_responses_items_and_parts() -> None:
    known = responses_sdk.known_members()
    assert known["message"] == {"type", "role", "content", "id", "status", "phase"}
    assert known["function_call"] >= {"type", "call_id", "name", "arguments"}
    assert known["output_text"] == {"type", "text", "annotations", "logprobs"}
    assert {"input_text", "input_image", "input_file", "refusal", "summary_text"} <= set(known)


def test_known_members_of_messages_blocks() -> None:
    known = messages_sdk.known_members()
    assert known["text"] == {"type", "text", "cache_control", "citations"}
    assert known["tool_result"] >= {"type", "tool_use_id", "content", "is_error"}
    assert "tool_reference" in known


# -- The lists of names in the sdk files follow the SDKs --


def names_of(schema: Any) -> set[str]:
    """The class names of all TypedDicts in a core schema."""
    if isinstance(schema, Mapping):
        own = {schema["cls"].__name__} if schema.get("type") == "typed-dict" else set()
        return own.union(*map(names_of, schema.values()))
    if isinstance(schema, list | tuple):
        return set().union(*map(names_of, schema))
    return set()


@pytest.mark.parametrize("sdk", [chat_sdk, responses_sdk, messages_sdk])
def test_named_types_exist(sdk: Any) -> None:
    assert names_of(TypeAdapter(sdk._Request).core_schema) >= sdk._MOCKED


def test_beta_members_are_those_of_the_beta_type() -> None:
    beta = BetaParams.__annotations__.keys() - {"betas"}  # a header
    assert beta <= messages_sdk._Request.__annotations__.keys()


# -- The same verdict as the plain, slow way --


def plain(schema: Any) -> Any:
    """The core schema as it is, but lists checked at once and undeclared members refused."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if isinstance(schema, tuple):
        return tuple(plain(each) for each in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "json-or-python":
        return plain(schema["json_schema"])
    if schema.get("type") == "model":  # a Python instance, which JSON never has
        instance = {"type": "is-instance", "cls": schema["cls"]}
        return {**instance, "ref": schema["ref"]} if "ref" in schema else instance
    if schema.get("type") == "generator":
        return {"type": "list", "items_schema": plain(schema["items_schema"])}
    changed = {name: plain(value) for name, value in schema.items() if name != "serialization"}
    if schema.get("type") == "typed-dict" and schema.get("extra_behavior") != "allow":
        changed["extra_behavior"] = "forbid"
    return changed


def plain_confirmer(sdk: Any) -> SchemaValidator:
    return SchemaValidator(plain(dict(TypeAdapter(sdk._Request).core_schema)))


PLAIN = {api: plain_confirmer(SDKS[api]) for api in (CHAT, RESPONSES, MESSAGES)}


def plainly_holds(api: str, request: Any) -> bool:
    try:
        PLAIN[api].validate_python(request, strict=True)
    except ValidationError:
        return False
    return True


def big_chat() -> dict[str, Any]:
    text = {"type": "text", "text": "a"}
    image = {"type": "image_url", "image_url": {"url": "data:", "detail": "low"}}
    return turns(
        CHAT,
        {"role": "developer", "content": [text]},
        {"role": "user", "content": [text, image]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ) | {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "stop": ["a"],
        "temperature": 1,
        "stream": True,
    }


def strict_claude_code() -> dict[str, Any]:
    request = claude_code()
    del request["messages"][-1]["output_config"]
    return request


def strict_codex() -> dict[str, Any]:
    request = codex()
    request["input"] = [
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {**ECHOED_MESSAGE, "content": [OUTPUT_TEXT]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]},
        *(item for item in request["input"] if "call_id" in item),
    ]
    del request["client_metadata"]
    del request["tools"][-1]["external_web_access"]
    return request


BIG = {CHAT: big_chat(), RESPONSES: strict_codex(), MESSAGES: strict_claude_code()}


@pytest.mark.parametrize("api", list(BIG))
def test_big_requests_hold_strictly(api: str) -> None:
    assert STRICT[api](BIG[api]) is None
    assert plainly_holds(api, BIG[api])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
TEXTS = st.text(max_size=4) | st.sampled_from(
    ["type", "role", "content", "user", "assistant", "message", "text", "function", "name", "id"]
)
JSON = st.recursive(
    SCALARS | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    own = [(value, key) for key in keys]
    inner = [value[key] for key in keys if isinstance(value[key], dict | list)]
    return own + [place for each in inner for place in places(each)]


@st.composite
def damaged(draw: st.DrawFn, request: dict[str, Any]) -> dict[str, Any]:
    """The request with a few of its values replaced, removed or added to."""
    request = copy.deepcopy(request)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(request)))
        if draw(st.booleans()):
            container[key] = draw(JSON)
        elif draw(st.booleans()) and isinstance(container, dict):
            container[draw(TEXTS)] = draw(JSON)
        else:
            del container[key]
            if not request:
                break
    return request


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
@settings(deadline=None)
@given(data=st.data())
def test_strict_verdict_equals_the_plain_one(api: str, data: st.DataObject) -> None:
    request = data.draw(damaged(BIG[api]))
    assert (STRICT[api](request) is None) == plainly_holds(api, request)


@settings(deadline=None)
@given(data=st.data())
def test_strict_responses_accept_nothing_that_the_plain_way_refuses(data: st.DataObject) -> None:
    # Not the reverse: an assistant's list of parts is read as output only, as the service does.
    request = data.draw(damaged(BIG[RESPONSES]))
    assert STRICT[RESPONSES](request) is not None or plainly_holds(RESPONSES, request)


@pytest.mark.parametrize("api", list(BIG))
@settings(deadline=None)
@given(data=st.data())
def test_any_json_gets_a_verdict_and_strict_is_stricter(api: str, data: st.DataObject) -> None:
    request = data.draw(damaged(BIG[api]) | JSON)
    before = repr(request)
    lenient, strict = LENIENT[api](request), STRICT[api](request)
    SDKS[api].confirm_match(request)
    SDKS[api].confirm_response(request)
    SDKS[api].confirm_event(request)
    assert lenient is None or strict is not None
    assert repr(request) == before
