from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from mockllm import (
    Config,
    ConfigError,
    HeaderMatch,
    MatchType,
    OpenAIMock,
    OpenAIRequestMatch,
)
from mockllm.config.mistakes import json_path
from mockllm.config.values import MAX_NESTING

MESSAGE = {"role": "user", "content": "hi"}
MOCK = {"name": "greet", "match": {"message": MESSAGE}, "response": {}}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def mistakes(data: Any) -> list[str]:
    """What is told of a configuration that is wrong."""
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(data, file="a.json")
    return [str(problem) for problem in caught.value.problems]


def test_the_form_of_a_file_and_of_python_are_the_same() -> None:
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


def test_an_sdk_object_is_the_json_it_stands_for() -> None:
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


def test_absent_and_null_lists_are_empty() -> None:
    config = Config.from_dict(
        {"openai": None, "anthropic": [MOCK | {"match": {"message": MESSAGE, "headers": None}}]}
    )

    assert (config.openai, config.openai_response) == ([], [])
    assert config.anthropic[0].match.headers == []


def test_a_mock_knows_the_place_it_was_read_from() -> None:
    config = Config.from_dict({"openai": [MOCK, MOCK | {"name": ""}]}, file="a.json")

    assert [mock.place for mock in config.openai] == [
        "a.json: openai[0] 'greet'",
        "a.json: openai[1]",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], ["a.json: expected an object, found a list"]),
        (
            {"openia": []},
            [
                (
                    "a.json: openia: unknown key, expected one of anthropic, cors, listen_addr, "
                    "openai, openai_embeddings, openai_response, require_auth, stream; "
                    "did you mean 'openai'?"
                )
            ],
        ),
        ({"openai": {}}, ["a.json: openai: expected a list, found an object"]),
        ({"openai": [3]}, ["a.json: openai[0]: expected an object, found 3"]),
        ({"require_auth": "no"}, ["a.json: require_auth: expected true or false, found 'no'"]),
        ({"listen_addr": 1}, ["a.json: listen_addr: expected a string, found 1"]),
        (
            {"openai": [{"name": "greet", "match": {"message": MESSAGE}, "respons": {}}]},
            [
                (
                    "a.json: openai[0] 'greet': respons: unknown key, expected one of match, name, "
                    "response, stream; did you mean 'response'?"
                )
            ],
        ),
        (
            {"openai": [{"match": {"message": MESSAGE}}]},
            ["a.json: openai[0]: response: expected a value, found nothing"],
        ),
        (
            {"openai": [MOCK | {"match": {"match_type": "contain", "message": MESSAGE}}]},
            [
                (
                    "a.json: openai[0] 'greet': match.match_type: expected 'exact' or 'contains', "
                    "found 'contain'; did you mean 'contains'?"
                )
            ],
        ),
        (
            {
                "anthropic": [
                    MOCK | {"match": {"message": "hi", "headers": [{"nam": "a", "value": 1}]}}
                ]
            },
            [
                "a.json: anthropic[0] 'greet': match.headers[0].value: expected a string, found 1",
                (
                    "a.json: anthropic[0] 'greet': match.headers[0].nam: unknown key, expected one "
                    "of match_type, name, value; did you mean 'name'?"
                ),
                "a.json: anthropic[0] 'greet': match.message: expected an object, found 'hi'",
            ],
        ),
        (
            {"openai_response": [MOCK | {"match": {"input": 3}}]},
            [
                (
                    "a.json: openai_response[0] 'greet': match.input: expected a string or a list, "
                    "found 3"
                )
            ],
        ),
        (
            {"stream": {"chunk": 0}, "openai": [MOCK | {"stream": {"chunk": "words"}}]},
            [
                (
                    "a.json: stream.chunk: expected 'word', 'char', 'token' or a number of "
                    "graphemes, at least 1, found 0"
                ),
                (
                    "a.json: openai[0] 'greet': stream.chunk: expected 'word', 'char', 'token' or "
                    "a number of graphemes, at least 1, found 'words'"
                ),
            ],
        ),
        (
            {"stream": {"chunks": 1}, "openai": [MOCK | {"stream": {"event": []}}]},
            [
                (
                    "a.json: stream.chunks: unknown key, expected one of chunk; "
                    "did you mean 'chunk'?"
                ),
                (
                    "a.json: openai[0] 'greet': stream.event: unknown key, expected one of chunk, "
                    "events; did you mean 'events'?"
                ),
            ],
        ),
        (
            {"openai": [MOCK | {"stream": {"events": [{}, "[DONE]", "DONE", 3]}}]},
            [
                (
                    "a.json: openai[0] 'greet': stream.events[2]: expected an object or '[DONE]', "
                    "found 'DONE'"
                ),
                (
                    "a.json: openai[0] 'greet': stream.events[3]: expected an object or '[DONE]', "
                    "found 3"
                ),
            ],
        ),
        (
            {"openai_embeddings": [{"match": {"input": "a"}, "response": {}, "stream": {}}]},
            [
                (
                    "a.json: openai_embeddings[0]: stream: unknown key, expected one of match, "
                    "name, response"
                )
            ],
        ),
        (
            {"openai": [MOCK | {"response": nested(MAX_NESTING + 1)}]},
            ["a.json: openai[0] 'greet': response: nested deeper than 200 levels"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(data: Any, expected: list[str]) -> None:
    assert mistakes(data) == expected


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mocks.json"
    file.write_bytes(b'\xef\xbb\xbf{"listen_addr": ":0"}')

    assert Config.from_file(file).listen_addr == ":0"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"{", "is not JSON: "), (b"", "is not JSON: "), (b'{"a": NaN}', "is not JSON: ")],
)
def test_a_file_that_is_not_json_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "mocks.json"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)

    assert str(caught.value).startswith(f"{file}: {expected}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read: No such file"):
        Config.from_file(tmp_path / "none.json")


def test_a_path_is_written_as_people_write_it() -> None:
    assert json_path(["match", "headers", 0, "name"]) == "match.headers[0].name"


@pytest.mark.parametrize("chunk", ["word", "char", "token", 1, 7])
def test_a_chunk_is_a_word_or_a_number(chunk: Any) -> None:
    config = Config.from_dict(
        {"stream": {"chunk": chunk}, "openai": [MOCK | {"stream": {"chunk": chunk}}]}
    )

    assert (config.stream.chunk, config.openai[0].stream.chunk) == (chunk, chunk)


@pytest.mark.parametrize("chunk", [True, 1.0, -1, 10**7, None, [], "Word"])
def test_anything_else_is_no_chunk(chunk: Any) -> None:
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
