"""The directory of the state that workers share: where it is, who can read it, and its end."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mockllm.errors import MockLLMError
from mockllm.serve import state_folder
from mockllm.serve.state_folder import StateFolder, remove_abandoned


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


def test_what_servers_that_were_killed_left_behind_is_removed(tmp_path: Path) -> None:
    killed = StateFolder(tmp_path)
    (killed.path / "state").write_bytes(b"x")
    killed._lock.close()  # as the system does with those of a process that ends
    alive = StateFolder(tmp_path)
    other = tmp_path / "mockllm-state-file"
    other.touch()
    (tmp_path / "another").mkdir()

    last = StateFolder(tmp_path)

    assert {*tmp_path.iterdir()} == {alive.path, last.path, other, tmp_path / "another"}


def test_a_directory_that_is_just_being_created_stays(tmp_path: Path) -> None:
    young, old = tmp_path / "mockllm-state-young", tmp_path / "mockllm-state-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))

    remove_abandoned(tmp_path)

    assert [*tmp_path.iterdir()] == [young]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "server").touch()
    place = tmp_path / "place"
    place.mkdir()
    (place / "mockllm-state-link").symlink_to(target)

    remove_abandoned(place)

    assert (target / "server").exists()


def test_it_is_removed_with_everything_in_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    (folder.path / "state").touch()

    folder.remove()

    assert [*tmp_path.iterdir()] == []
