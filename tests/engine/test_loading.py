from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, load_config
from mockllm.engine.loading import Loaded, load
from mockllm.engine.mocks import Table
from mockllm.prompt import ResponseOptions
from tests.support.goldens import delivered

ANSWER = {
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


def mock(content: Any, name: str = "", **match: Any) -> dict[str, Any]:
    wanted = {"message": {"role": "user", "content": content}, **match}
    return {"name": name, "match": wanted, "response": ANSWER}


def loaded(*mocks: dict[str, Any], strict: bool = False) -> Loaded:
    return load(Config.from_dict({"openai": list(mocks)}), strict=strict)


def warnings(*mocks: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in loaded(*mocks).warnings]


def errors(config: dict[str, Any], *, strict: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict(config), strict=strict)
    return [f"{problem.severity}: {problem}" for problem in caught.value.problems]


def test_a_configuration_without_fault_has_no_warnings() -> None:
    result = loaded(mock("hi"), mock("ho"))

    assert result.warnings == ()
    assert [len(table.mocks) for table in result.tables] == [2, 0, 0, 0]


def test_only_providers_with_mocks_confirm_requests() -> None:
    tables = loaded(mock("hi")).tables

    assert [table.confirm is not None for table in tables] == [True, False, False, False]


def test_what_the_sdk_refuses_of_a_response_is_a_warning() -> None:
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


def test_absent_members_are_told_in_one_line() -> None:
    told = warnings(mock("hi") | {"response": {"choices": [{"message": {"content": "x"}}]}})

    assert told == [
        (
            "openai[0]: response: absent, completed where known: id, choices[0].finish_reason, "
            "choices[0].index, choices[0].message.role, created, model, object"
        )
    ]


def test_strict_makes_errors_of_warnings() -> None:
    with pytest.raises(ConfigError, match="the name is used twice"):
        loaded(mock("hi", "same"), mock("ho", "same"), strict=True)


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
def test_a_mock_that_is_never_reached_is_a_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == [
        "openai[1]: is never reached: openai[0] matches whatever it does"
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (mock("hi", headers=[{"name": "a", "value": "b"}]), mock("hi")),
        (mock("hi"), mock("h", match_type="contains")),
        (mock("hi"), mock("Hi")),
    ],
)
def test_a_mock_that_is_reached_is_no_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == []


def test_a_name_used_twice_is_a_warning() -> None:
    assert warnings(mock("hi", "a"), mock("ho", "a"), mock("hu"), mock("he")) == [
        "openai[1] 'a': the name is used twice, first by openai[0] 'a'"
    ]


# --- What cannot be sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64, "expected JSON, found int 18446744073709551616 "),
        (float("nan"), "expected a number that JSON knows, found nan"),
        (object, "expected JSON, found type <class 'object'> "),
        ("\ud800", "expected JSON, found str \\ud800 "),
        ({1: 2}, "expected keys that are texts, found 1"),
    ],
)
def test_what_cannot_be_sent_is_an_error(value: Any, expected: str) -> None:
    broken = mock("hi", "greet") | {"response": {"choices": [{"n": value}]}}

    (told,) = errors({"openai": [broken]})

    assert told.startswith(f"error: openai[0] 'greet': response.choices[0].n: {expected}")


def test_what_cannot_be_sent_is_found_in_matches_and_events() -> None:
    broken = mock("hi", name_=2**64) | {"stream": {"events": [{"id": 2**64}]}}
    broken["match"]["message"]["name"] = broken["match"].pop("name_")

    told = errors({"openai": [broken]})

    assert [line.split(": expected")[0] for line in told] == [
        "error: openai[0]: match.message.name",
        "error: openai[0]: stream.events[0].id",
    ]


# --- Streams that are given literally -------------------------------------------------------------

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
        (
            "openai[0]: stream.events: the last event is not '[DONE]', with which the service ends "
            "a stream"
        )
    ]


def streamed(table: Table) -> bytes:
    return table.render(0, ResponseOptions(stream=True)).body


def test_events_are_sent_as_written_and_nothing_else() -> None:
    events = [{"b": 1, "a": "\u2028é"}, "[DONE]", {"id": "c"}]
    table = loaded(mock("hi") | {"stream": {"events": events, "chunk": "char"}}).tables[0]

    assert (
        streamed(table)
        == ('data: {"b":1,"a":"\\u2028é"}\n\ndata: [DONE]\n\ndata: {"id":"c"}\n\n').encode()
    )
    assert b'"content":"hi"' in table.render(0, ResponseOptions()).body


@pytest.mark.parametrize(("field", "index"), [("openai_response", 1), ("anthropic", 2)])
def test_events_are_framed_as_their_api_does(field: str, index: int) -> None:
    match = {"message": {"role": "user", "content": "hi"}} if index == 2 else {"input": "hi"}
    one = {"match": match, "response": {}, "stream": {"events": [{"type": "ping"}]}}

    table = load(Config.from_dict({field: [one]})).tables[index]

    assert streamed(table) == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        ({}, {}, ["one", " two"]),
        ({"chunk": 4}, {}, ["one ", "two"]),
        ({"chunk": 4}, {"chunk": "word"}, ["one", " two"]),
        ({}, {"chunk": "char"}, list("one two")),
    ],
)
def test_a_mock_says_how_text_is_cut_or_the_configuration_does(
    default: Any, own: Any, expected: list[str]
) -> None:
    response = {"choices": [{"message": {"content": "one two"}}]}
    one = mock("hi") | {"response": response, "stream": own}
    table = load(Config.from_dict({"stream": default, "openai": [one]})).tables[0]

    lines = delivered(table.render(0, ResponseOptions(stream=True))).split(b"\n\n")

    chunks = [orjson.loads(line[6:]) for line in lines[:-2]]
    contents = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert [content for content in contents if content] == expected


# --- Items that the SDK cannot tell apart ---------------------------------------------------------


def response_warnings(*items: dict[str, Any]) -> list[str]:
    one = {"match": {"input": "hi"}, "response": {"output": list(items)}}
    told = load(Config.from_dict({"openai_response": [one]})).warnings
    return [str(problem) for problem in told if "absent" not in problem.message]


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}


def test_two_calls_with_one_id_are_a_warning() -> None:
    assert response_warnings(CALL, CALL | {"id": "fc_2"}, CALL | {"call_id": "call_2"}) == [
        (
            "openai_response[0]: response.output[1].call_id: the same as that of output[0], also a "
            "function_call; the SDK's stream helper raises on two items that it cannot tell apart"
        )
    ]


def test_what_we_make_events_of_is_no_unknown_member() -> None:
    image = {"type": "image_generation_call", "status": "completed", "result": "aGk="}
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}

    told = response_warnings(
        image | {"partial_images": ["aGk="]}, custom | {"status": "completed", "stats": 1}
    )

    assert [line.split(": not a member")[0] for line in told] == [
        "openai_response[0]: response.output[1].stats"
    ]


# --- Files ---------------------------------------------------------------------------------------


def write(path: Path, **config: Any) -> Path:
    path.write_bytes(orjson.dumps(config))
    return path


def names(config: Config) -> list[str]:
    return [each.name for each in config.openai]


def test_a_directory_is_its_files_in_order(tmp_path: Path) -> None:
    write(tmp_path / "b.json", openai=[mock("b", "b")])
    write(tmp_path / "a.json", openai=[mock("a", "a1"), mock("c", "a2")])
    (tmp_path / "notes.txt").write_text("no configuration")

    config = load_config(tmp_path)

    assert names(config) == ["a1", "a2", "b"]
    assert config.openai[2].place == f"{tmp_path / 'b.json'}: openai[0] 'b'"


def test_several_files_are_appended_and_the_last_setting_counts(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", openai=[mock("a", "a")], listen_addr=":1", require_auth=False)
    two = write(tmp_path / "2.json", openai=[mock("b", "b")], listen_addr=":2")

    config = load_config(two, one, two)

    assert names(config) == ["b", "a", "b"]
    assert (config.listen_addr, config.require_auth) == (":2", False)


def test_an_empty_directory_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a directory with \*\.json files, found none"):
        load_config(tmp_path)


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", openia=[])
    two = tmp_path / "2.json"
    two.write_text("{")

    with pytest.raises(ConfigError) as caught:
        load_config(one, two, tmp_path / "3.json")

    assert [problem.place for problem in caught.value.problems] == [
        f"{one}: openia",
        str(two),
        str(tmp_path / "3.json"),
    ]


def test_mocks_without_a_mistake_of_their_own_are_looked_at_too(tmp_path: Path) -> None:
    robot = {"match": {"message": {"role": "robot", "content": "x"}}, "response": ANSWER}
    file = write(tmp_path / "1.json", openai=[{"nme": "x"}, robot, mock("hi")])

    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)

    places = {problem.place.removeprefix(f"{file}: ") for problem in caught.value.problems}
    assert places == {
        "openai[0]: nme",
        "openai[0]: match",
        "openai[0]: response",
        "openai[1]: match.message",
    }


def test_every_file_of_a_directory_is_looked_at(tmp_path: Path) -> None:
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    one.write_text("{")
    two.write_text("[")

    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)

    assert [problem.place for problem in caught.value.problems] == [str(one), str(two)]
