"""The commands `mockllm check` and `mockllm schema`: their output and exit status."""

from __future__ import annotations

import gc
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mockllm.cli.main import main
from mockllm.config.models import Config
from mockllm.engine.json_schema import configuration_schema
from tests.support import contract
from tests.support.contract import TEXT_ASKED
from tests.support.processes import failing, write
from tests.support.schemas import printed_schema, printed_validator
from tests.support.served import Json, chat_mock, chat_saying, messages_mock, responses_mock

CLEAN: Json = {
    "openai": [chat_mock("hi", contract.CHAT[TEXT_ASKED])],
    "openai_response": [responses_mock("hi", contract.RESPONSES[TEXT_ASKED])],
    "anthropic": [messages_mock("hi", contract.MESSAGES[TEXT_ASKED])],
}
"""A configuration without warnings."""

TERSE: Json = {"openai": [chat_mock("hi", chat_saying("yes"))]}
"""A response with missing members, which are filled in."""
NO_PROBLEMS = "0 errors, 0 warnings, 0 notes in 3 mocks of 1 file\n"


# --- Invalid files --------------------------------------------------------------------------------


MISTAKES: list[tuple[Any, str]] = [
    ({"opnai": []}, "opnai: unknown key, * did you mean 'openai'?"),
    (
        {"openai": [{"name": "a", "match": {"match_typ": "exact", "message": {}}}]},
        "openai[0] 'a': match.match_typ: unknown key, * did you mean 'match_type'?",
    ),
    (
        {"openai": [chat_mock("a", {}, match_type="contain")]},
        "openai[0] 'a': match.match_type: expected 'exact' or 'contains', * mean 'contains'?",
    ),
    (
        {"anthropic": [{"match": {"message": {"role": "user", "content": "a"}}}]},
        "anthropic[0]: expected 'response', 'reply', 'error' or 'sequence', found none of them",
    ),
    (
        {"openai_response": [{"match": {"input": None}, "response": {}}]},
        "openai_response[0]: match: input is null; leave it out if it does not matter",
    ),
    (
        {"openai": [chat_mock("a", {}, headers=[{"name": "X", "valu": "a"}])]},
        "openai[0] 'a': match.headers[0].valu: unknown key, * did you mean 'value'?",
    ),
    ({"openai": {}}, "openai: expected a list, found an object"),
    ({"openai": [chat_mock("a", 5)]}, "openai[0] 'a': response: expected an object, found 5"),  # type: ignore[arg-type]  # the mistake
    (
        {"openai": [{"match": {"message": {"content": "a"}}, "response": {}}]},
        "openai[0]: match.message: role",
    ),
    (
        {"openai": [{"match": {"message": {"role": "robot"}}, "response": {}}]},
        "openai[0]: match.message",
    ),
    ([], 'expected an object such as {"mocks": [...]}, found a list'),
    ({"require_auth": "no"}, "require_auth: expected true or false, found 'no'"),
    ({"listen_addr": "127.0.0.1:http"}, "listen_addr: expected HOST:PORT, found '127.0.0.1:http'"),
]


@pytest.mark.parametrize(("config", "told"), MISTAKES)
def test_an_error_is_reported_with_its_place(
    config: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "mocks.json", config)
    assert main(["check", str(file)]) == 2
    output, errors = capsys.readouterr()
    assert re.match(r"[1-9]\d* errors?, ", output)
    found = [line for line in errors.splitlines() if line.startswith(f"error: {file}: ")]
    start, _, end = told.partition("*")
    assert any(start in line and line.endswith(end) for line in found), errors


def test_a_misspelt_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mock = {"name": "a", "mach": {"message": {}}, "response": {}}
    assert main(["check", str(write(tmp_path / "mocks.json", {"openai": [mock]}))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mach: unknown key" in line
    assert line.endswith("did you mean 'match'?")


def test_all_errors_of_one_file_are_reported_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors of the file's format, and errors that only the SDK's types find."""
    file = write(
        tmp_path / "mocks.json",
        {
            "openai": [
                chat_mock("typo", {}, match_typ="exact"),
                {"name": "role", "match": {"message": {"role": "robot"}}, "response": {}},
            ],
            "anthropic": [
                {
                    "name": "content",
                    "match": {"message": {"role": "user", "content": 5}},
                    "response": {},
                }
            ],
        },
    )
    assert main(["check", str(file)]) == 2
    errors = capsys.readouterr().err
    assert f"error: {file}: openai[0] 'typo': match.match_typ: unknown key" in errors
    assert f"error: {file}: openai[1] 'role': match.message" in errors
    assert f"error: {file}: anthropic[0] 'content': match.message.content: expected" in errors


def test_a_directory_without_files_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


# --- check and schema -----------------------------------------------------------------------------


def test_check_of_a_clean_file_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(tmp_path / "clean.json", CLEAN))]) == 0
    assert capsys.readouterr() == (NO_PROBLEMS, "")


def test_check_of_a_terse_file_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "terse.json", TERSE)
    assert main(["check", str(file)]) == 0
    totals = "0 errors, 0 warnings, 1 note in 1 mock of 1 file; --verbose shows the notes\n"
    assert capsys.readouterr() == (totals, "")


def test_check_reports_duplicate_names_and_unreachable_mocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mock = chat_mock("hi", contract.CHAT[TEXT_ASKED])
    file = write(tmp_path / "twice.json", {"openai": [mock, mock]})
    assert main(["check", str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"warning: {file}: openai[1] 'hi': ") for line in lines)
    assert any("used twice" in line for line in lines)
    assert any("unreachable: " in line for line in lines)


def test_check_runs_as_a_process(tmp_path: Path) -> None:
    ended = failing("check", write(tmp_path / "clean.json", CLEAN))
    assert ended == (0, NO_PROBLEMS, "")


def test_the_schema_describes_the_file_format() -> None:
    schema = printed_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    definitions = schema["$defs"]
    answers = {
        "OpenAIMock": ["response", "reply", "error", "sequence"],
        "OpenAIEmbeddingsMock": ["response", "error", "sequence"],
        "Mock": ["reply", "error", "sequence"],
    }
    for name, words in answers.items():
        one_answer = definitions[name]["allOf"][0]["oneOf"]
        assert [each["required"] for each in one_answer] == [[word] for word in words]
    assert set(definitions["MatchType"]["enum"]) == {"exact", "contains"}
    for name, definition in definitions.items():
        if definition.get("type") == "object" and "." not in name:  # those of SDKs have a prefix
            assert definition["additionalProperties"] is False, name
            assert definition.get("description"), name


@pytest.mark.parametrize(
    "config",
    [
        {"models": ["m"], "mocks": [{"reply": "Hi"}]},
        {
            "mocks": [
                {"match": {"tool_names": ["f"]}, "reply": {"json": None}, "headers": {"a": "b"}}
            ]
        },
        {"anthropic": [{"reply": {"text": "Hi", "usage": {"output": 3}}, "headers": {"a": "b"}}]},
    ],
)
def test_the_schema_accepts_replies(config: object) -> None:
    printed_validator().validate(config)


@pytest.mark.parametrize(
    "config",
    [
        {"models": [""]},
        {"models": "m"},
        {"mocks": [{}]},
        {"mocks": [{"reply": "a", "response": {}}]},
        {"mocks": [{"match": {"message": {}}, "reply": "a"}]},
        {"mocks": [{"reply": {"tool_calls": [{}]}}]},
        {"openai": [{"reply": "a", "response": {}}]},
        {"openai": [{"reply": "a", "headers": {"a": 1}}]},
        {"openai_embeddings": [{"reply": "a"}]},
    ],
)
def test_the_schema_refuses_what_no_mock_is(config: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        printed_validator().validate(config)


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mockllm {metadata.version('mockllm-server')}\n"


def test_the_schema_is_that_of_configurations() -> None:
    """Which is held against the rules of schemas in tests/engine/test_json_schema.py."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    written = json.loads(json.dumps(configuration_schema()))

    assert printed_schema() == dialect | written


def test_the_schema_accepts_valid_files() -> None:
    validator = printed_validator()
    assert [list(validator.iter_errors(each)) for each in (CLEAN, TERSE)] == [[], []]
    assert list(validator.iter_errors({"opnai": []}))


def test_garbage_is_collected_again_behind_the_command(tmp_path: Path) -> None:
    main(["check", str(write(tmp_path / "clean.json", CLEAN))])

    assert gc.isenabled()


def test_an_interrupted_check_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mockllm.cli.checking.review", interrupt)
    assert main(["check", "mocks.json"]) == 130
