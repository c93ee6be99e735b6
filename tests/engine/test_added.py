"""Mocks that are added at run time, compiled one by one."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.engine.added import FIRST_INDEX, compile_added, prepare
from mockllm.engine.sources import ScriptedSource
from mockllm.errors import ConfigError


def mistakes(words: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        compile_added(words, 3, **options)
    return str(caught.value)


def test_a_mock_of_every_api_is_compiled_for_each() -> None:
    added = compile_added({"name": "a", "user": "x", "reply": "y"}, 3)

    assert list(added.by_api) == ["openai", "openai_response", "anthropic"]
    assert {compiled.rule.label for compiled in added.by_api.values()} == {"added[3] 'a'"}
    assert added.indices == {FIRST_INDEX + 3}


def test_a_mock_of_one_api_is_compiled_for_that_one() -> None:
    one = compile_added({"api": "messages", "reply": "y"}, 0)
    own = compile_added({"api": "embeddings", "input": "a", "response": {"data": []}}, 0)

    assert list(one.by_api) == ["anthropic"]
    assert list(own.by_api) == ["openai_embeddings"]


def test_a_later_mock_comes_behind_or_before_all_others() -> None:
    indices = [
        next(iter(compile_added({"reply": "y", "first": first}, number).indices))
        for first, number in [(True, 9), (True, 1), (False, 0), (False, 5)]
    ]

    assert indices == sorted(indices)
    assert indices[0] > 1_000_000  # of a configuration


def test_the_state_of_each_mock_is_its_own() -> None:
    keys = set()
    for number in range(2):
        added = compile_added({"name": "a", "sequence": ["x"]}, number)
        for compiled in added.by_api.values():
            assert isinstance(compiled.source, ScriptedSource)
            keys.add(compiled.source.candidate.key)

    assert keys == {"added[0]", "added[1]"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"user": "a"}, "added[3]: "),
        ({"user": {"contain": "a"}, "reply": "x"}, "added[3]: match.user.contain: unknown key"),
        ({"name": "n", "user": None, "reply": "x"}, "added[3] 'n': match: user is null"),
        ({"reply": "a", "error": "billing"}, "added[3]: expected one answer, found 'reply' and"),
        ({"api": "chat", "message": {"role": 1}, "reply": "x"}, "added[3]: match.message"),
        ({"api": ["embeddings", "embeddings"], "reply": "x"}, "added[3]: match: no request"),
        ({"reply": {"json": float("nan")}}, "added[3]: reply.json"),
        ({"user": {"contains": "\ud800"}, "reply": "x"}, "added[3]: match.user.contains: expected"),
        ({"reply": {"template": "{{"}}, "added[3]: reply: not a template of Jinja2"),
        ({"sequence": ["x", {"template": "{{ a }}"}]}, "added[3]: sequence[1].reply: 'a' is"),
    ],
)
def test_mistakes_are_those_of_a_file_at_the_place_of_the_mock(
    words: dict[str, Any], reason: str
) -> None:
    assert reason in mistakes(words)


def test_likely_mistakes_are_mistakes_if_strict() -> None:
    words = {"api": "chat", "response": {"choices": [{"message": {"content": 1}}]}}

    added = compile_added(words, 3)
    assert added.by_api
    assert [warning.place for warning in added.warnings] == [
        "added[3]: response.choices[0].message.content"
    ]
    assert mistakes(words, strict=True).startswith("added[3]: response.choices[0].message.content")


def test_a_mock_may_be_as_in_a_list_of_a_file() -> None:
    prepare()  # as a server does before it is asked
    mock = {"name": "a", "match": {"user": "Hello"}, "reply": "Hi"}

    added = compile_added(mock, 3, field="mocks")

    assert str(added.place) == "added[3] 'a'"
    with pytest.raises(ConfigError, match="user: write it into 'match'"):
        compile_added({"user": "Hello", "reply": "Hi"}, 4, field="mocks")
