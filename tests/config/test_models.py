from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from mockllm import Config, HeaderMatch, MatchType, OpenAIMock, OpenAIRequestMatch
from mockllm.config.values import MAX_NESTING
from tests.support.configs import MESSAGE, MOCK, mistakes, nested


def test_a_file_and_python_objects_make_the_same_configuration() -> None:
    match = {
        "match_type": "contains",
        "message": MESSAGE,
        "headers": [{"name": "X-A", "value": "1", "match_type": "exact"}],
    }
    read = Config.from_dict({"openai": [{"name": "n", "match": match, "response": {"id": "x"}}]})

    built = Config(
        openai=[
            OpenAIMock(
                name="n",
                match=OpenAIRequestMatch(
                    match_type=MatchType.CONTAINS,
                    message=MESSAGE,
                    headers=[HeaderMatch(name="X-A", value="1")],
                ),
                response={"id": "x"},
            )
        ]
    )
    assert read.model_dump() == built.model_dump()


def test_an_sdk_object_is_converted_to_json() -> None:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hi"},
        "logprobs": None,
    }
    data = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    match = OpenAIRequestMatch(message=MESSAGE)

    mock = OpenAIMock(match=match, response=ChatCompletion.model_validate(data))

    assert mock.response == data


def test_a_name_can_be_shown() -> None:
    for key in ("mocks", "openai"):
        (found,) = mistakes({key: [{"name": "\ud800", "reply": "hi"}]})
        assert found.endswith("name: expected a string of Unicode characters, found '\\ud800'")
        found.encode()


def test_absent_and_null_lists_are_empty() -> None:
    config = Config.from_dict(
        {"openai": None, "anthropic": [MOCK | {"match": {"message": MESSAGE, "headers": None}}]}
    )

    assert (config.openai, config.openai_response) == ([], [])
    assert config.anthropic[0].match.headers == []


def test_a_mock_has_the_place_it_was_read_from() -> None:
    config = Config.from_dict({"openai": [MOCK, MOCK | {"name": ""}]}, file="a.json")

    assert [mock.place for mock in config.openai] == [
        "a.json: openai[0] 'greet'",
        "a.json: openai[1]",
    ]


@pytest.mark.parametrize("chunk", ["word", "char", "token", 1, 7])
def test_a_chunk_is_a_word_or_a_number(chunk: Any) -> None:
    config = Config.from_dict(
        {"stream": {"chunk": chunk}, "openai": [MOCK | {"stream": {"chunk": chunk}}]}
    )

    assert (config.stream.chunk, config.openai[0].stream.chunk) == (chunk, chunk)


@pytest.mark.parametrize("chunk", [True, 1.0, -1, 10**7, None, [], "Word"])
def test_any_other_chunk_is_an_error(chunk: Any) -> None:
    assert len(mistakes({"stream": {"chunk": chunk}})) == 1


def test_the_json_schema_shows_how_a_mock_is_streamed() -> None:
    definitions = Config.model_json_schema()["$defs"]

    assert definitions["Stream"]["properties"]["chunk"]["anyOf"] == [
        {"enum": ["word", "char", "token"]},
        {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    ]
    assert "events" in definitions["MockStream"]["properties"]


def test_a_response_may_be_deep() -> None:
    response = nested(MAX_NESTING)

    assert Config.from_dict({"openai": [MOCK | {"response": response}]}).openai[0].response == (
        response
    )


def test_a_fingerprint_tells_configurations_apart_by_what_they_say() -> None:
    data = {"openai": [MOCK | {"name": "a"}], "mocks": [{"sequence": ["ü", {"error": "conflict"}]}]}
    config = Config.from_dict(data, file="a.json")
    same = [Config.from_dict(data, file="b.json"), Config.from_dict({**data, "listen_addr": ":9"})]
    others = [{**data, "seed": 1}, {**data, "mocks": [{"sequence": ["ü"]}]}, {}]

    assert {each.fingerprint() for each in same} == {config.fingerprint()}
    prints = {config.fingerprint(), *(Config.from_dict(each).fingerprint() for each in others)}
    assert len(prints) == 4


def test_a_deep_response_has_a_fingerprint() -> None:
    deep = [
        Config.from_dict({"openai": [MOCK | {"response": nested(MAX_NESTING - n)}]}) for n in (0, 1)
    ]

    assert deep[0].fingerprint() != deep[1].fingerprint()
