"""The output of `mockllm check`: how much of it there is, notes, and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mockllm.cli.main import main
from mockllm.errors import MAX_PROBLEMS, MAX_PROBLEMS_OF_MOCK
from tests.support.processes import write
from tests.support.served import chat_mock, chat_saying

Captured = pytest.CaptureFixture[str]


def misspelt(name: str, mistakes: int = 1) -> dict[str, Any]:
    """A mock whose response has members that the SDK does not declare."""
    unknown = {f"unknown_{number}": 1 for number in range(mistakes)}
    return chat_mock(name, chat_saying("ho") | unknown)


def checked(path: Path, *options: str) -> int:
    return main(["check", *options, str(path)])


def test_notes_are_shown_on_request(tmp_path: Path, capsys: Captured) -> None:
    file = write(tmp_path / "a.json", {"openai": [chat_mock("hi", chat_saying("ho"))]})

    assert checked(file, "-v") == 0

    output, errors = capsys.readouterr()
    assert output == "0 errors, 0 warnings, 1 note in 1 mock of 1 file\n"
    assert errors.startswith(f"note: {file}: openai[0] 'hi': response: filled in: id, ")


def test_totals_count_the_mocks_of_all_files_valid_or_not(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path / "a.json", {"openai": [misspelt("a"), {"name": "b"}]})
    write(tmp_path / "b.json", {"openai": [misspelt("c")]})

    assert checked(tmp_path) == 2

    output = capsys.readouterr().out
    assert output.startswith("1 error, 2 warnings, 2 notes in 3 mocks of 2 files; ")


def test_files_without_mocks_or_problems_are_counted(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path / "a.json", {"models": ["m"]})
    write(tmp_path / "b.json", {})

    assert checked(tmp_path) == 0

    assert capsys.readouterr().out == "0 errors, 0 warnings, 0 notes in 0 mocks of 2 files\n"


def test_many_problems_of_one_mock_are_capped(tmp_path: Path, capsys: Captured) -> None:
    file = write(tmp_path / "a.json", {"openai": [misspelt("a", 50), misspelt("b")]})

    checked(file)

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": response")[0].split("openai")[-1] for line in lines] == [
        *["[0] 'a'"] * MAX_PROBLEMS_OF_MOCK,
        "[1] 'b'",
        "... and 40 more; --all shows them",
    ]


def test_the_problems_of_many_mocks_are_capped(tmp_path: Path, capsys: Captured) -> None:
    mocks = [misspelt(str(number)) for number in range(MAX_PROBLEMS + 5)]
    file = write(tmp_path / "a.json", {"openai": mocks})

    checked(file)

    *lines, last = capsys.readouterr().err.splitlines()
    assert len(lines) == MAX_PROBLEMS
    assert last == "... and 5 more; --all shows them"


def test_all_shows_every_problem(tmp_path: Path, capsys: Captured) -> None:
    file = write(tmp_path / "a.json", {"openai": [misspelt("a", 50)]})

    checked(file, "--all")

    assert len(capsys.readouterr().err.splitlines()) == 50


def test_errors_are_not_hidden_by_warnings_before_them(tmp_path: Path, capsys: Captured) -> None:
    mocks = [*(misspelt(str(number)) for number in range(MAX_PROBLEMS + 5)), {"name": "last"}]
    file = write(tmp_path / "a.json", {"openai": mocks})

    checked(file)

    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 1  # the response


def test_json_has_every_problem_with_its_place(tmp_path: Path, capsys: Captured) -> None:
    file = write(tmp_path / "a.json", {"openai": [misspelt("a")], "require_auth": True})

    assert checked(file, "--format", "json") == 1

    output, errors = capsys.readouterr()
    document = json.loads(output)
    warning, note = document.pop("problems")
    assert errors == ""
    totals = {"errors": 0, "warnings": 1, "notes": 1, "mocks": 1, "files": 1, "unchecked": 0}
    assert document == totals
    place = {"file": str(file), "list": "openai", "index": 0, "name": "a"}
    assert warning == place | {
        "severity": "warning",
        "path": "response.unknown_0",
        "message": "not a member that the SDK declares",
    }
    assert note == place | {"severity": "note", "path": "response", "message": note["message"]}


def test_json_of_a_problem_of_a_file_has_no_mock(tmp_path: Path, capsys: Captured) -> None:
    assert checked(tmp_path / "absent.json", "--format", "json") == 2

    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["list"], problem["index"], problem["path"]) == (
        str(tmp_path / "absent.json"),
        None,
        None,
        None,
    )
