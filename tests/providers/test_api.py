"""Requests that are decoded in pieces are decoded like others, and what echoes promise."""

from __future__ import annotations

import copy
from collections.abc import Generator
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching import readings
from mockllm.matching.divided_readings import in_pieces
from mockllm.prompt import Prompt
from mockllm.providers import contents, request_body
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.embeddings import prompt as embeddings
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.registry import APIS
from mockllm.providers.routes import NO_VALUES
from mockllm.wire import json_encoding, json_windows

TEXT = {"type": "text", "text": "x"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
SUMMARY = {"type": "summary_text", "text": "why"}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": [TEXT] * 5}
CONTENTS: list[Any] = ["s", [TEXT], [TEXT] * 5, [TEXT, 5, {}], [{"type": 5}] * 4, None, 5, []]
ENTRIES: list[Any] = [
    *({"role": role, "content": each} for role in ("user", "nobody") for each in CONTENTS),
    {"type": "message", "role": "user", "content": [TEXT] * 5},
    {"type": "reasoning", "id": "r", "summary": [], "content": [5] * 4},
    {"type": "function_call_output", "call_id": "a", "output": [TEXT]},
    {"role": "system", "content": "note"},
    {"role": "assistant", "content": [TEXT] * 5, "refusal": "no", "tool_calls": [CALL] * 5},
    {"role": "assistant", "content": [TEXT, USE, USE, TEXT, USE], "reasoning_content": "hm"},
    {"role": "tool", "tool_call_id": "c", "content": [TEXT] * 5},
    {"role": "user", "content": [RESULT, TEXT, RESULT, TEXT, {"type": "image", "source": {}}]},
    {"role": "user", "content": [RESULT] * 5},
    {
        "type": "function_call_output",
        "call_id": "c",
        "output": [{**TEXT, "type": "input_text"}] * 5,
    },
    {"type": "message", "role": "assistant", "content": [TEXT] * 5, "stdout": "x", "status": "a"},
    {"type": "reasoning", "id": "r", "summary": [SUMMARY] * 5, "content": [], "other": [1] * 5},
    {
        "type": "computer_call",
        "call_id": "c",
        "action": {"type": "type", "text": "a long text"},
        "pending_safety_checks": [{"id": "s", "code": "c", "message": "m"}] * 5,
    },
    {"type": "program_output", "call_id": "c", "result": "a long text", "output": [TEXT] * 5},
    {"type": "program_output", "call_id": "c", "output": "a long text"},
    {"type": "unknown", "output": ["a"] * 5, "text": ["b"] * 5, "other": ["c"] * 5},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{        }"},
    {"type": "function_call_output", "call_id": "c", "output": "a long text"},
    {"type": "function_call_output", "call_id": "c", "output": "a text", "arguments": "other"},
    {"role": "user", "content": [{"type": "input_text", "text": "a long text"}]},
    {"role": "user", "content": "x", "output": "a long text that does not count"},
    {"id": "a", "content": ["x"] * 5, "output": "a long text"},
    {"id": "a"},
    {"type": 5},
    5,
]
INPUTS: list[Any] = [
    "x",
    [],
    ["a", "b", "c"] * 4,
    [1, 2.0, 3] * 4,
    [1, 2, "x"] * 3,
    ["a", 1] * 3,
    [[1, 2, 3, 4], [5, 6, True], [8]],
    [[1], [], {}],
    [{}],
]


def outcome(decode: Any) -> Any:
    """The prompt with its conversation, which is read too, or the error."""
    try:
        prompt: Prompt = decode()
    except RequestError as exc:
        return exc.status, exc.message, exc.param, exc.code
    for message in prompt.last_messages:
        if message.items:
            assert message.least_size <= len(message.key_of_last(1))
            assert not message.is_longer(1, len(message.key_of_last(1)))
        message.texts, message.search_texts = (*message.texts,), (*message.search_texts,)
    said = [replace(each, texts=(*each.texts,), calls=(*each.calls,)) for each in prompt.messages()]
    return prompt, said, [[*message.parts()] for message in prompt.last_messages]


def finish(pieces: Generator[bool, None, Prompt]) -> Prompt:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            prompt: Prompt = end.value
            return prompt


@given(
    st.randoms(use_true_random=False),
    st.sampled_from(APIS),
    st.lists(st.sampled_from(ENTRIES), max_size=9),
    st.sampled_from(INPUTS),
    st.integers(1, 4),
)
@settings(max_examples=400)
def test_prompts_and_errors_are_those_of_decoding_at_once(
    random: Random, api: API, entries: list[Any], inputs: Any, most: int
) -> None:
    is_embeddings = api.name == "openai_embeddings"
    list_name = "input" if api.match_field == "input" else "messages"
    body = {"model": "m", "max_tokens": 4, list_name: inputs if is_embeddings else entries}
    for name in [*body]:
        if random.random() < 0.05:
            body[name] = random.choice([None, 5, "x", {}, []])
    request = Request.of("POST", api.routes[0], body=orjson.dumps(copy.deepcopy(body)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_windows, "SLICE", 32)
        patch.setattr(request_body, "ENTRIES_AT_ONCE", most)
        patch.setattr(embeddings, "ENTRIES_AT_ONCE", most)
        patch.setattr(contents, "PARTS_AT_ONCE", most)
        patch.setattr(json_encoding, "MAX_TEXT", most)
        patch.setattr(json_encoding, "_MAX_WEIGHT", 100 * most)
        patch.setattr("mockllm.providers.texts.ENTRIES_AT_ONCE", most)
        found = outcome(lambda: finish(api.decode_in_pieces(request, NO_VALUES, [])))

    assert found == outcome(lambda: api.decode(request, NO_VALUES))


@pytest.mark.parametrize("api", [api for api in APIS if api.respond is not None])
def test_a_long_message_is_read_with_pauses(api: API) -> None:
    kind = "input_text" if api.match_field == "input" else "text"
    message = {"role": "user", "content": [{"type": kind, "text": "x"}] * 20_000}
    members = {"model": "m", "max_tokens": 4}
    members["input" if api.match_field == "input" else "messages"] = [message]

    assert sum(1 for _ in api.prepare(members)) >= 40
    assert sum(1 for _ in in_pieces(api.read(members, None), [readings.messages])) >= 20


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call_output", "call_id": "c", "output": [TEXT] * 20_000},
        {"type": "reasoning", "id": "r", "summary": [SUMMARY] * 20_000},
        {"type": "unknown", "entries": [TEXT] * 30_000},
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["echo"] * 20_000}},
        {"type": "function_call_output", "call_id": "c", "output": "word " * 200_000},
        {"role": "user", "content": "word " * 200_000},
    ],
    ids=["output", "summary", "unknown", "action", "text of a result", "text of a message"],
)
def test_a_long_item_is_read_with_pauses(item: dict[str, Any]) -> None:
    assert sum(1 for _ in RESPONSES.prepare({"model": "m", "input": [item]})) >= 20


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (MESSAGES, {"messages": [{"role": "user", "content": [TEXT] * 2_000}]}),
        (RESPONSES, {"input": [{"type": "unknown", "entries": [TEXT] * 30_000}]}),
    ],
    ids=["parts", "item"],
)
def test_the_texts_of_a_long_message_are_let_go_of_in_pieces(
    api: API, body: dict[str, Any]
) -> None:
    """To free 500,000 of them at once held the loop for several milliseconds, behind other work."""
    request = Request.of("POST", "/", body=orjson.dumps({"model": "m", "max_tokens": 1} | body))
    leftovers: list[Any] = []
    (message,) = finish(api.decode_in_pieces(request, NO_VALUES, leftovers)).last_messages

    assert isinstance(message.search_texts, list)
    assert any(each is message.search_texts for each in leftovers)


REPEATED = ["service_tier", "initial_service_tier", "inference_geo", "user", "tools", "temperature"]


@given(
    api=st.sampled_from(APIS),
    body=st.dictionaries(st.sampled_from(REPEATED), st.just("x") | st.none()),
    names=st.frozensets(st.sampled_from(REPEATED)),
)
def test_a_request_without_members_of_these_names_echoes_none_of_them(
    api: API, body: dict[str, Any], names: frozenset[str]
) -> None:
    echoed = api.echo(body, names)

    assert not names.isdisjoint(body) or names.isdisjoint(echoed)
