from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, load_config
from mockllm.loading import Loaded, load

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
            'found a string ("chat.completion.tool_message")'
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
