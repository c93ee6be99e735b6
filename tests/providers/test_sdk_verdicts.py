"""The verdict on a request equals that of a plain, slow validator."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, ValidationError

from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.validation.findings import Confirm
from tests.support.agents import claude_code, codex
from tests.support.confirming import (
    CALL,
    CHAT,
    ECHOED_MESSAGE,
    LENIENT,
    MESSAGES,
    OUTPUT_TEXT,
    RESPONSES,
    SDKS,
    STRICT,
    body,
    turns,
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


def names_of(schema: Any) -> set[str]:
    """The class names of all TypedDicts in a core schema."""
    if isinstance(schema, Mapping):
        own = {schema["cls"].__name__} if schema.get("type") == "typed-dict" else set()
        return own.union(*map(names_of, schema.values()))
    if isinstance(schema, list | tuple):
        return set().union(*map(names_of, schema))
    return set()


@pytest.mark.parametrize("sdk", [chat_sdk, responses_sdk, messages_sdk])
def test_lenient_types_exist_in_the_sdk(sdk: Any) -> None:
    assert names_of(TypeAdapter(sdk._REQUEST.load()).core_schema) >= sdk._LENIENT_IN_MATCHES


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
    return SchemaValidator(plain(dict(TypeAdapter(sdk._REQUEST.load()).core_schema)))


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
def test_large_requests_are_strictly_valid(api: str) -> None:
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
def test_strict_responses_accept_only_plainly_valid_requests(data: st.DataObject) -> None:
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
