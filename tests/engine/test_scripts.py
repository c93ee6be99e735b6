"""The scripts of mocks, and the keys of their state."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, OpenAIMock, ResponseEntry
from mockllm.config.models import AnyMock
from mockllm.engine.scripts import keys_of, script_of
from mockllm.state.choosing import AtEnd, Script, ScriptEntry


def mocks_of(*written: Any, field: str = "mocks") -> list[AnyMock]:
    return list(getattr(Config.from_dict({field: list(written)}), field))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"sequence": ["a", {"reply": "b", "times": 3}]}, Script((ScriptEntry(), ScriptEntry(3)))),
        (
            {"sequence": [{"error": "overloaded", "times": 2}, {"reply": "a", "times": "always"}]},
            Script((ScriptEntry(2, True), ScriptEntry(None))),
        ),
        ({"sequence": ["a"], "at_end": "pass"}, Script((ScriptEntry(),), AtEnd.PASS)),
        (
            {"sequence": ["a", "b"], "first": ["c", "d"], "at_end": "restart"},
            Script((ScriptEntry(),) * 4, AtEnd.RESTART, restart_at=2),
        ),
        (
            {"reply": "a", "first": [{"error": "rate_limit"}, {"reply": "b", "retry": "next"}]},
            Script((ScriptEntry(1, True), ScriptEntry(1, True), ScriptEntry(None))),
        ),
        (
            {"error": "rate_limit", "first": ["a", {"times": 2}, {"retry": "same"}]},
            Script((ScriptEntry(), ScriptEntry(2, True), ScriptEntry(), ScriptEntry(None, True))),
        ),
    ],
)
def test_the_answers_of_a_mock_are_a_script(written: Any, expected: Script) -> None:
    (mock,) = mocks_of(written)

    assert script_of(mock) == expected


SCRIPT = {"sequence": ["a", "b"]}


def test_only_mocks_with_state_have_keys() -> None:
    mocks = mocks_of({"reply": "a"}, {"name": "b", **SCRIPT}, {"name": "c", "reply": "d"})

    assert keys_of("mocks", mocks) == {1: "mocks 'b'"}


def key_of(written: Any, field: str = "mocks") -> str:
    (key,) = keys_of(field, mocks_of(written, field=field)).values()
    return key


@pytest.mark.parametrize(
    "changed",
    [
        {"sequence": ["a", "c"]},
        {"sequence": ["b", "a"]},
        {"sequence": ["a", {"reply": "b", "times": 2}]},
        {"first": ["a", "b"], "reply": "b"},
        SCRIPT | {"match": {"user": "hi"}},
        SCRIPT | {"headers": {"x-a": "1"}},
    ],
)
def test_a_mock_without_a_name_has_the_key_of_its_match_and_answers(changed: Any) -> None:
    assert key_of(SCRIPT) == key_of(SCRIPT)
    assert key_of(changed) != key_of(SCRIPT)
    assert key_of(changed | {"name": "n"}) == key_of(SCRIPT | {"name": "n"})


@pytest.mark.parametrize(
    "same",
    [
        {"sequence": [{"reply": "a"}, {"reply": {"text": "b"}}]},
        SCRIPT | {"_comment": "new"},
        SCRIPT | {"at_end": "repeat"},
    ],
)
def test_what_means_the_same_has_the_same_key(same: Any) -> None:
    assert key_of(same) == key_of(SCRIPT)


def test_the_order_of_members_does_not_matter() -> None:
    one = {"sequence": [{"response": {"id": "a", "model": "m"}}], "match": {"user": "a"}}
    other = {"match": {"user": "a"}, "sequence": [{"response": {"model": "m", "id": "a"}}]}

    assert key_of(one, "openai") == key_of(other, "openai")


def test_equal_mocks_have_different_keys() -> None:
    keys = keys_of("mocks", mocks_of(SCRIPT, SCRIPT))

    assert len(set(keys.values())) == 2


@pytest.mark.parametrize("value", [object(), 2**64, float("nan"), "\ud800"])
def test_values_that_json_cannot_represent_are_left_to_the_review(value: Any) -> None:
    mock = OpenAIMock(sequence=[ResponseEntry(response={"id": value})])

    assert set(keys_of("openai", [mock])) == {0}
