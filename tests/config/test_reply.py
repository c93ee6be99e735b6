"""Replies of a configuration: which are accepted, and what is said of the others."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from mockllm.config.mistakes import problems
from mockllm.config.reply import MAX_TOKENS, AnyReply, Reply, ToolCall, Usage

ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyReply)
CALL = {"name": "f"}


class Holder(BaseModel):
    """An object with a reply, as a mock is."""

    reply: AnyReply


def mistakes(reply: Any) -> list[str]:
    try:
        Holder.model_validate({"reply": reply})
    except ValidationError as exc:
        return [str(each).removeprefix("reply.") for each in problems(exc, Holder, {}, "")]
    return []


class City(BaseModel):
    name: str = "Paris"
    size: int | None = None


# --- What is accepted ---


def test_a_text_is_a_reply_with_this_text() -> None:
    assert ADAPTER.validate_python("hi") == Reply(text="hi")
    assert ADAPTER.validate_python("") == Reply(text="")


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ({"text": "a", "_comment": "b"}, Reply(text="a")),
        (Reply(text="a"), Reply(text="a")),
        ({"text": None, "reasoning": "r"}, Reply(reasoning="r")),
        ({"tool_calls": [CALL]}, Reply(tool_calls=[ToolCall(name="f", arguments={})])),
        ({"tool_calls": [], "text": "a"}, Reply(tool_calls=[], text="a")),
        ({"finish": "length"}, Reply(finish="length")),
        (
            {"text": "a", "usage": {"input": 0, "cached": 0}},
            Reply(text="a", usage=Usage(input=0, cached=0)),
        ),
        (
            {"text": "a", "usage": {"cached": 5, "reasoning": 7}},
            Reply(text="a", usage=Usage(cached=5, reasoning=7)),
        ),
        (
            {"refusal": "no", "tool_calls": [], "finish": "length"},
            Reply(refusal="no", tool_calls=[], finish="length"),
        ),
    ],
)
def test_an_object_is_a_reply(written: Any, reply: Reply) -> None:
    assert ADAPTER.validate_python(written).model_dump() == reply.model_dump()


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, {"a": [1, {"b": None}]}])
def test_any_value_is_a_json_also_null(value: Any) -> None:
    reply = ADAPTER.validate_python({"json": value})

    assert reply.has_json
    assert reply.json_value == value
    assert not Reply(text="a").has_json


def test_keys_of_the_author_inside_values_are_kept() -> None:
    values = {"_a": 1, "$b": {"_c": 2}}
    reply = ADAPTER.validate_python({"json": values, "_note": 1})

    assert reply.json_value == values
    assert ToolCall(name="f", arguments=values).arguments == values


def test_models_of_the_author_become_json_with_all_their_members() -> None:
    whole = {"name": "Paris", "size": None}

    assert Reply(json=City()).json_value == whole
    assert ToolCall(name="f", arguments=City()).arguments == whole


@pytest.mark.parametrize("arguments", ["", "{", '{"a": 1}', "[1]"])
def test_arguments_may_be_any_text(arguments: str) -> None:
    assert ToolCall(name="f", arguments=arguments).arguments == arguments


# --- What is not ---


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (5, ['reply: expected a text or an object, found 5; write "5"']),
        (None, ["reply: expected a text or an object, found null"]),
        (
            {"txt": "a"},
            [
                (
                    "txt: unknown key, expected one of finish, json, reasoning, refusal, text, "
                    "tool_calls, usage; did you mean 'text'?"
                )
            ],
        ),
        (
            {"text": 5},
            ['text: expected a text, {"generate": ...} or {"template": "..."}, found 5; write "5"'],
        ),
        ({"reasoning": ""}, ["reasoning: expected a non-empty string, found an empty one"]),
        ({"refusal": ""}, ["refusal: expected a non-empty string, found an empty one"]),
        (
            {"tool_calls": [{"name": "", "args": {}}]},
            [
                "tool_calls[0].name: expected a non-empty string, found an empty one",
                (
                    "tool_calls[0].args: unknown key, expected one of arguments, id, name; "
                    "did you mean 'arguments'?"
                ),
            ],
        ),
        (
            {"tool_calls": [CALL | {"arguments": [1]}]},
            ["tool_calls[0].arguments: expected an object or a string, found a list"],
        ),
        (
            {"tool_calls": [CALL | {"id": "a"}, CALL | {"id": "b"}, CALL | {"id": "a"}]},
            [
                (
                    "tool_calls: expected a different 'id' for each call, found 'a' twice: results "
                    "name the call by it"
                )
            ],
        ),
        (
            {"text": "a", "finish": "tool_call"},
            [
                (
                    "finish: expected 'stop', 'length', 'tool_calls' or 'content_filter', found "
                    "'tool_call'; did you mean 'tool_calls'?"
                )
            ],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(reply: Any, expected: list[str]) -> None:
    assert mistakes(reply) == expected


@pytest.mark.parametrize(
    ("reply", "place", "words"),
    [
        ({}, "reply", "expected at least one of 'text', 'reasoning', 'tool_calls'"),
        ({"usage": {}}, "reply", "expected at least one of"),
        ({"tool_calls": []}, "reply", "expected at least one of"),
        ({"text": "a", "refusal": "b"}, "refusal", "either 'refusal' or 'text', found both"),
        ({"refusal": "b", "tool_calls": [CALL]}, "refusal", "either 'refusal' or 'tool_calls'"),
        ({"json": 1, "text": "a"}, "json", "either 'json' or 'text', found both"),
        ({"json": None, "text": ""}, "json", "either 'json' or 'text', found both"),
        ({"json": 1, "tool_calls": [CALL]}, "json", "either 'json' or 'tool_calls'"),
        ({"json": 1, "refusal": "b"}, "json", "either 'json' or 'refusal', found both"),
        ({"text": "a", "finish": "tool_calls"}, "finish", "expected 'tool_calls' beside it"),
        ({"json": {}, "finish": "tool_calls"}, "finish", "expected 'tool_calls' beside it"),
    ],
)
def test_what_no_service_sends_is_an_error(reply: Any, place: str, words: str) -> None:
    (mistake,) = mistakes(reply)

    assert mistake.startswith(f"{place}: ")
    assert words in mistake


@pytest.mark.parametrize(
    ("usage", "mistake"),
    [
        ({"input": -1}, "input: expected at least 0, found -1"),
        ({"output": 1.5}, "output: expected a whole number, found 1.5"),
        ({"output": True}, "output: expected a whole number, found true"),
        (
            {"input": 1, "cached": 2},
            "cached: expected at most 1, the 'input' of which it is a part, found 2",
        ),
        (
            {"output": 1, "reasoning": 2},
            "reasoning: expected at most 1, the 'output' of which it is a part, found 2",
        ),
        ({"sum": 1}, "sum: unknown key, expected one of cached, input, output, reasoning"),
    ],
)
def test_impossible_numbers_of_tokens_are_errors(usage: Any, mistake: str) -> None:
    assert mistakes({"text": "a", "usage": usage}) == [f"usage.{mistake}"]


def test_several_mistakes_are_reported_at_once() -> None:
    reply = {"text": "a", "json": 1, "finish": "tool_calls", "usage": {"input": -1}}

    assert [each.partition(":")[0] for each in mistakes(reply)] == [
        "json",
        "finish",
        "usage.input",
    ]


def test_the_largest_number_of_tokens_is_one_that_every_reader_counts_exactly() -> None:
    assert mistakes({"text": "a", "usage": {"input": MAX_TOKENS}}) == []
    assert len(mistakes({"text": "a", "usage": {"input": MAX_TOKENS + 1}})) == 1


# --- The JSON Schema ---


@pytest.mark.parametrize("reply", ["hi", {"text": "a"}, {"json": None, "_note": 1}])
def test_the_schema_allows_texts_and_objects(reply: Any) -> None:
    jsonschema.validate(reply, ADAPTER.json_schema())


@pytest.mark.parametrize("reply", [5, None, [], {"txt": "a"}, {"tool_calls": [{}]}])
def test_the_schema_allows_nothing_else(reply: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(reply, ADAPTER.json_schema())
