"""Requests that the SDKs' types refuse, of all APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mockllm.validation.findings import Confirm, Finding, Kind
from tests.support.confirming import (
    APIS,
    CALL,
    CHAT,
    EMBEDDINGS,
    LENIENT,
    MESSAGES,
    MISSING,
    RESPONSES,
    SMALL,
    STRICT,
    WRONG,
    body,
    turns,
)


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
