"""docs/ as a site: every page has a place, and what is written from the code is complete."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mockllm.cli.option_tables import CHECK_OPTIONS, SERVE_OPTIONS
from mockllm.config.models import Config
from mockllm.limits import Limits

ROOT = Path(__file__).parents[1]
NAV = re.compile(r"^ +- .+: ([\w-]+\.md)$", re.MULTILINE)
LOADED = re.compile(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"?(https?:|//)[^>]*>")


def hooks() -> Any:
    """The module of the hooks."""
    path = ROOT / "docs" / "site_hooks.py"
    spec = importlib.util.spec_from_file_location("site_hooks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_has_a_place_in_the_navigation() -> None:
    listed = NAV.findall((ROOT / "mkdocs.yml").read_text())
    made = {"index.md", "changelog.md", "all-options.md", "file-format.md"}

    assert len(listed) == len(set(listed))
    assert set(listed) == made | {page.name for page in (ROOT / "docs").glob("*.md")}


def test_every_option_is_in_the_page_that_is_written_from_the_code() -> None:
    page = hooks().options_page()
    options = [option for group in SERVE_OPTIONS.values() for option in group]

    for option in (*options, *CHECK_OPTIONS):
        assert re.search(rf"`{option.name}[ `=]", page), option.name
    assert page.count("default") > len(fields(Limits))
    assert "%(" not in page


def test_every_key_is_in_the_page_that_is_written_from_the_code() -> None:
    page = hooks().format_page()
    schema = Config.model_json_schema()

    for name, definition in {"A file": schema, **schema["$defs"]}.items():
        if "properties" in definition:
            section = page.split(f"## {name}\n")[1].split("\n## ")[0]
            assert [key for key in definition["properties"] if f"| `{key}` |" not in section] == []
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", page)) <= headings


@pytest.mark.parametrize(
    ("link", "in_root", "led"),
    [
        ("[x](docs/faults.md#gates)", True, "[x](faults.md#gates)"),
        ("[x](CHANGELOG.md)", True, "[x](changelog.md)"),
        ("![x](benchmarks/results/full.svg)", True, "![x](benchmarks/results/full.svg)"),
        ("[x](../README.md#start)", False, "[x](index.md#start)"),
        ("[x](../deploy/Dockerfile)", False, "[x](deploy/Dockerfile)"),
        ("[x](faults.md)", False, "[x](faults.md)"),
        ("[x](#here)", True, "[x](#here)"),
        ("[x](https://example.com/docs/a)", True, "[x](https://example.com/docs/a)"),
    ],
)
def test_links_lead_to_their_places_in_the_site(link: str, in_root: bool, led: str) -> None:
    assert hooks().lead_links(link, in_root=in_root) == led


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the extra `docs`")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    pages = [*tmp_path.glob("*.html")]
    assert len(pages) > 20
    assert [found for page in pages for found in LOADED.findall(page.read_text())] == []
    for name in ("full", "paced"):
        picture = tmp_path / f"benchmarks/results/{name}.svg"
        assert picture.read_text().startswith(("<svg", "<?xml"))
