"""The words of a match, and the mistakes that authors make with them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockllm.config.conditions import Conditions
from mockllm.config.keys import keys_of
from mockllm.config.models import Config
from mockllm.engine.loading import load
from mockllm.errors import ConfigError
from tests.support.schemas import config_validator

LISTS = {
    "openai": "chat",
    "openai_response": "responses",
    "anthropic": "messages",
    "openai_embeddings": "embeddings",
}

EVERY_WORD: dict[str, Any] = {
    "user": {"contains": "weather", "ignore_case": True},
    "tool_result": {"name": "f", "call_id": "c", "text": ["a", {"regex": "b"}], "error": False},
    "last_user": ["a", "b"],
    "any_message": {"role": "user", "text": "a"},
    "system": {"starts_with": "You", "ends_with": "."},
    "model": {"exact": "m"},
    "api": ["chat", "responses", "messages", "embeddings"],
    "tools": {"any": ["f"]},
    "schema": "s",
    "turn": 1,
    "step": {"at_least": 1, "at_most": 3},
    "stream": False,
    "body": {"$.temperature": 0, "$.metadata": {"exists": True}},
    "headers": [{"name": "x-a", "value": "a"}],
    "all_of": [{"user": "a"}],
    "any_of": [{"user": "a"}, {"not": {"user": "b"}}],
    "not": {"tools": []},
}


def found_in(match: Any, field: str = "openai") -> list[str]:
    try:
        load(Config.from_dict({field: [{"match": match, "response": {}}]}))
    except ConfigError as exc:
        return [str(problem) for problem in exc.problems]
    return []


@pytest.mark.parametrize("field", LISTS)
def test_every_list_has_every_word(field: str) -> None:
    assert found_in(EVERY_WORD, field) == []
    assert set(EVERY_WORD) == set(keys_of(Conditions))


@pytest.mark.parametrize(
    "body",
    [
        {"_comment": "mine", "$.a": 1},
        {"$.a": {"_comment": "mine", "equals": 1}},
        {"$.a": {"$comment": "mine", "exists": False}},
        {"$.a": {"any": [{"_comment": "mine", "contains": "x"}]}},
    ],
)
def test_the_author_s_own_keys_may_stand_in_values_of_the_body(body: Any) -> None:
    assert found_in({"body": body}) == []


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        (
            {"user": {"contain": "x"}},
            (
                "match.user.contain: unknown key, expected one of contains, ends_with, exact, "
                "ignore_case, regex, starts_with; did you mean 'contains'?"
            ),
        ),
        (
            {"user": 5},
            (
                'match.user: expected a text, an object such as {"contains": "..."} or a list of '
                'these, found 5; write "5"'
            ),
        ),
        (
            {"user": {}},
            (
                "match.user: expected one of contains, starts_with, ends_with, exact, regex, "
                'found none; {"contains": ""} holds for any text'
            ),
        ),
        (
            {"tool_result": {}},
            (
                "match.tool_result: expected one of contains, starts_with, ends_with, exact, "
                "regex, name, call_id, text, error, found none; "
                '{"contains": ""} holds for any text'
            ),
        ),
        (
            {"not": {"any_message": {"_comment": "mine"}}},
            (
                "match.not.any_message: expected one of contains, starts_with, ends_with, exact, "
                'regex, role, text, found none; {"contains": ""} holds for any text'
            ),
        ),
        (
            {"tool_result": [{}]},
            (
                "match.tool_result[0]: expected one of contains, starts_with, ends_with, exact, "
                'regex, found none; {"contains": ""} holds for any text'
            ),
        ),
        ({"user": []}, "match.user: expected a list that is not empty, found an empty one"),
        (
            {"user": ["a", ["b"]]},
            'match.user[1]: expected a text or an object such as {"contains": "..."}, found a list',
        ),
        ({"user": None}, "match: user is null; leave it out if it does not matter"),
        (
            {"user": {"contains": None}},
            "match.user: contains is null; leave it out if it does not matter",
        ),
        (
            {"tool_result": {"name": "f", "text": None}},
            "match.tool_result: text is null; leave it out if it does not matter",
        ),
        ({"user": {"regex": "a("}}, "match.user: not a regular expression of RE2: missing ): a("),
        ({"turn": 0}, "match.turn: expected at least 1, found 0"),
        ({"turn": {}}, "match.turn: expected 'at_least' or 'at_most', found neither"),
        (
            {"not": {"step": {"_comment": "mine"}}},
            "match.not.step: expected 'at_least' or 'at_most', found neither",
        ),
        (
            {"turn": True},
            'match.turn: expected a number from 1, or {"at_least": ...}, found true',
        ),
        (
            {"step": {"at_least": 3, "at_most": 2}},
            "match.step: at_most 2 is less than at_least 3",
        ),
        (
            {"tools": {"an": ["f"]}},
            "match.tools.an: unknown key, expected one of any; did you mean 'any'?",
        ),
        ({"tools": "f"}, "match.tools: expected a list of names, or {\"any\": [...]}, found 'f'"),
        (
            {"any_message": {"role": "system"}},
            (
                "match.any_message.role: expected 'user', 'assistant' or 'tool', found 'system'; "
                "instructions are matched by 'system'"
            ),
        ),
        (
            {"api": "openai"},
            (
                "match.api[0]: expected 'chat', 'responses', 'messages' or 'embeddings', "
                "found 'openai'; did you mean 'chat'?"
            ),
        ),
        (
            {"not": {"tool_result": {"name": {"contain": 1}}}},
            (
                "match.not.tool_result.name.contain: unknown key, expected one of contains, "
                "ends_with, exact, ignore_case, regex, starts_with; did you mean 'contains'?"
            ),
        ),
        (
            {"body": {"model": 1}},
            "match.body.model: a path begins with $, found 'model'; write $.model",
        ),
        (
            {"body": {"$.a": {}}},
            'match.body.$.a: an object is a test; write {"equals": {}} to compare with one',
        ),
        (
            {"body": {"$.a": {"contains": 1}}},
            'match.body.$.a: contains: expected a string, found 1; write "1"',
        ),
        (
            {"body": {"$.a": {"any": "x"}}},
            "match.body.$.a: any: expected a list of values, found 'x'",
        ),
        (
            {"body": {"$.a": {"exists": False, "equals": 1}}},
            "match.body.$.a: 'exists': false stands alone",
        ),
        (
            {"body": {"$.a": {"any": [1, {"exists": False}]}}},
            (
                "match.body.$.a: 'exists': false stands alone, not in 'any'; write two matches "
                "into 'any_of', one of them with it"
            ),
        ),
        (
            {"body": {"$.a": {"exists": "yes"}}},
            "match.body.$.a: exists: expected true or false, found 'yes'",
        ),
        (
            {"body": {"$.a": {"any": []}}},
            "match.body.$.a: any: expected a list that is not empty, found an empty one",
        ),
        ({"any_of": []}, "match.any_of: expected a list that is not empty, found an empty one"),
        (
            {"schema": {"equals": "a"}},
            "match.schema.equals: write 'exact' instead",
        ),
        (
            {"tool_result": {"tool_name": "f"}},
            "match.tool_result.tool_name: a word of the vendors' formats; write 'name' instead",
        ),
        (
            {"tool_result": {"nam": "f"}},
            (
                "match.tool_result.nam: unknown key, expected one of call_id, error, name, text; "
                "did you mean 'name'?"
            ),
        ),
        (
            {"any_message": {"content": "f"}},
            "match.any_message.content: a word of the vendors' formats; write 'text' instead",
        ),
        (
            {"headers": {"x-tenant": "a"}},
            (
                'match.headers: expected a list such as [{"name": "x-tenant", "value": "a"}], '
                "found an object"
            ),
        ),
        (
            {"headers": {}},
            (
                'match.headers: expected a list such as [{"name": "x-tenant", "value": "a"}], '
                "found an object"
            ),
        ),
        (
            {"headers": {"x-tenant": "é" * 1000}},
            (
                'match.headers: expected a list such as [{"name": "...", "value": "..."}], '
                "found an object"
            ),
        ),
        (
            {"all_of": [{"user": {"regex": "a{101}"}}]},
            "match.all_of[0].user: repeats more than 100 times, which takes too long",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(match: Any, problem: str) -> None:
    (found,) = found_in(match)

    assert found == f"openai[0]: {problem}"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("containz", "; did you mean 'contains'?"),
        ("prefix", "; did you mean 'starts_with'?"),
        ("b", ""),
    ],
)
def test_a_misspelt_test_of_a_value_is_guessed(word: str, meant: str) -> None:
    (found,) = found_in({"body": {"$.a": {word: "b"}}})

    assert found.startswith(f"openai[0]: match.body.$.a: unknown test {word!r}, expected one of ")
    assert found.endswith(f'write {{"equals": {{...}}}} to compare with an object{meant}')


def test_an_api_that_a_list_does_not_serve_is_told() -> None:
    loaded = load(Config.from_dict({"openai": [{"match": {"api": "messages"}, "response": {}}]}))

    (warning,) = loaded.warnings
    assert str(warning) == (
        "openai[0]: match: can never match: match.api does not name this API, 'chat'"
    )


def test_the_schema_allows_every_word_and_no_other() -> None:
    file = {"openai": [{"match": EVERY_WORD, "response": {}}]}

    config_validator().validate(file)
    for wrong in ({"users": "a"}, {"user": {"contain": "a"}}, {"turn": 0}, {"tools": "f"}):
        with pytest.raises(jsonschema.ValidationError):
            config_validator().validate({"openai": [{"match": wrong, "response": {}}]})
