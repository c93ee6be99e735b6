"""Findings in a loaded configuration: warnings, and errors by the types of the SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError
from mockllm.engine.loading import load, review
from mockllm.providers.openai.chat import sdk as chat_sdk
from tests.support.loads import ANSWER, loaded, mock


def warnings(*mocks: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in loaded(*mocks).warnings]


def errors(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict(config))
    return [f"{problem.severity}: {problem}" for problem in caught.value.problems]


def test_a_configuration_without_fault_has_no_warnings() -> None:
    result = loaded(mock("hi"), mock("ho"))

    assert result.warnings == ()
    assert [len(table.mocks) for table in result.tables] == [2, 0, 0, 0]


def test_a_response_that_the_sdk_rejects_is_a_warning() -> None:
    response = ANSWER | {"object": "chat.completion.tool_message", "creatd": 1}

    told = warnings(mock("hi", "greet") | {"response": response})

    assert told == [
        (
            "openai[0] 'greet': response.object: expected 'chat.completion', "
            "found 'chat.completion.tool_message'"
        ),
        (
            "openai[0] 'greet': response.creatd: not a member that the SDK declares; "
            "did you mean 'created'?"
        ),
    ]


def test_what_an_old_sdk_does_not_declare_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_sdk, "_WIDENED", frozenset())
    response = ANSWER | {"object": "chat.completion.tool_message", "creatd": 1}
    events = [{**CHUNK, "creatd": 1}, "[DONE]"]

    told = reviewed(tmp_path, {**mock("hi"), "response": response, "stream": {"events": events}})

    assert [line.split(": ")[:3] for line in told] == [
        ["note", "openai[0]", "response.object"],
        ["note", "openai[0]", "response.creatd"],
        ["note", "openai[0]", "stream.events[0].creatd"],
    ]


CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}


def test_a_contradiction_is_a_warning_that_names_both_places() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 99}

    assert warnings(mock("hi") | {"response": ANSWER | {"usage": usage}}) == [
        ("openai[0]: response.usage.total_tokens: 99, but prompt_tokens + completion_tokens is 12")
    ]


TERSE = mock("hi") | {"response": {"choices": [{"message": {"content": "x"}}]}}


def reviewed(tmp_path: Path, *mocks: dict[str, Any]) -> list[str]:
    file = tmp_path / "mocks.json"
    file.write_bytes(orjson.dumps({"openai": mocks}))
    problems = review(file).problems
    return [f"{each.severity}: {each}".replace(f"{file}: ", "") for each in problems]


def test_what_is_filled_in_is_a_note_of_one_line(tmp_path: Path) -> None:
    assert reviewed(tmp_path, TERSE) == [
        (
            "note: openai[0]: response: filled in: id, choices[0].finish_reason, choices[0].index, "
            "choices[0].message.role, created, model, object"
        )
    ]


def test_notes_are_not_warnings() -> None:
    assert loaded(TERSE, strict_config=True).warnings == ()


def test_missing_members_that_are_not_filled_in_are_a_warning(tmp_path: Path) -> None:
    """The SDK's type for a call without a `type` is known only once that is filled in."""
    call = {"function": {"arguments": "{}"}}
    terse = TERSE | {"response": {"choices": [{"message": {"tool_calls": [call]}}]}}

    assert reviewed(tmp_path, terse)[0] == (
        "warning: openai[0]: response: missing, and not filled in: "
        "choices[0].message.tool_calls[0].function.name"
    )


@pytest.mark.parametrize("arguments", ["{", "{'a': 1}", "a=1"])
def test_arguments_that_are_not_json_are_a_warning(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    told = warnings(mock("hi") | {"response": {"choices": [{"message": {"tool_calls": [call]}}]}})

    place = "openai[0]: response.choices[0].message.tool_calls[0].function.arguments"
    assert told == [f"{place}: the arguments of a call are not JSON: {arguments!r}"]


@pytest.mark.parametrize("arguments", ["{}", "", '{"a": 1}'])
def test_arguments_that_are_json_or_none_have_no_warning(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}

    answer = {"choices": [{"message": {"tool_calls": [call]}}]}

    assert warnings(mock("hi") | {"response": answer}) == []


def test_a_response_without_a_choice_is_a_warning() -> None:
    assert warnings(mock("hi") | {"response": {"choices": []}}) == [
        "openai[0]: response.choices: an empty list: clients read the first choice"
    ]


def test_only_some_of_many_missing_members_are_listed(tmp_path: Path) -> None:
    many = TERSE | {"response": {"choices": [{"message": {}}] * 1000}}

    (told,) = reviewed(tmp_path, many)

    assert told.endswith(" more")
    assert len(told) < 1000


def test_strict_makes_errors_of_warnings() -> None:
    with pytest.raises(ConfigError, match="the name is used twice"):
        loaded(mock("hi", "same"), mock("ho", "same"), strict_config=True)


def test_a_message_that_the_sdk_refuses_is_an_error() -> None:
    told = errors({"openai": [mock([{"type": "text"}], "greet")]})

    assert told == [
        "error: openai[0] 'greet': match.message.content[0].text: required, but missing"
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"openai": [{"match": {"message": {"content": "hi"}}, "response": ANSWER}]},
            "openai[0]: match.message: role: expected one of",
        ),
        (
            {"openai_response": [{"match": {"input": [3]}, "response": {}}]},
            "openai_response[0]: match.input",
        ),
        (
            {"anthropic": [{"match": {"message": {"role": "tool"}}, "response": {}}]},
            "anthropic[0]: match.message",
        ),
    ],
)
def test_a_mock_that_matches_nothing_is_an_error(config: dict[str, Any], expected: str) -> None:
    assert any(expected in line for line in errors(config) if line.startswith("error"))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (mock("hi"), mock("hi")),
        (mock("hi"), mock([{"type": "text", "text": "hi"}])),
        (mock("h", match_type="contains"), mock("hi")),
        (mock("h", match_type="contains"), mock("ahb", match_type="contains")),
        (mock("", match_type="contains"), mock("hi", headers=[{"name": "a", "value": "b"}])),
    ],
)
def test_an_unreachable_mock_is_a_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == [
        "openai[1]: unreachable: openai[0] matches every request that this mock matches"
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (mock("hi", headers=[{"name": "a", "value": "b"}]), mock("hi")),
        (mock("hi"), mock("h", match_type="contains")),
        (mock("hi"), mock("Hi")),
    ],
)
def test_a_reachable_mock_has_no_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == []


def test_a_name_used_twice_is_a_warning() -> None:
    assert warnings(mock("hi", "a"), mock("ho", "a"), mock("hu"), mock("he")) == [
        "openai[1] 'a': the name is used twice, first by openai[0] 'a'"
    ]


# --- Values that JSON cannot represent ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64, "expected a JSON value, found int 18446744073709551616 "),
        (float("nan"), "expected a finite number, found nan"),
        (object, "expected a JSON value, found type <class 'object'> "),
        ("\ud800", "expected a JSON value, found str \\ud800 "),
        ({1: 2}, "expected string keys, found 1"),
    ],
)
def test_an_unserializable_value_is_an_error(value: Any, expected: str) -> None:
    broken = mock("hi", "greet") | {"response": {"choices": [{"n": value}]}}

    (told,) = errors({"openai": [broken]})

    assert told.startswith(f"error: openai[0] 'greet': response.choices[0].n: {expected}")


def test_unserializable_values_are_found_in_matches_and_events() -> None:
    broken = mock("hi", name_=2**64) | {"stream": {"events": [{"id": 2**64}]}}
    broken["match"]["message"]["name"] = broken["match"].pop("name_")

    told = errors({"openai": [broken]})

    assert [line.split(": expected")[0] for line in told] == [
        "error: openai[0]: match.message.name",
        "error: openai[0]: stream.events[0].id",
    ]


# --- Literal streams ------------------------------------------------------------------------------


CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


def test_events_are_confirmed_as_responses_are() -> None:
    events = [CHUNK, CHUNK | {"created": "now"}, CHUNK | {"creatd": 1}, "[DONE]"]

    told = warnings(mock("hi", "greet") | {"stream": {"events": events}})

    assert told == [
        ("openai[0] 'greet': stream.events[1].created: expected an integer, found 'now'"),
        (
            "openai[0] 'greet': stream.events[2].creatd: not a member that the SDK declares; "
            "did you mean 'created'?"
        ),
    ]


@pytest.mark.parametrize("events", [[], [CHUNK], ["[DONE]", CHUNK]])
def test_a_chat_stream_without_done_is_a_warning(events: list[Any]) -> None:
    assert warnings(mock("hi") | {"stream": {"events": events}}) == [
        ("openai[0]: stream.events: expected '[DONE]' as the last event, as the service sends it")
    ]


# --- Items that the SDK cannot tell apart ---------------------------------------------------------


def response_warnings(*items: dict[str, Any]) -> list[str]:
    one = {"match": {"input": "hi"}, "response": {"output": list(items)}}
    told = load(Config.from_dict({"openai_response": [one]})).warnings
    return [str(problem) for problem in told]


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}


def test_two_calls_with_one_id_are_a_warning() -> None:
    assert response_warnings(CALL, CALL | {"id": "fc_2"}, CALL | {"call_id": "call_2"}) == [
        (
            "openai_response[0]: response.output[1].call_id: the same as that of output[0], also a "
            "function_call; the SDK's stream helper raises on two items that it cannot tell apart"
        )
    ]


def test_members_that_become_events_are_not_unknown() -> None:
    image = {"type": "image_generation_call", "status": "completed", "result": "aGk="}
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}

    told = response_warnings(
        image | {"partial_images": ["aGk="]}, custom | {"status": "completed", "stats": 1}
    )

    assert [line.split(": not a member")[0] for line in told] == [
        "openai_response[0]: response.output[1].stats"
    ]


@pytest.mark.parametrize(
    ("field", "match", "error"),
    [
        ("openai", {"message": {"role": "user", "content": "hi"}}, {"error": {"message": "no"}}),
        ("openai", {"message": {"role": "user", "content": "hi"}}, {"error": "no"}),
        ("openai_response", {"input": "hi"}, {"error": {"code": "server_error", "message": "no"}}),
        ("openai_response", {"input": "hi"}, {"type": "error", "message": "no", "output": []}),
        (
            "anthropic",
            {"message": {"role": "user", "content": "hi"}},
            {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
        ),
        ("openai_embeddings", {"input": "hi"}, {"error": {"message": "no", "type": "x"}}),
    ],
)
def test_the_body_of_an_error_is_no_answer(
    field: str, match: dict[str, Any], error: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict({field: [{"match": match, "response": error}]}))

    (problem,) = caught.value.problems
    assert problem.place == f"{field}[0]: response"
    assert "found the body of an error" in problem.message


@pytest.mark.parametrize(
    "response",
    [
        {"error": None},
        {"error": {}},
        {"status": "failed", "error": {"code": "server_error", "message": "no"}},
        {"output": [], "error": {"code": "server_error", "message": "no"}},
    ],
)
def test_an_error_of_a_response_is_an_answer(response: dict[str, Any]) -> None:
    load(Config.from_dict({"openai_response": [{"match": {"input": "a"}, "response": response}]}))
