from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from mockllm import Config, ConfigError, HeaderMatch, MatchType, OpenAIMock, OpenAIRequestMatch
from mockllm.config.models import MOCK_FIELDS
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


_MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "match_type": st.sampled_from(["exact", "contains"]),
        "message": st.just(MESSAGE),
        "headers": st.sampled_from([[], None, [{"name": "x-a", "value": "b"}]]),
        "system_contains": st.sampled_from([[], ["be terse"]]),
        "tool_names": st.sampled_from([[], ["f"]]),
        "not": st.just({"turn": 2}),
    },
)
_MOCKS = st.fixed_dictionaries(
    {"reply": st.sampled_from(["a", {"template": "{{ call }}"}])},
    optional={
        "name": st.sampled_from(["", "a"]),
        "match": _MATCHES,
        "headers": st.sampled_from([{}, {"x-a": "b"}]),
        "latency": st.just({"ttft": 1}),
    },
)


@given(st.fixed_dictionaries({"openai": st.lists(_MOCKS), "anthropic": st.lists(_MOCKS)}))
def test_mocks_that_share_what_is_equal_are_those_that_do_not(data: dict[str, Any]) -> None:
    shared, apart = Config.from_dict(data, file="a.json"), Config.model_validate(data)

    assert (shared.openai, shared.anthropic) == (apart.openai, apart.anthropic)
    assert repr(shared) == repr(apart)
    assert shared.model_dump_json() == apart.model_dump_json()
    for one, other in zip(shared.openai, apart.openai, strict=True):
        written = [(each.model_fields_set, each.match.model_fields_set) for each in (one, other)]
        assert written[0] == written[1]
        assert one.has_state == other.has_state


@given(st.fixed_dictionaries({"openai": st.lists(_MOCKS), "anthropic": st.lists(_MOCKS)}))
def test_what_is_read_is_validated_as_what_is_given(data: dict[str, Any]) -> None:
    read, given_by = Config.from_read(data, file="a.json"), Config.from_dict(data, file="a.json")

    assert repr(read) == repr(given_by)


@pytest.mark.parametrize("levels", [MAX_NESTING, MAX_NESTING + 1])
def test_a_response_that_is_read_may_be_as_deep_as_one_that_is_given(levels: int) -> None:
    data = {"openai": [MOCK | {"response": nested(levels)}]}
    found: list[str] = []
    for validated in (Config.from_dict, Config.from_read):
        try:
            found.append(repr(validated(data, file="a.json")))
        except ConfigError as exc:
            found.append(str(exc))

    assert found[0] == found[1]
    assert ("nested deeper" in found[0]) == (levels > MAX_NESTING)


def test_only_what_is_read_is_kept_without_a_copy() -> None:
    """A caller may change theirs afterwards."""
    choices: list[Any] = []
    data = {"openai": [MOCK | {"response": {"choices": choices}}]}
    [read], [given_by] = Config.from_read(data, file="a").openai, Config.from_dict(data).openai

    assert read.answer is not None
    assert given_by.answer is not None
    assert read.answer["choices"] is choices
    assert given_by.answer["choices"] is not choices


def test_a_mock_that_is_read_is_small() -> None:
    apart = OpenAIMock.model_validate(MOCK)
    one, other = Config.from_dict({"openai": [MOCK, MOCK]}, file="a.json").openai
    assert not one.has_state  # which it remembers

    for read, made in ((one, apart), (one.match, apart.match)):
        assert sys.getsizeof(read.__dict__) < sys.getsizeof(made.__dict__) * 0.6
    assert one.headers is other.headers
    assert one.match.tool_names is other.match.tool_names
    assert one.match.model_fields_set is other.match.model_fields_set


def test_configurations_share_nothing() -> None:
    one, other = (Config.from_dict({"openai": [MOCK]}).openai[0] for _ in "ab")

    assert one.headers is not other.headers
    assert one.match.system_contains is not other.match.system_contains


@pytest.mark.parametrize("mock", MOCK_FIELDS.values())
def test_no_match_is_left_to_be_built_by_threads(mock: type[BaseModel]) -> None:
    assert type(mock.model_fields["match"].default).__pydantic_complete__


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
