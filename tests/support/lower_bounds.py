"""Prints the lowest versions of the dependencies that pyproject.toml allows, as requirements.

Run ``python -m tests.support.lower_bounds | pip install -r /dev/stdin``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


EXTRAS = ("redis",)


def lower_bounds() -> list[str]:
    """Return the dependencies, and those of `EXTRAS`, at their lower bounds: ``openai==2.0``, with
    their markers."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    extras = [each for name in EXTRAS for each in project["optional-dependencies"][name]]
    return [re.sub(r">=", "==", each, count=1) for each in project["dependencies"] + extras]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{each}\n" for each in lower_bounds()))
