"""The house, executable: which module may import which, and where the outside world is touched.

A module knows its own floor and those below it. Loops, sockets, processes and clocks live in
`serve/` and the doors; each official SDK is imported in files called `sdk.py` only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mockllm

PACKAGE = Path(mockllm.__file__).parent

FLOORS = (
    {"errors", "exchange", "prompt", "limits", "redaction"},
    {"http1", "wire", "matching"},
    {"validation", "replies", "state", "config"},
    {"providers"},  # codecs
    {"engine"},  # decides; lives as long as one configuration
    {"observers"},  # know exchanges that are over
    {"endpoints"},  # answer without a mock
    {"app"},  # routes; lives as long as the process
    {"serve"},  # acts
    {"cli", "wirecheck", "conformance", "__init__", "__main__"},  # doors
)
WORLD = {"asyncio", "socket", "signal", "os", "threading", "time", "anyio", "uvloop", "selectors"}
SDKS = {"openai", "anthropic"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "types", "manager"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def _id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _part(path: Path) -> str:
    """The part of the house that a file belongs to: ``providers``, ``serve``, ``engine``."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _floor(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, functions' bodies included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_nobody_looks_upstairs(path: Path) -> None:
    own = _floor(_part(path))
    inside = [name.split(".") for name in _imports(path) if name.startswith("mockllm.")]

    upstairs = [".".join(name) for name in inside if _floor(name[1]) > own]

    assert upstairs == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "providers").glob("*/*/*.py")), ids=_id)
def test_an_api_imports_its_own_vendor_only(path: Path) -> None:
    vendor, api = path.parent.parent.name, path.parent.name
    allowed = (
        f"mockllm.providers.{vendor}.{api}.",
        f"mockllm.providers.{vendor}.vendor",
        "mockllm.providers.api.",
    )
    shared = ("envelope", "normalise", "request_body", "members")
    parts = [name for name in _imports(path) if name.startswith("mockllm.providers.")]

    strange = [name for name in parts if not name.startswith(allowed)]
    assert [name for name in strange if name.split(".")[2] not in shared] == []


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_the_world_is_touched_in_serve_and_the_doors_only(path: Path) -> None:
    touched = {name.split(".")[0] for name in _imports(path)} & WORLD

    assert touched == set() or _floor(_part(path)) >= _floor("serve")


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_an_sdk_is_imported_in_files_called_sdk_only(path: Path) -> None:
    imported = {name.split(".")[0] for name in _imports(path)} & SDKS

    assert imported == set() or path.name == "sdk.py"


def test_no_module_is_named_after_nothing() -> None:
    assert {path.stem for path in MODULES} & FORBIDDEN_NAMES == set()


def test_importing_the_package_imports_no_sdk() -> None:
    script = "import sys, mockllm; print(sorted({'openai', 'anthropic'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")
