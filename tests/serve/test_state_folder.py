"""The directory of the state that workers share: where it is, who can read it, and its end."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mockllm.errors import MockLLMError
from mockllm.serve import state_folder
from mockllm.serve.state_folder import StateFolder


def test_it_is_in_the_directory_that_was_chosen_and_private(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)

    assert folder.path.parent == tmp_path
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_each_server_has_its_own(tmp_path: Path) -> None:
    assert StateFolder(tmp_path).path != StateFolder(tmp_path).path


def test_it_is_in_memory_unless_another_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_folder, "MEMORY", tmp_path)

    assert StateFolder().path.parent == tmp_path


def test_it_is_where_temporary_files_are_if_memory_has_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_folder, "MEMORY", tmp_path / "missing")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert StateFolder().path.parent == tmp_path


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    with pytest.raises(MockLLMError) as refused:
        StateFolder(missing)

    assert str(refused.value) == (
        f"no directory for the state that workers share: {missing}: No such file or directory. "
        "Choose one with --state-dir"
    )


def test_it_is_removed_with_everything_in_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    (folder.path / "state").touch()

    folder.remove()
    folder.remove()

    assert [*tmp_path.iterdir()] == []
