"""Conditions that are written but empty."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.config.models import Config
from mockllm.engine.loading import load

EMPTY: dict[str, Any] = {
    "system_contains": [],
    "tool_names": None,
    "headers": [],
    "all_of": [],
    "body": {},
}
NO_EFFECT = [
    "all_of: an empty list has no effect",
    "body: an empty object has no effect",
    "headers: an empty list has no effect",
    "system_contains: an empty list has no effect",
    "tool_names: an empty list has no effect",
]


def warnings(config: Any) -> list[str]:
    return sorted(str(each) for each in load(Config.from_dict(config)).warnings)


@pytest.mark.parametrize("path", ["", "not", "all_of", "any_of"])
@pytest.mark.parametrize(
    ("field", "entry"),
    [
        ("openai", {"response": {}}),
        ("mocks", {"reply": "a"}),
        ("traffic", {"error": "overloaded"}),
    ],
)
def test_an_empty_condition_is_one_warning(field: str, entry: Any, path: str) -> None:
    match: Any = {"model": "m"} | EMPTY
    if path:
        match = {path: match if path == "not" else [match]}
    at = f"match.{path}{'' if path in ('', 'not') else '[0]'}{'.' if path else ''}"

    assert warnings({field: [{"match": match, **entry}]}) == [
        f"{field}[0]: {at}{each}" for each in NO_EFFECT
    ]


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ({"tool_names": [""]}, "match.tool_names: can never match: no tool has an empty name"),
        ({"system_contains": [""]}, "match.system_contains: an empty text is in any instruction"),
        ({"body": {"_comment": "mine"}}, "match.body: an empty object has no effect"),
        ({"all_of": [{"user": "a"}, {}]}, "match.all_of[1]: an empty match has no effect"),
        (
            {"any_of": [{"user": "a"}, {}]},
            "match.any_of[1]: an empty match holds for any request, so the others have no effect",
        ),
        (
            {"match_type": "contains"},
            "match.match_type: no effect: it says how 'message' is compared, which is not there",
        ),
    ],
)
def test_what_changes_nothing_is_a_warning(match: Any, message: str) -> None:
    assert warnings({"openai": [{"match": match, "response": {}}]}) == [f"openai[0]: {message}"]


def test_a_list_of_inputs_has_its_own_word() -> None:
    mock = {"match": {"match_type": "exact"}, "response": {}}

    assert warnings({"openai_embeddings": [mock]}) == [
        (
            "openai_embeddings[0]: match.match_type: no effect: it says how 'input' is compared, "
            "which is not there"
        )
    ]


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"tools": []},
        {"headers": [{"name": "x-a", "value": ""}]},
        {"body": {"$": {"exists": True}}},
        {"match_type": "contains", "message": {"role": "user", "content": ""}},
        {"all_of": [{"user": {"contains": ""}}], "any_of": [{"step": {"at_least": 1}}]},
    ],
)
def test_what_says_something_is_no_warning(match: Any) -> None:
    assert warnings({"openai": [{"match": match, "response": {}}]}) == []
