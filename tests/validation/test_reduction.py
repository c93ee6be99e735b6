"""The first error in a large value, found by validating parts, is that of the whole value."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import ValidationError

from mockllm.validation import findings, reduction
from mockllm.validation.findings import Confirm, Finding
from tests.support.confirming import CHAT, EMBEDDINGS, LENIENT, MESSAGES, RESPONSES, STRICT

TEXT = {"type": "text", "text": "x"}
PARTS: list[Any] = [
    TEXT,
    {"type": "image_url", "image_url": {"url": "u"}},
    {"type": "input_text", "text": "t"},
    {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, TEXT]},
    {"type": "unknown"},
]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "parameters": {"a": {"b": [1, 2, 3]}}}},
    {"type": "function", "name": "f", "parameters": {}, "strict": True},
    {"name": "t", "input_schema": {"type": "object", "properties": {}}},
    {"type": "mcp", "server_label": "l", "headers": {"x": "y"}, "allowed_tools": ["a", "b"]},
]
NAMES = ["a", "b", "type", "role", "text", "content", "\0str", "\0x"]
INPUTS: list[Any] = [
    "x",
    ["a", "b", "c"] * 4,
    [1, 2, 3] * 4,
    [1, 2, "x"] * 3,
    ["a", 1] * 3,
    [[1, 2, 3, 4], [5, "x"], 8],
    [[1], [], {}],
]
VALUES = st.recursive(
    st.sampled_from([1, 0.5, 2.0, True, None, "", "user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)


def contents(random: Random) -> Any:
    return random.choice(["s", random.choices(PARTS, k=random.randrange(1, 8)), None])


def messages(random: Random) -> Any:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return random.choice(
        [
            {"role": "user", "content": contents(random)},
            {"role": "assistant", "content": None, "tool_calls": [call] * random.randrange(4)},
            {"role": "tool", "tool_call_id": "x", "content": contents(random)},
            {"type": "function_call", "call_id": "a", "name": "n", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": contents(random)},
            {"type": "message", "role": "user", "content": contents(random)},
        ]
    )


def bodies(random: Random, api: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "metadata": {name: random.choice(["v", "v", 5]) for name in random.sample(NAMES, 6)},
        "tools": random.choices(TOOLS, k=random.randrange(4)),
        "stop": ["a"] * random.randrange(4),
        "logit_bias": {str(key): random.choice([1, 1, "x"]) for key in range(6)},
    }
    body = {name: body[name] for name in body if random.random() < 0.5}
    if api == EMBEDDINGS:
        body["input"] = random.choice(INPUTS)
    else:
        name = "input" if api == RESPONSES else "messages"
        body[name] = [messages(random) for _ in range(random.randrange(8))]
    return {"model": "m", "max_tokens": 4} | body


def change(body: dict[str, Any], random: Random, value: Any) -> None:
    """Replace or remove what is at some place of a body."""
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [body]
    while todo:
        each = todo.pop()
        for key in each if isinstance(each, dict) else range(len(each)):
            places.append((each, key))
            if isinstance(each[key], dict | list):
                todo.append(each[key])
    container, key = random.choice(places)
    if random.random() < 0.3:
        del container[key]
    else:
        container[key] = value


def first_finding(confirm: Confirm, value: Any) -> Finding | None:
    """Validate a value at once: the specification."""
    try:
        confirm._validator.validate_python(value)
    except ValidationError as error:
        return findings._finding(error.errors(include_url=False)[0])
    return None


def in_pieces(confirm: Confirm, value: Any, weight: int, name: int = 100) -> Finding | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduction, "MAX_WEIGHT", weight)
        patch.setattr(reduction, "NAME_AS_VALUE", name)
        pieces = confirm.in_pieces(value)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                found: Finding | None = end.value
                return found


@given(
    st.randoms(use_true_random=False),
    st.sampled_from([CHAT, RESPONSES, MESSAGES, EMBEDDINGS]),
    st.booleans(),
    st.sampled_from([1, 2, 3, 5, 8, 13]),
    st.sampled_from([1, 4, 100]),
    st.lists(VALUES, max_size=2),
)
@settings(max_examples=600)
def test_the_first_finding_is_that_of_the_whole_value(
    random: Random, api: str, strict: bool, weight: int, name: int, values: list[Any]
) -> None:
    body = copy.deepcopy(bodies(random, api))
    for value in values:
        change(body, random, value)
    confirm = (STRICT if strict else LENIENT)[api]
    before = orjson.dumps(body)

    assert in_pieces(confirm, body, weight, name) == first_finding(confirm, body)
    assert orjson.dumps(body) == before


def test_a_large_value_is_validated_with_pauses() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}] * 20_000}

    assert sum(1 for _ in LENIENT[CHAT].in_pieces(body)) > 30


def test_long_names_are_validated_with_pauses() -> None:
    """They are copied for each error: 76 of 22,000 characters took 6 to 13 ms."""
    metadata: dict[str, Any] = {f"{n}{'日' * 20_000}": 1 for n in range(20)}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "metadata": metadata}

    assert reduction.weigh(body) > reduction.MAX_WEIGHT
    assert str(LENIENT[CHAT](body)) == str(first_finding(LENIENT[CHAT], body))


class Unread(str):
    """A name whose length is not asked for."""

    __slots__ = ()

    def __len__(self) -> int:
        raise AssertionError


def test_the_names_of_very_many_members_are_not_measured() -> None:
    """To add up 150,000 of them took 3 ms, several times."""
    members = {Unread(number): 1 for number in range(reduction.MAX_WEIGHT)}

    assert reduction.weigh(members) > reduction.MAX_WEIGHT


@pytest.mark.parametrize("long_name", [True, False], ids=["long names", "many values"])
def test_a_value_as_deep_as_json_may_be_is_validated(long_name: bool) -> None:
    value: Any = 1 if long_name else [0] * 2 * reduction.MAX_WEIGHT
    for _ in range(500):
        value = {"n" * (20_000 if long_name else 1): value}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "metadata": value}

    found = in_pieces(LENIENT[CHAT], body, reduction.MAX_WEIGHT)

    assert found == first_finding(LENIENT[CHAT], body)


def test_the_index_is_that_in_the_whole_value() -> None:
    entries: list[Any] = [{"role": "user", "content": "hello"}] * 20_000
    content = [*([TEXT] * 5_000), {"type": "text", "text": 5}]
    entries[12_345] = {"role": "user", "content": content}

    found = in_pieces(LENIENT[CHAT], {"model": "m", "messages": entries}, reduction.MAX_WEIGHT)

    assert str(found) == "messages.12345.content.5000.text: expected a string, found 5"


def test_the_first_of_very_many_findings_is_found() -> None:
    body = {"model": "m", "messages": [], "metadata": {f"k{n}": n for n in range(10_000)}}

    assert str(LENIENT[CHAT](body)) == "metadata.k0: expected a string, found 0"
