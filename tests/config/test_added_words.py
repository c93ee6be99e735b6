"""The keywords of a mock that is added: which are its own, and which those of its match."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from mockllm import Match, OpenAIMock, Reply
from mockllm.config import added_words
from mockllm.config.added_words import AddedWords, MockWords, arrange
from mockllm.errors import MAX_DESCRIBED, ConfigError


@pytest.mark.parametrize(
    ("words", "arranged"),
    [
        ({}, ("mocks", {})),
        ({"reply": "a"}, ("mocks", {"reply": "a"})),
        (
            {"name": "n", "user": "a", "not_": {"turn": 1}, "reply": "b"},
            ("mocks", {"name": "n", "match": {"user": "a", "not": {"turn": 1}}, "reply": "b"}),
        ),
        ({"match": {"user": "a"}, "reply": "b"}, ("mocks", {"match": {"user": "a"}, "reply": "b"})),
        (
            {"schema": "s", "error": "billing"},
            ("mocks", {"match": {"schema": "s"}, "error": "billing"}),
        ),
        (
            {"headers": {"x": "1"}, "stream": {"chunk": 3}},
            ("mocks", {"headers": {"x": "1"}, "stream": {"chunk": 3}}),
        ),
        (
            {"headers": [{"name": "x", "value": "1"}], "stream": False},
            ("mocks", {"match": {"headers": [{"name": "x", "value": "1"}], "stream": False}}),
        ),
        ({"first": [{"error": "billing"}]}, ("mocks", {"first": [{"error": "billing"}]})),
        ({"api": "chat", "reply": "a"}, ("mocks", {"match": {"api": "chat"}, "reply": "a"})),
        (
            {"api": ["chat"], "response": {}},
            ("openai", {"match": {"api": ["chat"]}, "response": {}}),
        ),
        (
            {"api": "messages", "message": {"role": "user"}},
            ("anthropic", {"match": {"api": "messages", "message": {"role": "user"}}}),
        ),
        (
            {"match": {"api": "responses", "input": "a"}},
            ("openai_response", {"match": {"api": "responses", "input": "a"}}),
        ),
        (
            {"api": "chat", "sequence": ["a", {"response": {}}]},
            ("openai", {"match": {"api": "chat"}, "sequence": ["a", {"response": {}}]}),
        ),
        (
            {"api": "chat", "stream": {"events": []}},
            ("openai", {"match": {"api": "chat"}, "stream": {"events": []}}),
        ),
        ({"api": "embeddings"}, ("openai_embeddings", {"match": {"api": "embeddings"}})),
    ],
)
def test_words_are_those_of_a_mock_or_of_its_match(
    words: dict[str, Any], arranged: tuple[str, Any]
) -> None:
    assert arrange(words) == AddedWords(*arranged, is_first=False)


@pytest.mark.parametrize(("first", "is_first"), [(True, True), (False, False)])
def test_first_is_also_a_place(*, first: bool, is_first: bool) -> None:
    assert arrange({"reply": "a", "first": first}) == ("mocks", {"reply": "a"}, is_first)


def test_a_match_may_be_an_object() -> None:
    match = Match(user="a", not_=Match(turn=2))

    assert arrange({"match": match, "reply": Reply(text="a")}).mock["match"] == {
        "user": "a",
        "not": Match(turn=2),
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            {"usr": "a"},
            "add(): unknown key 'usr', expected the keys of a mock and of its match; did",
        ),
        (
            {"zzzzz": "a"},
            "add(): unknown key 'zzzzz', expected the keys of a mock and of its match",
        ),
        ({"nott": {}}, "did you mean 'not_'?"),
        ({"times": 2}, "add(): unknown key 'times': write it into an entry of 'sequence' or 'fi"),
        ({"prompt": "a"}, "add(): unknown key 'prompt': a word of the vendors' formats; write 'us"),
        (
            {"match": {}, "user": "a"},
            "match= cannot be combined with conditions beside it, found 'user'",
        ),
        ({"response": {}}, "'response' has the form of one API: name it, api= one of 'chat', "),
        ({"response": {}, "api": ["chat", "messages"]}, "'response' has the form of one API"),
        ({"sequence": [{"response": {}}]}, "'response' has the form of one API"),
    ],
)
def test_a_mistake_says_what_to_do(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        arrange(words)
    assert reason in str(caught.value)


@pytest.mark.parametrize("api", [5, True, 1.5, {}, [5], [[]], {"chat": 1}])
def test_an_api_of_a_wrong_type_is_left_to_validation(api: Any) -> None:
    arranged = arrange({"api": api, "reply": "a"})

    assert (arranged.field, arranged.mock["match"]) == ("mocks", {"api": api})


def test_so_many_unknown_keys_are_described_and_the_others_counted() -> None:
    with pytest.raises(ConfigError) as caught:
        arrange({f"repl{number}": "a" for number in range(MAX_DESCRIBED + 2)})

    *described, rest = map(str, caught.value.problems)
    assert len(described) == MAX_DESCRIBED
    assert all(text.endswith("did you mean 'reply'?") for text in described)
    assert rest == "add(): 2 more mistakes are not described"


def test_every_key_of_a_mock_and_its_match_is_a_keyword() -> None:
    keys = added_words._MOCK_KEYS | added_words._MATCH_KEYS | {"match"}
    named = {word.removesuffix("_") for word in get_type_hints(MockWords)}

    assert named == keys
    assert set(OpenAIMock.model_fields) <= keys
