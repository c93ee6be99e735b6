"""The Python examples of README.md and docs/. Those that begin with a comment like ``# agent.py``
are parts of that file, which another example of the page may import."""

from __future__ import annotations

import re
from pathlib import Path

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.py)\n")


def lone_examples(page: Path) -> list[str]:
    """The Python examples of a page that are complete."""
    return [each for each in _PYTHON.findall(page.read_text()) if _FILE.match(each) is None]


def files_of(page: Path) -> dict[str, str]:
    """The files of a page by their names, with their parts in order."""
    files: dict[str, str] = {}
    for block in _PYTHON.findall(page.read_text()):
        if named := _FILE.match(block):
            files[named[1]] = files.get(named[1], "") + block.removeprefix(named[0]) + "\n\n"
    return files
