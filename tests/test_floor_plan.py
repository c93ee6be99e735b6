"""The floor plan, executable: which module may import which, and where the world is touched.

The plan is read from README.md. Everything in it is a folder, ``wire/``, or a module at the root of
the package, ``errors``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import mockllm

PACKAGE = Path(mockllm.__file__).parent
TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))

MAX_MODULES_AT_THE_ROOT = 8  # beside __init__ and __main__
WORLD = {
    *("anyio", "asyncio", "os", "redis", "selectors", "signal", "socket", "sqlite3"),
    *("threading", "time", "uvloop"),
}
SDKS = {"openai", "anthropic"}
SENTENCE = re.compile(r"\S.*?\.(?=\s|$)", re.DOTALL)
REFUSALS = {"not", "no", "neither", "nor", "nothing", "only", "cannot"}
"""Words, one of which is in the sentence that says what a folder refuses to know."""
FORBIDDEN_NAMES = {"utils", "helpers", "common", "types", "manager"}


def read_floors(text: str) -> dict[str, int]:
    """The floor of each part of the package, by its name: ``{"wire": 1, "errors": 0}``."""
    plan = re.search(r"<!-- floor plan -->\n```text\n(.*?)```", text, re.DOTALL)
    assert plan is not None
    floors: dict[str, int] = {}
    for line in plan[1].splitlines():
        parts = line[14:].split()
        floors |= {part.rstrip("/"): int(line[0]) for part in parts}
    return floors


FLOORS = read_floors(README.read_text())


def _id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _part(path: Path) -> str:
    """The part of the plan that a file belongs to: ``providers``, ``serve``, ``app``."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def _imports(path: Path) -> list[str]:
    """Dotted names of everything a file imports, functions' bodies included."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _imported_parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(path) if name.startswith("mockllm.")}


def test_the_plan_is_the_package() -> None:
    assert {_part(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_a_module_imports_its_own_folder_and_lower_floors(path: Path) -> None:
    own = _part(path)

    strange = {
        part
        for part in _imported_parts(path) - {own}
        if FLOORS[part] > FLOORS[own]
        or (FLOORS[part] == FLOORS[own] and FLOORS[own] in range(1, 9))
    }

    assert strange == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "providers").glob("*/**/*.py")), ids=_id)
def test_an_api_imports_its_own_vendor_and_no_other_api(path: Path) -> None:
    vendor, *api = path.relative_to(PACKAGE / "providers").parts[:-1]
    vendors = {folder.name for folder in (PACKAGE / "providers").iterdir() if folder.is_dir()}
    shared = {module.stem for module in (PACKAGE / "providers" / vendor).glob("*.py")}
    imported = [name.split(".")[2:] for name in _imports(path) if "mockllm.providers." in name]

    strange = [
        name
        for name in imported
        if name[0] in vendors
        and (name[0] != vendor or (name[1] not in shared and [name[1]] != api))
    ]

    assert strange == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "providers").rglob("*.py")), ids=_id)
def test_a_provider_is_a_codec(path: Path) -> None:
    modules = {".".join(name.split(".")[:3]) for name in _imports(path)}

    assert not {name for name in modules if name.startswith(("mockllm.config", "mockllm.engine"))}
    assert "mockllm.matching.index" not in modules


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_the_world_is_touched_in_serve_and_the_doors_only(path: Path) -> None:
    touched = {name.split(".")[0] for name in _imports(path)} & WORLD

    assert touched == set() or FLOORS[_part(path)] >= FLOORS["serve"]


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_chance_is_handed_in(path: Path) -> None:
    assert "random" not in {name.split(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_an_sdk_is_imported_in_files_called_sdk_only(path: Path) -> None:
    imported = {name.split(".")[0] for name in _imports(path)} & SDKS

    assert imported == set() or path.name == "sdk.py"


def test_few_modules_stand_at_the_root() -> None:
    root = [path for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]

    assert len(root) <= MAX_MODULES_AT_THE_ROOT


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_what_it_knows_and_what_it_refuses_to_know(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text())
    docstring = (ast.get_docstring(tree) or "").split("\n\n")[0]
    sentences = SENTENCE.findall(docstring)

    assert len(sentences) == 2
    assert REFUSALS & set(re.findall(r"\w+", sentences[1].lower()))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_docstring_of_a_folder_is_followed_by_exports_only(folder: Path) -> None:
    _, *code = ast.parse((folder / "__init__.py").read_text()).body

    assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in code)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tests_have_the_same_folders(folder: Path) -> None:
    assert (TESTS / folder.name).is_dir()


def test_no_module_has_a_name_without_meaning() -> None:
    assert {path.stem for path in MODULES} & FORBIDDEN_NAMES == set()


def test_importing_the_package_imports_no_sdk() -> None:
    script = (
        "import sys; from mockllm import *;"
        "print(sorted({'openai', 'anthropic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", [".ci/run", "tox.ini", "tests/support/old_sdks.py"])
def test_tests_that_are_named_are_there(name: str) -> None:
    root = TESTS.parent
    named = re.findall(r"\btests(?:/\w+)+(?:\.py)?", (root / name).read_text())

    assert named
    assert [each for each in named if not (root / each).exists()] == []
