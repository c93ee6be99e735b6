"""The public names of the package, which are imported when they are first used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mockllm


def test_importing_the_package_imports_none_of_its_modules() -> None:
    script = "import sys, mockllm; print([each for each in sys.modules if 'mockllm.' in each])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", mockllm.__all__)
def test_a_public_name_is_found_in_its_module(name: str) -> None:
    assert getattr(mockllm, name).__name__ == name
    assert name in dir(mockllm)


def test_type_checkers_see_all_public_names() -> None:
    """They read the imports, not `__getattr__`."""
    tree = ast.parse(Path(mockllm.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == mockllm.__all__


def test_other_names_are_not_found() -> None:
    with pytest.raises(AttributeError, match="module 'mockllm' has no attribute 'Servr'"):
        mockllm.Servr  # type: ignore[attr-defined]  # noqa: B018  # the mistake
