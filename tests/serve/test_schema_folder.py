"""What is derived of the SDKs' types, kept from one start to the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from mockllm.serve import schema_folder
from mockllm.serve.schema_folder import MAX_FILE, MAX_FOLDERS, VARIABLE, SchemaFolder

HOME = Path.home()
OF_PLATFORM = {"darwin": HOME / "Library/Caches/mockllm", "linux": HOME / ".cache/mockllm"}


def files_of(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.fixture
def folder(tmp_path: Path) -> SchemaFolder:
    return SchemaFolder(tmp_path / "caches" / "mockllm", "key")


def test_what_was_written_is_read_by_the_next_process(folder: SchemaFolder, tmp_path: Path) -> None:
    assert folder.read("a") is None
    folder.write("a", b"one")
    folder.write("a", b"another")
    folder.write("empty", b"")

    other = SchemaFolder(tmp_path / "caches" / "mockllm", "key")
    assert (other.read("a"), other.read("empty"), other.read("b")) == (b"another", b"", None)
    assert SchemaFolder(tmp_path / "caches" / "mockllm", "other key").read("a") is None
    assert len(files_of(tmp_path)) == 2


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    match how:
        case "cut":
            path.write_bytes(content[:-1])
        case "longer":
            path.write_bytes(content + b"x")
        case "flipped":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "empty":
            path.touch()
        case "huge":
            with path.open("wb") as stream:
                stream.truncate(MAX_FILE + 1)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)  # to read it would wait for ever
        case "dangling":
            path.symlink_to(path.with_name("gone"))


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pipes in folders")
@pytest.mark.parametrize(
    "how", ["cut", "longer", "flipped", "empty", "huge", "folder", "pipe", "dangling"]
)
def test_a_damaged_file_is_none(folder: SchemaFolder, tmp_path: Path, how: str) -> None:
    folder.write("a", b"one")
    (file,) = files_of(tmp_path)

    damage(file, how)

    assert folder.read("a") is None
    folder.write("a", b"again")
    assert folder.read("a") == (None if how == "folder" else b"again")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = SchemaFolder(tmp_path / "file", "key")

    folder.write("a", b"one")

    assert folder.read("a") is None


def test_after_a_failure_nothing_is_left_and_nothing_more_tried(
    folder: SchemaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def fail(self: Path, target: object) -> None:
        tried.append(target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    folder.write("a", b"one")
    folder.write("b", b"two")

    assert files_of(tmp_path) == []
    assert len(tried) == 1


def test_only_so_many_combinations_of_versions_are_kept(tmp_path: Path) -> None:
    for number in range(MAX_FOLDERS + 3):
        SchemaFolder(tmp_path, f"{number:03d}").write("a", b"one")
        os.utime(tmp_path / f"types-{number:03d}", (number, number))

    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"types-{number:03d}" for number in range(3, MAX_FOLDERS + 3)]


def test_whoever_reads_meanwhile_reads_something_whole(
    folder: SchemaFolder, tmp_path: Path
) -> None:
    contents = [bytes([number]) * 100_000 for number in range(4)]
    folder.write("a", contents[0])
    read: list[bytes | None] = []

    def write(content: bytes) -> None:
        own = SchemaFolder(tmp_path / "caches" / "mockllm", "key")
        for _ in range(20):
            own.write("a", content)
            read.append(folder.read("a"))

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read) == 80
    assert set(read) <= set(contents)
    assert len(files_of(tmp_path)) == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({VARIABLE: "/somewhere"}, Path("/somewhere")),
        ({VARIABLE: "", "XDG_CACHE_HOME": "/xdg"}, None),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/mockllm")),
        ({"XDG_CACHE_HOME": ""}, OF_PLATFORM.get(sys.platform)),
        ({}, OF_PLATFORM.get(sys.platform)),
    ],
)
def test_the_folder_is_that_of_the_users_caches(
    environment: dict[str, str], expected: Path | None
) -> None:
    assert schema_folder._cache_folder(environment) == expected


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)

    assert schema_folder._cache_folder({}) is None


@pytest.mark.parametrize("file", ["{}-0.0.1.dist-info/METADATA", "{}.egg-info/PKG-INFO"])
@pytest.mark.parametrize("changed", schema_folder.DISTRIBUTIONS)
def test_the_key_depends_on_each_version(
    changed: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = schema_folder._key()
    assert key is not None
    assert key == schema_folder._key()

    metadata = tmp_path / file.format(changed.replace("-", "_"))
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {changed}\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert version(changed) == "0.0.1"
    assert schema_folder._key() not in (None, key)


def test_the_key_depends_on_the_modules_that_derive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "validation").mkdir()
    module = tmp_path / "validation" / "schema.py"
    module.write_text("one")
    monkeypatch.setattr(schema_folder, "_PACKAGE", tmp_path)
    key = schema_folder._key()
    module.write_text("two")
    other = schema_folder._key()
    module.unlink()  # as in an archive

    assert key != other
    assert schema_folder._key() is None


SCRIPT = """\
import sys
from mockllm.cli.main import main
status = main(["check", sys.argv[1]])
print(status, sorted({"openai", "anthropic"} & set(sys.modules)))
"""
MOCKS: dict[str, Any] = {
    "mocks": [{"match": {"user": "hi"}, "reply": "hello"}],
    "openai": [
        {
            "match": {"message": {"role": "user", "content": [{"type": "text", "text": 5}]}},
            "response": {"id": 7, "choices": [{"message": {"content": "a"}, "oops": 1}]},
        }
    ],
}


def test_the_second_start_imports_no_sdk_and_finds_the_same(tmp_path: Path) -> None:
    """Damage between the starts costs an import, and nothing else."""
    file, cache = tmp_path / "mocks.json", tmp_path / "cache"
    file.write_text(json.dumps(MOCKS))

    def check() -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(file)],
            capture_output=True,
            text=True,
            env={**os.environ, VARIABLE: str(cache)},
            check=True,
        )
        *printed, last = done.stdout.splitlines()
        return done.stderr + "\n".join(printed), last

    found, imported = check()
    found_again, imported_again = check()
    for path in files_of(cache):
        if path.name.startswith("chat."):
            path.write_bytes(b"")
    found_then, imported_then = check()

    assert "expected" in found
    assert found == found_again == found_then
    assert imported.endswith("['anthropic', 'openai']")
    assert imported_again.endswith("[]")
    assert imported_then.endswith("['openai']")


PREPARING = """\
import sys
from mockllm.errors import ConfigError
from mockllm.engine.added import compile_added, prepare
from mockllm.serve.schema_folder import keep_schemas
keep_schemas()
prepare()
imported = set(sys.modules)
for field in ("openai", "openai_response", "anthropic"):
    match = {"input" if field == "openai_response" else "message": {"role": "user", "content": 5}}
    for strict in (False, True):
        try:
            compile_added({"match": match, "response": {"id": 5}}, 0, field=field, strict=strict)
        except ConfigError:
            pass
print([name for name in set(sys.modules) - imported if name.split(".")[0] in sys.argv[1:]])
"""


def test_a_mock_that_is_added_imports_no_more_of_an_sdk(tmp_path: Path) -> None:
    """It is added while requests are answered, whether or not anything was kept before."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PREPARING, "openai", "anthropic"],
            capture_output=True,
            text=True,
            env={**os.environ, VARIABLE: str(tmp_path)},
            check=False,
        )
        assert (done.stdout, done.stderr) == ("[]\n", "")
