"""Mistakes in the calls of mocks: arguments that are not JSON, ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm.engine import calls
from mockllm.engine.loading import review

Json = dict[str, Any]


def call(arguments: str, call_id: str = "call_1") -> Json:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    }


def chat(*calls: Json, match: Json | None = None) -> Json:
    message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
    return {"match": match or {}, "response": {"choices": [{"message": message}]}}


def found(folder: Path, field: str, *mocks: Json) -> list[str]:
    file = folder / "mocks.json"
    file.write_bytes(orjson.dumps({field: mocks}))
    problems = [f"{each.severity}: {each}" for each in review(file).problems]
    known = ("filled in: ", "unreachable: ")
    return [
        line.replace(f"{file}: ", "")
        for line in problems
        if not any(each in line for each in known)
    ]


@pytest.mark.parametrize("arguments", ["{", "{'a': 1}", "a=1"])
def test_arguments_that_are_not_json_are_a_warning(tmp_path: Path, arguments: str) -> None:
    place = "openai[0]: response.choices[0].message.tool_calls[0].function.arguments"
    assert found(tmp_path, "openai", chat(call(arguments))) == [
        f"warning: {place}: the arguments of a call are not JSON: {arguments!r}"
    ]


@pytest.mark.parametrize("arguments", ["{}", "", '{"a": 1}'])
def test_arguments_that_are_json_or_none_have_no_warning(tmp_path: Path, arguments: str) -> None:
    assert found(tmp_path, "openai", chat(call(arguments))) == []


MATCHED = {"message": {"role": "assistant", "tool_calls": [call("{")]}}


def test_arguments_of_a_match_that_are_not_json_are_a_warning(tmp_path: Path) -> None:
    (line,) = found(tmp_path, "openai", chat(call("{}"), match=MATCHED))

    place = "openai[0]: match.message.tool_calls[0].function.arguments"
    assert line.startswith(f"warning: {place}: the arguments of a call are not JSON: '{{'; no mock")


def test_arguments_of_an_item_in_a_match_are_looked_at(tmp_path: Path) -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "x"}

    for match_type in ("exact", "contains"):
        match = {"input": [item], "match_type": match_type}
        (line,) = found(tmp_path, "openai_response", {"match": match, "response": {}})
        assert "match.input[0].arguments: the arguments of a call are not JSON" in line


def test_arguments_of_a_match_that_a_mock_answers_with_can_match(tmp_path: Path) -> None:
    lines = found(tmp_path, "openai", chat(call("{}"), match=MATCHED), chat(call("{")))

    assert [line.split(": the arguments")[0] for line in lines] == [
        "warning: openai[1]: response.choices[0].message.tool_calls[0].function.arguments"
    ]


def test_the_answers_are_searched_once_for_all_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    search = calls.malformed_in_answers

    def count(mocks: Sequence[Any]) -> frozenset[str]:
        searched.append(len(mocks))
        return search(mocks)

    monkeypatch.setattr(calls, "malformed_in_answers", count)
    mocks = [chat(call(f"{{{index}"), match=MATCHED) for index in range(3)]

    assert len(found(tmp_path, "openai", *mocks)) > 0
    assert searched == [3]


def test_two_calls_of_an_answer_with_one_id_are_a_warning(tmp_path: Path) -> None:
    assert found(tmp_path, "openai", chat(call("{}"), call("{}", "call_2"), call("{}"))) == [
        (
            "warning: openai[0]: response.choices[0].message.tool_calls[2].id: the same as that of "
            "response.choices[0].message.tool_calls[0]; results refer to calls by their id"
        )
    ]


def test_two_tool_uses_of_an_answer_with_one_id_are_a_warning(tmp_path: Path) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    text = {"type": "text", "text": "a"}

    (line,) = found(tmp_path, "anthropic", {"response": {"content": [use, text, use]}})

    assert line.startswith("warning: anthropic[0]: response.content[2].id: the same as that of")


def test_calls_of_two_choices_may_have_one_id(tmp_path: Path) -> None:
    message = chat(call("{}"))["response"]["choices"][0]

    mock = {"response": {"choices": [message, message | {"index": 1}]}}

    assert found(tmp_path, "openai", mock) == []


RESULTS = [
    ("openai", {"message": {"role": "tool", "tool_call_id": "call_9", "content": "1"}}),
    (
        "openai_response",
        {"input": [{"type": "function_call_output", "call_id": "call_9", "output": "1"}]},
    ),
    (
        "anthropic",
        {
            "message": {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "call_9", "content": "1"}],
            }
        },
    ),
]


def answer_with_call(field: str, call_id: str) -> Json:
    if field == "openai":
        return chat(call("{}", call_id))
    if field == "anthropic":
        use = {"type": "tool_use", "id": call_id, "name": "f", "input": {}}
        return {"response": {"content": [use]}}
    item = {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}
    return {"response": {"output": [item]}}


@pytest.mark.parametrize(("field", "match"), RESULTS)
def test_a_result_of_a_call_that_no_mock_makes_is_a_note(
    tmp_path: Path, field: str, match: Json
) -> None:
    one = answer_with_call(field, "call_8") | {"match": match}

    (line,) = found(tmp_path, field, one)

    assert line.startswith(f"note: {field}[0]: match.")
    assert line.endswith("no mock makes a call with the id 'call_9'")


def test_each_result_of_such_a_call_is_found_among_mocks_that_differ_in_texts(
    tmp_path: Path,
) -> None:
    result = {"role": "tool", "tool_call_id": "call_9"}
    messages = [
        message | {"content": text} for message in ({"role": "user"}, result) for text in "ab"
    ]
    answer = answer_with_call("openai", "call_8")

    lines = found(tmp_path, "openai", *(answer | {"match": {"message": m}} for m in messages))

    end = "match.message.tool_call_id: no mock makes a call with the id 'call_9'"
    assert lines == [f"note: openai[{index}]: {end}" for index in (2, 3)]


@pytest.mark.parametrize(("field", "match"), RESULTS)
def test_a_result_of_a_call_that_a_mock_makes_is_no_problem(
    tmp_path: Path, field: str, match: Json
) -> None:
    one = answer_with_call(field, "call_8") | {"match": match}

    assert found(tmp_path, field, one, answer_with_call(field, "call_9")) == []


@pytest.mark.parametrize(("field", "match"), RESULTS)
def test_where_no_mock_makes_calls_the_client_does(tmp_path: Path, field: str, match: Json) -> None:
    message = {"choices": [{"message": {"content": "a"}}]} if field == "openai" else {}

    assert found(tmp_path, field, {"match": match, "response": message}) == []


def test_a_call_in_the_same_input_is_made(tmp_path: Path) -> None:
    item = {"type": "function_call", "call_id": "call_9", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_9", "output": "1"}
    one = answer_with_call("openai_response", "call_8") | {"match": {"input": [item, output]}}

    assert found(tmp_path, "openai_response", one) == []
